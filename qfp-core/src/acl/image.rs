//! The image: lines of 64 bytes that hold objects, nodes and leaves.
//!
//! An object is one line: up to seven trees, an [`Entry`] each and the rest empty, then the columns
//! that any rule asks for. An entry
//! names a node or a leaf:
//!
//! - A node is a word, the mask of the bits of a key that choose a child, then `2^k` entries; the
//!   bits are extracted to an index in the order of their places.
//! - A leaf is blocks of up to 16 rules in order of rank. A block holds two arrays for each column
//!   that any rule of the leaf asks for (values and masks, or lower ends and lengths of ranges), an
//!   array of results, each with the rank above it. Arrays of a block have as many elements as it has rules,
//!   rounded up to a multiple of four.
//!
//! Nodes and leaves never change once a reader can see them; an update writes new ones, and an
//! object's number is then pointed to a new line.

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
/// Rules in a block of a leaf.
pub(super) const BLOCK: usize = 16;
/// Most lines of a leaf of one block: all columns there can be.
pub(super) const BLOCK_LINES: usize = 2 * 22 + 2;
/// Most rules of a leaf.
pub(super) const LEAF_MAX: usize = 4095;
/// Most index bits of a node.
pub(super) const NODE_BITS: u32 = 12;

/// A reference to a node or a leaf, with what is needed to read it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub(super) struct Entry(pub(super) u64);

const LINE: u64 = (1 << 28) - 1;

impl Entry {
    /// Nothing below: no rule.
    pub(super) const EMPTY: Self = Self(0);
    /// Bit of a node.
    pub(super) const NODE: u64 = 1 << 28;
    /// Bit of a leaf.
    pub(super) const LEAF: u64 = 2 << 28;

    /// The node at `line` whose index is taken from word `word` of the key.
    pub(super) fn node(line: u32, word: usize) -> Self {
        Self(u64::from(line) | Self::NODE | (word as u64) << 32)
    }

    /// The leaf at `line` of `rules` rules, which ask for `columns`.
    pub(super) fn leaf(line: u32, rules: usize, columns: u32) -> Self {
        Self(u64::from(line) | Self::LEAF | (rules as u64) << 30 | u64::from(columns) << 42)
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
        (self.0 & LINE) as u32
    }

    /// Of a node: the word of the key.
    #[inline(always)]
    pub(super) fn word(self) -> usize {
        (self.0 >> 32 & 15) as usize
    }

    /// Of a leaf: its rules.
    #[inline(always)]
    pub(super) fn rules(self) -> usize {
        (self.0 >> 30 & 0xfff) as usize
    }

    /// Of a leaf: its columns.
    #[inline(always)]
    pub(super) fn columns(self) -> u32 {
        (self.0 >> 42) as u32
    }
}

/// Elements of the arrays of a block of `rules` rules.
#[inline(always)]
pub(super) const fn stride(rules: usize) -> usize {
    (rules + 3) & !3
}

/// 32-bit elements of a leaf.
pub(super) const fn leaf_elements(rules: usize, columns: u32) -> usize {
    let arrays = 2 * columns.count_ones() as usize + 2;
    let (full, rest) = (rules / BLOCK, rules % BLOCK);
    arrays * (full * BLOCK + stride(rest))
}

/// Lines of a leaf.
#[expect(clippy::cast_possible_truncation, reason = "at most 4095 rules")]
pub(super) const fn leaf_lines(rules: usize, columns: u32) -> u32 {
    leaf_elements(rules, columns).div_ceil(2 * LINE_WORDS) as u32
}

/// Lines of a node with `children` entries.
#[expect(clippy::cast_possible_truncation, reason = "at most 4096 children")]
pub(super) const fn node_lines(children: usize) -> u32 {
    (children + 1).div_ceil(LINE_WORDS) as u32
}
