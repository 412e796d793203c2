//! One policer, several lcores.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::super::Snapshot;
use super::*;

const LENGTH: u32 = 1000;
const PACKETS: u64 = 200_000;

/// Bytes of each colour that pass when `lcores` meter packets at even distances.
fn run(config: PolicerConfig, lcores: usize, gap: u64) -> ([u64; 3], u32) {
    let policer = Policer::new(config);
    let full = Snapshot::default().adapted(&config, Nanos(0));
    policer.state.restore(&full);
    let next = AtomicU64::new(0);
    let lcore = || {
        let mut bytes = [0; 3];
        loop {
            let packet = next.fetch_add(1, Relaxed);
            if packet >= PACKETS {
                return bytes;
            }
            let colour = policer.meter(packet * gap, LENGTH, Colour::Green);
            bytes[colour as usize] += u64::from(LENGTH);
        }
    };
    let mut total = [0; 3];
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..lcores).map(|_| scope.spawn(lcore)).collect();
        for bytes in threads.into_iter().map(|thread| thread.join().unwrap()) {
            total = [0, 1, 2].map(|colour| total[colour] + bytes[colour]);
        }
    });
    (total, policer.state.retries())
}

fn shared(spec: PolicerSpec) -> PolicerConfig {
    row(&PolicerSpec { shared: true, ..spec })
}

#[test]
fn the_total_of_lcores_that_share_a_policer_is_that_of_one() {
    // Offered twice the rate; one with a fraction of a byte in each nanosecond.
    for (rate, gap) in [(1_000_000_000, 4_000), (12_345_679, 324_000)] {
        let cases = [
            ("one rate", spec(bits(rate), 20_000, Algorithm::OneRate)),
            ("RFC 2697", spec(bits(rate), 20_000, Algorithm::Rfc2697 { be: Burst::Size(30_000) })),
            (
                "RFC 2698",
                spec(
                    bits(rate),
                    20_000,
                    Algorithm::Rfc2698 { pir: bits(rate * 3 / 2), be: Burst::Size(30_000) },
                ),
            ),
            (
                "RFC 4115",
                spec(
                    bits(rate),
                    20_000,
                    Algorithm::Rfc4115 { eir: bits(rate / 2), be: Burst::Size(30_000) },
                ),
            ),
        ];
        for (name, spec) in cases {
            let (alone, _) = run(row(&spec), 1, gap);
            for lcores in [1, 2, 4, 8] {
                let (total, retries) = run(shared(spec), lcores, gap);
                println!("{name}, {lcores} lcores: {total:?}, {retries} retries");
                let slack = if lcores == 1 { 0 } else { lcores as u64 * u64::from(LENGTH) };
                for (total, alone) in total.into_iter().zip(alone) {
                    assert!(total.abs_diff(alone) <= slack, "{name}, {lcores}: {total} {alone}");
                }
            }
        }
    }
}

#[test]
fn a_policer_becomes_shared_and_is_no_longer_with_its_tokens() {
    let spec = spec(bits(8_000), 1500, Algorithm::OneRate);
    let (alone, shared) = (row(&spec), shared(spec));
    let state = PolicerState::default();
    let step = |config| {
        meter(config, &state, Nanos(1), 500, Colour::Green);
        state.snapshot().content().unwrap()[0]
    };
    assert_eq!([step(&alone), step(&shared), step(&alone)], [1000, 500, 0]);
}
