//! The start in stages: one that fails ends it, and no later one begins.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use api::Boot;
use terminal::log::Kind;

use crate::journal::Journal;

/// What has been done since the process began.
pub(crate) struct Stages {
    began: Instant,
    done: Mutex<Vec<Boot>>,
    journal: Journal,
}

impl Stages {
    pub(crate) fn new(journal: Journal) -> Self {
        Self { began: Instant::now(), done: Mutex::default(), journal }
    }

    /// Does what stage `name` has to do. It is in the list and in the log once it is done.
    ///
    /// # Errors
    /// As `work`.
    pub(crate) fn stage<T, E>(
        &self,
        name: &str,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        let began_ms = self.uptime_ms();
        let done = work()?;
        let took_ms = self.uptime_ms() - began_ms;
        self.journal.say(Kind::Boot, &format!("{name}: done in {took_ms} ms"));
        let stage = Boot { stage: name.to_owned(), began_ms, took_ms };
        self.done.lock().unwrap_or_else(PoisonError::into_inner).push(stage);
        Ok(done)
    }

    /// Stages that are done.
    pub(crate) fn all(&self) -> Vec<Boot> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Seconds since the process began.
    pub(crate) fn uptime_s(&self) -> u64 {
        self.began.elapsed().as_secs()
    }

    fn uptime_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
