//! Sets of numbers that a field may have.

use std::ops::RangeInclusive;

/// Numbers, as rising ranges with gaps between them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Numbers(Vec<RangeInclusive<u16>>);

impl Numbers {
    /// The ranges, rising, with gaps between them.
    #[must_use]
    pub fn ranges(&self) -> &[RangeInclusive<u16>] {
        &self.0
    }

    /// The numbers, rising.
    pub fn iter(&self) -> impl Iterator<Item = u16> {
        self.0.iter().cloned().flatten()
    }

    /// Whether it has the number.
    #[must_use]
    pub fn contains(&self, number: u16) -> bool {
        self.0.iter().any(|range| range.contains(&number))
    }

    /// Least and greatest number; none of an empty set.
    #[must_use]
    pub fn bounds(&self) -> Option<RangeInclusive<u16>> {
        Some(*self.0.first()?.start()..=*self.0.last()?.end())
    }

    /// All other numbers from 0 to `max`.
    #[must_use]
    pub fn others(&self, max: u16) -> Self {
        let mut others = Vec::with_capacity(self.0.len() + 1);
        let mut next = Some(0);
        for range in &self.0 {
            if let Some(from) = next
                && from < *range.start()
            {
                others.push(from..=(range.start() - 1).min(max));
            }
            next = range.end().checked_add(1);
        }
        others.extend(next.map(|from| from..=max));
        Self(others.into_iter().filter(|range| !range.is_empty()).collect())
    }

    /// The fewest aligned blocks of numbers that fill the set: a first number, and how many of its
    /// low bits are free.
    pub(super) fn blocks(&self) -> impl Iterator<Item = (u16, u32)> {
        self.0.iter().flat_map(|range| {
            let (mut low, end) = (u32::from(*range.start()), u32::from(*range.end()) + 1);
            std::iter::from_fn(move || {
                let left = end.checked_sub(low).filter(|left| *left > 0)?;
                let free = low.trailing_zeros().min(left.ilog2());
                let block = (u16::try_from(low).unwrap_or(u16::MAX), free);
                low += 1 << free;
                Some(block)
            })
        })
    }
}

impl FromIterator<RangeInclusive<u16>> for Numbers {
    fn from_iter<I: IntoIterator<Item = RangeInclusive<u16>>>(ranges: I) -> Self {
        let mut ranges: Vec<_> = ranges.into_iter().filter(|range| !range.is_empty()).collect();
        ranges.sort_unstable_by_key(|range| *range.start());
        let mut joined: Vec<RangeInclusive<u16>> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match joined.last_mut() {
                Some(last) if *range.start() <= last.end().saturating_add(1) => {
                    *last = *last.start()..=*last.end().max(range.end());
                }
                _ => joined.push(range),
            }
        }
        Self(joined)
    }
}

impl FromIterator<u16> for Numbers {
    fn from_iter<I: IntoIterator<Item = u16>>(numbers: I) -> Self {
        numbers.into_iter().map(|number| number..=number).collect()
    }
}

impl<const N: usize> From<[u16; N]> for Numbers {
    fn from(numbers: [u16; N]) -> Self {
        numbers.into_iter().collect()
    }
}

impl From<RangeInclusive<u16>> for Numbers {
    fn from(range: RangeInclusive<u16>) -> Self {
        std::iter::once(range).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn others_and_blocks_are_what_they_say(
            ranges in proptest::collection::vec((0..260_u16, 0..9_u16), 0..8),
        ) {
            let set: BTreeSet<u16> =
                ranges.iter().flat_map(|(low, more)| *low..=low + more).collect();
            let numbers: Numbers = ranges.iter().map(|(low, more)| *low..=low + more).collect();
            prop_assert!(numbers.iter().eq(set.iter().copied()));
            prop_assert!(numbers.ranges().is_sorted_by(|a, b| *a.end() + 1 < *b.start()));
            let others: BTreeSet<u16> = (0..=263).filter(|number| !set.contains(number)).collect();
            prop_assert!(numbers.others(263).iter().eq(others.iter().copied()));
            let filled: Vec<u16> =
                numbers.blocks().flat_map(|(low, free)| low..low + (1 << free)).collect();
            prop_assert!(filled.iter().eq(set.iter()));
            prop_assert!(numbers.blocks().all(|(low, free)| low % (1 << free) == 0));
        }
    }

    #[test]
    fn the_greatest_number_has_no_successor() {
        let all = Numbers::from(0..=u16::MAX);
        assert_eq!(all.others(u16::MAX), Numbers::default());
        assert_eq!(all.blocks().count(), 1);
        assert_eq!(Numbers::default().others(u16::MAX), all);
        assert_eq!(Numbers::from([u16::MAX, 0]).bounds(), Some(0..=u16::MAX));
    }
}
