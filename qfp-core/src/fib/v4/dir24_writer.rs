//! Keeps a DIR-24-8 image in step with a changing set of routes.

use super::dir24::{BLOCK, Dir24};
use crate::fib::routes::{Changes, Routes, Run};
use crate::fib::{FibError, Leaf, Prefix};
use pal::faults::{Plant, is_planted};
use pal::pool::Pool;
use pal::publication::GraceClock;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering::{Relaxed, Release};

/// Changes that are written one by one, however few routes there are.
const FEW: usize = 1 << 12;

/// Writes one [`Dir24`] image; holds its routes and its free blocks.
///
/// Every call takes the view of the image this writer was made for.
#[derive(Debug)]
pub struct Dir24Writer {
    routes: Routes<u32>,
    blocks: Pool,
    runs: Vec<Run<u32>>,
    /// What is prepared: changes, and blocks by the first addresses of their /24s.
    changes: Changes<u32>,
    opened: BTreeMap<u32, u32>,
}

#[expect(clippy::cast_possible_truncation, reason = "elements and block numbers fit 16 bits")]
impl Dir24Writer {
    /// Returns the writer of an image that is all zero; `clock` is that of its readers.
    #[must_use]
    pub fn new(image: &Dir24<'_>, clock: &GraceClock) -> Self {
        let blocks = (image.tbl8.len() / BLOCK) as u32;
        Self {
            routes: Routes::new(),
            blocks: Pool::new("blocks below a /24", 0..blocks, clock),
            runs: Vec::new(),
            changes: Changes::default(),
            opened: BTreeMap::new(),
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
        let free = (self.blocks.free() + self.blocks.waiting()) as usize;
        2 * (image.tbl24.len() + image.tbl8.len() - free * BLOCK)
    }

    /// Makes the blocks usable again that no reader has any more. Does not wait.
    pub fn reclaim(&mut self) {
        self.blocks.reclaim(|_| ());
    }

    /// Adds a route or replaces its leaf; returns the leaf it had.
    ///
    /// Costs one store for each /24 the prefix covers.
    ///
    /// # Errors
    /// As [`Dir24Writer::prepare`].
    pub fn insert(
        &mut self,
        image: &Dir24<'_>,
        p: Prefix<u32>,
        leaf: Leaf,
    ) -> Result<Option<Leaf>, FibError> {
        let before = self.routes.get(p);
        self.bulk_load(image, [(p, leaf)])?;
        Ok(before)
    }

    /// Removes a route; returns the leaf it had, `None` if there was no such route.
    pub fn remove(&mut self, image: &Dir24<'_>, p: Prefix<u32>) -> Option<Leaf> {
        let before = self.routes.get(p);
        // It takes nothing that could be missing.
        if self.prepare(image, [(p, None)]).is_ok() {
            self.publish(image);
        }
        before
    }

    /// Adds many routes, or replaces their leaves; the last of two equal prefixes counts.
    ///
    /// # Errors
    /// As [`Dir24Writer::prepare`].
    pub fn bulk_load(
        &mut self,
        image: &Dir24<'_>,
        routes: impl IntoIterator<Item = (Prefix<u32>, Leaf)>,
    ) -> Result<(), FibError> {
        self.prepare(image, routes.into_iter().map(|(p, leaf)| (p, Some(leaf))))?;
        self.publish(image);
        Ok(())
    }

    /// Prepares new leaves of routes, none where they go; the last for a prefix counts. Readers see
    /// nothing of it before [`Dir24Writer::publish`], and never with [`Dir24Writer::abort`].
    ///
    /// # Errors
    /// [`FibError::Full`] if there are no blocks for routes longer than /24,
    /// [`FibError::LeafTooLarge`]; nothing is prepared.
    pub fn prepare(
        &mut self,
        image: &Dir24<'_>,
        changes: impl IntoIterator<Item = (Prefix<u32>, Option<Leaf>)>,
    ) -> Result<(), FibError> {
        let prepared = self.take_blocks(image, changes);
        if prepared.is_err() {
            self.abort();
        }
        prepared
    }

    fn take_blocks(
        &mut self,
        image: &Dir24<'_>,
        changes: impl IntoIterator<Item = (Prefix<u32>, Option<Leaf>)>,
    ) -> Result<(), FibError> {
        for (p, leaf) in changes {
            check_leaf(image, leaf.unwrap_or_default())?;
            self.changes.set(&mut self.routes, p, leaf);
        }
        for p in self.changes.prefixes().filter(|p| p.len() > 24) {
            let slot = Prefix::of(p.first(), 24);
            if self.block_at(image, p).is_some()
                || self.opened.contains_key(&slot.first())
                || !self.routes.holds(slot, 1)
            {
                continue;
            }
            self.opened.insert(slot.first(), self.blocks.alloc()?);
        }
        Ok(())
    }

    /// Takes back what was prepared.
    pub fn abort(&mut self) {
        self.changes.undo(&mut self.routes);
        let opened = std::mem::take(&mut self.opened).into_values();
        opened.for_each(|block| self.blocks.give_back(block));
    }

    /// Writes what was prepared.
    pub fn publish(&mut self, image: &Dir24<'_>) {
        for (address, block) in std::mem::take(&mut self.opened) {
            self.open_block(image, Prefix::of(address, 24), block as usize);
        }
        let changes = std::mem::take(&mut self.changes);
        let outermost = changes.outermost();
        if outermost.len() > FEW && outermost.len() > self.routes.len() / 4 {
            self.paint(image, Prefix::of(0, 0));
        } else {
            let short = outermost.iter().filter(|p| p.len() <= 24);
            short.for_each(|p| self.paint(image, *p));
        }
        for p in changes.prefixes().filter(|p| p.len() > 24) {
            let slot = Prefix::of(p.first(), 24);
            let Some(block) = self.block_at(image, p) else { continue };
            if self.routes.holds(slot, 1) {
                self.paint(image, p);
                continue;
            }
            pal::faults::store();
            image.tbl24[p.first() as usize >> 8].store(self.routes.cover(slot).0, Release);
            self.blocks.retire(block as u32);
        }
    }

    /// The block of the /24 that holds the first address of `p`, if it has one.
    fn block_at(&self, image: &Dir24<'_>, p: Prefix<u32>) -> Option<usize> {
        let leaf = image.tbl24[p.first() as usize >> 8].load(Relaxed);
        usize::from(leaf).checked_sub(image.blocks_from())
    }

    /// Fills a block for a /24 and then publishes it.
    fn open_block(&mut self, image: &Dir24<'_>, slot: Prefix<u32>, block: usize) {
        let number = (image.blocks_from() + block) as u16;
        let place = &image.tbl24[slot.first() as usize >> 8];
        if is_planted(Plant::BlockFirst) {
            place.store(number, Release);
        }
        self.routes.sweep(slot, &mut self.runs);
        for (first, last, leaf) in spans(&self.runs, slot) {
            fill(image, block, first, last, leaf);
        }
        pal::faults::store();
        place.store(number, Release);
    }

    /// Writes the leaves of all addresses in `p` where the image holds them.
    fn paint(&mut self, image: &Dir24<'_>, p: Prefix<u32>) {
        self.routes.sweep(p, &mut self.runs);
        let blocks_from = image.blocks_from();
        for (first, last, leaf) in spans(&self.runs, p) {
            let (from, to) = (first as usize >> 8, last as usize >> 8);
            for (slot, element) in (from..=to).zip(&image.tbl24[from..=to]) {
                match usize::from(element.load(Relaxed)).checked_sub(blocks_from) {
                    None => {
                        pal::faults::store();
                        element.store(leaf.0, Release);
                    }
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
        pal::faults::store();
        element.store(leaf.0, Release);
    }
}

fn check_leaf(image: &Dir24<'_>, leaf: Leaf) -> Result<(), FibError> {
    let max = u16::try_from(image.blocks_from() - 1).unwrap_or(u16::MAX);
    if leaf.0 > max { Err(FibError::LeafTooLarge { leaf: leaf.0, max }) } else { Ok(()) }
}
