//! The portable lookup, which the kernels are checked against.

use super::{FAN, Image, LEAF, NODE, SEPARATORS, SPAN, SPLIT, Shape, TABLE, TREE, kind, payload};
use std::sync::atomic::Ordering::Acquire;

impl Image<'_> {
    /// Returns the leaf of one address.
    pub(in crate::fib) fn lookup<A: Shape>(&self, key: A) -> u32 {
        self.through_spans(self.first_entry(key), key, A::FIRST_SPAN)
    }

    /// Returns the leaf above the first span of `key`, or the entry that stands for that span.
    pub(super) fn first_entry<A: Shape>(&self, key: A) -> u32 {
        let mut at = SPAN;
        let mut entry = self.root[key.field(0, SPAN) as usize].load(Acquire);
        for &bits in A::TABLES {
            if kind(entry) != TABLE {
                break;
            }
            entry = self.slot(payload(entry), key.field(at, bits)).load(Acquire);
            at += bits;
        }
        entry
    }

    /// Returns the leaf of `key` below `entry`, which stands for a span that begins at bit `at`.
    fn through_spans<A: Shape>(&self, mut entry: u32, key: A, mut at: u8) -> u32 {
        while kind(entry) != LEAF && at < A::BITS {
            let value = self.search(entry, key.field(at, SPAN));
            let Some(id) = usize::from(value).checked_sub(self.deep_from()) else {
                return value.into();
            };
            entry = self.deep[id].load(Acquire);
            at += SPAN;
        }
        payload(entry) & 0xffff
    }

    /// Returns the value of a 16-bit key in the span that `entry` stands for.
    pub(super) fn search(&self, mut entry: u32, key: u32) -> u16 {
        if kind(entry) == TABLE {
            entry = self.slot(payload(entry), key >> SPLIT).load(Acquire);
        }
        let line = payload(entry);
        match kind(entry) {
            NODE => self.leaf_line(line, key),
            TREE => self.leaf_line(line + 1 + self.below(line, SEPARATORS, key), key),
            _ => (payload(entry) & 0xffff) as u16,
        }
    }

    fn leaf_line(&self, line: u32, key: u32) -> u16 {
        // The last bound is never below a key in an intact image; the clamp holds in any other.
        self.half(line, FAN + (self.below(line, FAN, key) as usize).min(FAN - 1))
    }

    /// Returns how many of the first `count` bounds of a line are below `key`.
    fn below(&self, line: u32, count: usize, key: u32) -> u32 {
        (0..count).map(|i| u32::from(u32::from(self.half(line, i)) < key)).sum()
    }
}
