//! The kernels in vector instructions. Everything outside is safe: a token proves that this
//! processor has the instructions, and only [`detect`](AesNi::detect) gives one.
#![allow(unsafe_code, reason = "kernels in vector instructions, and calls of them")]

#[cfg(not(target_arch = "x86_64"))]
mod absent;
#[cfg(target_arch = "x86_64")]
mod aesni;
#[cfg(target_arch = "x86_64")]
mod cbc;
#[cfg(target_arch = "x86_64")]
mod ghash;
#[cfg(target_arch = "x86_64")]
mod lockstep;
#[cfg(target_arch = "x86_64")]
mod schedule;
#[cfg(target_arch = "x86_64")]
mod vaes512;
#[cfg(target_arch = "x86_64")]
mod wide;

#[cfg(not(target_arch = "x86_64"))]
pub(super) use absent::{AesNi, Vaes512};
#[cfg(target_arch = "x86_64")]
pub(super) use tokens::{AesNi, Vaes512};

use super::key::SaKey;

/// A block of GHASH, byte-reversed, in the form that passes through memory best.
#[cfg(target_arch = "x86_64")]
pub(super) type Block = std::arch::x86_64::__m128i;
/// A block of GHASH, byte-reversed.
#[cfg(not(target_arch = "x86_64"))]
pub(super) type Block = u128;

/// The block of two words as they are in memory.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(super) fn block(words: [u64; 2]) -> Block {
    let [high, low] = words.map(|word| word.swap_bytes().cast_signed());
    // SAFETY: every x86-64 has SSE2.
    unsafe { std::arch::x86_64::_mm_set_epi64x(high, low) }
}

/// The block of two words as they are in memory.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn block(words: [u64; 2]) -> Block {
    let [high, low] = words.map(|word| u128::from(word.swap_bytes()));
    high << 64 | low
}

/// One packet for a kernel of AES-GCM.
pub(super) struct Message<'a> {
    pub(super) key: &'a SaKey,
    /// The first 8 bytes of the IV, as a word in memory.
    pub(super) iv: u64,
    /// The AAD as one block, or its hash.
    pub(super) state: Block,
    /// Whether `state` is a hash.
    pub(super) hashed: bool,
    /// Bytes of AAD.
    pub(super) aad_len: usize,
    pub(super) data: &'a mut [u8],
}

/// One packet for a kernel of AES-CBC.
pub(super) struct Chain<'a> {
    pub(super) key: &'a SaKey,
    pub(super) iv: [u8; 16],
    pub(super) data: &'a mut [u8],
}

#[cfg(target_arch = "x86_64")]
mod tokens;
