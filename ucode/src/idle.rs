//! What an lcore does when there is nothing to do.

use std::os::fd::RawFd;
use std::time::Duration;

use pal::doorbell::Doorbell;
use qfp_core::ppe::{MOST_PORTS, Ppe};

/// Empty rounds before an lcore that can sleep does so.
const ROUNDS: u32 = 2_000;

/// How long a sleep lasts at most: what has happened to a device is seen after it.
const NAP: Duration = Duration::from_millis(100);

/// Counts empty rounds. An lcore sleeps only when each of its queues has a descriptor that wakes
/// it; queues of poll-mode drivers are polled.
pub(crate) struct Idle {
    /// With room for all queues that there can be.
    fds: Vec<RawFd>,
    may_sleep: bool,
    rounds: u32,
}

impl Idle {
    pub(crate) fn new(ppe: &Ppe) -> Self {
        let mut idle = Self { fds: Vec::with_capacity(MOST_PORTS), may_sleep: false, rounds: 0 };
        idle.look_again(ppe);
        idle
    }

    /// The lcore has other queues.
    pub(crate) fn look_again(&mut self, ppe: &Ppe) {
        self.may_sleep = ppe.pollable_fds(&mut self.fds);
        self.reset();
    }

    #[inline]
    pub(crate) fn reset(&mut self) {
        self.rounds = 0;
    }

    /// One more empty round. Who sleeps is woken by packets, and by `bell` for what comes to
    /// `has_work`.
    #[inline]
    pub(crate) fn rest(&mut self, ppe: &mut Ppe, bell: &Doorbell, has_work: impl FnOnce() -> bool) {
        self.rounds = self.rounds.saturating_add(1);
        if self.may_sleep && self.rounds > ROUNDS {
            ppe.count_missed();
            ppe.offline(|| bell.sleep(&self.fds, NAP, has_work));
        } else {
            std::hint::spin_loop();
        }
    }
}
