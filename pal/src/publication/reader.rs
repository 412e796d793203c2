use super::root::{Generation, Root, Seen};
use super::state::{ReaderSlot, ReaderTable, RootTable, Word};
use crate::faults;
use crate::shared::Shared;
use std::cell::Cell;
use std::marker::PhantomData;

/// One lcore's access to the published tables. Wait-free: no lock, allocation or system call.
///
/// It holds up every grace period from its creation on, so its thread should soon start to call
/// [`quiescent`](Self::quiescent), or be [`offline`](Self::offline). Dropping it signs it off.
#[derive(Debug)]
pub struct Reader {
    roots: Shared<RootTable>,
    readers: Shared<ReaderTable>,
    slot: usize,
    /// May move to another thread, not be shared by two.
    one_thread: PhantomData<Cell<()>>,
}

impl Reader {
    /// The caller has claimed `slot` for this reader alone.
    pub(super) fn new(roots: Shared<RootTable>, readers: Shared<ReaderTable>, slot: usize) -> Self {
        let reader = Self { roots, readers, slot, one_thread: PhantomData };
        reader.slot().online(reader.roots.current());
        reader
    }

    #[inline]
    fn slot(&self) -> &ReaderSlot {
        // Bounded by the array's length when the slot was claimed.
        &self.readers.0[self.slot]
    }

    /// The present root. Call once per vector: two calls may give two generations.
    ///
    /// One Acquire load, which is a plain load on x86-64.
    #[inline]
    #[must_use]
    pub fn root(&self) -> Root<'_> {
        let word = self.roots.current();
        Root::of(self.roots.root(word), Seen(word))
    }

    /// Says that no reference from before is held. Call between vectors.
    ///
    /// One load and one store to a line that only this lcore writes.
    #[inline]
    pub fn quiescent(&mut self) {
        let seen = self.roots.current();
        self.slot().set(seen);
    }

    /// Says that no reference from before `seen` is held, a moment of this reader's: for an lcore
    /// that keeps row numbers beyond a vector, until whoever works with them has finished.
    #[inline]
    pub fn quiescent_since(&mut self, seen: Seen) {
        self.slot().set(seen.0);
    }

    /// Runs `sleep` without holding up grace periods, for an lcore that waits or does other work.
    ///
    /// Coming back costs one fence.
    pub fn offline<R>(&mut self, sleep: impl FnOnce() -> R) -> R {
        /// Comes back even when `sleep` panics.
        struct Online<'a>(&'a Reader);
        impl Drop for Online<'_> {
            fn drop(&mut self) {
                self.0.slot().online(self.0.roots.current());
            }
        }
        self.slot().set(Word::OFFLINE);
        let _online = Online(self);
        sleep()
    }

    /// The generation that a vector starting now would run.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.root().generation()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if !faults::is_dead() {
            self.slot().set(Word::VACANT);
        }
    }
}

#[cfg(not(loom))]
pub use site::ReaderSite;

#[cfg(not(loom))]
mod site {
    use super::{Reader, ReaderTable, RootTable};
    use crate::publication::MAX_READERS;
    use crate::region::{Block, ReadOnly, ReadWrite, ViewError};

    /// Where a reader in another process finds its place: plain numbers, to be sent as they are.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
    pub struct ReaderSite {
        /// Offset of the roots in the region of tables.
        pub roots: u64,
        /// Offset of the readers' slots in the region of those.
        pub readers: u64,
        /// The reader's slot.
        pub slot: u16,
    }

    impl Reader {
        /// The reader at a site that the publisher's process has sent.
        ///
        /// # Errors
        /// The site does not lie in these regions.
        ///
        /// # Safety
        /// `site` must come from
        /// [`Publisher::register_remote`](crate::publication::Publisher::register_remote) for
        /// these two regions and be attached at most once at a time.
        pub unsafe fn attach(
            tables: &ReadOnly,
            slots: &ReadWrite,
            site: ReaderSite,
        ) -> Result<Self, ViewError> {
            // SAFETY: the caller vouches that both offsets are those of these tables.
            let (roots, readers) = unsafe {
                let roots = Block::<RootTable>::from_raw_parts(site.roots, 1);
                (roots, Block::<ReaderTable>::from_raw_parts(site.readers, 1))
            };
            let slot = usize::from(site.slot);
            if slot >= MAX_READERS {
                let capacity = MAX_READERS;
                return Err(ViewError::OutOfBounds {
                    offset: u64::from(site.slot),
                    len: 1,
                    capacity,
                });
            }
            Ok(Self::new(tables.share_one(roots)?, slots.share_one(readers)?, slot))
        }
    }
}
