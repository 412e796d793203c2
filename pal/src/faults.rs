//! Faults on purpose: a simulator has its say at every store to shared memory.
//!
//! Writers of shared memory call [`store`] before each store that somebody may see, and [`rest`] where
//! they wait for somebody. Without feature `faults` that is nothing at all, and only the machine's.

#[cfg(feature = "faults")]
mod entropy;
#[cfg(feature = "faults")]
mod hook;
mod plant;

#[cfg(feature = "faults")]
pub use hook::{Point, died, hooked};
#[cfg(feature = "faults")]
pub use plant::planted;
pub use plant::{Plant, is_planted};

/// Before a store that others may see.
#[inline]
pub fn store() {
    #[cfg(feature = "faults")]
    hook::store();
}

/// Lets others move on, as long as there is `patience`. Returns whether to look again.
pub fn rest(patience: impl FnOnce() -> bool) -> bool {
    #[cfg(feature = "faults")]
    if let Some(again) = hook::rest() {
        return again;
    }
    let again = patience();
    std::thread::yield_now();
    again
}

/// Whether who runs now is dead already: what its end would tell others is not told.
#[inline]
#[must_use]
pub fn is_dead() -> bool {
    #[cfg(feature = "faults")]
    return hook::is_dead();
    #[cfg(not(feature = "faults"))]
    false
}
