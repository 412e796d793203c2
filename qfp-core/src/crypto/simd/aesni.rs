//! AES-GCM with AES-NI and PCLMULQDQ on 128 bits, one packet.
//!
//! A step enciphers 128 bytes, 8 blocks, and multiplies 8 blocks into the hash between the
//! rounds: those of the step before when it seals, its own when it opens.

use std::arch::x86_64::*;

use super::Message;
use super::ghash::{Product, fold, load, multiply, nonce, reverse, to_u128};
use super::wide::{each, each_round};
use crate::crypto::key::SaKey;

/// Bytes of a step.
const STEP: usize = 128;

/// Where H^8 lies in the area.
const H8: usize = 24;
/// Where H lies in the area.
const H1: usize = 31;

#[inline]
#[target_feature(enable = "avx2")]
fn load_at(data: &[u8; STEP], i: usize) -> __m128i {
    let (blocks, _) = data.as_chunks();
    load(&blocks[i])
}

/// Adds block `I` of a step to the sum, the first with the state.
macro_rules! absorb {
    ($sum:ident, $key:ident, $blocks:expr, $state:expr, $i:ident) => {{
        let mut block = reverse($blocks);
        if $i == 0 {
            block = _mm_xor_si128(block, $state);
        }
        // See the layout in `SaKey`: H^8 to H^5 in the low halves, H^4 to H in the high ones.
        let folded = load(&$key.area[44 + $i % 4]);
        if $i < 4 {
            $sum.add::<false>(block, load(&$key.area[H8 + $i]), folded);
        } else {
            $sum.add::<true>(block, load(&$key.area[H8 + $i]), folded);
        }
    }};
}

/// Enciphers 8 blocks; with `HASH` returns the hash, so far `state`, over `hashed`, or over the
/// data as it was before.
#[inline]
#[target_feature(enable = "avx2,aes,pclmulqdq")]
fn step<const ROUNDS: usize, const HASH: bool>(
    key: &SaKey,
    counter: __m128i,
    data: &mut [u8; STEP],
    hashed: Option<&[u8; STEP]>,
    state: __m128i,
) -> __m128i {
    let mut s = [_mm_setzero_si128(); 8];
    let k = load(&key.aes[0]);
    let mut next = counter;
    each!(I in 0 1 2 3 4 5 6 7 => {
        s[I] = _mm_xor_si128(reverse(next), k);
        next = _mm_add_epi32(next, _mm_cvtsi32_si128(1));
    });
    let mut sum = Product::zero();
    each_round!(ROUNDS, R => {
        let k = load(&key.aes[R]);
        each!(I in 0 1 2 3 4 5 6 7 => s[I] = _mm_aesenc_si128(s[I], k));
        if HASH && R <= 8 {
            // The first block last: it waits for the hash of the step before.
            const I: usize = R % 8;
            absorb!(sum, key, load_at(hashed.unwrap_or(data), I), state, I);
        }
    });
    let k = load(&key.aes[ROUNDS]);
    let (blocks, _) = data.as_chunks_mut();
    each!(I in 0 1 2 3 4 5 6 7 => {
        let out = _mm_aesenclast_si128(s[I], _mm_xor_si128(k, load(&blocks[I])));
        super::ghash::store(&mut blocks[I], out);
    });
    if HASH { sum.reduce() } else { state }
}

/// Enciphers one block.
#[inline]
#[target_feature(enable = "avx2,aes")]
fn encipher<const ROUNDS: usize>(key: &SaKey, block: __m128i) -> __m128i {
    let mut s = _mm_xor_si128(block, load(&key.aes[0]));
    each_round!(ROUNDS, R => s = _mm_aesenc_si128(s, load(&key.aes[R])));
    _mm_aesenclast_si128(s, load(&key.aes[ROUNDS]))
}

/// The hash, so far `state`, over whole blocks and a last one padded with zeroes.
#[target_feature(enable = "avx2,pclmulqdq")]
pub(super) fn hash(key: &SaKey, mut state: __m128i, data: &[u8]) -> __m128i {
    let (steps, rest) = data.as_chunks::<STEP>();
    for step in steps {
        let mut sum = Product::zero();
        each!(I in 1 2 3 4 5 6 7 0 => absorb!(sum, key, load_at(step, I), state, I));
        state = sum.reduce();
    }
    if rest.is_empty() {
        return state;
    }
    let count = rest.len().div_ceil(16);
    let mut sum = Product::zero();
    for (i, chunk) in rest.chunks(16).enumerate() {
        let mut block = [0; 16];
        block[..chunk.len()].copy_from_slice(chunk);
        let mut block = reverse(load(&block));
        if i == 0 {
            block = _mm_xor_si128(block, state);
        }
        let power = load(&key.area[H1 + 1 - count + i]);
        sum.add::<false>(block, power, fold(power));
    }
    sum.reduce()
}

/// AES-GCM over one packet, in place; returns the tag.
#[target_feature(enable = "avx2,aes,pclmulqdq")]
pub(super) fn gcm<const SEAL: bool, const ROUNDS: usize>(m: Message<'_>) -> u128 {
    let Message { key, iv, mut state, hashed, aad_len, data } = m;
    let (nonce, len) = (nonce(key, iv), data.len());
    if !hashed {
        state = multiply(state, load(&key.area[H1]));
    }
    let pad = encipher::<ROUNDS>(key, reverse(_mm_add_epi32(nonce, _mm_cvtsi32_si128(1))));
    let mut counter = _mm_add_epi32(nonce, _mm_cvtsi32_si128(2));

    let (steps, rest) = data.as_chunks_mut::<STEP>();
    let mut before: Option<&[u8; STEP]> = None;
    for data in steps {
        state = if SEAL && before.is_none() {
            step::<ROUNDS, false>(key, counter, data, None, state)
        } else {
            step::<ROUNDS, true>(key, counter, data, before, state)
        };
        if SEAL {
            before = Some(data);
        }
        counter = _mm_add_epi32(counter, _mm_cvtsi32_si128(8));
    }
    if !rest.is_empty() {
        let mut last = [0; STEP];
        last[..rest.len()].copy_from_slice(rest);
        if !SEAL {
            state = hash(key, state, rest);
        }
        state = if SEAL && before.is_some() {
            step::<ROUNDS, true>(key, counter, &mut last, before, state)
        } else {
            step::<ROUNDS, false>(key, counter, &mut last, None, state)
        };
        rest.copy_from_slice(&last[..rest.len()]);
        if SEAL {
            state = hash(key, state, rest);
        }
    } else if let Some(before) = before {
        state = hash(key, state, before);
    }
    let lengths = _mm_set_epi64x((aad_len as i64) << 3, (len as i64) << 3);
    state = multiply(_mm_xor_si128(state, lengths), load(&key.area[H1]));
    to_u128(_mm_xor_si128(reverse(state), pad))
}
