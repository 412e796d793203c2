//! The one way to standard error, for all threads.

use std::io::Stderr;
use std::sync::{Arc, Mutex, PoisonError};

use qfp::client::ipsec::SaEvent;
use terminal::log::{Kind, Log, Unseen};

/// Messages of the daemon. Never waits, never fails.
#[derive(Clone)]
pub(crate) struct Journal(Arc<Mutex<Log<Stderr>>>);

impl Journal {
    pub(crate) fn to_stderr() -> Self {
        Self(Arc::new(Mutex::new(Log::to_stderr("qfp-client"))))
    }

    pub(crate) fn say(&self, kind: Kind, message: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).say(kind, message);
    }

    /// Says what has become of an SA.
    pub(crate) fn tell(&self, event: &SaEvent) {
        self.say(Kind::of(event), &event.to_string());
    }

    /// Lines that nobody got to see.
    pub(crate) fn unseen(&self) -> Unseen {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).unseen()
    }
}
