//! Memory of the process: the most that was in use, and memory in huge pages.
#![expect(unsafe_code, reason = "an allocator that counts, and advice about memory")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

/// The system's allocator, which remembers what is in use.
struct Counted;

#[global_allocator]
static HEAP: Counted = Counted;
static IN_USE: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is done by the system's allocator; only numbers are kept beside it.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = IN_USE.fetch_add(layout.size(), Relaxed) + layout.size();
        if now > MOST.load(Relaxed) {
            MOST.store(now, Relaxed);
        }
        // SAFETY: passed on as it came.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: passed on as it came, from the same allocator.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// Bytes of Rust's heap in use at most while `work` ran, above what was in use before.
pub(crate) fn heap_during<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = IN_USE.load(Relaxed);
    MOST.store(before, Relaxed);
    let done = work();
    (MOST.load(Relaxed).saturating_sub(before), done)
}

/// Bytes that the process took from the system at most while `work` ran, above what it had before.
#[cfg(feature = "dpdk")]
pub(crate) fn peak_during<T>(work: impl FnOnce() -> T) -> (usize, T) {
    // "5" sets the high-water mark back; where that is forbidden the mark is too high, never low.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let status = |name| 1024 * kilobytes("/proc/self/status", name);
    let before = status("VmRSS:");
    let done = work();
    (status("VmHWM:").saturating_sub(before), done)
}

/// Memory for good, present and in huge pages if the kernel has them.
#[cfg(feature = "dpdk")]
pub(crate) struct Heap {
    pub(crate) start: std::ptr::NonNull<u8>,
    pub(crate) bytes: usize,
    /// Whether its pages are huge.
    pub(crate) huge: bool,
}

/// Bytes of a huge page.
#[cfg(feature = "dpdk")]
pub(crate) const HUGE_PAGE: usize = 2 << 20;

#[cfg(feature = "dpdk")]
impl Heap {
    /// Maps `bytes`, rounded down to whole huge pages; none if there is not as much.
    pub(crate) fn new(bytes: usize) -> Option<Self> {
        let bytes = bytes / HUGE_PAGE * HUGE_PAGE;
        let (prot, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping at an address of the kernel's choice disturbs nothing.
        let start =
            unsafe { libc::mmap(std::ptr::null_mut(), bytes + HUGE_PAGE, prot, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return None;
        }
        let start = start.map_addr(|at| at.next_multiple_of(HUGE_PAGE));
        // SAFETY: the range lies in the mapping just made; neither advice changes its contents.
        let present = unsafe {
            libc::madvise(start, bytes, libc::MADV_HUGEPAGE);
            libc::madvise(start, bytes, libc::MADV_POPULATE_WRITE) == 0
        };
        let huge = kilobytes("/proc/self/smaps_rollup", "AnonHugePages:") * 1024 > bytes / 2;
        let start = std::ptr::NonNull::new(start.cast())?;
        present.then_some(Self { start, bytes, huge })
    }
}

/// A number of kilobytes of the kernel's.
#[cfg(feature = "dpdk")]
fn kilobytes(file: &str, name: &str) -> usize {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name));
    let number = line.and_then(|line| line.split_ascii_whitespace().nth(1)?.parse().ok());
    number.unwrap_or(0)
}
