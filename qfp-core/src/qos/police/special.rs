//! What is off the common path: shared policers, 128-bit buckets, a change of units.

use std::sync::atomic::Ordering::Relaxed;

use pal::clock::Nanos;

use super::colour::{Colour, decide, narrow};
use super::row::Scale;
use super::{PolicerConfig, PolicerState, shared};

/// [`super::meter`] where state and configuration differ in scale.
#[cold]
#[inline(never)]
pub(super) fn meter(
    config: &PolicerConfig,
    state: &PolicerState,
    now: Nanos,
    length: u32,
    colour: Colour,
) -> Colour {
    if config.scale & Scale::PRESENT == 0 {
        return Colour::Green;
    }
    let found = state.scale.load(Relaxed);
    if found != config.state_scale() {
        convert(config, state, found, now);
    }
    if config.is_shared() {
        shared::meter(config, state, now, length, colour)
    } else if config.is_wide() {
        in_128_bits(config, state, now, length, colour)
    } else {
        narrow(config.masks(), config, state, now, length, colour)
    }
}

/// Takes over the tokens that were filled in under another configuration.
///
/// Of several lcores one does it, and the others do not wait: what they meter meanwhile may be
/// forgotten. Buckets never hold more than a burst, so no more than that can be gained or lost,
/// even if this lcore is stopped right here.
fn convert(config: &PolicerConfig, state: &PolicerState, found: u16, now: Nanos) {
    let adapted = state.snapshot().adapted(config, now);
    let scale = config.state_scale();
    if state.scale.compare_exchange(found, scale, Relaxed, Relaxed).is_ok() {
        if found & Scale::WIDE != 0 {
            state.high.store(0, Relaxed);
        }
        // Others may have moved the time on; it must not go back.
        state.last.fetch_max(adapted.last.0, Relaxed);
        state.set_tokens(adapted.tokens, scale);
    }
}

/// The same as [`narrow`], a little slower, for buckets of any size.
fn in_128_bits(
    config: &PolicerConfig,
    state: &PolicerState,
    now: Nanos,
    length: u32,
    colour: Colour,
) -> Colour {
    let last = state.last.load(Relaxed);
    let elapsed = u128::from(now.0.saturating_sub(last));
    let (tokens, full) = (state.tokens(), config.full());
    let fed = tokens[0] + elapsed * u128::from(config.rate[0]);
    let committed = fed.min(full[0]);
    let spilled = if config.spill == 0 { 0 } else { fed - committed };
    let excess = (tokens[1] + elapsed * u128::from(config.rate[1]) + spilled).min(full[1]);

    let need = config.need(length);
    let need = [need, need & config.masks().second()];
    let lacks = |bucket: usize, held: u128| u64::from(held < u128::from(need[bucket]));
    let found = decide(config.masks(), colour, [lacks(0, committed), lacks(1, excess)]);
    let committed = committed - u128::from(need[0] & found.pays[0]);
    let excess = excess - u128::from(need[1] & found.pays[1]);
    state.last.store(last.max(now.0), Relaxed);
    state.set_tokens([committed, excess], config.state_scale());
    found.colour
}
