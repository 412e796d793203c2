//! The client of a running forwarder, and what is asked of it.
//!
//! In the machine's time it has a thread. In the time of captures it has its turn between two
//! vectors.

mod client_side;
mod messages;

use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};

use crate::ipsec::Events;

pub(crate) use client_side::{CLIENT, ClientCounts, ClientLoop, ClientSide};
pub(crate) use messages::{Reply, Request, ToClient};

/// What others see of the client.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    counts: Mutex<ClientCounts>,
    /// Lists have changed since the counts were shown.
    pub(crate) stale: AtomicBool,
    pub(crate) sa_events: Events,
}

impl Shared {
    /// The counts as they were shown last. They are whole between two statements, so those of a
    /// thread that has panicked may be read.
    pub(crate) fn counts(&self) -> ClientCounts {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn show(&self, counts: &ClientCounts) {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone_from(counts);
    }
}
