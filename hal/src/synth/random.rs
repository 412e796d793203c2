//! The generator's dice. Own and tiny, so that a seed gives the same traffic for good: the streams
//! of library generators may change between releases.

/// SplitMix64: one multiply-shift-xor chain a number, 2^64 numbers before it repeats.
///
/// Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// A number below `end` (0 when `end` is 0). The bias is below `end / 2^64`.
    pub(super) const fn below(&mut self, end: u64) -> u64 {
        ((self.next() as u128 * end as u128) >> 64) as u64
    }

    /// A number in 0.0..1.0.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Draws ranks with Zipf's law: rank k is `k^exponent` times rarer than the first.
#[derive(Debug)]
pub(super) struct Zipf {
    cumulative: Vec<f64>,
}

impl Zipf {
    /// Ranks 0 to `ranks - 1`; `ranks` is at least 1.
    pub(super) fn new(ranks: u32, exponent: f64) -> Self {
        let mut sum = 0.0;
        let weigh = |rank: u32| {
            sum += (f64::from(rank) + 1.0).powf(-exponent);
            sum
        };
        Self { cumulative: (0..ranks).map(weigh).collect() }
    }

    /// A rank. O(log ranks).
    #[expect(clippy::cast_possible_truncation, reason = "there are at most 2^32 ranks")]
    pub(super) fn draw(&self, random: &mut Random) -> u32 {
        let total = self.cumulative.last().copied().unwrap_or(0.0);
        let point = random.unit() * total;
        let rank = self.cumulative.partition_point(|&upper| upper <= point);
        rank.min(self.cumulative.len().saturating_sub(1)) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_the_published_one() {
        let mut random = Random::new(1_234_567);
        let expected: [u64; 3] =
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!([random.next(), random.next(), random.next()], expected);
    }

    #[test]
    fn zipf_frequencies_follow_the_exponent() {
        let (zipf, mut random, mut hits) = (Zipf::new(100, 1.0), Random::new(1), [0_u32; 100]);
        for _ in 0..1_000_000 {
            hits[zipf.draw(&mut random) as usize] += 1;
        }
        let harmonic: f64 = (1..=100).map(|k| 1.0 / f64::from(k)).sum();
        for rank in [0, 1, 9, 99] {
            let expected = 1e6 / harmonic / f64::from(rank + 1);
            let found = f64::from(hits[rank as usize]);
            assert!((found / expected - 1.0).abs() < 0.1, "{rank}: {found} of {expected}");
        }
    }
}
