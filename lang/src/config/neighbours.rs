//! The table `[neighbors]`: how many neighbours the router learns, and how much it asks for them.

use std::fmt::{self, Display};
use std::ops::RangeInclusive;

use qfp_core::punt::{Limits, Rate};

use super::ConfigError;
use super::table::Table;

pub(super) const KEYS: &[&str] =
    &["limit", "limit_per_interface", "unsolicited_per_interface", "requests_per_second"];

/// Neighbours in all.
const LIMIT: RangeInclusive<u32> = 1..=1_000_000;
/// Those that have only spoken to the router.
const UNSOLICITED: RangeInclusive<u32> = 0..=16_384;
/// Requests of an interface.
const REQUESTS: RangeInclusive<u32> = 1..=1_000_000;

/// Limits of what is learnt; without one it is as large as the tables allow, or the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NeighbourLimits {
    /// Known neighbours in all.
    pub limit: Option<u32>,
    /// Known neighbours of one interface.
    pub limit_per_interface: Option<u32>,
    /// Neighbours of one interface that have only spoken to the router.
    pub unsolicited_per_interface: Option<u32>,
    /// Requests a second on one interface for neighbours that are not known.
    pub requests_per_second: Option<u32>,
}

impl NeighbourLimits {
    pub(super) fn read(&mut self, mut table: Table<'_>) -> Result<(), ConfigError> {
        self.limit = table.number("limit", &LIMIT)?.or(self.limit);
        self.limit_per_interface =
            table.number("limit_per_interface", &LIMIT)?.or(self.limit_per_interface);
        self.unsolicited_per_interface = table
            .number("unsolicited_per_interface", &UNSOLICITED)?
            .or(self.unsolicited_per_interface);
        self.requests_per_second =
            table.number("requests_per_second", &REQUESTS)?.or(self.requests_per_second);
        Ok(())
    }

    /// The limits of a slow path whose fast path has room for `room` neighbours: never more than
    /// that, and for one interface three quarters of it.
    #[must_use]
    pub fn apply(&self, limits: Limits, room: usize) -> Limits {
        let or = |given: Option<u32>, usual: usize| given.map_or(usual, |given| given as usize);
        let neighbours = or(self.limit, limits.neighbours).min(room);
        let share = limits.neighbours_per_interface.min(neighbours - neighbours / 4);
        let requests = self.requests_per_second.map_or(limits.requests_rate, |per_second| {
            // A fifth of a second at once.
            Rate { per_second, burst: (per_second / 5).max(1) }
        });
        Limits {
            neighbours,
            neighbours_per_interface: or(self.limit_per_interface, share).min(neighbours),
            unsolicited_per_interface: or(
                self.unsolicited_per_interface,
                limits.unsolicited_per_interface,
            ),
            requests_rate: requests,
            ..limits
        }
    }
}

impl Display for NeighbourLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::default() {
            return Ok(());
        }
        writeln!(f, "[neighbors]")?;
        let values = [
            self.limit,
            self.limit_per_interface,
            self.unsolicited_per_interface,
            self.requests_per_second,
        ];
        for (key, value) in KEYS.iter().zip(values) {
            if let Some(value) = value {
                writeln!(f, "{key} = {value}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_limit_exceeds_the_room_of_the_fast_path() {
        for limit in [None, Some(10), Some(500_000)] {
            for limit_per_interface in [None, Some(7), Some(900_000)] {
                let limits = NeighbourLimits { limit, limit_per_interface, ..Default::default() };
                let applied = limits.apply(Limits::default(), 7000);
                assert_eq!(applied.neighbours, limit.map_or(7000, |n| n.min(7000) as usize));
                assert!(applied.neighbours_per_interface <= applied.neighbours);
                assert!(applied.neighbours_per_interface >= 7);
            }
        }
    }

    #[test]
    fn what_is_said_replaces_the_defaults_and_nothing_else() {
        let usual = Limits::default();
        let same = NeighbourLimits::default().apply(usual.clone(), usize::MAX);
        assert_eq!(same, usual);
        let said = NeighbourLimits {
            unsolicited_per_interface: Some(0),
            requests_per_second: Some(100),
            ..NeighbourLimits::default()
        };
        let said = said.apply(usual.clone(), usize::MAX);
        assert_eq!(said.unsolicited_per_interface, 0);
        assert_eq!(said.requests_rate, Rate { per_second: 100, burst: 20 });
        assert_eq!(said.refresh_rate, usual.refresh_rate);
    }
}
