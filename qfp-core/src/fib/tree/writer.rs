//! Keeps an image in step with a changing set of routes.
//!
//! Changes find the smallest parts of the tree that they lie in and build these anew from the
//! routes, beside the old ones. To publish them is to swap the entries and to retire what they
//! pointed to, which cannot fail: changes that do not fit leave no trace, and a reader sees each
//! entry either before or after.

use super::build::{Builder, Parts};
use super::nodes::Item;
use super::{Image, LEAF, Line, SEPARATORS, SPAN, SPLIT, Shape, TABLE, TREE_MAX, kind, payload};
use crate::fib::routes::{Changes, Routes, Run};
use crate::fib::{Address, FibError, Leaf, Prefix};
use pal::publication::GraceClock;
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
    runs: Vec<Run<A>>,
    items: Vec<Item>,
    /// What is prepared: changes of routes, and the entries that come of them, each in a part of
    /// the tree of its own.
    changes: Changes<A>,
    stores: Vec<Store>,
}

impl<A: Shape> Writer<A> {
    /// Returns the writer of an image that is all zero.
    pub(in crate::fib) fn new(image: Image<'_>, clock: &GraceClock) -> Self {
        // A node without separators is given line 0 to look for them.
        for word in &image.lines[0].0 {
            word.store(u32::MAX, Relaxed);
        }
        Self {
            routes: Routes::new(),
            builder: Builder::new(image, clock),
            runs: Vec::new(),
            items: Vec::new(),
            changes: Changes::default(),
            stores: Vec::new(),
        }
    }

    pub(in crate::fib) fn routes(&self) -> usize {
        self.routes.len()
    }

    /// Bytes of the image that hold something a new reader can reach.
    pub(in crate::fib) fn bytes_used(&self, image: Image<'_>) -> usize {
        let unused = self.builder.lines.free() + self.builder.lines.waiting();
        let lines = image.lines.len() - SEPARATORS - unused as usize;
        size_of_val(image.root) + size_of_val(image.deep) + lines * size_of::<Line>()
    }

    pub(in crate::fib) fn reclaim(&mut self) {
        self.builder.lines.reclaim(|_| ());
        self.builder.deep.reclaim(|_| ());
    }

    /// Sets or removes one route in the image, or changes nothing.
    pub(in crate::fib) fn set(
        &mut self,
        image: Image<'_>,
        p: Prefix<A>,
        leaf: Option<Leaf>,
    ) -> Result<Option<Leaf>, FibError> {
        let before = self.routes.get(p);
        self.prepare(image, [(p, leaf)])?;
        self.publish(image);
        Ok(before)
    }

    /// Builds what changes take, beside what readers see.
    pub(in crate::fib) fn prepare(
        &mut self,
        image: Image<'_>,
        changes: impl IntoIterator<Item = (Prefix<A>, Option<Leaf>)>,
    ) -> Result<(), FibError> {
        let planned = self.plan(image, changes);
        if planned.is_err() {
            self.abort();
        }
        planned
    }

    fn plan(
        &mut self,
        image: Image<'_>,
        changes: impl IntoIterator<Item = (Prefix<A>, Option<Leaf>)>,
    ) -> Result<(), FibError> {
        for (p, leaf) in changes {
            check_leaf(image, leaf.unwrap_or_default())?;
            self.changes.set(&mut self.routes, p, leaf);
        }
        let all = Prefix::of(A::zero(), 0);
        self.children(image, all, SPAN, &Place::Root, &self.changes.outermost())
    }

    /// Takes back what was prepared.
    pub(in crate::fib) fn abort(&mut self) {
        self.stores.clear();
        self.builder.undo();
        self.changes.undo(&mut self.routes);
    }

    /// Has readers see what was prepared.
    pub(in crate::fib) fn publish(&mut self, image: Image<'_>) {
        for Store { place, depth, entry, patched } in self.stores.drain(..) {
            let target = place.of(&image);
            let old = target.load(Relaxed);
            pal::faults::store();
            target.store(entry, Release);
            if patched {
                self.builder.retire_lines(image, old);
            } else {
                self.builder.retire::<A>(image, old, depth);
            }
        }
        self.builder.keep::<A>(image);
        self.changes = Changes::default();
        // A change of a default route stores the whole root, 1.5 MB of stores. It is rare, and there
        // may be thousands of tables.
        if self.stores.capacity() > KEPT_STORES {
            self.stores = Vec::new();
        }
        if self.runs.capacity() > KEPT_STORES {
            self.runs = Vec::new();
        }
    }

    /// Plans `changes`, which lie in `region` and are smaller, in the entry at `place`, which stands
    /// for it.
    fn descend(
        &mut self,
        image: Image<'_>,
        place: Place,
        region: Prefix<A>,
        changes: &[Prefix<A>],
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
                self.children(image, region, bits, &|slot| Place::Slot(line, slot), changes)
            };
        }
        if kind(entry) == TABLE {
            return if self.still_holds(region, TREE_MAX / 4) {
                self.children(image, region, SPLIT, &|slot| Place::Slot(line, slot), changes)
            } else {
                self.rebuild(image, place, region)
            };
        }
        let p = cover(changes).unwrap_or(region);
        let start = A::span_of(region.len());
        if p.len() <= start + SPAN {
            return self.patch(image, place, region, p);
        }
        let cell = Prefix::of(p.first(), start + SPAN);
        let value = usize::from(image.search(entry, p.first().field(start, SPAN)));
        match value.checked_sub(image.deep_from()) {
            Some(id) if self.still_holds(cell, 1) => {
                self.descend(image, Place::Deep(id), cell, changes)
            }
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

    /// Plans `changes` in those of the 2^`bits` parts of `region` that they touch.
    fn children(
        &mut self,
        image: Image<'_>,
        region: Prefix<A>,
        bits: u8,
        place: &dyn Fn(u32) -> Place,
        changes: &[Prefix<A>],
    ) -> Result<(), FibError> {
        let depth = region.len() + bits;
        let slot = |address: A| address.field(region.len(), bits);
        let same = |a: &Prefix<A>, b: &Prefix<A>| {
            a.len() > depth && b.len() > depth && slot(a.first()) == slot(b.first())
        };
        for group in changes.chunk_by(same) {
            let p = group[0];
            let first = slot(p.first());
            if p.len() > depth {
                self.descend(image, place(first), region.part(first, bits), group)?;
                continue;
            }
            let mut runs = mem::take(&mut self.runs);
            self.routes.sweep(p, &mut runs);
            let mut parts = Parts::new(Leaf::NONE, &runs);
            let built = (first..=slot(p.last())).try_for_each(|slot| -> Result<(), FibError> {
                let part = region.part(slot, bits);
                let (leaf, inside) = parts.next(part);
                let entry = self.builder.build(image, part, leaf, inside)?;
                self.stores.push(Store { place: place(slot), depth, entry, patched: false });
                Ok(())
            });
            self.runs = runs;
            built?;
        }
        Ok(())
    }

    /// Tells whether `region` has `count` routes inside; a change that adds one cannot lack them.
    fn still_holds(&self, region: Prefix<A>, count: usize) -> bool {
        !self.changes.shrinking || self.routes.holds(region, count)
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

/// The smallest prefix that has all of `changes`, which are in order, inside.
fn cover<A: Address>(changes: &[Prefix<A>]) -> Option<Prefix<A>> {
    let (first, last) = (changes.first()?, changes.last()?);
    let same = (first.first() ^ last.last()).leading_zeros();
    Some(Prefix::of(first.first(), first.len().min(u8::try_from(same).unwrap_or(u8::MAX))))
}

/// Refuses a leaf that is in the range of the deep entries' numbers.
fn check_leaf(image: Image<'_>, leaf: Leaf) -> Result<(), FibError> {
    let max = u16::try_from(image.deep_from() - 1).unwrap_or(u16::MAX);
    if leaf.0 > max { Err(FibError::LeafTooLarge { leaf: leaf.0, max }) } else { Ok(()) }
}
