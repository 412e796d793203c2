//! Next-hop groups: made for sets of paths, changed in place when the sets lead elsewhere.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::Ordering::{Relaxed, Release};

use driver::Driver;
use pal::faults::{Plant, is_planted};
use pal::pool::Span;
use qfp_core::adjacency::{GroupClass, GroupWord};
use qfp_core::uidb::{TableId, UidbIndex};

use super::spread::Spread;
use super::tables::Writers;
use super::{FibAgent, default_leaf};
use crate::commit::CommitError;
use crate::ea::{AdjacencyAgent, Rows};
use crate::rib::{AdjacencyKey, Delta, Rib, SetId};

/// Adjacencies of a group.
#[derive(Clone, Debug)]
pub(super) struct NextHops {
    set: SetId,
    keys: Vec<AdjacencyKey>,
    numbers: Vec<u32>,
    /// Its places and the first of them in the path table; none for a group of one.
    spread: Option<(Spread, u32)>,
}

/// What groups are made of.
struct Grouping<'a> {
    driver: &'a Driver,
    adjacencies: &'a mut AdjacencyAgent,
    rows: &'a mut Rows,
    rib: &'a Rib,
}

/// What a change of routes does to the groups, prepared where no lcore sees it.
#[derive(Default)]
pub(crate) struct Plan {
    /// Groups that no lcore can come to yet.
    created: Vec<(u16, SetId)>,
    /// Groups as they will be.
    updates: Vec<(u16, NextHops)>,
    /// Tables with other routes.
    pub(super) tables: BTreeSet<TableId>,
}

impl NextHops {
    fn word(&self) -> u64 {
        let (key, number) = match (self.keys.first(), self.numbers.first()) {
            (Some(key), Some(number)) => (*key, *number),
            _ => return GroupWord::NONE,
        };
        let (class, output) = match key {
            AdjacencyKey::Receive | AdjacencyKey::LocalGroup => {
                (GroupClass::Receive, UidbIndex::RP)
            }
            AdjacencyKey::Null0 => (GroupClass::Null0, UidbIndex::NONE),
            AdjacencyKey::Glean(uidb) | AdjacencyKey::Neighbour(uidb, _) => {
                (GroupClass::Forward, uidb)
            }
        };
        let (first, places) = match &self.spread {
            None => (number, 1),
            Some((spread, first)) => (*first, u16::try_from(spread.len()).unwrap_or(u16::MAX)),
        };
        GroupWord { first, output, class, places }.pack()
    }

    /// Lends the places of members that were lost to the others.
    fn lend(&mut self, adjacencies: &AdjacencyAgent) {
        if let Some((spread, _)) = &mut self.spread {
            let rows = self.keys.iter().copied().zip(self.numbers.iter().copied());
            spread.set_alive(adjacencies.alive(rows));
        }
    }

    fn places(&self) -> Option<Span> {
        let (spread, first) = self.spread.as_ref()?;
        Some(Span { first: *first, count: u32::try_from(spread.len()).unwrap_or(u32::MAX) })
    }
}

impl FibAgent {
    /// Prepares the groups that `delta` needs, and its routes. Nothing that an lcore can come to is
    /// written.
    ///
    /// # Errors
    /// A table has no room.
    pub(crate) fn prepare(
        &mut self,
        driver: &Driver,
        agent: (&mut AdjacencyAgent, &mut Rows),
        rib: &Rib,
        delta: &Delta,
        plan: &mut Plan,
    ) -> Result<(), CommitError> {
        let mut group = Grouping { driver, adjacencies: agent.0, rows: agent.1, rib };
        self.plan_groups(&mut group, delta, plan)?;
        self.prepare_routes(driver, delta, plan)
    }

    fn plan_groups(
        &mut self,
        from: &mut Grouping<'_>,
        delta: &Delta,
        plan: &mut Plan,
    ) -> Result<(), CommitError> {
        let mut last = SetId::NONE;
        for change in &delta.changes {
            if change.new == SetId::NONE {
                continue;
            }
            if change.prefix.prefix_len() == 0 {
                let leaf = default_leaf(change.table, change.prefix.addr().is_ipv6());
                if !self.groups.contains_key(&leaf) {
                    plan.created.push((leaf, SetId::NONE));
                }
                self.plan_one(from, change.new, Some(leaf), leaf, plan)?;
                continue;
            }
            // Routes of one set often come in a row.
            if change.new != last && !self.leaves.contains_key(&change.new) {
                let like = self.leaves.get(&change.old).copied();
                let leaf = self.numbers.alloc()?;
                self.leaves.insert(change.new, leaf);
                plan.created.push((leaf, change.new));
                self.plan_one(from, change.new, like, leaf, plan)?;
            }
            last = change.new;
        }
        if delta.moved.is_empty() {
            return Ok(());
        }
        let moved: HashSet<SetId> = delta.moved.iter().copied().collect();
        let mut done: HashSet<u16> = plan.updates.iter().map(|(leaf, _)| *leaf).collect();
        // The group of a default route goes with it, wherever its set leads now.
        let gone = delta.changes.iter().filter(|change| change.new == SetId::NONE);
        let gone = gone.filter(|change| change.prefix.prefix_len() == 0);
        done.extend(gone.map(|c| default_leaf(c.table, c.prefix.addr().is_ipv6())));
        let touched = self
            .groups
            .iter()
            .filter(|(leaf, group)| moved.contains(&group.set) && !done.contains(leaf));
        let touched: Vec<_> = touched.map(|(leaf, group)| (*leaf, group.set)).collect();
        for (leaf, set) in touched {
            self.plan_one(from, set, Some(leaf), leaf, plan)?;
        }
        Ok(())
    }

    /// Prepares the group `leaf` for `set`, with flows where the group `like` has them. A group
    /// that is there already is changed later.
    fn plan_one(
        &mut self,
        from: &mut Grouping<'_>,
        set: SetId,
        like: Option<u16>,
        leaf: u16,
        plan: &mut Plan,
    ) -> Result<(), CommitError> {
        let members = from.rib.members(set);
        let keys: Vec<AdjacencyKey> = members.iter().map(|(key, _)| *key).collect();
        let weights: Vec<u32> = members.iter().map(|(_, weight)| *weight).collect();
        let mut numbers = Vec::with_capacity(keys.len());
        for key in &keys {
            numbers.push(from.adjacencies.get(from.driver, *key, from.rows)?);
        }
        let adjacencies = &*from.adjacencies;
        let spread =
            self.places_for(adjacencies, &keys, weights, &numbers, like, like == Some(leaf))?;
        let group = NextHops { set, keys, numbers, spread };
        if self.groups.contains_key(&leaf) {
            plan.updates.push((leaf, group));
        } else {
            self.store(from.driver, leaf, &group);
            self.groups.insert(leaf, group);
        }
        Ok(())
    }

    /// The places of a group: those of the group `like` as far as possible. With `same`, it is
    /// that group that changes, and its places are used again if there are as many.
    fn places_for(
        &mut self,
        adjacencies: &AdjacencyAgent,
        keys: &[AdjacencyKey],
        weights: Vec<u32>,
        numbers: &[u32],
        like: Option<u16>,
        same: bool,
    ) -> Result<Option<(Spread, u32)>, CommitError> {
        let like = like.and_then(|leaf| self.groups.get(&leaf));
        let old = like.and_then(|group| Some((group, group.spread.as_ref()?)));
        let derived = old.and_then(|(group, (spread, first))| {
            let place = |key: &AdjacencyKey| group.keys.iter().position(|known| known == key);
            let old: Vec<Option<usize>> = keys.iter().map(place).collect();
            Some((spread.derive(weights.clone(), &old)?, *first))
        });
        if keys.len() <= 1 && !(same && derived.is_some()) {
            return Ok(None);
        }
        let (mut spread, first) = match derived {
            Some((spread, first)) => (spread, same.then_some(first)),
            None => (Spread::new(weights), None),
        };
        spread.set_alive(adjacencies.alive(keys.iter().copied().zip(numbers.iter().copied())));
        let wanted = u32::try_from(spread.len()).unwrap_or(u32::MAX);
        let first = match first {
            Some(first) => first,
            None => self.places.alloc_span(wanted)?.first,
        };
        Ok(Some((spread, first)))
    }

    /// Gives up what was prepared.
    pub(crate) fn abort(&mut self, plan: Plan) {
        for table in &plan.tables {
            self.writers.get_mut(table).into_iter().for_each(Writers::abort);
        }
        for (leaf, set) in plan.created {
            if self.leaves.remove(&set).is_none() {
                // Its number is that of the default route before it.
                self.remove_group(leaf);
                continue;
            }
            if !is_planted(Plant::HalfRefused) {
                self.numbers.give_back(leaf);
            }
            let places = self.groups.remove(&leaf).and_then(|group| group.places());
            places.into_iter().for_each(|places| self.places.give_back_span(places));
        }
        for (leaf, group) in plan.updates {
            let kept = self.groups.get(&leaf).and_then(NextHops::places);
            let new = group.places().filter(|new| kept != Some(*new));
            new.into_iter().for_each(|new| self.places.give_back_span(new));
        }
    }

    /// Has lcores see what was prepared, with the rows that adjacencies have now.
    pub(crate) fn publish(
        &mut self,
        driver: &Driver,
        adjacencies: &AdjacencyAgent,
        rows: &Rows,
        delta: &Delta,
        plan: &mut Plan,
    ) {
        self.rewrite(driver, adjacencies, &rows.touched());
        self.publish_routes(driver, delta, plan);
        for (leaf, mut group) in std::mem::take(&mut plan.updates) {
            group.lend(adjacencies);
            self.store(driver, leaf, &group);
            let places = group.places();
            let old = self.groups.insert(leaf, group).and_then(|old| old.places());
            let old = old.filter(|old| places != Some(*old));
            old.into_iter().for_each(|old| self.places.retire_span(old));
        }
    }

    /// Writes a group: its places, then the word that leads to them.
    fn store(&self, driver: &Driver, leaf: u16, group: &NextHops) {
        if let Some((spread, first)) = &group.spread {
            let paths = driver.view(self.paths_block).iter().skip(*first as usize);
            for (path, member) in paths.zip(spread.members()) {
                let number = group.numbers.get(member).copied().unwrap_or(0);
                if path.adjacency.load(Relaxed) != number {
                    pal::faults::store();
                    path.adjacency.store(number, Release);
                }
            }
        }
        let word = group.word();
        if let Some(row) = driver.view(self.groups_block).get(usize::from(leaf))
            && row.word.load(Relaxed) != word
        {
            pal::faults::store();
            row.word.store(word, Release);
        }
    }

    /// The leaf of a set that has a group.
    pub(super) fn leaf(&self, set: SetId) -> u16 {
        self.leaves.get(&set).copied().unwrap_or(0)
    }

    /// Removes the groups of sets that no prefix has any more.
    pub(crate) fn remove(&mut self, sets: &[SetId]) {
        for set in sets {
            if let Some(leaf) = self.leaves.remove(set) {
                self.remove_group(leaf);
                self.numbers.retire(leaf);
            }
        }
    }

    pub(super) fn remove_group(&mut self, leaf: u16) {
        let places = self.groups.remove(&leaf).and_then(|group| group.places());
        places.into_iter().for_each(|places| self.places.retire_span(places));
    }

    /// Whether a group has this adjacency.
    pub(crate) fn uses(&self, adjacency: u32) -> bool {
        self.groups.values().any(|group| group.numbers.contains(&adjacency))
    }

    /// Adjacencies that lcores may come to.
    pub(crate) fn used(&self) -> HashSet<u32> {
        self.groups.values().flat_map(|group| group.numbers.iter().copied()).collect()
    }

    /// Writes the groups again that have an adjacency among the keys of `touched`, with its value
    /// instead. In groups with others that are known, the places of a neighbour that was lost lead
    /// to them as long as it is away.
    fn rewrite(
        &mut self,
        driver: &Driver,
        adjacencies: &AdjacencyAgent,
        touched: &HashMap<u32, u32>,
    ) {
        if touched.is_empty() {
            return;
        }
        let mut groups = std::mem::take(&mut self.groups);
        for (leaf, group) in &mut groups {
            let mut is_touched = false;
            for number in &mut group.numbers {
                if let Some(new) = touched.get(number) {
                    (*number, is_touched) = (*new, true);
                }
            }
            if is_touched {
                group.lend(adjacencies);
                self.store(driver, *leaf, group);
            }
        }
        self.groups = groups;
    }
}
