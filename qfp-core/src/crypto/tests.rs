//! The engine against published vectors, the crates it is measured on, and itself.

mod batch;
mod vectors;
mod wycheproof;

use super::algorithm::Cipher;
use super::engine::CryptoEngine;
use super::tier::{Kernel, Tier};
use super::{Algorithm, OwnedKey};

/// The tiers that this processor runs.
fn kernels() -> Vec<(Tier, Kernel)> {
    Tier::ALL.into_iter().filter_map(|tier| Some((tier, Kernel::of(tier)?))).collect()
}

/// An engine of each tier that this processor runs.
fn engines() -> Vec<CryptoEngine> {
    Tier::ALL.into_iter().filter_map(CryptoEngine::untested).collect()
}

/// Bytes that look random.
fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32).to_le_bytes()[0]
    };
    (0..len).map(|_| next()).collect()
}

/// A key of any algorithm.
fn key(algorithm: Algorithm, seed: u64) -> OwnedKey {
    let cipher = bytes(seed, algorithm.cipher_key_len());
    let auth = bytes(!seed, algorithm.auth_key_len());
    match algorithm.cipher() {
        Cipher::Null => OwnedKey::null_encryption(algorithm, &auth).unwrap(),
        _ => OwnedKey::new(algorithm, &cipher, &auth).unwrap(),
    }
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| u8::try_from(c.to_digit(16).unwrap()).unwrap())
        .collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}
