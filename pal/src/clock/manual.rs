use super::{Clock, Nanos};
use std::sync::atomic::{AtomicU64, Ordering};

/// A clock that moves only when told, and never backwards.
///
/// ```
/// use pal::clock::{Clock, ManualClock, Nanos};
///
/// let clock = ManualClock::default();
/// clock.advance(5);
/// clock.set(Nanos(3));
/// assert_eq!(clock.now(), Nanos(5));
/// ```
#[derive(Debug, Default)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// A clock that starts at `start`.
    #[must_use]
    pub const fn new(start: Nanos) -> Self {
        Self(AtomicU64::new(start.0))
    }

    /// Moves forward to `to`; a moment in the past is ignored.
    pub fn set(&self, to: Nanos) {
        self.0.fetch_max(to.0, Ordering::Relaxed);
    }

    /// Moves forward by `ns` nanoseconds and returns the new time.
    pub fn advance(&self, ns: u64) -> Nanos {
        Nanos(self.0.fetch_add(ns, Ordering::Relaxed)).saturating_add(ns)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Nanos {
        Nanos(self.0.load(Ordering::Relaxed))
    }
}
