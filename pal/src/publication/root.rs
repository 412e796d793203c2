use super::atomic::{AtomicU64, Ordering};
use super::state::Word;
use super::{MAX_TABLES, Reader};
use crate::faults;
use crate::region::{Block, Plain};
use std::fmt;
use std::marker::PhantomData;

/// Which table of a root block, and the type of its rows: a plain index below [`MAX_TABLES`].
///
/// Those who own the tables give the numbers a meaning; this crate knows none.
pub struct TableKind<T> {
    index: u8,
    row: PhantomData<fn() -> T>,
}

impl<T: Plain> TableKind<T> {
    /// Kind number `index`. Meant for constants, where a number too large does not compile.
    ///
    /// # Panics
    /// `index` is [`MAX_TABLES`] or more.
    #[must_use]
    pub const fn new(index: u8) -> Self {
        assert!((index as usize) < MAX_TABLES, "root blocks have 64 tables");
        Self { index, row: PhantomData }
    }

    /// Its number.
    #[must_use]
    pub const fn index(self) -> usize {
        self.index as usize
    }
}

// Written out because a derive would ask the same of `T`.
impl<T> Clone for TableKind<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for TableKind<T> {}

impl<T> fmt::Debug for TableKind<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TableKind({})", self.index)
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
    /// Bytes of a row of each table, for those who check them.
    row_sizes: [AtomicU64; MAX_TABLES],
}

impl RootBlock {
    pub(super) fn empty() -> Self {
        Self {
            generation: AtomicU64::new(0),
            tables: std::array::from_fn(|_| [AtomicU64::new(NONE), AtomicU64::new(0)]),
            row_sizes: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    pub(super) fn generation(&self) -> Generation {
        Generation(self.generation.load(Ordering::Relaxed))
    }

    /// Relaxed is enough: the publisher's Release store of `current` follows.
    pub(super) fn fill(&self, generation: Generation, draft: &RootDraft) {
        self.generation.store(generation.0, Ordering::Relaxed);
        let rows = self.tables.iter().zip(&self.row_sizes);
        for ((table, row_size), named) in rows.zip(&draft.tables) {
            faults::store();
            table[0].store(named.offset, Ordering::Relaxed);
            table[1].store(named.len, Ordering::Relaxed);
            row_size.store(named.row_size, Ordering::Relaxed);
        }
    }

    fn table(&self, index: usize) -> Option<(u64, u64)> {
        let table = self.tables.get(index)?;
        let offset = table[0].load(Ordering::Relaxed);
        (offset != NONE).then(|| (offset, table[1].load(Ordering::Relaxed)))
    }
}

/// The next root in the making.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootDraft {
    tables: [Named; MAX_TABLES],
}

/// A table that a draft names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Named {
    offset: u64,
    len: u64,
    row_size: u64,
}

impl Named {
    const NOTHING: Self = Self { offset: NONE, len: 0, row_size: 0 };
}

impl RootDraft {
    /// A root that names no table.
    #[must_use]
    pub const fn empty() -> Self {
        Self { tables: [Named::NOTHING; MAX_TABLES] }
    }

    /// Names the table of a kind.
    pub fn set<T: Plain>(&mut self, kind: TableKind<T>, block: Block<T>) -> &mut Self {
        let row_size = size_of::<T>() as u64;
        self.tables[kind.index()] = Named { offset: block.offset(), len: block.len(), row_size };
        self
    }

    /// Names no table of a kind any more.
    pub const fn clear<T: Plain>(&mut self, kind: TableKind<T>) -> &mut Self {
        self.tables[kind.index()] = Named::NOTHING;
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
    #[inline]
    #[must_use]
    pub fn block<T: Plain>(&self, kind: TableKind<T>) -> Option<Block<T>> {
        let (offset, len) = self.block.table(kind.index())?;
        // SAFETY: the publisher took both from a block of this kind's type, and does not free it
        // before this reader has passed a quiescent state, which the borrow rules out.
        Some(unsafe { Block::from_raw_parts(offset, len) })
    }

    /// Offset, rows and bytes of a row of table number `index`, as its publisher knows them.
    ///
    /// Another binary may have published it, so whoever reads bytes by them compares first.
    pub(super) fn raw(&self, index: usize) -> Option<(u64, u64, u64)> {
        let (offset, len) = self.block.table(index)?;
        Some((offset, len, self.block.row_sizes.get(index)?.load(Ordering::Relaxed)))
    }
}
