//! What an operator says about a policer, and what may be wrong with it.

use super::{BitsPerSecond, Granularity, PacketsPerSecond, Percent, RateError};

/// A policer as it is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicerSpec {
    /// Committed rate.
    pub cir: Rate,
    /// Committed burst.
    pub bc: Burst,
    /// What is beside the committed bucket.
    pub algorithm: Algorithm,
    /// Whether the colour that a packet comes with matters.
    pub aware: bool,
    /// Whether several lcores meter with it.
    pub shared: bool,
}

/// How packets beyond the committed rate are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// They are not: one rate, two colours.
    OneRate,
    /// One rate, three colours, RFC 2697: what the first bucket cannot hold fills the second.
    Rfc2697 {
        /// Excess burst.
        be: Burst,
    },
    /// Two rates, three colours, RFC 2698: green counts against both.
    Rfc2698 {
        /// Peak rate, not below the committed one.
        pir: Rate,
        /// Peak burst.
        be: Burst,
    },
    /// Two rates, three colours, RFC 4115: the excess rate is beside the committed one.
    Rfc4115 {
        /// Excess rate.
        eir: Rate,
        /// Excess burst.
        be: Burst,
    },
}

/// A rate as it is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// Bits of counted bytes.
    Bits(BitsPerSecond),
    /// Packets of any length.
    Packets(PacketsPerSecond),
    /// A share of [`Limits::link`].
    Percent(Percent),
}

/// A burst as it is configured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Burst {
    /// `Bc = CIR / 8 * 1.5 s`, `Be = 2 * Bc` (POL-01, POL-02).
    #[default]
    Default,
    /// The same for 250 ms: `burst auto 250ms` (POL-03).
    Auto250Ms,
    /// Bytes, or packets for a packet rate.
    Size(u64),
}

impl Burst {
    /// Milliseconds at the committed rate; none if the size is said.
    pub(super) const fn milliseconds(self) -> Option<u32> {
        match self {
            Self::Default => Some(1_500),
            Self::Auto250Ms => Some(250),
            Self::Size(_) => None,
        }
    }
}

/// What a platform and an interface put to every policer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Rate of the interface, for percentages.
    pub link: Option<BitsPerSecond>,
    /// Steps of rates.
    pub granularity: Granularity,
    /// Counted bytes of the largest frame. A bucket that cannot hold it would never let it pass.
    pub largest_frame: u64,
    /// From this rate on bursts ought to be said (POL-04).
    pub high_rate: BitsPerSecond,
}

/// One of the two buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bucket {
    /// Committed.
    Committed,
    /// Excess or peak.
    Excess,
}

/// Why there cannot be such a policer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicerError {
    /// A rate is out of range, or below the platform's step.
    #[error(transparent)]
    Rate(#[from] RateError),
    /// A percentage of an interface whose rate is not known.
    #[error("{} percent of an interface whose rate is not known", .0.get())]
    NoLinkRate(Percent),
    /// One rate counts bits, the other packets.
    #[error("one rate is in bits, the other in packets")]
    MixedUnits,
    /// The peak rate is below the committed one.
    #[error("the peak rate {pir} is below the committed rate {cir}")]
    PeakBelowCommitted {
        /// Committed rate as programmed, bits or packets a second.
        cir: u64,
        /// Peak rate as programmed.
        pir: u64,
    },
    /// Two rates and awareness of the child's colour leave nothing for the child's yellow packets.
    #[error("the peak rate {0} leaves nothing above the committed rate")]
    NothingAboveCommitted(u64),
    /// A burst is zero or larger than any.
    #[error("{bucket:?} burst {burst} is not from 1 to {max}", max = PolicerSpec::BURST_MAX)]
    BurstOutOfRange {
        /// Whose.
        bucket: Bucket,
        /// As configured, or as the rate makes it.
        burst: u64,
    },
    /// A frame of full size could never pass.
    #[error("{bucket:?} burst {burst} is below the largest frame of {largest} counted bytes")]
    BurstBelowFrame {
        /// Whose.
        bucket: Bucket,
        /// As configured.
        burst: u64,
        /// Counted bytes of the largest frame.
        largest: u64,
    },
    /// Lcores share buckets in words of 64 bits, which do not hold these.
    #[error("bursts of {bursts:?} at rates of {rates:?} are too large to be shared by lcores")]
    TooLargeToShare {
        /// Of both buckets, bits or packets a second.
        rates: [u64; 2],
        /// Bytes or packets.
        bursts: [u64; 2],
    },
}

/// What the operator ought to know about a policer that works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicerWarning {
    /// The platform rounds a rate down.
    Rounded {
        /// What was asked for, bits a second.
        rate: BitsPerSecond,
        /// What is programmed.
        programmed: BitsPerSecond,
    },
    /// At this rate the bursts ought to be said.
    DefaultBurst {
        /// Committed rate.
        rate: BitsPerSecond,
        /// The burst that follows from it, bytes.
        burst: u64,
    },
    /// A burst that was not said has been raised to the largest frame.
    Raised {
        /// Whose.
        bucket: Bucket,
        /// What the rate makes it.
        burst: u64,
        /// What it is.
        raised: u64,
    },
}

impl Limits {
    /// The steps of `granularity` and frames of at most `largest_frame` counted bytes.
    ///
    /// No link rate; rates are high from 1 Gb/s.
    #[must_use]
    pub const fn new(granularity: Granularity, largest_frame: u64) -> Self {
        Self { link: None, granularity, largest_frame, high_rate: BitsPerSecond::GIGABIT }
    }
}
