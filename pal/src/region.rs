//! Resource memory: flat tables that one writer fills and many readers map.
//!
//! A [`Region`] is a memory file. Its writer allocates a [`Draft`], fills it as plain mutable
//! memory and publishes it as a [`Block`]: from then on everybody, the writer too, has shared
//! references only, and what still changes are atomics inside the element type. Readers in the
//! same process or in another one map the file a second time, [`ReadOnly`], where a stray write
//! faults instead of corrupting a table.
//!
//! A block that readers may know is not freed but retired, through
//! [`Publisher::retire_block`](crate::publication::Publisher::retire_block).
//!
//! ```
//! use pal::region::{HugePages, Region};
//!
//! let region = Region::anonymous(1 << 20, HugePages::Never)?;
//! let mut draft = region.alloc::<u32>(3)?;
//! draft.copy_from_slice(&[10, 20, 30]);
//! let block = draft.publish();
//!
//! let reader = region.map_read_only()?;
//! assert_eq!(reader.view(block)?, [10, 20, 30]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![allow(unsafe_code, reason = "owns mapped memory and hands out typed views of it")]

mod available;
mod block;
mod draft;
mod extents;
mod mapping;
mod plain;
mod readers;
mod writer;

#[cfg(test)]
mod tests;

pub use available::available_memory;
pub use block::{Block, ViewError};
pub use draft::Draft;
pub use mapping::HugePages;
pub use plain::Plain;
pub use readers::{ReadOnly, ReadWrite};
pub use writer::Region;

use std::io;

/// Allocations start at, and are rounded to, multiples of this: one cache line.
pub const GRANULE: usize = 64;
/// Allocations of at least this size start at a multiple of it: one huge page.
pub const HUGE_PAGE: usize = 2 << 20;

/// Why a region cannot be made, mapped or allocated from.
#[derive(Debug, thiserror::Error)]
pub enum RegionError {
    /// The kernel gave no memory file.
    #[error("cannot create memory file {name:?}: {source}")]
    Create {
        /// The name asked for.
        name: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The memory file cannot have the wanted size.
    #[error("cannot size the memory file to {bytes} bytes: {source}")]
    Resize {
        /// The wanted size.
        bytes: usize,
        /// What the kernel said.
        source: io::Error,
    },
    /// The memory file cannot be mapped.
    #[error("cannot map {bytes} bytes: {source}")]
    Map {
        /// The size to be mapped.
        bytes: usize,
        /// What the kernel said.
        source: io::Error,
    },
    /// The memory file cannot be opened again or asked for its size.
    #[error("cannot attach to the memory file: {source}")]
    Attach {
        /// What the kernel said.
        source: io::Error,
    },
    /// The file may still shrink under its readers: it was not made by [`Region`].
    #[error("the memory file is not sealed against shrinking")]
    NotSealed,
    /// A block that was just allocated cannot be viewed.
    #[error(transparent)]
    View(#[from] ViewError),
    /// No free extent is large enough.
    #[error("no room for {wanted} bytes of {what}: {free} bytes are free, not all in one piece")]
    OutOfMemory {
        /// Bytes asked for, rounded up.
        wanted: usize,
        /// Bytes free in total.
        free: usize,
        /// The element type.
        what: &'static str,
    },
}
