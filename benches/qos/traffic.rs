//! Packets: which policer they meet, how long they are, which colour they come with.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Packets of a vector.
pub(crate) const VECTOR: usize = 64;

/// Vectors that are metered over and over.
pub(crate) struct Traffic {
    pub(crate) vectors: Vec<Vector>,
    /// Nanoseconds between two vectors.
    pub(crate) gap: u64,
}

/// A vector of packets.
pub(crate) struct Vector {
    pub(crate) policers: [u32; VECTOR],
    pub(crate) lengths: [u32; VECTOR],
    /// 0 green, 1 yellow, 2 red.
    pub(crate) colours: [u8; VECTOR],
}

impl Traffic {
    /// Packets that meet `policers` policers of `rate` bit/s at random, at twice their rate.
    pub(crate) fn new(policers: u32, rate: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(u64::from(policers));
        // Each policer is met several times.
        let count = (policers as usize * 8 / VECTOR).max(1 << 12);
        let vectors: Vec<Vector> = (0..count)
            .map(|_| Vector {
                policers: std::array::from_fn(|_| rng.random_range(0..policers)),
                lengths: std::array::from_fn(|_| match rng.random_range(0..12) {
                    0..7 => 64,
                    7..11 => 594,
                    _ => 1518,
                }),
                colours: std::array::from_fn(|_| match rng.random_range(0..10) {
                    0..6 => 0,
                    6..9 => 1,
                    _ => 2,
                }),
            })
            .collect();
        let bytes: u64 = vectors.iter().flat_map(|vector| vector.lengths).map(u64::from).sum();
        let picoseconds = u128::from(bytes) * 8_000_000_000_000
            / (2 * u128::from(rate) * u128::from(policers) * count as u128);
        Self { vectors, gap: u64::try_from(picoseconds / 1000).unwrap_or(u64::MAX).max(1) }
    }
}
