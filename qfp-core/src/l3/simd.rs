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

use crate::isa::Isa;
use crate::l3::source::{BITS, FILTER, GOLDEN, Own};
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
    if select == PacketMask::FULL && vector.l3_offset == [UNTAGGED; VECTOR] {
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
    let select = select - group_frames(vector, select, own);
    let groups = [0, 16, 32, 48].map(|first| select.0 >> first & 0xffff != 0);
    let groups = groups.iter().rev().fold(0, |mask, any| mask << 1 | u8::from(*any));
    // SAFETY: every pointer of `start` now lies 14 bytes before a network header inside an owned
    // buffer, behind whose frame at least 64 bytes are readable (`hal::packet::SLACK`).
    let found = unsafe { columns::<true>(vector, &raw const start, groups, own) };
    // SAFETY: the pointers are those of the packets of `select`.
    unsafe { finish(vector, &raw const start, select, &found, own) }
}

/// Frames of `select` for a link-layer group, and those whose source MAC address is odd.
#[inline]
fn group_frames(vector: &Vector, select: PacketMask, own: &Own<'_>) -> PacketMask {
    let mut group = 0;
    for slot in select {
        let frame = vector.burst.data_ptrs()[slot & 63];
        // SAFETY: the caller's packets are owned, and behind every frame's start there are
        // `hal::packet::SLACK` readable bytes.
        let (first, source) =
            unsafe { (*frame, u64::from_le(frame.add(4).cast::<u64>().read_unaligned()) >> 16) };
        let odd = own.mac.is_some_and(|mac| source & 1 == 1 || source == 0 || source == mac);
        group |= u64::from(first & 1 == 1 || odd) << slot;
    }
    PacketMask(group)
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
    let select = select - PacketMask(found.odd_source);
    let ipv4 = PacketMask(found.ipv4) & select;
    let mut plain = ipv4;
    let mut maybe_own = PacketMask(found.maybe_own) & ipv4;
    vector.ipv4 |= ipv4;
    vector.ttl_expiring |= PacketMask(found.ttl_expiring) & ipv4;
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
struct Found {
    ipv4: u64,
    ttl_expiring: u64,
    maybe_ipv6: u64,
    /// Whole headers without options, but with a wrong checksum.
    bad_checksum: u64,
    /// Headers without options that announce more than there is.
    truncated: u64,
    /// Frames whose source MAC address is a group, zero or the port's.
    odd_source: u64,
    /// IPv4 packets whose source the filter has.
    maybe_own: u64,
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
    let mut of = |group: usize| {
        if groups >> group & 1 == 1 {
            // SAFETY: passed on from the caller.
            unsafe { sixteen::<ANY_OFFSET>(vector, start, group, own) }
        } else {
            [0; 7]
        }
    };
    let (a, b, c, d) = (of(0), of(1), of(2), of(3));
    let join = |n: usize| {
        let low = _mm512_kunpackw(u32::from(b[n]), u32::from(a[n]));
        let high = _mm512_kunpackw(u32::from(d[n]), u32::from(c[n]));
        _mm512_kunpackd(u64::from(high), u64::from(low))
    };
    let (ipv4, ttl_expiring, maybe_ipv6) = (join(0), join(1), join(2));
    let (bad_checksum, truncated) = (join(3), join(4));
    let (odd_source, maybe_own) = (join(5), join(6));
    Found { ipv4, ttl_expiring, maybe_ipv6, bad_checksum, truncated, odd_source, maybe_own }
}

/// Where the 32 bytes that the checks look at stand in what is loaded of a frame from byte
/// `loaded_from` on; bit 6 selects the second frame of a pair.
const fn permutation(loaded_from: u8) -> [u8; 64] {
    const FIRST: [u8; 32] = [
        12, 13, 0, 1, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32,
        33, 10, 11, 10, 11, 6, 7, 8, 9,
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

/// Frames `16 * group ..` in columns; the masks in the order of [`Found`].
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
) -> [u16; 7] {
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

    // The source MAC address of frames as they start: its first four bytes, and twice the others.
    // Those of other frames were not loaded: `group_frames` has left the odd ones out already.
    let odd_source = match own.mac {
        Some(mac) if !ANY_OFFSET => {
            let last = _mm512_permutex2var_epi64(w26_a, high, w26_b);
            let first = _mm512_permutex2var_epi64(w37_a, high, w37_b);
            let [a, b, c, d, e, f, ..] = mac.to_le_bytes();
            let own_first = _mm512_set1_epi32(i32::from_le_bytes([a, b, c, d]));
            let own_last = _mm512_set1_epi32(i32::from_le_bytes([e, f, e, f]));
            let any = _mm512_or_si512(first, last);
            _mm512_test_epi32_mask(first, _mm512_set1_epi32(1))
                | _mm512_testn_epi32_mask(any, any)
                | _mm512_mask_cmpeq_epi32_mask(
                    _mm512_cmpeq_epi32_mask(first, own_first),
                    last,
                    own_last,
                )
        }
        _ => 0,
    };

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
    // EtherType 0x0800 with a clear group bit in one compare, version and length in another. The
    // group bit of other frames was not loaded: `group_frames` has left them out already.
    let looked_at = if ANY_OFFSET { low16 } else { _mm512_set1_epi32(0x0001_ffff) };
    let what = _mm512_and_si512(kind, looked_at);
    let is_ipv4 = _mm512_cmpeq_epi32_mask(what, _mm512_set1_epi32(0x0008))
        & _mm512_cmpeq_epi32_mask(_mm512_and_si512(length, byte), _mm512_set1_epi32(0x45));
    let is_ipv6 = _mm512_cmpeq_epi32_mask(what, _mm512_set1_epi32(0xdd86));

    let swap32 =
        _mm512_broadcast_i32x4(_mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3));
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

    // Ordinary unicast: top byte 1 to 223 without 127, and not 169.254, which may not pass.
    let ordinary = |address: __m512i| {
        let top = _mm512_and_si512(address, byte);
        _mm512_cmplt_epu32_mask(_mm512_sub_epi32(top, _mm512_set1_epi32(1)), _mm512_set1_epi32(223))
            & _mm512_cmpneq_epi32_mask(top, _mm512_set1_epi32(127))
            & _mm512_cmpneq_epi32_mask(_mm512_and_si512(address, low16), _mm512_set1_epi32(0xfea9))
    };
    let mut good = is_ipv4 & fits & intact & ordinary(src) & ordinary(dst);
    // Fragments are few. Those of TCP that hide something are the scalar rules' to judge: first ones
    // with less than its header, and later ones that begin inside of it.
    if _mm512_test_epi32_mask(fragment, _mm512_set1_epi32(0xff3f_0000_u32.cast_signed())) & good
        != 0
    {
        let host = _mm512_shuffle_epi8(fragment, swap32);
        let offset = _mm512_and_si512(host, _mm512_set1_epi32(0x1fff));
        let more = _mm512_test_epi32_mask(host, _mm512_set1_epi32(0x2000));
        let protocol = _mm512_and_si512(ttl, _mm512_set1_epi32(0xff00));
        let is_tcp = _mm512_cmpeq_epi32_mask(protocol, _mm512_set1_epi32(0x0600));
        let first = _mm512_testn_epi32_mask(offset, offset);
        let short = _mm512_cmplt_epi32_mask(total_len, _mm512_set1_epi32(20 + TCP_HEADER));
        let inside =
            _mm512_cmplt_epi32_mask(_mm512_slli_epi32::<3>(offset), _mm512_set1_epi32(TCP_HEADER));
        good &= !(is_tcp & (first & more & short | !first & inside));
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

    let src_host = _mm512_shuffle_epi8(src, swap32);
    let maybe_own = match own.filter {
        // SAFETY: the filter is a power of two of words, and the CPU has the features.
        Some(filter) => unsafe { filtered4(filter, src_host) },
        None => 0,
    };

    // SAFETY: 16 elements of 64-element arrays from index `first` on, at most 48.
    unsafe {
        let store = |array: &mut [u32; VECTOR], value| {
            _mm512_storeu_si512(array.as_mut_ptr().add(first).cast(), value);
        };
        store(&mut vector.src4, src_host);
        store(&mut vector.dst4, _mm512_shuffle_epi8(dst, swap32));
        store(&mut vector.next_ttl, next);
        _mm256_storeu_si256(
            vector.ip_len.as_mut_ptr().add(first).cast(),
            _mm512_cvtepi32_epi16(total_len),
        );
    }
    [
        good,
        expiring,
        is_ipv6,
        is_ipv4 & fits & !intact,
        is_ipv4 & whole_header & holds_header & !inside,
        odd_source,
        maybe_own,
    ]
}

/// Which of sixteen IPv4 sources, host byte order, `filter` has.
///
/// # Safety
/// The CPU has the features; the filter has a power of two of words, at least 32.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,bmi1,bmi2")]
unsafe fn filtered4(filter: &[u32], source: __m512i) -> u16 {
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
unsafe fn filtered6(filter: &[u32], upper: __m512i, last: __m512i) -> u8 {
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
unsafe fn ipv6_headers(
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
            let offset = _mm_loadl_epi64(vector.l3_offset.as_ptr().add(lane).cast());
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
            _mm512_mask_storeu_epi64(vector.dst6_hi.as_mut_ptr().add(lane).cast(), good, dst_hi);
            _mm512_mask_storeu_epi64(vector.dst6_lo.as_mut_ptr().add(lane).cast(), good, dst_lo);
            let hops = _mm512_and_si512(_mm512_sub_epi64(hops, _mm512_set1_epi64(1)), byte);
            let next_ttl = vector.next_ttl.as_mut_ptr().add(lane).cast();
            _mm256_mask_storeu_epi32(next_ttl, good, _mm512_cvtepi64_epi32(hops));
            let ip_len = vector.ip_len.as_mut_ptr().add(lane).cast();
            _mm_mask_storeu_epi16(ip_len, good, _mm512_cvtepi64_epi16(total));
        }
        if let Some(filter) = own.filter {
            // SAFETY: as for the filter of IPv4 sources.
            let found = unsafe { filtered6(filter, src, first) };
            maybe_own |= u64::from(good & found) << lane;
        }
        plain |= u64::from(good) << lane;
        expiring |= u64::from(good & last_hop) << lane;
    }
    vector.ipv6 |= PacketMask(plain);
    vector.ttl_expiring |= PacketMask(expiring);
    Plain { plain: PacketMask(plain), maybe_own: PacketMask(maybe_own) }
}

#[cfg(test)]
mod tests;
