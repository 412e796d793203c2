//! Which bits of a key divide a list of rules best.

use crate::acl::image::NODE_BITS;
use crate::acl::pattern::Pattern;

/// What a copy of a rule costs, against what dividing gains; by measurement.
const COPY_COST: f32 = 0.3;

/// A rule as value under mask, word by word; ranges are widened.
#[derive(Clone, Copy, Debug)]
struct Cut<const W: usize> {
    value: [u64; W],
    mask: [u64; W],
}

/// Bits of a word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) word: usize,
    pub(super) bits: u64,
}

/// Divides lists of rules.
#[derive(Debug)]
pub(super) struct Divider<const W: usize> {
    cuts: Vec<Cut<W>>,
    /// Lists that are not longer are not divided.
    enough: usize,
}

impl<const W: usize> Divider<W> {
    pub(super) fn new<'a>(patterns: impl Iterator<Item = &'a Pattern<W>>, enough: usize) -> Self {
        let cut = |pattern: &Pattern<W>| {
            let wide: [(u64, u64); W] = std::array::from_fn(|word| pattern.widened(word));
            Cut { value: wide.map(|(value, _)| value), mask: wide.map(|(_, mask)| mask) }
        };
        Self { cuts: patterns.map(cut).collect(), enough }
    }

    /// The lists of the rules that are possible for each value of the chosen bits.
    pub(super) fn divide(&self, list: &[u32], choice: Choice) -> Vec<Vec<u32>> {
        let mut lists = vec![Vec::new(); 1 << choice.bits.count_ones()];
        for rule in list {
            let cut = &self.cuts[*rule as usize];
            let places = Places::of(cut.value[choice.word], cut.mask[choice.word], choice.bits);
            for place in places {
                lists[place].push(*rule);
            }
        }
        lists
    }

    /// The bits that divide `list` best, `asked` excepted; none when it is short or nothing divides
    /// it.
    pub(super) fn choose(&self, list: &[u32], asked: &[u64; W]) -> Option<Choice> {
        if list.len() <= self.enough {
            return None;
        }
        let mut best: Option<(f32, Choice)> = None;
        for (word, asked) in asked.iter().enumerate() {
            let masks = list.iter().map(|rule| self.cuts[*rule as usize].mask[word]);
            let usable = masks.fold(0, |usable, mask| usable | mask) & !asked;
            if usable == 0 {
                continue;
            }
            let (gain, bits) = self.choose_in(list, word, usable);
            if bits != 0 && best.is_none_or(|(other, _)| gain > other) {
                best = Some((gain, Choice { word, bits }));
            }
        }
        best.map(|(_, choice)| choice)
    }

    /// The bits of `word` that divide `list` best, and what they gain: one after the other, each
    /// the best for the groups that those before it made.
    fn choose_in(&self, list: &[u32], word: usize, usable: u64) -> (f32, u64) {
        let most = (list.len() / 2).next_power_of_two().ilog2().clamp(1, NODE_BITS);
        let mut groups = vec![list.to_vec()];
        let (mut bits, mut total) = (0_u64, 0.0);
        while bits.count_ones() < most {
            let mut gain = [0.0_f32; 64];
            for group in groups.iter().filter(|group| group.len() > self.enough) {
                self.add_gain(group, word, &mut gain);
            }
            let mut best = (0.0, 64);
            for (bit, gain) in gain.iter().enumerate() {
                if (usable & !bits) >> bit & 1 != 0 && *gain > best.0 {
                    best = (*gain, bit);
                }
            }
            let (gain, bit) = best;
            if bit == 64 {
                break;
            }
            bits |= 1 << bit;
            total += gain;
            groups = groups.iter().flat_map(|group| self.halves(group, word, bit)).collect();
        }
        (total, bits)
    }

    /// The rules that are possible with a bit unset, and with it set.
    fn halves(&self, group: &[u32], word: usize, bit: usize) -> [Vec<u32>; 2] {
        let mut halves = [Vec::new(), Vec::new()];
        for rule in group {
            let cut = &self.cuts[*rule as usize];
            let known = cut.mask[word] >> bit & 1 != 0;
            let set = cut.value[word] >> bit & 1 != 0;
            if !known || !set {
                halves[0].push(*rule);
            }
            if !known || set {
                halves[1].push(*rule);
            }
        }
        halves
    }

    /// Adds to `gain` what asking for each bit of the word would gain in a group: bits of
    /// information about which rule it is, summed over its rules, less the cost of copies.
    #[expect(clippy::cast_precision_loss, reason = "counts of rules")]
    fn add_gain(&self, group: &[u32], word: usize, gain: &mut [f32; 64]) {
        let (mut ones, mut wild) = ([0_u32; 64], [0_u32; 64]);
        for part in group.chunks(64) {
            let (mut set, mut free) = ([0_u64; 64], [0_u64; 64]);
            for ((rule, set), free) in part.iter().zip(&mut set).zip(&mut free) {
                let cut = &self.cuts[*rule as usize];
                (*set, *free) = (cut.value[word], !cut.mask[word]);
            }
            transpose(&mut set);
            transpose(&mut free);
            for bit in 0..64 {
                ones[bit] += set[bit].count_ones();
                wild[bit] += free[bit].count_ones();
            }
        }
        let n = group.len() as f32;
        let whole = n * log2(n);
        for bit in 0..64 {
            let (one, wild) = (ones[bit] as f32, wild[bit] as f32);
            let zero = n - one - wild;
            // Packets of a rule that goes both ways go half this way, half that.
            let part = |alone: f32| (alone + wild / 2.0) * log2((alone + wild).max(1.0));
            gain[bit] += whole - part(zero) - part(one) - COPY_COST * wild;
        }
    }
}

/// The values of chosen bits that value under mask allows, as indices.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    fixed: u64,
    open: u64,
    /// Bits that are open and set in the next place; none when all have been.
    next: Option<u64>,
}

impl Places {
    pub(super) fn of(value: u64, mask: u64, bits: u64) -> Self {
        let fixed = extract(value & mask, bits);
        Self { fixed, open: extract(!mask, bits), next: Some(0) }
    }

    /// Whether an index is among them.
    #[cfg(test)]
    pub(super) fn contain(&self, place: u64) -> bool {
        place & !self.open == self.fixed
    }
}

impl Iterator for Places {
    type Item = usize;

    #[expect(clippy::cast_possible_truncation, reason = "an index of a node's children")]
    fn next(&mut self) -> Option<usize> {
        let subset = self.next?;
        let following = subset.wrapping_sub(self.open) & self.open;
        self.next = (following != 0).then_some(following);
        Some((self.fixed | subset) as usize)
    }
}

/// The bits of `value` at the places of `mask`, packed.
pub(super) fn extract(value: u64, mask: u64) -> u64 {
    let (mut packed, mut at, mut rest) = (0, 0, mask);
    while rest != 0 {
        packed |= (value >> rest.trailing_zeros() & 1) << at;
        rest &= rest - 1;
        at += 1;
    }
    packed
}

/// The binary logarithm, to a tenth: what is compared differs by more.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn log2(x: f32) -> f32 {
    (x.to_bits() as f32).mul_add(1.0 / (1 << 23) as f32, -127.0)
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
            value: u64, mask: u64, bits in any::<u64>().prop_map(|b| b & b << 9 & b << 21), key: u64,
        ) {
            prop_assume!(bits.count_ones() <= 12);
            let places = Places::of(value, mask, bits);
            let key = value & mask | key & !mask;
            prop_assert!(places.contain(extract(key, bits)));
            prop_assert_eq!(places.count(), 1 << (bits & !mask).count_ones());
            prop_assert!(places.clone().all(|place| places.contain(place as u64)));
        }
    }
}
