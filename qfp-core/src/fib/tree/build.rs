//! Builds the part of an image below one entry from intervals, and takes it apart again.

use super::nodes::{self, Item};
use super::{FAN, Image, LEAF, NODE, SEPARATORS, SPAN, SPLIT, Shape, TABLE, WORDS};
use super::{entry, kind};
use crate::fib::routes::Run;
use crate::fib::{FibError, Leaf, Prefix};
use pal::pool::{Pool, Span};
use pal::publication::GraceClock;
use std::sync::atomic::Ordering::Relaxed;

/// Knows which lines and deep entries are free, and what the change in hand has taken.
#[derive(Debug)]
pub(super) struct Builder {
    pub(super) lines: Pool,
    pub(super) deep: Pool,
    taken_lines: Vec<Span>,
    taken_deep: Vec<u32>,
    /// Deep entries that patched nodes no longer name, and where these stand.
    dropped: Vec<(usize, u8)>,
    /// The intervals of the node being patched.
    before: Vec<Item>,
}

/// Hands out the runs of consecutive regions.
#[derive(Debug)]
pub(super) struct Parts<'r, A> {
    runs: &'r [Run<A>],
    leaf: Leaf,
}

impl<'r, A: Shape> Parts<'r, A> {
    pub(super) fn new(leaf: Leaf, runs: &'r [Run<A>]) -> Self {
        Self { runs, leaf }
    }

    /// Returns the leaf that holds now and the runs not yet handed out.
    fn rest(self) -> (Leaf, &'r [Run<A>]) {
        (self.leaf, self.runs)
    }

    /// Returns the leaf at the start of `part` and the runs that begin later in it.
    ///
    /// Parts must be asked for in address order and without gaps.
    pub(super) fn next(&mut self, part: Prefix<A>) -> (Leaf, &'r [Run<A>]) {
        if let Some((run, rest)) = self.runs.split_first()
            && run.0 == part.first()
        {
            (self.leaf, self.runs) = (run.1, rest);
        }
        let leaf = self.leaf;
        let last = part.last();
        let inside = self.runs.iter().take_while(|run| run.0 <= last).count();
        let (inside, rest) = self.runs.split_at(inside);
        self.leaf = inside.last().map_or(leaf, |run| run.1);
        self.runs = rest;
        (leaf, inside)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "array lengths are checked by Image::new")]
impl Builder {
    pub(super) fn new(image: Image<'_>, clock: &GraceClock) -> Self {
        Self {
            lines: Pool::new(
                "lines of forwarding tables",
                1..(image.lines.len() - SEPARATORS) as u32,
                clock,
            ),
            deep: Pool::new("spans below a /48", 0..image.deep.len() as u32, clock),
            taken_lines: Vec::new(),
            taken_deep: Vec::new(),
            dropped: Vec::new(),
            before: Vec::new(),
        }
    }

    /// Accepts what was built since the last call, and sets aside the deep entries that patched
    /// nodes no longer name.
    pub(super) fn keep<A: Shape>(&mut self, image: Image<'_>) {
        self.taken_lines.clear();
        self.taken_deep.clear();
        while let Some((id, len)) = self.dropped.pop() {
            self.retire_deep::<A>(image, id, len);
        }
    }

    /// Frees what was built since the last [`Builder::keep`].
    pub(super) fn undo(&mut self) {
        self.taken_lines.drain(..).for_each(|span| self.lines.give_back_span(span));
        self.taken_deep.drain(..).for_each(|id| self.deep.give_back(id));
        self.dropped.clear();
    }

    /// Returns an entry for `region`, which begins with `leaf` and goes on with `runs`.
    pub(super) fn build<A: Shape>(
        &mut self,
        image: Image<'_>,
        region: Prefix<A>,
        leaf: Leaf,
        runs: &[Run<A>],
    ) -> Result<u32, FibError> {
        if runs.is_empty() {
            return Ok(entry(LEAF, leaf.0.into()));
        }
        let Some(bits) = A::table_at(region.len()) else {
            let mut items = Vec::new();
            self.span(image, A::span_of(region.len()), region, leaf, runs, &mut items)?;
            return self.node(image, &items);
        };
        let line = self.take_lines((1 << bits) / WORDS as u32)?;
        let mut parts = Parts::new(leaf, runs);
        for slot in 0..1 << bits {
            let part = region.part(slot, bits);
            let (leaf, inside) = parts.next(part);
            let entry = self.build(image, part, leaf, inside)?;
            pal::faults::store();
            image.slot(line, slot).store(entry, Relaxed);
        }
        Ok(entry(TABLE, line))
    }

    /// Returns an entry for `region` that equals `old` outside `p` and follows `runs` in it.
    ///
    /// `p` is at least one key of the span wide; `items` is room to work in.
    pub(super) fn patch<A: Shape>(
        &mut self,
        image: Image<'_>,
        region: Prefix<A>,
        old: u32,
        p: Prefix<A>,
        runs: &[Run<A>],
        items: &mut Vec<Item>,
    ) -> Result<u32, FibError> {
        let at = A::span_of(region.len());
        let key = |addr: A| addr.field(at, SPAN) as u16;
        let (first, last) = (key(p.first()), key(p.last()));
        let mut before = std::mem::take(&mut self.before);
        nodes::read(image, old, key(region.first()), &mut before);
        let start = before.partition_point(|item| item.0 < first);
        let end = before.partition_point(|item| item.0 <= last);
        items.clear();
        items.extend_from_slice(&before[..start]);
        let ids = before[start..end].iter().map(|item| usize::from(item.1));
        let deep = ids.filter_map(|value| value.checked_sub(image.deep_from()));
        self.dropped.extend(deep.map(|id| (id, region.len())));
        let built = self.span(image, at, p, runs[0].1, &runs[1..], items);
        if last != key(region.last()) {
            push(items, last + 1, before[end - 1].1);
            before[end..].iter().for_each(|item| push(items, item.0, item.1));
        }
        self.before = before;
        built?;
        self.node(image, items)
    }

    /// Lists the intervals of `region` by their keys in the span that begins at bit `start`.
    fn span<A: Shape>(
        &mut self,
        image: Image<'_>,
        start: u8,
        region: Prefix<A>,
        leaf: Leaf,
        mut runs: &[Run<A>],
        items: &mut Vec<Item>,
    ) -> Result<(), FibError> {
        let end = start + SPAN;
        push(items, region.first().field(start, SPAN) as u16, leaf.0);
        let mut leaf = leaf;
        while let Some(&(first, _)) = runs.first() {
            let cell = Prefix::of(first, end);
            let key = first.field(start, SPAN) as u16;
            let mut parts = Parts::new(leaf, runs);
            let (at_start, inside) = parts.next(cell);
            let value = if inside.is_empty() {
                at_start.0
            } else {
                let id = self.deep.alloc()?;
                self.taken_deep.push(id);
                let entry = self.build(image, cell, at_start, inside)?;
                pal::faults::store();
                image.deep[id as usize].store(entry, Relaxed);
                (image.deep_from() + id as usize) as u16
            };
            push(items, key, value);
            (leaf, runs) = parts.rest();
            if !inside.is_empty() && cell.last() != region.last() {
                push(items, key + 1, leaf.0);
            }
        }
        Ok(())
    }

    /// Writes the intervals of a span as a node, or as a table of nodes when they are too many.
    fn node(&mut self, image: Image<'_>, items: &[Item]) -> Result<u32, FibError> {
        if let [item] = items {
            return Ok(entry(LEAF, item.1.into()));
        }
        if let Some(count) = nodes::lines_for(items.len()) {
            let line = self.take_lines(count)?;
            return Ok(nodes::write(image, line, items));
        }
        let line = self.take_lines((1 << SPLIT) / WORDS as u32)?;
        let mut rest = items;
        let mut value = 0;
        let mut part = Vec::with_capacity(1 << SPLIT);
        for slot in 0..1_u32 << SPLIT {
            part.clear();
            let inside = rest.iter().take_while(|item| u32::from(item.0 >> SPLIT) == slot).count();
            let (now, later) = rest.split_at(inside);
            rest = later;
            let first = (slot << SPLIT) as u16;
            if now.first().is_none_or(|item| item.0 != first) {
                part.push((first, value));
            }
            part.extend_from_slice(now);
            value = part.last().map_or(value, |item| item.1);
            let entry = self.node(image, &part)?;
            pal::faults::store();
            image.slot(line, slot).store(entry, Relaxed);
        }
        Ok(entry(TABLE, line))
    }

    fn take_lines(&mut self, count: u32) -> Result<u32, FibError> {
        let span = self.lines.alloc_span(count)?;
        self.taken_lines.push(span);
        Ok(span.first)
    }

    /// Sets aside all that hangs below an entry at depth `len` that readers may still hold.
    pub(super) fn retire<A: Shape>(&mut self, image: Image<'_>, old: u32, len: u8) {
        let lines = nodes::extent(image, old);
        match kind(old) {
            LEAF => return,
            TABLE => {
                let bits = A::table_at(len).unwrap_or(SPLIT);
                for slot in 0..1 << bits {
                    let inner = image.slot(lines.first, slot).load(Relaxed);
                    self.retire::<A>(image, inner, len + bits);
                }
                let count = (1 << bits) / WORDS as u32;
                self.lines.retire_span(Span { count, ..lines });
                return;
            }
            NODE => self.retire_values::<A>(image, lines.first, len),
            _ => (lines.first + 1..lines.first + lines.count)
                .for_each(|line| self.retire_values::<A>(image, line, len)),
        }
        self.lines.retire_span(lines);
    }

    /// Sets aside the lines of a node that was patched.
    pub(super) fn retire_lines(&mut self, image: Image<'_>, old: u32) {
        if kind(old) != LEAF {
            self.lines.retire_span(nodes::extent(image, old));
        }
    }

    /// Sets aside the deep entries that a leaf line names.
    fn retire_values<A: Shape>(&mut self, image: Image<'_>, line: u32, len: u8) {
        if image.deep.is_empty() {
            return;
        }
        let mut before = 0;
        for i in 0..FAN {
            let value = usize::from(image.half(line, FAN + i));
            let Some(id) = value.checked_sub(image.deep_from()).filter(|_| value != before) else {
                continue;
            };
            before = value;
            self.retire_deep::<A>(image, id, len);
        }
    }

    /// Sets aside a deep entry named in the span that holds depth `len`, and all below it.
    fn retire_deep<A: Shape>(&mut self, image: Image<'_>, id: usize, len: u8) {
        let inner = image.deep[id].load(Relaxed);
        self.retire::<A>(image, inner, A::span_of(len) + SPAN);
        self.deep.retire(id as u32);
    }
}

/// Adds an interval; one at the same key replaces the last.
fn push(items: &mut Vec<Item>, key: u16, value: u16) {
    if items.last().is_some_and(|last| last.0 == key) {
        items.pop();
    }
    if items.last().is_none_or(|last| last.1 != value) {
        items.push((key, value));
    }
}
