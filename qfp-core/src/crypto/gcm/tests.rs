use super::*;
use crate::crypto::Algorithm;
use crate::crypto::key::OwnedKey;
use crate::crypto::tier::Tier;

/// A stream of bytes that look random.
fn noise(seed: u64) -> impl FnMut() -> u8 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32).to_le_bytes()[0]
    }
}

fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut next = noise(seed);
    (0..len).map(|_| next()).collect()
}

fn kernels() -> Vec<(Tier, Kernel)> {
    Tier::ALL.into_iter().filter_map(|tier| Some((tier, Kernel::of(tier)?))).collect()
}

#[test]
fn tiers_agree_on_every_length() {
    for (size, algorithm) in
        [(KeySize::Aes128, Algorithm::Aes128Gcm), (KeySize::Aes256, Algorithm::Aes256Gcm)]
    {
        let key = bytes(1, algorithm.cipher_key_len());
        let key = OwnedKey::new(algorithm, &key, &[]).unwrap();
        for len in 0..=2048 {
            let plain = bytes(len as u64, len);
            let iv = Iv::counter(len as u64 * 0x0123_4567_89ab);
            let aad = match len % 3 {
                0 => Aad::esp(0x1234_5678, 77),
                1 => Aad::esn(0x1234_5678, 77 << 31),
                _ => Aad::from_bytes(&bytes(9, len % 17)).unwrap(),
            };
            let mut expected = plain.clone();
            let tag = crypt::<true>(Kernel::Portable, size, &key, iv, aad, &mut expected);
            for (tier, kernel) in kernels() {
                let mut data = plain.clone();
                let sealed = crypt::<true>(kernel, size, &key, iv, aad, &mut data);
                assert!(data == expected, "{tier:?} {algorithm:?} seals {len} bytes wrong");
                assert_eq!(sealed, tag, "{tier:?} {algorithm:?} {len} bytes: tag of seal");
                let opened = crypt::<false>(kernel, size, &key, iv, aad, &mut data);
                assert!(data == plain, "{tier:?} {algorithm:?} opens {len} bytes wrong");
                assert_eq!(opened, tag, "{tier:?} {algorithm:?} {len} bytes: tag of open");
            }
        }
    }
}
