//! All rules in their order, each with a number that it keeps.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use super::{Actions, Components, Family, FlowSpec, Header};

/// The number of a rule, for its counters. It stays as long as the rule is announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(pub u32);

/// The rules of both families, in the order in which they are looked at.
#[derive(Clone, Debug)]
pub struct FlowTable {
    rules: BTreeMap<Components, (RuleId, Actions)>,
    released: BTreeSet<u32>,
    next: u32,
    capacity: u32,
}

/// All rules that there may be are announced, or withdrawn and not yet released.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("all {0} flow specifications are in use")]
pub struct TableFull(pub u32);

impl FlowTable {
    /// A table for up to `capacity` rules, which are numbered from 0.
    #[must_use]
    pub fn new(capacity: u32) -> Self {
        Self { rules: BTreeMap::new(), released: BTreeSet::new(), next: 0, capacity }
    }

    /// Adds a rule, or gives the rule that matches the same other actions and keeps its number.
    /// O(log n).
    ///
    /// # Errors
    /// The rule is new, and the table is full.
    pub fn announce(&mut self, spec: FlowSpec) -> Result<RuleId, TableFull> {
        match self.rules.entry(spec.components) {
            Entry::Occupied(mut entry) => {
                let (id, actions) = entry.get_mut();
                *actions = spec.actions;
                Ok(*id)
            }
            Entry::Vacant(entry) => {
                let unused = || (self.next < self.capacity).then_some(self.next);
                let id = self.released.pop_first().or_else(unused);
                let id = id.ok_or(TableFull(self.capacity))?;
                self.next = self.next.max(id + 1);
                entry.insert((RuleId(id), spec.actions));
                Ok(RuleId(id))
            }
        }
    }

    /// Takes a rule out; returns its number if it was there. O(log n).
    ///
    /// The number is not given to another rule before it is [released](Self::release).
    pub fn withdraw(&mut self, components: &Components) -> Option<RuleId> {
        self.rules.remove(components).map(|(id, _)| id)
    }

    /// Frees the number of a rule that was withdrawn. No lcore may count on it any more.
    pub fn release(&mut self, id: RuleId) {
        self.released.insert(id.0);
    }

    /// The rules of `family` in the order in which they are looked at.
    pub fn rules(&self, family: Family) -> impl Iterator<Item = (RuleId, &Components, &Actions)> {
        self.rules
            .iter()
            .filter(move |(components, _)| components.family() == family)
            .map(|(components, (id, actions))| (*id, components, actions))
    }

    /// The rules whose actions `header` meets: the first that matches, and as long as those that
    /// match are not the last to be looked at, the next. O(n).
    pub fn applying(&self, header: &Header) -> impl Iterator<Item = (RuleId, &Actions)> {
        let mut open = true;
        self.rules
            .iter()
            .filter(|(components, _)| components.eval(header))
            .map(|(_, (id, actions))| (*id, actions))
            .take_while(move |(_, actions)| std::mem::replace(&mut open, actions.goes_on()))
    }

    /// How many rules there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}
