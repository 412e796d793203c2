//! Contestants take turns on the same headers, so that noise hits all alike.

use std::hint::black_box;

use crate::packed::Packed;
use contest::thread_ns;

/// Lookups that are timed at a time, at least.
const TIMED: usize = 1 << 16;

/// A classifier that takes part.
pub(crate) trait Contestant {
    /// What it is called.
    fn name(&self) -> &'static str;
    /// Bytes of its table.
    fn bytes(&self) -> usize;
    /// Milliseconds of CPU time from rules to a table.
    fn build_ms(&self) -> f64;
    /// Most bytes in use while the table was built, the table included.
    fn peak_bytes(&self) -> usize;
    /// Looks up all headers and returns something that depends on the results.
    fn run(&mut self, headers: &Packed) -> u32;
    /// The first match in each list for each header, header by header; 1 is the first rule.
    fn collect(&mut self, headers: &Packed) -> Vec<u32>;
    /// Chooses what suits it best on these headers, and says what.
    fn tune(&mut self, _headers: &Packed) -> Option<usize> {
        None
    }
}

/// Million headers a second of CPU time: for each contestant, one sample a round.
pub(crate) fn race(
    contestants: &mut [Box<dyn Contestant>],
    headers: &Packed,
    rounds: usize,
) -> Vec<Vec<f64>> {
    let count = contestants.len();
    let mut samples = vec![Vec::with_capacity(rounds); count];
    for round in 0..rounds {
        for turn in 0..count {
            // Who comes first changes; everybody warms up, for the one before had the caches.
            let who = (turn + round) % count;
            samples[who].push(sample(contestants[who].as_mut(), headers));
        }
    }
    samples
}

/// Million headers a second of CPU time, after a pass that is not timed.
pub(crate) fn sample(contestant: &mut dyn Contestant, headers: &Packed) -> f64 {
    let passes = TIMED.div_ceil(headers.len().max(1));
    black_box(contestant.run(headers));
    let start = thread_ns();
    for _ in 0..passes {
        black_box(contestant.run(headers));
    }
    let ns = thread_ns() - start;
    (passes * headers.len()) as f64 / ns as f64 * 1e3
}

/// How many results differ from `expected`.
pub(crate) fn wrong(contestant: &mut dyn Contestant, headers: &Packed, expected: &[u32]) -> usize {
    let results = contestant.collect(headers);
    let differ = results.iter().zip(expected).filter(|(result, right)| result != right).count();
    differ + results.len().abs_diff(expected.len())
}
