//! From a policer as it is configured to its row.

use super::row::{Plan, PolicerConfig};
use super::{
    Algorithm, BitsPerSecond, Bucket, Burst, Limits, PacketsPerSecond, PolicerError, PolicerSpec,
    PolicerWarning, Rate,
};

/// A policer as it is programmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programmed {
    /// The row for lcores.
    pub config: PolicerConfig,
    /// True if rates are packets a second and bursts packets, not bits a second and bytes.
    pub packets: bool,
    /// Committed rate.
    pub cir: u64,
    /// Committed burst.
    pub bc: u64,
    /// Peak or excess rate; 0 without one.
    pub second_rate: u64,
    /// Excess or peak burst; 0 without one.
    pub be: u64,
    /// What the operator ought to know.
    pub warnings: Vec<PolicerWarning>,
}

/// A rate in numbers.
#[derive(Clone, Copy)]
struct Resolved {
    packets: bool,
    rate: u64,
}

impl PolicerSpec {
    /// Largest burst, bytes or packets.
    pub const BURST_MAX: u64 = 1 << 40;

    /// One rate and two colours, colour-blind, with default burst, for one lcore.
    #[must_use]
    pub const fn one_rate(cir: Rate) -> Self {
        let algorithm = Algorithm::OneRate;
        Self { cir, bc: Burst::Default, algorithm, aware: false, shared: false }
    }

    /// The parent that does not drop what its children found to conform.
    ///
    /// It looks at the child's colour, and yellow packets cannot take what green ones need: of
    /// two rates the excess is metered beside the committed rate (RFC 4115) instead of within the
    /// peak rate, with `EIR = PIR - CIR`. The other algorithms are that way already.
    ///
    /// # Errors
    /// As [`PolicerSpec::program`]; the peak rate is not above the committed one.
    pub fn child_conform_aware(self, limits: &Limits) -> Result<Self, PolicerError> {
        let aware = Self { aware: true, ..self };
        let Algorithm::Rfc2698 { pir, be } = self.algorithm else { return Ok(aware) };
        let mut unheard = Vec::new();
        let [cir, pir] = [self.cir, pir].map(|rate| limits.resolve(rate, &mut unheard));
        let (cir, pir) = (cir?, pir?);
        if cir.packets != pir.packets {
            return Err(PolicerError::MixedUnits);
        }
        let above = pir.rate.saturating_sub(cir.rate);
        let eir = if cir.packets {
            PacketsPerSecond::new(above).map(Rate::Packets)
        } else {
            BitsPerSecond::new(above).map(Rate::Bits)
        };
        let eir = eir.map_err(|_| PolicerError::NothingAboveCommitted(pir.rate))?;
        Ok(Self { algorithm: Algorithm::Rfc4115 { eir, be }, ..aware })
    }

    /// Checks the policer and computes its row.
    ///
    /// Rates are rounded down to the platform's step, then bursts follow from the rates. A burst
    /// that was said must hold the largest frame; one that was not is raised to it. An excess
    /// burst of zero beside a committed bucket (RFC 2697, RFC 4115) is allowed.
    ///
    /// # Errors
    /// See [`PolicerError`].
    pub fn program(&self, limits: &Limits) -> Result<Programmed, PolicerError> {
        let mut warnings = Vec::new();
        let cir = limits.resolve(self.cir, &mut warnings)?;
        let (second, be) = match self.algorithm {
            Algorithm::OneRate => (None, None),
            Algorithm::Rfc2697 { be } => (None, Some(be)),
            Algorithm::Rfc2698 { pir: rate, be } | Algorithm::Rfc4115 { eir: rate, be } => {
                (Some(limits.resolve(rate, &mut warnings)?), Some(be))
            }
        };
        if second.is_some_and(|second| second.packets != cir.packets) {
            return Err(PolicerError::MixedUnits);
        }
        let second = second.map_or(0, |second| second.rate);
        let peak = matches!(self.algorithm, Algorithm::Rfc2698 { .. });
        if peak && second < cir.rate {
            return Err(PolicerError::PeakBelowCommitted { cir: cir.rate, pir: second });
        }
        let bc = limits.burst(Bucket::Committed, self.bc, cir, true, &mut warnings)?;
        let be = match be {
            Some(be) => limits.burst(Bucket::Excess, be, cir, peak, &mut warnings)?,
            None => 0,
        };
        let plan = Plan {
            packets: cir.packets,
            rate: [cir.rate, second],
            burst: [bc, be],
            aware: self.aware,
            both: peak,
            spill: matches!(self.algorithm, Algorithm::Rfc2697 { .. }),
            second: self.algorithm != Algorithm::OneRate,
            shared: self.shared,
        };
        let Some(config) = plan.compile() else {
            return Err(PolicerError::TooLargeToShare { rates: plan.rate, bursts: plan.burst });
        };
        let (packets, cir) = (cir.packets, cir.rate);
        Ok(Programmed { config, packets, cir, bc, second_rate: second, be, warnings })
    }
}

impl Limits {
    /// The rate that is programmed.
    fn resolve(
        &self,
        rate: Rate,
        warnings: &mut Vec<PolicerWarning>,
    ) -> Result<Resolved, PolicerError> {
        let rate = match rate {
            Rate::Packets(rate) => return Ok(Resolved { packets: true, rate: rate.get() }),
            Rate::Bits(rate) => rate,
            Rate::Percent(share) => {
                share.of(self.link.ok_or(PolicerError::NoLinkRate(share))?)?
            }
        };
        let programmed = self.granularity.programmed(rate)?;
        if programmed != rate {
            warnings.push(PolicerWarning::Rounded { rate, programmed });
        }
        Ok(Resolved { packets: false, rate: programmed.get() })
    }

    /// The burst of a bucket, with `cir` as programmed.
    fn burst(
        &self,
        bucket: Bucket,
        burst: Burst,
        cir: Resolved,
        needed: bool,
        warnings: &mut Vec<PolicerWarning>,
    ) -> Result<u64, PolicerError> {
        let least = if cir.packets { 1 } else { self.largest_frame.max(1) };
        let size = match (burst, burst.milliseconds()) {
            (Burst::Size(0), _) if !needed => return Ok(0),
            (Burst::Size(burst), _) if 0 < burst && burst < least => {
                return Err(PolicerError::BurstBelowFrame { bucket, burst, largest: least });
            }
            (Burst::Size(burst), _) => burst,
            (_, milliseconds) => {
                let milliseconds = milliseconds.unwrap_or(0);
                let bc = self.burst_of(cir, milliseconds, bucket, warnings);
                let burst = if bucket == Bucket::Excess { 2 * bc } else { bc };
                if burst < least {
                    warnings.push(PolicerWarning::Raised { bucket, burst, raised: least });
                }
                burst.max(least)
            }
        };
        if size == 0 || size > PolicerSpec::BURST_MAX {
            return Err(PolicerError::BurstOutOfRange { bucket, burst: size });
        }
        Ok(size)
    }

    /// The committed burst that follows from the rate.
    fn burst_of(
        &self,
        cir: Resolved,
        milliseconds: u32,
        bucket: Bucket,
        warnings: &mut Vec<PolicerWarning>,
    ) -> u64 {
        if cir.packets {
            return PacketsPerSecond::new(cir.rate).map_or(0, |rate| rate.packets_in(milliseconds));
        }
        let Ok(rate) = BitsPerSecond::new(cir.rate) else { return 0 };
        let burst = rate.bytes_in(milliseconds);
        if rate >= self.high_rate && bucket == Bucket::Committed {
            warnings.push(PolicerWarning::DefaultBurst { rate, burst });
        }
        burst
    }
}
