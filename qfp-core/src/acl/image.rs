//! The image: lines of 64 bytes that hold objects, nodes and leaves.
//!
//! An object is one line: up to seven trees, an [`Entry`] each and the rest empty, then the columns
//! that any rule asks for. An entry names a node or a leaf:
//!
//! - A node is two masks, of the bits of two words of a key that choose a child, then `2^k` entries;
//!   the bits of the first word, in the order of their places, are the lower ones of the index.
//! - A leaf is some of the sixteen lanes of a block, one for each of its rules in order of rank; or,
//!   when it has more rules, several whole blocks. A block holds two lines for each column that any
//!   of its rules asks for (values and masks, or lower ends and lengths of ranges), then two lines
//!   of results, each with the rank above it. Leaves of one tree share blocks.
//!
//! Leaves never change once a reader can see them, and of nodes only the children do, one store each:
//! an update writes new leaves and points nodes to them, or it writes new nodes, too, and an object's
//! number is then pointed to a new line.

use std::ops::Range;
use std::sync::atomic::AtomicU64;

pal::plain_struct! {
    /// A cache line of an image.
    #[derive(Debug, Default)]
    #[repr(align(64))]
    pub struct Line {
        /// Its words.
        pub(super) words: [AtomicU64; LINE_WORDS],
    }
}

/// 64-bit words in a line.
pub(super) const LINE_WORDS: usize = 8;
/// Trees of an object.
pub(super) const TREES: usize = LINE_WORDS - 1;
/// Lanes of a block.
pub(super) const BLOCK: usize = 16;
/// Most blocks of a leaf.
const BLOCKS: usize = 256;
/// Most rules of a leaf.
pub(super) const LEAF_MAX: usize = BLOCKS * BLOCK;
/// Where the children of a node begin, in words.
pub(super) const NODE_CHILDREN: usize = 2;
/// Most index bits of a node.
pub(super) const NODE_BITS: u32 = 12;

/// What a node asks of a key: bits of two of its words, which make up the index of a child.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) words: [usize; 2],
    pub(super) bits: [u64; 2],
}

impl Choice {
    /// How many bits.
    pub(super) fn count(self) -> u32 {
        self.bits[0].count_ones() + self.bits[1].count_ones()
    }

    /// The chosen bits of a key, given word by word, packed.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "an index of a node's children")]
    pub(super) fn extract(self, mut key: impl FnMut(usize) -> u64) -> usize {
        let [low, high] = [0, 1].map(|i| extract(key(self.words[i]), self.bits[i]));
        (low | high << (self.bits[0].count_ones() & 63)) as usize
    }
}

/// The bits of `value` at the places of `mask`, packed.
fn extract(value: u64, mask: u64) -> u64 {
    let (mut packed, mut at, mut rest) = (0, 0, mask);
    while rest != 0 {
        packed |= (value >> rest.trailing_zeros() & 1) << at;
        rest &= rest - 1;
        at += 1;
    }
    packed
}

/// A reference to a node or a leaf, with what is needed to read it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub(super) struct Entry(pub(super) u64);

impl Entry {
    /// Nothing below: no rule.
    pub(super) const EMPTY: Self = Self(0);
    /// Bits of the first line.
    pub(super) const LINE: u64 = (1 << 28) - 1;
    /// Bit of a node.
    pub(super) const NODE: u64 = 1 << 28;
    /// Bit of a leaf.
    pub(super) const LEAF: u64 = 2 << 28;
    /// Bits that a leaf of more than one block has, some of them.
    pub(super) const MORE_BLOCKS: u64 = (BLOCKS as u64 - 1) << 38;
    /// Bits of a leaf's columns.
    pub(super) const COLUMNS: u64 = u64::MAX << 46;

    /// The node at `line` that asks for bits of the words `words`.
    pub(super) fn node(line: u32, words: [usize; 2]) -> Self {
        Self(u64::from(line) | Self::NODE | (words[0] as u64) << 32 | (words[1] as u64) << 36)
    }

    /// The leaf from lane `lane` of the block at `line` on, of `rules` rules, 1 to [`LEAF_MAX`], which
    /// ask for `columns`.
    pub(super) fn leaf(line: u32, lane: usize, rules: usize, columns: u32) -> Self {
        let (more, last) = ((rules - 1) / BLOCK, (rules - 1) % BLOCK + 1);
        let shape = lane | (last - 1) << 4 | more << 8;
        Self(u64::from(line) | Self::LEAF | (shape as u64) << 30 | u64::from(columns) << 46)
    }

    #[inline(always)]
    pub(super) fn is_node(self) -> bool {
        self.0 & Self::NODE != 0
    }

    #[inline(always)]
    pub(super) fn is_leaf(self) -> bool {
        self.0 & Self::LEAF != 0
    }

    /// First line.
    #[inline(always)]
    pub(super) fn line(self) -> u32 {
        (self.0 & Self::LINE) as u32
    }

    /// Of a node: the words of the key.
    #[inline(always)]
    pub(super) fn words(self) -> [usize; 2] {
        [(self.0 >> 32 & 15) as usize, (self.0 >> 36 & 15) as usize]
    }

    /// Of a leaf: its first lane in each of its blocks.
    #[inline(always)]
    pub(super) fn lane(self) -> usize {
        (self.0 >> 30 & 15) as usize
    }

    /// Of a leaf: rules of its last block; each before it has [`BLOCK`].
    #[inline(always)]
    pub(super) fn last(self) -> usize {
        (self.0 >> 34 & 15) as usize + 1
    }

    /// Of a leaf: blocks before the last.
    #[inline(always)]
    pub(super) fn more(self) -> u32 {
        (self.0 >> 38 & 0xff) as u32
    }

    /// Of a leaf of more than one block, which has these columns: all but the first.
    #[inline(always)]
    pub(super) fn behind(self, columns: u32) -> Self {
        Self(self.0 - (1 << 38) + u64::from(block_lines(columns)))
    }

    /// Of a leaf: its rules.
    pub(super) fn rules(self) -> usize {
        self.more() as usize * BLOCK + self.last()
    }

    /// Of a leaf: the first line of each of its blocks, and the lanes of its rules there.
    pub(super) fn blocks(self) -> impl Iterator<Item = (u32, Range<usize>)> {
        let blocks = if self.is_leaf() { self.more() + 1 } else { 0 };
        (0..blocks).map(move |block| {
            let rules = if block == self.more() { self.last() } else { BLOCK };
            let line = self.line() + block * block_lines(self.columns());
            (line, self.lane()..(self.lane() + rules).min(BLOCK))
        })
    }

    /// Of a leaf: its columns.
    #[inline(always)]
    pub(super) fn columns(self) -> u32 {
        (self.0 >> 46) as u32
    }

    /// Of a leaf: its lines.
    pub(super) fn lines(self) -> u32 {
        (self.more() + 1) * block_lines(self.columns())
    }
}

/// Lines of a block, of which the results are the last two.
#[inline(always)]
pub(super) const fn block_lines(columns: u32) -> u32 {
    2 * columns.count_ones() + 2
}

/// Lines of a node with `children` entries.
#[expect(clippy::cast_possible_truncation, reason = "at most 4096 children")]
pub(super) const fn node_lines(children: usize) -> u32 {
    (NODE_CHILDREN + children).div_ceil(LINE_WORDS) as u32
}
