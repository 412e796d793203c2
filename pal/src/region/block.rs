use super::plain::Plain;
use std::fmt;
use std::marker::PhantomData;

/// Where a published array of `T` lies in its region: plain numbers, valid in every process.
pub struct Block<T> {
    offset: u64,
    len: u64,
    element: PhantomData<fn() -> T>,
}

impl<T: Plain> Block<T> {
    /// A block as another process described it.
    ///
    /// # Safety
    /// `offset` and `len` must come from [`Block::offset`] and [`Block::len`] of a `Block<T>`
    /// (or a type of the same layout) of the same region that has not been freed. Bounds and
    /// alignment are checked at every view; that nobody holds the memory as a [`super::Draft`]
    /// cannot be.
    #[must_use]
    pub const unsafe fn from_raw_parts(offset: u64, len: u64) -> Self {
        Self { offset, len, element: PhantomData }
    }

    /// Bytes from the start of the region.
    #[must_use]
    pub const fn offset(self) -> u64 {
        self.offset
    }

    /// Elements.
    #[must_use]
    pub const fn len(self) -> u64 {
        self.len
    }

    /// Whether it has no elements.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len == 0
    }

    /// Byte range inside a region of `capacity` bytes, as (offset, elements).
    ///
    /// A mapping starts at a page, so an aligned offset is an aligned address.
    pub(super) fn check(self, capacity: usize) -> Result<(usize, usize), ViewError> {
        const { assert!(align_of::<T>() <= super::GRANULE && size_of::<T>() > 0) };
        let out = ViewError::OutOfBounds { offset: self.offset, len: self.len, capacity };
        let (Ok(offset), Ok(len)) = (usize::try_from(self.offset), usize::try_from(self.len))
        else {
            return Err(out);
        };
        let end = len.checked_mul(size_of::<T>()).and_then(|bytes| bytes.checked_add(offset));
        if end.is_none_or(|end| end > capacity) {
            return Err(out);
        }
        if !offset.is_multiple_of(align_of::<T>()) {
            return Err(ViewError::Misaligned { offset: self.offset, align: align_of::<T>() });
        }
        Ok((offset, len))
    }
}

/// Why a block cannot be viewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ViewError {
    /// It does not lie inside the region.
    #[error("{len} elements at offset {offset} do not lie inside {capacity} bytes")]
    OutOfBounds {
        /// The block's offset.
        offset: u64,
        /// The block's elements.
        len: u64,
        /// Bytes in the region.
        capacity: usize,
    },
    /// It does not start where its element type must.
    #[error("offset {offset} is not a multiple of {align}")]
    Misaligned {
        /// The block's offset.
        offset: u64,
        /// What the element type wants.
        align: usize,
    },
    /// The root block names no table of this kind.
    #[error("the root names no table of kind {kind}")]
    NoTable {
        /// The kind asked for.
        kind: usize,
    },
}

// Written out because a derive would ask the same of `T`.
impl<T> Clone for Block<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Block<T> {}

impl<T> PartialEq for Block<T> {
    fn eq(&self, other: &Self) -> bool {
        (self.offset, self.len) == (other.offset, other.len)
    }
}

impl<T> Eq for Block<T> {}

impl<T> fmt::Debug for Block<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Block({} at {:#x})", self.len, self.offset)
    }
}
