//! The header kernel for AVX-512: 16 frames at a time, transposed into columns.
//!
//! Each frame gives 32 bytes: EtherType and the group bits of its MAC addresses, the words of the
//! fixed IPv4 header, the end of the source MAC address, and the upper halves of both IPv4
//! addresses once more. Eight two-source byte permutations bring the frames of a half-vector into
//! eight registers, a transposition turns them into columns, and every check is one compare for 16
//! packets. What hardly any packet has is looked for in all 16 at once, and only where there is
//! something, packet by packet. Frames that are not plain unicast are left to the scalar rules.
#![expect(unsafe_code, reason = "vector loads through packet pointers")]
#![expect(clippy::cast_possible_truncation, reason = "parts of masks and of header words")]

mod filter;
mod groups;
mod ipv6;
mod rare;

use std::arch::x86_64::*;
use std::sync::OnceLock;

use hal::{PacketMask, VECTOR};

use self::groups::{group_frames, own_end};
use self::ipv6::ipv6_headers;
use self::rare::Signs;
use crate::isa::Isa;
use crate::l3::source::Own;
use crate::l3::stage::Plain;
use crate::packet::{DropReason, Vector};
use crate::wire;

/// Bytes of a TCP header without options.
const TCP_HEADER: i32 = wire::TCP_HEADER as i32;
/// Bytes in front of the network header of a frame without tags.
const UNTAGGED: u8 = 14;

/// True when this CPU has what the kernel needs: AVX-512 with byte permutations.
#[inline]
pub(super) fn available() -> bool {
    static AVAILABLE: OnceLock<bool> = OnceLock::new();
    *AVAILABLE.get_or_init(|| Isa::Avx512.available() && is_x86_feature_detected!("avx512vbmi"))
}

/// Parses the plain IPv4 and IPv6 unicast packets of `select`, and returns those that need no other
/// look: the good ones, and those that it has dropped. Frames whose source MAC address is odd are
/// none of them.
#[inline]
pub(super) fn parse(vector: &mut Vector, select: PacketMask, own: &Own<'_>) -> Plain {
    // Slots that the burst does not own are never followed.
    let select = select & vector.burst.owned();
    if select.is_empty() || !available() {
        return Plain::default();
    }
    // SAFETY: `available` checked the CPU; `select` is owned by the burst.
    unsafe { parse_owned(vector, select, own) }
}

/// # Safety
/// The CPU has the features, and the burst owns every slot of `select`, which is not empty.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,bmi1,bmi2")]
unsafe fn parse_owned(vector: &mut Vector, select: PacketMask, own: &Own<'_>) -> Plain {
    if select == PacketMask::FULL && vector.l3.offset == [UNTAGGED; VECTOR] {
        // A full vector of untagged frames: they start 14 bytes before their network headers.
        // They are read where they stand: a copy would wait for the stores that made them.
        let start: *const [*const u8; VECTOR] = vector.burst.data_ptrs().as_ptr().cast();
        // SAFETY: as below, and every slot is owned; nothing here changes the array.
        unsafe {
            let found = columns::<false>(vector, start, 0b1111, own);
            return finish(vector, start, select, &found, own);
        }
    }
    let mut start = [std::ptr::null::<u8>(); VECTOR];
    // Each pointer goes 14 bytes before its network header, so that all frames look untagged;
    // slots outside of `select` look at some packet of it instead.
    let any = select.0.trailing_zeros() as usize;
    let data = vector.burst.data_ptrs().as_ptr().cast::<i64>();
    let offsets = vector.l3.offset.as_ptr();
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
    let select = select - group_frames(vector, select, own);
    let groups = [0, 16, 32, 48].map(|first| select.0 >> first & 0xffff != 0);
    let groups = groups.iter().rev().fold(0, |mask, any| mask << 1 | u8::from(*any));
    // SAFETY: every pointer of `start` now lies 14 bytes before a network header inside an owned
    // buffer, behind whose frame at least 64 bytes are readable (`hal::packet::SLACK`).
    let found = unsafe { columns::<true>(vector, &raw const start, groups, own) };
    // SAFETY: the pointers are those of the packets of `select`.
    unsafe { finish(vector, &raw const start, select, &found, own) }
}

/// Notes what was found, and looks at the IPv6 headers.
///
/// # Safety
/// The CPU has the features; every pointer has 64 readable bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,bmi1,bmi2")]
unsafe fn finish(
    vector: &mut Vector,
    start: *const [*const u8; VECTOR],
    select: PacketMask,
    found: &Found,
    own: &Own<'_>,
) -> Plain {
    let ipv4 = PacketMask(found.ipv4) & select;
    let mut plain = ipv4;
    let mut maybe_own = PacketMask(found.maybe_own) & ipv4;
    vector.is.ipv4 |= ipv4;
    vector.is.ttl_expiring |= PacketMask(found.ttl_expiring) & ipv4;
    // The common kinds of damage need no second look.
    if found.bad_checksum | found.truncated != 0 {
        let bad_checksum = PacketMask(found.bad_checksum) & select;
        let truncated = PacketMask(found.truncated) & select;
        vector.drop_all(bad_checksum, DropReason::Ipv4BadChecksum);
        vector.drop_all(truncated, DropReason::Truncated);
        plain |= bad_checksum | truncated;
    }
    let ipv6 = PacketMask(found.maybe_ipv6) & select;
    if !ipv6.is_empty() {
        // SAFETY: as above.
        let found = unsafe { ipv6_headers(vector, start, ipv6, own) };
        plain |= found.plain;
        maybe_own |= found.maybe_own;
    }
    Plain { plain, maybe_own }
}

/// Which packets are what, one bit a slot.
#[derive(Default)]
struct Found {
    ipv4: u64,
    ttl_expiring: u64,
    maybe_ipv6: u64,
    /// Whole headers without options, but with a wrong checksum.
    bad_checksum: u64,
    /// Headers without options that announce more than there is.
    truncated: u64,
    /// IPv4 packets whose source the filter has.
    maybe_own: u64,
}

impl Found {
    /// Leaves frames to the scalar rules.
    fn leave_out(&mut self, frames: u64) {
        self.ipv4 &= !frames;
        self.maybe_ipv6 &= !frames;
        self.bad_checksum &= !frames;
        self.truncated &= !frames;
    }
}

/// All groups of 16 that `groups` names.
///
/// # Safety
/// The CPU has the features; `start` is readable, and so are 64 bytes behind every pointer of those
/// groups.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,bmi1,bmi2")]
unsafe fn columns<const ANY_OFFSET: bool>(
    vector: &mut Vector,
    start: *const [*const u8; VECTOR],
    groups: u8,
    own: &Own<'_>,
) -> Found {
    let mut found = Found::default();
    let mut signs = Signs::none();
    // One call, so that the compiler builds it in and keeps the constants in registers.
    for group in 0..VECTOR / 16 {
        if groups >> group & 1 == 1 {
            // SAFETY: passed on from the caller.
            let sixteen = unsafe { sixteen::<ANY_OFFSET>(vector, start, group, own, &mut signs) };
            let [ipv4, ttl_expiring, maybe_ipv6, bad_checksum, truncated] =
                sixteen.map(|mask| u64::from(mask) << (group * 16));
            found.ipv4 |= ipv4;
            found.ttl_expiring |= ttl_expiring;
            found.maybe_ipv6 |= maybe_ipv6;
            found.bad_checksum |= bad_checksum;
            found.truncated |= truncated;
        }
    }
    if signs.any() {
        // SAFETY: passed on from the caller.
        unsafe { rare::judge::<ANY_OFFSET>(vector, start, groups, own, &mut found) };
    }
    found
}

/// Where the 32 bytes that the checks look at stand in what is loaded of a frame from byte
/// `loaded_from` on; bit 6 selects the second frame of a pair.
const fn permutation(loaded_from: u8) -> [u8; 64] {
    const FIRST: [u8; 32] = [
        12, 13, 0, 6, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32,
        33, 8, 9, 10, 11, 26, 27, 30, 31,
    ];
    let mut index = [0; 64];
    let mut i = 0;
    while i < 32 {
        // What was not loaded is nobody's business: any byte will do.
        let at = FIRST[i].saturating_sub(loaded_from);
        index[i] = at;
        index[i + 32] = at | 64;
        i += 1;
    }
    index
}

/// Frames as they start, in one load of a whole cache line.
static UNTAGGED_BYTES: [u8; 64] = permutation(0);
/// Tagged frames from a little before the network header on, in a load that stays in the line.
static TAGGED_BYTES: [u8; 64] = permutation(TAGGED_FROM);
const TAGGED_FROM: u8 = 6;

/// Frames `16 * group ..` in columns; the masks in the order of [`Found`]. Adds to
/// `signs` what it sees of what is rare.
///
/// # Safety
/// The CPU has the features; each pointer of the group has 64 readable bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,bmi1,bmi2")]
unsafe fn sixteen<const ANY_OFFSET: bool>(
    vector: &mut Vector,
    start: *const [*const u8; VECTOR],
    group: usize,
    own: &Own<'_>,
    signs: &mut Signs,
) -> [u16; 5] {
    let first = group * 16;
    let index = if ANY_OFFSET { &TAGGED_BYTES } else { &UNTAGGED_BYTES };
    // SAFETY: a static of 64 bytes.
    let index = unsafe { _mm512_loadu_si512(index.as_ptr().cast()) };
    let load = |pointer: *const u8| {
        // SAFETY: 64 readable bytes behind each pointer, by the caller.
        unsafe {
            if ANY_OFFSET {
                let from = pointer.add(usize::from(TAGGED_FROM));
                _mm512_castsi256_si512(_mm256_loadu_si256(from.cast()))
            } else {
                _mm512_loadu_si512(pointer.cast())
            }
        }
    };
    let mut pair = [_mm512_setzero_si512(); 8];
    for (i, pair) in pair.iter_mut().enumerate() {
        // SAFETY: 64 pointers.
        let (low, high) = unsafe { ((*start)[(first + i) & 63], (*start)[(first + i + 8) & 63]) };
        let (low, high) = (load(low), load(high));
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

    let mac_end = _mm512_permutex2var_epi64(w26_a, high, w26_b);
    let tops = _mm512_permutex2var_epi64(w37_a, high, w37_b);

    let low16 = _mm512_set1_epi32(0xffff);
    let byte = _mm512_set1_epi32(0xff);
    // SAFETY: 16 lengths, 16 offsets from index `first` on, at most 48.
    let (frame_len, offset) = unsafe {
        (
            _mm512_cvtepu16_epi32(_mm256_loadu_si256(
                vector.burst.lens().as_ptr().add(first).cast(),
            )),
            _mm512_cvtepu8_epi32(_mm_loadu_si128(vector.l3.offset.as_ptr().add(first).cast())),
        )
    };
    // EtherType 0x0800 with clear group bits in one compare, version and length in another. The
    // group bits of other frames were not loaded: `group_frames` has left them out already.
    let looked_at = if ANY_OFFSET { low16 } else { _mm512_set1_epi32(0x0101_ffff) };
    let what = _mm512_and_si512(kind, looked_at);
    let is_ipv4 = _mm512_cmpeq_epi32_mask(what, _mm512_set1_epi32(0x0008))
        & _mm512_cmpeq_epi32_mask(_mm512_and_si512(length, byte), _mm512_set1_epi32(0x45));
    let is_ipv6 = _mm512_cmpeq_epi32_mask(what, _mm512_set1_epi32(0xdd86));

    let swap32 = swap32();
    let length_host = _mm512_shuffle_epi8(length, swap32);
    let total_len = _mm512_and_si512(length_host, low16);
    let present = _mm512_sub_epi32(frame_len, offset);
    let inside = _mm512_cmple_epi32_mask(total_len, present);
    let holds_header = _mm512_cmpge_epi32_mask(total_len, _mm512_set1_epi32(20));
    // With less than a fixed header there the other fields are not the packet's.
    let whole_header = _mm512_cmpge_epi32_mask(present, _mm512_set1_epi32(20));
    let fits = inside & holds_header;

    // The one's complement sum does not care for byte order (RFC 1071 2 B). The multiply-add sums
    // signed halves, so each goes in less 0x8000, and the start makes up for ten of them.
    let bias = _mm512_set1_epi32(0x8000_8000_u32.cast_signed());
    let one = _mm512_set1_epi16(1);
    let mut sum = _mm512_set1_epi32(10 * 0x8000);
    for word in [length, fragment, ttl, src, dst] {
        sum = _mm512_add_epi32(sum, _mm512_madd_epi16(_mm512_xor_si512(word, bias), one));
    }
    let halves = |word: __m512i| {
        _mm512_add_epi32(_mm512_and_si512(word, low16), _mm512_srli_epi32::<16>(word))
    };
    let sum = halves(halves(sum));
    let intact = _mm512_cmpeq_epi32_mask(sum, low16);

    signs.ipv4(is_ipv4, tops, fragment);
    if let Some(filter) = own.filter {
        signs.own_source(is_ipv4, rare::octets_missing(filter.octets, src));
    }
    if let Some(mac) = own.mac.filter(|_| !ANY_OFFSET) {
        signs.mac_end(mac_end, _mm512_set1_epi32(own_end(mac)));
    }
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
        store(&mut vector.l3.src4, _mm512_shuffle_epi8(src, swap32));
        store(&mut vector.l3.dst4, _mm512_shuffle_epi8(dst, swap32));
        store(&mut vector.l3.next_ttl, next);
        _mm256_storeu_si256(
            vector.l3.ip_len.as_mut_ptr().add(first).cast(),
            _mm512_cvtepi32_epi16(total_len),
        );
    }
    [
        is_ipv4 & fits & intact,
        expiring,
        is_ipv6,
        is_ipv4 & fits & !intact,
        is_ipv4 & whole_header & holds_header & !inside,
    ]
}

/// Reverses the bytes of each word.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,bmi1,bmi2")]
fn swap32() -> __m512i {
    _mm512_broadcast_i32x4(_mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3))
}

#[cfg(test)]
mod tests;
