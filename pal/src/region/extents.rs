use super::{GRANULE, HUGE_PAGE};
use std::collections::{BTreeMap, BTreeSet};

/// The free parts of a region: best fit, neighbours merged.
///
/// Kept on the writer's heap, so readers never see it. Every operation is O(log extents).
#[derive(Debug)]
pub(super) struct Extents {
    /// Length by offset; no two touch.
    by_offset: BTreeMap<usize, usize>,
    /// The same as (length, offset).
    by_length: BTreeSet<(usize, usize)>,
    free: usize,
    /// Nobody has had anything from here on.
    fresh: usize,
}

impl Extents {
    /// All of `0..capacity` is free.
    pub(super) fn new(capacity: usize) -> Self {
        let (by_offset, by_length) = Default::default();
        let mut extents = Self { by_offset, by_length, free: capacity, fresh: 0 };
        extents.insert(0, capacity);
        extents
    }

    /// Bytes free in total.
    pub(super) const fn free(&self) -> usize {
        self.free
    }

    /// What an allocation of `bytes` takes: whole granules, at least one. `None` if absurd.
    pub(super) fn rounded(bytes: usize) -> Option<usize> {
        bytes.max(1).checked_next_multiple_of(GRANULE)
    }

    /// Takes `bytes` (already rounded) and returns their offset.
    pub(super) fn take(&mut self, bytes: usize) -> Option<usize> {
        let align = if bytes >= HUGE_PAGE { HUGE_PAGE } else { GRANULE };
        let (length, start, offset) = self
            .by_length
            .range((bytes, 0)..)
            .map(|&(length, start)| (length, start, start.next_multiple_of(align)))
            .find(|&(length, start, offset)| offset - start + bytes <= length)?;
        self.remove(start, length);
        self.insert(start, offset - start);
        self.insert(offset + bytes, start + length - offset - bytes);
        self.free -= bytes;
        Some(offset)
    }

    /// How many of `bytes` just taken at `offset` somebody may have had before: the first ones.
    pub(super) fn had(&mut self, offset: usize, bytes: usize) -> usize {
        let had = self.fresh.saturating_sub(offset).min(bytes);
        self.fresh = self.fresh.max(offset + bytes);
        had
    }

    /// Gives back what `take` returned.
    pub(super) fn give(&mut self, offset: usize, bytes: usize) {
        self.free += bytes;
        let (mut start, mut length) = (offset, bytes);
        let before = self.by_offset.range(..offset).next_back().map(|(&at, &len)| (at, len));
        if let Some((at, len)) = before.filter(|(at, len)| at + len == offset) {
            self.remove(at, len);
            (start, length) = (at, len + length);
        }
        if let Some(&len) = self.by_offset.get(&(offset + bytes)) {
            self.remove(offset + bytes, len);
            length += len;
        }
        self.insert(start, length);
    }

    fn insert(&mut self, offset: usize, length: usize) {
        if length > 0 {
            self.by_offset.insert(offset, length);
            self.by_length.insert((length, offset));
        }
    }

    fn remove(&mut self, offset: usize, length: usize) {
        self.by_offset.remove(&offset);
        self.by_length.remove(&(length, offset));
    }
}

#[cfg(test)]
mod tests {
    use super::{Extents, GRANULE, HUGE_PAGE};
    use proptest::prelude::*;

    const CAPACITY: usize = 16 * HUGE_PAGE;

    proptest! {
        #[test]
        fn never_gives_a_byte_twice_and_merges_everything_again(
            steps in proptest::collection::vec((any::<bool>(), 1..3 * HUGE_PAGE, any::<usize>()), 1..80),
        ) {
            let mut extents = Extents::new(CAPACITY);
            let mut held: Vec<(usize, usize)> = Vec::new();
            for (take, bytes, pick) in steps {
                if take || held.is_empty() {
                    // Mostly small ones, as tables are.
                    let bytes = if pick % 4 == 0 { bytes } else { bytes % 4096 };
                    let bytes = Extents::rounded(bytes).unwrap();
                    if let Some(offset) = extents.take(bytes) {
                        let align = if bytes >= HUGE_PAGE { HUGE_PAGE } else { GRANULE };
                        prop_assert_eq!(offset % align, 0);
                        prop_assert!(offset + bytes <= CAPACITY);
                        for &(other, len) in &held {
                            prop_assert!(offset + bytes <= other || other + len <= offset);
                        }
                        held.push((offset, bytes));
                    }
                } else {
                    let (offset, bytes) = held.swap_remove(pick % held.len());
                    extents.give(offset, bytes);
                }
                let used: usize = held.iter().map(|&(_, bytes)| bytes).sum();
                prop_assert_eq!(extents.free(), CAPACITY - used);
            }
            for (offset, bytes) in held {
                extents.give(offset, bytes);
            }
            prop_assert_eq!(extents.take(CAPACITY), Some(0));
        }
    }
}
