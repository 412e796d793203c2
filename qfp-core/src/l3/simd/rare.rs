//! What hardly any packet has: a closer look at the sixteens of which some packet may have it.
#![expect(unsafe_code, reason = "frames behind packet pointers")]

use std::arch::x86_64::*;

use hal::{PacketMask, VECTOR};

use super::filter::filtered4;
use super::groups::own_end;
use super::{Found, TCP_HEADER, UNTAGGED};
use crate::l3::source::Own;
use crate::packet::Vector;

/// Signs that some packet of a vector has what hardly any has. Each register gathers for all groups
/// of sixteen, so that a vector takes one test.
#[derive(Clone, Copy)]
pub(super) struct Signs {
    /// The greatest octets less one; even bytes are first octets of addresses.
    highest: __m512i,
    /// Zero bytes: octets of 127; again in even bytes.
    loopback: __m512i,
    /// Zero halves: 169.254.
    link_local: __m512i,
    /// Flags and offsets of fragments, in upper halves.
    fragments: __m512i,
    /// Zero words: ends of source MAC addresses that are nobody's or ours, sources all of whose
    /// octets are in addresses of ours.
    sources: __m512i,
}

impl Signs {
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn none() -> Self {
        let ones = _mm512_set1_epi32(-1);
        let zero = _mm512_setzero_si512();
        Self { highest: zero, loopback: ones, link_local: ones, fragments: zero, sources: ones }
    }

    /// Of the `select`ed IPv4 packets: `tops` has the upper halves of source and destination,
    /// `fragment` ends with flags and offset.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(super) fn ipv4(&mut self, select: u16, tops: __m512i, fragment: __m512i) {
        let one = _mm512_set1_epi8(1);
        let tops = _mm512_mask_mov_epi32(one, select, tops);
        self.highest = _mm512_max_epu8(self.highest, _mm512_sub_epi8(tops, one));
        let loopback = _mm512_xor_si512(tops, _mm512_set1_epi8(127));
        self.loopback = _mm512_min_epu8(self.loopback, loopback);
        let link_local = _mm512_xor_si512(tops, _mm512_set1_epi16(0xfea9_u16.cast_signed()));
        self.link_local = _mm512_min_epu16(self.link_local, link_local);
        self.fragments = _mm512_mask_or_epi32(self.fragments, select, self.fragments, fragment);
    }

    /// What [`octets_missing`] says about the `select`ed.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn own_source(&mut self, select: u16, missing: __m512i) {
        self.sources = _mm512_mask_min_epu32(self.sources, select, self.sources, missing);
    }

    /// Ends of source MAC addresses, and the end of ours.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(super) fn mac_end(&mut self, ends: __m512i, own: __m512i) {
        let either = _mm512_min_epu32(ends, _mm512_xor_si512(ends, own));
        self.sources = _mm512_min_epu32(self.sources, either);
    }

    /// Whether there is anything to look closer at.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(super) fn any(&self) -> bool {
        let even = 0x5555_5555_5555_5555;
        let limit = _mm512_set1_epi8(223_u8.cast_signed());
        let outside = _mm512_mask_cmpge_epu8_mask(even, self.highest, limit)
            | _mm512_mask_testn_epi8_mask(even, self.loopback, self.loopback);
        let link_local = _mm512_testn_epi16_mask(self.link_local, self.link_local);
        let bits = _mm512_set1_epi32(0xff3f_0000_u32.cast_signed());
        let fragments = _mm512_test_epi32_mask(self.fragments, bits);
        let sources = _mm512_testn_epi32_mask(self.sources, self.sources);
        outside | u64::from(link_local) | u64::from(fragments | sources) != 0
    }
}

/// The places of sixteen IPv4 sources, network byte order, whose octets no address of ours has
/// there: zero where ours have all four.
#[inline]
#[target_feature(enable = "avx512f,avx512vbmi")]
pub(super) fn octets_missing(octets: &[u32; 16], source: __m512i) -> __m512i {
    // SAFETY: a reference to 64 bytes.
    let octets = unsafe { _mm512_loadu_si512(octets.as_ptr().cast()) };
    // A permutation looks at six bits of each byte.
    let places = _mm512_permutexvar_epi8(source, octets);
    _mm512_andnot_si512(places, _mm512_set1_epi32(0x0804_0201))
}

/// Takes the packets that need the scalar rules out of `found`, and notes whose source may be the
/// router's; `groups` names the sixteens to look at, whose header fields are in `vector`.
///
/// # Safety
/// The CPU has the features; each pointer of those groups has 64 readable bytes.
#[inline(never)]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,bmi1,bmi2")]
pub(super) unsafe fn judge<const ANY_OFFSET: bool>(
    vector: &Vector,
    start: *const [*const u8; VECTOR],
    groups: u8,
    own: &Own<'_>,
    found: &mut Found,
) {
    for group in PacketMask(groups.into()) {
        let first = group % 4 * 16;
        // SAFETY: sixteen elements of 64-element arrays.
        let (frames, src, dst, len) = unsafe {
            (
                start.cast::<i64>().add(first),
                _mm512_loadu_si512(vector.l3.src4.as_ptr().add(first).cast()),
                _mm512_loadu_si512(vector.l3.dst4.as_ptr().add(first).cast()),
                _mm256_loadu_si256(vector.l3.ip_len.as_ptr().add(first).cast()),
            )
        };
        // SAFETY: passed on from the caller; all of it is in the first 64 bytes.
        let word = |at| unsafe { words(frames, at) };
        let hidden = hidden(word(20), word(22), _mm512_cvtepu16_epi32(len));
        let ordinary = ordinary(src) & ordinary(dst) & !hidden;
        found.ipv4 &= !(u64::from(!ordinary) << first);
        if let Some(filter) = own.filter {
            // SAFETY: the filter is a power of two of words, and the CPU has the features.
            let known = unsafe { filtered4(filter.words, src) };
            found.maybe_own |= u64::from(known) << first;
        }
        if let Some(mac) = own.mac.filter(|_| !ANY_OFFSET) {
            let (end, mac) = (word(8), _mm512_set1_epi32(own_end(mac)));
            let maybe = _mm512_testn_epi32_mask(end, end) | _mm512_cmpeq_epi32_mask(end, mac);
            for lane in PacketMask(maybe.into()) {
                // SAFETY: one of 16 pointers, with 64 readable bytes.
                let frame = unsafe {
                    let frame = *frames.cast::<*const u8>().add(lane & 15);
                    std::slice::from_raw_parts(frame, usize::from(UNTAGGED))
                };
                if own.is_odd(frame) {
                    found.leave_out(1 << (first + lane));
                }
            }
        }
    }
}

/// The words at byte `at` of sixteen frames, which start at `frames`.
///
/// # Safety
/// The CPU has the features; the words are readable.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,bmi1,bmi2")]
unsafe fn words(frames: *const i64, at: i64) -> __m512i {
    // SAFETY: sixteen pointers, and what they point to, by the caller.
    let eight = |lane: usize| unsafe {
        let frame = _mm512_loadu_si512(frames.add(lane).cast());
        let frame = _mm512_add_epi64(frame, _mm512_set1_epi64(at));
        _mm512_i64gather_epi32::<1>(frame, std::ptr::null::<i32>().cast())
    };
    _mm512_inserti64x4::<1>(_mm512_castsi256_si512(eight(0)), eight(8))
}

/// Fragments of TCP that hide something: first ones with less than its header, and later ones that
/// begin inside of it. `fragment` begins with the flags and the offset, `ttl` with the TTL.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,bmi1,bmi2")]
fn hidden(fragment: __m512i, ttl: __m512i, total_len: __m512i) -> u16 {
    let high = _mm512_and_si512(fragment, _mm512_set1_epi32(0x1f));
    let low = _mm512_and_si512(_mm512_srli_epi32::<8>(fragment), _mm512_set1_epi32(0xff));
    let offset = _mm512_or_si512(_mm512_slli_epi32::<8>(high), low);
    let more = _mm512_test_epi32_mask(fragment, _mm512_set1_epi32(0x20));
    let protocol = _mm512_and_si512(ttl, _mm512_set1_epi32(0xff00));
    let is_tcp = _mm512_cmpeq_epi32_mask(protocol, _mm512_set1_epi32(0x0600));
    let first = _mm512_testn_epi32_mask(offset, offset);
    let short = _mm512_cmplt_epi32_mask(total_len, _mm512_set1_epi32(20 + TCP_HEADER));
    let inside =
        _mm512_cmplt_epi32_mask(_mm512_slli_epi32::<3>(offset), _mm512_set1_epi32(TCP_HEADER));
    is_tcp & (first & more & short | !first & inside)
}

/// Ordinary unicast, host byte order: top byte 1 to 223 without 127, and not 169.254, which may not
/// pass.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,bmi1,bmi2")]
fn ordinary(address: __m512i) -> u16 {
    let (top, half) = (_mm512_srli_epi32::<24>(address), _mm512_srli_epi32::<16>(address));
    _mm512_cmplt_epu32_mask(_mm512_sub_epi32(top, _mm512_set1_epi32(1)), _mm512_set1_epi32(223))
        & _mm512_cmpneq_epi32_mask(top, _mm512_set1_epi32(127))
        & _mm512_cmpneq_epi32_mask(half, _mm512_set1_epi32(0xa9fe))
}
