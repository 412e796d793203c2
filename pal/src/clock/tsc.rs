use super::ratio::Ratio;
use super::{Clock, Nanos, monotonic_raw, rdtsc};
use std::time::Duration;

/// Readings per calibration point; the one that was interrupted least counts.
const SAMPLES: usize = 32;
/// Distance between the two calibration points.
const SPAN: Duration = Duration::from_millis(20);

/// A clock on the time-stamp counter, in step with `CLOCK_MONOTONIC_RAW`.
///
/// Copy it to every lcore. Assumes a counter of constant rate that agrees between cores, which
/// Linux checks at boot (`constant_tsc`, `nonstop_tsc`).
#[derive(Clone, Copy, Debug)]
pub struct TscClock {
    start_cycles: u64,
    start: Nanos,
    hz: u64,
    to_nanos: Ratio,
}

impl TscClock {
    /// Measures the counter's rate; takes about 20 ms.
    #[must_use]
    pub fn calibrate() -> Self {
        let first = Reading::best();
        std::thread::sleep(SPAN);
        let last = Reading::best();
        let cycles = last.cycles.saturating_sub(first.cycles);
        let ns = last.at.saturating_since(first.at);
        Self {
            start_cycles: last.cycles,
            start: last.at,
            hz: Ratio::of(cycles, ns).apply(Nanos::PER_SECOND).max(1),
            to_nanos: Ratio::of(ns, cycles),
        }
    }

    /// A clock on a counter that is known to tick so often a second; takes some microseconds.
    #[must_use]
    pub fn of_rate(hz: u64) -> Self {
        let Reading { cycles, at } = Reading::best();
        let to_nanos = Ratio::of(Nanos::PER_SECOND, hz);
        Self { start_cycles: cycles, start: at, hz: hz.max(1), to_nanos }
    }

    /// Counter ticks per second.
    #[must_use]
    pub const fn hz(&self) -> u64 {
        self.hz
    }

    /// Nanoseconds that `cycles` last. No division.
    #[inline]
    #[must_use]
    pub const fn cycles_to_nanos(&self, cycles: u64) -> u64 {
        self.to_nanos.apply(cycles)
    }
}

impl Clock for TscClock {
    /// Nanoseconds since boot. One counter read and two multiplications, no system call.
    #[inline]
    fn now(&self) -> Nanos {
        // A core whose counter lags the calibrating one by a few cycles must not wrap.
        self.start.saturating_add(self.to_nanos.apply(rdtsc().saturating_sub(self.start_cycles)))
    }
}

/// The counter and the kernel's clock at (almost) the same moment.
#[derive(Clone, Copy)]
struct Reading {
    cycles: u64,
    at: Nanos,
}

impl Reading {
    /// The tightest of several readings: the kernel's clock is read between two counter reads,
    /// and the smaller their distance, the smaller the error.
    fn best() -> Self {
        let mut best = Self { cycles: 0, at: Nanos::ZERO };
        let mut least = u64::MAX;
        for _ in 0..SAMPLES {
            let before = rdtsc();
            let at = monotonic_raw();
            let width = rdtsc().saturating_sub(before);
            if width < least {
                least = width;
                best = Self { cycles: before + width / 2, at };
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::{Clock, TscClock, monotonic_raw};
    use std::time::Duration;

    #[test]
    #[cfg_attr(miri, ignore = "miri has one clock, and it is slow")]
    fn stays_within_two_per_mille_of_the_raw_clock() {
        // A busy machine may take the CPU away between the two reads: the best of five counts.
        let clock = TscClock::calibrate();
        let worst_per_million = |_| {
            let (raw, tsc) = (monotonic_raw(), clock.now());
            std::thread::sleep(Duration::from_millis(50));
            let tsc = clock.now().saturating_since(tsc);
            let raw = monotonic_raw().saturating_since(raw);
            raw.abs_diff(tsc) * 1_000_000 / raw
        };
        let error = (0..5).map(worst_per_million).min().unwrap();
        assert!(error <= 2_000, "off by {error} ppm at {} Hz", clock.hz());
    }

    #[test]
    fn a_clock_of_the_same_rate_is_as_fast() {
        let clock = TscClock::calibrate();
        let other = TscClock::of_rate(clock.hz());
        let before = (clock.now(), other.now());
        std::thread::sleep(Duration::from_millis(20));
        let after = (clock.now(), other.now());
        let [one, two] =
            [(before.0, after.0), (before.1, after.1)].map(|(a, b)| b.saturating_since(a));
        assert!(one.abs_diff(two) < one / 50, "{one} {two}");
    }

    #[test]
    fn never_goes_back() {
        let clock = TscClock::calibrate();
        let mut last = clock.now();
        for _ in 0..if cfg!(miri) { 100 } else { 100_000 } {
            let now = clock.now();
            assert!(now >= last);
            last = now;
        }
    }
}
