//! The only way from client to uCode: resource memory, commits, and what readers run.
//!
//! The driver owns the region of forwarding tables and its publisher. The client writes tables through
//! it; each lcore gets a read-only mapping and a reader of its own, so that nothing an lcore does can
//! corrupt what is configured. What readers say of where they are lies in a second region, what lcores
//! write in a third, and what they count in a fourth. All of them outlive the lcores, and the last two
//! also their client: another one takes them over, beside tables of its own.
//!
//! ```
//! use driver::Driver;
//! use pal::publication::{TableKind, TableShape};
//!
//! const SQUARES: TableKind<u32> = TableKind::new(7);
//! static SHAPES: [TableShape; 1] = [TableShape::of("SQUARES", SQUARES, 1)];
//!
//! let mut driver = Driver::new(1 << 20, 0)?;
//! let mut squares = driver.alloc::<u32>(3)?;
//! squares.copy_from_slice(&[0, 1, 4]);
//! let block = squares.publish();
//! driver.commit(|root| {
//!     root.set(SQUARES, block);
//! })?;
//! let mut reader = driver.attach("lcore-0", &SHAPES)?;
//! assert_eq!(reader.tables().view(SQUARES), [0, 1, 4]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![deny(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use pal::counters::{CounterBlock, CounterLine, Counters};
use pal::faults;
use pal::process::Ended;
use pal::publication::{
    Generation, Grace, GraceClock, PublishError, Publisher, ReaderSite, ReaderState, RegisterError,
    RootDraft, Rows, TableError, TableReader, TableShape,
};
use pal::refusal;
use pal::region::{Block, Draft, HugePages, Plain, Region, RegionError};

/// Why the data plane cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// Resource memory.
    #[error(transparent)]
    Region(#[from] RegionError),
    /// The system has no memory for a region.
    #[error("no memory for {what}, {bytes} bytes: {error}")]
    NoMemory {
        /// What it is for.
        what: String,
        /// How much.
        bytes: usize,
        /// What the system said.
        error: RegionError,
    },
    /// A reader could not be registered.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// A generation could not be published.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// A table that lcores need is missing, or has another shape than they read.
    #[error(transparent)]
    Table(#[from] TableError),
}

/// A descriptor that others may write through as well.
fn writable(region: &Region) -> Result<OwnedFd, RegionError> {
    region.as_fd().try_clone_to_owned().map_err(|source| RegionError::Attach { source })
}

/// A region that cannot be had, as the operator knows it.
fn no_memory(what: &str, bytes: usize) -> impl FnOnce(RegionError) -> DriverError {
    move |error| DriverError::NoMemory { what: what.to_owned(), bytes, error }
}

/// Resource memory and the commits to it. One owner: the client.
pub struct Driver {
    region: Region,
    slots: Region,
    state: State,
    counters: Option<Region>,
    publisher: Publisher,
}

/// What lcores write.
enum State {
    New(Region),
    /// That of lcores that forward: it stays as it is.
    Kept(Region),
}

impl State {
    const fn region(&self) -> &Region {
        let (Self::New(region) | Self::Kept(region)) = self;
        region
    }
}

/// What lcores that forward have of a client that is gone.
#[derive(Debug)]
pub struct Kept {
    /// What they write.
    pub state: OwnedFd,
    /// What they count.
    pub counters: OwnedFd,
}

impl Driver {
    /// A data plane with `bytes` of resource memory, in huge pages where there are any, and `state`
    /// bytes more for what lcores write, such as token buckets.
    ///
    /// # Errors
    /// The memory cannot be had.
    pub fn new(bytes: usize, state: usize) -> Result<Self, DriverError> {
        let written = Region::memfd("qfp-state", state, HugePages::Never);
        let written = written.map_err(no_memory("what lcores write", state))?;
        Self::beside(bytes, State::New(written), None)
    }

    /// The same with what lcores write and count already.
    ///
    /// # Errors
    /// The memory cannot be had, or a descriptor is not what it should be.
    pub fn taking_over(bytes: usize, kept: Kept) -> Result<Self, DriverError> {
        let state = State::Kept(Region::adopt(kept.state)?);
        Self::beside(bytes, state, Some(Region::adopt(kept.counters)?))
    }

    fn beside(bytes: usize, state: State, counters: Option<Region>) -> Result<Self, DriverError> {
        let (roots, readers) = Publisher::BYTES;
        let region = Region::memfd("qfp-tables", bytes + roots, HugePages::Try);
        let region = region.map_err(no_memory("the tables", bytes))?;
        let slots = Region::memfd("qfp-readers", readers, HugePages::Never);
        let slots = slots.map_err(no_memory("readers", readers))?;
        let publisher = Publisher::in_regions(&region, &slots)?;
        Ok(Self { region, slots, state, counters, publisher })
    }

    /// `len` counters for each of `lcores` lcores, and who writes them. They outlive it; those that
    /// were taken over go on.
    ///
    /// # Errors
    /// The memory cannot be had.
    pub fn counters(
        &mut self,
        len: usize,
        lcores: usize,
    ) -> Result<(Counters, Vec<CounterBlock>), DriverError> {
        let bytes = CounterLine::lines_for(len) * lcores * size_of::<CounterLine>();
        let new = || Region::memfd("qfp-counters", bytes, HugePages::Never);
        let region = self.counters.take().map_or_else(new, Ok);
        let region = region.map_err(no_memory("counters", bytes))?;
        let counted = region.share();
        self.counters = Some(region);
        let counters = Counters::over(&counted, len, lcores).map_err(RegionError::from)?;
        let blocks = (0..lcores).map(|n| CounterBlock::nth(&counted, len, n));
        Ok((counters, blocks.collect::<Result<_, _>>().map_err(RegionError::from)?))
    }

    /// What a data plane in another process maps: tables, the readers' slots, what lcores write, and
    /// what they count. Tables cannot be written through it.
    ///
    /// # Errors
    /// The system has no descriptors.
    pub fn descriptors(&self) -> Result<Vec<OwnedFd>, DriverError> {
        let tables = self.region.read_only_fd()?;
        let mut all = vec![tables, writable(&self.slots)?, writable(self.state.region())?];
        if let Some(counters) = &self.counters {
            all.push(writable(counters)?);
        }
        Ok(all)
    }

    /// A place for a reader in another process.
    ///
    /// # Errors
    /// All places for readers are taken.
    pub fn site(&mut self, name: &str) -> Result<ReaderSite, DriverError> {
        Ok(self.publisher.register_remote(name)?)
    }

    /// Signs off the readers of a process that has ended so.
    pub fn evict(&mut self, sites: &[ReaderSite], ended: &Ended) {
        sites.iter().for_each(|site| self.publisher.evict_ended(site.slot, ended));
    }

    /// Memory for what lcores write: all zeroes, or as they have it where it was taken over, which
    /// asks for the same in the same order. A commit that names it lets them see it.
    ///
    /// # Errors
    /// There is not enough.
    pub fn alloc_state<T: Plain>(&self, count: usize) -> Result<Block<T>, DriverError> {
        Ok(match &self.state {
            State::New(region) => region.alloc(count)?.publish(),
            State::Kept(region) => region.keep(count)?,
        })
    }

    /// The elements of a table of what lcores write.
    #[must_use]
    pub fn state_view<T: Plain>(&self, block: Block<T>) -> &[T] {
        self.state.region().view(block).unwrap_or(&[])
    }

    /// A reader of the tables, for one lcore: it maps them read-only.
    ///
    /// # Errors
    /// All places for readers are taken, the mapping failed, or a table is missing or has another
    /// shape than the reader counts on.
    pub fn attach(
        &mut self,
        name: &str,
        shapes: &'static [TableShape],
    ) -> Result<TableReader, DriverError> {
        let tables = self.region.map_read_only();
        let what = format!("the tables as {name} sees them");
        let tables = tables.map_err(no_memory(&what, self.region.capacity()))?;
        let reader = self.publisher.register_reader(name)?;
        Ok(TableReader::new(reader, tables, self.state.region().share(), shapes)?)
    }

    /// Memory for a table that nobody sees yet, all zeroes.
    ///
    /// # Errors
    /// There is not enough.
    pub fn alloc<T: Plain>(&self, count: usize) -> Result<Draft<T>, DriverError> {
        Ok(self.region.alloc(count)?)
    }

    /// Memory for a table of `what`, whose rows come and go one by one.
    ///
    /// # Errors
    /// There is not enough.
    pub fn alloc_rows<T: Plain>(
        &self,
        what: &'static str,
        count: usize,
    ) -> Result<Rows<T>, DriverError> {
        Ok(self.publisher.rows(what, &self.region, self.alloc(count)?))
    }

    /// The elements of a published table, to be changed in place through their atomics. Empty for
    /// a block that is not of this region.
    #[must_use]
    pub fn view<T: Plain>(&self, block: Block<T>) -> &[T] {
        self.region.view(block).unwrap_or(&[])
    }

    /// Publishes a generation: the present root with `change` applied.
    ///
    /// # Errors
    /// As [`Driver::draft`].
    pub fn commit(
        &mut self,
        change: impl FnOnce(&mut RootDraft),
    ) -> Result<Generation, DriverError> {
        let mut root = self.draft()?;
        change(&mut root);
        Ok(self.publish(&root))
    }

    /// The present root as a starting point for the next generation, for which there is a place.
    ///
    /// # Errors
    /// Readers are too far behind.
    pub fn draft(&self) -> Result<RootDraft, DriverError> {
        if refusal::is_due() {
            return Err(PublishError::ReadersBehind { behind: Vec::new() }.into());
        }
        self.publisher.ready()?;
        Ok(self.publisher.draft())
    }

    /// Makes `root` the present one. Waits for readers that are too far behind, of which there are
    /// none if the draft is the last thing that was asked of the driver's roots.
    pub fn publish(&mut self, root: &RootDraft) -> Generation {
        loop {
            match self.publisher.publish(root) {
                Ok(generation) => return generation,
                Err(_) => {
                    faults::rest(|| true);
                }
            }
        }
    }

    /// Gives the memory of a table back once no reader can have it any more. The commit that names
    /// it no more comes first.
    pub fn retire<T: Plain>(&mut self, block: Block<T>) {
        self.publisher.retire_block(&self.region, block);
    }

    /// The time that what nothing leads to any more waits by.
    #[must_use]
    pub const fn clock(&self) -> &GraceClock {
        self.publisher.clock()
    }

    /// Begins a grace period for what was changed in place before this call.
    pub fn grace_period(&mut self) -> Grace {
        self.publisher.grace_period()
    }

    /// Whether no reader can have anything from before `grace` any more. Does not wait.
    #[must_use]
    pub fn all_passed(&self, grace: Grace) -> bool {
        self.publisher.all_passed(grace)
    }

    /// Waits until no reader can have anything from before this call any more, `patience` at
    /// most. False when some reader was slower.
    pub fn wait_for_readers(&mut self, patience: Duration) -> bool {
        self.publisher.wait_for_readers(patience).is_ok()
    }

    /// Takes the time: begins a grace period if something waits for it, and frees what every reader
    /// has passed. Does not wait: to be called now and then.
    pub fn reclaim(&mut self) -> usize {
        self.publisher.reclaim()
    }

    /// The generation that was committed last.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.publisher.generation()
    }

    /// What each lcore runs.
    #[must_use]
    pub fn readers(&self) -> Vec<ReaderState> {
        self.publisher.generations()
    }

    /// Bytes of resource memory in use, and in all.
    #[must_use]
    pub fn memory(&self) -> (usize, usize) {
        (self.region.used(), self.region.capacity())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pal::publication::TableKind;

    // rows: ARC-27
    #[test]
    fn a_retired_table_is_freed_only_after_its_last_reader() {
        let mut driver = Driver::new(1 << 20, 0).unwrap();
        let mut reader = driver.attach("lcore-0", &[]).unwrap();
        let kind = TableKind::<u64>::new(0);
        let old = driver.alloc::<u64>(64).unwrap().publish();
        driver
            .commit(|root| {
                root.set(kind, old);
            })
            .unwrap();
        reader.quiescent();
        let used = driver.memory().0;
        let new = driver.alloc::<u64>(64).unwrap().publish();
        driver
            .commit(|root| {
                root.set(kind, new);
            })
            .unwrap();
        driver.retire(old);
        driver.reclaim();
        assert!(driver.memory().0 > used, "the reader may still look at the old table");
        reader.quiescent();
        driver.reclaim();
        reader.quiescent();
        driver.reclaim();
        assert_eq!(driver.memory().0, used);
    }

    // rows: ARC-24
    #[test]
    fn a_commit_that_readers_cannot_follow_is_refused_and_names_them() {
        let mut driver = Driver::new(1 << 20, 0).unwrap();
        let mut slow = driver.attach("lcore-7", &[]).unwrap();
        let (kind, mut committed) = (TableKind::<u64>::new(3), Vec::new());
        let error = loop {
            let mut table = driver.alloc::<u64>(1).unwrap();
            table[0] = committed.len() as u64;
            let block = table.publish();
            match driver.commit(|root| {
                root.set(kind, block);
            }) {
                Ok(generation) => committed.push(generation),
                Err(error) => break error.to_string(),
            }
            assert!(committed.len() < 1000, "some time it must fail");
        };
        assert!(error.contains("lcore-7"), "{error}");
        let last = committed[committed.len() - 1];
        assert_eq!((driver.generation(), slow.tables().generation()), (last, last));
        slow.quiescent();
        assert!(driver.commit(|_| {}).is_ok());
    }

    #[test]
    fn waiting_for_readers_ends_when_they_move_on_or_patience_does() {
        let mut driver = Driver::new(1 << 20, 0).unwrap();
        let mut reader = driver.attach("lcore-0", &[]).unwrap();
        assert!(!driver.wait_for_readers(Duration::ZERO));
        let grace = driver.grace_period();
        assert!(!driver.all_passed(grace));
        reader.quiescent();
        assert!(driver.all_passed(grace));
        assert!(reader.offline(|| driver.wait_for_readers(Duration::ZERO)));
        drop(reader);
        assert!(driver.wait_for_readers(Duration::ZERO));
    }

    #[test]
    fn counters_go_on_when_their_writer_is_gone() {
        let mut driver = Driver::new(1 << 20, 0).unwrap();
        let (counters, blocks) = driver.counters(9, 2).unwrap();
        blocks.iter().zip([3, 4]).for_each(|(block, n)| block.add(8, n));
        drop((driver, blocks));
        assert_eq!(counters.sum(8), 7);
        assert_eq!(counters.per_block(8).collect::<Vec<_>>(), [3, 4]);
    }

    #[test]
    fn what_lcores_write_and_count_goes_on_under_the_tables_of_another() {
        use std::sync::atomic::{AtomicU64, Ordering};
        let mut first = Driver::new(1 << 20, 1 << 12).unwrap();
        let state = first.alloc_state::<AtomicU64>(4).unwrap();
        first.state_view(state)[3].store(5, Ordering::Relaxed);
        let (_, blocks) = first.counters(9, 1).unwrap();
        blocks[0].add(8, 7);
        let mut descriptors = first.descriptors().unwrap();
        let (counters, state) = (descriptors.pop().unwrap(), descriptors.pop().unwrap());
        drop(first);
        let mut next = Driver::taking_over(1 << 20, Kept { state, counters }).unwrap();
        let state = next.alloc_state::<AtomicU64>(4).unwrap();
        assert_eq!(next.state_view(state)[3].load(Ordering::Relaxed), 5);
        assert!(next.alloc_state::<u8>(1 << 13).is_err());
        let (counters, _) = next.counters(9, 1).unwrap();
        blocks[0].add(8, 1);
        assert_eq!(counters.sum(8), 8);
    }

    #[test]
    fn memory_that_runs_out_is_an_error_and_takes_nothing() {
        let driver = Driver::new(1 << 20, 0).unwrap();
        let (used, capacity) = driver.memory();
        let error = driver.alloc::<u64>(capacity).err().unwrap().to_string();
        assert!(error.contains("u64"), "{error}");
        assert_eq!(driver.memory().0, used);
        // A draft that is not published gives its memory back.
        drop(driver.alloc::<u64>(8).unwrap());
        assert_eq!(driver.memory().0, used);
    }
}
