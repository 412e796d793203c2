//! What publisher and readers share: two tables of atomics, on the heap or in mapped regions.

use super::atomic::{AtomicU64, Ordering, fence};
use super::root::RootBlock;
use super::{MAX_READERS, MAX_ROOTS};
use std::array;

/// An epoch and the number of its root, in one word. Later words are larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Word(pub(super) u64);

impl Word {
    /// Slot without a reader. Below every epoch, which start at one.
    pub(super) const VACANT: Self = Self(0);
    /// Slot of a reader that holds no reference. Beyond every epoch.
    pub(super) const OFFLINE: Self = Self(u64::MAX);
    const ROOT_BITS: u32 = MAX_ROOTS.trailing_zeros();
    const ROOT_MASK: u64 = MAX_ROOTS as u64 - 1;

    pub(super) const fn new(epoch: u64, root: usize) -> Self {
        Self(epoch << Self::ROOT_BITS | root as u64 & Self::ROOT_MASK)
    }

    pub(super) const fn epoch(self) -> u64 {
        self.0 >> Self::ROOT_BITS
    }

    #[inline]
    pub(super) const fn root(self) -> usize {
        // At most MAX_ROOTS - 1, so no bits are lost.
        (self.0 & Self::ROOT_MASK) as u8 as usize
    }
}

/// Written by the publisher alone.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct RootTable {
    current: AtomicU64,
    pub(super) roots: [RootBlock; MAX_ROOTS],
}

impl RootTable {
    pub(super) fn new() -> Self {
        let current = AtomicU64::new(Word::new(1, 0).0);
        Self { current, roots: array::from_fn(|_| RootBlock::empty()) }
    }

    #[inline]
    pub(super) fn current(&self) -> Word {
        Word(self.current.load(Ordering::Acquire))
    }

    /// Shows `word` to readers; everything stored before is visible to whoever sees it.
    pub(super) fn advance(&self, word: Word) {
        self.current.store(word.0, Ordering::Release);
        // Pairs with the fence in `ReaderSlot::online`: what the publisher reads from the slots
        // after this is either the returning reader's word, or that reader sees `word`.
        fence(Ordering::SeqCst);
    }

    #[inline]
    pub(super) fn root(&self, word: Word) -> &RootBlock {
        // `Word::root` is below MAX_ROOTS by its mask.
        &self.roots[word.root()]
    }
}

/// One slot per reader, written by that reader (and by the publisher while it has none).
#[derive(Debug)]
#[repr(C)]
pub(super) struct ReaderTable(pub(super) [ReaderSlot; MAX_READERS]);

impl ReaderTable {
    pub(super) fn new() -> Self {
        Self(array::from_fn(|_| ReaderSlot(AtomicU64::new(Word::VACANT.0))))
    }
}

/// What one reader has seen, alone in its cache line.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct ReaderSlot(AtomicU64);

impl ReaderSlot {
    /// Acquire: what the reader read before it stored this has been read.
    pub(super) fn get(&self) -> Word {
        Word(self.0.load(Ordering::Acquire))
    }

    /// Release: all reads of the reader come before.
    #[inline]
    pub(super) fn set(&self, word: Word) {
        self.0.store(word.0, Ordering::Release);
    }

    /// Takes part again, having seen `word`; see [`RootTable::advance`].
    pub(super) fn online(&self, word: Word) {
        self.set(word);
        fence(Ordering::SeqCst);
    }
}

#[cfg(not(loom))]
mod plain {
    use super::{ReaderTable, RootTable};
    use crate::region::Plain;

    // SAFETY: repr(C) and made of atomic integers alone; roots are masked before use as an index.
    unsafe impl Plain for RootTable {}
    // SAFETY: as above; every word is a state that readers and publisher understand.
    unsafe impl Plain for ReaderTable {}
}
