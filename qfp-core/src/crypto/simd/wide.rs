//! Four blocks at a time: registers of 512 bits.

use std::arch::asm;
use std::arch::x86_64::*;

use super::ghash::{self, Product, from_u128};
use crate::crypto::key::SaKey;

/// Runs the body for each of the numbers, as a constant.
macro_rules! each {
    ($i:ident in $($n:literal)* => $body:expr) => {{ $({ const $i: usize = $n; $body; })* }};
}
pub(super) use each;

/// Rounds between the first and the last, for 10 or 14 of them.
macro_rules! each_round {
    ($rounds:ident, $i:ident => $body:expr) => {{
        each!($i in 1 2 3 4 5 6 7 8 9 => $body);
        if $rounds == 14 {
            each!($i in 10 11 12 13 => $body);
        }
    }};
}
pub(super) use each_round;

/// Keeps the value where it is in the order of the program.
///
/// Left to itself the compiler finishes one block after the other and keeps the round keys for
/// the next on the stack: a fifth more time for a packet of 1400 bytes.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn in_order(mut value: __m512i) -> __m512i {
    // SAFETY: there is no instruction in it, and it names the one register it may change.
    unsafe { asm!("/* {0} */", inout(zmm_reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn from_all(value: u128) -> __m512i {
    _mm512_broadcast_i32x4(from_u128(value))
}

/// Reverses the bytes of each block.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn reverse(blocks: __m512i) -> __m512i {
    _mm512_shuffle_epi8(blocks, from_all(ghash::REVERSE))
}

/// Both halves of each block added up, in each half.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn fold(blocks: __m512i) -> __m512i {
    _mm512_xor_si512(blocks, _mm512_shuffle_epi32::<0x4e>(blocks))
}

/// The round key in all four lanes.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn round_key(key: &SaKey, round: usize) -> __m512i {
    // SAFETY: a row of 16 bytes is readable.
    _mm512_broadcast_i32x4(unsafe { _mm_load_si128(key.aes[round].as_ptr().cast()) })
}

/// Four rows of the area, from `row` on.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn rows(key: &SaKey, row: usize) -> __m512i {
    debug_assert!(row + 4 <= key.area.len());
    // SAFETY: the callers stay within the area of 48 rows; see there.
    unsafe { _mm512_loadu_si512(key.area.as_ptr().cast::<__m128i>().add(row).cast()) }
}

/// A mask of the first `len` of 64 bytes.
#[inline]
#[target_feature(enable = "bmi2")]
pub(super) fn first(len: usize) -> u64 {
    #[expect(clippy::cast_possible_truncation, reason = "at most 64")]
    _bzhi_u64(u64::MAX, len.min(64) as u32)
}

/// Sums of products in four lanes, not yet reduced.
#[derive(Clone, Copy)]
pub(super) struct Products {
    pub(super) low: __m512i,
    pub(super) middle: __m512i,
    pub(super) high: __m512i,
}

impl Products {
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn zero() -> Self {
        let zero = _mm512_setzero_si512();
        Self { low: zero, middle: zero, high: zero }
    }

    /// Adds `blocks` times `powers`, whose folds lie in the low halves of `folds`, or in the high
    /// halves if `HIGH`.
    #[inline]
    #[target_feature(enable = "avx512f,vpclmulqdq")]
    pub(super) fn add<const HIGH: bool>(
        &mut self,
        blocks: __m512i,
        powers: __m512i,
        folds: __m512i,
    ) {
        let middle = if HIGH {
            _mm512_clmulepi64_epi128::<0x10>(fold(blocks), folds)
        } else {
            _mm512_clmulepi64_epi128::<0x00>(fold(blocks), folds)
        };
        self.low = _mm512_xor_si512(self.low, _mm512_clmulepi64_epi128::<0x00>(blocks, powers));
        self.high = _mm512_xor_si512(self.high, _mm512_clmulepi64_epi128::<0x11>(blocks, powers));
        self.middle = _mm512_xor_si512(self.middle, middle);
    }

    /// The lanes added up, modulo the polynomial.
    #[inline]
    #[target_feature(enable = "avx512f,avx2,pclmulqdq")]
    pub(super) fn reduce(self) -> __m128i {
        Product {
            low: add_lanes(self.low),
            middle: add_lanes(self.middle),
            high: add_lanes(self.high),
        }
        .reduce()
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx2")]
fn add_lanes(x: __m512i) -> __m128i {
    let half = _mm256_xor_si256(_mm512_castsi512_si256(x), _mm512_extracti64x4_epi64::<1>(x));
    _mm_xor_si128(_mm256_castsi256_si128(half), _mm256_extracti128_si256::<1>(half))
}

/// Two blocks in the lower half of a register.
#[inline]
#[target_feature(enable = "avx512f,avx2")]
pub(super) fn pair(first: __m128i, second: __m128i) -> __m512i {
    _mm512_zextsi256_si512(_mm256_set_m128i(second, first))
}

/// The block of lengths in bits, byte-reversed.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn lengths(aad: usize, data: usize) -> __m128i {
    _mm_set_epi64x((aad as i64) << 3, (data as i64) << 3)
}
