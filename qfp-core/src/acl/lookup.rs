//! Lookups: down the trees, then through the leaves, for a vector of keys.

use hal::{PacketMask, VECTOR};

use crate::acl::classifier::FEATURES;
use crate::acl::image::{Choice, Entry, LINE_WORDS, Line, NODE_CHILDREN, TREES};
use crate::acl::key::{Keys, range_columns};
use crate::acl::leaf::stored;
use crate::acl::simd;
use crate::acl::space::read;
use crate::isa::Isa;
use std::sync::atomic::Ordering::{Acquire, Relaxed};

/// No rule matches.
pub const NO_MATCH: u32 = u32::MAX;

/// First matches of a vector of keys: for each of the first `F` features and each slot, what the
/// rule's owner wanted to be told.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub struct Matches<const F: usize> {
    /// Rank (upper half) and result of the best rule so far; all ones when there is none.
    pub(super) best: [[u64; VECTOR]; F],
}

impl<const F: usize> Matches<F> {
    /// No matches.
    #[must_use]
    pub fn new() -> Self {
        const { assert!(F > 0 && F <= FEATURES) };
        Self { best: [[u64::MAX; VECTOR]; F] }
    }

    /// Forgets what was found.
    #[inline]
    pub fn clear(&mut self) {
        self.best = [[u64::MAX; VECTOR]; F];
    }

    /// The result of the first match of a feature; [`NO_MATCH`] when there is none.
    #[inline]
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is wanted")]
    pub fn result(&self, feature: usize, slot: usize) -> u32 {
        self.best[feature][slot & (VECTOR - 1)] as u32
    }

    /// The results of a feature, slot by slot.
    #[inline]
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is wanted")]
    pub fn results(&self, feature: usize) -> [u32; VECTOR] {
        std::array::from_fn(|slot| self.best[feature][slot] as u32)
    }

    /// Takes a match of `slot` over if it is better than what is there.
    #[inline(always)]
    pub(super) fn offer(&mut self, feature: usize, slot: usize, found: u64) {
        let best = &mut self.best[feature][slot & (VECTOR - 1)];
        *best = found.min(*best);
    }
}

impl<const F: usize> Default for Matches<F> {
    fn default() -> Self {
        Self::new()
    }
}

/// Images to look up in.
#[derive(Clone, Copy, Debug)]
pub struct Tcam<'a> {
    lines: &'a [Line],
    isa: Isa,
}

impl<'a> Tcam<'a> {
    /// The images in `lines`; nothing matches when there are none.
    #[inline]
    #[must_use]
    pub fn new(lines: &'a [Line], isa: Isa) -> Self {
        Self { lines, isa }
    }

    /// The columns that any rule of an object asks for ([`range_columns`] says how they are
    /// numbered): words of a key that have none of them need not be filled in.
    #[inline]
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "columns are 32 bits")]
    pub fn columns(&self, object: u32) -> u32 {
        self.lines.get(object as usize).map_or(0, |line| line.words[TREES].load(Relaxed) as u32)
    }

    /// Adds the first match of each feature for the keys in `select` to `matches`.
    ///
    /// `F` must cover the features of the object's rules. Some 30 cycles a key and tree; an object
    /// has one to three trees, one more for rules that came later.
    #[inline]
    pub fn look_up<const W: usize, const F: usize>(
        &self,
        object: u32,
        keys: &Keys<W>,
        select: PacketMask,
        matches: &mut Matches<F>,
    ) {
        let Some(header) = self.lines.get(object as usize) else { return };
        for tree in &header.words[..TREES] {
            let root = Entry(tree.load(Relaxed));
            if root == Entry::EMPTY {
                continue;
            }
            match self.isa {
                Isa::Avx512 => simd::look_up(self.lines, root, keys, select, matches),
                Isa::Avx2 | Isa::Portable => look_up(self.lines, root, keys, select, matches),
            }
        }
    }
}

/// Looks keys up in one tree.
pub(super) fn look_up<const W: usize, const F: usize>(
    lines: &[Line],
    root: Entry,
    keys: &Keys<W>,
    select: PacketMask,
    matches: &mut Matches<F>,
) {
    let last = lines.len() * LINE_WORDS - 1;
    let word = |at: usize| {
        let at = at.min(last);
        // Acquire: nodes change in place, and what they refer to comes before that.
        lines[at / LINE_WORDS].words[at % LINE_WORDS].load(Acquire)
    };
    let mut entries = [root; VECTOR];
    let mut nodes = if root.is_node() { select } else { PacketMask::EMPTY };
    // All go down one node in a round, so that their loads overlap.
    while !nodes.is_empty() {
        for slot in nodes {
            let node = entries[slot & (VECTOR - 1)];
            let first = node.line() as usize * LINE_WORDS;
            let choice = Choice { words: node.words(), bits: [word(first), word(first + 1)] };
            let place = choice.extract(|word| keys.words[word.min(W - 1)][slot & (VECTOR - 1)]);
            let child = Entry(word((first + NODE_CHILDREN).saturating_add(place)));
            entries[slot & (VECTOR - 1)] = child;
            if !child.is_node() {
                nodes.remove(slot);
            }
        }
    }
    scan(lines, keys, select, &entries, matches);
}

/// Looks through the leaves that `entries` name.
fn scan<const W: usize, const F: usize>(
    lines: &[Line],
    keys: &Keys<W>,
    select: PacketMask,
    entries: &[Entry; VECTOR],
    matches: &mut Matches<F>,
) {
    for slot in select {
        let leaf = entries[slot & (VECTOR - 1)];
        if !leaf.is_leaf() || !fits(lines, leaf) {
            continue;
        }
        for (mut line, lanes) in leaf.blocks() {
            let mut hit = u32::MAX;
            for column in stored(leaf.columns(), W) {
                let key = half(keys.words[(column / 2).min(W - 1)][slot & (VECTOR - 1)], column);
                let is_range = range_columns(W) >> column & 1 != 0;
                for lane in lanes.clone() {
                    let value = half(read(lines, line, lane / 2), lane);
                    let mask = half(read(lines, line + 1, lane / 2), lane);
                    let met = if is_range {
                        let within = |shift: u32| {
                            let part = |word: u32| word >> shift & 0xffff;
                            part(key).wrapping_sub(part(value)) & 0xffff <= part(mask)
                        };
                        within(0) && within(16)
                    } else {
                        (key ^ value) & mask == 0
                    };
                    hit &= !(u32::from(!met) << lane);
                }
                line += 2;
            }
            for lane in lanes.filter(|lane| hit >> lane & 1 != 0) {
                let found = read(lines, line, lane);
                let feature = (found >> 62) as usize;
                if feature < F {
                    matches.offer(feature, slot, found);
                }
            }
        }
    }
}

/// Whether a leaf lies within the lines: true for every leaf of an intact image.
#[inline]
pub(super) fn fits(lines: &[Line], leaf: Entry) -> bool {
    leaf.line() as usize + leaf.lines() as usize <= lines.len()
}

/// An element: 32 bits of a word.
#[expect(clippy::cast_possible_truncation, reason = "the half that is wanted")]
fn half(word: u64, element: usize) -> u32 {
    (word >> (32 * (element % 2))) as u32
}
