//! A set of packets of one vector.

use std::fmt;
use std::ops::{BitAnd, BitAndAssign, BitOr, BitOrAssign, Not, Sub, SubAssign};

/// A set of slots of a vector, one bit a slot.
///
/// Iterating yields the slots in ascending order; it costs one `tzcnt` and one `blsr` a packet.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
#[repr(transparent)]
pub struct PacketMask(pub u64);

impl PacketMask {
    /// No packet.
    pub const EMPTY: Self = Self(0);
    /// All 64 slots.
    pub const FULL: Self = Self(u64::MAX);

    /// The first `count` slots; more than 64 count as 64.
    #[inline]
    #[must_use]
    pub const fn first(count: usize) -> Self {
        if count >= 64 { Self::FULL } else { Self((1 << count) - 1) }
    }

    /// The one slot `slot` (taken modulo 64).
    #[inline]
    #[must_use]
    pub const fn only(slot: usize) -> Self {
        Self(1 << (slot & 63))
    }

    /// Number of packets in the set.
    #[inline]
    #[must_use]
    pub const fn count(self) -> u32 {
        self.0.count_ones()
    }

    /// True when the set has no packet.
    #[inline]
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// True when `slot` (modulo 64) is in the set.
    #[inline]
    #[must_use]
    pub const fn contains(self, slot: usize) -> bool {
        self.0 >> (slot & 63) & 1 == 1
    }

    /// Adds `slot` (modulo 64).
    #[inline]
    pub const fn insert(&mut self, slot: usize) {
        self.0 |= 1 << (slot & 63);
    }

    /// Removes `slot` (modulo 64).
    #[inline]
    pub const fn remove(&mut self, slot: usize) {
        self.0 &= !(1 << (slot & 63));
    }

    /// Number of slots when the set is exactly the first slots, so that a loop may run dense.
    #[inline]
    #[must_use]
    pub const fn dense(self) -> Option<usize> {
        if self.0 & self.0.wrapping_add(1) == 0 { Some(self.0.count_ones() as usize) } else { None }
    }
}

impl Iterator for SlotIter {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        if self.0 == 0 {
            return None;
        }
        let slot = self.0.trailing_zeros() as usize;
        self.0 &= self.0 - 1;
        Some(slot)
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        let count = self.0.count_ones() as usize;
        (count, Some(count))
    }
}

/// Iterator over the slots of a [`PacketMask`].
#[derive(Clone, Debug)]
pub struct SlotIter(u64);

impl IntoIterator for PacketMask {
    type Item = usize;
    type IntoIter = SlotIter;

    #[inline]
    fn into_iter(self) -> SlotIter {
        SlotIter(self.0)
    }
}

impl BitAnd for PacketMask {
    type Output = Self;
    #[inline]
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl BitOr for PacketMask {
    type Output = Self;
    #[inline]
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl Sub for PacketMask {
    type Output = Self;
    /// The packets of `self` that are not in `other`.
    #[inline]
    fn sub(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl Not for PacketMask {
    type Output = Self;
    #[inline]
    fn not(self) -> Self {
        Self(!self.0)
    }
}

impl BitAndAssign for PacketMask {
    #[inline]
    fn bitand_assign(&mut self, other: Self) {
        self.0 &= other.0;
    }
}

impl BitOrAssign for PacketMask {
    #[inline]
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl SubAssign for PacketMask {
    #[inline]
    fn sub_assign(&mut self, other: Self) {
        self.0 &= !other.0;
    }
}

impl fmt::Debug for PacketMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PacketMask({:#018x})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_is_saturating_and_dense_recognises_it() {
        for n in 0..=64 {
            assert_eq!(PacketMask::first(n).count() as usize, n);
            assert_eq!(PacketMask::first(n).dense(), Some(n));
        }
        assert_eq!(PacketMask::first(65), PacketMask::FULL);
        assert_eq!(PacketMask(0b1011).dense(), None);
    }

    #[test]
    fn iteration_yields_the_slots_in_order() {
        let slots: Vec<usize> = PacketMask(1 << 63 | 0b10_0101).into_iter().collect();
        assert_eq!(slots, [0, 2, 5, 63]);
    }
}
