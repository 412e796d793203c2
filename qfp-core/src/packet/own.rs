//! Drop reasons and counters that users' features have names for.

use std::sync::OnceLock;

use crate::packet::DropReason;

/// Why a name cannot be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// A drop reason of the router's has it.
    #[error("a drop reason is called {0} already")]
    Taken(&'static str),
    /// All places have other names.
    #[error("no place is left for {0}")]
    Full(&'static str),
}

/// Counters for users' features.
pub(crate) const COUNTERS: usize = 16;

/// One place in each process for each name, for as long as the process lives.
struct Names<const N: usize>([OnceLock<&'static str>; N]);

static REASONS: Names<{ OWN.len() }> = Names([const { OnceLock::new() }; OWN.len()]);
static COUNTED: Names<COUNTERS> = Names([const { OnceLock::new() }; COUNTERS]);

/// The drop reasons that have no name of their own, in the order of their counters.
const OWN: [DropReason; 8] = [
    DropReason::Own0,
    DropReason::Own1,
    DropReason::Own2,
    DropReason::Own3,
    DropReason::Own4,
    DropReason::Own5,
    DropReason::Own6,
    DropReason::Own7,
];

impl<const N: usize> Names<N> {
    /// The place of `name`: the one it has, or the next one.
    fn place(&self, name: &'static str) -> Result<usize, NameError> {
        let place = self.0.iter().position(|place| *place.get_or_init(|| name) == name);
        place.ok_or(NameError::Full(name))
    }

    fn get(&self, place: usize) -> Option<&'static str> {
        self.0.get(place)?.get().copied()
    }
}

impl DropReason {
    /// The drop reason of a user's feature that reports, statistics and traces call `name`; the same
    /// for the same name, eight in a process. Before the start.
    ///
    /// # Errors
    /// The name is one of the router's, or there are eight others.
    pub fn of_feature(name: &'static str) -> Result<Self, NameError> {
        if Self::ALL.iter().any(|reason| reason.name() == name) {
            return Err(NameError::Taken(name));
        }
        REASONS.place(name).map(|place| OWN[place])
    }

    /// What reports call it: its name, or the one that a user's feature has given.
    #[must_use]
    pub fn label(self) -> &'static str {
        let place = OWN.iter().position(|own| *own == self);
        place.and_then(|place| REASONS.get(place)).unwrap_or(self.name())
    }
}

/// A counter of a user's feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeatureCounter(usize);

impl FeatureCounter {
    /// The counter that reports call `name`; the same for the same name, sixteen in a process. Before
    /// the start.
    ///
    /// # Errors
    /// There are sixteen others.
    pub fn named(name: &'static str) -> Result<Self, NameError> {
        COUNTED.place(name).map(Self)
    }

    /// All that have names.
    pub fn all() -> impl Iterator<Item = (&'static str, Self)> {
        (0..COUNTERS).filter_map(|place| Some((COUNTED.get(place)?, Self(place))))
    }

    /// Its word among those of its kind.
    pub(crate) const fn place(self) -> usize {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No other test of this process gives names.
    #[test]
    fn each_name_has_a_place_until_there_is_none() {
        let reason = DropReason::of_feature("NoDns").unwrap();
        assert_eq!((reason.label(), DropReason::of_feature("NoDns")), ("NoDns", Ok(reason)));
        assert_eq!(DropReason::Lpts.label(), "Lpts");
        assert_eq!(DropReason::of_feature("Lpts"), Err(NameError::Taken("Lpts")));
        let names = ["a", "b", "c", "d", "e", "f", "g"].map(DropReason::of_feature);
        assert!(names.iter().all(Result::is_ok), "{names:?}");
        assert_eq!(DropReason::of_feature("h"), Err(NameError::Full("h")));
        let seen = FeatureCounter::named("seen").unwrap();
        assert_eq!(FeatureCounter::all().collect::<Vec<_>>(), [("seen", seen)]);
    }
}
