//! How many packets of each type pass, for each worker group.

use pal::clock::Nanos;

use super::super::lpts_rates::DEFAULTS;
use super::FlowType;
use crate::qos::police::{
    Burst, Colour, Granularity, Limits, PacketsPerSecond, PolicerConfig, PolicerError, PolicerSpec,
    PolicerState, Rate, meter,
};

/// The policers' rows: one for each [`FlowType`], in their order, and one for all together.
#[derive(Clone, Debug)]
pub struct LptsRates {
    rows: [PolicerConfig; LptsRates::ROWS],
}

/// What becomes of a packet for the router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Admission {
    /// It goes on.
    Accepted,
    /// Its type has had its share.
    FlowLimit,
    /// All types together have.
    TotalLimit,
}

/// The policers of a worker group, which its lcores share.
#[derive(Clone, Copy, Debug)]
pub struct LptsGroup<'a> {
    /// Rows of [`LptsRates`].
    pub configs: &'a [PolicerConfig],
    /// [`LptsRates::ROWS`] rows that lcores write, the group's own.
    pub states: &'a [PolicerState],
}

impl Default for LptsRates {
    /// The published defaults, and no limit for all together.
    fn default() -> Self {
        let mut rates = Self { rows: [PolicerConfig::default(); Self::ROWS] };
        for (flow, _, rate, burst) in DEFAULTS {
            let made = rates.set(flow, rate, burst);
            debug_assert!(made.is_ok(), "{flow:?}: {made:?}");
        }
        rates
    }
}

impl LptsRates {
    /// Rows of a group.
    pub const ROWS: usize = FlowType::COUNT + 1;

    /// Lets `rate` packets a second of a type pass, and `burst` at once; rate 0 lets none pass.
    ///
    /// # Errors
    /// Rate or burst is out of range.
    pub fn set(&mut self, flow: FlowType, rate: u64, burst: u64) -> Result<(), PolicerError> {
        self.rows[flow as usize] = row(rate, burst)?;
        Ok(())
    }

    /// Lets `rate` packets a second of all types together pass, and `burst` at once.
    ///
    /// # Errors
    /// Rate or burst is out of range.
    pub fn set_total(&mut self, rate: u64, burst: u64) -> Result<(), PolicerError> {
        self.rows[FlowType::COUNT] = row(rate, burst)?;
        Ok(())
    }

    /// The rows.
    #[must_use]
    pub const fn rows(&self) -> &[PolicerConfig; Self::ROWS] {
        &self.rows
    }
}

/// A packet rate that lcores share.
fn row(rate: u64, burst: u64) -> Result<PolicerConfig, PolicerError> {
    if rate == 0 {
        return Ok(PolicerConfig::closed());
    }
    let rate = Rate::Packets(PacketsPerSecond::new(rate)?);
    let bc = Burst::Size(burst);
    let spec = PolicerSpec { bc, shared: true, ..PolicerSpec::one_rate(rate) };
    Ok(spec.program(&Limits::new(Granularity::Native, 0))?.config)
}

impl LptsGroup<'_> {
    /// Whether one more packet of a type passes now. The type's policer comes first; what it lets
    /// through meets the one for all. No allocation.
    #[must_use]
    pub fn admit(&self, flow: FlowType, now: Nanos) -> Admission {
        if !self.passes(flow as usize, now) {
            Admission::FlowLimit
        } else if !self.passes(FlowType::COUNT, now) {
            Admission::TotalLimit
        } else {
            Admission::Accepted
        }
    }

    fn passes(&self, row: usize, now: Nanos) -> bool {
        match (self.configs.get(row), self.states.get(row)) {
            (Some(config), Some(state)) => {
                meter(config, state, now, 0, Colour::Green) == Colour::Green
            }
            // Without rows nobody has set a limit.
            _ => true,
        }
    }
}
