//! Project Wycheproof's cases: all with a nonce of 12 bytes and a tag of 16.

use std::path::PathBuf;

use serde_json::Value;

use super::super::algorithm::{Hash, KeySize};
use super::super::hmac::{self, Text};
use super::super::{Algorithm, OwnedKey, chacha, gcm};
use super::{kernels, unhex};
use hal::crypto::Iv;

/// One case of a file, with its group.
struct Case<'a> {
    group: &'a Value,
    case: &'a Value,
}

impl Case<'_> {
    fn bytes(&self, name: &str) -> Vec<u8> {
        unhex(self.case[name].as_str().unwrap())
    }

    fn size(&self, name: &str) -> u64 {
        self.group[name].as_u64().unwrap()
    }

    fn id(&self) -> u64 {
        self.case["tcId"].as_u64().unwrap()
    }

    /// Whether the tag is right.
    fn valid(&self) -> bool {
        self.case["result"] == "valid"
    }
}

/// Runs `check` on every case of a file; returns how many it took.
fn for_each(file: &str, mut check: impl FnMut(&Case<'_>) -> bool) -> Option<usize> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/wycheproof");
    let Ok(text) = std::fs::read_to_string(folder.join(file)) else {
        eprintln!("skipped: {} is not there", folder.join(file).display());
        return None;
    };
    let file: Value = serde_json::from_str(&text).unwrap();
    let mut taken = 0;
    for group in file["testGroups"].as_array().unwrap() {
        for case in group["tests"].as_array().unwrap() {
            taken += usize::from(check(&Case { group, case }));
        }
    }
    Some(taken)
}

/// The key row and the IV of a case of GCM or GMAC that fits; none otherwise.
fn gcm_key(case: &Case<'_>) -> Option<(KeySize, OwnedKey, Iv)> {
    let (size, algorithm) = match case.size("keySize") {
        128 => (KeySize::Aes128, Algorithm::Aes128Gcm),
        256 => (KeySize::Aes256, Algorithm::Aes256Gcm),
        _ => return None,
    };
    if case.size("ivSize") != 96 || case.size("tagSize") != 128 {
        return None;
    }
    let iv = case.bytes("iv");
    let key = [case.bytes("key"), iv[..4].to_vec()].concat();
    let key = OwnedKey::new(algorithm, &key, &[]).unwrap();
    Some((size, key, Iv::short(iv[4..].try_into().unwrap())))
}

#[test]
fn gcm_agrees_on_every_tier() {
    let taken = for_each("aes_gcm_test.json", |case| {
        let Some((size, key, iv)) = gcm_key(case) else { return false };
        let (aad, cipher, tag) = (case.bytes("aad"), case.bytes("ct"), case.bytes("tag"));
        for (tier, kernel) in kernels() {
            let mut data = case.bytes("msg");
            let given = gcm::crypt_after::<true>(kernel, size, &key, iv, &[&aad], &mut data);
            let right = given.to_le_bytes()[..] == tag && data == cipher;
            assert_eq!(right, case.valid(), "{tier:?} seals case {}", case.id());
            let mut data = cipher.clone();
            let given = gcm::crypt_after::<false>(kernel, size, &key, iv, &[&aad], &mut data);
            let right = given.to_le_bytes()[..] == tag;
            assert_eq!(right, case.valid(), "{tier:?} opens case {}", case.id());
            assert!(!right || data == case.bytes("msg"), "{tier:?} opens case {}", case.id());
        }
        true
    });
    assert!(taken.is_none_or(|taken| taken >= 133), "{taken:?} cases");
}

#[test]
fn gmac_agrees_on_every_tier() {
    let taken = for_each("aes_gmac_test.json", |case| {
        let Some((size, key, iv)) = gcm_key(case) else { return false };
        for (tier, kernel) in kernels() {
            let text = case.bytes("msg");
            let given = gcm::crypt_after::<true>(kernel, size, &key, iv, &[&text], &mut []);
            let right = given.to_le_bytes()[..] == case.bytes("tag");
            assert_eq!(right, case.valid(), "{tier:?} case {}", case.id());
        }
        true
    });
    assert!(taken.is_none_or(|taken| taken > 0));
}

#[test]
fn chacha20_poly1305_agrees() {
    let taken = for_each("chacha20_poly1305_test.json", |case| {
        if case.size("ivSize") != 96 || case.size("tagSize") != 128 {
            return false;
        }
        let (iv, aad) = (case.bytes("iv"), case.bytes("aad"));
        let key = [case.bytes("key"), iv[..4].to_vec()].concat();
        let key = OwnedKey::new(Algorithm::ChaCha20Poly1305, &key, &[]).unwrap();
        let iv = Iv::short(iv[4..].try_into().unwrap());
        let mut data = case.bytes("ct");
        let tag = case.bytes("tag").try_into().unwrap();
        let right = chacha::open(&key, iv, &aad, &mut data, tag);
        assert_eq!(right, case.valid(), "opens case {}", case.id());
        if right {
            assert_eq!(data, case.bytes("msg"), "opens case {}", case.id());
            let sealed = chacha::seal(&key, iv, &aad, &mut data);
            assert_eq!(sealed, Some(tag), "seals case {}", case.id());
            assert_eq!(data, case.bytes("ct"), "seals case {}", case.id());
        }
        true
    });
    assert!(taken.is_none_or(|taken| taken >= 316), "{taken:?} cases");
}

#[test]
fn hmacs_agree() {
    for (file, hash, len) in [
        ("hmac_sha256_test.json", Hash::Sha256, 32),
        ("hmac_sha384_test.json", Hash::Sha384, 48),
        ("hmac_sha512_test.json", Hash::Sha512, 64),
    ] {
        let taken = for_each(file, |case| {
            let (key, text, tag) = (case.bytes("key"), case.bytes("msg"), case.bytes("tag"));
            if key.len() != len {
                return false;
            }
            let mut rows = [[0; 16]; 8];
            hmac::precompute(hash, &key, &mut rows);
            let text = Text { head: &[], data: &text, tail: &[] };
            let right = hmac::digest(hash, &rows, text)[..tag.len()] == tag;
            assert_eq!(right, case.valid(), "{file} case {}", case.id());
            true
        });
        assert!(taken.is_none_or(|taken| taken > 0), "{file}");
    }
}
