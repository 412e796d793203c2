//! Contestants take turns on the same destinations, so that noise hits all alike.

use std::hint::black_box;
use std::ops::Range;

use qfp::core::fib::LANES;

use crate::family::Family;
use crate::table::Reader;
use crate::traffic::Keys;
use contest::thread_ns;

/// A loaded table that takes part.
pub(crate) struct Contestant<A: Family> {
    pub(crate) name: &'static str,
    /// What sets its cases apart from those of the pipeline's table.
    pub(crate) label: &'static str,
    /// Bytes in use.
    pub(crate) bytes: usize,
    reader: Box<dyn Runner<A>>,
}

/// A [`Reader`] of any kind.
trait Runner<A: Family> {
    /// Looks all up and uses of each vector the first and the last result.
    fn run(&self, keys: &Keys<A>, vectors: Range<usize>) -> u32;
    /// Appends all results.
    fn collect(&self, keys: &Keys<A>, leaves: &mut Vec<u32>);
}

impl<A: Family, R: Reader<A>> Runner<A> for R {
    fn run(&self, keys: &Keys<A>, vectors: Range<usize>) -> u32 {
        let mut sum = 0u32;
        self.look_up(&R::form(keys)[vectors], |raw| {
            sum = sum.wrapping_add(R::leaf(raw[0]) ^ R::leaf(raw[LANES - 1]));
        });
        sum
    }

    fn collect(&self, keys: &Keys<A>, leaves: &mut Vec<u32>) {
        self.look_up(R::form(keys), |raw| leaves.extend(raw.iter().map(|&raw| R::leaf(raw))));
    }
}

impl<A: Family> Contestant<A> {
    pub(crate) fn new<R: Reader<A> + 'static>(
        name: &'static str,
        label: &'static str,
        bytes: usize,
        reader: R,
    ) -> Self {
        Self { name, label, bytes, reader: Box::new(reader) }
    }

    /// How many results differ from `expected`.
    pub(crate) fn wrong(&self, keys: &Keys<A>, expected: &[u32]) -> usize {
        let mut leaves = Vec::with_capacity(expected.len());
        self.reader.collect(keys, &mut leaves);
        let missing = expected.len().saturating_sub(leaves.len());
        missing + leaves.iter().zip(expected).filter(|(leaf, right)| leaf != right).count()
    }
}

/// Million lookups a second of CPU time: for each contestant, one sample a round.
pub(crate) fn race<A: Family>(
    contestants: &[Contestant<A>],
    keys: &Keys<A>,
    rounds: usize,
) -> Vec<Vec<f64>> {
    let mut samples = vec![Vec::with_capacity(rounds); contestants.len()];
    for contestant in contestants {
        black_box(contestant.reader.run(keys, 0..keys.vectors.len()));
    }
    let half = keys.vectors.len() / 2;
    for round in 0..rounds {
        let from = round % 2 * half;
        for turn in 0..contestants.len() {
            // Who comes first changes; everybody warms up, for the one before had the caches.
            let who = (turn + round) % contestants.len();
            let reader = &contestants[who].reader;
            black_box(reader.run(keys, from..from + half / 4));
            let start = thread_ns();
            black_box(reader.run(keys, from..from + half));
            let ns = thread_ns() - start;
            samples[who].push((half * LANES) as f64 / ns as f64 * 1e3);
        }
    }
    samples
}
