//! Turns the intervals of one span into lines.

use super::{FAN, Image, LEAF, Line, NODE, SEPARATORS, TREE, TREE_MAX, entry, kind, payload};
use pal::pool::Span;
use std::sync::atomic::Ordering::Relaxed;

/// First key of an interval, and the value of its keys.
pub(super) type Item = (u16, u16);

/// Returns how many lines a node of `items` intervals takes, if it fits one.
pub(super) fn lines_for(items: usize) -> Option<u32> {
    let leaves = u32::try_from(items.div_ceil(FAN)).ok()?;
    (items <= TREE_MAX).then_some(if leaves > 1 { 1 + leaves } else { 1 })
}

/// Writes a node of 2 to [`TREE_MAX`] intervals at `line` and returns its entry.
///
/// The lines must not be visible yet: they are published with the entry.
pub(super) fn write(image: Image<'_>, line: u32, items: &[Item]) -> u32 {
    let lines = &image.lines[line as usize..];
    if items.len() <= FAN {
        write_leaves(&lines[0], items);
        return entry(NODE, line);
    }
    let mut separators = [u16::MAX; SEPARATORS];
    for (bound, group) in separators.iter_mut().zip(items.chunks(FAN).skip(1)) {
        *bound = group[0].0 - 1;
    }
    store(&lines[0], &separators);
    for (line, group) in lines[1..].iter().zip(items.chunks(FAN)) {
        write_leaves(line, group);
    }
    entry(TREE, line)
}

/// Lists the intervals of a leaf or node, the first of which begins at key `first`.
pub(super) fn read(image: Image<'_>, old: u32, first: u16, items: &mut Vec<Item>) {
    items.clear();
    if kind(old) == LEAF {
        items.push((first, (payload(old) & 0xffff) as u16));
        return;
    }
    let lines = extent(image, old);
    let leaves = lines.first + u32::from(kind(old) == TREE)..lines.first + lines.count;
    let mut key = first;
    for (i, line) in leaves.enumerate() {
        if i > 0 {
            key = image.half(lines.first, i - 1) + 1;
        }
        for at in 0..FAN {
            items.push((key, image.half(line, FAN + at)));
            match image.half(line, at) {
                u16::MAX => break,
                bound => key = bound + 1,
            }
        }
    }
}

/// Returns the lines of a node.
pub(super) fn extent(image: Image<'_>, old: u32) -> Span {
    let first = payload(old);
    let used = |i: &usize| image.half(first, *i) != u16::MAX;
    let count = match kind(old) {
        TREE => (0..SEPARATORS).filter(used).fold(2, |count, _| count + 1),
        _ => 1,
    };
    Span { first, count }
}

fn write_leaves(line: &Line, items: &[Item]) {
    let mut halves = [u16::MAX; 2 * FAN];
    let last = items.last().map_or(0, |item| item.1);
    for i in 0..FAN {
        if let Some(next) = items.get(i + 1) {
            halves[i] = next.0 - 1;
        }
        halves[FAN + i] = items.get(i).map_or(last, |item| item.1);
    }
    store(line, &halves);
}

fn store(line: &Line, halves: &[u16; 2 * FAN]) {
    for (word, pair) in line.0.iter().zip(halves.as_chunks::<2>().0) {
        let ([a, b], [c, d]) = (pair[0].to_ne_bytes(), pair[1].to_ne_bytes());
        pal::faults::store();
        word.store(u32::from_ne_bytes([a, b, c, d]), Relaxed);
    }
}
