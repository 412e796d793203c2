//! A policer of several lcores: three words, each changed by compare and swap on its own.
//!
//! Whoever moves the time forward owns the tokens of that stretch of time and adds them; whoever
//! sends takes tokens. So every nanosecond is credited once and every token spent once, whatever
//! the order, and the total is that of one lcore, give or take a packet that each lcore has in
//! hand. Nobody waits: a failed attempt means that another lcore has succeeded.
//!
//! Each word stands for itself and orders nothing else, so all accesses are relaxed.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use pal::clock::Nanos;

use super::Colour;
use super::{PolicerConfig, PolicerState};

/// Attempts to change a word. Beyond them, which takes hundreds of lcores, tokens are forgone.
const ATTEMPTS: u32 = 256;

/// [`super::meter`] of a policer in its own units that others may be metering, too.
pub(super) fn meter(
    config: &PolicerConfig,
    state: &PolicerState,
    now: Nanos,
    length: u32,
    colour: Colour,
) -> Colour {
    let elapsed = advance(state, now.0);
    if elapsed > 0 {
        let credit = |bucket: usize| elapsed.min(config.fill) * config.rate[bucket];
        let spilled =
            add(state, &state.committed, credit(0), config.burst[0]) & config.masks().spill();
        add(state, &state.excess, credit(1) + spilled, config.burst[1]);
    }
    let colour = if config.aware == 0 { Colour::Green } else { colour };
    let need = config.need(length);
    let committed = || colour == Colour::Green && take(state, &state.committed, need);
    let excess = || {
        let need = need & config.masks().second();
        colour != Colour::Red && take(state, &state.excess, need)
    };
    if config.both != 0 {
        // Green takes from both, so the second bucket decides first.
        if !excess() {
            Colour::Red
        } else if committed() {
            Colour::Green
        } else {
            Colour::Yellow
        }
    } else if committed() {
        Colour::Green
    } else if excess() {
        Colour::Yellow
    } else {
        Colour::Red
    }
}

/// Moves the time to `now`. Returns the nanoseconds that are this lcore's to credit.
fn advance(state: &PolicerState, now: u64) -> u64 {
    let later = |last: u64| (now > last).then_some(now);
    change(state, &state.last, later).map_or(0, |last| now - last)
}

/// Adds tokens. Returns those that the bucket cannot hold.
fn add(state: &PolicerState, bucket: &AtomicU64, tokens: u64, burst: u64) -> u64 {
    if tokens == 0 {
        return 0;
    }
    let fed = |held: u64| Some((held + tokens).min(burst));
    change(state, bucket, fed).map_or(0, |held| (held + tokens).saturating_sub(burst))
}

/// Takes tokens, if the bucket has them.
fn take(state: &PolicerState, bucket: &AtomicU64, tokens: u64) -> bool {
    tokens == 0 || change(state, bucket, |held| held.checked_sub(tokens)).is_some()
}

/// Replaces a word, unless `next` says no. Returns what it was.
#[inline(always)]
fn change(
    state: &PolicerState,
    word: &AtomicU64,
    next: impl Fn(u64) -> Option<u64>,
) -> Option<u64> {
    let mut value = word.load(Relaxed);
    for _ in 0..ATTEMPTS {
        match word.compare_exchange_weak(value, next(value)?, Relaxed, Relaxed) {
            Ok(value) => return Some(value),
            Err(now) => value = now,
        }
        state.high.fetch_add(1, Relaxed);
    }
    None
}
