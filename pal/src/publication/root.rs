use super::atomic::{AtomicU64, Ordering};
use super::state::Word;
use super::{MAX_TABLES, Reader};
use crate::region::{Block, Plain, ReadOnly, ViewError};
use std::fmt;
use std::marker::PhantomData;

/// Which table of a root block: a plain index below [`MAX_TABLES`].
///
/// Those who own the tables give the numbers a meaning; this crate knows none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableKind(u8);

impl TableKind {
    /// Kind number `index`. Meant for constants, where a number too large does not compile.
    ///
    /// # Panics
    /// `index` is [`MAX_TABLES`] or more.
    #[must_use]
    pub const fn new(index: u8) -> Self {
        assert!((index as usize) < MAX_TABLES, "root blocks have 64 tables");
        Self(index)
    }

    /// Its number.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Number of a published root; grows by one with every commit, zero is the empty root.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u64);

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Offset that means "no table". No block lies there.
const NONE: u64 = u64::MAX;

/// One generation as readers see it. Written only while no reader can have it.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct RootBlock {
    generation: AtomicU64,
    /// Offset and length of each table.
    tables: [[AtomicU64; 2]; MAX_TABLES],
}

impl RootBlock {
    pub(super) fn empty() -> Self {
        Self {
            generation: AtomicU64::new(0),
            tables: std::array::from_fn(|_| [AtomicU64::new(NONE), AtomicU64::new(0)]),
        }
    }

    pub(super) fn generation(&self) -> Generation {
        Generation(self.generation.load(Ordering::Relaxed))
    }

    /// Relaxed is enough: the publisher's Release store of `current` follows.
    pub(super) fn fill(&self, generation: Generation, draft: &RootDraft) {
        self.generation.store(generation.0, Ordering::Relaxed);
        for (table, &(offset, len)) in self.tables.iter().zip(&draft.tables) {
            table[0].store(offset, Ordering::Relaxed);
            table[1].store(len, Ordering::Relaxed);
        }
    }

    fn table(&self, kind: TableKind) -> Option<(u64, u64)> {
        let table = self.tables.get(kind.index())?;
        let offset = table[0].load(Ordering::Relaxed);
        (offset != NONE).then(|| (offset, table[1].load(Ordering::Relaxed)))
    }
}

/// The next root in the making.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootDraft {
    tables: [(u64, u64); MAX_TABLES],
}

impl RootDraft {
    /// A root that names no table.
    #[must_use]
    pub const fn empty() -> Self {
        Self { tables: [(NONE, 0); MAX_TABLES] }
    }

    /// Names the table of a kind.
    pub fn set<T: Plain>(&mut self, kind: TableKind, block: Block<T>) -> &mut Self {
        self.tables[kind.index()] = (block.offset(), block.len());
        self
    }

    /// Names no table of a kind any more.
    pub const fn clear(&mut self, kind: TableKind) -> &mut Self {
        self.tables[kind.index()] = (NONE, 0);
        self
    }
}

/// A moment in the life of the tables: later ones are larger.
///
/// It holds nothing; a [`Reader`] that keeps something from a vector of then says so with
/// [`Reader::quiescent_since`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen(pub(super) Word);

/// The tables of one generation, for one vector.
#[derive(Clone, Copy, Debug)]
pub struct Root<'a> {
    block: &'a RootBlock,
    seen: Seen,
    /// Not past the reader's next quiescent state.
    reader: PhantomData<&'a Reader>,
}

impl<'a> Root<'a> {
    pub(super) const fn of(block: &'a RootBlock, seen: Seen) -> Self {
        Self { block, seen, reader: PhantomData }
    }

    /// When it was taken.
    #[inline]
    #[must_use]
    pub const fn seen(&self) -> Seen {
        self.seen
    }

    /// Its number.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.block.generation()
    }

    /// Where the table of a kind lies, if there is one. Two loads.
    ///
    /// `T` must be the type it was published with.
    #[inline]
    #[must_use]
    pub fn block<T: Plain>(&self, kind: TableKind) -> Option<Block<T>> {
        let (offset, len) = self.block.table(kind)?;
        // SAFETY: the publisher took both from a block of this kind's type, and does not free it
        // before this reader has passed a quiescent state, which the borrow rules out.
        Some(unsafe { Block::from_raw_parts(offset, len) })
    }

    /// The table of a kind, for as long as this root may be used.
    ///
    /// # Errors
    /// There is none, or it lies in another region.
    #[inline]
    pub fn view<T: Plain>(
        &self,
        region: &'a ReadOnly,
        kind: TableKind,
    ) -> Result<&'a [T], ViewError> {
        region.view(self.block(kind).ok_or(ViewError::NoTable { kind: kind.0 })?)
    }
}
