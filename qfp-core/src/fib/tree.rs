//! The image format shared by the compact IPv4 table and the IPv6 table.
//!
//! The first 16 bits of an address index the root. From there on an *entry* says what comes next:
//!
//! | kind | payload | meaning |
//! |---|---|---|
//! | `LEAF` | value | the answer for everything below |
//! | `NODE` | line | a span of 16 bits in at most 16 intervals: one line |
//! | `TREE` | line | a span in at most 528 intervals: a line of separators, then up to 33 lines |
//! | `TABLE` | line | one entry for each value of the next bits |
//!
//! A leaf line holds 16 bounds and 16 values, both `u16`. A bound is the last key of its interval,
//! so the interval of a key has the index "number of bounds below the key"; unused bounds are
//! `0xffff`, which no key exceeds. A separator line is 32 bounds that choose a leaf line the same
//! way. A span in more than 528 intervals is a table over its upper 8 bits first.
//!
//! IPv6 puts tables of 12 and 4 bits between the root and the first span (they are nearly dense
//! there), and a value from `65536 - deep.len()` up is the number of the entry for the next span.
//! IPv4 needs neither: its one span reaches to /32.

mod build;
mod nodes;
mod reader;
pub(super) mod simd;
mod writer;

pub(super) use writer::Writer;

use super::{Address, ShapeError};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// One cache line of an image.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct Line(pub(super) [AtomicU32; WORDS]);

/// 32-bit words in a line.
pub(super) const WORDS: usize = 16;
/// Intervals of a leaf line.
pub(super) const FAN: usize = 16;
/// Separators of a separator line.
pub(super) const SEPARATORS: usize = 32;
/// Intervals of the largest node without a table.
pub(super) const TREE_MAX: usize = (SEPARATORS + 1) * FAN;
/// Elements of the root.
pub(super) const ROOT: usize = 1 << 16;
/// The upper bits of a span that a table resolves when the span is crowded.
pub(super) const SPLIT: u8 = 8;
/// Bits of a span.
pub(super) const SPAN: u8 = 16;

pub(super) const LEAF: u32 = 0;
pub(super) const NODE: u32 = 1;
pub(super) const TREE: u32 = 2;
pub(super) const TABLE: u32 = 3;

/// An entry's kind sits in its upper bits.
pub(super) const KIND_SHIFT: u32 = 30;
/// The rest is a value or the number of a line.
pub(super) const PAYLOAD: u32 = (1 << KIND_SHIFT) - 1;
/// A line for the empty separators, one for a node, and as many as separators can lead past the
/// last node: readers clamp the node, not the sum.
const MIN_LINES: usize = 2 + SEPARATORS;
/// Lines an image may have, so that the index of an entry in them stays below 2^30.
const MAX_LINES: usize = 1 << 26;

pub(super) fn entry(kind: u32, payload: u32) -> u32 {
    kind << KIND_SHIFT | payload
}

pub(super) fn kind(entry: u32) -> u32 {
    entry >> KIND_SHIFT
}

pub(super) fn payload(entry: u32) -> u32 {
    entry & PAYLOAD
}

/// How an address family is cut below the root.
pub(super) trait Shape: Address {
    /// Widths of the tables between the root and the first span.
    const TABLES: &'static [u8];

    /// The depth at which the first span begins.
    const FIRST_SPAN: u8;

    /// Returns the width of the table that stands at depth `len`, if one does.
    fn table_at(len: u8) -> Option<u8> {
        let mut at = SPAN;
        for &bits in Self::TABLES {
            if at == len {
                return Some(bits);
            }
            at += bits;
        }
        None
    }

    /// Returns the depth at which the span begins that holds depth `len`.
    fn span_of(len: u8) -> u8 {
        Self::FIRST_SPAN + (len - Self::FIRST_SPAN) / SPAN * SPAN
    }
}

impl Shape for u32 {
    const TABLES: &'static [u8] = &[];
    const FIRST_SPAN: u8 = 16;
}

impl Shape for u128 {
    const TABLES: &'static [u8] = &[12, 4];
    const FIRST_SPAN: u8 = 32;
}

/// The arrays of an image.
#[derive(Clone, Copy, Debug)]
pub(super) struct Image<'a> {
    pub(super) root: &'a [AtomicU32; ROOT],
    pub(super) lines: &'a [Line],
    pub(super) deep: &'a [AtomicU32],
}

impl<'a> Image<'a> {
    pub(super) fn new(
        root: &'a [AtomicU32],
        lines: &'a [Line],
        deep: &'a [AtomicU32],
    ) -> Result<Self, ShapeError> {
        let shape = |array, len, expected| ShapeError { array, len, expected };
        if !(MIN_LINES..=MAX_LINES).contains(&lines.len()) {
            return Err(shape("lines", lines.len(), "34 to 2^26"));
        }
        if deep.len() >= 1 << 16 {
            return Err(shape("deep", deep.len(), "at most 65,535"));
        }
        let found = root.len();
        let root = root.try_into().map_err(|_| shape("root", found, "65,536"))?;
        Ok(Self { root, lines, deep })
    }

    /// The first value that is the number of a deep entry.
    pub(super) fn deep_from(&self) -> usize {
        (1 << 16) - self.deep.len()
    }

    /// The entry number `slot` of the table at `line`.
    pub(super) fn slot(&self, line: u32, slot: u32) -> &'a AtomicU32 {
        let at = (line as usize * WORDS + slot as usize).min(self.lines.len() * WORDS - 1);
        &self.lines[at / WORDS].0[at % WORDS]
    }

    /// The line of that number, or the last.
    pub(super) fn line(&self, line: u32) -> &'a Line {
        &self.lines[(line as usize).min(self.lines.len() - 1)]
    }

    /// The 16-bit number `half` of a line, in the order of their addresses.
    pub(super) fn half(&self, line: u32, half: usize) -> u16 {
        let word = self.line(line).0[half / 2].load(Relaxed);
        let bytes = word.to_ne_bytes();
        if half.is_multiple_of(2) {
            u16::from_ne_bytes([bytes[0], bytes[1]])
        } else {
            u16::from_ne_bytes([bytes[2], bytes[3]])
        }
    }
}
