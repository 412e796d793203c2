//! A vector of keys through one tree with AVX-512: bits are extracted to find the way down, and in
//! the leaf a key meets 16 rules at once.

#![expect(clippy::cast_possible_truncation, reason = "masks of 16 rules")]

use std::arch::x86_64::*;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use hal::VECTOR;

use crate::acl::image::{BLOCK, Entry, LANES, LINE_WORDS, Line, block_lines};
use crate::acl::key::{Keys, WORDS4, WORDS6, range_columns};
use crate::acl::leaf::ones;
use crate::acl::lookup::{Matches, fits};

/// Columns of leaves that ask for addresses, ports and protocol.
const FIVE_TUPLE4: u32 = (1 << (2 * WORDS4 - 8)) - 1;
const FIVE_TUPLE6: u32 = (1 << (2 * WORDS6 - 8)) - 1;
/// Any columns.
const ANY: u32 = 0;

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
    scan(lines, keys, &entries, leaves, matches);
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
    #[target_feature(enable = "avx512f,avx512bw,avx512dq")]
    #[inline]
    fn having(&self, bit: u64) -> u64 {
        let bit = _mm512_set1_epi64(bit.cast_signed());
        self.slots(|entries| _mm512_test_epi64_mask(entries, bit))
    }

    /// Slots whose entries, if they are leaves, have these columns.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq")]
    #[inline]
    fn of_columns(&self, columns: u32) -> u64 {
        let bits = _mm512_set1_epi64(Entry::COLUMNS.cast_signed());
        let wanted = _mm512_set1_epi64(Entry::leaf(0, 0, 1, columns).0.cast_signed());
        self.slots(|entries| _mm512_testn_epi64_mask(_mm512_xor_si512(entries, wanted), bits))
    }

    /// Slots whose entries, if they are leaves, have one block, which lies within the lines if it has
    /// `count`.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq")]
    #[inline]
    fn short(&self, lines: &[Line], count: u32) -> u64 {
        let more = _mm512_set1_epi64(Entry::MORE_BLOCKS.cast_signed());
        let line = _mm512_set1_epi64(Entry::LINE.cast_signed());
        let end = (lines.len() + 1).saturating_sub(count as usize);
        let end = _mm512_set1_epi64(end as i64);
        self.slots(|entries| {
            let inside = _mm512_cmplt_epu64_mask(_mm512_and_si512(entries, line), end);
            _mm512_mask_testn_epi64_mask(inside, entries, more)
        })
    }

    /// Slots by what `test` says of the entries of eight.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq")]
    #[inline]
    fn slots(&self, test: impl Fn(__m512i) -> __mmask8) -> u64 {
        let eight = |group: usize| {
            // SAFETY: eight entries are a register.
            u16::from(test(unsafe { _mm512_load_si512(self.0.as_ptr().add(8 * group).cast()) }))
        };
        let sixteen = |group| u32::from(_mm512_kunpackb(eight(group + 1), eight(group)));
        let half = |group| u64::from(_mm512_kunpackw(sixteen(group + 2), sixteen(group)));
        _mm512_kunpackd(half(4), half(0))
    }
}

/// Takes the entries of `select`, which are all `root`, to the leaves that their keys lead to.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,bmi1,bmi2")]
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

/// Looks through the leaves of `leaves`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,bmi1,bmi2,popcnt")]
#[inline]
fn scan<const W: usize, const F: usize>(
    lines: &[Line],
    keys: &Keys<W>,
    entries: &Entries,
    leaves: u64,
    matches: &mut Matches<F>,
) {
    let mut left = leaves;
    // Those of a tree have the same columns, unless there were updates.
    while left != 0 {
        let columns = entries.0[left.trailing_zeros() as usize].columns();
        let alike = left & entries.of_columns(columns);
        let scan = Scan { lines, keys, entries, columns: columns & ((1 << (2 * W)) - 1) };
        // SAFETY: all of these are leaves with these columns.
        unsafe {
            match (W, columns) {
                (WORDS4, FIVE_TUPLE4) => scan.all::<F, FIVE_TUPLE4>(alike, matches),
                (WORDS6, FIVE_TUPLE6) => scan.all::<F, FIVE_TUPLE6>(alike, matches),
                _ => scan.all::<F, ANY>(alike, matches),
            }
        }
        left &= !alike;
    }
}

/// Leaves of a vector that have the same columns.
struct Scan<'a, const W: usize> {
    lines: &'a [Line],
    keys: &'a Keys<W>,
    entries: &'a Entries,
    columns: u32,
}

impl<const W: usize> Scan<'_, W> {
    /// Looks through all leaves of `leaves`, whose columns are `COLUMNS` if that is not [`ANY`].
    ///
    /// # Safety
    /// They are leaves with the columns of `self`.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,bmi1,bmi2,popcnt")]
    #[inline]
    unsafe fn all<const F: usize, const COLUMNS: u32>(
        &self,
        leaves: u64,
        matches: &mut Matches<F>,
    ) {
        let columns = if COLUMNS == ANY { self.columns } else { COLUMNS };
        let short = leaves & self.entries.short(self.lines, block_lines(columns));
        for_each(short, |slot| {
            let leaf = self.entries.0[slot];
            let at = self.lines.as_ptr().wrapping_add(leaf.line() as usize).cast();
            // SAFETY: its block lies within the lines.
            unsafe { self.block::<F, COLUMNS>(slot, at, leaf.lane(), leaf.last(), matches) };
        });
        for_each(leaves & !short, |slot| {
            let leaf = self.entries.0[slot];
            if fits(self.lines, leaf) {
                let mut at = self.lines.as_ptr().wrapping_add(leaf.line() as usize).cast();
                for left in (0..=leaf.more()).rev() {
                    let rules = if left == 0 { leaf.last() } else { BLOCK };
                    // SAFETY: all its blocks lie within the lines.
                    at = unsafe { self.block::<F, COLUMNS>(slot, at, leaf.lane(), rules, matches) };
                }
            }
        });
    }

    /// Compares the key in `slot` with the rules in some lanes of a block, and returns where the next
    /// one is.
    ///
    /// # Safety
    /// There is a block.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,bmi1,bmi2,popcnt")]
    #[inline]
    unsafe fn block<const F: usize, const COLUMNS: u32>(
        &self,
        slot: usize,
        block: *const __m512i,
        lane: usize,
        rules: usize,
        matches: &mut Matches<F>,
    ) -> *const __m512i {
        let columns = if COLUMNS == ANY { self.columns } else { COLUMNS };
        let words = self.keys.words.as_ptr().cast::<u32>();
        let own = words.wrapping_add(2 * (slot & (VECTOR - 1)));
        let key = |column: usize| {
            let at = own.wrapping_add((column >> 1) * 2 * VECTOR + (column & 1));
            // SAFETY: the column is one of the key's, the slot one of the vector's.
            _mm512_set1_epi32(unsafe { at.read() }.cast_signed())
        };
        let mut at = block;
        let mut next = || {
            // SAFETY: the caller promises that there are two lines for each column, and two more.
            let line = unsafe { _mm512_load_si512(at) };
            at = at.wrapping_add(1);
            line
        };
        let mut differ = _mm512_setzero_si512();
        let mut ternary = |column| {
            let unlike = _mm512_xor_si512(key(column), next());
            differ = _mm512_or_si512(differ, _mm512_and_si512(unlike, next()));
        };
        let ranges = range_columns(W);
        if COLUMNS == ANY {
            ones(columns & !ranges).for_each(&mut ternary);
        } else {
            (0..2 * W).filter(|column| COLUMNS & !ranges & 1 << column != 0).for_each(&mut ternary);
        }
        let mut range = |column| {
            let above = _mm512_sub_epi16(key(column), next());
            differ = _mm512_or_si512(differ, _mm512_subs_epu16(above, next()));
        };
        if COLUMNS == ANY {
            ones(columns & ranges).for_each(&mut range);
        } else {
            (0..2 * W).filter(|column| COLUMNS & ranges & 1 << column != 0).for_each(&mut range);
        }
        let hit = u32::from(_mm512_testn_epi32_mask(differ, differ));
        let results = block.wrapping_add(block_lines(columns) as usize - 2).cast::<u64>();
        // When no rule matches, the result behind the last one is found.
        let mut offer = |feature, hit: u32| {
            let first = lane + (hit >> lane | 1 << rules).trailing_zeros() as usize;
            // SAFETY: lanes are sixteen, results as many.
            let found = unsafe { results.add(first & (LANES - 1)).read() };
            matches.offer(feature, slot, found);
        };
        if F == 1 {
            offer(0, hit);
        } else {
            // The upper two bits of a rank are its feature.
            let (low, high) = (_mm512_srli_epi64::<62>(next()), _mm512_srli_epi64::<62>(next()));
            for feature in 0..F {
                let wanted = _mm512_set1_epi64(feature as i64);
                let own = u32::from(_mm512_cmpeq_epi64_mask(low, wanted))
                    | u32::from(_mm512_cmpeq_epi64_mask(high, wanted)) << 8;
                offer(feature, hit & own);
            }
        }
        block.wrapping_add(block_lines(columns) as usize)
    }
}
