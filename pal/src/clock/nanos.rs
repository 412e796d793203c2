use std::fmt;

/// Nanoseconds: a moment on some clock, or the distance between two moments.
///
/// 64 bits last for 584 years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nanos(pub u64);

impl Nanos {
    /// The origin of a clock.
    pub const ZERO: Self = Self(0);
    /// Later than everything a clock will ever say.
    pub const MAX: Self = Self(u64::MAX);
    /// Nanoseconds in a second.
    pub const PER_SECOND: u64 = 1_000_000_000;
    /// Nanoseconds in a millisecond.
    pub const PER_MILLI: u64 = 1_000_000;
    /// Nanoseconds in a microsecond.
    pub const PER_MICRO: u64 = 1_000;

    /// Whole seconds as nanoseconds; saturates.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(Self::PER_SECOND))
    }

    /// Milliseconds as nanoseconds; saturates.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(Self::PER_MILLI))
    }

    /// Microseconds as nanoseconds; saturates.
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros.saturating_mul(Self::PER_MICRO))
    }

    /// Nanoseconds that have gone by since `earlier`; zero if `earlier` lies in the future.
    #[inline]
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The moment `ns` nanoseconds later; stops at [`Nanos::MAX`].
    #[inline]
    #[must_use]
    pub const fn saturating_add(self, ns: u64) -> Self {
        Self(self.0.saturating_add(ns))
    }
}

impl fmt::Display for Nanos {
    /// Seconds with nine decimals, such as `12.000000345`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.0 / Self::PER_SECOND, self.0 % Self::PER_SECOND)
    }
}

#[cfg(test)]
mod tests {
    use super::Nanos;

    #[test]
    fn shows_seconds_with_nine_decimals() {
        assert_eq!(Nanos(12_000_000_345).to_string(), "12.000000345");
    }

    #[test]
    fn never_wraps_in_either_direction() {
        assert_eq!(Nanos(3).saturating_since(Nanos(5)), 0);
        assert_eq!(Nanos(5).saturating_since(Nanos(3)), 2);
        assert_eq!(Nanos::MAX.saturating_add(1), Nanos::MAX);
    }
}
