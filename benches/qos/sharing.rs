//! One policer for several lcores, in real time.

use std::sync::Arc;

use qfp::core::qos::police::{Colour, PolicerConfig, PolicerState, meter};
use qfp::pal::clock::{Clock, Nanos, TscClock};
use qfp::pal::lcore::{CpuId, launch};

use crate::kind::Kind;
use crate::lcore;
use crate::report::Report;
use crate::traffic::VECTOR;
use contest::BenchError;
use contest::thread_ns;

/// Bits a second, a fraction of what one lcore offers.
const RATE: u64 = 100_000_000_000;
/// Bytes of 250 ms, so that nothing is lost while an lcore does not run.
const BURST: u64 = RATE / 8 / 4;
const LENGTH: u32 = 1500;

/// What one lcore has done.
struct Done {
    last: Nanos,
    packets: u64,
    green: u64,
    cpu_ns: u64,
}

/// What lcores have done together.
pub(crate) struct Shared {
    /// CPU time of a packet.
    pub(crate) ns: f64,
    /// Parts in a million by which the green bytes of all are off.
    pub(crate) error_ppm: f64,
    /// Failed attempts a packet.
    pub(crate) retries: f64,
}

/// One policer on one lcore, not shared and shared, and on two.
pub(crate) fn run(ms: u64, cpus: &[CpuId], report: &mut Report) -> Result<(), BenchError> {
    let clock = TscClock::calibrate();
    for kind in [Kind::OneRate, Kind::Rfc2697 { aware: false }, Kind::Rfc2698 { aware: false }] {
        let alone = kind.with(RATE, BURST, false)?;
        let shared = kind.with(RATE, BURST, true)?;
        report.sharing(&format!("{}/one-lcore", kind.name()), &on(&cpus[..1], alone, clock, ms)?);
        let one = on(&cpus[..1], shared, clock, ms)?;
        report.sharing(&format!("{}/shared-by-1", kind.name()), &one);
        if let Some(two) = cpus.get(..2) {
            let two = on(two, shared, clock, ms)?;
            report.sharing(&format!("{}/shared-by-2", kind.name()), &two);
        } else {
            eprintln!("skipped: there is one CPU, nobody to share a policer with");
        }
    }
    Ok(())
}

/// Lets an lcore on each of `cpus` meter as fast as it can.
fn on(
    cpus: &[CpuId],
    config: PolicerConfig,
    clock: TscClock,
    ms: u64,
) -> Result<Shared, BenchError> {
    let state = Arc::new(PolicerState::default());
    let theirs = Arc::clone(&state);
    let start = clock.now();
    // Beginning with nothing, it cannot overflow while an lcore is late.
    for length in [1 << 29, 1 << 20, 1 << 10, 1] {
        while meter(&config, &state, start, length, Colour::Green) == Colour::Green {}
    }
    let begin = start.saturating_add(20 * Nanos::PER_MILLI);
    let end = begin.saturating_add(ms * Nanos::PER_MILLI);
    let body = move |_| {
        while clock.now() < begin {
            std::hint::spin_loop();
        }
        let cpu = thread_ns();
        let (mut packets, mut green, mut last) = (0, 0, begin);
        while last < end {
            last = clock.now();
            for _ in 0..VECTOR {
                let colour = meter(&config, &theirs, last, LENGTH, Colour::Green);
                green += u64::from(colour == Colour::Green);
            }
            packets += VECTOR as u64;
        }
        Done { last, packets, green, cpu_ns: thread_ns() - cpu }
    };
    let specs = (0..).zip(cpus).map(|(id, &cpu)| lcore(id, cpu)).collect();
    let done = launch(specs, body)?.join()?;
    let last = done.iter().map(|done| done.last).max().unwrap_or_default();
    let sum = |what: fn(&Done) -> u64| done.iter().map(what).sum::<u64>() as f64;
    // An lcore that was late at the end leaves what came meanwhile.
    let left = state.snapshot().content().map_or(0, |[committed, _]| committed);
    let passed = sum(|done| done.green) * f64::from(LENGTH) + left as f64;
    let wanted = RATE as f64 * last.saturating_since(start) as f64 / 8e9;
    Ok(Shared {
        ns: sum(|done| done.cpu_ns) / sum(|done| done.packets),
        error_ppm: (passed / wanted - 1.0) * 1e6,
        retries: f64::from(state.retries()) / sum(|done| done.packets),
    })
}
