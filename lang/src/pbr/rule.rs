//! Rules: what a classifier and the actions behind it are made from.

use std::ops::RangeInclusive;

use super::{Action, Entry, Mark, RouteMap, Sets};
use crate::acl::{Family, Name};
use crate::flowspec::{Actions, Components, Match, RouteTarget, RuleId, TooComplex, TrafficRate};

/// Which rule it is, for its counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RuleKey {
    /// The entry of a route map with this sequence number.
    Entry(u16),
    /// A flow specification.
    Flow(RuleId),
}

/// The packets of one family that a rule is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Those that one of the access lists permits, and of these lengths.
    Lists {
        /// Access lists of the family; every packet if there are none.
        lists: Vec<Name>,
        /// Lengths from the IP header on, in octets; every length if there are none.
        length: Option<RangeInclusive<u16>>,
    },
    /// Those that one of the alternatives matches; none if there is no alternative.
    Flow(Vec<Match>),
}

/// What happens to the packets of a rule. They are routed as usual if nothing is said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Where they go, and their code point.
    pub sets: Sets,
    /// Limits that each packet must keep to, in the order in which they apply.
    pub rates: Vec<TrafficRate>,
    /// Whether they are sampled.
    pub sample: bool,
    /// Whether the rules behind are looked at as well.
    pub goes_on: bool,
}

/// One rule for packets of one family.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Which one.
    pub key: RuleKey,
    /// The packets it is for.
    pub condition: Condition,
    /// What happens to them.
    pub outcome: Outcome,
}

impl RouteMap {
    /// The entries that packets of `family` can match, in order.
    pub fn rules(&self, family: Family) -> impl Iterator<Item = Rule> {
        self.entries().filter_map(move |(sequence, entry)| {
            let condition = entry.condition(family)?;
            let sets = match entry.action {
                Action::Permit => entry.sets.clone(),
                Action::Deny => Sets::default(),
            };
            let outcome = Outcome { sets, ..Outcome::default() };
            Some(Rule { key: RuleKey::Entry(sequence), condition, outcome })
        })
    }
}

impl Entry {
    /// What it asks of packets of `family`; `None` if it is for the other one, or for longer ones.
    fn condition(&self, family: Family) -> Option<Condition> {
        let (own, other) = match family {
            Family::V4 => (&self.matches.ipv4, &self.matches.ipv6),
            Family::V6 => (&self.matches.ipv6, &self.matches.ipv4),
        };
        if own.is_empty() && !other.is_empty() {
            return None;
        }
        let length = match &self.matches.length {
            None => None,
            Some(length) => {
                let min = u16::try_from(*length.start()).ok()?;
                Some(min..=u16::try_from(*length.end()).unwrap_or(u16::MAX))
            }
        };
        Some(Condition::Lists { lists: own.clone(), length })
    }
}

impl Rule {
    /// The rule of one flow specification. `vrf_of` gives the VRF that imports a route target; a
    /// redirection to none is passed over.
    ///
    /// # Errors
    /// It takes too many entries of a classifier.
    pub fn of_flow(
        id: RuleId,
        components: &Components,
        actions: &Actions,
        vrf_of: impl Fn(RouteTarget) -> Option<Name>,
    ) -> Result<Self, TooComplex> {
        let condition = Condition::Flow(components.matches()?);
        let sets = if actions.drops() {
            Sets { null0: true, ..Sets::default() }
        } else {
            let vrf = actions.redirect().and_then(vrf_of);
            Sets { vrf, mark: actions.marking().map(Mark::Dscp), ..Sets::default() }
        };
        let rates = if actions.drops() { Vec::new() } else { actions.rates().to_vec() };
        let outcome =
            Outcome { sets, rates, sample: actions.samples(), goes_on: actions.goes_on() };
        Ok(Self { key: RuleKey::Flow(id), condition, outcome })
    }
}
