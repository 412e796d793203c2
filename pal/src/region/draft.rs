use super::block::Block;
use super::plain::Plain;
use super::writer::Region;
use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// An array in a region that only its holder knows: plain mutable memory, all zeroes at first.
///
/// Dropped without being published, it goes back to the region.
pub struct Draft<T: Plain> {
    region: Region,
    values: NonNull<[T]>,
    block: Block<T>,
}

impl<T: Plain> Draft<T> {
    /// # Safety
    /// `block` was just taken from `region`, `values` is where it lies in the writable mapping,
    /// and the memory is zeroed.
    pub(super) const unsafe fn new(region: Region, values: NonNull<[T]>, block: Block<T>) -> Self {
        Self { region, values, block }
    }

    /// Ends the writing: from now on there are shared references only.
    ///
    /// Nobody finds the block until a root or another table names it.
    #[must_use]
    pub fn publish(self) -> Block<T> {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` is never dropped nor used again, so the handle is dropped exactly once.
        unsafe { std::ptr::drop_in_place(&raw mut this.region) };
        this.block
    }
}

impl<T: Plain> Deref for Draft<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: in bounds and aligned (`Region::alloc`), zeroed or since written as `T`, and
        // mapped as long as `region` lives; nobody else has this block.
        unsafe { self.values.as_ref() }
    }
}

impl<T: Plain> DerefMut for Draft<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`, and `self` is borrowed exclusively.
        unsafe { self.values.as_mut() }
    }
}

impl<T: Plain> Drop for Draft<T> {
    fn drop(&mut self) {
        // SAFETY: the block was never published, so no view of it exists.
        unsafe { self.region.free(self.block) };
    }
}

impl<T: Plain> fmt::Debug for Draft<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Draft").field(&self.block).finish()
    }
}

// SAFETY: it owns its elements exclusively, and plain types may move between threads.
unsafe impl<T: Plain> Send for Draft<T> {}
// SAFETY: shared access gives `&[T]` only, and plain types are `Sync`.
unsafe impl<T: Plain> Sync for Draft<T> {}
