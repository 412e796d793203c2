//! Some packets of a batch.

use hal::crypto::BATCH;

/// A bit for each packet.
#[derive(Clone, Copy, Default)]
pub(super) struct Select(u64);

impl Select {
    #[inline]
    pub(super) const fn add(&mut self, i: usize) {
        self.0 |= 1 << (i % BATCH);
    }

    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    #[inline]
    pub(super) const fn has(self, i: usize) -> bool {
        self.0 >> (i % BATCH) & 1 == 1
    }

    pub(super) const fn first(self) -> Option<usize> {
        if self.has(0) { Some(0) } else { self.after(0) }
    }

    /// The first one after packet `i`.
    #[inline]
    pub(super) const fn after(self, i: usize) -> Option<usize> {
        match self.0 & (u64::MAX << (i % BATCH) << 1) {
            0 => None,
            later => Some(later.trailing_zeros() as usize),
        }
    }

    /// Drops those that are not in `mask`.
    pub(super) const fn keep(&mut self, mask: u64) {
        self.0 &= mask;
    }
}
