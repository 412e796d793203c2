//! Leaves: how rules are put into the lanes of blocks, and read again for an update.

use crate::acl::image::{Entry, LINE_WORDS, Line};
use crate::acl::key::range_columns;
use crate::acl::pattern::Pattern;
use crate::acl::space::{read, store};

/// A rule's pattern as a leaf holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Filter<const W: usize> {
    /// Feature (upper two bits) and place among its rules: the lowest match of a feature wins.
    pub(super) rank: u32,
    /// What the rule's owner wants to be told.
    pub(super) result: u32,
    pub(super) pattern: Pattern<W>,
}

/// A lane of a block that begins at a line.
#[derive(Clone, Copy, Debug)]
struct Lane {
    line: u32,
    lane: usize,
    columns: u32,
}

impl Lane {
    /// Where the rules of a leaf lie.
    fn of(leaf: Entry) -> impl Iterator<Item = Self> {
        let columns = leaf.columns();
        leaf.blocks()
            .flat_map(move |(line, lanes)| lanes.map(move |lane| Self { line, lane, columns }))
    }

    /// Element of an array of the block, as the word it is in and its shift there.
    fn element(self, array: usize) -> (usize, usize) {
        (array * LINE_WORDS + self.lane / 2, 32 * (self.lane % 2))
    }

    fn put(self, lines: &[Line], array: usize, element: u32) {
        let (word, shift) = self.element(array);
        let others = read(lines, self.line, word) & !(0xffff_ffff << shift);
        store(lines, self.line, word, others | u64::from(element) << shift);
    }

    fn get(self, lines: &[Line], array: usize) -> u64 {
        let (word, shift) = self.element(array);
        read(lines, self.line, word) >> shift & 0xffff_ffff
    }

    fn result_word(self) -> usize {
        2 * self.columns.count_ones() as usize * LINE_WORDS + self.lane
    }

    /// Rank (upper half) and result.
    fn result(self, lines: &[Line]) -> u64 {
        read(lines, self.line, self.result_word())
    }

    fn put_result(self, lines: &[Line], result: u64) {
        store(lines, self.line, self.result_word(), result);
    }
}

/// Writes the rules of `leaf`, in order of rank, into lanes that nobody reads yet.
pub(super) fn write_leaf<const W: usize>(lines: &[Line], leaf: Entry, filters: &[&Filter<W>]) {
    debug_assert_eq!(filters.len(), leaf.rules());
    for (lane, filter) in Lane::of(leaf).zip(filters) {
        for (pair, column) in stored(leaf.columns(), W).enumerate() {
            let half = |words: &[u64; W]| low(words[column / 2] >> (32 * (column % 2)));
            lane.put(lines, 2 * pair, half(&filter.pattern.value));
            lane.put(lines, 2 * pair + 1, half(&filter.pattern.mask));
        }
        // Each rank with its result, so that one load gets both.
        lane.put_result(lines, u64::from(filter.rank) << 32 | u64::from(filter.result));
    }
}

/// The rules of a leaf, or of nothing.
pub(super) fn read_leaf<const W: usize>(lines: &[Line], leaf: Entry) -> Vec<Filter<W>> {
    let filter = |lane: Lane| {
        let result = lane.result(lines);
        let mut pattern = Pattern::any();
        for (pair, column) in stored(leaf.columns(), W).enumerate() {
            let (word, shift) = (column / 2, 32 * (column % 2));
            let put = |words: &mut [u64; W], half: u64| {
                words[word] = words[word] & !(0xffff_ffff << shift) | half << shift;
            };
            put(&mut pattern.value, lane.get(lines, 2 * pair));
            put(&mut pattern.mask, lane.get(lines, 2 * pair + 1));
        }
        Filter { rank: low(result >> 32), result: low(result), pattern }
    };
    Lane::of(leaf).map(filter).collect()
}

/// Whether a leaf, or nothing, has a rule of one of these ranks; faster than to read all of it.
pub(super) fn has_rank(lines: &[Line], leaf: Entry, ranks: impl Fn(u32) -> bool) -> bool {
    Lane::of(leaf).any(|lane| ranks(low(lane.result(lines) >> 32)))
}

/// Columns in the order in which a block has them: those that are ternary, then those that are
/// ranges.
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

#[expect(clippy::cast_possible_truncation, reason = "the lower half is wanted")]
fn low(word: u64) -> u32 {
    word as u32
}
