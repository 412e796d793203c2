//! Keeps an image in step with a changing set of routes.
//!
//! A change finds the smallest part of the tree that it lies in, builds that part anew from the
//! routes beside the old one, and only when everything it needs has been built swaps the entries
//! and retires what they pointed to. So a change that does not fit leaves no trace, and a reader
//! sees each entry either before or after.

use super::build::{Builder, Parts};
use super::nodes::Item;
use super::{Image, LEAF, Line, SEPARATORS, SPAN, SPLIT, Shape, TABLE, TREE_MAX, kind, payload};
use crate::fib::routes::{Routes, Run};
use crate::fib::{FibError, Leaf, Prefix};
use std::mem;
use std::sync::atomic::{
    AtomicU32,
    Ordering::{Relaxed, Release},
};

/// Stores and runs that a writer keeps room for between changes.
const KEPT_STORES: usize = 1 << 10;

/// Where an entry stands.
#[derive(Clone, Copy, Debug)]
enum Place {
    Root(u32),
    Slot(u32, u32),
    Deep(usize),
}

impl Place {
    fn of<'a>(self, image: &Image<'a>) -> &'a AtomicU32 {
        match self {
            Self::Root(i) => &image.root[i as usize],
            Self::Slot(line, slot) => image.slot(line, slot),
            Self::Deep(i) => &image.deep[i],
        }
    }
}

/// An entry that waits until the whole change is built.
#[derive(Debug)]
struct Store {
    place: Place,
    depth: u8,
    entry: u32,
    /// Whether the new entry shares the deep entries of the old one, except those dropped.
    patched: bool,
}

/// Writes one image; holds its routes and knows what of it is free.
#[derive(Debug)]
pub(in crate::fib) struct Writer<A: Shape> {
    routes: Routes<A>,
    builder: Builder,
    generation: u64,
    runs: Vec<Run<A>>,
    items: Vec<Item>,
    stores: Vec<Store>,
    /// Whether the change in hand takes a route away, so that parts of the tree may go.
    shrinking: bool,
}

impl<A: Shape> Writer<A> {
    /// Returns the writer of an image that is all zero.
    pub(in crate::fib) fn new(image: Image<'_>) -> Self {
        // A node without separators is given line 0 to look for them.
        for word in &image.lines[0].0 {
            word.store(u32::MAX, Relaxed);
        }
        Self {
            routes: Routes::new(),
            builder: Builder::new(image),
            generation: 0,
            runs: Vec::new(),
            items: Vec::new(),
            stores: Vec::new(),
            shrinking: false,
        }
    }

    pub(in crate::fib) fn routes(&self) -> usize {
        self.routes.len()
    }

    /// Bytes of the image that hold something a new reader can reach.
    pub(in crate::fib) fn bytes_used(&self, image: Image<'_>) -> usize {
        let unused = self.builder.lines.free_units() + self.builder.lines.waiting_units();
        let lines = image.lines.len() - SEPARATORS - unused as usize;
        size_of_val(image.root) + size_of_val(image.deep) + lines * size_of::<Line>()
    }

    pub(in crate::fib) fn set_generation(&mut self, generation: u64) {
        self.generation = generation;
    }

    pub(in crate::fib) fn reclaim(&mut self, generation: u64) {
        self.builder.lines.reclaim(generation);
        self.builder.deep.reclaim(generation);
    }

    /// Sets or removes one route in the image, or changes nothing.
    pub(in crate::fib) fn set(
        &mut self,
        image: Image<'_>,
        p: Prefix<A>,
        leaf: Option<Leaf>,
    ) -> Result<Option<Leaf>, FibError> {
        if let Some(leaf) = leaf {
            check_leaf(image, leaf)?;
        }
        let before = self.routes.set(p, leaf);
        if before == leaf {
            return Ok(before);
        }
        self.shrinking = leaf.is_none();
        let planned = if p.len() <= SPAN {
            self.children(image, Prefix::of(A::zero(), 0), SPAN, &Place::Root, p)
        } else {
            let slot = p.first().field(0, SPAN);
            self.descend(image, Place::Root(slot), Prefix::of(p.first(), SPAN), p)
        };
        if let Err(error) = planned {
            self.stores.clear();
            self.builder.undo();
            self.routes.set(p, before);
            return Err(error);
        }
        self.publish(image);
        Ok(before)
    }

    /// Writes all routes into an image that has none. On an error the image is as it was.
    pub(in crate::fib) fn load(
        &mut self,
        image: Image<'_>,
        routes: impl IntoIterator<Item = (Prefix<A>, Leaf)>,
    ) -> Result<(), FibError> {
        for (p, leaf) in routes {
            check_leaf(image, leaf)?;
            self.routes.set(p, Some(leaf));
        }
        let all = Prefix::of(A::zero(), 0);
        let built = self.children(image, all, SPAN, &Place::Root, all);
        if built.is_err() {
            self.stores.clear();
            self.builder.undo();
            self.routes = Routes::new();
        } else {
            self.publish(image);
        }
        built
    }

    fn publish(&mut self, image: Image<'_>) {
        for Store { place, depth, entry, patched } in self.stores.drain(..) {
            let target = place.of(&image);
            let old = target.load(Relaxed);
            target.store(entry, Release);
            if patched {
                self.builder.retire_patched::<A>(image, old, depth, self.generation);
            } else {
                self.builder.retire::<A>(image, old, depth, self.generation);
            }
        }
        self.builder.keep();
        // A change of a default route stores the whole root, 1.5 MB of stores. It is rare, and there
        // may be thousands of tables.
        if self.stores.capacity() > KEPT_STORES {
            self.stores = Vec::new();
        }
        if self.runs.capacity() > KEPT_STORES {
            self.runs = Vec::new();
        }
    }

    /// Plans the change `p` in the entry at `place`, which stands for `region`, wider than `p`.
    fn descend(
        &mut self,
        image: Image<'_>,
        place: Place,
        region: Prefix<A>,
        p: Prefix<A>,
    ) -> Result<(), FibError> {
        let entry = place.of(&image).load(Relaxed);
        let line = payload(entry);
        if !self.still_holds(region, 1) {
            return self.rebuild(image, place, region);
        }
        if let Some(bits) = A::table_at(region.len()) {
            return if kind(entry) == LEAF {
                self.rebuild(image, place, region)
            } else {
                self.children(image, region, bits, &|slot| Place::Slot(line, slot), p)
            };
        }
        if kind(entry) == TABLE {
            return if self.still_holds(region, TREE_MAX / 4) {
                self.children(image, region, SPLIT, &|slot| Place::Slot(line, slot), p)
            } else {
                self.rebuild(image, place, region)
            };
        }
        let start = A::span_of(region.len());
        if p.len() <= start + SPAN {
            return self.patch(image, place, region, p);
        }
        let cell = Prefix::of(p.first(), start + SPAN);
        let value = usize::from(image.search(entry, p.first().field(start, SPAN)));
        match value.checked_sub(image.deep_from()) {
            Some(id) if self.still_holds(cell, 1) => self.descend(image, Place::Deep(id), cell, p),
            _ => self.patch(image, place, region, cell),
        }
    }

    /// Plans a node like the one at `place` but for the part of it that `p` covers.
    fn patch(
        &mut self,
        image: Image<'_>,
        place: Place,
        region: Prefix<A>,
        p: Prefix<A>,
    ) -> Result<(), FibError> {
        let (mut runs, mut items) = (mem::take(&mut self.runs), mem::take(&mut self.items));
        self.routes.sweep(p, &mut runs);
        let old = place.of(&image).load(Relaxed);
        let built = self.builder.patch(image, region, old, p, &runs, &mut items);
        (self.runs, self.items) = (runs, items);
        self.stores.push(Store { place, depth: region.len(), entry: built?, patched: true });
        Ok(())
    }

    /// Plans the change `p` in those of the 2^`bits` parts of `region` that it touches.
    fn children(
        &mut self,
        image: Image<'_>,
        region: Prefix<A>,
        bits: u8,
        place: &dyn Fn(u32) -> Place,
        p: Prefix<A>,
    ) -> Result<(), FibError> {
        let depth = region.len() + bits;
        let first = p.first().field(region.len(), bits);
        if p.len() > depth {
            return self.descend(image, place(first), region.part(first, bits), p);
        }
        let last = p.last().field(region.len(), bits);
        let mut runs = mem::take(&mut self.runs);
        self.routes.sweep(p, &mut runs);
        let mut parts = Parts::new(Leaf::NONE, &runs);
        let mut result = Ok(());
        for slot in first..=last {
            let part = region.part(slot, bits);
            let (leaf, inside) = parts.next(part);
            match self.builder.build(image, part, leaf, inside) {
                Ok(entry) => {
                    self.stores.push(Store { place: place(slot), depth, entry, patched: false })
                }
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        self.runs = runs;
        result
    }

    /// Tells whether `region` has `count` routes inside; a change that adds one cannot lack them.
    fn still_holds(&self, region: Prefix<A>, count: usize) -> bool {
        !self.shrinking || self.routes.holds(region, count)
    }

    /// Plans a new entry for `region`, built from the routes.
    fn rebuild(
        &mut self,
        image: Image<'_>,
        place: Place,
        region: Prefix<A>,
    ) -> Result<(), FibError> {
        let mut runs = mem::take(&mut self.runs);
        self.routes.sweep(region, &mut runs);
        let built = self.builder.build(image, region, runs[0].1, &runs[1..]);
        self.runs = runs;
        self.stores.push(Store { place, depth: region.len(), entry: built?, patched: false });
        Ok(())
    }
}

/// Refuses a leaf that is in the range of the deep entries' numbers.
fn check_leaf(image: Image<'_>, leaf: Leaf) -> Result<(), FibError> {
    let max = u16::try_from(image.deep_from() - 1).unwrap_or(u16::MAX);
    if leaf.0 > max { Err(FibError::LeafTooLarge { leaf: leaf.0, max }) } else { Ok(()) }
}
