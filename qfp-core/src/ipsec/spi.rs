//! From an SPI to the row of its SA: a hash table of fixed size in plain memory.

use std::sync::atomic::{AtomicU64, Ordering};

use pal::refusal;

/// SPIs of one bucket, which is one cache line.
const SLOTS: usize = 8;
/// Buckets that an SPI may be in: its own and those behind it.
const REACH: u32 = 8;
/// A slot that was never used: nothing stands behind it.
const EMPTY: u64 = 0;
/// A slot whose SPI was removed. Its row number is one that no table reaches.
const REMOVED: u64 = u32::MAX as u64;

pal::plain_struct! {
    /// Eight slots: the SPI in the upper half, the row of the SA plus one in the lower; 0 is empty.
    #[derive(Debug, Default)]
    #[repr(align(64))]
    pub struct SpiBucket {
        slots: [AtomicU64; SLOTS],
    }
}

/// Why an SPI could not be entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpiError {
    /// All slots that it may be in are taken.
    #[error("no slot for SPI {0:#010x}: the table is too full")]
    Full(u32),
    /// The number of the row does not fit a slot.
    #[error("row {0} of the inbound SAs is out of range")]
    Row(u32),
}

/// The table of SPIs: a power of two of buckets. Changed slot by slot under readers that do not
/// wait; an SPI may stand for several SAs with different destinations.
#[derive(Clone, Copy, Debug)]
pub struct SpiTable<'a>(&'a [SpiBucket]);

impl<'a> SpiTable<'a> {
    /// Buckets for `sas` SAs: at least twice as many slots.
    #[must_use]
    pub const fn buckets(sas: usize) -> usize {
        (sas.div_ceil(SLOTS / 2)).next_power_of_two()
    }

    /// The table over `buckets`; an empty one unless their number is a power of two.
    #[inline]
    #[must_use]
    pub const fn new(buckets: &'a [SpiBucket]) -> Self {
        Self(if buckets.len().is_power_of_two() { buckets } else { &[] })
    }

    /// The row of the SA with `spi` that `wanted` takes. One cache line unless the bucket is full.
    #[inline]
    #[must_use]
    pub fn find(&self, spi: u32, wanted: impl Fn(u32) -> bool) -> Option<u32> {
        for bucket in self.reach(spi) {
            for slot in &bucket.slots {
                let entry = slot.load(Ordering::Acquire);
                if entry >> 32 == u64::from(spi)
                    && let Some(row) = row_of(entry)
                    && wanted(row)
                {
                    return Some(row);
                }
                if entry == EMPTY {
                    return None;
                }
            }
        }
        None
    }

    /// Enters `spi` for the SA in `row`: [`SpiTable::reserve`], then [`SpiTable::enter`].
    ///
    /// # Errors
    /// As [`SpiTable::reserve`].
    pub fn insert(&self, spi: u32, row: u32) -> Result<(), SpiError> {
        self.reserve(spi, row)?;
        self.enter(spi, row);
        Ok(())
    }

    /// Keeps a slot for `spi` of the SA in `row`, which nobody finds yet. One writer at a time.
    ///
    /// # Errors
    /// The table is too full there, or the row's number too large.
    pub fn reserve(&self, spi: u32, row: u32) -> Result<(), SpiError> {
        if row >= u32::MAX - 1 {
            return Err(SpiError::Row(row));
        }
        let free = |entry| matches!(entry, EMPTY | REMOVED);
        if !refusal::is_due() && self.replace(spi, free, reserved(row)) {
            Ok(())
        } else {
            Err(SpiError::Full(spi))
        }
    }

    /// Has `spi` found for the SA in `row`, which is complete and has a slot.
    pub fn enter(&self, spi: u32, row: u32) {
        self.replace(spi, |entry| entry == reserved(row), entered(spi, row));
    }

    /// Removes `spi` of the SA in `row`, and the slot kept for it; false if it is not there. One
    /// writer at a time. The row may be used again after a grace period.
    pub fn remove(&self, spi: u32, row: u32) -> bool {
        let own = |entry| entry == entered(spi, row) || entry == reserved(row);
        self.replace(spi, own, REMOVED)
    }

    /// Stores an entry in the first slot of `spi` whose own is `wanted`; false if there is none.
    fn replace(&self, spi: u32, wanted: impl Fn(u64) -> bool, entry: u64) -> bool {
        let mut slots = self.reach(spi).flat_map(|bucket| &bucket.slots);
        let slot = slots.find(|slot| wanted(slot.load(Ordering::Relaxed)));
        if let Some(slot) = slot {
            pal::faults::store();
            slot.store(entry, Ordering::Release);
        }
        slot.is_some()
    }

    /// The buckets that `spi` may be in.
    #[inline]
    fn reach(&self, spi: u32) -> impl Iterator<Item = &'a SpiBucket> + use<'a> {
        let buckets = self.0;
        // Peers may hand out SPIs in sequence, or their high bits may mean something.
        let hash = spi.wrapping_mul(0x9e37_79b1);
        let first = hash.rotate_left(16);
        let reach = if buckets.is_empty() { 0 } else { REACH };
        (0..reach)
            .filter_map(move |n| buckets.get(first.wrapping_add(n) as usize & (buckets.len() - 1)))
    }
}

const fn entered(spi: u32, row: u32) -> u64 {
    (spi as u64) << 32 | (row as u64 + 1)
}

/// A slot that is kept for a row: like one whose SPI was removed, it leads to none.
const fn reserved(row: u32) -> u64 {
    (row as u64 + 1) << 32 | REMOVED
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the lower half of the slot")]
const fn row_of(entry: u64) -> Option<u32> {
    match entry as u32 {
        0 | u32::MAX => None,
        row => Some(row - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn empty(sas: usize) -> Vec<SpiBucket> {
        (0..SpiTable::buckets(sas)).map(|_| SpiBucket::default()).collect()
    }

    #[test]
    fn sixty_four_thousand_sas_are_found_whatever_their_numbers() {
        for step in [1, 2, 256, 0x1_0000, 0x9e37_79b9] {
            let buckets = empty(1 << 16);
            assert_eq!(buckets.len() * 64, 1 << 20, "a megabyte");
            let table = SpiTable::new(&buckets);
            let spi = |row: u32| 0x100u32.wrapping_add(row.wrapping_mul(step));
            let spis: BTreeSet<u32> = (0..1 << 16).map(spi).collect();
            for (row, &spi) in (0..).zip(&spis) {
                table.insert(spi, row).unwrap();
            }
            for (row, &spi) in (0..).zip(&spis) {
                assert_eq!(table.find(spi, |_| true), Some(row));
            }
            let stranger = (0x100..).find(|spi| !spis.contains(spi)).unwrap();
            assert_eq!(table.find(stranger, |_| true), None);
        }
    }

    #[test]
    fn an_spi_may_stand_for_two_destinations() {
        let buckets = empty(8);
        let table = SpiTable::new(&buckets);
        table.insert(7, 1).unwrap();
        table.insert(7, 2).unwrap();
        assert_eq!(table.find(7, |row| row == 2), Some(2));
        assert_eq!(table.find(7, |row| row == 3), None);
        assert!(table.remove(7, 1));
        assert!(!table.remove(7, 1));
        assert_eq!(table.find(7, |_| true), Some(2));
    }

    #[test]
    fn a_table_without_room_says_so() {
        assert_eq!(SpiTable::new(&[]).insert(1, 1), Err(SpiError::Full(1)));
        let one = empty(1);
        let table = SpiTable::new(&one);
        (0..8).for_each(|row| table.insert(row, row).unwrap());
        assert_eq!(table.insert(9, 9), Err(SpiError::Full(9)));
        assert_eq!(table.insert(9, u32::MAX), Err(SpiError::Row(u32::MAX)));
        assert_eq!(SpiTable::new(&[]).find(1, |_| true), None);
    }

    proptest! {
        #[test]
        fn the_table_agrees_with_a_set(
            steps in prop::collection::vec((any::<bool>(), 0..40u32, 0..4u32), 0..400),
        ) {
            let buckets = empty(200);
            let table = SpiTable::new(&buckets);
            let mut set = BTreeSet::new();
            for (insert, spi, row) in steps {
                if insert && set.insert((spi, row)) {
                    table.insert(spi, row).unwrap();
                } else if !insert {
                    prop_assert_eq!(table.remove(spi, row), set.remove(&(spi, row)));
                }
                for spi in 0..40 {
                    for row in 0..4 {
                        let found = table.find(spi, |r| r == row);
                        prop_assert_eq!(found.is_some(), set.contains(&(spi, row)));
                    }
                }
            }
        }
    }
}
