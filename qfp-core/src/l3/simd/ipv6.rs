//! IPv6 headers, eight at a time.
#![expect(unsafe_code, reason = "vector loads through packet pointers")]
#![expect(clippy::cast_possible_truncation, reason = "parts of masks")]

use std::arch::x86_64::*;

use hal::{PacketMask, VECTOR};

use super::filter::filtered6;
use crate::l3::source::Own;
use crate::l3::stage::Plain;
use crate::packet::Vector;

/// Where the words that the IPv6 checks look at stand in a frame, in host byte order: version to
/// hop limit, upper half of the source, both halves of the destination. In the place of the flow
/// label and half of the traffic class, which nobody looks at, stand the last bytes of the source.
const fn ipv6_permutation() -> [u8; 64] {
    const WORDS: [u8; 4] = [14, 22, 38, 46];
    let mut index = [0; 64];
    let mut word = 0;
    while word < 4 {
        let mut byte = 0;
        while byte < 8 {
            let at = match (word, byte) {
                (0, 4..=6) => 37 + 4 - byte,
                _ => WORDS[word] + 7 - byte,
            };
            index[word * 8 + byte as usize] = at;
            index[32 + word * 8 + byte as usize] = at | 64;
            byte += 1;
        }
        word += 1;
    }
    index
}

static IPV6_BYTES: [u8; 64] = ipv6_permutation();

/// Next headers 0 to 63 behind which there is more to walk: hop-by-hop, routing, fragment,
/// authentication, destination options.
const WALKED_LOW: u64 = 1 | 1 << 43 | 1 << 44 | 1 << 51 | 1 << 60;
/// Next headers 128 to 191, likewise: mobility, HIP, Shim6.
const WALKED_HIGH: u64 = 1 << (135 - 128) | 1 << (139 - 128) | 1 << (140 - 128);

/// The plain packets of `select`: version 6, whole, global or unique local addresses on both
/// sides, and no extension headers.
///
/// # Safety
/// The CPU has the features; every pointer has 64 readable bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,bmi1,bmi2")]
pub(super) unsafe fn ipv6_headers(
    vector: &mut Vector,
    start: *const [*const u8; VECTOR],
    select: PacketMask,
    own: &Own<'_>,
) -> Plain {
    let mut plain = 0u64;
    let mut maybe_own = 0u64;
    let mut expiring = 0u64;
    // SAFETY: a static of 64 bytes.
    let index = unsafe { _mm512_loadu_si512(IPV6_BYTES.as_ptr().cast()) };
    let byte = _mm512_set1_epi64(0xff);
    for lane in (0..VECTOR).step_by(8) {
        let wanted = (select.0 >> lane) as __mmask8;
        if wanted == 0 {
            continue;
        }
        let pair = |i: usize| {
            // SAFETY: 64 readable bytes each, by the caller.
            let (low, high) = unsafe {
                (
                    _mm512_loadu_si512((*start)[(lane + i) & 63].cast()),
                    _mm512_loadu_si512((*start)[(lane + i + 4) & 63].cast()),
                )
            };
            _mm512_permutex2var_epi8(low, index, high)
        };
        // Each 256-bit half is a 4 by 4 matrix of words: frames 0..4 below, 4..8 above.
        let (a, b, c, d) = (pair(0), pair(1), pair(2), pair(3));
        let (ab_even, ab_odd) = (_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
        let (cd_even, cd_odd) = (_mm512_unpacklo_epi64(c, d), _mm512_unpackhi_epi64(c, d));
        let low = _mm512_set_epi64(13, 12, 5, 4, 9, 8, 1, 0);
        let high = _mm512_set_epi64(15, 14, 7, 6, 11, 10, 3, 2);
        let first = _mm512_permutex2var_epi64(ab_even, low, cd_even);
        let dst_hi = _mm512_permutex2var_epi64(ab_even, high, cd_even);
        let src = _mm512_permutex2var_epi64(ab_odd, low, cd_odd);
        let dst_lo = _mm512_permutex2var_epi64(ab_odd, high, cd_odd);

        let version = _mm512_cmpeq_epi64_mask(_mm512_srli_epi64::<60>(first), _mm512_set1_epi64(6));
        let payload = _mm512_and_si512(_mm512_srli_epi64::<16>(first), _mm512_set1_epi64(0xffff));
        let total = _mm512_add_epi64(payload, _mm512_set1_epi64(40));
        // SAFETY: eight elements of 64-element arrays.
        let present = unsafe {
            let len = _mm_loadu_si128(vector.burst.lens().as_ptr().add(lane).cast());
            let offset = _mm_loadl_epi64(vector.l3.offset.as_ptr().add(lane).cast());
            _mm512_sub_epi64(_mm512_cvtepu16_epi64(len), _mm512_cvtepu8_epi64(offset))
        };
        let whole = _mm512_cmple_epi64_mask(total, present);
        // 2000::/3 and fc00::/7; all else has rules of its own.
        let ordinary = |hi: __m512i| {
            _mm512_cmpeq_epi64_mask(_mm512_srli_epi64::<61>(hi), _mm512_set1_epi64(1))
                | _mm512_cmpeq_epi64_mask(_mm512_srli_epi64::<57>(hi), _mm512_set1_epi64(0x7e))
        };
        let next = _mm512_and_si512(_mm512_srli_epi64::<8>(first), byte);
        // A shift by 64 or more gives zero.
        let walked = _mm512_or_si512(
            _mm512_srlv_epi64(_mm512_set1_epi64(WALKED_LOW.cast_signed()), next),
            _mm512_srlv_epi64(
                _mm512_set1_epi64(WALKED_HIGH.cast_signed()),
                _mm512_xor_si512(next, _mm512_set1_epi64(128)),
            ),
        );
        let ends_here = _mm512_testn_epi64_mask(walked, _mm512_set1_epi64(1));
        let good = wanted & version & whole & ordinary(src) & ordinary(dst_hi) & ends_here;
        let hops = _mm512_and_si512(first, byte);
        let last_hop = _mm512_cmple_epu64_mask(hops, _mm512_set1_epi64(1));
        // SAFETY: eight elements of 64-element arrays; only IPv6 packets are written, so that
        // the IPv4 ones keep what they have.
        unsafe {
            _mm512_mask_storeu_epi64(vector.l3.dst6_hi.as_mut_ptr().add(lane).cast(), good, dst_hi);
            _mm512_mask_storeu_epi64(vector.l3.dst6_lo.as_mut_ptr().add(lane).cast(), good, dst_lo);
            let hops = _mm512_and_si512(_mm512_sub_epi64(hops, _mm512_set1_epi64(1)), byte);
            let next_ttl = vector.l3.next_ttl.as_mut_ptr().add(lane).cast();
            _mm256_mask_storeu_epi32(next_ttl, good, _mm512_cvtepi64_epi32(hops));
            let ip_len = vector.l3.ip_len.as_mut_ptr().add(lane).cast();
            _mm_mask_storeu_epi16(ip_len, good, _mm512_cvtepi64_epi16(total));
        }
        if let Some(filter) = own.filter {
            // SAFETY: as for the filter of IPv4 sources.
            let found = unsafe { filtered6(filter.words, src, first) };
            maybe_own |= u64::from(good & found) << lane;
        }
        plain |= u64::from(good) << lane;
        expiring |= u64::from(good & last_hop) << lane;
    }
    vector.is.ipv6 |= PacketMask(plain);
    vector.is.ttl_expiring |= PacketMask(expiring);
    Plain { plain: PacketMask(plain), maybe_own: PacketMask(maybe_own) }
}
