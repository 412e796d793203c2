//! A vector of keys through one tree with AVX-512: bits are extracted to find the way down, and in
//! the leaf a key meets 16 rules at once.

#![expect(clippy::cast_possible_truncation, reason = "masks of 16 rules")]

use std::arch::x86_64::*;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use hal::VECTOR;

use crate::acl::image::{BLOCK, Entry, LINE_WORDS, Line, stride};
use crate::acl::key::{Keys, WORDS4, range_columns};
use crate::acl::lookup::{Matches, fits};

/// Lines of a leaf that are fetched ahead.
const AHEAD: usize = 6;
/// Columns of leaves that ask for addresses, ports and protocol of IPv4.
const FIVE_TUPLE: u32 = 0b1111;

/// Adds the first matches of one tree.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,bmi1,bmi2,popcnt")]
pub(super) fn look_up<const W: usize, const F: usize>(
    lines: &[Line],
    root: Entry,
    keys: &Keys<W>,
    select: u64,
    matches: &mut Matches<F>,
) {
    let mut entries = Entries([root; VECTOR]);
    if root.is_node() {
        descend(lines, root, keys, select, &mut entries);
    }
    let leaves = select & entries.having(Entry::LEAF);
    for_each(leaves, |slot| {
        let line = lines.as_ptr().wrapping_add(entries.0[slot].line() as usize);
        for ahead in 0..AHEAD {
            _mm_prefetch::<_MM_HINT_T0>(line.wrapping_add(ahead).cast());
        }
    });
    for_each(leaves, |slot| {
        let leaf = entries.0[slot];
        if fits(lines, leaf) {
            // SAFETY: the leaf lies within the lines.
            unsafe { scan(lines, keys, slot, leaf, matches) };
        }
    });
}

/// Calls `work` with each slot of a mask, from the lowest up.
#[inline(always)]
fn for_each(mut mask: u64, mut work: impl FnMut(usize)) {
    while mask != 0 {
        work(mask.trailing_zeros() as usize);
        mask &= mask - 1;
    }
}

#[repr(C, align(64))]
struct Entries([Entry; VECTOR]);

impl Entries {
    /// Slots whose entries have the bit.
    #[target_feature(enable = "avx512f")]
    #[inline]
    fn having(&self, bit: u64) -> u64 {
        let bit = _mm512_set1_epi64(bit.cast_signed());
        let mut mask = 0;
        for group in 0..VECTOR / 8 {
            // SAFETY: eight entries are a register.
            let entries = unsafe { _mm512_load_si512(self.0.as_ptr().add(8 * group).cast()) };
            mask |= u64::from(_mm512_test_epi64_mask(entries, bit)) << (8 * group);
        }
        mask
    }
}

/// Takes the entries of `select`, which are all `root`, to the leaves that their keys lead to.
#[target_feature(enable = "avx512f,bmi1,bmi2")]
#[inline]
fn descend<const W: usize>(
    lines: &[Line],
    root: Entry,
    keys: &Keys<W>,
    select: u64,
    entries: &mut Entries,
) {
    let words: *const AtomicU64 = lines.as_ptr().cast();
    let last = (lines.len() * LINE_WORDS).saturating_sub(1);
    let word = |at: usize| {
        // SAFETY: there is a line, since there was an object in one, so `last` is the index of a
        // word, and lines are nothing but words.
        unsafe { &*words.add(at.min(last)) }.load(Relaxed)
    };
    let go = |entry: u64| {
        let line = lines.as_ptr().wrapping_add(Entry(entry).line() as usize);
        _mm_prefetch::<_MM_HINT_T0>(line.cast());
        Entry(entry)
    };
    // All go down one node in a round, so that their loads overlap.
    let first = root.line() as usize * LINE_WORDS;
    let (bits, key) = (word(first), &keys.words[root.word().min(W - 1)]);
    if select == u64::MAX {
        for (entry, key) in entries.0.iter_mut().zip(key) {
            *entry = go(word(first + 1 + _pext_u64(*key, bits) as usize));
        }
    } else {
        for_each(select, |slot| {
            entries.0[slot] = go(word(first + 1 + _pext_u64(key[slot], bits) as usize));
        });
    }
    let mut nodes = select & entries.having(Entry::NODE);
    while nodes != 0 {
        for_each(nodes, |slot| {
            let node = entries.0[slot];
            let first = node.line() as usize * LINE_WORDS;
            let key = keys.words[node.word().min(W - 1)][slot];
            entries.0[slot] = go(word(first + 1 + _pext_u64(key, word(first)) as usize));
        });
        nodes &= entries.having(Entry::NODE);
    }
}

/// The arrays of a block: where the next one is, and which elements are rules.
#[derive(Clone, Copy)]
struct Arrays {
    at: *const u32,
    step: usize,
    rules: __mmask16,
}

impl Arrays {
    /// The next array.
    ///
    /// # Safety
    /// There is one.
    #[target_feature(enable = "avx512f")]
    #[inline]
    unsafe fn next(&mut self) -> __m512i {
        // SAFETY: the caller promises that there is an array, which has an element for each rule.
        let array = unsafe { _mm512_maskz_loadu_epi32(self.rules, self.at.cast()) };
        self.at = self.at.wrapping_add(self.step);
        array
    }

    /// In which bits the rules differ from a key's ternary column; takes two arrays.
    ///
    /// # Safety
    /// There are two.
    #[target_feature(enable = "avx512f")]
    #[inline]
    unsafe fn ternary(&mut self, key: __m512i) -> __m512i {
        // SAFETY: the caller promises two arrays.
        let (value, mask) = unsafe { (self.next(), self.next()) };
        _mm512_and_si512(_mm512_xor_si512(key, value), mask)
    }

    /// By how much a key's pair of numbers is beyond the rules' ranges; takes two arrays.
    ///
    /// # Safety
    /// There are two.
    #[target_feature(enable = "avx512f,avx512bw")]
    #[inline]
    unsafe fn range(&mut self, key: __m512i) -> __m512i {
        // SAFETY: the caller promises two arrays.
        let (low, length) = unsafe { (self.next(), self.next()) };
        _mm512_subs_epu16(_mm512_sub_epi16(key, low), length)
    }
}

/// Looks through one leaf.
///
/// # Safety
/// `leaf` is one, within `lines`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,bmi1,bmi2,popcnt")]
#[inline]
unsafe fn scan<const W: usize, const F: usize>(
    lines: &[Line],
    keys: &Keys<W>,
    slot: usize,
    leaf: Entry,
    matches: &mut Matches<F>,
) {
    let columns = leaf.columns() & ((1 << (2 * W)) - 1);
    let own: *const u32 = keys.words.as_ptr().cast::<u32>().wrapping_add(2 * (slot & (VECTOR - 1)));
    let key = |column: usize| {
        let at = own.wrapping_add((column >> 1) * 2 * VECTOR + (column & 1));
        // SAFETY: the column is one of the key's, the slot one of the vector's.
        _mm512_set1_epi32(unsafe { at.read() }.cast_signed())
    };
    let mut at: *const u32 = lines.as_ptr().wrapping_add(leaf.line() as usize).cast();
    let mut left = leaf.rules();
    loop {
        let here = left.min(BLOCK);
        let rules = _bzhi_u32(0xffff, here as u32) as __mmask16;
        let mut arrays = Arrays { at, step: stride(here), rules };
        // SAFETY: a block has two arrays for each column, those of ternary columns first, each of
        // `step` elements, at least as many as there are rules here, and then as many pairs of
        // result and rank.
        unsafe {
            let mut differ;
            if columns == FIVE_TUPLE && W == WORDS4 {
                differ = arrays.ternary(key(0));
                differ = _mm512_or_si512(differ, arrays.ternary(key(1)));
                differ = _mm512_or_si512(differ, arrays.ternary(key(2)));
                differ = _mm512_or_si512(differ, arrays.range(key(3)));
            } else {
                differ = _mm512_setzero_si512();
                let mut rest = columns & !range_columns(W);
                while rest != 0 {
                    let column = arrays.ternary(key(rest.trailing_zeros() as usize));
                    differ = _mm512_or_si512(differ, column);
                    rest &= rest - 1;
                }
                rest = columns & range_columns(W);
                while rest != 0 {
                    let column = arrays.range(key(rest.trailing_zeros() as usize));
                    differ = _mm512_or_si512(differ, column);
                    rest &= rest - 1;
                }
            }
            let hit = _mm512_mask_testn_epi32_mask(rules, differ, differ);
            let found: *const u64 = arrays.at.cast();
            at = arrays.at.wrapping_add(2 * arrays.step);
            if F == 1 {
                offer(matches, 0, slot, hit.into(), found);
            } else {
                // The upper two bits of a rank are its feature.
                let (low, high) = (rules as u8, (rules >> 8) as u8);
                let low = _mm512_maskz_loadu_epi64(low, found.cast());
                let high = _mm512_maskz_loadu_epi64(high, found.wrapping_add(8).cast());
                let (low, high) = (_mm512_srli_epi64::<62>(low), _mm512_srli_epi64::<62>(high));
                for feature in 0..F {
                    let wanted = _mm512_set1_epi64(feature as i64);
                    let own = u16::from(_mm512_cmpeq_epi64_mask(low, wanted))
                        | u16::from(_mm512_cmpeq_epi64_mask(high, wanted)) << 8;
                    offer(matches, feature, slot, (hit & own).into(), found);
                }
            }
        }
        left -= here;
        if left == 0 {
            return;
        }
    }
}

/// Takes over the first rule of `hit`, if there is one. Without a branch: whether a leaf has a
/// match is anybody's guess.
///
/// # Safety
/// `found` has an element for each rule of `hit`, and at least one.
#[target_feature(enable = "bmi1")]
#[inline]
unsafe fn offer<const F: usize>(
    matches: &mut Matches<F>,
    feature: usize,
    slot: usize,
    hit: u32,
    found: *const u64,
) {
    let first = if hit == 0 { 0 } else { hit.trailing_zeros() as usize };
    // SAFETY: the first element is there in any case.
    let first = unsafe { found.add(first).read_unaligned() };
    // All ones when there is no match.
    let none = u64::from(hit != 0).wrapping_sub(1);
    matches.offer(feature, slot, first | none);
}
