//! Rates, and the steps in which hardware can program them.

use std::fmt;
use std::num::NonZeroU64;

/// A rate in bits of counted bytes a second: 1 to [`BitsPerSecond::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BitsPerSecond(NonZeroU64);

/// A rate in packets a second: 1 to [`PacketsPerSecond::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PacketsPerSecond(NonZeroU64);

/// A share of a link's rate: 1 to 100 percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent(u8);

/// A rate that no policer can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RateError {
    /// Bit rates go from 1 bit/s to 800 Gb/s.
    #[error("{0} bit/s is not a rate from 1 to {max}", max = BitsPerSecond::MAX)]
    Bits(u64),
    /// Packet rates go from 1 to 2 000 000 000.
    #[error("{0} packets/s is not a rate from 1 to {max}", max = PacketsPerSecond::MAX)]
    Packets(u64),
    /// Shares go from 1 to 100 percent.
    #[error("{0} percent is not a share from 1 to 100")]
    Percent(u8),
    /// It rounds down to nothing.
    #[error("{rate} bit/s is below the step of {step} bit/s")]
    BelowStep {
        /// What was asked for.
        rate: u64,
        /// What rates are multiples of.
        step: u64,
    },
}

impl BitsPerSecond {
    /// 800 Gb/s.
    pub const MAX: u64 = 800_000_000_000;
    /// 1 Gb/s.
    pub const GIGABIT: Self = Self(NonZeroU64::MIN.saturating_add(999_999_999));

    /// A rate.
    ///
    /// # Errors
    /// It is zero or above [`BitsPerSecond::MAX`].
    pub fn new(rate: u64) -> Result<Self, RateError> {
        let inside = NonZeroU64::new(rate).filter(|rate| rate.get() <= Self::MAX);
        inside.map(Self).ok_or(RateError::Bits(rate))
    }

    /// Bits a second.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0.get()
    }

    /// Bytes that pass in `ms` milliseconds, rounded down.
    #[must_use]
    pub const fn bytes_in(self, ms: u32) -> u64 {
        // 40 bits by 32 bits: only absurd times saturate.
        self.get().saturating_mul(ms as u64) / 8_000
    }
}

impl PacketsPerSecond {
    /// More than the smallest frames make at 800 Gb/s.
    pub const MAX: u64 = 2_000_000_000;

    /// A rate.
    ///
    /// # Errors
    /// It is zero or above [`PacketsPerSecond::MAX`].
    pub fn new(rate: u64) -> Result<Self, RateError> {
        let inside = NonZeroU64::new(rate).filter(|rate| rate.get() <= Self::MAX);
        inside.map(Self).ok_or(RateError::Packets(rate))
    }

    /// Packets a second.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0.get()
    }

    /// Packets that pass in `ms` milliseconds, rounded down.
    #[must_use]
    pub const fn packets_in(self, ms: u32) -> u64 {
        self.get().saturating_mul(ms as u64) / 1_000
    }
}

impl Percent {
    /// A share.
    ///
    /// # Errors
    /// It is zero or above 100.
    pub const fn new(percent: u8) -> Result<Self, RateError> {
        if 1 <= percent && percent <= 100 {
            Ok(Self(percent))
        } else {
            Err(RateError::Percent(percent))
        }
    }

    /// Percent.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// The share of `whole`, rounded down.
    ///
    /// # Errors
    /// Less than 1 bit/s remains.
    pub fn of(self, whole: BitsPerSecond) -> Result<BitsPerSecond, RateError> {
        BitsPerSecond::new(whole.get() * u64::from(self.0) / 100)
    }
}

/// The steps of a platform: rates are rounded down to a multiple (POL-08, POL-09).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Granularity {
    /// Every rate as it is.
    #[default]
    Native,
    /// 8 kb/s.
    Typhoon,
    /// 64 kb/s.
    Trident,
}

impl Granularity {
    /// Bits a second between two rates.
    #[must_use]
    pub const fn step(self) -> u64 {
        match self {
            Self::Native => 1,
            Self::Typhoon => 8_000,
            Self::Trident => 64_000,
        }
    }

    /// The rate that is programmed for `rate`.
    ///
    /// # Errors
    /// It is below one step: a policer of rate zero would be no policer but a filter.
    pub fn programmed(self, rate: BitsPerSecond) -> Result<BitsPerSecond, RateError> {
        let (rate, step) = (rate.get(), self.step());
        BitsPerSecond::new(rate / step * step).map_err(|_| RateError::BelowStep { rate, step })
    }
}

impl fmt::Display for BitsPerSecond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bit/s", self.0)
    }
}

impl fmt::Display for PacketsPerSecond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} packets/s", self.0)
    }
}
