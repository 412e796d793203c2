//! Kernels of the adjacency rows: groups of one member, and `egress-fast`.
//!
//! Both take what is ordinary and leave the rest to the rows. The egress run changes header and TTL
//! of a packet in one register and stores them at once: three small stores a packet keep the store
//! queue full for longer than everything else takes.
#![expect(unsafe_code, reason = "gathers from tables, stores through packet pointers")]
#![expect(clippy::cast_possible_truncation, reason = "header lengths below 32")]

mod many;

use std::arch::x86_64::*;

use hal::{PacketMask, VECTOR};

use self::many::any_header;
use crate::adjacency::fast::{Kinds, Taken, make_room};
use crate::adjacency::{AdjacencyTables, Group, GroupWord};
use crate::isa::Isa;
use crate::packet::Vector;
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
    vector.is.for_us |= rest & receive;
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
        let leaves = vector.route.leaf.as_ptr().cast::<__m512i>();
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
            let word = lookup(_mm256_loadu_si256(vector.route.leaf.as_ptr().add(lane).cast()));
            let upper = _mm512_srli_epi64::<{ GroupWord::CLASS_SHIFT }>(word);
            simple |= u64::from(_mm512_cmpeq_epi64_mask(upper, class)) << lane;
            let adjacency = _mm512_and_si512(word, _mm512_set1_epi64(0xff_ffff));
            let adjacency = _mm512_cvtepi64_epi32(adjacency);
            _mm256_storeu_si256(vector.route.adjacency.as_mut_ptr().add(lane).cast(), adjacency);
            let output = _mm512_srli_epi64::<{ GroupWord::OUTPUT_SHIFT }>(word);
            let output = _mm512_cvtepi64_epi16(output);
            _mm_storeu_si128(vector.route.output.as_mut_ptr().add(lane).cast(), output);
        }
    }
    simple
}

/// Rewrites the packets of `select` that `kinds` takes and whose new header is one of Ethernet, with
/// a tag or without.
#[inline]
pub(super) fn rewrite(
    tables: &AdjacencyTables<'_>,
    vector: &mut Vector,
    select: PacketMask,
    kinds: Kinds,
) -> Taken {
    let mut taken = Taken::default();
    if !Isa::Avx512.available() {
        return taken;
    }
    let mut rest = select & vector.burst.owned();
    // All ones where TTLs are written.
    let ttl = if kinds.ttl { u32::MAX } else { 0 };
    // SAFETY: the CPU has the features, and the burst owns `select`, whose frames have whole IP
    // headers (`l3-parse`).
    unsafe {
        for _ in 0..IN_REGISTERS {
            let Some(first) = rest.into_iter().next() else { return taken };
            let number = vector.route.adjacency[first & 63];
            let same = rest & PacketMask(equal_words(&vector.route.adjacency, number));
            if same.count() < FEW && same != rest {
                break;
            }
            rest -= same;
            let Some(row) = tables.adjacencies.get(number as usize) else { continue };
            let state = row.state();
            let Some(limit) = kinds.limit(state) else { continue };
            let wanted = same & PacketMask(at_most(&vector.l3.ip_len, limit));
            // A complete adjacency's rewrite string is not written while an lcore can read it, so
            // it may be loaded as a whole.
            let header = _mm256_loadu_si256((&raw const row.rewrite).cast());
            let done = match state.rewrite_len {
                UNTAGGED => headers::<14>(vector, wanted, ttl, |_| header),
                TAGGED => headers::<18>(vector, wanted, ttl, |_| header),
                _ => continue,
            };
            taken.add(state.kind, done);
        }
        taken.plain |= any_header(tables.adjacencies, vector, rest, ttl);
    }
    taken
}

/// Next hops of a vector whose header is kept in a register while their packets are rewritten, and
/// with how few packets it does not pay.
const IN_REGISTERS: usize = 4;
const FEW: u32 = 6;

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

/// Puts headers of `LEN` bytes in front of the packets of `select`; returns those that have room.
///
/// # Safety
/// The burst owns `select`; each packet has a whole IP header at its `l3_offset`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,bmi1,bmi2")]
unsafe fn headers<const LEN: usize>(
    vector: &mut Vector,
    select: PacketMask,
    ttl: u32,
    header: impl Fn(u32) -> __m256i,
) -> PacketMask {
    let ready = make_room(vector, select, LEN as u8);
    for slot in ready & vector.is.ipv4 {
        // SAFETY: passed on from the caller.
        unsafe { store::<LEN, true>(vector, slot, header(vector.route.adjacency[slot & 63]), ttl) };
    }
    for slot in ready & vector.is.ipv6 {
        // SAFETY: passed on from the caller.
        unsafe {
            store::<LEN, false>(vector, slot, header(vector.route.adjacency[slot & 63]), ttl)
        };
    }
    ready
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
        let header = if LEN > usize::from(UNTAGGED) {
            with_cos(header, vector.imposed_cos(slot, *frame.add(LEN).cast(), !IPV4))
        } else {
            header
        };
        let next = _mm256_set1_epi32(vector.l3.next_ttl[i].rotate_left(turn).cast_signed());
        let bytes = _mm256_loadu_si256(frame.cast());
        let bytes = _mm256_mask_mov_epi8(bytes, header_bytes, header);
        let bytes = _mm256_mask_mov_epi8(bytes, ttl_bytes, next);
        _mm256_storeu_si256(frame.cast(), bytes);
    }
}

/// The header with that class of service in its first tag: put there afterwards, it would have to
/// wait for the header to be stored.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn with_cos(header: __m256i, cos: u8) -> __m256i {
    const TAG: u32 = 1 << UNTAGGED;
    let without = _mm256_and_si256(header, _mm256_mask_set1_epi8(_mm256_set1_epi8(-1), TAG, 0x1f));
    _mm256_or_si256(without, _mm256_maskz_set1_epi8(TAG, (cos << 5).cast_signed()))
}

const _: () = {
    // The kernels read groups at multiples of 8 and store interfaces as words.
    assert!(size_of::<Group>() == 8 && size_of::<UidbIndex>() == 2);
};
