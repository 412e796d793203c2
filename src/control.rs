//! The control side of a running forwarder: the slow path beside the lcores, the client beside it,
//! and what they tell each other.
//!
//! In the machine's time each has a thread, so that an address is answered for while a configuration
//! is committed. In the time of captures both run between two vectors.

mod client_side;
mod hooks;
mod messages;
mod slow_side;

use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Mutex, PoisonError};

use pal::clock::Nanos;

use crate::ipsec::Events;

pub(crate) use client_side::{ClientCounts, ClientLoop, ClientSide};
pub use hooks::{InjectError, PuntVerdict};
pub(crate) use hooks::{Injection, PLACES, PuntHooks};
pub(crate) use messages::{Configured, Reply, Request, ToClient};
pub(crate) use slow_side::{LcoreRings, SlowCounts, SlowLoop, SlowSide, Work};

/// Between two rounds of housekeeping.
const HOUSEKEEPING_NS: u64 = 50 * Nanos::PER_MILLI;
/// Between two rounds when nothing has happened since the last one.
const LAZY_NS: u64 = Nanos::PER_SECOND;

/// What others see of the control side.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) slow: Mutex<SlowCounts>,
    pub(crate) client: Mutex<ClientCounts>,
    /// Lists have changed since the counts were shown.
    pub(crate) stale: AtomicBool,
    pub(crate) sa_events: Events,
    /// Packets of users that were not put in.
    pub(crate) inject_refused: AtomicU64,
}

impl Shared {
    /// The counts of both, as they were shown last.
    pub(crate) fn counts(&self) -> (SlowCounts, ClientCounts) {
        (look(&self.slow), look(&self.client))
    }
}

/// Counts are whole between two statements, so those of a thread that has panicked may be read.
fn look<T: Clone>(counts: &Mutex<T>) -> T {
    counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn show<T: Clone>(shown: &Mutex<T>, counts: &T) {
    shown.lock().unwrap_or_else(PoisonError::into_inner).clone_from(counts);
}
