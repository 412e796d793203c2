//! Conditions of class maps.

use std::collections::HashMap;
use std::rc::Rc;

use qfp_core::acl::Pattern;

use super::{CompileError, MAX_RULES, TooMany, field, narrowed};
use crate::acl::{AccessList, Document, Family, Name};
use crate::mqc::check::MAX_NESTING;
use crate::mqc::{ClassMap, Ip, Logic, Match, Policies};

/// Which packets meet a condition: the first pattern that matches says it, and what none matches
/// does not.
#[derive(Clone, Debug)]
pub(super) struct Decision<const W: usize>(Vec<(Pattern<W>, bool)>);

impl<const W: usize> Decision<W> {
    /// Every packet.
    pub(super) fn always() -> Self {
        Self(vec![(Pattern::any(), true)])
    }

    /// Without the rules that decide nothing.
    fn new(mut rules: Vec<(Pattern<W>, bool)>) -> Self {
        if let Some(last) = rules.iter().position(|(pattern, _)| *pattern == Pattern::any()) {
            rules.truncate(last + 1);
        }
        while rules.pop_if(|(_, met)| !*met).is_some() {}
        Self(rules)
    }

    /// Packets that one of the patterns matches.
    fn one_of(patterns: Vec<Pattern<W>>) -> Self {
        Self::new(patterns.into_iter().map(|pattern| (pattern, true)).collect())
    }

    /// The rules in order; the last says yes.
    pub(super) fn rules(&self) -> &[(Pattern<W>, bool)] {
        &self.0
    }

    /// Whether it has a rule for every packet.
    pub(super) fn is_total(&self) -> bool {
        self.0.last().is_some_and(|(pattern, _)| *pattern == Pattern::any())
    }

    /// All other packets.
    fn not(&self) -> Self {
        let turned = self.0.iter().map(|(pattern, met)| (*pattern, !met));
        Self::new(turned.chain([(Pattern::any(), true)]).collect())
    }

    /// Packets that meet both.
    fn and(&self, other: &Self) -> Result<Self, TooMany> {
        let mut both = Vec::new();
        for (pattern, met) in &self.0 {
            if *met {
                // What `other` has no rule for falls through: no rule behind says yes to it.
                narrowed(&mut both, pattern, other.0.iter())?;
            } else {
                both.push((*pattern, false));
            }
        }
        if both.len() > MAX_RULES { Err(TooMany) } else { Ok(Self::new(both)) }
    }

    /// Packets that meet one of them.
    fn or(&self, other: &Self) -> Result<Self, TooMany> {
        let mut either = Vec::with_capacity(self.0.len() + other.0.len());
        for (pattern, met) in &self.0 {
            if *met {
                either.push((*pattern, true));
            } else {
                narrowed(&mut either, pattern, other.0.iter())?;
                // What `other` has no rule for must not meet those behind.
                either.push((*pattern, false));
            }
        }
        if !self.is_total() {
            either.extend_from_slice(&other.0);
        }
        if either.len() > MAX_RULES { Err(TooMany) } else { Ok(Self::new(either)) }
    }
}

/// The conditions of class maps for packets of one family. Each is made once.
pub(super) struct Conditions<'a, F, const W: usize> {
    policies: &'a Policies,
    family: Family,
    lists: &'a Document,
    rules_of: F,
    done: HashMap<&'a str, Rc<Decision<W>>>,
}

type Outcome<T, E> = Result<Result<T, TooMany>, CompileError<E>>;

impl<'a, F, E, const W: usize> Conditions<'a, F, W>
where
    F: FnMut(&AccessList) -> Result<Vec<(Pattern<W>, bool)>, E>,
{
    pub(super) fn new(
        policies: &'a Policies,
        family: Family,
        lists: &'a Document,
        rules_of: F,
    ) -> Self {
        Self { policies, family, lists, rules_of, done: HashMap::new() }
    }

    /// The condition of a class map.
    pub(super) fn class(&mut self, name: &str) -> Outcome<Rc<Decision<W>>, E> {
        self.nested(name, 0)
    }

    fn nested(&mut self, name: &str, depth: usize) -> Outcome<Rc<Decision<W>>, E> {
        if let Some(done) = self.done.get(name) {
            return Ok(Ok(done.clone()));
        }
        let policies = self.policies;
        let class = policies.class(name);
        let class = class.ok_or_else(|| CompileError::NoClass(name.to_owned()))?;
        if depth >= MAX_NESTING {
            return Err(CompileError::TooDeep(format!("class-map {name}")));
        }
        let mut all: Option<Decision<W>> = None;
        for criterion in &class.matches {
            let own = match self.one(class, &criterion.is, criterion.not, depth)? {
                Ok(own) => own,
                Err(error) => return Ok(Err(error)),
            };
            let joined = match (all, class.logic) {
                (None, _) => Ok(own),
                (Some(all), Logic::All) => all.and(&own),
                (Some(all), Logic::Any) => all.or(&own),
            };
            all = match joined {
                Ok(joined) => Some(joined),
                Err(error) => return Ok(Err(error)),
            };
        }
        let condition = Rc::new(all.unwrap_or(Decision(Vec::new())));
        self.done.insert(class.name.as_str(), condition.clone());
        Ok(Ok(condition))
    }

    /// One match of a class map, or its opposite.
    fn one(
        &mut self,
        class: &ClassMap,
        is: &Match,
        not: bool,
        depth: usize,
    ) -> Outcome<Decision<W>, E> {
        let turned = |decision: Decision<W>| if not { decision.not() } else { decision };
        Ok(Ok(match is {
            Match::AccessGroup(ip, list) => turned(self.list(class, *ip, list)?),
            Match::Class(name) => match self.nested(name.as_str(), depth + 1)? {
                Ok(nested) => turned((*nested).clone()),
                Err(error) => return Ok(Err(error)),
            },
            _ => Decision::one_of(field::patterns(is, not, self.family)),
        }))
    }

    fn list(
        &mut self,
        class: &ClassMap,
        ip: Ip,
        name: &Name,
    ) -> Result<Decision<W>, CompileError<E>> {
        let of = |family| self.lists.list(family, name.as_str()).filter(|_| ip.has(family));
        if [Family::V4, Family::V6].into_iter().all(|family| of(family).is_none()) {
            let (class, list) = (class.name.clone(), name.clone());
            return Err(CompileError::NoList { class, list });
        }
        let Some(list) = of(self.family) else { return Ok(Decision(Vec::new())) };
        let rules = (self.rules_of)(list);
        let class = || class.name.clone();
        rules.map(Decision::new).map_err(|error| CompileError::List { class: class(), error })
    }
}
