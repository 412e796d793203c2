//! Counters with one writer each: an lcore adds, anybody sums.
//!
//! Adding is a plain load and store on a cache line no other lcore writes, so it costs about a
//! cycle and no bus lock. Sums are exact once the writers are quiet and at most one vector old
//! before that. Nothing is ever reset: clearing remembers where to count from.
//!
//! ```
//! use pal::counters::Counters;
//!
//! let mut counters = Counters::new(2);
//! let (a, b) = (counters.add_block(), counters.add_block());
//! a.add(1, 10);
//! b.add(1, 5);
//! assert_eq!(counters.sum(1), 15);
//! counters.clear();
//! b.add(1, 2);
//! assert_eq!(counters.snapshot(), [0, 2]);
//! assert_eq!(counters.raw(1), 17);
//! ```
#![allow(
    unsafe_code,
    reason = "declares its cache lines to be plain data, and says where they lie"
)]

use crate::region::{Block, Plain, ReadWrite, ViewError};
use crate::shared::Shared;
use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters in a cache line.
const PER_LINE: usize = 8;

/// One cache line of counters: the element type of counter blocks in a region.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub struct CounterLine([AtomicU64; PER_LINE]);

// SAFETY: repr(C), made of atomic integers alone.
unsafe impl Plain for CounterLine {}

impl CounterLine {
    /// Lines that hold `counters` counters.
    #[must_use]
    pub const fn lines_for(counters: usize) -> usize {
        counters.div_ceil(PER_LINE)
    }
}

/// The counters of one lcore, as their only writer sees them.
#[derive(Debug)]
pub struct CounterBlock {
    lines: Shared<[CounterLine]>,
    /// One thread at a time: two writers would lose counts.
    one_writer: PhantomData<Cell<()>>,
}

impl CounterBlock {
    /// Counters that lie in a region of counters alone and so outlive their writer: block number `n`
    /// of blocks of `len` counters.
    ///
    /// Whoever opens a second writer on the same block loses counts.
    ///
    /// # Errors
    /// The region is too small.
    pub fn nth(region: &ReadWrite, len: usize, n: usize) -> Result<Self, ViewError> {
        Ok(Self { lines: region.share(block(len, n))?, one_writer: PhantomData })
    }

    /// Adds `n`, wrapping. An index beyond the last counter is ignored.
    #[inline]
    pub fn add(&self, index: usize, n: u64) {
        let counter = counter(&self.lines, index);
        debug_assert!(counter.is_some(), "counter {index} does not exist");
        if let Some(counter) = counter {
            // No read-modify-write: nobody else stores here.
            let value = counter.load(Ordering::Relaxed).wrapping_add(n);
            counter.store(value, Ordering::Relaxed);
        }
    }

    /// Adds to the counter with the even number `index` and to the one behind it, wrapping: one
    /// look at the bounds for both. A pair beyond the last counter is ignored.
    #[inline]
    pub fn add_pair(&self, index: usize, n: [u64; 2]) {
        debug_assert!(index.is_multiple_of(2), "{index} is not even");
        if let Some(CounterLine(line)) = self.lines.get(index / PER_LINE) {
            let first = (index % PER_LINE) & !1;
            for (counter, n) in line[first..first + 2].iter().zip(n) {
                counter.store(counter.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
            }
        }
    }

    /// The present value; zero beyond the last counter.
    #[inline]
    #[must_use]
    pub fn get(&self, index: usize) -> u64 {
        read(&self.lines, index)
    }
}

/// The blocks of all lcores, for reading.
#[derive(Debug)]
pub struct Counters {
    blocks: Vec<Shared<[CounterLine]>>,
    baseline: Vec<u64>,
}

impl Counters {
    /// `len` counters, numbered from zero, without a writer yet.
    #[must_use]
    pub fn new(len: usize) -> Self {
        Self { blocks: Vec::new(), baseline: vec![0; len] }
    }

    /// A block on the heap for one more lcore.
    #[must_use]
    pub fn add_block(&mut self) -> CounterBlock {
        let mut lines = Vec::new();
        lines.resize_with(CounterLine::lines_for(self.baseline.len()), CounterLine::default);
        let lines = Shared::slice_on_heap(lines);
        self.blocks.push(lines.clone());
        CounterBlock { lines, one_writer: PhantomData }
    }

    /// The first `blocks` blocks of `len` counters in a region of counters alone, whoever writes
    /// them; see [`CounterBlock::nth`].
    ///
    /// # Errors
    /// The region is too small.
    pub fn over(region: &ReadWrite, len: usize, blocks: usize) -> Result<Self, ViewError> {
        let blocks = (0..blocks).map(|n| region.share(block(len, n))).collect::<Result<_, _>>()?;
        Ok(Self { blocks, baseline: vec![0; len] })
    }

    /// How many counters there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.baseline.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.baseline.is_empty()
    }

    /// Sum over all lcores since the last clear; zero beyond the last counter.
    #[must_use]
    pub fn sum(&self, index: usize) -> u64 {
        self.raw(index).wrapping_sub(self.baseline.get(index).copied().unwrap_or(0))
    }

    /// Sum over all lcores since the start.
    #[must_use]
    pub fn raw(&self, index: usize) -> u64 {
        self.blocks.iter().fold(0, |sum, lines| sum.wrapping_add(read(lines, index)))
    }

    /// One counter of every block, in the order they were added, since the start.
    pub fn per_block(&self, index: usize) -> impl Iterator<Item = u64> {
        self.blocks.iter().map(move |lines| read(lines, index))
    }

    /// All sums since the last clear.
    #[must_use]
    pub fn snapshot(&self) -> Vec<u64> {
        (0..self.len()).map(|index| self.sum(index)).collect()
    }

    /// Counts from here on. The writers do not notice.
    pub fn clear(&mut self) {
        self.baseline = (0..self.len()).map(|index| self.raw(index)).collect();
    }
}

/// Where block number `n` lies.
fn block(len: usize, n: usize) -> Block<CounterLine> {
    let lines = CounterLine::lines_for(len);
    // SAFETY: whoever views it checks that it lies in the region, which has counters alone; every
    // bit pattern is one.
    unsafe { Block::from_raw_parts((n * lines * size_of::<CounterLine>()) as u64, lines as u64) }
}

#[inline]
fn counter(lines: &[CounterLine], index: usize) -> Option<&AtomicU64> {
    lines.get(index / PER_LINE).map(|line| &line.0[index % PER_LINE])
}

fn read(lines: &[CounterLine], index: usize) -> u64 {
    counter(lines, index).map_or(0, |counter| counter.load(Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use super::{CounterBlock, Counters};

    #[test]
    fn nothing_is_lost_while_somebody_reads() {
        let n: u64 = if cfg!(miri) { 200 } else { 100_000 };
        let mut counters = Counters::new(20);
        let blocks: Vec<_> = (0..2).map(|_| counters.add_block()).collect();
        std::thread::scope(|scope| {
            for block in blocks {
                scope.spawn(move || (0..n).for_each(|_| block.add(9, 2)));
            }
            let mut last = 0;
            for _ in 0..100 {
                let sum = counters.sum(9);
                assert!(sum >= last);
                last = sum;
            }
        });
        assert_eq!(counters.sum(9), 4 * n);
        assert_eq!(counters.per_block(9).collect::<Vec<_>>(), [2 * n, 2 * n]);
    }

    #[test]
    #[cfg_attr(miri, ignore = "no memory files under miri")]
    fn counters_in_a_region_survive_their_writer() {
        use crate::region::{HugePages, Region};
        let region = Region::anonymous(4096, HugePages::Never).unwrap().share();
        let counters = Counters::over(&region, 9, 2).unwrap();
        for (n, add) in [(0, 1), (1, 2), (0, 4)] {
            CounterBlock::nth(&region, 9, n).unwrap().add(8, add);
        }
        assert_eq!(counters.per_block(8).collect::<Vec<_>>(), [5, 2]);
        assert!(CounterBlock::nth(&region, 9, 32).is_err());
    }
}
