//! What an lcore does when there is nothing to do.

use std::os::fd::RawFd;
use std::time::Duration;

use pal::doorbell::Doorbell;
use qfp_core::ppe::Ppe;

/// Empty rounds before an lcore that can sleep does so.
const ROUNDS: u32 = 2_000;

/// How long a sleep lasts at most: what has happened to a device is seen after it.
const NAP: Duration = Duration::from_millis(100);

/// Counts empty rounds. An lcore sleeps only when each of its queues has a descriptor that wakes
/// it; queues of poll-mode drivers are polled.
pub(crate) struct Idle {
    fds: Option<Vec<RawFd>>,
    rounds: u32,
}

impl Idle {
    pub(crate) fn new(ppe: &Ppe) -> Self {
        Self { fds: ppe.pollable_fds(), rounds: 0 }
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
        match &self.fds {
            Some(fds) if self.rounds > ROUNDS => {
                ppe.count_missed();
                ppe.offline(|| bell.sleep(fds, NAP, has_work));
            }
            _ => std::hint::spin_loop(),
        }
    }
}
