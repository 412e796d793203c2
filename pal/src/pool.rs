//! Numbers of what there is a limited number of: which are free, in use, or waiting for readers.

use crate::publication::{GraceClock, Retired};
use crate::refusal;
use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;
use std::ops::Range;

/// Consecutive units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first of them.
    pub first: u32,
    /// How many there are.
    pub count: u32,
}

/// Nowhere are so many units free together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {wanted} wanted, {free} of {capacity} free, {waiting} waiting for readers")]
pub struct Full {
    /// What there are no more of.
    pub what: &'static str,
    /// How many were asked for, in one piece.
    pub wanted: u32,
    /// How many are free, in any piece.
    pub free: u32,
    /// How many there are in all.
    pub capacity: u32,
    /// How many will be free once readers have moved on.
    pub waiting: u32,
}

/// How much of a pool is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolUsage {
    /// What there is a limited number of.
    pub what: &'static str,
    /// Units that are not free, those that wait for readers among them.
    pub in_use: u32,
    /// Units in all.
    pub capacity: u32,
    /// The most that were in use at once.
    pub peak: u32,
}

/// The numbers of rows, lines, places or whatever else a table has, as an `N`.
///
/// What is taken is the tightest piece that is large enough, and the lowest of these. What is given
/// back joins its neighbours: at once with [`give_back`](Self::give_back), where no reader can have seen
/// it, else with [`retire`](Self::retire) and a grace period later.
///
/// Everything is O(log n) in the pieces that are free.
#[derive(Debug)]
pub struct Pool<N = u32> {
    what: &'static str,
    all: Range<u32>,
    by_first: BTreeMap<u32, u32>,
    by_count: BTreeSet<(u32, u32)>,
    free: u32,
    /// The fewest that were ever free.
    least_free: u32,
    /// One more than the highest unit that was ever taken.
    limit: u32,
    retired: Retired<Span>,
    number: PhantomData<fn() -> N>,
}

impl<N: Into<u32> + TryFrom<u32>> Pool<N> {
    /// The numbers `all` of `what`, which are free. `clock` is that of those who read by them.
    #[must_use]
    pub fn new(what: &'static str, all: Range<u32>, clock: &GraceClock) -> Self {
        let mut pool = Self {
            what,
            limit: all.start,
            by_first: BTreeMap::new(),
            by_count: BTreeSet::new(),
            free: 0,
            least_free: 0,
            retired: Retired::new(clock),
            number: PhantomData,
            all,
        };
        let all = Span { first: pool.all.start, count: pool.capacity() };
        if all.count > 0 {
            pool.give_back_span(all);
        }
        pool.least_free = pool.free;
        pool
    }

    /// Takes one number.
    ///
    /// # Errors
    /// None is free.
    pub fn alloc(&mut self) -> Result<N, Full> {
        let first = self.alloc_span(1)?.first;
        N::try_from(first).map_err(|_| self.full(1))
    }

    /// Takes `count` consecutive units.
    ///
    /// # Errors
    /// Nowhere are so many free together.
    pub fn alloc_span(&mut self, count: u32) -> Result<Span, Full> {
        let fitting = self.by_count.range((count, 0)..).next();
        let Some(&(found, first)) = fitting.filter(|_| !refusal::is_due()) else {
            return Err(self.full(count));
        };
        self.take(first, found);
        if found > count {
            self.put(first + count, found - count);
        }
        let span = Span { first, count };
        self.taken(span);
        Ok(span)
    }

    /// Takes these units and no others. False if they are not all free.
    pub fn claim(&mut self, span: Span) -> bool {
        let Span { first, count } = span;
        let Some(end) = first.checked_add(count) else { return false };
        let piece = self.by_first.range(..=first).next_back().map(|(&at, &n)| (at, n));
        let Some((at, n)) = piece.filter(|(at, n)| count > 0 && end <= at + n) else {
            return false;
        };
        self.take(at, n);
        for (first, count) in [(at, first - at), (end, at + n - end)] {
            if count > 0 {
                self.put(first, count);
            }
        }
        self.taken(span);
        true
    }

    /// Counts what was taken.
    fn taken(&mut self, Span { first, count }: Span) {
        self.free -= count;
        self.least_free = self.least_free.min(self.free);
        self.limit = self.limit.max(first + count);
    }

    /// Gives a number back that no reader can have seen.
    pub fn give_back(&mut self, number: N) {
        self.give_back_span(Span { first: number.into(), count: 1 });
    }

    /// Gives units back that no reader can have seen.
    pub fn give_back_span(&mut self, span: Span) {
        let Span { mut first, mut count } = span;
        self.free += count;
        if let Some((&before, &n)) = self.by_first.range(..first).next_back()
            && before + n == first
        {
            self.take(before, n);
            first = before;
            count += n;
        }
        if let Some(&n) = self.by_first.get(&(first + count)) {
            self.take(first + count, n);
            count += n;
        }
        self.put(first, count);
    }

    /// Gives a number back that nothing leads to any more, after a grace period.
    pub fn retire(&mut self, number: N) {
        self.retire_span(Span { first: number.into(), count: 1 });
    }

    /// Gives units back that nothing leads to any more, after a grace period.
    pub fn retire_span(&mut self, span: Span) {
        self.retired.push(span);
    }

    /// Makes free what every reader has passed, after `freed` has seen each span.
    pub fn reclaim(&mut self, mut freed: impl FnMut(Span)) {
        while let Some(span) = self.retired.pop() {
            freed(span);
            self.give_back_span(span);
        }
    }

    /// Units in all.
    #[must_use]
    pub fn capacity(&self) -> u32 {
        self.all.end.saturating_sub(self.all.start)
    }

    /// Units that can be taken now, in any piece.
    #[must_use]
    pub const fn free(&self) -> u32 {
        self.free
    }

    /// Units that wait for readers.
    #[must_use]
    pub fn waiting(&self) -> u32 {
        self.retired.iter().map(|span| span.count).sum()
    }

    /// Units that are not free, those that wait for readers among them.
    #[must_use]
    pub fn in_use(&self) -> u32 {
        self.capacity() - self.free
    }

    /// One more than the highest number that was ever taken.
    #[must_use]
    pub const fn high_water(&self) -> u32 {
        self.limit
    }

    /// How much of it is taken, and was.
    #[must_use]
    pub fn usage(&self) -> PoolUsage {
        let capacity = self.capacity();
        let peak = capacity - self.least_free;
        PoolUsage { what: self.what, in_use: self.in_use(), capacity, peak }
    }

    /// That there is no room for `wanted` more.
    #[must_use]
    pub fn full(&self, wanted: u32) -> Full {
        let (free, capacity, waiting) = (self.free, self.capacity(), self.waiting());
        Full { what: self.what, wanted, free, capacity, waiting }
    }

    fn take(&mut self, first: u32, count: u32) {
        self.by_first.remove(&first);
        self.by_count.remove(&(count, first));
    }

    fn put(&mut self, first: u32, count: u32) {
        self.by_first.insert(first, count);
        self.by_count.insert((count, first));
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
