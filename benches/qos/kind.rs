//! The policers that are measured.

use qfp::core::qos::police::{
    Algorithm, BitsPerSecond, Burst, Granularity, Limits, PolicerConfig, PolicerSpec, Rate,
};

use contest::BenchError;

/// Bytes of both buckets.
pub(crate) const BURST: u64 = 15_000;

/// An algorithm, and whether it looks at the colour that packets come with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    OneRate,
    Rfc2697 { aware: bool },
    Rfc2698 { aware: bool },
    Rfc4115 { aware: bool },
}

impl Kind {
    pub(crate) const ALL: [Self; 7] = [
        Self::OneRate,
        Self::Rfc2697 { aware: false },
        Self::Rfc2697 { aware: true },
        Self::Rfc2698 { aware: false },
        Self::Rfc2698 { aware: true },
        Self::Rfc4115 { aware: false },
        Self::Rfc4115 { aware: true },
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::OneRate => "1r2c",
            Self::Rfc2697 { aware: false } => "rfc2697-blind",
            Self::Rfc2697 { aware: true } => "rfc2697-aware",
            Self::Rfc2698 { aware: false } => "rfc2698-blind",
            Self::Rfc2698 { aware: true } => "rfc2698-aware",
            Self::Rfc4115 { aware: false } => "rfc4115-blind",
            Self::Rfc4115 { aware: true } => "rfc4115-aware",
        }
    }

    /// A policer of `rate` bit/s; a second rate is half as much again.
    pub(crate) fn config(self, rate: u64) -> Result<PolicerConfig, BenchError> {
        self.with(rate, BURST, false)
    }

    /// The same with other bursts, for one lcore or for several.
    pub(crate) fn with(
        self,
        rate: u64,
        burst: u64,
        shared: bool,
    ) -> Result<PolicerConfig, BenchError> {
        let bits = |rate| BitsPerSecond::new(rate).map(Rate::Bits);
        let be = Burst::Size(burst);
        let (algorithm, aware) = match self {
            Self::OneRate => (Algorithm::OneRate, false),
            Self::Rfc2697 { aware } => (Algorithm::Rfc2697 { be }, aware),
            Self::Rfc2698 { aware } => (Algorithm::Rfc2698 { pir: bits(peak(rate))?, be }, aware),
            Self::Rfc4115 { aware } => {
                (Algorithm::Rfc4115 { eir: bits(peak(rate) - rate)?, be }, aware)
            }
        };
        let spec = PolicerSpec { cir: bits(rate)?, bc: be, algorithm, aware, shared };
        Ok(spec.program(&Limits::new(Granularity::Native, 1518))?.config)
    }
}

/// The peak rate beside a committed one.
pub(crate) const fn peak(rate: u64) -> u64 {
    rate / 2 * 3
}
