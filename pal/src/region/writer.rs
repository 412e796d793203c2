use super::block::{Block, ViewError};
use super::draft::Draft;
use super::extents::Extents;
use super::mapping::{self, HugePages, Mapping, sealed_size};
use super::plain::Plain;
use super::readers::{ReadOnly, ReadWrite, view};
use super::{HUGE_PAGE, RegionError};
use crate::refusal;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

/// What a simulator finds in memory that is read after it was freed.
const POISON: u8 = 0xdb;

/// The writer's side of a memory file: allocates, fills, frees. Clones share it.
///
/// Allocation takes a lock and belongs on control threads.
#[derive(Clone, Debug)]
pub struct Region(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    map: Arc<Mapping>,
    fd: OwnedFd,
    extents: Mutex<Extents>,
}

impl Region {
    /// A region for one process, of at least `bytes` bytes.
    ///
    /// # Errors
    /// See [`RegionError`]; lack of huge pages is none.
    pub fn anonymous(bytes: usize, huge: HugePages) -> Result<Self, RegionError> {
        // A memory file as well: nothing else can be mapped a second time with other rights.
        Self::memfd("anonymous", bytes, huge)
    }

    /// A region whose file other processes can map; `name` shows in `/proc/<pid>/maps`.
    ///
    /// # Errors
    /// See [`RegionError`]; lack of huge pages is none.
    pub fn memfd(name: &str, bytes: usize, huge: HugePages) -> Result<Self, RegionError> {
        let (fd, map) = mapping::create(name, bytes, huge)?;
        let extents = Mutex::new(Extents::new(map.bytes()));
        Ok(Self(Arc::new(Inner { map: Arc::new(map), fd, extents })))
    }

    /// The region of a file that others made and write, such as one whose writer is gone. What lies
    /// in it stays; [`keep`](Self::keep) says where.
    ///
    /// # Errors
    /// The descriptor is not a region's, is read-only, or cannot be mapped.
    pub fn adopt(fd: OwnedFd) -> Result<Self, RegionError> {
        let bytes = sealed_size(&fd)?;
        let map = Mapping::new(&fd, bytes, libc::PROT_READ | libc::PROT_WRITE)?;
        let mut extents = Extents::new(bytes);
        extents.had(0, bytes);
        let extents = Mutex::new(extents);
        Ok(Self(Arc::new(Inner { map: Arc::new(map), fd, extents })))
    }

    /// Takes room for `count` elements and leaves in it what is there: where the same was taken in
    /// the same order by whoever made the region, they are the same elements.
    ///
    /// # Errors
    /// [`RegionError::OutOfMemory`].
    pub fn keep<T: Plain>(&self, count: usize) -> Result<Block<T>, RegionError> {
        let (offset, _) = self.take::<T>(count)?;
        // SAFETY: offset and count describe the memory just taken; every bit pattern is a `T`.
        Ok(unsafe { Block::from_raw_parts(offset as u64, count as u64) })
    }

    /// Takes room for `count` elements, zeroed, and all pages of it present.
    ///
    /// Starts at a cache line; at a huge page if it is at least that large.
    ///
    /// # Errors
    /// [`RegionError::OutOfMemory`].
    pub fn alloc<T: Plain>(&self, count: usize) -> Result<Draft<T>, RegionError> {
        let (offset, bytes) = self.take::<T>(count)?;
        // A simulator starts many: pages that nobody has had are zero, and stay away.
        let simulated = cfg!(feature = "faults");
        let used = if simulated { self.extents().had(offset, bytes) } else { bytes };
        // SAFETY: `take` returns only ranges inside the mapping, so the address stays inside it.
        let start = unsafe { self.0.map.start().add(offset) };
        // SAFETY: these bytes are mapped writable and belong to this allocation alone.
        unsafe { start.write_bytes(0, used) };
        // SAFETY: offset and count describe the memory just taken.
        let block = unsafe { Block::from_raw_parts(offset as u64, count as u64) };
        let values = NonNull::slice_from_raw_parts(start.cast::<T>(), count);
        // SAFETY: just taken, zeroed, a multiple of 64 into a page-aligned mapping, which is
        // enough for every `T` that `Block::check` compiles for.
        Ok(unsafe { Draft::new(self.clone(), values, block) })
    }

    /// Offset and bytes of room for `count` elements.
    fn take<T: Plain>(&self, count: usize) -> Result<(usize, usize), RegionError> {
        const { assert!(!std::mem::needs_drop::<T>(), "plain types own nothing") };
        let mut extents = self.extents();
        let what = std::any::type_name::<T>();
        let free = extents.free();
        let wanted = count.checked_mul(size_of::<T>()).and_then(Extents::rounded);
        let full = RegionError::OutOfMemory { wanted: wanted.unwrap_or(usize::MAX), free, what };
        let Some(bytes) = wanted else { return Err(full) };
        if refusal::is_due() {
            return Err(full);
        }
        let Some(offset) = extents.take(bytes) else { return Err(full) };
        Ok((offset, bytes))
    }

    /// Gives a block's memory back.
    ///
    /// # Safety
    /// Nobody may hold or obtain a view of the block any more, in any process, and it must not be
    /// freed twice. After publication only a grace period proves that: see
    /// [`Publisher::retire_block`](crate::publication::Publisher::retire_block).
    pub unsafe fn free<T: Plain>(&self, block: Block<T>) {
        if let Ok((offset, len)) = block.check(self.capacity())
            && let Some(bytes) = Extents::rounded(len * size_of::<T>())
        {
            if cfg!(feature = "faults") {
                // SAFETY: `check` proved that these bytes lie inside the mapping, and nobody has
                // them any more, says the caller. If somebody has, a simulator is to see it.
                unsafe { self.0.map.start().add(offset).write_bytes(POISON, len * size_of::<T>()) };
            }
            self.extents().give(offset, bytes);
        }
    }

    /// Changes an element of a published block; nothing happens where there is none.
    ///
    /// # Safety
    /// No reader, in any process, looks at the element before this has returned and something has
    /// named it by a `Release` store; and no two calls for one element overlap. See
    /// [`Rows`](crate::publication::Rows).
    pub unsafe fn edit<T: Plain>(&self, block: Block<T>, index: usize, edit: impl FnOnce(&mut T)) {
        let Ok((offset, len)) = block.check(self.capacity()) else { return };
        if index >= len {
            return;
        }
        // SAFETY: `check` proved that `len` elements from `offset` lie inside the mapping and are
        // aligned, and `index` is one of them; nobody else has it, says the caller.
        edit(unsafe { self.0.map.start().add(offset).cast::<T>().add(index).as_mut() });
    }

    /// The elements of a published block.
    ///
    /// # Errors
    /// The block is not of this region.
    pub fn view<T: Plain>(&self, block: Block<T>) -> Result<&[T], ViewError> {
        view(&self.0.map, block)
    }

    /// Bytes allocated, rounding included.
    #[must_use]
    pub fn used(&self) -> usize {
        self.capacity() - self.extents().free()
    }

    /// Bytes in total.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.0.map.bytes()
    }

    /// Whether reserved huge pages back it.
    #[must_use]
    pub fn has_huge_pages(&self) -> bool {
        // SAFETY: a statfs is integers only; all zeroes is a valid value.
        let mut stat: libc::statfs = unsafe { std::mem::zeroed() };
        let fd = std::os::fd::AsRawFd::as_raw_fd(&self.0.fd);
        // SAFETY: `stat` is exclusively borrowed for the whole call.
        let known = unsafe { libc::fstatfs(fd, &raw mut stat) } == 0;
        known && usize::try_from(stat.f_bsize).is_ok_and(|size| size >= HUGE_PAGE)
    }

    /// A second mapping of the same memory that cannot be written through.
    ///
    /// # Errors
    /// [`RegionError::Map`].
    pub fn map_read_only(&self) -> Result<ReadOnly, RegionError> {
        ReadOnly::of(&self.0.fd, self.capacity())
    }

    /// The same mapping as a handle that shares memory but cannot allocate.
    #[must_use]
    pub fn share(&self) -> ReadWrite {
        ReadWrite::over(Arc::clone(&self.0.map))
    }

    /// A new descriptor of the file that only lets its receiver map it read-only.
    ///
    /// # Errors
    /// [`RegionError::Attach`], such as where `/proc` is not mounted.
    pub fn read_only_fd(&self) -> Result<OwnedFd, RegionError> {
        let fd = std::os::fd::AsRawFd::as_raw_fd(&self.0.fd);
        // SAFETY: plain system call on a descriptor we own; this mapping may be written as before.
        if unsafe { libc::fcntl(fd, libc::F_ADD_SEALS, libc::F_SEAL_FUTURE_WRITE) } != 0 {
            return Err(RegionError::Attach { source: std::io::Error::last_os_error() });
        }
        std::fs::File::open(format!("/proc/self/fd/{fd}"))
            .map(OwnedFd::from)
            .map_err(|source| RegionError::Attach { source })
    }

    fn extents(&self) -> std::sync::MutexGuard<'_, Extents> {
        // Nothing in `Extents` panics half-way; a poisoned lock means a panic in a caller.
        self.0.extents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsFd for Region {
    /// The writable descriptor, for a process that is trusted to write.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.fd.as_fd()
    }
}
