//! Our tables in memory as the engine has it, and the face they share with their peers.

use qfp::core::fib::{FibError, LANES, Leaf, Prefix};
use qfp::pal::publication::{Grace, Timekeeper};
use qfp::pal::region::{Block, HugePages, Plain, ReadOnly, Region, ViewError};

use crate::family::Family;
use crate::input::{Rib, Update};
use crate::layout::Layout;
use crate::race::Contestant;
use crate::traffic::Keys;
use contest::BenchError;

/// Results of one vector, aligned as the pipeline's are.
#[repr(align(64))]
pub(crate) struct Results<T>(pub(crate) [T; LANES]);

/// Looks vectors up.
pub(crate) trait Reader<A: Family> {
    /// 64 keys in the table's own form.
    type Vector;
    /// A result in the table's own form.
    type Raw: Copy;

    /// Gives the results of each vector in turn to `each`.
    fn look_up(&self, vectors: &[Self::Vector], each: impl FnMut(&[Self::Raw; LANES]));
    /// The keys in the table's own form.
    fn form(keys: &Keys<A>) -> &[Self::Vector];
    /// A result as a leaf, 0 for none.
    fn leaf(raw: Self::Raw) -> u32;
}

/// How much a table must hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// Routes at most.
    pub(crate) routes: usize,
    /// Blocks for routes longer than /24, or spans below a /48.
    pub(crate) long: usize,
    /// Whether to ask for huge pages; as the peers do.
    pub(crate) pages: HugePages,
}

impl Room {
    /// Room for a table and what is announced later, with as much again to spare.
    pub(crate) fn new<A: Family>(rib: &Rib<A>, updates: &[Update<A>], pages: HugePages) -> Self {
        let (base, step) = if A::BITS == 32 { (24, 8) } else { (48, 16) };
        let mut spans: Vec<Prefix<A>> = rib
            .keys()
            .chain(updates.iter().map(|(prefix, _)| prefix))
            .flat_map(|p| (base..p.len()).step_by(step).filter_map(|at| Prefix::new(p.first(), at)))
            .collect();
        spans.sort_unstable();
        spans.dedup();
        let long = (2 * spans.len()).next_multiple_of(256).clamp(1024, 48 * 1024);
        Self { routes: rib.len() + updates.len() / 4, long, pages }
    }

    /// Lines of a compact image: about twice what random leaves take.
    pub(crate) fn lines(self) -> usize {
        (self.routes / 8).next_power_of_two().max(1 << 18)
    }
}

/// Memory that holds an image.
pub(crate) trait Map {
    /// The elements of an array.
    fn array<T: Plain>(&self, block: Block<T>) -> Result<&[T], ViewError>;
}

impl Map for Region {
    fn array<T: Plain>(&self, block: Block<T>) -> Result<&[T], ViewError> {
        self.view(block)
    }
}

impl Map for ReadOnly {
    fn array<T: Plain>(&self, block: Block<T>) -> Result<&[T], ViewError> {
        self.view(block)
    }
}

/// One of our tables and its writer.
pub(crate) struct Table<L: Layout> {
    region: Region,
    image: L,
    writer: L::Writer,
    time: Timekeeper,
    /// Whether huge pages were asked for.
    huge: bool,
}

impl<L: Layout> Table<L> {
    /// An empty table.
    pub(crate) fn new(room: Room) -> Result<Self, BenchError> {
        // Large arrays begin at a huge page of their own.
        let region = Region::anonymous(L::memory(room) + 4 * (2 << 20), room.pages)?;
        let image = L::alloc(&region, room)?;
        let time = Timekeeper::default();
        let writer = L::writer(&image.open(&region)?, time.clock());
        Ok(Self { region, image, writer, time, huge: room.pages == HugePages::Try })
    }

    /// Writes all routes at once.
    pub(crate) fn load(&mut self, rib: &Rib<L::Key>) -> Result<(), BenchError> {
        let routes = rib.iter().map(|(&prefix, &leaf)| (prefix, leaf));
        Ok(L::load(&mut self.writer, &self.image.open(&self.region)?, routes)?)
    }

    /// The table as its writer sees it: for changes one by one.
    pub(crate) fn open(&mut self) -> Result<Open<'_, L>, BenchError> {
        let view = self.image.open(&self.region)?;
        Ok(Open { view, writer: &mut self.writer, time: &mut self.time })
    }

    /// Bytes of the image in use.
    pub(crate) fn bytes(&self) -> Result<usize, BenchError> {
        Ok(L::bytes(&self.writer, &self.image.open(&self.region)?))
    }

    /// The table as it takes part in a race, with a note when its pages are small.
    pub(crate) fn contestant(&self) -> Result<Contestant<L::Key>, BenchError> {
        if self.huge && !self.region.has_huge_pages() {
            eprintln!("{}: no huge pages for this table", L::NAME);
        }
        Ok(Contestant::new(L::NAME, L::LABEL, self.bytes()?, self.reader()?))
    }

    /// A reader with a read-only mapping of its own.
    pub(crate) fn reader(&self) -> Result<Ours<L>, BenchError> {
        let map = self.region.map_read_only()?;
        // Shows here whether the image can be opened; the region cannot change its shape later.
        self.image.open(&map)?;
        Ok(Ours { map, image: self.image })
    }
}

/// A table being changed.
pub(crate) struct Open<'a, L: Layout> {
    view: L::View<'a>,
    writer: &'a mut L::Writer,
    time: &'a mut Timekeeper,
}

impl<L: Layout> Open<'_, L> {
    /// Sets or withdraws a route.
    pub(crate) fn set(
        &mut self,
        prefix: Prefix<L::Key>,
        leaf: Option<Leaf>,
    ) -> Result<(), FibError> {
        L::set(self.writer, &self.view, prefix, leaf)
    }

    /// The next generation begins; what was replaced up to `passed` is free.
    pub(crate) fn grace(&mut self, passed: Grace) {
        self.time.begin();
        self.time.pass(passed);
        L::reclaim(self.writer);
    }
}

/// Looks up in one of our tables, as the pipeline's row does.
pub(crate) struct Ours<L: Layout> {
    pub(crate) map: ReadOnly,
    pub(crate) image: L,
}

impl<L: Layout> Reader<L::Key> for Ours<L> {
    type Vector = Vector<L>;
    type Raw = u32;

    fn form(keys: &Keys<L::Key>) -> &[Vector<L>] {
        &keys.vectors
    }

    fn look_up(&self, vectors: &[Vector<L>], mut each: impl FnMut(&[u32; LANES])) {
        let Ok(view) = self.image.open(&self.map) else { return };
        let mut results = Results([0; LANES]);
        for vector in vectors {
            L::look_up(&view, vector, &mut results.0);
            each(&results.0);
        }
    }

    fn leaf(raw: u32) -> u32 {
        raw
    }
}

/// Vectors of a layout's keys.
pub(crate) type Vector<L> = <<L as Layout>::Key as Family>::Vector;
