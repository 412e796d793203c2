//! The three tables of `qfp-core` behind one face.

use std::sync::atomic::{AtomicU16, AtomicU32};

use qfp::core::fib::{FibError, LANES, Leaf, Line, Prefix, ShapeError, v4, v6};
use qfp::core::isa::Isa;
use qfp::pal::publication::GraceClock;
use qfp::pal::region::{Block, Plain, Region, RegionError, ViewError};

use crate::family::Family;
use crate::table::{Map, Ours, Reader, Results, Room, Vector};
use crate::traffic::Keys;

/// Why an image cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImageError {
    /// An array is not in the memory given.
    #[error(transparent)]
    View(#[from] ViewError),
    /// An array has the wrong size.
    #[error(transparent)]
    Shape(#[from] ShapeError),
}

/// Where the arrays of an image lie, and how it is read and written.
pub(crate) trait Layout: Copy + Send + Sync + 'static {
    /// Its addresses.
    type Key: Family;
    /// Reads an image.
    type View<'a>;
    /// Writes an image.
    type Writer: Send;
    /// What it is called.
    const NAME: &'static str;
    /// What sets its cases apart from those of the pipeline's table.
    const LABEL: &'static str;

    /// Bytes of all arrays.
    fn memory(room: Room) -> usize;
    /// Takes the arrays, all zero.
    fn alloc(region: &Region, room: Room) -> Result<Self, RegionError>;
    /// The view of the image in `map`.
    fn open<M: Map>(self, map: &M) -> Result<Self::View<'_>, ImageError>;
    /// The writer of an empty image.
    fn writer(view: &Self::View<'_>, clock: &GraceClock) -> Self::Writer;
    /// Writes all routes into an empty image.
    fn load(
        writer: &mut Self::Writer,
        view: &Self::View<'_>,
        routes: impl Iterator<Item = (Prefix<Self::Key>, Leaf)>,
    ) -> Result<(), FibError>;
    /// Sets or withdraws a route.
    fn set(
        writer: &mut Self::Writer,
        view: &Self::View<'_>,
        prefix: Prefix<Self::Key>,
        leaf: Option<Leaf>,
    ) -> Result<(), FibError>;
    /// What readers have left behind is free.
    fn reclaim(writer: &mut Self::Writer);
    /// Bytes of the image in use.
    fn bytes(writer: &Self::Writer, view: &Self::View<'_>) -> usize;
    /// Looks up a full vector.
    fn look_up(view: &Self::View<'_>, vector: &Vector<Self>, results: &mut [u32; LANES]);
}

fn array<T: Plain>(region: &Region, count: usize) -> Result<Block<T>, RegionError> {
    Ok(region.alloc::<T>(count)?.publish())
}

/// DIR-24-8, the pipeline's IPv4 table; each vector has its own prefetch pass.
#[derive(Clone, Copy)]
pub(crate) struct Dir24 {
    tbl24: Block<AtomicU16>,
    tbl8: Block<AtomicU16>,
    isa: Isa,
}

impl Layout for Dir24 {
    type Key = u32;
    type View<'a> = v4::Dir24<'a>;
    type Writer = v4::Dir24Writer;
    const NAME: &'static str = "dir24";
    const LABEL: &'static str = "";

    fn memory(room: Room) -> usize {
        2 * ((1 << 24) + 256 * room.long)
    }

    fn alloc(region: &Region, room: Room) -> Result<Self, RegionError> {
        let (tbl24, tbl8) = (array(region, 1 << 24)?, array(region, 256 * room.long)?);
        Ok(Self { tbl24, tbl8, isa: Isa::detect() })
    }

    fn open<M: Map>(self, map: &M) -> Result<Self::View<'_>, ImageError> {
        Ok(v4::Dir24::new(map.array(self.tbl24)?, map.array(self.tbl8)?, self.isa)?)
    }

    fn writer(view: &Self::View<'_>, clock: &GraceClock) -> Self::Writer {
        v4::Dir24Writer::new(view, clock)
    }

    fn load(
        writer: &mut Self::Writer,
        view: &Self::View<'_>,
        routes: impl Iterator<Item = (Prefix<u32>, Leaf)>,
    ) -> Result<(), FibError> {
        writer.bulk_load(view, routes)
    }

    fn set(
        writer: &mut Self::Writer,
        view: &Self::View<'_>,
        prefix: Prefix<u32>,
        leaf: Option<Leaf>,
    ) -> Result<(), FibError> {
        match leaf {
            Some(leaf) => writer.insert(view, prefix, leaf).map(drop),
            None => {
                writer.remove(view, prefix);
                Ok(())
            }
        }
    }

    fn reclaim(writer: &mut Self::Writer) {
        writer.reclaim();
    }

    fn bytes(writer: &Self::Writer, view: &Self::View<'_>) -> usize {
        writer.bytes_used(view)
    }

    fn look_up(view: &Self::View<'_>, vector: &Vector<Self>, results: &mut [u32; LANES]) {
        view.lookup_batch(&vector.keys, u64::MAX, results);
    }
}

/// DIR-24-8 with the next vector prefetched before the one at hand is looked up.
pub(crate) struct Dir24Ahead(pub(crate) Ours<Dir24>);

impl Reader<u32> for Dir24Ahead {
    type Vector = Vector<Dir24>;
    type Raw = u32;

    fn form(keys: &Keys<u32>) -> &[Vector<Dir24>] {
        &keys.vectors
    }

    fn look_up(&self, vectors: &[Vector<Dir24>], mut each: impl FnMut(&[u32; LANES])) {
        let Ok(view) = self.0.image.open(&self.0.map) else { return };
        let mut results = Results([0; LANES]);
        for (i, vector) in vectors.iter().enumerate() {
            if let Some(next) = vectors.get(i + 1) {
                view.prefetch(&next.keys, u64::MAX);
            }
            view.lookup_ready(&vector.keys, u64::MAX, &mut results.0);
            each(&results.0);
        }
    }

    fn leaf(raw: u32) -> u32 {
        raw
    }
}

/// Merged intervals below 2^16 roots.
#[derive(Clone, Copy)]
pub(crate) struct Compact {
    root: Block<AtomicU32>,
    lines: Block<Line>,
    isa: Isa,
}

impl Layout for Compact {
    type Key = u32;
    type View<'a> = v4::Compact<'a>;
    type Writer = v4::CompactWriter;
    const NAME: &'static str = "compact";
    const LABEL: &'static str = "-compact";

    fn memory(room: Room) -> usize {
        (4 << 16) + room.lines() * size_of::<Line>()
    }

    fn alloc(region: &Region, room: Room) -> Result<Self, RegionError> {
        let (root, lines) = (array(region, 1 << 16)?, array(region, room.lines())?);
        Ok(Self { root, lines, isa: Isa::detect() })
    }

    fn open<M: Map>(self, map: &M) -> Result<Self::View<'_>, ImageError> {
        Ok(v4::Compact::new(map.array(self.root)?, map.array(self.lines)?, self.isa)?)
    }

    fn writer(view: &Self::View<'_>, clock: &GraceClock) -> Self::Writer {
        v4::CompactWriter::new(view, clock)
    }

    fn load(
        writer: &mut Self::Writer,
        view: &Self::View<'_>,
        routes: impl Iterator<Item = (Prefix<u32>, Leaf)>,
    ) -> Result<(), FibError> {
        writer.bulk_load(view, routes)
    }

    fn set(
        writer: &mut Self::Writer,
        view: &Self::View<'_>,
        prefix: Prefix<u32>,
        leaf: Option<Leaf>,
    ) -> Result<(), FibError> {
        match leaf {
            Some(leaf) => writer.insert(view, prefix, leaf).map(drop),
            None => writer.remove(view, prefix).map(drop),
        }
    }

    fn reclaim(writer: &mut Self::Writer) {
        writer.reclaim();
    }

    fn bytes(writer: &Self::Writer, view: &Self::View<'_>) -> usize {
        writer.bytes_used(view)
    }

    fn look_up(view: &Self::View<'_>, vector: &Vector<Self>, results: &mut [u32; LANES]) {
        view.lookup_batch(&vector.keys, u64::MAX, results);
    }
}

/// The pipeline's IPv6 table.
#[derive(Clone, Copy)]
pub(crate) struct Trie {
    root: Block<AtomicU32>,
    lines: Block<Line>,
    deep: Block<AtomicU32>,
    isa: Isa,
}

impl Layout for Trie {
    type Key = u128;
    type View<'a> = v6::Trie<'a>;
    type Writer = v6::TrieWriter;
    const NAME: &'static str = "trie";
    const LABEL: &'static str = "";

    fn memory(room: Room) -> usize {
        (4 << 16) + room.lines() * size_of::<Line>() + 4 * room.long
    }

    fn alloc(region: &Region, room: Room) -> Result<Self, RegionError> {
        let (root, lines) = (array(region, 1 << 16)?, array(region, room.lines())?);
        Ok(Self { root, lines, deep: array(region, room.long)?, isa: Isa::detect() })
    }

    fn open<M: Map>(self, map: &M) -> Result<Self::View<'_>, ImageError> {
        let (root, lines) = (map.array(self.root)?, map.array(self.lines)?);
        Ok(v6::Trie::new(root, lines, map.array(self.deep)?, self.isa)?)
    }

    fn writer(view: &Self::View<'_>, clock: &GraceClock) -> Self::Writer {
        v6::TrieWriter::new(view, clock)
    }

    fn load(
        writer: &mut Self::Writer,
        view: &Self::View<'_>,
        routes: impl Iterator<Item = (Prefix<u128>, Leaf)>,
    ) -> Result<(), FibError> {
        writer.bulk_load(view, routes)
    }

    fn set(
        writer: &mut Self::Writer,
        view: &Self::View<'_>,
        prefix: Prefix<u128>,
        leaf: Option<Leaf>,
    ) -> Result<(), FibError> {
        match leaf {
            Some(leaf) => writer.insert(view, prefix, leaf).map(drop),
            None => writer.remove(view, prefix).map(drop),
        }
    }

    fn reclaim(writer: &mut Self::Writer) {
        writer.reclaim();
    }

    fn bytes(writer: &Self::Writer, view: &Self::View<'_>) -> usize {
        writer.bytes_used(view)
    }

    fn look_up(view: &Self::View<'_>, vector: &Vector<Self>, results: &mut [u32; LANES]) {
        view.lookup_batch(&vector.hi, &vector.lo, u64::MAX, results);
    }
}
