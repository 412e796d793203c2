//! What is computed once for each key: round keys and powers of H.

use std::arch::x86_64::*;

use super::ghash::{POLY, from_u128, load, multiply, reverse, store, to_u128};
use crate::crypto::algorithm::KeySize;
use crate::crypto::key::SaKey;

/// Powers of H in a row.
pub(super) const POWERS: usize = 32;

/// Expands the raw key (FIPS 197 §5.2).
#[target_feature(enable = "aes,avx2")]
pub(super) fn expand(size: KeySize, key: &mut SaKey) {
    match size {
        KeySize::Aes128 => {
            let mut k = load(&key.aes[0]);
            macro_rules! rounds {
                ($($i:literal $constant:literal)*) => { $(
                    let word = _mm_shuffle_epi32::<0xff>(_mm_aeskeygenassist_si128::<$constant>(k));
                    k = _mm_xor_si128(running_xor(k), word);
                    store(&mut key.aes[$i], k);
                )* };
            }
            rounds!(1 0x01 2 0x02 3 0x04 4 0x08 5 0x10 6 0x20 7 0x40 8 0x80 9 0x1b 10 0x36);
        }
        KeySize::Aes256 => {
            let (mut a, mut b) = (load(&key.aes[0]), load(&key.aes[1]));
            macro_rules! even {
                ($i:literal $constant:literal) => {
                    let word = _mm_shuffle_epi32::<0xff>(_mm_aeskeygenassist_si128::<$constant>(b));
                    a = _mm_xor_si128(running_xor(a), word);
                    store(&mut key.aes[$i], a);
                };
            }
            macro_rules! rounds {
                ($($i:literal $constant:literal $j:literal)*) => { $(
                    even!($i $constant);
                    let word = _mm_shuffle_epi32::<0xaa>(_mm_aeskeygenassist_si128::<0>(a));
                    b = _mm_xor_si128(running_xor(b), word);
                    store(&mut key.aes[$j], b);
                )* };
            }
            rounds!(2 0x01 3  4 0x02 5  6 0x04 7  8 0x08 9  10 0x10 11  12 0x20 13);
            even!(14 0x40);
        }
    }
}

/// Each word added to all that follow it.
#[inline]
#[target_feature(enable = "avx2")]
fn running_xor(k: __m128i) -> __m128i {
    let k = _mm_xor_si128(k, _mm_slli_si128::<4>(k));
    _mm_xor_si128(k, _mm_slli_si128::<8>(k))
}

/// Round keys of the equivalent inverse cipher (FIPS 197 §5.3.5), in the order they are used.
#[target_feature(enable = "aes,avx2")]
pub(super) fn invert(size: KeySize, key: &mut SaKey) {
    let rounds = size.rounds();
    key.area[0] = key.aes[rounds];
    for round in 1..rounds {
        let inverted = _mm_aesimc_si128(load(&key.aes[rounds - round]));
        store(&mut key.area[round], inverted);
    }
    key.area[rounds] = key.aes[0];
}

/// Writes H^32 to H^1, each times x, and their folds.
#[target_feature(enable = "aes,avx2,pclmulqdq")]
pub(super) fn hash_powers(size: KeySize, key: &mut SaKey) {
    let mut block = load(&key.aes[0]);
    for round in 1..size.rounds() {
        block = _mm_aesenc_si128(block, load(&key.aes[round]));
    }
    let h = to_u128(reverse(_mm_aesenclast_si128(block, load(&key.aes[size.rounds()]))));
    // Times x: a shift, and the modulus if a bit fell out, chosen without a branch.
    let first = from_u128((h << 1) ^ (POLY & 0u128.wrapping_sub(h >> 127)));
    let mut power = first;
    for i in (0..POWERS).rev() {
        store(&mut key.area[i], power);
        let folded = to_u128(power) ^ (to_u128(power) >> 64);
        // See the layout in `SaKey`: eight powers share four folds.
        let row = POWERS + i / 8 * 4 + i % 4;
        let half = i % 8 / 4 * 8;
        key.area[row][half..half + 8].copy_from_slice(&folded.to_le_bytes()[..8]);
        power = multiply(power, first);
    }
}
