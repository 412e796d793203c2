use super::{HUGE_PAGE, RegionError};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::{self, NonNull};

/// Whether a region may use huge pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HugePages {
    /// Reserved huge pages if enough are free, else ordinary pages that the kernel may merge.
    Try,
    /// Ordinary pages.
    Never,
}

/// A stretch of address space that shows a memory file; unmapped on drop.
#[derive(Debug)]
pub(super) struct Mapping {
    start: NonNull<u8>,
    bytes: usize,
}

/// A new memory file of `bytes` bytes, mapped for writing.
///
/// Sealed against shrinking and growing, so that nobody who has the file can pull memory away
/// from under the others.
pub(super) fn create(
    name: &str,
    bytes: usize,
    huge: HugePages,
) -> Result<(OwnedFd, Mapping), RegionError> {
    if huge == HugePages::Try && !cfg!(feature = "faults") {
        let whole = bytes.max(1).next_multiple_of(HUGE_PAGE);
        // With too few free huge pages it is the mapping that fails, never a later access.
        if let Ok(made) = create_with(name, whole, libc::MFD_HUGETLB | libc::MFD_HUGE_2MB) {
            return Ok(made);
        }
    }
    let whole = bytes.max(1).next_multiple_of(4096);
    let made = create_with(name, whole, 0)?;
    if huge == HugePages::Try {
        made.1.advise(libc::MADV_HUGEPAGE);
    }
    Ok(made)
}

fn create_with(name: &str, bytes: usize, flags: u32) -> Result<(OwnedFd, Mapping), RegionError> {
    let failed = |source| RegionError::Create { name: name.to_owned(), source };
    let c_name = CString::new(name).map_err(|error| failed(error.into()))?;
    let flags = flags | libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // SAFETY: `c_name` is a terminated string that outlives the call.
    let fd = unsafe { libc::memfd_create(c_name.as_ptr(), flags) };
    if fd < 0 {
        return Err(failed(io::Error::last_os_error()));
    }
    // SAFETY: the kernel just returned this descriptor; nobody else knows it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let resize = |source| RegionError::Resize { bytes, source };
    let size = libc::off_t::try_from(bytes)
        .map_err(|_| resize(io::Error::from_raw_os_error(libc::EFBIG)))?;
    // SAFETY: plain system call on a descriptor we own.
    if unsafe { libc::ftruncate(fd.as_raw_fd(), size) } != 0 {
        return Err(resize(io::Error::last_os_error()));
    }
    let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW;
    // SAFETY: plain system call on a descriptor we own.
    if unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_ADD_SEALS, seals) } != 0 {
        return Err(failed(io::Error::last_os_error()));
    }
    let mapping = Mapping::new(&fd, bytes, libc::PROT_READ | libc::PROT_WRITE)?;
    Ok((fd, mapping))
}

/// The size of a memory file that can no longer shrink.
pub(super) fn sealed_size(fd: &OwnedFd) -> Result<usize, RegionError> {
    let failed = || RegionError::Attach { source: io::Error::last_os_error() };
    // SAFETY: plain system call on a descriptor we hold.
    let seals = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GET_SEALS) };
    if seals < 0 {
        return Err(failed());
    }
    if seals & libc::F_SEAL_SHRINK == 0 {
        return Err(RegionError::NotSealed);
    }
    // SAFETY: a stat is integers only; all zeroes is a valid value.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: `stat` is exclusively borrowed for the whole call.
    if unsafe { libc::fstat(fd.as_raw_fd(), &raw mut stat) } != 0 {
        return Err(failed());
    }
    usize::try_from(stat.st_size)
        .map_err(|_| RegionError::Attach { source: io::Error::from_raw_os_error(libc::EFBIG) })
}

impl Mapping {
    /// Maps the first `bytes` of a memory file.
    ///
    /// The caller makes sure that the file has them and keeps them, by its seals.
    pub(super) fn new(fd: &OwnedFd, bytes: usize, prot: i32) -> Result<Self, RegionError> {
        // SAFETY: a new mapping at an address of the kernel's choice disturbs nothing that exists.
        let start = unsafe {
            libc::mmap(ptr::null_mut(), bytes, prot, libc::MAP_SHARED, fd.as_raw_fd(), 0)
        };
        if start == libc::MAP_FAILED {
            return Err(RegionError::Map { bytes, source: io::Error::last_os_error() });
        }
        let start = NonNull::new(start.cast::<u8>());
        let mapping = start.map(|start| Self { start, bytes }).ok_or_else(|| RegionError::Map {
            bytes,
            source: io::Error::from_raw_os_error(libc::ENOMEM),
        })?;
        // There are keys in tables: they are in no core file.
        mapping.advise(libc::MADV_DONTDUMP);
        Ok(mapping)
    }

    /// Gives an advice that does not change contents. One that a kernel does not take, such as
    /// transparent huge pages, costs speed.
    fn advise(&self, advice: libc::c_int) {
        // SAFETY: the range is exactly this mapping; the advices given do not change its contents.
        unsafe { libc::madvise(self.start.as_ptr().cast(), self.bytes, advice) };
    }

    pub(super) const fn start(&self) -> NonNull<u8> {
        self.start
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: `start` and `bytes` are what mmap returned; every view borrows from an owner of
        // this value, so none is left.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}

// SAFETY: the address is valid on every thread; who may read or write through it is decided by
// the types that hand out references.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}
