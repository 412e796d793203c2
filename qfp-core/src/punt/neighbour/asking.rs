//! How many requests go out: for neighbours that are not known, and for those that are.
//!
//! Both have a budget for each link, so that a scan takes nothing from other links, and nothing
//! from the neighbours that are known on its own. Within the first, whoever is asked for by many
//! packets comes before those that one packet was for: each precedence may use up the budget no
//! further than to what is reserved for higher ones. A scan has to send as many packets to an
//! address as an honest sender to overtake it (RFC 6583 6.2, 7.1).

use std::collections::HashMap;

use pal::clock::Nanos;

use crate::punt::limit::{Limits, TokenBucket};
use crate::uidb::UidbIndex;

/// How much a request is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Precedence(u32);

impl Precedence {
    /// Of what is configured: next hops of routes.
    pub(super) const HIGHEST: Self = Self(4);

    /// For a neighbour that as many packets have asked for.
    pub(super) fn of(packets: u8) -> Self {
        Self((packets.max(1).ilog2() + 1).min(Self::HIGHEST.0))
    }

    /// That of a request that is sent again.
    pub(super) fn again(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// The part of a budget of `burst` that is left to those above.
    fn reserve(self, burst: u32) -> u32 {
        burst / 5 * (Self::HIGHEST.0 - self.0)
    }
}

/// The budgets of one link.
#[derive(Debug)]
struct Budgets {
    requests: TokenBucket,
    refreshes: TokenBucket,
}

/// The budgets of all links.
#[derive(Debug, Default)]
pub(super) struct Asking {
    links: HashMap<UidbIndex, Budgets>,
}

impl Asking {
    /// Whether a request for a neighbour that is not known may be sent now.
    pub(super) fn may_ask(
        &mut self,
        now: Nanos,
        link: UidbIndex,
        precedence: Precedence,
        limits: &Limits,
    ) -> bool {
        let reserve = precedence.reserve(limits.requests_rate.burst);
        self.budgets(link, limits).requests.take_above(now, reserve)
    }

    /// Whether a neighbour that is known may be asked again now.
    pub(super) fn may_refresh(&mut self, now: Nanos, link: UidbIndex, limits: &Limits) -> bool {
        self.budgets(link, limits).refreshes.take(now)
    }

    /// Forgets the links for which `keep` is false.
    pub(super) fn retain(&mut self, keep: impl Fn(UidbIndex) -> bool) {
        self.links.retain(|link, _| keep(*link));
    }

    fn budgets(&mut self, link: UidbIndex, limits: &Limits) -> &mut Budgets {
        self.links.entry(link).or_insert_with(|| Budgets {
            requests: TokenBucket::full(limits.requests_rate),
            refreshes: TokenBucket::full(limits.refresh_rate),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::punt::Rate;

    const LINK: UidbIndex = UidbIndex(3);

    #[test]
    fn precedence_grows_with_the_packets_and_falls_when_asked_again() {
        let of = |packets| Precedence::of(packets).0;
        assert_eq!([0, 1, 2, 3, 4, 7, 8, 255].map(of), [1, 1, 2, 2, 3, 3, 4, 4]);
        assert_eq!(Precedence::of(1).again().again(), Precedence(0));
    }

    #[test]
    fn a_flood_of_one_precedence_leaves_the_reserves_of_those_above() {
        let rate = Rate { per_second: 100, burst: 50 };
        let limits = Limits { requests_rate: rate, ..Limits::default() };
        let mut asking = Asking::default();
        let mut passed = |precedence, now| {
            (0..1000).filter(|_| asking.may_ask(now, LINK, precedence, &limits)).count()
        };
        for (packets, left) in [(1, 20), (2, 10), (4, 10), (8, 10)] {
            assert_eq!(passed(Precedence::of(packets), Nanos::ZERO), left, "{packets}");
        }
        // What comes in goes to the highest first, then fills the reserves up again.
        assert_eq!(passed(Precedence::of(1), Nanos::from_millis(200)), 0);
        assert_eq!(passed(Precedence::of(8), Nanos::from_millis(200)), 20);
        assert_eq!(passed(Precedence::of(1), Nanos::from_secs(9)), 20);
    }

    #[test]
    fn links_and_refreshes_have_budgets_of_their_own() {
        let rate = Rate { per_second: 1, burst: 1 };
        let limits = Limits { requests_rate: rate, refresh_rate: rate, ..Limits::default() };
        let mut asking = Asking::default();
        let mut ask =
            |link| asking.may_ask(Nanos::ZERO, UidbIndex(link), Precedence::of(1), &limits);
        assert_eq!([ask(3), ask(3), ask(4), ask(4)], [true, false, true, false]);
        assert!(asking.may_refresh(Nanos::ZERO, LINK, &limits));
        assert!(!asking.may_refresh(Nanos::ZERO, LINK, &limits));
        asking.retain(|link| link != LINK);
        assert!(asking.may_refresh(Nanos::ZERO, LINK, &limits));
    }
}
