//! Criterion in cycles of the time stamp counter.

use std::time::Duration;

use criterion::measurement::{Measurement, ValueFormatter};
use criterion::{Criterion, Throughput};
use pal::clock::rdtsc;

/// Cycles of the time stamp counter, whose rate is the same however fast the core runs.
#[derive(Clone, Copy, Debug)]
pub struct Cycles;

/// Criterion in cycles, with the options of the command line. Baselines are kept as always:
/// `--save-baseline NAME`, `--baseline NAME`.
#[must_use]
pub fn criterion() -> Criterion<Cycles> {
    Criterion::default()
        .with_measurement(Cycles)
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args()
}

impl Measurement for Cycles {
    type Intermediate = u64;
    type Value = f64;

    fn start(&self) -> u64 {
        rdtsc()
    }

    fn end(&self, start: u64) -> f64 {
        rdtsc().wrapping_sub(start) as f64
    }

    fn add(&self, one: &f64, other: &f64) -> f64 {
        one + other
    }

    fn zero(&self) -> f64 {
        0.0
    }

    fn to_f64(&self, cycles: &f64) -> f64 {
        *cycles
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        self
    }
}

impl ValueFormatter for Cycles {
    fn scale_values(&self, _typical: f64, _values: &mut [f64]) -> &'static str {
        "cycles"
    }

    fn scale_throughputs(
        &self,
        _typical: f64,
        throughput: &Throughput,
        values: &mut [f64],
    ) -> &'static str {
        let (of, unit) = match throughput {
            Throughput::Elements(count) => (*count, "elements/cycle"),
            Throughput::Bits(count) => (*count, "bits/cycle"),
            Throughput::Bytes(count) | Throughput::BytesDecimal(count) => (*count, "bytes/cycle"),
            Throughput::ElementsAndBytes { elements, .. } => (*elements, "elements/cycle"),
        };
        values.iter_mut().for_each(|cycles| *cycles = of as f64 / *cycles);
        unit
    }

    fn scale_for_machines(&self, _values: &mut [f64]) -> &'static str {
        "cycles"
    }
}
