//! The row that lcores write: the tokens of a policer, and in which units they are.

use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering::Relaxed};

use pal::clock::Nanos;

use super::PolicerConfig;
use super::row::Scale;

pal::plain_struct! {
    /// The tokens of one policer: 32 bytes. All zeroes is a policer that has not met a packet yet;
    /// its buckets are full.
    ///
    /// It lies where lcores write, at a place that stays the policer's own across commits and
    /// restarts. Its units are written beside the tokens: the first packet under a configuration
    /// with other units converts them.
    #[derive(Debug, Default)]
    #[repr(align(32))]
    pub struct PolicerState {
        /// When the buckets were last refilled, nanoseconds.
        pub(super) last: AtomicU64,
        /// Tokens of the committed bucket, the low 64 bits.
        pub(super) committed: AtomicU64,
        /// Tokens of the second bucket, the low 64 bits.
        pub(super) excess: AtomicU64,
        /// Units: see [`Scale`].
        pub(super) scale: AtomicU16,
        /// Reserved, zero.
        pub(super) reserved: AtomicU16,
        /// Bits 64 to 79 of both buckets, committed first; of a shared policer, failed attempts
        /// to change a word.
        pub(super) high: AtomicU32,
    }
}

const _: () = assert!(size_of::<PolicerState>() == 32);

/// The tokens of a policer as a value; the default is that of a row of zeroes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// When the buckets were last refilled.
    pub last: Nanos,
    /// Tokens of the committed bucket and the second one.
    pub(super) tokens: [u128; 2],
    scale: u16,
}

impl Snapshot {
    /// Whole bytes, or packets, of the committed bucket and the second one, as of [`Self::last`].
    ///
    /// `None` for a policer that has not met a packet yet.
    #[must_use]
    pub fn content(&self) -> Option<[u64; 2]> {
        let unit = u128::from(Scale::unit(self.scale));
        let whole = |tokens: u128| u64::try_from(tokens / unit).unwrap_or(u64::MAX);
        (self.scale != 0).then(|| self.tokens.map(whole))
    }

    /// The same tokens in the units of `config`, and no more than its bursts.
    ///
    /// A bucket that was not there before is full, and so are those of a policer that changes
    /// between bytes and packets. Time since the last refill is credited at the new rates.
    #[must_use]
    pub fn adapted(self, config: &PolicerConfig, now: Nanos) -> Self {
        let (full, scale) = (config.full(), config.state_scale());
        let other_kind = (self.scale ^ scale) & (Scale::PRESENT | Scale::PACKETS) != 0;
        if other_kind {
            return Self { last: now, tokens: full, scale };
        }
        let (from, to) = (u128::from(Scale::unit(self.scale)), u128::from(Scale::unit(scale)));
        let [committed, excess] = self.tokens.map(|tokens| tokens * to / from);
        let no_second = self.scale & Scale::SECOND == 0;
        let excess = if no_second { full[1] } else { excess.min(full[1]) };
        Self { last: self.last, tokens: [committed.min(full[0]), excess], scale }
    }
}

impl PolicerState {
    /// The tokens now. Torn if an lcore is metering meanwhile.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let scale = self.scale.load(Relaxed);
        let high = if scale & Scale::WIDE == 0 { 0 } else { self.high.load(Relaxed) };
        let join = |high: u32, low: &AtomicU64| {
            u128::from(high & 0xffff) << 64 | u128::from(low.load(Relaxed))
        };
        Snapshot {
            last: Nanos(self.last.load(Relaxed)),
            tokens: [join(high, &self.committed), join(high >> 16, &self.excess)],
            scale,
        }
    }

    /// Puts the tokens of `snapshot` here. No lcore may be metering.
    ///
    /// A policer that lcores will share is best filled this way, before they know of it:
    /// `Snapshot::default().adapted(&config, now)` is a full one.
    pub fn restore(&self, snapshot: &Snapshot) {
        self.scale.store(snapshot.scale, Relaxed);
        self.last.store(snapshot.last.0, Relaxed);
        self.set_tokens(snapshot.tokens, snapshot.scale);
    }

    /// The tokens of both buckets.
    pub(super) fn tokens(&self) -> [u128; 2] {
        self.snapshot().tokens
    }

    /// Writes the tokens of both buckets; below 2^80.
    #[expect(clippy::cast_possible_truncation, reason = "the parts of the words")]
    pub(super) fn set_tokens(&self, tokens: [u128; 2], scale: u16) {
        self.committed.store(tokens[0] as u64, Relaxed);
        self.excess.store(tokens[1] as u64, Relaxed);
        if scale & Scale::WIDE != 0 {
            let high = tokens.map(|tokens| (tokens >> 64) as u32 & 0xffff);
            self.high.store(high[0] | high[1] << 16, Relaxed);
        }
    }

    /// Failed attempts of lcores that share the policer to change one of its words; wraps.
    #[must_use]
    pub fn retries(&self) -> u32 {
        if self.scale.load(Relaxed) & Scale::WIDE == 0 { self.high.load(Relaxed) } else { 0 }
    }
}
