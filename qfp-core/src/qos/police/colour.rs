//! The colour of a packet: 64-bit arithmetic of a policer that one lcore owns.

use std::sync::atomic::Ordering::Relaxed;

use pal::clock::Nanos;

use super::row::Masks;
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
    meter_as(config.masks(), config, state, now, length, colour)
}

/// [`meter`] of a policer that has these masks; what a caller's constants say of them is not
/// computed.
#[inline(always)]
pub(super) fn meter_as(
    masks: Masks,
    config: &PolicerConfig,
    state: &PolicerState,
    now: Nanos,
    length: u32,
    colour: Colour,
) -> Colour {
    if state.scale.load(Relaxed) != config.scale {
        return special::meter(config, state, now, length, colour);
    }
    narrow(masks, config, state, now, length, colour)
}

/// [`meter`] where the buckets fit 64 bits, and are in the units of the configuration.
#[inline(always)]
pub(super) fn narrow(
    masks: Masks,
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
    let fed = state.excess.load(Relaxed) + time * config.rate[1] + (over & masks.spill());
    let excess = fed - beyond(fed, config.burst[1]);

    let need = config.need(length);
    let need_excess = need & masks.second();
    let lacks =
        [negative(committed.wrapping_sub(need)), negative(excess.wrapping_sub(need_excess))];
    let found = decide(masks, colour, lacks);
    // Equals the later of the two times.
    state.last.store(last + elapsed, Relaxed);
    state.committed.store(committed - (need & found.pays[0]), Relaxed);
    state.excess.store(excess - (need_excess & found.pays[1]), Relaxed);
    found.colour
}

/// A colour and, as masks, which buckets pay for it.
#[derive(Clone, Copy)]
pub(super) struct Found {
    pub(super) pays: [u64; 2],
    pub(super) colour: Colour,
}

/// The colour of a packet that has `colour`, given which buckets lack its tokens: 1 for those
/// that do.
#[inline(always)]
pub(super) fn decide(masks: Masks, colour: Colour, lacks: [u64; 2]) -> &'static Found {
    let colour = u64::from(colour as u8) & masks.aware();
    let case = masks.both() & 16 | colour << 2 | lacks[1] << 1 | lacks[0];
    &FOUND[(case & 31) as usize]
}

// Which packets pass a policer is hard to predict, and a branch that is predicted wrongly costs
// more than metering two packets. The compiler likes to turn selections into branches, so it gets
// to see signs, masks and a table instead. All amounts are below 2^63.

/// What is found in each case: bit 4 if green takes from both buckets, bits 2 and 3 the colour
/// that the packet has, bits 0 and 1 which buckets lack its tokens.
static FOUND: [Found; 32] = {
    let mut found = [Found { pays: [0; 2], colour: Colour::Red }; 32];
    let mut case = 0;
    while case < found.len() {
        let both = case & 16 != 0;
        let colour = [Colour::Green, Colour::Yellow, Colour::Red, Colour::Red][case >> 2 & 3];
        let [committed, excess] = [case & 1 == 0, case & 2 == 0];
        if matches!(colour, Colour::Green) && committed && (excess || !both) {
            found[case] = Found { pays: [!0, if both { !0 } else { 0 }], colour: Colour::Green };
        } else if !matches!(colour, Colour::Red) && excess {
            found[case] = Found { pays: [0, !0], colour: Colour::Yellow };
        }
        case += 1;
    }
    found
};

/// 1 if a difference is below zero.
#[inline(always)]
fn negative(difference: u64) -> u64 {
    difference >> 63
}

/// By how much `a` is above `b`, or zero.
#[inline(always)]
fn beyond(a: u64, b: u64) -> u64 {
    let difference = a.wrapping_sub(b);
    difference & negative(difference).wrapping_sub(1)
}
