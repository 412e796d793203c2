use super::atomic::{Ordering, fence};
use super::state::{ReaderTable, Word};
use crate::region::{Block, Plain, Region};
use std::collections::VecDeque;
use std::fmt;

/// A point in time after which the publisher waits for all readers to have moved on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grace(pub(super) u64);

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
}

/// Gives one thing back.
type Free = Box<dyn FnOnce() + Send>;

/// Things that wait for their grace period.
#[derive(Default)]
pub(super) struct Retired {
    /// Retired since the last epoch began.
    fresh: Vec<Free>,
    /// With the epoch after which nobody can have them, oldest first.
    waiting: VecDeque<(Grace, Vec<Free>)>,
}

impl Retired {
    pub(super) fn push(&mut self, free: Free) {
        self.fresh.push(free);
    }

    pub(super) fn push_block<T: Plain>(&mut self, region: &Region, block: Block<T>) {
        let region = region.clone();
        // SAFETY: runs after a grace period that began when the caller had unlinked the block, so
        // no reader has it; and once, being `FnOnce`.
        self.push(Box::new(move || unsafe { region.free(block) }));
    }

    pub(super) fn has_fresh(&self) -> bool {
        !self.fresh.is_empty()
    }

    /// A new epoch begins: what was retired before it waits for it.
    pub(super) fn stamp(&mut self, grace: Grace) {
        if self.has_fresh() {
            self.waiting.push_back((grace, std::mem::take(&mut self.fresh)));
        }
    }

    /// Frees everything whose grace period `passed`; returns how many things.
    pub(super) fn reclaim(&mut self, passed: impl Fn(Grace) -> bool) -> usize {
        let mut freed = 0;
        while self.waiting.front().is_some_and(|&(grace, _)| passed(grace)) {
            for free in self.waiting.pop_front().into_iter().flat_map(|(_, frees)| frees) {
                free();
                freed += 1;
            }
        }
        freed
    }

    pub(super) fn len(&self) -> usize {
        self.fresh.len() + self.waiting.iter().map(|(_, frees)| frees.len()).sum::<usize>()
    }
}

impl fmt::Debug for Retired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retired").field("len", &self.len()).finish()
    }
}
