//! AES-GCM with VAES and VPCLMULQDQ on 512 bits, four small packets side by side.
//!
//! One small packet leaves the units idle: each round waits for the one before. Four packets, of
//! any keys, fill these gaps, and their four hashes are reduced as the lanes of one register.

use std::arch::x86_64::*;

use super::Message;
use super::ghash::{self, from_u128, nonce, to_u128};
use super::wide::{
    Products, each, each_round, first, fold, in_order, lengths, pair, reverse, round_key, rows,
};

/// Runs the body for each packet.
macro_rules! packets {
    ($p:ident => $body:expr) => { each!($p in 0 1 2 3 => $body) };
}

/// AES-GCM over four packets of 1 to 480 bytes, in place; returns their tags.
#[target_feature(
    enable = "avx512f,avx512bw,avx512vl,avx512dq,vaes,vpclmulqdq,avx2,pclmulqdq,aes,bmi2"
)]
pub(super) fn gcm<const SEAL: bool, const ROUNDS: usize>(four: [Message<'_>; 4]) -> [u128; 4] {
    let longest = four.iter().map(|m| m.data.len()).max().unwrap_or(0);
    let nonces = [0, 1, 2, 3].map(|p| nonce(four[p].key, four[p].iv));
    let one = _mm_cvtsi32_si128(1);
    let mut pads =
        nonces.map(|nonce| _mm512_zextsi128_si512(ghash::reverse(_mm_add_epi32(nonce, one))));
    let lanes = _mm512_set_epi32(0, 0, 0, 5, 0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0, 2);
    let mut counters =
        nonces.map(|nonce| reverse(_mm512_add_epi32(_mm512_broadcast_i32x4(nonce), lanes)));
    // At most 34 counters, from 2 on: the lowest byte does not overflow.
    let next = _mm512_broadcast_i32x4(from_u128(4 << 120));
    let mut sums = [Products::zero(); 4];
    let blocks = [0, 1, 2, 3].map(|p| four[p].data.len().div_ceil(16));

    let mut s = [_mm512_setzero_si512(); 4];
    // The first 64 bytes, together with the pads of the tags.
    packets!(P => {
        let k = round_key(four[P].key, 0);
        s[P] = _mm512_xor_si512(counters[P], k);
        pads[P] = _mm512_xor_si512(pads[P], k);
    });
    each_round!(ROUNDS, R => packets!(P => {
        let k = round_key(four[P].key, R);
        s[P] = in_order(_mm512_aesenc_epi128(s[P], k));
        pads[P] = in_order(_mm512_aesenc_epi128(pads[P], k));
    }));
    packets!(P => {
        let k = round_key(four[P].key, ROUNDS);
        pads[P] = _mm512_aesenclast_epi128(pads[P], k);
        crypt::<SEAL>(&four[P], &mut sums[P], s[P], k, 0, blocks[P]);
    });

    let mut at = 64;
    while at < longest {
        let mut t = [_mm512_setzero_si512(); 4];
        packets!(P => {
            let k = round_key(four[P].key, 0);
            let second = _mm512_add_epi32(counters[P], next);
            counters[P] = _mm512_add_epi32(second, next);
            s[P] = _mm512_xor_si512(second, k);
            t[P] = _mm512_xor_si512(counters[P], k);
        });
        each_round!(ROUNDS, R => packets!(P => {
            let k = round_key(four[P].key, R);
            s[P] = in_order(_mm512_aesenc_epi128(s[P], k));
            t[P] = in_order(_mm512_aesenc_epi128(t[P], k));
        }));
        packets!(P => {
            let k = round_key(four[P].key, ROUNDS);
            crypt::<SEAL>(&four[P], &mut sums[P], s[P], k, at, blocks[P]);
            crypt::<SEAL>(&four[P], &mut sums[P], t[P], k, at + 64, blocks[P]);
        });
        at += 128;
    }

    packets!(P => {
        let m = &four[P];
        let row = 31 - blocks[P].min(30) - usize::from(!m.hashed);
        let powers = pair(ghash::load(&m.key.area[row]), ghash::load(&m.key.area[31]));
        let ends = pair(m.state, lengths(m.aad_len, m.data.len()));
        sums[P].add::<false>(ends, powers, fold(powers));
    });
    let tags =
        _mm512_xor_si512(reverse(reduce(sums)), join(pads.map(|pad| _mm512_castsi512_si128(pad))));
    [
        to_u128(_mm512_extracti32x4_epi32::<0>(tags)),
        to_u128(_mm512_extracti32x4_epi32::<1>(tags)),
        to_u128(_mm512_extracti32x4_epi32::<2>(tags)),
        to_u128(_mm512_extracti32x4_epi32::<3>(tags)),
    ]
}

/// Finishes up to 64 bytes of a packet at `at` and adds them to its sum.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,vaes,vpclmulqdq,bmi2")]
fn crypt<const SEAL: bool>(
    m: &Message<'_>,
    sum: &mut Products,
    state: __m512i,
    last_key: __m512i,
    at: usize,
    blocks: usize,
) {
    let len = m.data.len();
    let mask = first(len.saturating_sub(at));
    // SAFETY: `mask` has only bytes before `len`; no address is used where it is empty.
    let place = unsafe { m.data.as_ptr().add(at.min(len)) };
    // SAFETY: as above.
    let text = unsafe { _mm512_maskz_loadu_epi8(mask, place.cast()) };
    let out = _mm512_aesenclast_epi128(state, _mm512_xor_si512(last_key, text));
    // SAFETY: as above; the packet is borrowed exclusively by `m`.
    unsafe { _mm512_mask_storeu_epi8(place.cast_mut().cast(), mask, out) };
    let cipher = if SEAL { _mm512_maskz_mov_epi8(mask, out) } else { text };
    // As with one packet; a packet that is over meets any powers with zeroes.
    let powers = rows(m.key, (31 - blocks.min(31) + at / 16).min(44));
    sum.add::<false>(reverse(cipher), powers, fold(powers));
}

/// Four blocks as the lanes of a register.
#[inline]
#[target_feature(enable = "avx512f,avx2")]
fn join(blocks: [__m128i; 4]) -> __m512i {
    let [a, b, c, d] = blocks;
    let low = _mm512_castsi256_si512(_mm256_set_m128i(b, a));
    _mm512_inserti64x4::<1>(low, _mm256_set_m128i(d, c))
}

/// The lanes of each of four registers added up, as the lanes of one.
#[inline]
#[target_feature(enable = "avx512f")]
fn add_lanes(four: [__m512i; 4]) -> __m512i {
    let [a, b, c, d] = four;
    let halves = |a, b| {
        let low = _mm512_shuffle_i64x2::<0x44>(a, b);
        _mm512_xor_si512(low, _mm512_shuffle_i64x2::<0xee>(a, b))
    };
    let (ab, cd) = (halves(a, b), halves(c, d));
    let even = _mm512_shuffle_i64x2::<0x88>(ab, cd);
    _mm512_xor_si512(even, _mm512_shuffle_i64x2::<0xdd>(ab, cd))
}

/// Four sums modulo the polynomial, as the lanes of a register; compare `Product::reduce`.
#[inline]
#[target_feature(enable = "avx512f,vpclmulqdq")]
fn reduce(sums: [Products; 4]) -> __m512i {
    let poly = _mm512_broadcast_i32x4(from_u128(ghash::POLY));
    let swap = |x| _mm512_shuffle_epi32::<0x4e>(x);
    let low = add_lanes(sums.map(|sum| sum.low));
    let high = add_lanes(sums.map(|sum| sum.high));
    let middle = add_lanes(sums.map(|sum| sum.middle));
    let middle = _mm512_xor_si512(middle, _mm512_xor_si512(low, high));
    let folded = _mm512_clmulepi64_epi128::<0x10>(low, poly);
    let middle = _mm512_xor_si512(middle, _mm512_xor_si512(swap(low), folded));
    let folded = _mm512_clmulepi64_epi128::<0x10>(middle, poly);
    _mm512_xor_si512(high, _mm512_xor_si512(swap(middle), folded))
}
