//! Vectors of the standards.

use super::super::algorithm::{Hash, KeySize};
use super::super::hmac::{self, Text};
use super::super::simd::Chain;
use super::super::{Aad, Algorithm, Iv, Job, OwnedKey, SaKey, cbc, gcm};
use super::{engines, kernels, unhex};

/// One packet with an AAD of any length, by every tier: ciphertext and tag.
fn gcm_gives(key: &str, iv: &str, aad: &str, plain: &str, cipher: &str, tag: &str) {
    let (mut cipher_key, iv) = (unhex(key), unhex(iv));
    let (size, algorithm) = match cipher_key.len() {
        16 => (KeySize::Aes128, Algorithm::Aes128Gcm),
        _ => (KeySize::Aes256, Algorithm::Aes256Gcm),
    };
    cipher_key.extend(&iv[..4]);
    let key = OwnedKey::new(algorithm, &cipher_key, &[]).unwrap();
    let iv = Iv::short(iv[4..].try_into().unwrap());
    for (tier, kernel) in kernels() {
        let mut data = unhex(plain);
        let given = gcm::crypt_after::<true>(kernel, size, &key, iv, &[&unhex(aad)], &mut data);
        assert_eq!(data, unhex(cipher), "{tier:?}");
        assert_eq!(given.to_le_bytes()[..], unhex(tag), "{tier:?}");
    }
}

#[test]
fn gcm_gives_the_vectors_of_its_specification() {
    let plain = "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72
        1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39";
    let aad = "feedfacedeadbeeffeedfacedeadbeefabaddad2";
    let key = "feffe9928665731c6d6a8f9467308308";
    gcm_gives(
        key,
        "cafebabefacedbaddecaf888",
        aad,
        plain,
        "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e
         21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091",
        "5bc94fbc3221a5db94fae95ae7121a47",
    );
    gcm_gives(
        &[key, key].concat(),
        "cafebabefacedbaddecaf888",
        aad,
        plain,
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa
         8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
        "76fc6ece0f4e1768cddf8853bb2d551b",
    );
    let zeroes = "00000000000000000000000000000000";
    gcm_gives(zeroes, &zeroes[..24], "", "", "", "58e2fccefa7e3061367f1d57a4e7455a");
}

#[test]
fn chacha20_poly1305_gives_the_packet_of_rfc_7634() {
    let key = unhex(
        "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f
         a0a1a2a3",
    );
    let mut row = [SaKey::empty()];
    row[0].set(Algorithm::ChaCha20Poly1305, &key, &[]).unwrap();
    let plain = unhex(
        "45000054a6f200004001e778c6336405c000020508005b7a3a080000553bec10
         0007362708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20212223
         2425262728292a2b2c2d2e2f303132333435363701020204",
    );
    let expected = unhex(
        "24039428b97f417e3c13753a4f05087b67c352e6a7fab1b982d466ef407ae5c6
         14ee8099d52844eb61aa95dfab4c02f72aa71e7c4c4f64c9befe2facc638e8f3
         cbec163fac469b502773f6fb94e664da9165b82829f641e0
         76aaa8266b7fb0f7b11b369907e1ad43",
    );
    let iv = Iv::short(unhex("1011121314151617").try_into().unwrap());
    let job = Job::new(0, 0, 88, iv, Aad::esp(0x0102_0304, 5));
    for engine in engines() {
        let mut packet = plain.clone();
        packet.resize(88 + 16, 0);
        assert_eq!(engine.seal(&row, &[job], &mut [&mut packet]).done(), 1);
        assert_eq!(packet, expected);
    }
}

#[test]
fn cbc_gives_the_vectors_of_rfc_3602() {
    // Case 4, four blocks.
    let key = unhex("56e47a38c5598974bc46903dba290349");
    let iv: [u8; 16] = unhex("8ce82eefbea0da3c44699ed7db51b7d9").try_into().unwrap();
    let plain: Vec<u8> = (0xa0..0xe0).collect();
    let expected = unhex(
        "c30e32ffedc0774e6aff6af0869f71aa0f3af07a9a31a9c684db207eb0ef8e4e
         35907aa632c3ffdf868bb7b29d3d46ad83ce9f9a102ee99d49a53e87f4c3da55",
    );
    let key = OwnedKey::new(Algorithm::Aes128CbcSha256, &key, &[0; 32]).unwrap();
    for (tier, kernel) in kernels() {
        let mut data = plain.clone();
        let chain = Chain { key: &key, iv, data: &mut data };
        cbc::run::<true>(kernel, KeySize::Aes128, std::iter::once(chain));
        assert_eq!(data, expected, "{tier:?}");
        let chain = Chain { key: &key, iv, data: &mut data };
        cbc::run::<false>(kernel, KeySize::Aes128, std::iter::once(chain));
        assert_eq!(data, plain, "{tier:?}");
    }
}

#[test]
fn hmacs_give_the_vectors_of_rfc_4868() {
    for (hash, len, expected) in [
        (Hash::Sha256, 32, "198a607eb44bfbc69903a0f1cf2bbdc5"),
        (Hash::Sha384, 48, "b6a8d5636f5c6a7224f9977dcf7ee6c7fb6d0c48cbdee973"),
        (Hash::Sha512, 64, "637edc6e01dce7e6742a99451aae82df23da3e92439e590e43e761b33e910fb8"),
    ] {
        let mut rows = [[0; 16]; 8];
        hmac::precompute(hash, &[0x0b; 64][..len], &mut rows);
        let digest = hmac::digest(hash, &rows, Text { head: b"Hi There", data: &[], tail: &[] });
        assert_eq!(digest[..len / 2], unhex(expected), "{hash:?}");
    }
}
