//! Which bits of a key divide a list of rules best.

use crate::acl::image::{Choice, NODE_BITS};
use crate::acl::pattern::Pattern;

/// What a copy of a rule costs, against what dividing gains; by measurement.
const COPY_COST: f32 = 0.3;
/// The same in short lists, whose images fit the second-level cache all the same.
const COPY_COST_SHORT: f32 = 0.05;
/// Most rules of a short list.
const SHORT: usize = 1200;
/// What a child costs.
const CHILD_COST: f32 = 0.05;

/// A rule as value under mask, word by word; ranges are widened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut<const W: usize> {
    value: [u64; W],
    mask: [u64; W],
}

impl<const W: usize> Cut<W> {
    pub(super) fn of(pattern: &Pattern<W>) -> Self {
        let wide: [(u64, u64); W] = std::array::from_fn(|word| pattern.widened(word));
        Self { value: wide.map(|(value, _)| value), mask: wide.map(|(_, mask)| mask) }
    }

    /// The children of a node that the rule is possible in.
    pub(super) fn places(&self, choice: Choice) -> Places {
        let fixed = choice.extract(|word| self.value[word] & self.mask[word]);
        Places { fixed, open: choice.extract(|word| !self.mask[word]), next: Some(0) }
    }
}

/// Divides lists of rules.
#[derive(Debug)]
pub(super) struct Divider<const W: usize> {
    cuts: Vec<Cut<W>>,
    /// Lists that are not longer are not divided.
    enough: usize,
    copy_cost: f32,
}

impl<const W: usize> Divider<W> {
    pub(super) fn new<'a>(patterns: impl Iterator<Item = &'a Pattern<W>>, enough: usize) -> Self {
        let cuts: Vec<_> = patterns.map(Cut::of).collect();
        let copy_cost = if cuts.len() > SHORT { COPY_COST } else { COPY_COST_SHORT };
        Self { cuts, enough, copy_cost }
    }

    /// The lists of the rules that are possible for each value of the chosen bits.
    pub(super) fn divide(&self, list: &[u32], choice: Choice) -> Vec<Vec<u32>> {
        let mut lists = vec![Vec::new(); 1 << choice.count()];
        for rule in list {
            for place in self.cuts[*rule as usize].places(choice) {
                lists[place].push(*rule);
            }
        }
        lists
    }

    /// The bits that divide `list` best, of at most two words, `asked` excepted: one after the other,
    /// each the best for the groups that those before it made. None when the list is short or nothing divides it.
    pub(super) fn choose(&self, list: &[u32], asked: &[u64; W]) -> Option<Choice> {
        if list.len() <= self.enough {
            return None;
        }
        let most = (4 * list.len()).next_power_of_two().ilog2().min(NODE_BITS);
        let masks = |word: usize| list.iter().map(move |rule| self.cuts[*rule as usize].mask[word]);
        let mut usable: [u64; W] =
            std::array::from_fn(|word| masks(word).fold(0, |all, mask| all | mask) & !asked[word]);
        let mut bits = [0_u64; W];
        let mut groups = Groups { rules: list.to_vec(), ends: vec![list.len()] };
        for count in 0..most {
            let enough = CHILD_COST * f32::from(1_u16 << count);
            let mut best = (enough, 0, 0);
            for (word, usable) in usable.iter().enumerate().filter(|(_, usable)| **usable != 0) {
                let mut gain = [0.0_f32; 64];
                groups.iter().for_each(|group| self.add_gain(group, word, &mut gain));
                for (bit, gain) in gain.iter().enumerate() {
                    if usable >> bit & 1 != 0 && *gain > best.0 {
                        best = (*gain, word, bit);
                    }
                }
            }
            let (gain, word, bit) = best;
            if gain == enough {
                break;
            }
            usable[word] &= !(1 << bit);
            bits[word] |= 1 << bit;
            if bits.iter().filter(|bits| **bits != 0).count() == 2 {
                let other = |word: &usize| bits[*word] == 0;
                (0..W).filter(other).for_each(|word| usable[word] = 0);
            }
            groups = self.halves(&groups, word, bit);
        }
        let low = bits.iter().position(|bits| *bits != 0)?;
        let high = bits.iter().rposition(|bits| *bits != 0)?;
        let high_bits = if high == low { 0 } else { bits[high] };
        Some(Choice { words: [low, high], bits: [bits[low], high_bits] })
    }

    /// For each group the rules that are possible with a bit unset, and with it set; groups that need
    /// not be divided further are left out.
    fn halves(&self, groups: &Groups, word: usize, bit: usize) -> Groups {
        let mut halves = Groups::default();
        for group in groups.iter() {
            for wanted in [0, 1] {
                let from = halves.rules.len();
                let possible = |rule: &&u32| {
                    let Cut { value, mask } = &self.cuts[**rule as usize];
                    (value[word] >> bit ^ wanted) & mask[word] >> bit & 1 == 0
                };
                halves.rules.extend(group.iter().filter(possible));
                if halves.rules.len() - from > self.enough {
                    halves.ends.push(halves.rules.len());
                } else {
                    halves.rules.truncate(from);
                }
            }
        }
        halves
    }

    /// Adds to `gain` what asking for each bit of the word would gain in a group: bits of
    /// information about which rule it is, summed over its rules, less the cost of copies.
    #[expect(clippy::cast_precision_loss, reason = "counts of rules")]
    fn add_gain(&self, group: &[u32], word: usize, gain: &mut [f32; 64]) {
        let (mut ones, mut wild) = ([0_i32; 64], [0_i32; 64]);
        for part in group.chunks(64) {
            let (mut set, mut free) = ([0_u64; 64], [0_u64; 64]);
            for ((rule, set), free) in part.iter().zip(&mut set).zip(&mut free) {
                let cut = &self.cuts[*rule as usize];
                (*set, *free) = (cut.value[word], !cut.mask[word]);
            }
            transpose(&mut set);
            transpose(&mut free);
            for bit in 0..64 {
                ones[bit] += set[bit].count_ones().cast_signed();
                wild[bit] += free[bit].count_ones().cast_signed();
            }
        }
        let n = group.len() as f32;
        let whole = n * log2(n);
        for ((gain, one), wild) in gain.iter_mut().zip(ones).zip(wild) {
            let (one, wild) = (one as f32, wild as f32);
            let zero = n - one - wild;
            // Packets of a rule that goes both ways go half this way, half that.
            let part = |alone: f32| (alone + wild / 2.0) * log2((alone + wild).max(1.0));
            *gain += whole - part(zero) - part(one) - self.copy_cost * wild;
        }
    }
}

/// Lists of rules, one behind the other.
#[derive(Debug, Default)]
struct Groups {
    rules: Vec<u32>,
    ends: Vec<usize>,
}

impl Groups {
    fn iter(&self) -> impl Iterator<Item = &[u32]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.rules[start..*end])
    }
}

/// Indices of children.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    fixed: usize,
    open: usize,
    /// Bits that are open and set in the next place; none when all have been.
    next: Option<usize>,
}

impl Iterator for Places {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let subset = self.next?;
        let following = subset.wrapping_sub(self.open) & self.open;
        self.next = (following != 0).then_some(following);
        Some(self.fixed | subset)
    }
}

/// The binary logarithm, to a tenth: what is compared differs by more.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn log2(x: f32) -> f32 {
    (x.to_bits().cast_signed() as f32).mul_add(1.0 / (1 << 23) as f32, -127.0)
}

/// Turns the rows of a bit matrix into its columns.
fn transpose(rows: &mut [u64; 64]) {
    let (mut width, mut mask) = (32, u64::MAX >> 32);
    while width != 0 {
        for block in rows.chunks_exact_mut(2 * width) {
            let (upper, lower) = block.split_at_mut(width);
            for (a, b) in upper.iter_mut().zip(lower) {
                let swap = (*a >> width ^ *b) & mask;
                *a ^= swap << width;
                *b ^= swap;
            }
        }
        width /= 2;
        mask ^= mask << width;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn transposing_swaps_rows_and_columns(rows in prop::array::uniform32(any::<u64>())) {
            let mut matrix = [0; 64];
            for ((i, row), word) in (0..).zip(&mut matrix).zip(rows.iter().flat_map(|row| [row; 2])) {
                *row = word.rotate_left(i);
            }
            let before = matrix;
            transpose(&mut matrix);
            for (i, column) in matrix.iter().enumerate() {
                for (j, row) in before.iter().enumerate() {
                    prop_assert_eq!(column >> j & 1, row >> i & 1);
                }
            }
        }

        #[test]
        fn places_are_the_indices_of_all_keys_that_a_mask_allows(
            value: [u64; 2], mask: [u64; 2], key: [u64; 2],
            bits in prop::array::uniform2(any::<u64>().prop_map(|b| b & b << 9 & b << 21 & b << 33)),
        ) {
            let choice = Choice { words: [0, 1], bits };
            prop_assume!(choice.count() <= 12);
            let places: Vec<usize> = Cut { value, mask }.places(choice).collect();
            let open = choice.extract(|word| !mask[word]);
            let inside = choice.extract(|word| value[word] & mask[word] | key[word] & !mask[word]);
            prop_assert!(places.contains(&inside));
            prop_assert_eq!(places.len(), 1 << open.count_ones());
            prop_assert!(places.iter().all(|place| place & !open == inside & !open));
        }
    }
}
