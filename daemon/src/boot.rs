//! The start in stages: one that fails ends it, and no later one begins.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use api::Boot;
use terminal::log::Kind;

use crate::journal::Journal;

/// What has been done since the process began. Clones share it.
#[derive(Clone)]
pub(crate) struct Stages(Arc<Inner>);

struct Inner {
    began: Instant,
    journal: Journal,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    done: Vec<Boot>,
    /// The stage that has begun, and when.
    now: Option<(&'static str, u64)>,
}

impl Stages {
    pub(crate) fn new(journal: Journal) -> Self {
        Self(Arc::new(Inner { began: Instant::now(), journal, state: Mutex::default() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what stage `name` has to do. It is in the list and in the log once it is done, or has
    /// failed.
    ///
    /// # Errors
    /// As `work`.
    pub(crate) fn stage<T, E>(
        &self,
        name: &'static str,
        work: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, E> {
        self.begin(name);
        self.run(work)
    }

    /// Does what has several stages, each of which it begins itself.
    ///
    /// # Errors
    /// As `work`.
    pub(crate) fn run<T, E>(&self, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let worked = work();
        self.end(worked.is_ok());
        worked
    }

    /// A further stage begins; the one before is done.
    pub(crate) fn begin(&self, name: &'static str) {
        self.end(true);
        let began = self.uptime_ms();
        self.state().now = Some((name, began));
    }

    fn end(&self, is_done: bool) {
        let mut state = self.state();
        let Some((name, began_ms)) = state.now.take() else { return };
        let took_ms = self.uptime_ms() - began_ms;
        let line = match is_done {
            true => format!("{name}: done in {took_ms} ms"),
            false => format!("{name}: failed after {took_ms} ms, and nothing after it begins"),
        };
        self.0.journal.say(Kind::Boot, &line);
        if is_done {
            state.done.push(Boot { stage: name.to_owned(), began_ms, took_ms });
        }
    }

    /// Stages that are done.
    pub(crate) fn all(&self) -> Vec<Boot> {
        self.state().done.clone()
    }

    /// Seconds since the process began.
    pub(crate) fn uptime_s(&self) -> u64 {
        self.0.began.elapsed().as_secs()
    }

    fn uptime_ms(&self) -> u64 {
        u64::try_from(self.0.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
