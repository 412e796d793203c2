//! Which units of an array are free, in use, or waiting for their last reader.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use pal::refusal;

/// Consecutive units of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) first: u32,
    pub(crate) count: u32,
}

/// Nowhere are so many units free together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoRoom {
    pub(crate) wanted: u32,
    pub(crate) free: u32,
    /// Units that will be free once every reader has moved on.
    pub(crate) waiting: u32,
}

/// An allocator of consecutive units: best fit, neighbours merged when freed.
///
/// A retired extent comes back when the owner says that every reader has passed the generation
/// in which it was retired.
#[derive(Debug)]
pub(crate) struct Slab {
    by_first: BTreeMap<u32, u32>,
    by_count: BTreeSet<(u32, u32)>,
    free: u32,
    waiting: u32,
    retired: VecDeque<(u64, Extent)>,
}

impl Slab {
    /// Returns a slab in which units `reserved..capacity` are free.
    pub(crate) fn new(reserved: u32, capacity: u32) -> Self {
        let mut slab = Self {
            by_first: BTreeMap::new(),
            by_count: BTreeSet::new(),
            free: 0,
            waiting: 0,
            retired: VecDeque::new(),
        };
        if capacity > reserved {
            slab.free(Extent { first: reserved, count: capacity - reserved });
        }
        slab
    }

    pub(crate) fn free_units(&self) -> u32 {
        self.free
    }

    pub(crate) fn waiting_units(&self) -> u32 {
        self.waiting
    }

    /// Takes `count` units.
    ///
    /// # Errors
    /// Nowhere are so many free ones together.
    pub(crate) fn alloc(&mut self, count: u32) -> Result<Extent, NoRoom> {
        let fitting = self.by_count.range((count, 0)..).next().filter(|_| !refusal::is_due());
        let Some(&(found, first)) = fitting else {
            return Err(NoRoom { wanted: count, free: self.free, waiting: self.waiting });
        };
        self.take(first, found);
        if found > count {
            self.put(first + count, found - count);
        }
        self.free -= count;
        Ok(Extent { first, count })
    }

    /// Gives back an extent that no reader can have seen.
    pub(crate) fn free(&mut self, extent: Extent) {
        let Extent { mut first, mut count } = extent;
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

    /// Sets an extent aside that readers of `generation` may still see.
    pub(crate) fn retire(&mut self, generation: u64, extent: Extent) {
        self.waiting += extent.count;
        self.retired.push_back((generation, extent));
    }

    /// Frees what was retired at or before `generation`.
    pub(crate) fn reclaim(&mut self, generation: u64) {
        while let Some(&(retired, extent)) = self.retired.front()
            && retired <= generation
        {
            self.retired.pop_front();
            self.waiting -= extent.count;
            self.free(extent);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freed_neighbours_become_one_extent_again() {
        let mut slab = Slab::new(1, 101);
        let a = slab.alloc(40).unwrap();
        let b = slab.alloc(60).unwrap();
        assert_eq!((a.first, b.first), (1, 41));
        assert!(slab.alloc(1).is_err());
        slab.free(a);
        slab.free(b);
        assert_eq!(slab.alloc(100).unwrap().first, 1);
    }

    #[test]
    fn a_retired_extent_returns_only_after_its_generation() {
        let mut slab = Slab::new(0, 4);
        let a = slab.alloc(4).unwrap();
        slab.retire(7, a);
        slab.reclaim(6);
        assert_eq!((slab.free_units(), slab.waiting_units()), (0, 4));
        slab.reclaim(7);
        assert_eq!((slab.free_units(), slab.waiting_units()), (4, 0));
    }
}
