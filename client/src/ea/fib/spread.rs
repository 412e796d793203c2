//! Which member of a group each of its places leads to.
//!
//! A flow's hash chooses a place, so a flow moves when its place leads elsewhere. The number of
//! places does not change while members come and go: the places of a member that leaves are
//! filled from the others, those that are furthest behind their share first, and no other place
//! changes. A member that comes, or comes back, takes as many places as its share is.

/// Fewest and most places of a group with several members.
const PLACES: std::ops::RangeInclusive<u32> = 64..=1024;
/// Places for each member, at least, when a group is made.
const PER_MEMBER: u32 = 8;

/// The places of one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spread {
    weights: Vec<u32>,
    /// Members that packets may be sent to, by bit; when there are none, all are.
    alive: u64,
    /// By place: the member it belongs to when all are alive.
    home: Vec<u8>,
    /// By place: the member it leads to.
    now: Vec<u8>,
}

impl Spread {
    /// Places for members with these weights, at most 64: shares are right within one place.
    pub(super) fn new(weights: Vec<u32>) -> Self {
        let sum: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
        let wanted = sum.max(u64::from(PER_MEMBER) * weights.len() as u64);
        let wanted = wanted.clamp((*PLACES.start()).into(), (*PLACES.end()).into());
        let places = usize::try_from(wanted).unwrap_or(0).next_power_of_two();
        let nowhere = vec![NOBODY; places];
        Self::fill(weights, nowhere.clone(), nowhere)
    }

    /// Places for other members, as many as there are here and alike as far as possible.
    ///
    /// `old` says for each new member which one it was here. `None` when there are too few places
    /// for so many members.
    pub(super) fn derive(&self, weights: Vec<u32>, old: &[Option<usize>]) -> Option<Self> {
        if weights.len() * 2 > self.home.len() {
            return None;
        }
        let mut new = [NOBODY; 64];
        for (member, before) in (0..).zip(old) {
            if let Some(slot) = before.and_then(|before| new.get_mut(before)) {
                *slot = member;
            }
        }
        let rename = |members: &[u8]| {
            members.iter().map(|m| new.get(usize::from(*m)).copied().unwrap_or(NOBODY)).collect()
        };
        let mut next = Self::fill(weights, rename(&self.home), rename(&self.now));
        if !self.only_loses(&next.weights, old) {
            // Those that are new, or weigh more than they did, take their share.
            let all = all(next.weights.len());
            take_shares(&next.weights, all, &mut next.home, |_| true);
            next.now.clone_from(&next.home);
        }
        Some(next)
    }

    /// Whether the new members are some of those here, with weights of the same ratio.
    fn only_loses(&self, weights: &[u32], old: &[Option<usize>]) -> bool {
        let mut pairs = old.iter().zip(weights).map(|(before, weight)| {
            let before = before.and_then(|before| self.weights.get(before))?;
            Some((u64::from(*before), u64::from(*weight)))
        });
        let Some(Some(first)) = pairs.next() else { return false };
        pairs.all(|pair| pair.is_some_and(|(a, b)| a * first.1 == b * first.0))
    }

    /// Gives the places that are nobody's to those furthest behind.
    fn fill(weights: Vec<u32>, mut home: Vec<u8>, mut now: Vec<u8>) -> Self {
        let alive = all(weights.len());
        // A place that was lent keeps its borrower when its owner is gone.
        for (home, now) in home.iter_mut().zip(&now) {
            if *home == NOBODY {
                *home = *now;
            }
        }
        give(&weights, alive, &mut home);
        now.clone_from(&home);
        Self { weights, alive, home, now }
    }

    /// How many places there are.
    pub(super) fn len(&self) -> usize {
        self.now.len()
    }

    /// The member that each place leads to.
    pub(super) fn members(&self) -> impl Iterator<Item = usize> {
        self.now.iter().map(|member| usize::from(*member))
    }

    /// Says which members packets may be sent to, by bit.
    pub(super) fn set_alive(&mut self, alive: u64) {
        let all = all(self.weights.len());
        let alive = if alive & all == 0 { all } else { alive & all };
        let back = alive & !self.alive;
        if alive == self.alive {
            return;
        }
        self.alive = alive;
        let lives = |member: u8| member != NOBODY && alive >> member & 1 == 1;
        for (now, home) in self.now.iter_mut().zip(&self.home) {
            if lives(*home) {
                *now = *home;
            } else if !lives(*now) {
                *now = NOBODY;
            }
        }
        give(&self.weights, alive, &mut self.now);
        if back != 0 {
            let home = &self.home;
            take_shares(&self.weights, alive, &mut self.now, |place| !lives(home[place]));
        }
    }
}

/// A place that leads nowhere yet.
const NOBODY: u8 = u8::MAX;

fn all(members: usize) -> u64 {
    if members >= 64 { u64::MAX } else { (1 << members) - 1 }
}

/// How far each member is behind its share of the places, in units of one place over the sum of
/// the weights; members that are not alive have none.
fn behind(weights: &[u32], alive: u64, places: &[u8]) -> (Vec<i64>, i64) {
    let lives = |member: usize| alive >> member & 1 == 1;
    let sum = |(member, weight): (usize, &u32)| if lives(member) { i64::from(*weight) } else { 0 };
    let total: i64 = weights.iter().enumerate().map(sum).sum();
    let count = i64::try_from(places.len()).unwrap_or(0);
    let mut behind: Vec<i64> = weights.iter().enumerate().map(|pair| sum(pair) * count).collect();
    for member in places.iter().filter(|member| **member != NOBODY) {
        behind[usize::from(*member)] -= total;
    }
    (behind, total)
}

/// The first member of the greatest value among those alive.
fn greatest(values: &[i64], alive: u64) -> Option<usize> {
    let living = (0..values.len()).filter(|member| alive >> member & 1 == 1);
    living.rev().max_by_key(|member| values[*member])
}

/// Gives each place that is nobody's to the member that is furthest behind.
fn give(weights: &[u32], alive: u64, places: &mut [u8]) {
    let (mut behind, total) = behind(weights, alive, places);
    for place in places.iter_mut().filter(|member| **member == NOBODY) {
        let Some(member) = greatest(&behind, alive) else { return };
        *place = u8::try_from(member).unwrap_or(NOBODY);
        behind[member] -= total;
    }
}

/// Moves places, of those that `may` move, from members that have most too many to those that are
/// furthest behind, as long as that brings both nearer to their share.
fn take_shares(weights: &[u32], alive: u64, places: &mut [u8], may: impl Fn(usize) -> bool) {
    let (mut behind, total) = behind(weights, alive, places);
    while let Some(taker) = greatest(&behind, alive) {
        let ahead = |place: &usize| behind[usize::from(places[*place])];
        let place = (0..places.len()).filter(|place| may(*place)).min_by_key(ahead);
        let Some(place) = place.filter(|p| ahead(p) + total < behind[taker]) else { return };
        let giver = usize::from(places[place]);
        places[place] = u8::try_from(taker).unwrap_or(NOBODY);
        behind[giver] += total;
        behind[taker] -= total;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Places of each member.
    fn counts(spread: &Spread) -> Vec<f64> {
        let mut counts = vec![0.0; spread.weights.len()];
        spread.members().for_each(|member| counts[member] += 1.0);
        counts
    }

    /// How far each member that is alive is from its share, in places.
    fn errors(spread: &Spread) -> Vec<f64> {
        let lives = |m: usize| spread.alive >> m & 1 == 1;
        let weight = |m: usize| if lives(m) { f64::from(spread.weights[m]) } else { 0.0 };
        let total: f64 = (0..spread.weights.len()).map(weight).sum();
        let share = |m: usize| spread.len() as f64 * weight(m) / total;
        counts(spread).into_iter().enumerate().map(|(m, count)| count - share(m)).collect()
    }

    fn moved(a: &Spread, b: &Spread) -> Vec<(usize, usize)> {
        a.members().zip(b.members()).filter(|(x, y)| x != y).collect()
    }

    fn weights() -> impl Strategy<Value = Vec<u32>> {
        prop_oneof![
            prop::collection::vec(1..=255u32, 2..=64),
            (2..=64usize).prop_map(|n| vec![1; n]),
        ]
    }

    #[test]
    fn few_members_share_64_places_and_weights_are_exact_where_they_can_be() {
        let spread = Spread::new(vec![3, 1]);
        assert_eq!((spread.len(), counts(&spread)), (64, vec![48.0, 16.0]));
        assert_eq!(Spread::new(vec![1; 64]).len(), 512);
        assert_eq!(Spread::new(vec![255; 64]).len(), 1024);
    }

    proptest! {
        #[test]
        fn shares_are_right_within_one_place(weights in weights()) {
            let spread = Spread::new(weights);
            prop_assert!(errors(&spread).iter().all(|error| error.abs() < 1.0));
        }

        #[test]
        fn when_a_member_leaves_only_its_flows_move_and_come_back(
            weights in weights(), gone in any::<prop::sample::Index>(),
        ) {
            let before = Spread::new(weights);
            let gone = gone.index(before.weights.len());
            let mut without = before.clone();
            without.set_alive(!(1 << gone));
            let gone_places = counts(&before)[gone];
            let moved = moved(&before, &without);
            prop_assert_eq!(moved.len() as f64, gone_places);
            prop_assert!(moved.iter().all(|(from, to)| *from == gone && *to != gone));
            prop_assert!(errors(&without).iter().all(|error| *error < 1.0));
            if before.weights.iter().all(|weight| *weight == 1) {
                prop_assert!(errors(&without).iter().all(|error| error.abs() < 1.0));
            }
            without.set_alive(u64::MAX);
            prop_assert_eq!(before, without);
        }

        #[test]
        fn a_path_that_is_withdrawn_moves_its_flows_and_one_that_is_added_takes_its_share(
            weights in weights(), gone in any::<prop::sample::Index>(),
        ) {
            let before = Spread::new(weights);
            let gone = gone.index(before.weights.len());
            let old: Vec<Option<usize>> =
                (0..before.weights.len()).filter(|m| *m != gone).map(Some).collect();
            let left = old.iter().flatten().map(|m| before.weights[*m]).collect();
            let after = before.derive(left, &old).unwrap();
            let kept = |member: usize| old.get(member).copied().flatten();
            let moved = before.members().zip(after.members()).filter(|(a, b)| kept(*b) != Some(*a));
            let equal = before.weights.iter().all(|weight| *weight == before.weights[0]);
            let moved: Vec<_> = moved.collect();
            prop_assert!(errors(&after).iter().all(|error| *error < 1.0));
            prop_assert!(moved.iter().all(|(from, _)| *from == gone));
            prop_assert_eq!(moved.len() as f64, counts(&before)[gone]);
            // And back: the new member takes its share, nothing else moves.
            let back: Vec<Option<usize>> = (0..before.weights.len())
                .map(|m| match m.cmp(&gone) {
                    std::cmp::Ordering::Less => Some(m),
                    std::cmp::Ordering::Equal => None,
                    std::cmp::Ordering::Greater => Some(m - 1),
                })
                .collect();
            let again = after.derive(before.weights.clone(), &back).unwrap();
            let mut moved =
                after.members().zip(again.members()).filter(|(a, b)| Some(*a) != back[*b]);
            if equal {
                prop_assert!(moved.all(|(_, to)| to == gone));
            }
            prop_assert!(errors(&again).iter().all(|error| error.abs() <= 1.0));
        }

        #[test]
        fn whoever_comes_and_goes_the_places_lead_to_the_living(
            weights in weights(), masks in prop::collection::vec(any::<u64>(), 1..8),
        ) {
            let mut spread = Spread::new(weights);
            let start = spread.clone();
            for mask in masks {
                let before = spread.clone();
                spread.set_alive(mask);
                let lives = |m: usize| spread.alive >> m & 1 == 1;
                prop_assert!(spread.members().all(lives));
                // Who only leaves takes nothing from those that stay.
                if spread.alive & !before.alive == 0 {
                    prop_assert!(moved(&before, &spread).iter().all(|(from, _)| !lives(*from)));
                }
            }
            spread.set_alive(u64::MAX);
            prop_assert_eq!(spread, start);
        }
    }
}
