//! The largest packets that paths take, as far as somebody has said so.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use pal::clock::Nanos;

use crate::uidb::TableId;

/// How long a path is believed to be narrow (RFC 8201 4, RFC 1191 6.3).
const BELIEVED: u64 = 600 * Nanos::PER_SECOND;
/// Paths that are remembered; the one that was not used for the longest time makes room.
const PATHS: usize = 1024;

/// Where a path leads.
type Destination = (TableId, IpAddr);

#[derive(Clone, Copy, Debug)]
struct Path {
    mtu: u16,
    until: Nanos,
    /// When it was used last, in uses of any path.
    used: u64,
}

/// Narrow paths by destination.
#[derive(Debug, Default)]
pub(in crate::punt) struct PathMtus {
    paths: HashMap<Destination, Path>,
    by_use: BTreeMap<u64, Destination>,
    uses: u64,
}

impl PathMtus {
    /// Notes that the path to `destination` takes no more than `mtu` bytes. It is not believed to
    /// have become wider: that is found out when the time is over.
    pub(super) fn narrow(&mut self, now: Nanos, destination: Destination, mtu: u16) {
        let known = self.get(now, destination);
        if known.is_some_and(|known| known < mtu) {
            return;
        }
        if known.is_none()
            && self.paths.len() >= PATHS
            && let Some((_, oldest)) = self.by_use.pop_first()
        {
            self.paths.remove(&oldest);
        }
        let until = now.saturating_add(BELIEVED);
        self.touch(destination, Path { mtu, until, used: 0 });
    }

    /// What the path to `destination` takes, if it is known to be narrow. O(log paths).
    pub(in crate::punt) fn get(&mut self, now: Nanos, destination: Destination) -> Option<u16> {
        let path = *self.paths.get(&destination)?;
        if path.until <= now {
            self.paths.remove(&destination);
            self.by_use.remove(&path.used);
            return None;
        }
        self.touch(destination, path);
        Some(path.mtu)
    }

    /// Forgets all paths: what they lead through may have changed.
    pub(in crate::punt) fn clear(&mut self) {
        self.paths.clear();
        self.by_use.clear();
    }

    fn touch(&mut self, destination: Destination, path: Path) {
        self.uses += 1;
        let before = self.paths.insert(destination, Path { used: self.uses, ..path });
        if let Some(before) = before {
            self.by_use.remove(&before.used);
        }
        self.by_use.insert(self.uses, destination);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(n: usize) -> Destination {
        (TableId::GLOBAL, IpAddr::from(u32::try_from(n).unwrap().to_be_bytes()))
    }

    #[test]
    fn a_path_is_narrow_for_ten_minutes_and_does_not_widen_before() {
        let mut paths = PathMtus::default();
        let start = Nanos::from_secs(1000);
        paths.narrow(start, host(1), 1400);
        let later = start.saturating_add(300 * Nanos::PER_SECOND);
        paths.narrow(later, host(1), 1450);
        assert_eq!(paths.get(later, host(1)), Some(1400));
        assert_eq!(paths.get(later, (TableId(1), host(1).1)), None, "another table's");
        let end = start.saturating_add(BELIEVED);
        assert_eq!(paths.get(Nanos(end.0 - 1), host(1)), Some(1400));
        assert_eq!(paths.get(end, host(1)), None);
        paths.narrow(end, host(1), 1450);
        paths.narrow(end, host(1), 1300);
        assert_eq!(paths.get(end, host(1)), Some(1300));
    }

    #[test]
    fn the_path_that_nobody_uses_makes_room() {
        let mut paths = PathMtus::default();
        for n in 0..PATHS {
            paths.narrow(Nanos::ZERO, host(n), 1300);
        }
        assert_eq!(paths.get(Nanos::ZERO, host(0)), Some(1300));
        for n in PATHS..2 * PATHS - 1 {
            paths.narrow(Nanos::ZERO, host(n), 1300);
            assert_eq!((paths.paths.len(), paths.by_use.len()), (PATHS, PATHS));
        }
        let known: Vec<bool> = (0..2 * PATHS).map(|n| paths.paths.contains_key(&host(n))).collect();
        assert!(known[0] && !known[1..PATHS].contains(&true));
        assert!(!known[PATHS..2 * PATHS - 1].contains(&false));
    }
}
