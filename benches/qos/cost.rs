//! What a packet costs.

use std::hint::black_box;
use std::ops::Range;

use qfp::pal::clock::rdtsc;

use crate::Effort;
use crate::kind::Kind;
use crate::ours::Ours;
use crate::report::{Report, Score};
use crate::rivals::Peers;
use crate::traffic::{Traffic, VECTOR};
use contest::BenchError;
use contest::thread_ns;

/// Policers of a router.
const SIZES: [u32; 3] = [1 << 12, 1 << 16, 1 << 19];
/// Rate of each, bits a second.
pub(crate) const RATE: u64 = 10_000_000;
/// Packets of a turn, at most.
const TURN: usize = 1 << 18;

/// Meters that take part.
pub(crate) trait Contestant {
    fn name(&self) -> &'static str;
    /// Meters vectors, a gap apart, and makes use of some colours.
    fn run(&mut self, traffic: &Traffic, vectors: Range<usize>) -> u64;
    /// Whether the first policer finds a packet green, `ns` nanoseconds after its start.
    fn green(&mut self, ns: u64, length: u32) -> bool;
}

/// One sample a turn.
#[derive(Default)]
struct Samples {
    ns: Vec<f64>,
    cycles: Vec<f64>,
}

/// Every kind and every size.
pub(crate) fn run(effort: Effort, peers: &Peers, report: &mut Report) -> Result<(), BenchError> {
    for size in SIZES {
        let traffic = Traffic::new(size, RATE);
        for kind in Kind::ALL {
            let mut all: Vec<Box<dyn Contestant>> =
                vec![Box::new(Ours::new(kind, RATE, size, false)?)];
            let own = size == SIZES[1];
            if own {
                all.push(Box::new(Ours::new(kind, RATE, size, true)?));
            }
            let count = all.len();
            all.extend(peers.contestants(kind, RATE, size)?);
            let samples = race(&mut all, &traffic, effort.rounds);
            let score = |i: usize| {
                let Samples { ns, cycles } = &samples[i];
                Score { name: all[i].name(), ns, cycles }
            };
            let rivals: Vec<Score<'_>> = (count..all.len()).map(score).collect();
            report.cost(&format!("{}/{size}", kind.name()), kind, &score(0), &rivals);
            // The peers' meters have one profile, so they are no measure for rows of one's own.
            for own in 1..count {
                let case = format!("{}/{size}/own-rows", kind.name());
                report.cost(&case, kind, &score(own), &[]);
            }
        }
    }
    Ok(())
}

/// Nanoseconds and cycles a packet.
fn race(all: &mut [Box<dyn Contestant>], traffic: &Traffic, rounds: usize) -> Vec<Samples> {
    let mut samples: Vec<Samples> = all.iter().map(|_| Samples::default()).collect();
    let vectors = traffic.vectors.len();
    for contestant in all.iter_mut() {
        black_box(contestant.run(traffic, 0..vectors));
    }
    let turn = (TURN / VECTOR).min(vectors / 2);
    for round in 0..rounds {
        let from = round * turn % (vectors - turn + 1);
        for i in 0..all.len() {
            // Who comes first changes; everybody warms up, for the one before had the caches.
            let who = (i + round) % all.len();
            black_box(all[who].run(traffic, from..from + turn / 4));
            let (ns, cycles) = (thread_ns(), rdtsc());
            black_box(all[who].run(traffic, from..from + turn));
            let (cycles, ns) = (rdtsc() - cycles, thread_ns() - ns);
            let packets = (turn * VECTOR) as f64;
            samples[who].ns.push(ns as f64 / packets);
            samples[who].cycles.push(cycles as f64 / packets);
        }
    }
    samples
}
