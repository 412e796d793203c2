//! How many packets a second may leave for the slow path: a policer a cause (ING-23).

use pal::clock::Nanos;

use crate::packet::PuntCause;
use crate::punt::{Rate, TokenBucket};

/// Rates of the punt path of one lcore, packets a second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PuntRates {
    /// By cause.
    pub causes: [Rate; PuntCause::COUNT],
    /// Dropped packets handed over so that their source can be told.
    pub reports: Rate,
}

impl Default for PuntRates {
    fn default() -> Self {
        let rate = Rate { per_second: 10_000, burst: 1_000 };
        Self { causes: [rate; PuntCause::COUNT], reports: Rate { per_second: 1_000, burst: 100 } }
    }
}

/// The policers of one lcore.
#[derive(Clone, Debug)]
pub struct PuntGate {
    causes: [TokenBucket; PuntCause::COUNT],
    reports: TokenBucket,
}

impl PuntGate {
    /// Policers with these rates.
    #[must_use]
    pub fn new(rates: &PuntRates) -> Self {
        Self {
            causes: rates.causes.map(TokenBucket::full),
            reports: TokenBucket::full(rates.reports),
        }
    }

    /// True when one more packet of `cause` may pass at `now`.
    #[inline]
    pub fn passes(&mut self, cause: PuntCause, now: Nanos) -> bool {
        self.causes[cause as usize].take(now)
    }

    /// True when one more dropped packet may be handed over at `now`.
    #[inline]
    pub fn report(&mut self, now: Nanos) -> bool {
        self.reports.take(now)
    }
}
