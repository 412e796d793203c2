//! The row that lcores read: a policer in tokens.

use std::ops::{BitAnd, BitOr};

/// Tokens of a byte at 1 bit/s: the finest there are.
pub(super) const TOKENS_PER_BYTE: u64 = 8_000_000_000;
/// Tokens of a packet at 1 packet/s.
pub(super) const TOKENS_PER_PACKET: u64 = 1_000_000_000;
/// Largest bucket that 64-bit arithmetic serves.
pub(super) const NARROW_MAX: u128 = 1 << 60;
/// Most tokens of one refill: with full buckets, the sums stay below 2^63.
const REFILL_MAX: u128 = 1 << 61;

pal::plain_struct! {
    /// One policer's configuration: 64 bytes, one cache line. Many policers may share a row.
    ///
    /// The four algorithms are one formula that differs in masks. All zeroes lets everything pass.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    #[repr(align(64))]
    pub struct PolicerConfig {
        /// Tokens of a counted byte, or of a packet.
        pub(super) unit: u64,
        /// Tokens a nanosecond, for the committed bucket and the other one.
        pub(super) rate: [u64; 2],
        /// Where the buckets are full: tokens, or bytes where 64 bits do not hold the tokens.
        pub(super) burst: [u64; 2],
        /// Nanoseconds after which nothing changes any more.
        pub(super) fill: u64,
        /// The bits of a length that count: none where packets are counted.
        pub(super) length_and: u32,
        /// Bits that are set in every length: 1 where packets are counted.
        pub(super) length_or: u32,
        /// [`Scale`].
        pub(super) scale: u16,
        /// All ones if the packet's colour matters.
        pub(super) aware: i8,
        /// All ones if green takes from both buckets (RFC 2698).
        pub(super) both: i8,
        /// All ones if what the committed bucket cannot hold goes to the other one (RFC 2697).
        pub(super) spill: i8,
        /// All ones if there is a second bucket.
        pub(super) second: i8,
        /// Reserved, zero.
        pub(super) reserved: u16,
    }
}

const _: () = assert!(size_of::<PolicerConfig>() == 64);

/// What the algorithms differ in: the masks of a [`PolicerConfig`], a byte each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Masks(u32);

impl Masks {
    /// No bit of any.
    pub(super) const NONE: Self = Self(0);
    /// All bits of all.
    pub(super) const ALL: Self = Self(!0);
    /// One rate and two colours.
    pub(super) const ONE_RATE: Self = Self::NONE;
    /// RFC 4115, colour-blind.
    pub(super) const RFC4115: Self = Self::of([0, 0, 0, -1]);
    /// RFC 2697, colour-blind.
    pub(super) const RFC2697: Self = Self::of([0, 0, -1, -1]);
    /// RFC 2698, colour-blind.
    pub(super) const RFC2698: Self = Self::of([0, -1, 0, -1]);

    /// Of `aware`, `both`, `spill` and `second`.
    const fn of([aware, both, spill, second]: [i8; 4]) -> Self {
        let [aware, both] = [aware.cast_unsigned(), both.cast_unsigned()];
        let [spill, second] = [spill.cast_unsigned(), second.cast_unsigned()];
        Self(u32::from_le_bytes([aware, both, spill, second]))
    }

    /// All ones if a packet's colour matters.
    #[inline(always)]
    pub(super) const fn aware(self) -> u64 {
        self.wide(0)
    }

    /// All ones if green takes from both buckets.
    #[inline(always)]
    pub(super) const fn both(self) -> u64 {
        self.wide(1)
    }

    /// All ones if the committed bucket overflows into the other one.
    #[inline(always)]
    pub(super) const fn spill(self) -> u64 {
        self.wide(2)
    }

    /// All ones if there is a second bucket.
    #[inline(always)]
    pub(super) const fn second(self) -> u64 {
        self.wide(3)
    }

    /// A mask of 8 bits in 64.
    #[inline(always)]
    const fn wide(self, byte: usize) -> u64 {
        (self.0.to_le_bytes()[byte].cast_signed() as i64).cast_unsigned()
    }
}

impl BitOr for Masks {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for Masks {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

/// The units of a row of tokens, in a number: what a state and its configuration must agree on.
///
/// Every number of tokens in a byte divides 2^12 * 5^9, so two exponents say it.
pub(super) struct Scale;

impl Scale {
    /// Set in every scale; a state of zeroes has none.
    pub(super) const PRESENT: u16 = 1 << 15;
    /// Packets are counted.
    pub(super) const PACKETS: u16 = 1 << 14;
    /// Buckets have 128 bits.
    pub(super) const WIDE: u16 = 1 << 13;
    /// There is a second bucket.
    pub(super) const SECOND: u16 = 1 << 12;
    /// Lcores share the policer; in configurations only.
    pub(super) const SHARED: u16 = 1 << 11;
    /// Not for the common path, as it is shared or wide; in configurations only, so that they
    /// never equal their states.
    pub(super) const SPECIAL: u16 = 1 << 10;

    /// The bits of `unit`, which divides 2^12 * 5^9.
    fn of(unit: u64) -> u16 {
        let (mut fives, mut rest) = (0, unit >> unit.trailing_zeros());
        while rest > 1 {
            rest /= 5;
            fives += 1;
        }
        u16::try_from(unit.trailing_zeros()).unwrap_or(0) << 4 | fives
    }

    /// The unit of a scale.
    pub(super) const fn unit(scale: u16) -> u64 {
        5u64.pow((scale & 0xf) as u32) << (scale >> 4 & 0xf)
    }
}

/// A policer in its own units: bytes or packets, a second.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Plan {
    /// Packets are counted: rates are packets a second, bursts packets.
    pub(super) packets: bool,
    /// Rates of the two buckets, in bits or packets a second.
    pub(super) rate: [u64; 2],
    /// Their sizes, in bytes or packets.
    pub(super) burst: [u64; 2],
    pub(super) aware: bool,
    pub(super) both: bool,
    pub(super) spill: bool,
    pub(super) second: bool,
    pub(super) shared: bool,
}

impl Plan {
    /// The row; none if the policer is shared and its buckets do not fit 64 bits.
    pub(super) fn compile(&self) -> Option<PolicerConfig> {
        let most = if self.packets { TOKENS_PER_PACKET } else { TOKENS_PER_BYTE };
        let common = self.rate.iter().fold(most, |common, &rate| gcd(common, rate));
        let unit = most / common;
        let rate = self.rate.map(|rate| rate / common);
        let tokens = self.burst.map(|burst| u128::from(burst) * u128::from(unit));
        // The first bucket also fills the second one, if it overflows into it.
        let full = [if self.spill { tokens[0] + tokens[1] } else { tokens[0] }, tokens[1]];
        let times = full.iter().zip(rate).filter(|&(_, rate)| rate > 0);
        let fill = times.map(|(full, rate)| full.div_ceil(u128::from(rate))).max().unwrap_or(0);
        let wide = tokens.iter().any(|&tokens| tokens > NARROW_MAX)
            || rate.iter().any(|&rate| fill * u128::from(rate) > REFILL_MAX);
        if wide && self.shared {
            return None;
        }
        let narrow = |tokens: u128| u64::try_from(tokens).unwrap_or(u64::MAX);
        let bit = |on: bool, bit: u16| if on { bit } else { 0 };
        let mask = |on: bool| -i8::from(on);
        Some(PolicerConfig {
            unit,
            rate,
            burst: if wide { self.burst } else { tokens.map(narrow) },
            fill: narrow(fill),
            length_and: if self.packets { 0 } else { u32::MAX },
            length_or: u32::from(self.packets),
            scale: Scale::PRESENT
                | bit(self.packets, Scale::PACKETS)
                | bit(wide, Scale::WIDE)
                | bit(self.second, Scale::SECOND)
                | bit(self.shared, Scale::SHARED)
                | bit(self.shared || wide, Scale::SPECIAL)
                | Scale::of(unit),
            aware: mask(self.aware),
            both: mask(self.both),
            spill: mask(self.spill),
            second: mask(self.second),
            reserved: 0,
        })
    }
}

impl PolicerConfig {
    /// The policer that finds no packet to conform, whoever shares it.
    #[must_use]
    pub const fn closed() -> Self {
        let scale = Scale::PRESENT | Scale::PACKETS | Scale::SHARED | Scale::SPECIAL;
        Self { unit: 1, length_or: 1, scale, ..Self::OPEN }
    }

    /// All zeroes.
    const OPEN: Self = Self {
        unit: 0,
        rate: [0; 2],
        burst: [0; 2],
        fill: 0,
        length_and: 0,
        length_or: 0,
        scale: 0,
        aware: 0,
        both: 0,
        spill: 0,
        second: 0,
        reserved: 0,
    };

    /// Whether lcores may share the policer.
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        self.scale & Scale::SHARED != 0
    }

    /// Whether its buckets need 128 bits.
    #[must_use]
    pub const fn is_wide(&self) -> bool {
        self.scale & Scale::WIDE != 0
    }

    /// What a state that this configuration has filled is marked with.
    pub(super) const fn state_scale(&self) -> u16 {
        self.scale & !(Scale::SHARED | Scale::SPECIAL)
    }

    /// What its algorithm is.
    #[inline(always)]
    pub(super) const fn masks(&self) -> Masks {
        Masks::of([self.aware, self.both, self.spill, self.second])
    }

    /// Tokens of full buckets.
    pub(super) fn full(&self) -> [u128; 2] {
        let unit = if self.is_wide() { u128::from(self.unit) } else { 1 };
        self.burst.map(|burst| u128::from(burst) * unit)
    }

    /// Tokens of a packet: of its counted bytes, or of itself.
    #[inline]
    pub(super) fn need(&self, length: u32) -> u64 {
        debug_assert!(length < 1 << 30, "{length} bytes are no packet");
        u64::from(length & self.length_and | self.length_or) * self.unit
    }
}

const fn gcd(a: u64, b: u64) -> u64 {
    let (mut a, mut b) = (a, b);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
