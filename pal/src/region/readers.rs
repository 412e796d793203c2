use super::RegionError;
use super::block::{Block, ViewError};
use super::mapping::{Mapping, sealed_size};
use super::plain::Plain;
use crate::shared::Shared;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::slice;
use std::sync::Arc;

/// A region mapped for reading; a write through it faults. Clones share the mapping.
#[derive(Clone, Debug)]
pub struct ReadOnly(Arc<Mapping>);

/// A region that somebody else allocates and this side may write, through atomics.
///
/// For what lcores change: token buckets, counters, the generations they run.
#[derive(Clone, Debug)]
pub struct ReadWrite(Arc<Mapping>);

impl ReadOnly {
    /// Maps a region made by another process.
    ///
    /// # Errors
    /// The descriptor is not a region's, or cannot be mapped.
    pub fn from_fd(fd: &OwnedFd) -> Result<Self, RegionError> {
        Self::of(fd, sealed_size(fd)?)
    }

    pub(super) fn of(fd: &OwnedFd, bytes: usize) -> Result<Self, RegionError> {
        Mapping::new(fd, bytes, libc::PROT_READ).map(|map| Self(Arc::new(map)))
    }

    /// The elements of a published block; bounds and alignment are checked. O(1).
    ///
    /// The slice stays mapped for as long as it is borrowed. It stays the same table only until
    /// the reader's next quiescent state: hold it for one vector, or use
    /// [`Tables::view`](crate::publication::Tables::view), which sees to that.
    ///
    /// # Errors
    /// The block is not of this region.
    #[inline]
    pub fn view<T: Plain>(&self, block: Block<T>) -> Result<&[T], ViewError> {
        view(&self.0, block)
    }

    /// Bytes mapped.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.0.bytes()
    }

    /// The first element, with its own hold on the mapping.
    pub(crate) fn share_one<T: Plain>(&self, block: Block<T>) -> Result<Shared<T>, ViewError> {
        share_one(&self.0, block)
    }
}

impl ReadWrite {
    /// Maps a region made by another process, for writing.
    ///
    /// # Errors
    /// The descriptor is not a region's, is read-only, or cannot be mapped.
    pub fn from_fd(fd: &OwnedFd) -> Result<Self, RegionError> {
        let bytes = sealed_size(fd)?;
        let map = Mapping::new(fd, bytes, libc::PROT_READ | libc::PROT_WRITE)?;
        Ok(Self(Arc::new(map)))
    }

    pub(super) const fn over(map: Arc<Mapping>) -> Self {
        Self(map)
    }

    /// The elements of a published block, whose atomics may be written. O(1).
    ///
    /// # Errors
    /// The block is not of this region.
    #[inline]
    pub fn view<T: Plain>(&self, block: Block<T>) -> Result<&[T], ViewError> {
        view(&self.0, block)
    }

    /// The elements at an offset that who has allocated them has told, and how many there are. This
    /// region is written through atomics alone, so that whatever lies there is some `T`.
    ///
    /// # Errors
    /// They do not lie in this region.
    pub fn view_at<T: Plain>(&self, (offset, len): (u64, u64)) -> Result<&[T], ViewError> {
        // SAFETY: bounds and alignment are checked by `view`; drafts of such a region are published
        // before anybody is told of them.
        self.view(unsafe { Block::from_raw_parts(offset, len) })
    }

    /// Bytes mapped.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.0.bytes()
    }

    /// The first element, with its own hold on the mapping.
    pub(crate) fn share_one<T: Plain>(&self, block: Block<T>) -> Result<Shared<T>, ViewError> {
        share_one(&self.0, block)
    }

    /// All elements, with their own hold on the mapping.
    pub(crate) fn share<T: Plain>(&self, block: Block<T>) -> Result<Shared<[T]>, ViewError> {
        let values = NonNull::from(self.view(block)?);
        let keep = Arc::clone(&self.0);
        // SAFETY: checked by `view`; the mapping lives as long as `keep`, and published blocks
        // are only ever borrowed shared.
        Ok(unsafe { Shared::inside(values, keep) })
    }
}

fn share_one<T: Plain>(map: &Arc<Mapping>, block: Block<T>) -> Result<Shared<T>, ViewError> {
    let out =
        ViewError::OutOfBounds { offset: block.offset(), len: block.len(), capacity: map.bytes() };
    let first = NonNull::from(view(map, block)?.first().ok_or(out)?);
    // SAFETY: checked by `view`; the mapping lives as long as `keep`, and published blocks are
    // only ever borrowed shared.
    Ok(unsafe { Shared::inside(first, Arc::clone(map) as _) })
}

/// The elements of a published block inside `map`.
#[inline]
pub(super) fn view<T: Plain>(map: &Mapping, block: Block<T>) -> Result<&[T], ViewError> {
    let (offset, len) = block.check(map.bytes())?;
    // SAFETY: `check` proved that `len` elements from `offset` lie inside the mapping and are
    // aligned; every bit pattern is a `T`; a `Block` exists only after its draft gave up `&mut`,
    // and is freed only when nobody views it (`Region::free`).
    Ok(unsafe { slice::from_raw_parts(map.start().add(offset).cast::<T>().as_ptr(), len) })
}
