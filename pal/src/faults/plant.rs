//! Bugs that a simulator plants, to see that it finds them.

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// Things are given back at once, whoever may still read them.
    NoGrace,
    /// A root is shown before it names its tables.
    RootFirst,
    /// The slot of a reader that has died stays taken.
    StaleReader,
    /// Packets that were inside a data plane that has died are not counted.
    UncountedDeath,
    /// What one agent has prepared for a change that is refused stays taken.
    HalfRefused,
    /// A slow path that takes the place of another does not hear which neighbours lcores send to.
    ForgottenNeighbours,
    /// What a slow path says of a neighbour that the configuration names counts.
    OldReport,
    /// A block of leaves is shown before it is written.
    BlockFirst,
}

impl Plant {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::NoGrace,
        Self::RootFirst,
        Self::StaleReader,
        Self::UncountedDeath,
        Self::HalfRefused,
        Self::ForgottenNeighbours,
        Self::OldReport,
        Self::BlockFirst,
    ];
}

#[cfg(feature = "faults")]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Plant>> = const { std::cell::Cell::new(None) };
}

/// Whether this thread has that bug. Never without feature `faults`.
#[inline]
#[must_use]
pub fn is_planted(plant: Plant) -> bool {
    #[cfg(feature = "faults")]
    return PLANTED.get() == Some(plant);
    #[cfg(not(feature = "faults"))]
    {
        let _ = plant;
        false
    }
}

/// Does something with that bug, or without any.
#[cfg(feature = "faults")]
pub fn planted<R>(plant: Option<Plant>, act: impl FnOnce() -> R) -> R {
    let before = PLANTED.replace(plant);
    let result = act();
    PLANTED.set(before);
    result
}
