//! Leaves: how rules are packed into blocks, and unpacked again for an update.

use crate::acl::image::{BLOCK, Entry, LEAF_MAX, Line, leaf_elements, leaf_lines, stride};
use crate::acl::key::range_columns;
use crate::acl::pattern::Pattern;
use crate::acl::space::{Space, SpaceError, read, write};

/// A rule's pattern as a leaf holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Filter<const W: usize> {
    /// Feature (upper two bits) and place among its rules: the lowest match of a feature wins.
    pub(super) rank: u32,
    /// What the rule's owner wants to be told.
    pub(super) result: u32,
    pub(super) pattern: Pattern<W>,
}

/// Writes `filters`, which are in order of rank and at most [`LEAF_MAX`], as a leaf that has at
/// least the columns `columns`.
pub(super) fn write_leaf<const W: usize>(
    lines: &[Line],
    space: &mut Space,
    columns: u32,
    filters: &[&Filter<W>],
) -> Result<Entry, SpaceError> {
    debug_assert!(filters.len() <= LEAF_MAX);
    if filters.is_empty() {
        return Ok(Entry::EMPTY);
    }
    let asked = |columns, filter: &&Filter<W>| columns | filter.pattern.columns();
    let columns = filters.iter().fold(columns, asked);
    let mut elements = Vec::with_capacity(leaf_elements(filters.len(), columns) + 1);
    for block in filters.chunks(BLOCK) {
        let mut array = |element: &dyn Fn(&Filter<W>) -> u32| {
            elements.extend(block.iter().map(|filter| element(filter)));
            elements.resize(elements.len() + stride(block.len()) - block.len(), 0);
        };
        for column in stored(columns, W) {
            array(&|filter| half(filter.pattern.value[column / 2], column));
            array(&|filter| half(filter.pattern.mask[column / 2], column));
        }
        // Each rank with its result, so that one load gets both.
        elements.extend(block.iter().flat_map(|filter| [filter.result, filter.rank]));
        elements.resize(elements.len() + 2 * (stride(block.len()) - block.len()), 0);
    }
    let line = space.alloc(leaf_lines(filters.len(), columns))?;
    let words = elements
        .chunks(2)
        .map(|pair| u64::from(pair[0]) | u64::from(pair.get(1).copied().unwrap_or(0)) << 32);
    write(lines, line, words);
    Ok(Entry::leaf(line, filters.len(), columns))
}

/// The rules of a leaf.
pub(super) fn read_leaf<const W: usize>(lines: &[Line], leaf: Entry) -> Vec<Filter<W>> {
    let any = Filter { rank: 0, result: 0, pattern: Pattern::any() };
    let mut filters = vec![any; leaf.rules()];
    let mut at = 0;
    for block in filters.chunks_mut(BLOCK) {
        let mut array = |element: &dyn Fn(&mut Filter<W>, u64)| {
            for (i, filter) in block.iter_mut().enumerate() {
                let word = read(lines, leaf.line(), (at + i) / 2);
                element(filter, word >> (32 * ((at + i) % 2)) & 0xffff_ffff);
            }
            at += stride(block.len());
        };
        for column in stored(leaf.columns(), W) {
            let shift = 32 * (column % 2);
            let keep = !(0xffff_ffff << shift);
            array(&|filter, word| {
                let value = &mut filter.pattern.value[column / 2];
                *value = *value & keep | word << shift;
            });
            array(&|filter, word| {
                let mask = &mut filter.pattern.mask[column / 2];
                *mask = *mask & keep | word << shift;
            });
        }
        for (i, filter) in block.iter_mut().enumerate() {
            let word = read(lines, leaf.line(), at / 2 + i);
            (filter.result, filter.rank) = (low(word), low(word >> 32));
        }
        at += 2 * stride(block.len());
    }
    filters
}

/// Whether a leaf has a rule of one of these ranks; faster than to read all of it.
pub(super) fn has_rank(lines: &[Line], leaf: Entry, ranks: impl Fn(u32) -> bool) -> bool {
    let arrays = 2 * leaf.columns().count_ones() as usize;
    let (mut at, mut left) = (0, leaf.rules());
    while left > 0 {
        let here = left.min(BLOCK);
        at += arrays * stride(here);
        if (0..here).any(|i| ranks(low(read(lines, leaf.line(), at / 2 + i) >> 32))) {
            return true;
        }
        at += 2 * stride(here);
        left -= here;
    }
    false
}

/// Columns in the order in which a block of a leaf has them: those that are ternary, then those that
/// are ranges.
pub(super) fn stored(columns: u32, words: usize) -> impl Iterator<Item = usize> {
    let ranges = range_columns(words);
    ones(columns & !ranges).chain(ones(columns & ranges))
}

/// Numbers of the bits that are set, from the lowest up.
pub(super) fn ones(mut mask: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = mask.trailing_zeros();
        mask &= mask.wrapping_sub(1);
        (bit < 32).then_some(bit as usize)
    })
}

fn half(word: u64, column: usize) -> u32 {
    low(word >> (32 * (column % 2)))
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half is wanted")]
fn low(word: u64) -> u32 {
    word as u32
}
