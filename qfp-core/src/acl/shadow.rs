//! Patterns that an object leaves out: those that a rule before theirs has, too, and no packet
//! reaches.

use std::collections::BTreeSet;

use ahash::AHashMap;

use crate::acl::classifier::{Place, Rule};
use crate::acl::leaf::Filter;
use crate::acl::pattern::Pattern;

/// A feature and a pattern of some of its rules.
type Same<const W: usize> = (u8, Pattern<W>);

/// Rules of which a pattern is left out, by that pattern. In the object is the same pattern of a rule
/// that comes before all of them.
#[derive(Debug)]
pub(super) struct Shadows<const W: usize>(AHashMap<Same<W>, BTreeSet<Place>>);

/// What becomes of the patterns left out when some rules go.
#[derive(Debug)]
pub(super) struct Uncovered<const W: usize> {
    /// Patterns of the rules that go.
    gone: Vec<(Same<W>, Place)>,
    /// Patterns of rules that stay, which have to come into the object now.
    pub(super) bare: Vec<(Pattern<W>, Place)>,
}

impl<const W: usize> Shadows<W> {
    /// What has to be in the object of `rules`, which are in order of places and come with their
    /// ranks, and what is left out of it.
    pub(super) fn of<'a>(
        rules: impl Iterator<Item = (Place, u32, &'a Rule<W>)>,
    ) -> (Vec<Filter<W>>, Self) {
        let mut owners: AHashMap<Same<W>, Place> = AHashMap::new();
        let (mut filters, mut shadows) = (Vec::new(), Self(AHashMap::new()));
        for (place, rank, rule) in rules {
            for pattern in &rule.patterns {
                let same = (place.feature, *pattern);
                let owner = *owners.entry(same).or_insert_with(|| {
                    filters.push(Filter { rank, result: rule.result, pattern: *pattern });
                    place
                });
                if owner != place {
                    shadows.0.entry(same).or_default().insert(place);
                }
            }
        }
        (filters, shadows)
    }

    /// What is left bare when the rules `going` have gone and those of `coming` have come, which are
    /// in the object.
    pub(super) fn without<'a>(
        &self,
        going: impl Iterator<Item = (Place, &'a Rule<W>)> + Clone,
        coming: impl Iterator<Item = (Place, &'a Rule<W>)>,
    ) -> Uncovered<W> {
        let mut uncovered = Uncovered { gone: Vec::new(), bare: Vec::new() };
        if self.0.is_empty() {
            return uncovered;
        }
        // The first place of each pattern that is covered.
        let mut covers: AHashMap<Same<W>, Place> = AHashMap::new();
        for (place, rule) in coming {
            for pattern in &rule.patterns {
                let first = covers.entry((place.feature, *pattern)).or_insert(place);
                *first = place.min(*first);
            }
        }
        let places: BTreeSet<Place> = going.clone().map(|(place, _)| place).collect();
        for (place, rule) in going {
            for pattern in &rule.patterns {
                let same = (place.feature, *pattern);
                let Some(waiting) = self.0.get(&same) else { continue };
                if waiting.contains(&place) {
                    uncovered.gone.push((same, place));
                } else if let Some(next) = waiting.iter().find(|place| !places.contains(place))
                    && covers.get(&same).is_none_or(|cover| cover > next)
                {
                    covers.insert(same, *next);
                    uncovered.gone.push((same, *next));
                    uncovered.bare.push((*pattern, *next));
                }
            }
        }
        uncovered
    }

    /// Forgets what is in the object now, or in no rule.
    pub(super) fn forget(&mut self, uncovered: Uncovered<W>) {
        for (same, place) in uncovered.gone {
            if let Some(waiting) = self.0.get_mut(&same) {
                waiting.remove(&place);
                if waiting.is_empty() {
                    self.0.remove(&same);
                }
            }
        }
    }
}
