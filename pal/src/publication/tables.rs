#[cfg(not(loom))]
use super::ReaderSite;
use super::{Generation, MAX_TABLES, Reader, Root, Seen, TableKind};
use crate::region::{Block, GRANULE, Plain, ReadOnly, ReadWrite, RegionError, ViewError};
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::slice;
use std::sync::atomic::AtomicU8;

/// What readers of a table count on.
#[derive(Clone, Copy, Debug)]
pub struct TableShape {
    name: &'static str,
    index: usize,
    row_size: usize,
    least: usize,
    written: bool,
}

impl TableShape {
    /// A table of at least `least` rows, in the region that readers only read.
    #[must_use]
    pub const fn of<T: Plain>(name: &'static str, kind: TableKind<T>, least: usize) -> Self {
        let (index, row_size) = (kind.index(), size_of::<T>());
        Self { name, index, row_size, least, written: false }
    }

    /// The same in the region that readers write, through atomics.
    #[must_use]
    pub const fn written(self) -> Self {
        Self { written: true, ..self }
    }

    /// What it is called.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Where the table of `root` lies.
    fn open(
        &self,
        root: Root<'_>,
        tables: &ReadOnly,
        state: &ReadWrite,
    ) -> Result<View, TableError> {
        let name = self.name;
        let lies = |error| TableError::View { name, error };
        let Some((offset, found, row_size)) = root.raw(self.index) else {
            return Err(lies(ViewError::NoTable { kind: self.index }));
        };
        if row_size != self.row_size as u64 {
            return Err(TableError::RowSize { name, found: row_size, wanted: self.row_size });
        }
        if found < self.least as u64 {
            return Err(TableError::TooFew { name, found, wanted: self.least });
        }
        if !offset.is_multiple_of(GRANULE as u64) {
            return Err(lies(ViewError::Misaligned { offset, align: GRANULE }));
        }
        // SAFETY: the publisher took offset and length from a block of this region, and bytes are
        // the same layout: atomic ones, since some are written. What saturates lies in no region.
        let block =
            unsafe { Block::<AtomicU8>::from_raw_parts(offset, found.saturating_mul(row_size)) };
        let bytes = if self.written { state.view(block) } else { tables.view(block) };
        Ok(View(NonNull::from(bytes.map_err(lies)?)))
    }
}

/// Why a generation's tables cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// It is missing, or does not lie in its region.
    #[error("table {name}: {error}")]
    View {
        /// The table.
        name: &'static str,
        /// What is wrong.
        error: ViewError,
    },
    /// Whoever wrote it means other rows.
    #[error("table {name} has rows of {found} bytes, not {wanted}")]
    RowSize {
        /// The table.
        name: &'static str,
        /// Bytes of a row as they were written.
        found: u64,
        /// Bytes of a row as they are read.
        wanted: usize,
    },
    /// It has too few rows.
    #[error("table {name} has {found} rows, and needs {wanted}")]
    TooFew {
        /// The table.
        name: &'static str,
        /// Rows there are.
        found: u64,
        /// Rows it must have.
        wanted: usize,
    },
}

/// Why the tables of another process cannot be read.
#[cfg(not(loom))]
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// They are not there.
    #[error(transparent)]
    Region(#[from] RegionError),
    /// They are not those of this build.
    #[error(transparent)]
    Table(#[from] TableError),
}

/// The bytes of a table, from a multiple of [`GRANULE`] on.
#[derive(Clone, Copy, Debug)]
struct View(NonNull<[AtomicU8]>);

impl View {
    const EMPTY: Self = {
        #[repr(align(64))]
        struct Nothing;
        const { assert!(align_of::<Nothing>() == GRANULE) };
        Self(NonNull::slice_from_raw_parts(NonNull::<Nothing>::dangling().cast(), 0))
    };
}

// SAFETY: it is an address of mapped memory, valid on every thread; `TableReader` decides who reads
// there and when.
unsafe impl Send for View {}

/// All tables of a generation, opened.
#[derive(Debug)]
struct Opened {
    generation: Generation,
    whole: bool,
    views: [View; MAX_TABLES],
}

impl Opened {
    /// Opens what `root` names, all of it or nothing.
    #[cold]
    fn open(
        &mut self,
        root: Root<'_>,
        (tables, state): (&ReadOnly, &ReadWrite),
        shapes: &[TableShape],
    ) -> Result<(), TableError> {
        (self.generation, self.whole) = (root.generation(), true);
        for shape in shapes {
            match shape.open(root, tables, state) {
                Ok(view) => self.views[shape.index] = view,
                Err(error) => {
                    (self.whole, self.views) = (false, [View::EMPTY; MAX_TABLES]);
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

/// A reader with the regions that its tables lie in. It opens all tables when the generation
/// changes; from then on each costs two loads.
///
/// A generation in which a table is missing, or has another shape, has no tables at all
/// ([`Tables::are_whole`]): what is closed must not open because a list of it cannot be read.
#[derive(Debug)]
pub struct TableReader {
    reader: Reader,
    tables: ReadOnly,
    state: ReadWrite,
    shapes: &'static [TableShape],
    opened: Box<Opened>,
}

impl TableReader {
    /// A reader of tables that have these shapes: those of `tables` are only read, those of `state`
    /// are written as well.
    ///
    /// # Errors
    /// The first table of the present generation that is missing or has another shape.
    pub fn new(
        reader: Reader,
        tables: ReadOnly,
        state: ReadWrite,
        shapes: &'static [TableShape],
    ) -> Result<Self, TableError> {
        let views = [View::EMPTY; MAX_TABLES];
        let mut opened = Box::new(Opened { generation: Generation(0), whole: false, views });
        opened.open(reader.root(), (&tables, &state), shapes)?;
        Ok(Self { reader, tables, state, shapes, opened })
    }

    /// A reader in another process than the publisher, at a place that it has made for it
    /// ([`Publisher::register_remote`](super::Publisher::register_remote)) and sent with the
    /// descriptors of three regions: tables, slots of readers, and what these write.
    ///
    /// # Errors
    /// The place does not lie in these regions, or as for [`TableReader::new`].
    #[cfg(not(loom))]
    pub fn attach(
        [tables, slots, state]: [&OwnedFd; 3],
        site: ReaderSite,
        shapes: &'static [TableShape],
    ) -> Result<Self, AttachError> {
        let (tables, slots) = (ReadOnly::from_fd(tables)?, ReadWrite::from_fd(slots)?);
        // SAFETY: who has made the place has made the tables, and could break them in any other way.
        let reader = unsafe { Reader::attach(&tables, &slots, site) }.map_err(RegionError::from)?;
        Ok(Self::new(reader, tables, ReadWrite::from_fd(state)?, shapes)?)
    }

    /// The tables of the present generation. Call once per vector: two calls may give two
    /// generations.
    #[inline]
    pub fn tables(&mut self) -> Tables<'_> {
        let root = self.reader.root();
        if root.generation() != self.opened.generation {
            // What cannot be opened is not there, and says so.
            let _ = self.opened.open(root, (&self.tables, &self.state), self.shapes);
        }
        Tables { opened: &self.opened, seen: root.seen() }
    }

    /// As [`Reader::quiescent`].
    #[inline]
    pub fn quiescent(&mut self) {
        self.reader.quiescent();
    }

    /// As [`Reader::quiescent_since`].
    #[inline]
    pub fn quiescent_since(&mut self, seen: Seen) {
        self.reader.quiescent_since(seen);
    }

    /// As [`Reader::offline`].
    pub fn offline<R>(&mut self, sleep: impl FnOnce() -> R) -> R {
        self.reader.offline(sleep)
    }
}

/// The tables of one generation, for the time of one vector.
#[derive(Clone, Copy, Debug)]
pub struct Tables<'a> {
    opened: &'a Opened,
    seen: Seen,
}

impl<'a> Tables<'a> {
    /// The table of a kind. Two loads. It has the rows that its shape asks for, unless the tables
    /// are not whole or its reader knows no such kind: then it is empty.
    #[inline]
    #[must_use]
    pub fn view<T: Plain>(&self, kind: TableKind<T>) -> &'a [T] {
        const { assert!(align_of::<T>() <= GRANULE && size_of::<T>() > 0) };
        let View(bytes) = self.opened.views[kind.index()];
        // SAFETY: `open` found these bytes inside a mapping that the `TableReader` keeps, from a
        // multiple of `GRANULE` on, in the root of `opened.generation`. That was the present one
        // when `TableReader::tables` gave out `self`, so no table of it is freed before the reader
        // has passed a quiescent state, which needs the `&mut` that `'a` holds. As many `T` as fit
        // lie inside, every bit pattern is one, and published memory is only ever borrowed shared.
        unsafe { slice::from_raw_parts(bytes.as_ptr().cast(), bytes.len() / size_of::<T>()) }
    }

    /// Whether the generation's tables are those that its reader knows. All are empty if not.
    #[inline]
    #[must_use]
    pub const fn are_whole(&self) -> bool {
        self.opened.whole
    }

    /// When the generation was taken: what keeps numbers of rows beyond the vector keeps this too.
    #[inline]
    #[must_use]
    pub const fn seen(&self) -> Seen {
        self.seen
    }

    /// The generation.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        self.opened.generation
    }
}
