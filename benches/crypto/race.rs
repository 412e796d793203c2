//! Contestants take turns on the same packets, so that noise hits all alike.

use std::hint::black_box;

use qfp::core::crypto::BATCH;

use crate::packets::{Packet, Shape};
use contest::thread_ns;

/// Two batches that a contestant has: one that is measured, and one that keeps it busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Set {
    Measured = 0,
    Other = 1,
}

/// Somebody who can seal and open.
pub(crate) trait Contestant {
    fn name(&self) -> &'static str;
    /// Makes everything ready for a batch; not timed.
    fn prepare(&mut self, set: Set, packets: &[Packet; BATCH]);
    /// Seals the batch; returns how many packets were done.
    fn seal(&mut self, set: Set) -> usize;
    /// Opens what was sealed; returns how many packets were done.
    fn open(&mut self, set: Set) -> usize;
    /// Payload and tag of a packet that is measured.
    fn sealed(&self, i: usize) -> &[u8];
}

/// Gigabytes of payload a second, one sample a round.
#[derive(Clone, Default)]
pub(crate) struct Samples {
    pub(crate) seal: Vec<f64>,
    pub(crate) open: Vec<f64>,
    /// Packets that failed or differ from the first contestant's.
    pub(crate) wrong: usize,
}

/// Runs all contestants; the first one's ciphertexts are the measure.
pub(crate) fn race(
    contestants: &mut [Box<dyn Contestant>],
    shape: Shape,
    rounds: usize,
) -> Vec<Samples> {
    let mut samples = vec![Samples::default(); contestants.len()];
    let idle = clock_cost();
    let bytes = (BATCH * shape.len) as f64;
    let mut packets = Random { state: 0x9e37_79b9_7f4a_7c15, number: 1 << 32, sas: shape.sas };
    for round in 0..rounds {
        let batch = packets.batch();
        let mut expected: Vec<Vec<u8>> = Vec::new();
        for turn in 0..contestants.len() {
            // Who comes first changes, but for the round that is compared.
            let who = (turn + round) % contestants.len();
            let (contestant, samples) = (&mut contestants[who], &mut samples[who]);
            // All SAs once, as the contestant before had the caches.
            keep_busy(contestant.as_mut(), &mut packets, shape.sas.div_ceil(BATCH));
            contestant.prepare(Set::Measured, &batch);
            let start = thread_ns();
            let sealed = black_box(contestant.seal(Set::Measured));
            let between = thread_ns();
            if round == 0 {
                let all = (0..BATCH).map(|i| contestant.sealed(i).to_vec());
                if expected.is_empty() {
                    expected = all.collect();
                } else {
                    samples.wrong += all.zip(&expected).filter(|(a, b)| a != *b).count();
                }
            }
            // Other SAs, so that the keys are no warmer than when sealing; the packets are.
            keep_busy(contestant.as_mut(), &mut packets, shape.sas.div_ceil(BATCH).min(16));
            for i in 0..BATCH {
                black_box(contestant.sealed(i).iter().step_by(64).fold(0, |a, b| a ^ b));
            }
            let again = thread_ns();
            let opened = black_box(contestant.open(Set::Measured));
            let end = thread_ns();
            samples.wrong += 2 * BATCH - sealed - opened;
            let speed = |from: u64, to: u64| bytes / ((to - from) as f64 - idle).max(1.0);
            samples.seal.push(speed(start, between));
            samples.open.push(speed(again, end));
        }
    }
    samples
}

/// Seals and opens batches of random packets.
fn keep_busy(contestant: &mut dyn Contestant, packets: &mut Random, batches: usize) {
    for _ in 0..batches {
        contestant.prepare(Set::Other, &packets.batch());
        black_box(contestant.seal(Set::Other) + contestant.open(Set::Other));
    }
}

/// Packets of random SAs, each with a number of its own.
struct Random {
    state: u64,
    number: u64,
    sas: usize,
}

impl Random {
    fn batch(&mut self) -> [Packet; BATCH] {
        [(); BATCH].map(|()| {
            self.state ^= self.state << 13;
            self.state ^= self.state >> 7;
            self.state ^= self.state << 17;
            self.number += 1;
            let sa = usize::try_from(self.state >> 32).unwrap_or(0) % self.sas;
            Packet { sa, number: self.number }
        })
    }
}

/// Nanoseconds that reading the clock takes.
fn clock_cost() -> f64 {
    let mut costs: Vec<u64> = (0..101)
        .map(|_| {
            let start = thread_ns();
            thread_ns() - start
        })
        .collect();
    costs.sort_unstable();
    costs[50] as f64
}
