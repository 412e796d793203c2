//! Kernels of the adjacency rows: groups of one member, and the fused egress run.
//!
//! Both take what is ordinary and leave the rest to the rows. The egress run changes header and TTL
//! of a packet in one register and stores them at once: three small stores a packet keep the store
//! queue full for longer than everything else takes.
#![expect(unsafe_code, reason = "gathers from tables, stores through packet pointers")]
#![expect(clippy::cast_possible_truncation, reason = "header lengths below 32")]

use std::arch::x86_64::*;
use std::sync::atomic::Ordering;

use hal::{PacketMask, VECTOR};

use crate::adjacency::fused::{Kinds, Rewritten};
use crate::adjacency::{Adjacency, AdjacencyKind, AdjacencyTables, Group, GroupWord};
use crate::isa::Isa;
use crate::packet::Vector;
use crate::simd::equal_bytes;
use crate::uidb::UidbIndex;

/// Ethernet header without tags, and with one.
const UNTAGGED: u8 = 14;
const TAGGED: u8 = 18;

/// Leaves are 16-bit numbers: a table of this size needs no bounds check a packet.
const LEAVES: usize = 1 << 16;

/// Resolves the packets of `select` whose group has one member that is forwarded to, or that is
/// this router; returns them.
#[inline]
pub(super) fn one_member(
    tables: &AdjacencyTables<'_>,
    vector: &mut Vector,
    select: PacketMask,
) -> PacketMask {
    let Some(groups) = tables.groups.first_chunk::<LEAVES>() else { return PacketMask::EMPTY };
    if !Isa::Avx512.available() {
        return PacketMask::EMPTY;
    }
    // SAFETY: the CPU has the features.
    let forward = PacketMask(unsafe { groups_of_one(groups, vector, GroupWord::ONE_FORWARD) });
    let rest = select - forward;
    if rest.is_empty() {
        return select;
    }
    // SAFETY: as above.
    let receive = PacketMask(unsafe { groups_of_one(groups, vector, GroupWord::ONE_RECEIVE) });
    vector.for_us |= rest & receive;
    select & (forward | receive)
}

/// Looks up all 64 leaves, and returns those whose group is one of `class`; leaves of packets that
/// do not walk any more do no harm.
///
/// A router with few neighbours has few groups: leaves below 16 are found by permuting two
/// registers, which costs a tenth of a gather.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
fn groups_of_one(groups: &[Group; LEAVES], vector: &mut Vector, class: u64) -> u64 {
    let words = groups.as_ptr().cast::<i64>();
    // SAFETY: 64 leaves are four registers; the first 16 of 65,536 groups are two.
    unsafe {
        let leaves = vector.leaf.as_ptr().cast::<__m512i>();
        let all = _mm512_or_si512(
            _mm512_or_si512(_mm512_loadu_si512(leaves), _mm512_loadu_si512(leaves.add(1))),
            _mm512_or_si512(_mm512_loadu_si512(leaves.add(2)), _mm512_loadu_si512(leaves.add(3))),
        );
        if _mm512_cmpge_epu32_mask(all, _mm512_set1_epi32(16)) == 0 {
            let low = _mm512_loadu_si512(words.cast());
            let high = _mm512_loadu_si512(words.add(8).cast());
            resolve(vector, class, |leaf| {
                _mm512_permutex2var_epi64(low, _mm512_cvtepu32_epi64(leaf), high)
            })
        } else {
            // Every index is below 2^16, the number of groups; a group is one 64-bit word.
            resolve(vector, class, |leaf| {
                let leaf = _mm256_and_si256(leaf, _mm256_set1_epi32(0xffff));
                _mm512_i32gather_epi64::<8>(leaf, words)
            })
        }
    }
}

/// Notes adjacency and output interface of each leaf's group, and returns the groups of one of
/// `class`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
fn resolve(vector: &mut Vector, class: u64, lookup: impl Fn(__m256i) -> __m512i) -> u64 {
    let mut simple = 0;
    let class = _mm512_set1_epi64(class.cast_signed());
    for lane in (0..VECTOR).step_by(8) {
        // SAFETY: eight elements of 64-element arrays.
        unsafe {
            let word = lookup(_mm256_loadu_si256(vector.leaf.as_ptr().add(lane).cast()));
            let upper = _mm512_srli_epi64::<{ GroupWord::CLASS_SHIFT }>(word);
            simple |= u64::from(_mm512_cmpeq_epi64_mask(upper, class)) << lane;
            let adjacency = _mm512_and_si512(word, _mm512_set1_epi64(0xff_ffff));
            let adjacency = _mm512_cvtepi64_epi32(adjacency);
            _mm256_storeu_si256(vector.adjacency.as_mut_ptr().add(lane).cast(), adjacency);
            let output = _mm512_srli_epi64::<{ GroupWord::OUTPUT_SHIFT }>(word);
            let output = _mm512_cvtepi64_epi16(output);
            _mm_storeu_si128(vector.output.as_mut_ptr().add(lane).cast(), output);
        }
    }
    simple
}

/// Rewrites the packets of `select` that are ordinary, as `kinds` says.
#[inline]
pub(super) fn rewrite(
    tables: &AdjacencyTables<'_>,
    vector: &mut Vector,
    select: PacketMask,
    kinds: Kinds,
) -> Rewritten {
    if !Isa::Avx512.available() {
        return Rewritten::default();
    }
    let select = select & vector.burst.owned();
    // All ones where TTLs are written.
    let ttl = if kinds.ttl { u32::MAX } else { 0 };
    let untagged = select & equal_bytes(&vector.l3_offset, UNTAGGED);
    let tagged = select & equal_bytes(&vector.l3_offset, TAGGED);
    let adjacencies = tables.adjacencies;
    // SAFETY: the CPU has the features, and the burst owns `select`, whose frames have whole IP
    // headers (`l3-parse`); those that get a longer header are where they were received.
    unsafe {
        let mut seen = PacketMask::EMPTY;
        let (mut plain, mut featured) = (PacketMask::EMPTY, PacketMask::EMPTY);
        for _ in 0..IN_REGISTERS {
            let Some(first) = (select - seen).into_iter().next() else { break };
            let number = vector.adjacency[first & 63];
            let same = (select - seen) & PacketMask(equal_words(&vector.adjacency, number));
            seen |= same;
            let Some(row) = adjacencies.get(number as usize) else { continue };
            let state = row.state();
            let is_plain = state.kind == AdjacencyKind::Plain;
            let wanted = match state.kind {
                AdjacencyKind::Plain => same & PacketMask(at_most(&vector.ip_len, state.mtu)),
                AdjacencyKind::Featured if kinds.featured => same,
                _ => continue,
            };
            let taken = match state.rewrite_len {
                UNTAGGED => one_header::<14>(row, vector, wanted & untagged, ttl),
                TAGGED => one_header::<18>(row, vector, wanted & tagged, ttl),
                _ => PacketMask::EMPTY,
            };
            *if is_plain { &mut plain } else { &mut featured } |= taken;
        }
        let (ipv4, ipv6) = (vector.ipv4, vector.ipv6);
        let (untagged, tagged) = (untagged - seen, tagged - seen);
        if !(untagged | tagged).is_empty() {
            plain |= same_header::<14, true>(adjacencies, vector, untagged & ipv4, ttl)
                | same_header::<14, false>(adjacencies, vector, untagged & ipv6, ttl)
                | same_header::<18, true>(adjacencies, vector, tagged & ipv4, ttl)
                | same_header::<18, false>(adjacencies, vector, tagged & ipv6, ttl);
        }
        // Frames that start elsewhere may lack headroom for a longer header: the rows look at that.
        for slot in select - plain - featured - vector.burst.shifted() {
            if any_header(adjacencies, vector, slot, kinds.ttl) {
                plain.insert(slot);
            }
        }
        Rewritten { plain, featured }
    }
}

/// Next hops of a vector whose header is kept in a register while their packets are rewritten.
const IN_REGISTERS: usize = 4;

/// Slots whose word is `wanted`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn equal_words(array: &[u32; VECTOR], wanted: u32) -> u64 {
    let wanted = _mm512_set1_epi32(wanted.cast_signed());
    let array = array.as_ptr().cast::<__m512i>();
    let group = |n: usize| {
        // SAFETY: 64 words are four registers.
        let words = unsafe { _mm512_loadu_si512(array.add(n)) };
        u64::from(_mm512_cmpeq_epi32_mask(words, wanted)) << (16 * n)
    };
    group(0) | group(1) | group(2) | group(3)
}

/// Slots whose value is at most `limit`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn at_most(array: &[u16; VECTOR], limit: u16) -> u64 {
    let limit = _mm512_set1_epi16(limit.cast_signed());
    let array = array.as_ptr().cast::<__m512i>();
    let group = |n: usize| {
        // SAFETY: 64 values are two registers.
        let values = unsafe { _mm512_loadu_si512(array.add(n)) };
        u64::from(_mm512_cmple_epu16_mask(values, limit)) << (32 * n)
    };
    group(0) | group(1)
}

/// Puts the header of `row` in front of the packets of `select`, all of which have one of its
/// length; returns them.
///
/// # Safety
/// The burst owns `select`; each packet has a whole IP header behind `LEN` bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,bmi1,bmi2")]
unsafe fn one_header<const LEN: usize>(
    row: &Adjacency,
    vector: &Vector,
    select: PacketMask,
    ttl: u32,
) -> PacketMask {
    // SAFETY: a plain adjacency's rewrite string is not written while an lcore can read it, so it
    // may be loaded as a whole.
    let header = unsafe { _mm256_loadu_si256((&raw const row.rewrite).cast()) };
    for slot in select & vector.ipv4 {
        // SAFETY: passed on from the caller.
        unsafe { store::<LEN, true>(vector, slot, header, ttl) };
    }
    for slot in select & vector.ipv6 {
        // SAFETY: passed on from the caller.
        unsafe { store::<LEN, false>(vector, slot, header, ttl) };
    }
    select
}

/// Changes header and TTL of one packet in a register, and stores them at once. `ttl` is all ones,
/// or zero for a TTL that stays.
///
/// # Safety
/// The burst owns the packet, which has a whole IP header behind `LEN` bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,bmi1,bmi2")]
unsafe fn store<const LEN: usize, const IPV4: bool>(
    vector: &Vector,
    slot: usize,
    header: __m256i,
    ttl: u32,
) {
    const { assert!(LEN + 12 <= 32, "header and TTL word fit one register") };
    // Bytes of the frame that the rewrite string gives, and those that the TTL word gives: in
    // every fourth byte of it stands the same byte of the word, turned so that it fits there.
    let header_bytes = (1u32 << LEN) - 1;
    let ttl_bytes = ttl & if IPV4 { 0b1111 << (LEN + 8) } else { 1 << (LEN + 7) };
    let turn = if IPV4 { (LEN as u32 % 4) * 8 } else { ((LEN as u32 + 7) % 4) * 8 };
    let i = slot & 63;
    let frame = vector.burst.data_ptrs()[i];
    // SAFETY: see above: the frame has at least 34 bytes.
    unsafe {
        let next = _mm256_set1_epi32(vector.next_ttl[i].rotate_left(turn).cast_signed());
        let bytes = _mm256_loadu_si256(frame.cast());
        let bytes = _mm256_mask_mov_epi8(bytes, header_bytes, header);
        let bytes = _mm256_mask_mov_epi8(bytes, ttl_bytes, next);
        _mm256_storeu_si256(frame.cast(), bytes);
    }
}

/// A header of `LEN` bytes to another of the same length. Returns those that it has done.
///
/// # Safety
/// The burst owns `select`; each packet has a whole IP header behind `LEN` bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,bmi1,bmi2")]
unsafe fn same_header<const LEN: usize, const IPV4: bool>(
    adjacencies: &[Adjacency],
    vector: &Vector,
    select: PacketMask,
    ttl: u32,
) -> PacketMask {
    // SAFETY: passed on from the caller.
    let left = unsafe {
        match select.dense() {
            Some(count) => same_headers::<LEN, IPV4>(adjacencies, vector, 0..count, ttl),
            None => same_headers::<LEN, IPV4>(adjacencies, vector, select.into_iter(), ttl),
        }
    };
    select - PacketMask(left)
}

/// As [`same_header`], slot by slot; returns those that were left alone.
///
/// # Safety
/// As for [`same_header`].
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,bmi1,bmi2")]
unsafe fn same_headers<const LEN: usize, const IPV4: bool>(
    adjacencies: &[Adjacency],
    vector: &Vector,
    slots: impl Iterator<Item = usize>,
    ttl: u32,
) -> u64 {
    // The low half of the state word of a plain adjacency with such a header.
    let plain = u32::from_le_bytes([AdjacencyKind::Plain as u8, LEN.to_le_bytes()[0], 0, 0]);
    let mut left = 0;
    for slot in slots {
        let i = slot & 63;
        let row = adjacencies.get(vector.adjacency[i] as usize);
        let state = row.map_or(0, |row| row.state.load(Ordering::Acquire));
        let (Some(row), true) =
            (row, (state & 0xffff == plain) & (u32::from(vector.ip_len[i]) <= state >> 16))
        else {
            left |= 1 << i;
            continue;
        };
        // SAFETY: passed on from the caller. A plain adjacency's rewrite string is not written
        // while an lcore can read it, so it may be loaded as a whole.
        unsafe {
            let header = _mm256_loadu_si256((&raw const row.rewrite).cast());
            store::<LEN, IPV4>(vector, slot, header, ttl);
        }
    }
    left
}

/// Headers of any length; false when the packet is not for this kernel.
///
/// # Safety
/// The burst owns the packet, which is not `shifted`; its IP header starts at its `l3_offset`.
#[inline]
unsafe fn any_header(
    adjacencies: &[Adjacency],
    vector: &mut Vector,
    slot: usize,
    ttl: bool,
) -> bool {
    let i = slot & 63;
    let Some(row) = adjacencies.get(vector.adjacency[i] as usize) else { return false };
    let state = row.state();
    if state.kind != AdjacencyKind::Plain || vector.ip_len[i] > state.mtu {
        return false;
    }
    let len = state.rewrite_len;
    let l3_offset = vector.l3_offset[i];
    let next = vector.next_ttl[i];
    let is_ipv4 = vector.ipv4.contains(slot);
    // A step may have cut the frame since its header was read.
    let Some(behind) = vector.burst.lens()[i].checked_sub(u16::from(l3_offset)) else {
        return false;
    };
    let Some(longer) = behind.checked_add(u16::from(len)) else { return false };
    let data = vector.burst.data_ptrs()[i];
    // SAFETY: the network header is inside the frame; `len` is at most `REWRITE_MAX`, which is
    // the size of the rewrite string and less than the headroom. The string is not written while
    // an lcore can read it.
    unsafe {
        let network = data.add(usize::from(l3_offset));
        if !ttl {
            // It stays.
        } else if is_ipv4 {
            network.add(8).cast::<u32>().write_unaligned(next);
        } else {
            network.add(7).write(next.to_le_bytes()[0]);
        }
        let count = usize::from(len);
        let source = (&raw const row.rewrite).cast::<u8>();
        let frame = network.sub(count);
        if count >= 16 {
            // Two copies of 16 that overlap: no call, whatever the length.
            let first = _mm_loadu_si128(source.cast());
            let last = _mm_loadu_si128(source.add(count - 16).cast());
            _mm_storeu_si128(frame.cast(), first);
            _mm_storeu_si128(frame.add(count - 16).cast(), last);
        } else {
            std::ptr::copy_nonoverlapping(source, frame, count);
        }
        if len != l3_offset {
            vector.burst.restart(slot, frame, longer);
            vector.l3_offset[i] = len;
        }
    }
    true
}

const _: () = {
    // The kernels read groups at multiples of 8 and store interfaces as words.
    assert!(size_of::<Group>() == 8 && size_of::<UidbIndex>() == 2);
};
