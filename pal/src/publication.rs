//! Publication: one writer changes tables under readers that never wait.
//!
//! The [`Publisher`] swaps whole tables by publishing a root block, which names the current image
//! of every [`TableKind`]; a [`Reader`] reads the root once per vector, so a commit is atomic
//! across tables. A [`TableReader`] checks and opens the tables that a root names, once. Tables that churn are changed in place by atomic stores. Either way the old
//! memory is reused only after a *grace period*: once every reader has passed a quiescent state
//! that saw the change (quiescent-state-based reclamation).
//!
//! # Why it is safe
//! One atomic word, `current`, carries an epoch and the number of the current root. The publisher
//! unlinks, then stores a larger epoch (Release). A reader between two vectors loads `current`
//! (Acquire) and stores what it saw into its own slot (Release). Once that slot shows the epoch,
//! the reader has dropped all references from before and, by coherence, loads nothing older ever
//! again. A sleeping reader shows "offline" instead; when it comes back, a sequentially consistent
//! fence on both sides makes sure that either the publisher sees its slot or it sees the
//! publisher's epoch. The type system keeps the discipline: a [`Root`] borrows its reader, so it
//! cannot be held across [`Reader::quiescent`].
//!
//! The tests check all of this under loom, miri and real threads.
//!
//! ```
//! use pal::publication::{Publisher, TableKind, TableReader, TableShape};
//! use pal::region::{HugePages, Region};
//!
//! const SQUARES: TableKind<u32> = TableKind::new(3);
//! static SHAPES: [TableShape; 1] = [TableShape::of("SQUARES", SQUARES, 1)];
//!
//! let region = Region::anonymous(1 << 20, HugePages::Never)?;
//! let mut publisher = Publisher::new();
//! let mut squares = region.alloc::<u32>(4)?;
//! squares.copy_from_slice(&[0, 1, 4, 9]);
//! let mut root = publisher.draft();
//! root.set(SQUARES, squares.publish());
//! let generation = publisher.publish(&root)?;
//!
//! let reader = publisher.register_reader("lcore-0")?;
//! let mut reader = TableReader::new(reader, region.map_read_only()?, region.share(), &SHAPES)?;
//! reader.quiescent(); // once per vector
//! let tables = reader.tables();
//! assert_eq!(tables.generation(), generation);
//! assert_eq!(tables.view(SQUARES), [0, 1, 4, 9]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![allow(
    unsafe_code,
    reason = "attaches to state in mapped memory; evicts dead readers; writes rows that nobody \
              reads; keeps tables open from one vector to the next"
)]

mod grace;
mod publisher;
mod reader;
mod root;
mod rows;
mod state;
#[cfg(not(loom))]
mod tables;

#[cfg(test)]
mod tests;

pub use grace::{Grace, GraceClock, Retired, Timekeeper, WaitError};
pub use publisher::{PublishError, Publisher, ReaderState, RegisterError};
pub use reader::Reader;
#[cfg(not(loom))]
pub use reader::ReaderSite;
pub use root::{Generation, Root, RootDraft, Seen, TableKind};
pub use rows::Rows;
#[cfg(not(loom))]
pub use tables::{AttachError, TableError, TableReader, TableShape, Tables};

#[cfg(loom)]
mod atomic {
    pub(super) use loom::sync::atomic::{AtomicU64, Ordering, fence};
}
#[cfg(not(loom))]
mod atomic {
    pub(super) use std::sync::atomic::{AtomicU64, Ordering, fence};
}

/// Readers a publisher serves. The model checker explores a smaller world.
pub const MAX_READERS: usize = if cfg!(loom) { 2 } else { 128 };
/// Table kinds a root block can name.
pub const MAX_TABLES: usize = if cfg!(loom) { 1 } else { 64 };
/// Root blocks that exist at a time, which is how far a reader may lag. A power of two.
pub const MAX_ROOTS: usize = if cfg!(loom) { 2 } else { 64 };
