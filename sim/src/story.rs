//! What happened, with virtual times.

use std::any::Any;
use std::fmt;

use pal::clock::Nanos;

/// What happened in the life of a seed.
#[derive(Clone, Debug)]
pub struct Story {
    events: Option<Vec<(Nanos, String)>>,
}

impl Story {
    pub(crate) const fn new(told: bool) -> Self {
        Self { events: if told { Some(Vec::new()) } else { None } }
    }

    /// Notes an event; it is put into words only if somebody wants to hear.
    pub(crate) fn note(&mut self, now: Nanos, event: impl FnOnce() -> String) {
        if let Some(events) = &mut self.events {
            events.push((now, event()));
        }
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, event) in self.events.iter().flatten() {
            writeln!(f, "{:>12}.{:06} {event}", at.0 / 1_000_000_000, at.0 / 1000 % 1_000_000)?;
        }
        Ok(())
    }
}

/// What a panic says.
pub(crate) fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}
