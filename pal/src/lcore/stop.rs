use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::doorbell::Doorbell;

/// A request to stop that many threads see; clones share it.
#[derive(Clone, Debug, Default)]
pub struct StopFlag(Arc<Request>);

#[derive(Debug, Default)]
struct Request {
    raised: AtomicBool,
    sleepers: Vec<Arc<Doorbell>>,
}

impl StopFlag {
    /// A flag that is not raised.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A flag that wakes those that sleep on these bells.
    #[must_use]
    pub fn waking(sleepers: Vec<Arc<Doorbell>>) -> Self {
        Self(Arc::new(Request { raised: AtomicBool::new(false), sleepers }))
    }

    /// Asks everybody to stop. There is no way back.
    pub fn stop(&self) {
        self.0.raised.store(true, Ordering::Release);
        self.0.sleepers.iter().for_each(|bell| bell.wake());
    }

    /// Whether somebody asked to stop. One load of a shared, unwritten cache line.
    #[inline]
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.0.raised.load(Ordering::Acquire)
    }
}
