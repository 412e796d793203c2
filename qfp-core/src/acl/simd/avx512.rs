//! A vector of keys through one tree with AVX-512: bits are extracted to find the way down, and in
//! the leaf a key meets 16 rules at once.

#![expect(clippy::cast_possible_truncation, reason = "masks of 16 rules")]

use std::arch::x86_64::*;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Acquire;

use hal::VECTOR;

use crate::acl::image::{BLOCK, Entry, LINE_WORDS, Line, NODE_CHILDREN, block_lines};
use crate::acl::key::{Keys, WORDS4, WORDS6, range_columns};
use crate::acl::leaf::ones;
use crate::acl::lookup::Matches;

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
    scan(lines, keys, &mut entries, leaves, matches);
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

    /// Slots whose entries, if they are leaves, have these columns, and a first block within the
    /// lines.
    #[target_feature(enable = "avx512f,avx512bw,avx512dq")]
    #[inline]
    fn of_columns(&self, columns: u32, lines: &[Line]) -> u64 {
        let bits = _mm512_set1_epi64(Entry::COLUMNS.cast_signed());
        let wanted = _mm512_set1_epi64(Entry::leaf(0, 0, 1, columns).0.cast_signed());
        let line = _mm512_set1_epi64(Entry::LINE.cast_signed());
        let end = (lines.len() + 1).saturating_sub(block_lines(columns) as usize);
        let end = _mm512_set1_epi64(end as i64);
        self.slots(|entries| {
            let within = _mm512_cmplt_epu64_mask(_mm512_and_si512(entries, line), end);
            _mm512_mask_testn_epi64_mask(within, _mm512_xor_si512(entries, wanted), bits)
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

/// The index that the bits of two words make up.
#[target_feature(enable = "bmi2,popcnt")]
#[inline]
fn place(key: [u64; 2], bits: [u64; 2]) -> usize {
    let [low, high] = [_pext_u64(key[0], bits[0]), _pext_u64(key[1], bits[1])];
    (low | high << (bits[0].count_ones() & 63)) as usize
}

/// Takes the entries of `select`, which are all `root`, to the leaves that their keys lead to.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,bmi1,bmi2,popcnt")]
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
        let word = unsafe { &*words.add(at.min(last)) };
        // Nodes change in place, and what they refer to comes before that.
        word.load(Acquire)
    };
    let go = |entry: u64| {
        let line = lines.as_ptr().wrapping_add(Entry(entry).line() as usize);
        _mm_prefetch::<_MM_HINT_T0>(line.cast());
        Entry(entry)
    };
    // All go down one node in a round, so that their loads overlap.
    let first = root.line() as usize * LINE_WORDS;
    let bits = [word(first), word(first + 1)];
    let [low, high] = root.words().map(|word| &keys.words[word.min(W - 1)]);
    if select == u64::MAX {
        for (entry, (low, high)) in entries.0.iter_mut().zip(low.iter().zip(high)) {
            *entry = go(word(first + NODE_CHILDREN + place([*low, *high], bits)));
        }
    } else {
        for_each(select, |slot| {
            entries.0[slot] =
                go(word(first + NODE_CHILDREN + place([low[slot], high[slot]], bits)));
        });
    }
    let mut nodes = select & entries.having(Entry::NODE);
    while nodes != 0 {
        for_each(nodes, |slot| {
            let node = entries.0[slot];
            let first = node.line() as usize * LINE_WORDS;
            let key = node.words().map(|word| keys.words[word.min(W - 1)][slot]);
            let bits = [word(first), word(first + 1)];
            entries.0[slot] = go(word(first + NODE_CHILDREN + place(key, bits)));
        });
        nodes &= entries.having(Entry::NODE);
    }
}

/// Looks through the leaves of `left`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,bmi1,bmi2,popcnt")]
#[inline]
fn scan<const W: usize, const F: usize>(
    lines: &[Line],
    keys: &Keys<W>,
    entries: &mut Entries,
    mut left: u64,
    matches: &mut Matches<F>,
) {
    // Those of a tree have the same columns, unless there were updates, and one block, mostly.
    while left != 0 {
        let columns = entries.0[left.trailing_zeros() as usize].columns();
        let scan = Scan { lines, keys, columns: columns & ((1 << (2 * W)) - 1) };
        left = match (W, columns) {
            (WORDS4, FIVE_TUPLE4) => scan.round::<F, FIVE_TUPLE4>(entries, left, matches),
            (WORDS6, FIVE_TUPLE6) => scan.round::<F, FIVE_TUPLE6>(entries, left, matches),
            _ => scan.round::<F, ANY>(entries, left, matches),
        };
    }
}

/// How leaves of certain columns are looked through; if a kernel's `COLUMNS` is not [`ANY`], it is
/// these.
struct Scan<'a, const W: usize> {
    lines: &'a [Line],
    keys: &'a Keys<W>,
    columns: u32,
}

impl<const W: usize> Scan<'_, W> {
    /// Looks through the first block of each leaf of `left` that has these columns, and returns of
    /// which slots others are left.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,bmi1,bmi2,popcnt")]
    #[inline]
    fn round<const F: usize, const COLUMNS: u32>(
        &self,
        entries: &mut Entries,
        left: u64,
        matches: &mut Matches<F>,
    ) -> u64 {
        let columns = if COLUMNS == ANY { self.columns } else { COLUMNS };
        let alike = left & entries.of_columns(columns, self.lines);
        let more = alike & entries.having(Entry::MORE_BLOCKS);
        for_each(alike & !more, |slot| {
            let leaf = entries.0[slot];
            // SAFETY: it has these columns, and its block lies within the lines.
            unsafe { self.block::<F, COLUMNS>(slot, leaf, leaf.last(), matches) };
        });
        for_each(more, |slot| {
            let leaf = entries.0[slot];
            // SAFETY: it has these columns, and its first block lies within the lines.
            unsafe { self.block::<F, COLUMNS>(slot, leaf, BLOCK, matches) };
            entries.0[slot] = leaf.behind(columns);
        });
        // The lowest is done with in any case, so this comes to an end.
        left & (left - 1) & !alike | more
    }

    /// Compares the key in `slot` with the first `rules` rules of a leaf, which are in one block.
    ///
    /// # Safety
    /// The block lies within the lines.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,bmi1,bmi2,popcnt")]
    #[inline]
    unsafe fn block<const F: usize, const COLUMNS: u32>(
        &self,
        slot: usize,
        leaf: Entry,
        rules: usize,
        matches: &mut Matches<F>,
    ) {
        let columns = if COLUMNS == ANY { self.columns } else { COLUMNS };
        let words = self.keys.words.as_ptr().cast::<u32>();
        let own = words.wrapping_add(2 * (slot & (VECTOR - 1)));
        let key = |column: usize| {
            let at = own.wrapping_add((column >> 1) * 2 * VECTOR + (column & 1));
            // SAFETY: the column is one of the key's, the slot one of the vector's.
            _mm512_set1_epi32(unsafe { at.read() }.cast_signed())
        };
        let block = self.lines.as_ptr().wrapping_add(leaf.line() as usize).cast::<__m512i>();
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
        let own = _bzhi_u32(u32::MAX, rules as u32) << leaf.lane();
        let hit = u32::from(_mm512_testn_epi32_mask(differ, differ)) & own;
        let results = block.wrapping_add(block_lines(columns) as usize - 2).cast::<u64>();
        // Without a branch: whether a leaf has a match is anybody's guess.
        let mut offer = |feature, hit: u32| {
            let first = hit.trailing_zeros() as usize;
            // SAFETY: lanes are sixteen, results as many.
            let found = unsafe { results.add(first & (BLOCK - 1)).read() };
            matches.offer(feature, slot, found | u64::from(hit == 0).wrapping_neg());
        };
        if F == 1 {
            offer(0, hit);
        } else {
            // The upper two bits of a rank are its feature.
            let lines = [next(), next()];
            let has = |bit: u64| {
                let bit = _mm512_set1_epi64(bit.cast_signed());
                let [low, high] = lines.map(|line| u16::from(_mm512_test_epi64_mask(line, bit)));
                u32::from(_mm512_kunpackb(high, low))
            };
            let (odd, upper) = (has(1 << 62), if F > 2 { has(1 << 63) } else { 0 });
            let of = [!odd & !upper, odd & !upper, !odd & upper, odd & upper];
            of.into_iter().take(F).enumerate().for_each(|(feature, of)| offer(feature, hit & of));
        }
    }
}
