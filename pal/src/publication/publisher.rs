use super::grace::{Grace, GraceClock, Retired, Timekeeper, WaitError};
use super::reader::Reader;
use super::root::{Generation, RootDraft};
use super::state::{ReaderTable, RootTable, Word};
use super::{MAX_READERS, MAX_ROOTS, Rows};
use crate::faults::{self, Plant};
use crate::region::{Block, Draft, Plain, Region};
use crate::shared::Shared;
use std::fmt;
use std::time::{Duration, Instant};

/// The only writer of the published tables. Lives on a control thread.
#[derive(Debug)]
pub struct Publisher {
    roots: Shared<RootTable>,
    readers: Shared<ReaderTable>,
    names: [Option<String>; MAX_READERS],
    current: Word,
    generation: Generation,
    draft: RootDraft,
    /// Per root block: when it stopped being current.
    replaced: [Grace; MAX_ROOTS],
    time: Timekeeper,
    /// What gives things back.
    retired: Retired<Free>,
    #[cfg(not(loom))]
    site: Option<(u64, u64)>,
}

/// Gives one thing back.
struct Free(Box<dyn FnOnce() + Send>);

impl fmt::Debug for Free {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Free")
    }
}

/// Why a reader cannot be registered.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegisterError {
    /// All slots are taken.
    #[error("no slot for {name}: there are {MAX_READERS} readers already")]
    Full {
        /// The reader's name.
        name: String,
    },
    /// The publisher's state lies on the heap of this process.
    #[error("{name} runs in another process, but the publisher was not made in shared regions")]
    NotShared {
        /// The reader's name.
        name: String,
    },
}

/// Why a root is not published.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// Some readers may still have the root block that would be written.
    #[error("{MAX_ROOTS} generations behind: {}", behind.join(", "))]
    ReadersBehind {
        /// Their names.
        behind: Vec<String>,
    },
}

/// What one reader runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReaderState {
    /// Its slot, for [`Publisher::evict_ended`].
    pub slot: u16,
    /// Its name.
    pub name: String,
    /// The generation it saw when it last was quiescent; `None` while it is offline.
    pub generation: Option<Generation>,
}

impl Default for Publisher {
    fn default() -> Self {
        Self::new()
    }
}

impl Publisher {
    /// A publisher for readers in this process. Generation zero names no table.
    #[must_use]
    pub fn new() -> Self {
        Self::over(Shared::on_heap(RootTable::new()), Shared::on_heap(ReaderTable::new()))
    }

    fn over(roots: Shared<RootTable>, readers: Shared<ReaderTable>) -> Self {
        let current = roots.current();
        let time = Timekeeper::starting_at(current.epoch());
        Self {
            current,
            roots,
            readers,
            names: [const { None }; MAX_READERS],
            generation: Generation(0),
            draft: RootDraft::empty(),
            replaced: [Grace(0); MAX_ROOTS],
            retired: Retired::new(time.clock()),
            time,
            #[cfg(not(loom))]
            site: None,
        }
    }

    /// Adds a reader in this process, which from now on takes part in every grace period.
    ///
    /// # Errors
    /// [`RegisterError::Full`].
    pub fn register_reader(&mut self, name: impl Into<String>) -> Result<Reader, RegisterError> {
        let slot = self.claim(name.into())?;
        Ok(Reader::new(self.roots.clone(), self.readers.clone(), slot))
    }

    /// Finds a vacant slot and marks it offline, so that it is not found twice.
    fn claim(&mut self, name: String) -> Result<usize, RegisterError> {
        let vacant = self.readers.0.iter().position(|slot| slot.get() == Word::VACANT);
        let Some(slot) = vacant else { return Err(RegisterError::Full { name }) };
        self.readers.0[slot].set(Word::OFFLINE);
        self.names[slot] = Some(name);
        Ok(slot)
    }

    /// The present root as a starting point for the next.
    #[must_use]
    pub fn draft(&self) -> RootDraft {
        self.draft.clone()
    }

    /// The present generation.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        self.generation
    }

    /// Makes `draft` the root that readers find from now on, all its tables at once.
    ///
    /// Begins a grace period for everything retired so far.
    ///
    /// # Errors
    /// [`PublishError::ReadersBehind`]; the present root stays.
    pub fn publish(&mut self, draft: &RootDraft) -> Result<Generation, PublishError> {
        self.ready()?;
        let old = self.current.root();
        let new = (old + 1) % MAX_ROOTS;
        self.generation = Generation(self.generation.0 + 1);
        if faults::is_planted(Plant::RootFirst) {
            self.advance(new);
        }
        self.roots.roots[new].fill(self.generation, draft);
        self.draft = draft.clone();
        self.replaced[old] = self.advance(new);
        Ok(self.generation)
    }

    /// Whether a root can be published now; if so, it can be until one is.
    ///
    /// # Errors
    /// [`PublishError::ReadersBehind`].
    pub fn ready(&self) -> Result<(), PublishError> {
        let next = (self.current.root() + 1) % MAX_ROOTS;
        let behind = self.names_behind(self.replaced[next]);
        if behind.is_empty() { Ok(()) } else { Err(PublishError::ReadersBehind { behind }) }
    }

    /// Begins a grace period, for what was unlinked in place by atomic stores before this call.
    pub fn grace_period(&mut self) -> Grace {
        self.advance(self.current.root())
    }

    fn advance(&mut self, root: usize) -> Grace {
        let grace = self.time.begin();
        self.current = Word::new(grace.0, root);
        faults::store();
        self.roots.advance(self.current);
        grace
    }

    /// Says what waits for which grace period, and which have passed as of the last
    /// [`reclaim`](Self::reclaim).
    #[must_use]
    pub const fn clock(&self) -> &GraceClock {
        self.time.clock()
    }

    /// Whether no reader can have anything from before `grace` any more. Does not wait.
    #[must_use]
    pub fn all_passed(&self, grace: Grace) -> bool {
        self.readers.behind(grace).next().is_none()
    }

    /// Waits until [`all_passed`](Self::all_passed), by spinning first and yielding then.
    ///
    /// # Errors
    /// [`WaitError`] names those that did not move on for as long as `patience`.
    pub fn wait(&self, grace: Grace, patience: Duration) -> Result<(), WaitError> {
        const SPINS: u32 = 1_000;
        let start = Instant::now();
        let mut spins = 0;
        while !self.all_passed(grace) {
            if spins < SPINS {
                spins += 1;
                std::hint::spin_loop();
            } else if !faults::rest(|| start.elapsed() < patience) {
                return Err(WaitError { behind: self.names_behind(grace) });
            }
        }
        Ok(())
    }

    /// Waits until every reader runs the present root: [`grace_period`](Self::grace_period), then
    /// [`wait`](Self::wait).
    ///
    /// # Errors
    /// See [`wait`](Self::wait).
    pub fn wait_for_readers(&mut self, patience: Duration) -> Result<(), WaitError> {
        let grace = self.grace_period();
        self.wait(grace, patience)
    }

    /// Runs `free` after a grace period.
    ///
    /// Call it once no root and no table names the thing any more; it is freed by a later
    /// [`reclaim`](Self::reclaim).
    pub fn retire(&mut self, free: impl FnOnce() + Send + 'static) {
        self.retired.push(Free(Box::new(free)));
    }

    /// Gives a block back to its region after a grace period; see [`retire`](Self::retire).
    pub fn retire_block<T: Plain>(&mut self, region: &Region, block: Block<T>) {
        let region = region.clone();
        // SAFETY: runs after a grace period that began when the caller had unlinked the block, so
        // no reader has it; and once, being `FnOnce`.
        self.retire(move || unsafe { region.free(block) });
    }

    /// Takes the time: begins a grace period if something waits for it, and frees what every reader
    /// has passed.
    ///
    /// Does not wait: call it now and then. Returns how many things were freed.
    pub fn reclaim(&mut self) -> usize {
        if self.time.is_wanted() {
            self.grace_period();
        }
        self.time.pass(self.readers.passed(Grace(self.current.epoch())));
        std::iter::from_fn(|| self.retired.pop()).map(|free| (free.0)()).count()
    }

    /// The rows of `table`, which is all zeroes, in `region`, called `what`.
    #[must_use]
    pub fn rows<T: Plain>(&self, what: &'static str, region: &Region, table: Draft<T>) -> Rows<T> {
        Rows::new(what, region, table, self.clock())
    }

    /// Things retired and not yet freed.
    #[must_use]
    pub fn retired(&self) -> usize {
        self.retired.len()
    }

    /// What each reader runs.
    #[must_use]
    pub fn generations(&self) -> Vec<ReaderState> {
        let states = self.readers.0.iter().zip(&self.names).zip(0_u16..);
        states
            .filter_map(|((reader, name), slot)| {
                let generation = match reader.get() {
                    Word::VACANT => return None,
                    Word::OFFLINE => None,
                    // The root this reader has seen is not rewritten before it moves on.
                    seen => Some(self.roots.root(seen).generation()),
                };
                Some(ReaderState { slot, name: name.clone().unwrap_or_default(), generation })
            })
            .collect()
    }

    fn names_behind(&self, grace: Grace) -> Vec<String> {
        self.readers.behind(grace).filter_map(|slot| self.names[slot].clone()).collect()
    }
}

#[cfg(not(loom))]
mod remote {
    use super::{Plant, Publisher, RegisterError, faults};
    use crate::process::Ended;
    use crate::publication::ReaderSite;
    use crate::publication::state::{ReaderTable, RootTable, Word};
    use crate::region::{Region, RegionError};

    impl Publisher {
        /// Bytes that it takes of the region of tables, and of the one that readers write.
        pub const BYTES: (usize, usize) = (size_of::<RootTable>(), size_of::<ReaderTable>());

        /// A publisher for readers in other processes, and in this one.
        ///
        /// Roots lie in `tables`, which readers may map read-only; what readers say lies in
        /// `slots`, which they write.
        ///
        /// # Errors
        /// [`RegionError::OutOfMemory`]: [`Publisher::BYTES`] are needed.
        pub fn in_regions(tables: &Region, slots: &Region) -> Result<Self, RegionError> {
            let mut roots = tables.alloc::<RootTable>(1)?;
            let mut readers = slots.alloc::<ReaderTable>(1)?;
            roots.fill_with(RootTable::new);
            readers.fill_with(ReaderTable::new);
            let (roots, readers) = (roots.publish(), readers.publish());
            let mut publisher =
                Self::over(tables.share().share_one(roots)?, slots.share().share_one(readers)?);
            publisher.site = Some((roots.offset(), readers.offset()));
            Ok(publisher)
        }

        /// Adds a reader in another process: offline until it attaches to the site.
        ///
        /// # Errors
        /// No slot is left, or the publisher was made by [`Publisher::new`].
        pub fn register_remote(
            &mut self,
            name: impl Into<String>,
        ) -> Result<ReaderSite, RegisterError> {
            let name = name.into();
            let Some((roots, readers)) = self.site else {
                return Err(RegisterError::NotShared { name });
            };
            let slot = u16::try_from(self.claim(name)?).unwrap_or(u16::MAX);
            Ok(ReaderSite { roots, readers, slot })
        }

        /// Signs off a reader whose process has ended so: it does not run any more.
        pub fn evict_ended(&mut self, slot: u16, _: &Ended) {
            if let Some(reader) = self.readers.0.get(usize::from(slot))
                && !faults::is_planted(Plant::StaleReader)
            {
                reader.set(Word::VACANT);
            }
        }
    }
}
