//! Sources that may be the router's own: the hashed part of the filter, for vectors of addresses.
#![expect(unsafe_code, reason = "lookups by index")]

use std::arch::x86_64::*;

use crate::l3::source::{BITS, FILTER, GOLDEN};

/// Which of sixteen IPv4 sources, host byte order, the words of a filter have.
///
/// # Safety
/// The CPU has the features; `filter` is a power of two of words, at least 32.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,bmi1,bmi2")]
pub(super) unsafe fn filtered4(filter: &[u32], source: __m512i) -> u16 {
    let hash = _mm512_mullo_epi32(source, _mm512_set1_epi32(GOLDEN.cast_signed()));
    let words = filter.as_ptr();
    // SAFETY: 32 words are two registers; of more, an index has as many bits as their number.
    let word = unsafe {
        if filter.len() == FILTER {
            let low = _mm512_loadu_si512(words.cast());
            let high = _mm512_loadu_si512(words.add(16).cast());
            _mm512_permutex2var_epi32(low, _mm512_srli_epi32::<27>(hash), high)
        } else {
            let shift = _mm_cvtsi32_si128(32 - filter.len().trailing_zeros().cast_signed());
            _mm512_i32gather_epi32::<4>(_mm512_srl_epi32(hash, shift), words.cast())
        }
    };
    let one = _mm512_set1_epi32(1);
    let missing = _mm512_andnot_si512(word, bits(one, hash));
    _mm512_testn_epi32_mask(missing, missing)
}

/// Which of eight IPv6 sources `filter` has: upper halves, and words whose bits 32 to 55 are their
/// last 24 bits.
///
/// # Safety
/// As for [`filtered4`].
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,bmi1,bmi2")]
pub(super) unsafe fn filtered6(filter: &[u32], upper: __m512i, last: __m512i) -> u8 {
    let last = _mm512_and_si512(_mm512_srli_epi64::<32>(last), _mm512_set1_epi64(0x00ff_ffff));
    let key = _mm512_xor_si512(_mm512_xor_si512(upper, _mm512_srli_epi64::<32>(upper)), last);
    // The product's lower half is what counts.
    let hash = _mm512_mul_epu32(key, _mm512_set1_epi64(i64::from(GOLDEN)));
    let words = filter.as_ptr();
    // SAFETY: as in `filtered4`.
    let word = unsafe {
        if filter.len() == FILTER {
            let low = _mm512_loadu_si512(words.cast());
            let high = _mm512_loadu_si512(words.add(16).cast());
            _mm512_permutex2var_epi32(low, _mm512_srli_epi32::<27>(hash), high)
        } else {
            let shift = _mm_cvtsi32_si128(32 - filter.len().trailing_zeros().cast_signed());
            let index = _mm512_cvtepi64_epi32(_mm512_srl_epi32(hash, shift));
            _mm512_cvtepu32_epi64(_mm256_i32gather_epi32::<4>(words.cast(), index))
        }
    };
    let one = _mm512_set1_epi64(1);
    let missing = _mm512_andnot_si512(word, bits(one, hash));
    _mm512_testn_epi64_mask(missing, missing)
}

/// The two bits of a word that each hash stands for, where `one` has a one.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,bmi1,bmi2")]
fn bits(one: __m512i, hash: __m512i) -> __m512i {
    // A rotation looks at five bits of how far.
    let first = _mm512_rolv_epi32(one, _mm512_srli_epi32::<{ BITS[0] }>(hash));
    let second = _mm512_rolv_epi32(one, _mm512_srli_epi32::<{ BITS[1] }>(hash));
    _mm512_or_si512(first, second)
}
