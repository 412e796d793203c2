//! The colour of a packet: 64-bit arithmetic of a policer that one lcore owns.

use std::sync::atomic::Ordering::Relaxed;

use pal::clock::Nanos;

use super::special;
use super::{PolicerConfig, PolicerState};

/// What a policer finds: conform, exceed, violate. A policer with two colours knows no red, and
/// leaves it where a colour-aware one meets it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Colour {
    /// Conforms.
    #[default]
    Green = 0,
    /// Exceeds.
    Yellow = 1,
    /// Violates.
    Red = 2,
}

impl Colour {
    /// All of them, best first.
    pub const ALL: [Self; 3] = [Self::Green, Self::Yellow, Self::Red];

    /// The colour with this number; red beyond the last.
    #[inline]
    #[must_use]
    pub const fn from_u8(number: u8) -> Self {
        match number {
            0 => Self::Green,
            1 => Self::Yellow,
            _ => Self::Red,
        }
    }
}

/// Colours a packet of `length` counted bytes that arrives at `now`, and takes its tokens.
///
/// `colour` is what the packet had before; a colour-blind policer does not look at it. Times may
/// repeat; one that lies before an earlier one counts as that. `length` is below 2^30. O(1), no
/// division, and no branch that depends on the tokens. Where a bucket needs 128 bits, and for the
/// first packet under a configuration of other units, it takes several times as long; so does a
/// shared policer while lcores are contending for it.
///
/// One lcore at a time, unless the configuration is shared: what two did at once could be counted
/// for one.
///
/// Source: RFC 2697 3, RFC 2698 3, RFC 4115 3; one rate with two colours is RFC 4115 without E.
#[inline]
pub fn meter(
    config: &PolicerConfig,
    state: &PolicerState,
    now: Nanos,
    length: u32,
    colour: Colour,
) -> Colour {
    if state.scale.load(Relaxed) != config.scale {
        return special::meter(config, state, now, length, colour);
    }
    narrow(config, state, now, length, colour)
}

/// [`meter`] where the buckets fit 64 bits, and are in the units of the configuration.
#[inline(always)]
pub(super) fn narrow(
    config: &PolicerConfig,
    state: &PolicerState,
    now: Nanos,
    length: u32,
    colour: Colour,
) -> Colour {
    let last = state.last.load(Relaxed);
    let elapsed = now.0.saturating_sub(last);
    let time = elapsed.min(config.fill);
    let fed = state.committed.load(Relaxed) + time * config.rate[0];
    let over = beyond(fed, config.burst[0]);
    let committed = fed - over;
    let fed = state.excess.load(Relaxed) + time * config.rate[1] + (over & wide(config.spill));
    let excess = fed - beyond(fed, config.burst[1]);

    let need = config.need(length);
    let need_excess = need & wide(config.second);
    let lacks =
        [negative(committed.wrapping_sub(need)), negative(excess.wrapping_sub(need_excess))];
    let found = decide(config, colour, lacks);
    // Equals the later of the two times.
    state.last.store(last + elapsed, Relaxed);
    state.committed.store(committed - (need & found.pays[0]), Relaxed);
    state.excess.store(excess - (need_excess & found.pays[1]), Relaxed);
    found.colour
}

/// A colour and, as masks, which buckets pay for it.
pub(super) struct Found {
    pub(super) colour: Colour,
    pub(super) pays: [u64; 2],
}

/// The colour of a packet that has `colour`, given as masks which buckets lack its tokens.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "two bits")]
pub(super) fn decide(config: &PolicerConfig, colour: Colour, lacks: [u64; 2]) -> Found {
    let colour = u64::from(colour as u8 & config.aware.cast_unsigned());
    let (not_green, red) =
        (negative(0u64.wrapping_sub(colour)), negative(1u64.wrapping_sub(colour)));
    let both = wide(config.both);
    let green = !(not_green | lacks[0] | (lacks[1] & both));
    let yellow = !(red | lacks[1] | green);
    Found {
        colour: FOUND[(green & 1 | yellow & 2) as usize],
        pays: [green, yellow | (green & both)],
    }
}

// Which packets pass a policer is hard to predict, and a branch that is predicted wrongly costs
// more than metering two packets. The compiler likes to turn selections into branches, so it gets
// to see signs, masks and a table instead. All amounts are below 2^63.

/// By green and yellow.
const FOUND: [Colour; 4] = [Colour::Red, Colour::Green, Colour::Yellow, Colour::Green];

/// All ones if a difference is below zero.
#[inline(always)]
fn negative(difference: u64) -> u64 {
    (difference.cast_signed() >> 63).cast_unsigned()
}

/// By how much `a` is above `b`, or zero.
#[inline(always)]
fn beyond(a: u64, b: u64) -> u64 {
    let difference = a.wrapping_sub(b);
    difference & !negative(difference)
}

/// A mask of 8 bits in 64.
#[inline(always)]
pub(super) fn wide(mask: i8) -> u64 {
    i64::from(mask).cast_unsigned()
}
