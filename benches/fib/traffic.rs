//! Destinations: uniform (U), a random host in a random route (P), and Zipf flows of these (Z).

use qfp::core::fib::{LANES, Prefix};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::family::Family;
use crate::input::Rib;

/// Destinations of a pattern.
pub(crate) const DESTINATIONS: usize = 1 << 22;
/// Flows of pattern Z.
const FLOWS: usize = 1 << 20;

/// The patterns by name.
pub(crate) fn patterns<A: Family>(rib: &Rib<A>) -> Vec<(&'static str, Vec<A>)> {
    let mut rng = StdRng::seed_from_u64(3);
    let uniform = (0..DESTINATIONS).map(|_| A::uniform(&mut rng)).collect();
    let hosts = hosts(rib.keys().copied(), DESTINATIONS, 4);
    let flows = &hosts[..FLOWS];
    let zipf = ranks().into_iter().map(|rank| flows[rank]).collect();
    vec![("U", uniform), ("P", hosts), ("Z", zipf)]
}

/// `count` random addresses, each in a random one of `prefixes`.
pub(crate) fn hosts<A: Family>(
    prefixes: impl Iterator<Item = Prefix<A>>,
    count: usize,
    seed: u64,
) -> Vec<A> {
    let mut rng = StdRng::seed_from_u64(seed);
    let prefixes: Vec<_> = prefixes.collect();
    let any = |rng: &mut StdRng| match prefixes.len() {
        0 => A::zero(),
        len => {
            let prefix = prefixes[rng.random_range(0..len)];
            prefix.first() | A::random(rng) & A::host_mask(prefix.len())
        }
    };
    (0..count).map(|_| any(&mut rng)).collect()
}

/// Ranks of flows: rank `n` is drawn with a weight of `1 / n`.
fn ranks() -> Vec<usize> {
    let mut rng = StdRng::seed_from_u64(5);
    let mut sum = 0.0;
    let sums: Vec<f64> = (1..=FLOWS)
        .map(|n| {
            sum += 1.0 / n as f64;
            sum
        })
        .collect();
    let draw = |rng: &mut StdRng| {
        let at = rng.random::<f64>() * sum;
        sums.partition_point(|s| *s < at).min(FLOWS - 1)
    };
    (0..DESTINATIONS).map(|_| draw(&mut rng)).collect()
}

/// Keys in the forms that tables take.
pub(crate) struct Keys<A: Family> {
    pub(crate) vectors: Vec<A::Vector>,
    #[cfg_attr(not(feature = "dpdk"), expect(dead_code, reason = "only peers take bytes"))]
    pub(crate) bytes: Vec<A::Bytes>,
}

impl<A: Family> Keys<A> {
    /// Lays out `keys`; those beyond the last full vector are left out.
    pub(crate) fn new(keys: &[A]) -> Self {
        let chunks = keys.as_chunks::<LANES>().0;
        Self {
            vectors: chunks.iter().map(A::vector).collect(),
            bytes: chunks.iter().map(A::bytes).collect(),
        }
    }
}
