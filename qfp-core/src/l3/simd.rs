//! The header kernel for AVX-512: 16 frames at a time, transposed into columns.
//!
//! Each frame gives 32 bytes: EtherType and the group bit of its MAC address, then the words of
//! the fixed IPv4 header. Eight two-source byte permutations bring the frames of a half-vector
//! into eight registers, a transposition turns them into columns, and every check is one compare
//! for 16 packets. Frames that are not plain unicast are left to the scalar rules.
#![expect(unsafe_code, reason = "vector loads through packet pointers")]
#![expect(clippy::cast_possible_truncation, reason = "parts of masks and of header words")]

use std::arch::x86_64::*;
use std::sync::OnceLock;

use hal::{PacketMask, VECTOR};

use crate::packet::Vector;

/// True when this CPU has what the kernel needs: AVX-512 with byte permutations.
#[inline]
pub(super) fn available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| {
        is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vbmi")
    })
}

/// Parses the plain IPv4 and IPv6 unicast packets of `select` and returns them.
#[inline]
pub(super) fn parse(vector: &mut Vector, select: PacketMask) -> PacketMask {
    // Slots that the burst does not own are never followed.
    let select = (select & vector.burst.owned()) - vector.tagged_group;
    if select.is_empty() || !available() {
        return PacketMask::EMPTY;
    }
    // SAFETY: `available` checked the CPU; `select` is owned by the burst.
    unsafe { parse_owned(vector, select) }
}

/// # Safety
/// The CPU has the features, and the burst owns every slot of `select`, which is not empty.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,bmi1,bmi2")]
unsafe fn parse_owned(vector: &mut Vector, select: PacketMask) -> PacketMask {
    // Each pointer goes 14 bytes before its network header, so that all frames look untagged;
    // slots outside of `select` look at some packet of it instead.
    let mut start = [std::ptr::null::<u8>(); VECTOR];
    let any = select.0.trailing_zeros() as usize;
    let data = vector.burst.data_ptrs().as_ptr().cast::<i64>();
    let offsets = vector.l3_offset.as_ptr();
    // SAFETY: all loads and stores stay inside 64-element arrays.
    unsafe {
        let some = _mm512_set1_epi64(*data.add(any) + i64::from(*offsets.add(any)) - 14);
        for i in 0..8 {
            let offset = _mm512_cvtepu8_epi64(_mm_loadl_epi64(offsets.add(i * 8).cast()));
            let pointer = _mm512_add_epi64(_mm512_loadu_si512(data.add(i * 8).cast()), offset);
            let pointer = _mm512_sub_epi64(pointer, _mm512_set1_epi64(14));
            let valid = (select.0 >> (i * 8)) as __mmask8;
            let pointer = _mm512_mask_mov_epi64(some, valid, pointer);
            _mm512_storeu_si512(start.as_mut_ptr().add(i * 8).cast(), pointer);
        }
    }
    let mut found = Found::default();
    for group in 0..4 {
        if select.0 >> (group * 16) & 0xffff == 0 {
            continue;
        }
        // SAFETY: every pointer of `start` now lies 14 bytes before a network header inside an
        // owned buffer, behind whose frame at least 64 bytes are readable (`hal::packet::SLACK`).
        unsafe { sixteen(vector, &start, group, &mut found) };
    }
    let ipv4 = PacketMask(found.ipv4) & select;
    let mut plain = ipv4;
    vector.ipv4 |= ipv4;
    vector.ttl_expiring |= PacketMask(found.ttl_expiring) & ipv4;
    let ipv6 = PacketMask(found.maybe_ipv6) & select;
    if !ipv6.is_empty() {
        // SAFETY: as above.
        plain |= unsafe { ipv6_headers(vector, &start, ipv6) };
    }
    plain
}

/// Which packets are what, one bit a slot.
#[derive(Default)]
struct Found {
    ipv4: u64,
    ttl_expiring: u64,
    maybe_ipv6: u64,
}

/// Byte of the frame for each of the 32 bytes that the checks look at; bit 6 selects the second
/// frame of a pair.
const fn permutation() -> [u8; 64] {
    const FIRST: [u8; 32] = [
        12, 13, 0, 1, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32,
        33, 2, 3, 4, 5, 6, 7, 8, 9,
    ];
    let mut index = [0; 64];
    let mut i = 0;
    while i < 32 {
        index[i] = FIRST[i];
        index[i + 32] = FIRST[i] | 64;
        i += 1;
    }
    index
}

static PERMUTATION: [u8; 64] = permutation();

/// Frames `16 * group ..` in columns.
///
/// # Safety
/// The CPU has the features; each pointer of the group has 64 readable bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,bmi1,bmi2")]
unsafe fn sixteen(
    vector: &mut Vector,
    start: &[*const u8; VECTOR],
    group: usize,
    found: &mut Found,
) {
    let first = group * 16;
    // SAFETY: a static of 64 bytes.
    let index = unsafe { _mm512_loadu_si512(PERMUTATION.as_ptr().cast()) };
    let mut pair = [_mm512_setzero_si512(); 8];
    for (i, pair) in pair.iter_mut().enumerate() {
        // SAFETY: 64 readable bytes each, by the caller.
        let (low, high) = unsafe {
            (
                _mm512_loadu_si512(start[(first + i) & 63].cast()),
                _mm512_loadu_si512(start[(first + i + 8) & 63].cast()),
            )
        };
        *pair = _mm512_permutex2var_epi8(low, index, high);
    }
    // Each 256-bit half is an 8 by 8 matrix of words: frames 0..8 below, 8..16 above.
    let [a, b, c, d, e, f, g, h] = pair;
    let (ab_lo, ab_hi) = (_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    let (cd_lo, cd_hi) = (_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    let (ef_lo, ef_hi) = (_mm512_unpacklo_epi32(e, f), _mm512_unpackhi_epi32(e, f));
    let (gh_lo, gh_hi) = (_mm512_unpacklo_epi32(g, h), _mm512_unpackhi_epi32(g, h));
    let (w04_a, w15_a) = (_mm512_unpacklo_epi64(ab_lo, cd_lo), _mm512_unpackhi_epi64(ab_lo, cd_lo));
    let (w26_a, w37_a) = (_mm512_unpacklo_epi64(ab_hi, cd_hi), _mm512_unpackhi_epi64(ab_hi, cd_hi));
    let (w04_b, w15_b) = (_mm512_unpacklo_epi64(ef_lo, gh_lo), _mm512_unpackhi_epi64(ef_lo, gh_lo));
    let (w26_b, w37_b) = (_mm512_unpacklo_epi64(ef_hi, gh_hi), _mm512_unpackhi_epi64(ef_hi, gh_hi));
    let low = _mm512_set_epi64(13, 12, 5, 4, 9, 8, 1, 0);
    let high = _mm512_set_epi64(15, 14, 7, 6, 11, 10, 3, 2);
    let kind = _mm512_permutex2var_epi64(w04_a, low, w04_b);
    let src = _mm512_permutex2var_epi64(w04_a, high, w04_b);
    let length = _mm512_permutex2var_epi64(w15_a, low, w15_b);
    let dst = _mm512_permutex2var_epi64(w15_a, high, w15_b);
    let fragment = _mm512_permutex2var_epi64(w26_a, low, w26_b);
    let ttl = _mm512_permutex2var_epi64(w37_a, low, w37_b);

    let low16 = _mm512_set1_epi32(0xffff);
    let byte = _mm512_set1_epi32(0xff);
    // SAFETY: 16 lengths, 16 offsets from index `first` on, at most 48.
    let (frame_len, offset) = unsafe {
        (
            _mm512_cvtepu16_epi32(_mm256_loadu_si256(
                vector.burst.lens().as_ptr().add(first).cast(),
            )),
            _mm512_cvtepu8_epi32(_mm_loadu_si128(vector.l3_offset.as_ptr().add(first).cast())),
        )
    };
    // EtherType 0x0800 with a clear group bit in one compare, version and length in another. In
    // front of a tagged frame's header that bit is some other one: `tagged_group` has it.
    let untagged = _mm512_cmpeq_epi32_mask(offset, _mm512_set1_epi32(14));
    let looked_at = _mm512_mask_mov_epi32(low16, untagged, _mm512_set1_epi32(0x0001_ffff));
    let what = _mm512_and_si512(kind, looked_at);
    let is_ipv4 = _mm512_cmpeq_epi32_mask(what, _mm512_set1_epi32(0x0008))
        & _mm512_cmpeq_epi32_mask(_mm512_and_si512(length, byte), _mm512_set1_epi32(0x45));
    let is_ipv6 = _mm512_cmpeq_epi32_mask(what, _mm512_set1_epi32(0xdd86));

    let swap32 =
        _mm512_broadcast_i32x4(_mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3));
    let length_host = _mm512_shuffle_epi8(length, swap32);
    let total_len = _mm512_and_si512(length_host, low16);
    let present = _mm512_sub_epi32(frame_len, offset);
    let fits = _mm512_cmple_epi32_mask(total_len, present)
        & _mm512_cmpge_epi32_mask(total_len, _mm512_set1_epi32(20));

    // The one's complement sum does not care for byte order (RFC 1071 2 B).
    let halves = |word: __m512i| {
        _mm512_add_epi32(_mm512_and_si512(word, low16), _mm512_srli_epi32::<16>(word))
    };
    let sum = _mm512_add_epi32(
        _mm512_add_epi32(
            _mm512_add_epi32(halves(length), halves(fragment)),
            _mm512_add_epi32(halves(ttl), halves(src)),
        ),
        halves(dst),
    );
    let sum = halves(halves(sum));
    let intact = _mm512_cmpeq_epi32_mask(sum, low16);

    // Ordinary unicast: top byte 1 to 223 without 127.
    let ordinary = |address: __m512i| {
        let top = _mm512_and_si512(address, byte);
        _mm512_cmplt_epu32_mask(_mm512_sub_epi32(top, _mm512_set1_epi32(1)), _mm512_set1_epi32(223))
            & _mm512_cmpneq_epi32_mask(top, _mm512_set1_epi32(127))
    };
    let good = is_ipv4 & fits & intact & ordinary(src) & ordinary(dst);
    let expiring = _mm512_cmple_epu32_mask(_mm512_and_si512(ttl, byte), _mm512_set1_epi32(1));

    // TTL less one, checksum plus 0x0100 with the carry folded in (RFC 1624).
    let ttl_host = _mm512_shuffle_epi8(ttl, swap32);
    let raised = _mm512_add_epi32(_mm512_and_si512(ttl_host, low16), _mm512_set1_epi32(0x100));
    let carries = _mm512_cmpge_epu32_mask(raised, low16);
    let raised = _mm512_mask_add_epi32(raised, carries, raised, _mm512_set1_epi32(1));
    let upper = _mm512_sub_epi32(ttl_host, _mm512_set1_epi32(0x0100_0000));
    let next = _mm512_or_si512(_mm512_andnot_si512(low16, upper), _mm512_and_si512(raised, low16));
    let next = _mm512_shuffle_epi8(next, swap32);

    // SAFETY: 16 elements of 64-element arrays from index `first` on, at most 48.
    unsafe {
        let store = |array: &mut [u32; VECTOR], value| {
            _mm512_storeu_si512(array.as_mut_ptr().add(first).cast(), value);
        };
        store(&mut vector.src4, _mm512_shuffle_epi8(src, swap32));
        store(&mut vector.dst4, _mm512_shuffle_epi8(dst, swap32));
        store(&mut vector.next_ttl, next);
        _mm256_storeu_si256(
            vector.ip_len.as_mut_ptr().add(first).cast(),
            _mm512_cvtepi32_epi16(total_len),
        );
    }
    found.ipv4 |= u64::from(good) << first;
    found.ttl_expiring |= u64::from(expiring) << first;
    found.maybe_ipv6 |= u64::from(is_ipv6) << first;
}

/// Next headers behind which there is more to walk, as a bit set of 256.
const EXTENSIONS: [u64; 4] = {
    let mut set = [0; 4];
    let headers = [0u8, 43, 44, 51, 60, 135, 139, 140];
    let mut i = 0;
    while i < headers.len() {
        set[headers[i] as usize / 64] |= 1 << (headers[i] % 64);
        i += 1;
    }
    set
};

/// The plain packets of `select`: version 6, whole, global or unique local addresses on both
/// sides, and no extension headers.
///
/// # Safety
/// Each pointer of `select` has 64 readable bytes.
unsafe fn ipv6_headers(
    vector: &mut Vector,
    start: &[*const u8; VECTOR],
    select: PacketMask,
) -> PacketMask {
    let mut plain = PacketMask::EMPTY;
    let mut expiring = PacketMask::EMPTY;
    for slot in select {
        let i = slot & 63;
        let header = start[i].wrapping_add(14);
        // SAFETY: bytes 0 to 40 of the network header are readable.
        let [first, src, dst_hi, dst_lo] = unsafe {
            [0, 8, 24, 32].map(|at| u64::from_be(header.add(at).cast::<u64>().read_unaligned()))
        };
        let payload_len = (first >> 16) as u16;
        let next_header = (first >> 8) as u8;
        let hop_limit = first as u8;
        let total_len = u32::from(payload_len) + 40;
        let present =
            u32::from(vector.burst.lens()[i]).wrapping_sub(u32::from(vector.l3_offset[i]));
        // 2000::/3 and fc00::/7; all else has rules of its own.
        let ordinary = |hi: u64| hi >> 61 == 1 || hi >> 57 == 0x7e;
        let walk = EXTENSIONS[usize::from(next_header >> 6)] >> (next_header & 63) & 1;
        let good = first >> 60 == 6
            && total_len <= present
            && present <= 0xffff
            && ordinary(src)
            && ordinary(dst_hi)
            && walk == 0;
        vector.dst6_hi[i] = dst_hi;
        vector.dst6_lo[i] = dst_lo;
        vector.ip_len[i] = total_len as u16;
        vector.next_ttl[i] = u32::from(hop_limit.wrapping_sub(1));
        plain.0 |= u64::from(good) << i;
        expiring.0 |= u64::from(hop_limit <= 1) << i;
    }
    vector.ipv6 |= plain;
    vector.ttl_expiring |= expiring & plain;
    plain
}

#[cfg(test)]
mod tests;
