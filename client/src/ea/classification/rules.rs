//! From lists and policies to rules of a classifier.

use std::collections::HashSet;

use qfp_core::acl::{AclResult, Feature, Pattern, Place, Rule};

use super::patterns::{Addresses, of_ace, of_flow};
use crate::acl::{
    AccessList, Action, Document, Family, IMPLICIT, Log, Name, Objects, PlainAce, ResolveError,
};
use crate::pbr::{self, Condition};

/// Most aces that a list may have once its groups are put in their place.
pub(crate) const MAX_ACES: usize = 200_000;
/// Most patterns of a policy.
const MAX_PATTERNS: usize = 65_536;

/// Why a list or policy cannot be compiled.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// A group of a list.
    #[error("access list {list}: {error}")]
    Resolve {
        /// The list.
        list: String,
        /// What is wrong.
        error: ResolveError,
    },
    /// A list that is not defined.
    #[error("there is no access list {0}")]
    NoList(String),
    /// A policy whose lists deny so much that it would take too many rules.
    #[error("policy {0} takes more than 65536 rules: what its access lists deny multiplies them")]
    TooComplex(String),
    /// A flow specification that is to be applied together with those behind it.
    #[error("flow specification {0} asks for later ones to be applied too, which is not supported")]
    NotTerminal(u32),
    /// A flow specification that limits a rate, or samples.
    #[error("flow specification {0} limits a rate or samples, which is not supported")]
    NotCarriedOut(u32),
    /// A flow specification about TCP flags that keys do not have.
    #[error("flow specification {0} is about TCP flags beyond the eight of RFC 9293")]
    WideFlags(u32),
    /// A VRF that no interface is in.
    #[error("policy {policy} routes in VRF {vrf}, which no interface is in")]
    NoVrf {
        /// The policy.
        policy: String,
        /// The VRF.
        vrf: String,
    },
}

/// A rule of a list: what its counters are called, and what it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleName {
    /// Sequence number of the ace; [`IMPLICIT`] for what follows the last one.
    pub sequence: u32,
    /// Which of the implicit rules, counted from 1; 0 for an ace.
    pub implicit: u32,
}

impl RuleName {
    /// Most implicit rules that a list has.
    pub(crate) const IMPLICIT_RULES: u32 = 3;

    /// The rule of an ace.
    #[must_use]
    pub const fn of_ace(sequence: u32) -> Self {
        Self { sequence, implicit: 0 }
    }

    /// An implicit rule, counted from 1.
    #[must_use]
    pub const fn implicit(number: u32) -> Self {
        Self { sequence: IMPLICIT, implicit: number }
    }
}

/// The rules of an access list, without numbers for their counters.
pub(super) fn of_list<const W: usize>(
    list: &AccessList,
    objects: &Objects,
) -> Result<Vec<(RuleName, AclResult, Vec<Pattern<W>>)>, RuleError>
where
    Pattern<W>: Addresses,
{
    let error = |error| RuleError::Resolve { list: list.name().to_string(), error };
    let aces = list.resolved(objects, MAX_ACES).map_err(error)?;
    let mut rules: Vec<(RuleName, AclResult, Vec<Pattern<W>>)> = Vec::with_capacity(aces.len() + 1);
    for ace in &aces {
        let name = RuleName::of_ace(ace.sequence);
        match rules.last_mut() {
            Some((last, _, patterns)) if *last == name => patterns.extend(of_ace(ace)),
            _ => rules.push((name, verdict(ace), of_ace(ace))),
        }
    }
    for (number, ace) in (1..).zip(&list.implicit()) {
        let name = RuleName::implicit(number);
        rules.push((name, verdict(ace), of_ace(ace)));
    }
    Ok(rules)
}

/// The patterns of a list in order, each with whether it permits: what a policy asks of it. Those that
/// an earlier one has already are left out.
pub(super) fn patterns_of<const W: usize>(
    list: &AccessList,
    objects: &Objects,
) -> Result<Vec<(Pattern<W>, bool)>, RuleError>
where
    Pattern<W>: Addresses,
{
    let (mut seen, mut all) = (HashSet::new(), Vec::new());
    for (_, verdict, patterns) in of_list(list, objects)? {
        let fresh = patterns.into_iter().filter(|pattern| seen.insert(*pattern));
        all.extend(fresh.map(|pattern| (pattern, !verdict.denies())));
    }
    Ok(all)
}

/// What one rule of a list says and matches, as [`of_list`] makes it; none where there is no ace.
pub(super) fn of_rule<const W: usize>(
    list: &AccessList,
    objects: &Objects,
    rule: RuleName,
) -> Result<Option<(AclResult, Vec<Pattern<W>>)>, RuleError>
where
    Pattern<W>: Addresses,
{
    let error = |error| RuleError::Resolve { list: list.name().to_string(), error };
    let aces = match rule.sequence {
        IMPLICIT => {
            let before = rule.implicit.saturating_sub(1) as usize;
            list.implicit().into_iter().skip(before).take(1).collect()
        }
        sequence => list.resolved_entry(sequence, objects, MAX_ACES).map_err(error)?,
    };
    let patterns = aces.iter().flat_map(of_ace).collect();
    Ok(aces.first().map(|ace| (verdict(ace), patterns)))
}

/// What an ace says, without a number.
fn verdict(ace: &PlainAce) -> AclResult {
    let result = AclResult::new(0, ace.action == Action::Deny);
    let result = if ace.options.capture { result.capture() } else { result };
    if ace.options.log == Log::Off { result } else { result.log() }
}

/// Where the rule of an ace stands among those of its object.
pub(super) fn place(name: RuleName) -> Place {
    let sequence = match name.sequence {
        0 => (1 << 40) + u64::from(name.implicit),
        sequence => u64::from(sequence),
    };
    Place { feature: Feature::Acl as u8, sequence }
}

/// The rules of a policy, in order: patterns and the number of the policy's rule whose outcome they
/// have, none for packets that no rule is for.
///
/// A packet that a list denies goes on to the next rule, which one lookup cannot do: the rules
/// behind are repeated for what is denied.
pub(super) fn of_policy<const W: usize>(
    name: &str,
    rules: &[pbr::Rule],
    lists: &Document,
    family: Family,
) -> Result<Vec<(Pattern<W>, Option<usize>)>, RuleError>
where
    Pattern<W>: Addresses,
{
    let mut all: Vec<(Pattern<W>, Option<usize>)> = Vec::new();
    for (number, rule) in rules.iter().enumerate().rev() {
        match &rule.condition {
            Condition::Flow(alternatives) => {
                let own: Vec<Pattern<W>> = alternatives.iter().flat_map(of_flow).collect();
                all.splice(0..0, own.into_iter().map(|pattern| (pattern, Some(number))));
            }
            Condition::Lists { lists: names, length } => {
                let lengths =
                    length.as_ref().map_or(Pattern::any(), |length| Pattern::any().length(length));
                if names.is_empty() {
                    all.splice(0..0, [(lengths, Some(number))]);
                }
                for list in names.iter().rev() {
                    let own = patterns_of(found(lists, family, list)?, &lists.objects)?;
                    all = in_front(&own, &lengths, number, all);
                    if all.len() > MAX_PATTERNS {
                        return Err(RuleError::TooComplex(name.to_owned()));
                    }
                }
            }
        }
        if all.len() > MAX_PATTERNS {
            return Err(RuleError::TooComplex(name.to_owned()));
        }
    }
    Ok(all)
}

/// Puts a list in front of the rules that apply to what it denies.
fn in_front<const W: usize>(
    list: &[(Pattern<W>, bool)],
    lengths: &Pattern<W>,
    number: usize,
    rest: Vec<(Pattern<W>, Option<usize>)>,
) -> Vec<(Pattern<W>, Option<usize>)> {
    let mut all = Vec::with_capacity(list.len() + rest.len());
    for (index, (pattern, permits)) in list.iter().enumerate() {
        if *permits {
            all.extend(pattern.and(lengths).map(|pattern| (pattern, Some(number))));
            continue;
        }
        // What is denied by the last rule of all, or of no list any more, needs no repetition.
        let is_last = index + 1 == list.len();
        if !is_last {
            let both = rest.iter().filter_map(|(other, outcome)| {
                pattern.and(other).map(|pattern| (pattern, *outcome))
            });
            all.extend(both);
            all.push((*pattern, None));
        }
        if all.len() > MAX_PATTERNS {
            return all;
        }
    }
    all.extend(rest);
    all
}

fn found<'a>(
    lists: &'a Document,
    family: Family,
    name: &Name,
) -> Result<&'a AccessList, RuleError> {
    lists.list(family, name.as_str()).ok_or_else(|| RuleError::NoList(name.to_string()))
}

/// The same rules with a number each, for a classifier.
pub(super) fn numbered<const W: usize>(
    rules: Vec<(RuleName, AclResult, Vec<Pattern<W>>)>,
    number: impl Fn(RuleName) -> u32,
) -> impl Iterator<Item = (Place, Rule<W>)> {
    rules.into_iter().map(move |(name, verdict, patterns)| {
        (place(name), Rule { result: verdict.with_rule(number(name)).0, patterns })
    })
}
