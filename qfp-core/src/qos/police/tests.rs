//! Policers in virtual time, against the texts of the RFCs in rational arithmetic.
#![expect(clippy::cast_possible_truncation, reason = "small numbers in wide types")]

mod batch;
mod configuration;
mod fuzz;
mod long_run;
mod reference;
mod sharing;
mod state;
mod vectors;

use pal::clock::Nanos;

use super::row::Plan;
use super::{
    Algorithm, BitsPerSecond, Burst, Colour, Granularity, Limits, PacketsPerSecond, PolicerConfig,
    PolicerSpec, PolicerState, Rate, meter,
};

/// No steps, no smallest bucket.
fn anything() -> Limits {
    Limits::new(Granularity::Native, 0)
}

fn bits(rate: u64) -> Rate {
    Rate::Bits(BitsPerSecond::new(rate).unwrap())
}

fn packets(rate: u64) -> Rate {
    Rate::Packets(PacketsPerSecond::new(rate).unwrap())
}

/// A colour-blind policer.
fn spec(cir: Rate, bc: u64, algorithm: Algorithm) -> PolicerSpec {
    PolicerSpec { bc: Burst::Size(bc), algorithm, ..PolicerSpec::one_rate(cir) }
}

fn one_rate(cir: u64, bc: u64) -> PolicerConfig {
    row(&spec(bits(cir), bc, Algorithm::OneRate))
}

fn row(spec: &PolicerSpec) -> PolicerConfig {
    spec.program(&anything()).unwrap().config
}

/// A policer with its tokens.
#[derive(Debug, Default)]
struct Policer {
    config: PolicerConfig,
    state: PolicerState,
}

impl Policer {
    fn new(config: PolicerConfig) -> Self {
        Self { config, state: PolicerState::default() }
    }

    fn meter(&self, now: u64, length: u32, colour: Colour) -> Colour {
        meter(&self.config, &self.state, Nanos(now), length, colour)
    }

    fn conforms(&self, now: u64, length: u32) -> bool {
        self.meter(now, length, Colour::Green) == Colour::Green
    }
}

/// A generator of numbers that needs no crate: SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ x >> 31
    }

    fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// 1 to `bound`, every order of magnitude alike.
    fn spread(&mut self, bound: u64) -> u64 {
        let bits = u64::from(64 - bound.leading_zeros());
        let bits = self.below(bits) + 1;
        (self.next() >> (64 - bits)).clamp(1, bound)
    }
}
