//! Keeps a DIR-24-8 image in step with a changing set of routes.

use super::dir24::{BLOCK, Dir24};
use crate::fib::routes::{Routes, Run};
use crate::fib::{FibError, Leaf, Prefix, Resource};
use crate::slab::{Extent, Slab};
use std::sync::atomic::Ordering::{Relaxed, Release};

/// Writes one [`Dir24`] image; holds its routes and its free blocks.
///
/// Every call takes the view of the image this writer was made for.
#[derive(Debug)]
pub struct Dir24Writer {
    routes: Routes<u32>,
    blocks: Slab,
    generation: u64,
    runs: Vec<Run<u32>>,
}

#[expect(clippy::cast_possible_truncation, reason = "elements and block numbers fit 16 bits")]
impl Dir24Writer {
    /// Returns the writer of an image that is all zero.
    #[must_use]
    pub fn new(image: &Dir24<'_>) -> Self {
        let blocks = (image.tbl8.len() / BLOCK) as u32;
        Self {
            routes: Routes::new(),
            blocks: Slab::new(0, blocks),
            generation: 0,
            runs: Vec::new(),
        }
    }

    /// The number of routes.
    #[must_use]
    pub fn routes(&self) -> usize {
        self.routes.len()
    }

    /// Bytes of the image in use: the first array and the blocks taken.
    #[must_use]
    pub fn bytes_used(&self, image: &Dir24<'_>) -> usize {
        let free = (self.blocks.free_units() + self.blocks.waiting_units()) as usize;
        2 * (image.tbl24.len() + image.tbl8.len() - free * BLOCK)
    }

    /// From now on freed blocks wait until readers have passed `generation`.
    pub fn set_generation(&mut self, generation: u64) {
        self.generation = generation;
    }

    /// Makes the blocks usable again that were freed at or before `generation`.
    ///
    /// Call it when every reader has been quiescent since that generation ended.
    pub fn reclaim(&mut self, generation: u64) {
        self.blocks.reclaim(generation);
    }

    /// Adds a route or replaces its leaf; returns the leaf it had.
    ///
    /// Costs one store for each /24 the prefix covers.
    ///
    /// # Errors
    /// [`FibError::Full`] if the route is longer than /24 and there is no block for it,
    /// [`FibError::LeafTooLarge`]; the table is as before.
    pub fn insert(
        &mut self,
        image: &Dir24<'_>,
        p: Prefix<u32>,
        leaf: Leaf,
    ) -> Result<Option<Leaf>, FibError> {
        check_leaf(image, leaf)?;
        let before = self.routes.set(p, Some(leaf));
        if before == Some(leaf) {
            return Ok(before);
        }
        if p.len() > 24 && self.block_at(image, p).is_none() {
            if let Err(error) = self.open_block(image, p) {
                self.routes.set(p, before);
                return Err(error);
            }
        } else {
            self.paint(image, p);
        }
        Ok(before)
    }

    /// Removes a route; returns the leaf it had, `None` if there was no such route.
    pub fn remove(&mut self, image: &Dir24<'_>, p: Prefix<u32>) -> Option<Leaf> {
        let before = self.routes.set(p, None)?;
        let slot = Prefix::of(p.first(), 24);
        match self.block_at(image, p) {
            Some(block) if p.len() > 24 && !self.routes.holds(slot, 1) => {
                let leaf = self.routes.cover(slot);
                image.tbl24[p.first() as usize >> 8].store(leaf.0, Release);
                self.blocks.retire(self.generation, Extent { first: block as u32, count: 1 });
            }
            _ => self.paint(image, p),
        }
        Some(before)
    }

    /// Writes all `routes` into an image that has none; the last of two equal prefixes counts.
    ///
    /// # Errors
    /// As [`Dir24Writer::insert`]; then the image must be zeroed before it is used again.
    pub fn bulk_load(
        &mut self,
        image: &Dir24<'_>,
        routes: impl IntoIterator<Item = (Prefix<u32>, Leaf)>,
    ) -> Result<(), FibError> {
        let mut long = Vec::new();
        for (p, leaf) in routes {
            check_leaf(image, leaf)?;
            self.routes.set(p, Some(leaf));
            if p.len() > 24 {
                long.push(p);
            }
        }
        self.paint(image, Prefix::of(0, 0));
        for p in long {
            if self.block_at(image, p).is_none() {
                self.open_block(image, p)?;
            }
        }
        Ok(())
    }

    /// The block of the /24 that holds the first address of `p`, if it has one.
    fn block_at(&self, image: &Dir24<'_>, p: Prefix<u32>) -> Option<usize> {
        let leaf = image.tbl24[p.first() as usize >> 8].load(Relaxed);
        usize::from(leaf).checked_sub(image.blocks_from())
    }

    /// Fills a block for the /24 that holds `p` and then publishes it.
    fn open_block(&mut self, image: &Dir24<'_>, p: Prefix<u32>) -> Result<(), FibError> {
        let block =
            self.blocks.alloc(1).map_err(|no| FibError::full(Resource::Blocks, no))?.first as usize;
        let slot = Prefix::of(p.first(), 24);
        self.routes.sweep(slot, &mut self.runs);
        for (first, last, leaf) in spans(&self.runs, slot) {
            fill(image, block, first, last, leaf);
        }
        let number = (image.blocks_from() + block) as u16;
        image.tbl24[slot.first() as usize >> 8].store(number, Release);
        Ok(())
    }

    /// Writes the leaves of all addresses in `p` where the image holds them.
    fn paint(&mut self, image: &Dir24<'_>, p: Prefix<u32>) {
        self.routes.sweep(p, &mut self.runs);
        let blocks_from = image.blocks_from();
        for (first, last, leaf) in spans(&self.runs, p) {
            let (from, to) = (first as usize >> 8, last as usize >> 8);
            for (slot, element) in (from..=to).zip(&image.tbl24[from..=to]) {
                match usize::from(element.load(Relaxed)).checked_sub(blocks_from) {
                    None => element.store(leaf.0, Release),
                    Some(block) => {
                        let slot = Prefix::of((slot as u32) << 8, 24);
                        let (first, last) = (first.max(slot.first()), last.min(slot.last()));
                        fill(image, block, first, last, leaf);
                    }
                }
            }
        }
    }
}

/// The runs of `region` with their last addresses.
fn spans(runs: &[Run<u32>], region: Prefix<u32>) -> impl Iterator<Item = (u32, u32, Leaf)> {
    let ends = runs.iter().skip(1).map(|run| run.0 - 1).chain([region.last()]);
    runs.iter().zip(ends).map(|(run, last)| (run.0, last, run.1))
}

/// Stores `leaf` for the addresses `first..=last` of one /24 in its block.
fn fill(image: &Dir24<'_>, block: usize, first: u32, last: u32, leaf: Leaf) {
    let (from, to) = (first as usize & 0xff, last as usize & 0xff);
    for element in &image.tbl8[block * BLOCK + from..=block * BLOCK + to] {
        element.store(leaf.0, Release);
    }
}

fn check_leaf(image: &Dir24<'_>, leaf: Leaf) -> Result<(), FibError> {
    let max = u16::try_from(image.blocks_from() - 1).unwrap_or(u16::MAX);
    if leaf.0 > max { Err(FibError::LeafTooLarge { leaf: leaf.0, max }) } else { Ok(()) }
}
