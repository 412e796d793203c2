//! The pipeline's policers as a contestant.

use std::ops::Range;

use qfp::core::qos::police::{Colour, PolicerConfig, PolicerState, Policers, meter};
use qfp::pal::clock::Nanos;

use crate::cost::Contestant;
use crate::kind::Kind;
use crate::traffic::{Traffic, VECTOR};
use contest::BenchError;

/// Policers with their tokens.
pub(crate) struct Ours {
    name: &'static str,
    configs: Vec<PolicerConfig>,
    config_of: Vec<u32>,
    states: Vec<PolicerState>,
    now: u64,
}

impl Ours {
    /// `policers` policers that have one configuration, or each a row of its own.
    pub(crate) fn new(kind: Kind, rate: u64, policers: u32, own: bool) -> Result<Self, BenchError> {
        let configs = vec![kind.config(rate)?; if own { policers as usize } else { 1 }];
        let config_of = (0..policers).map(|policer| if own { policer } else { 0 }).collect();
        let mut states = Vec::new();
        states.resize_with(policers as usize, PolicerState::default);
        let name = if own { "ours-own" } else { "ours" };
        Ok(Self { name, configs, config_of, states, now: 1 << 40 })
    }
}

impl Contestant for Ours {
    fn name(&self) -> &'static str {
        self.name
    }

    fn run(&mut self, traffic: &Traffic, vectors: Range<usize>) -> u64 {
        let Self { configs, config_of, states, .. } = self;
        let policers = Policers { configs, config_of, states };
        let mut sum = 0;
        for vector in &traffic.vectors[vectors] {
            self.now += traffic.gap;
            let mut colours: [Colour; VECTOR] =
                std::array::from_fn(|slot| Colour::from_u8(vector.colours[slot]));
            policers.meter_batch(Nanos(self.now), &vector.policers, &vector.lengths, &mut colours);
            sum += colours[0] as u64 + colours[VECTOR - 1] as u64;
        }
        sum
    }

    fn green(&mut self, ns: u64, length: u32) -> bool {
        let colour = meter(&self.configs[0], &self.states[0], Nanos(ns), length, Colour::Green);
        colour == Colour::Green
    }
}
