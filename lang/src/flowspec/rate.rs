//! Limits on the traffic of a rule (RFC 8955 §7.1, §7.2).

use super::ActionError;
use super::actions::Community;

/// What a limit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RateUnit {
    /// Bytes a second (0x8006).
    Bytes,
    /// Packets a second (0x800c).
    Packets,
}

/// A limit on the traffic.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct TrafficRate {
    unit: RateUnit,
    per_second: f32,
    source: u16,
}

impl TrafficRate {
    /// At most `per_second` units a second; 0 drops all.
    ///
    /// # Errors
    /// The rate is negative, or no number, or infinite.
    pub fn new(unit: RateUnit, per_second: f32) -> Result<Self, ActionError> {
        if per_second.is_nan() || per_second.is_infinite() {
            return Err(ActionError::NotFinite { unit, rate: per_second });
        }
        if per_second < 0.0 {
            return Err(ActionError::Negative { unit, rate: per_second });
        }
        // Adding turns -0 into 0.
        Ok(Self { unit, per_second: per_second + 0.0, source: 0 })
    }

    /// What it counts.
    #[must_use]
    pub fn unit(&self) -> RateUnit {
        self.unit
    }

    /// Units a second.
    #[must_use]
    pub fn per_second(&self) -> f32 {
        self.per_second
    }

    /// Whether nothing passes.
    #[must_use]
    pub fn drops(&self) -> bool {
        self.per_second == 0.0
    }

    /// A limit on bytes as bits a second, rounded down, at most `u64::MAX`; `None` for packets.
    #[must_use]
    pub fn bits_per_second(&self) -> Option<u64> {
        // The product is exact in f64, and a cast from it saturates.
        #[expect(clippy::cast_possible_truncation, reason = "rounds down and saturates")]
        #[expect(clippy::cast_sign_loss, reason = "a rate is not negative")]
        (self.unit == RateUnit::Bytes).then(|| (f64::from(self.per_second) * 8.0) as u64)
    }

    /// The same limit, as set by an autonomous system, which says nothing about it.
    pub(super) fn set_by(self, source: u16) -> Self {
        Self { source, ..self }
    }

    pub(super) fn community(&self) -> Community {
        let kind = match self.unit {
            RateUnit::Bytes => 0x06,
            RateUnit::Packets => 0x0c,
        };
        let ([s0, s1], [r0, r1, r2, r3]) =
            (self.source.to_be_bytes(), self.per_second.to_be_bytes());
        [0x80, kind, s0, s1, r0, r1, r2, r3]
    }
}
