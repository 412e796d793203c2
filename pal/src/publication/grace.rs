use super::atomic::{Ordering, fence};
use super::state::{ReaderTable, Word};
use crate::faults::{self, Plant};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A point in time that what was unlinked before it waits for all readers to pass. They count up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grace(pub u64);

/// A grace period that took too long.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("readers did not move on in time: {}", behind.join(", "))]
pub struct WaitError {
    /// The readers that were still on older tables.
    pub behind: Vec<String>,
}

impl ReaderTable {
    /// The slots whose reader may still hold something from before `grace`.
    pub(super) fn behind(&self, grace: Grace) -> impl Iterator<Item = usize> {
        // Polls may come long after `RootTable::advance`; its fence is enough for the first of
        // them, this one keeps later ones from reading a slot too early.
        fence(Ordering::SeqCst);
        self.0.iter().enumerate().filter_map(move |(slot, reader)| {
            let seen = reader.get();
            (seen != Word::VACANT && seen.epoch() < grace.0).then_some(slot)
        })
    }

    /// The newest grace period up to `begun` that all readers have passed.
    pub(super) fn passed(&self, begun: Grace) -> Grace {
        fence(Ordering::SeqCst);
        let seen = self.0.iter().map(super::state::ReaderSlot::get);
        let seen = seen.filter(|seen| *seen != Word::VACANT).map(Word::epoch);
        Grace(seen.fold(begun.0, u64::min))
    }
}

/// Says which grace periods have passed. Clones show the same time.
///
/// What nothing leads to any more waits for [`GraceClock::next`]. That period begins and passes by
/// itself, as long as whoever has the [`Timekeeper`] moves on.
#[derive(Clone, Debug)]
pub struct GraceClock(Arc<Hands>);

#[derive(Debug, Default)]
struct Hands {
    begun: AtomicU64,
    /// The last period that something waits for.
    wanted: AtomicU64,
    passed: AtomicU64,
}

impl GraceClock {
    /// What is unlinked before this call waits for this period, which begins after it.
    #[must_use]
    pub fn next(&self) -> Grace {
        let next = self.0.begun.load(Relaxed) + 1;
        self.0.wanted.store(next, Relaxed);
        Grace(next)
    }

    /// Whether `grace` had passed when the time was taken last.
    #[must_use]
    pub fn has_passed(&self, grace: Grace) -> bool {
        grace.0 <= self.0.passed.load(Relaxed)
    }
}

/// Moves the hands of a [`GraceClock`]. Lives with whoever knows the readers.
#[derive(Debug)]
pub struct Timekeeper(GraceClock);

impl Default for Timekeeper {
    fn default() -> Self {
        Self::starting_at(0)
    }
}

impl Timekeeper {
    pub(super) fn starting_at(epoch: u64) -> Self {
        let keeper = Self(GraceClock(Arc::default()));
        keeper.0.0.begun.store(epoch, Relaxed);
        keeper
    }

    /// The clock.
    #[must_use]
    pub const fn clock(&self) -> &GraceClock {
        &self.0
    }

    /// Whether something waits for a period that has not begun.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.0.0.wanted.load(Relaxed) > self.0.0.begun.load(Relaxed)
    }

    /// Begins the next period.
    pub fn begin(&mut self) -> Grace {
        Grace(self.0.0.begun.fetch_add(1, Relaxed) + 1)
    }

    /// All readers have passed `grace`, and with it all that began before.
    pub fn pass(&mut self, grace: Grace) {
        self.0.0.passed.fetch_max(grace.0, Relaxed);
    }
}

/// Things that wait until no reader can have them any more, oldest first.
#[derive(Debug)]
pub struct Retired<T> {
    clock: GraceClock,
    waiting: VecDeque<(Grace, T)>,
}

impl<T> Retired<T> {
    /// Nothing yet. `clock` says when things are free.
    #[must_use]
    pub fn new(clock: &GraceClock) -> Self {
        Self { clock: clock.clone(), waiting: VecDeque::new() }
    }

    /// Adds a thing that nothing leads to any more.
    pub fn push(&mut self, thing: T) {
        self.waiting.push_back((self.clock.next(), thing));
    }

    /// Takes the oldest thing out if its grace period has passed.
    pub fn pop(&mut self) -> Option<T> {
        let clock = &self.clock;
        let passed = |(grace, _): &mut (Grace, T)| {
            clock.has_passed(*grace) || faults::is_planted(Plant::NoGrace)
        };
        self.waiting.pop_front_if(passed).map(|(_, thing)| thing)
    }

    /// The things, those that could be taken out among them.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.waiting.iter().map(|(_, thing)| thing)
    }

    /// How many things wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}
