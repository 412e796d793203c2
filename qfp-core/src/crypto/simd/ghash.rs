//! Multiplication in the field of GHASH (NIST SP 800-38D §6.3), one block.
//!
//! Blocks are byte-reversed, so bit i of a register is the coefficient of x^(127-i). One factor
//! is kept multiplied by x, which makes up for the bit that a product of reflected numbers is
//! short of, so no shift is needed. The modulus x^128 + x^7 + x^2 + x + 1 is then [`POLY`].

use std::arch::x86_64::*;

use crate::crypto::key::SaKey;

/// The modulus, reflected.
pub(super) const POLY: u128 = 0xc200_0000_0000_0000_0000_0000_0000_0001;

/// Order of bytes that reverses a block.
pub(super) const REVERSE: u128 = 0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f;

#[inline]
pub(in crate::crypto) fn from_u128(value: u128) -> __m128i {
    // SAFETY: both are 16 bytes, for which every pattern is valid. As one move, not two halves:
    // what is stored in halves and read at once stalls.
    unsafe { std::mem::transmute(value) }
}

#[inline]
pub(super) fn to_u128(value: __m128i) -> u128 {
    // SAFETY: as above.
    unsafe { std::mem::transmute(value) }
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn load(row: &[u8; 16]) -> __m128i {
    // SAFETY: 16 bytes are readable.
    unsafe { _mm_loadu_si128(row.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn store(row: &mut [u8; 16], value: __m128i) {
    // SAFETY: 16 bytes are writable.
    unsafe { _mm_storeu_si128(row.as_mut_ptr().cast(), value) }
}

/// Reverses the bytes.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn reverse(block: __m128i) -> __m128i {
    _mm_shuffle_epi8(block, from_u128(REVERSE))
}

/// The nonce with the counter 0, byte-reversed.
///
/// Built from registers: reading at once what was just written in pieces would stall.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn nonce(key: &SaKey, iv: u64) -> __m128i {
    let parts = _mm_set_epi64x(i64::from(key.salt), iv.cast_signed());
    let order = _mm_set_epi8(8, 9, 10, 11, 0, 1, 2, 3, 4, 5, 6, 7, -1, -1, -1, -1);
    _mm_shuffle_epi8(parts, order)
}

/// Both halves added up, in each half.
#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn fold(block: __m128i) -> __m128i {
    _mm_xor_si128(block, _mm_shuffle_epi32::<0x4e>(block))
}

/// A sum of products, of 256 bits, not yet reduced: low, middle (of Karatsuba) and high part.
#[derive(Clone, Copy)]
pub(super) struct Product {
    pub(super) low: __m128i,
    pub(super) middle: __m128i,
    pub(super) high: __m128i,
}

impl Product {
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(super) fn zero() -> Self {
        let zero = _mm_setzero_si128();
        Self { low: zero, middle: zero, high: zero }
    }

    /// Adds `block` times `power`, whose halves add up to `folded` in its low half, or in its
    /// high half if `HIGH`.
    #[inline]
    #[target_feature(enable = "avx2,pclmulqdq")]
    pub(super) fn add<const HIGH: bool>(
        &mut self,
        block: __m128i,
        power: __m128i,
        folded: __m128i,
    ) {
        self.low = _mm_xor_si128(self.low, _mm_clmulepi64_si128::<0x00>(block, power));
        self.high = _mm_xor_si128(self.high, _mm_clmulepi64_si128::<0x11>(block, power));
        let middle = if HIGH {
            _mm_clmulepi64_si128::<0x10>(fold(block), folded)
        } else {
            _mm_clmulepi64_si128::<0x00>(fold(block), folded)
        };
        self.middle = _mm_xor_si128(self.middle, middle);
    }

    /// The sum modulo the polynomial.
    #[inline]
    #[target_feature(enable = "avx2,pclmulqdq")]
    pub(super) fn reduce(self) -> __m128i {
        let poly = from_u128(POLY);
        let swap = |x| _mm_shuffle_epi32::<0x4e>(x);
        let middle = _mm_xor_si128(self.middle, _mm_xor_si128(self.low, self.high));
        let folded = _mm_clmulepi64_si128::<0x10>(self.low, poly);
        let middle = _mm_xor_si128(middle, _mm_xor_si128(swap(self.low), folded));
        let folded = _mm_clmulepi64_si128::<0x10>(middle, poly);
        _mm_xor_si128(self.high, _mm_xor_si128(swap(middle), folded))
    }
}

/// `block` times one power of H as the key row keeps it.
#[inline]
#[target_feature(enable = "avx2,pclmulqdq")]
pub(super) fn multiply(block: __m128i, power: __m128i) -> __m128i {
    let mut product = Product::zero();
    product.add::<false>(block, power, fold(power));
    product.reduce()
}
