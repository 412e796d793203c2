//! Policers as a policy says them.

use qfp_core::qos::police::{
    self, Algorithm, BitsPerSecond, Colour, Limits, PolicerError, PolicerSpec, Rate,
};

use super::{Mark, Size};
use crate::acl::Name;

/// What becomes of a packet of one colour.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It is dropped.
    Drop,
    /// It goes on with these marks; without any, the class marks it as it says.
    Transmit(Vec<Mark>),
}

/// A burst as it is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Burst {
    /// What follows from the rate: 1.5 s of it, and twice that for the excess (POL-01, POL-02).
    #[default]
    Default,
    /// The same for 250 ms (POL-03).
    Auto250Ms,
    /// Bytes, packets or a time at the committed rate; a peak burst at the peak rate.
    Size(Size),
}

/// The second bucket: beyond the committed rate and burst.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beyond {
    /// Peak rate, RFC 2698. Without one, what the first bucket cannot hold fills the second, RFC
    /// 2697.
    pub peak: Option<Rate>,
    /// Peak burst, or excess burst.
    pub burst: Burst,
    /// What becomes of packets that violate.
    pub violate: Outcome,
}

/// Whose packets come to the policer with which colour. Others come as exceeding, or as violating
/// if there is a class of those that exceed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColourClasses {
    /// Class map of packets that come as conforming.
    pub conform: Name,
    /// Class map of packets that come as exceeding.
    pub exceed: Option<Name>,
}

/// A policer. It acts before the class marks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Police {
    /// Committed rate.
    pub rate: Rate,
    /// Committed burst.
    pub burst: Burst,
    /// The second bucket, and with it a third colour.
    pub beyond: Option<Beyond>,
    /// What becomes of packets that conform.
    pub conform: Outcome,
    /// What becomes of packets that exceed.
    pub exceed: Outcome,
    /// Colours that packets come with.
    pub colours: Option<ColourClasses>,
    /// Packets that the child policy's policers found to conform are not dropped for others.
    pub child_conform_aware: bool,
}

impl Police {
    /// A policer of one rate and two colours that transmits what conforms and drops what exceeds.
    #[must_use]
    pub const fn new(rate: Rate) -> Self {
        Self {
            rate,
            burst: Burst::Default,
            beyond: None,
            conform: Outcome::Transmit(Vec::new()),
            exceed: Outcome::Drop,
            colours: None,
            child_conform_aware: false,
        }
    }

    /// What becomes of a packet of this colour.
    #[must_use]
    pub fn outcome(&self, colour: Colour) -> &Outcome {
        match (colour, &self.beyond) {
            (Colour::Green, _) => &self.conform,
            (Colour::Red, Some(beyond)) => &beyond.violate,
            _ => &self.exceed,
        }
    }

    /// All outcomes that there are: two or three.
    pub fn outcomes(&self) -> impl Iterator<Item = &Outcome> {
        let violate = self.beyond.as_ref().map(|beyond| &beyond.violate);
        [&self.conform, &self.exceed].into_iter().chain(violate)
    }

    /// The policer to be programmed, for one lcore. Times become bytes or packets.
    ///
    /// # Errors
    /// A rate or burst that cannot be, or a percentage of an unknown rate. More may be found by
    /// [`PolicerSpec::program`].
    pub fn spec(&self, limits: &Limits) -> Result<PolicerSpec, PolicerError> {
        let algorithm = match &self.beyond {
            None => Algorithm::OneRate,
            Some(Beyond { peak: None, burst, .. }) => {
                Algorithm::Rfc2697 { be: burst.at(self.rate, limits)? }
            }
            Some(Beyond { peak: Some(pir), burst, .. }) => {
                Algorithm::Rfc2698 { pir: *pir, be: burst.at(*pir, limits)? }
            }
        };
        let spec = PolicerSpec {
            cir: self.rate,
            bc: self.burst.at(self.rate, limits)?,
            algorithm,
            aware: self.colours.is_some(),
            shared: false,
        };
        if self.child_conform_aware { spec.child_conform_aware(limits) } else { Ok(spec) }
    }
}

impl Burst {
    /// With times as sizes at `rate`.
    fn at(self, rate: Rate, limits: &Limits) -> Result<police::Burst, PolicerError> {
        let size = match self {
            Self::Default => return Ok(police::Burst::Default),
            Self::Auto250Ms => return Ok(police::Burst::Auto250Ms),
            Self::Size(size) => size,
        };
        let microseconds = match size {
            Size::Bits(bits) => return Ok(police::Burst::Size(bits / 8)),
            Size::Bytes(size) | Size::Packets(size) => return Ok(police::Burst::Size(size)),
            Size::Milliseconds(time) => u128::from(time) * 1_000,
            Size::Microseconds(time) => u128::from(time),
        };
        let (rate, divisor) = match rate {
            Rate::Packets(rate) => (rate.get(), 1_000_000),
            Rate::Bits(rate) => (rate.get(), 8_000_000),
            Rate::Percent(share) => {
                let link: BitsPerSecond = limits.link.ok_or(PolicerError::NoLinkRate(share))?;
                (share.of(link)?.get(), 8_000_000)
            }
        };
        let size = u128::from(rate) * microseconds / divisor;
        Ok(police::Burst::Size(u64::try_from(size).unwrap_or(u64::MAX)))
    }
}
