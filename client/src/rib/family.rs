//! The routes of one table and one address family, by prefix.

use std::collections::BTreeMap;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use prefix_trie::PrefixMap;
use qfp_core::fib::Address;

use super::{SetId, Source};

/// A route of one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) set: SetId,
    pub(super) source: Source,
}

/// The routes of one prefix.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// The one of the lowest source. Few prefixes have another.
    best: Option<Candidate>,
    selected: SetId,
}

/// Address and length.
pub(super) type Key<A> = (A, u8);

/// A route as it is shown: whose it is, its paths, and whether it counts.
pub(super) type Selection = (Source, SetId, bool);

/// The routes of one table and family.
pub(super) struct Family<A: Address> {
    map: PrefixMap<Key<A>, Entry>,
    /// Routes beside the best one of their prefix.
    beaten: BTreeMap<(Key<A>, Source), Candidate>,
}

impl<A: Address> Default for Family<A> {
    fn default() -> Self {
        Self { map: PrefixMap::new(), beaten: BTreeMap::new() }
    }
}

impl<A: Address> Family<A> {
    pub(super) fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// Sets or removes the route of one source, and returns what it was.
    pub(super) fn set(
        &mut self,
        key: Key<A>,
        source: Source,
        new: Option<Candidate>,
    ) -> Option<Candidate> {
        let Some(entry) = self.map.get_mut(&key) else {
            if new.is_some() {
                self.map.insert(key, Entry { best: new, selected: SetId::NONE });
            }
            return None;
        };
        match (entry.best, new) {
            (None, _) => {
                entry.best = new;
                None
            }
            (Some(best), _) if best.source == source => {
                let first = (key, Source(0))..=(key, Source(u8::MAX));
                entry.best = new.or_else(|| {
                    let next = self.beaten.range(first).next().map(|(k, _)| *k)?;
                    self.beaten.remove(&next)
                });
                Some(best)
            }
            (Some(best), Some(_)) if source < best.source => {
                self.beaten.insert((key, best.source), best);
                entry.best = new;
                None
            }
            (Some(_), Some(new)) => self.beaten.insert((key, source), new),
            (Some(_), None) => self.beaten.remove(&(key, source)),
        }
    }

    /// Selects the first route whose set is `active`. Returns the set before and now, if they
    /// differ.
    pub(super) fn select(
        &mut self,
        key: Key<A>,
        active: impl Fn(SetId) -> bool,
    ) -> Option<(SetId, SetId)> {
        let entry = self.map.get_mut(&key)?;
        let old = entry.selected;
        let new = match entry.best {
            None => SetId::NONE,
            Some(best) if active(best.set) => best.set,
            Some(_) => {
                let beaten = self.beaten.range((key, Source(0))..=(key, Source(u8::MAX)));
                let mut sets = beaten.map(|(_, candidate)| candidate.set);
                sets.find(|set| active(*set)).unwrap_or(SetId::NONE)
            }
        };
        entry.selected = new;
        if entry.best.is_none() {
            self.map.remove(&key);
        }
        (old != new).then_some((old, new))
    }

    pub(super) fn set_selected(&mut self, key: Key<A>, set: SetId) {
        if let Some(entry) = self.map.get_mut(&key) {
            entry.selected = set;
        }
    }

    /// Removes the prefix when it has no route.
    pub(super) fn forget_empty(&mut self, key: Key<A>) {
        if self.map.get(&key).is_some_and(|entry| entry.best.is_none()) {
            self.map.remove(&key);
        }
    }

    /// Calls `each` with every route.
    pub(super) fn candidates(&self, mut each: impl FnMut(Key<A>, &Candidate)) {
        for (key, entry) in &self.map {
            if let Some(best) = &entry.best {
                each(key, best);
            }
        }
        for ((key, _), candidate) in &self.beaten {
            each(*key, candidate);
        }
    }

    /// Calls `each` with every route in the order of prefixes, until it says no.
    pub(super) fn all(&self, mut each: impl FnMut(Key<A>, Selection) -> bool) {
        for (key, entry) in &self.map {
            if !self.of_entry(key, entry, &mut |one| each(key, one)) {
                return;
            }
        }
    }

    /// Calls `each` with every route of a prefix, until it says no.
    pub(super) fn at(&self, key: Key<A>, mut each: impl FnMut(Selection) -> bool) {
        if let Some(entry) = self.map.get(&key) {
            self.of_entry(key, entry, &mut each);
        }
    }

    fn of_entry(
        &self,
        key: Key<A>,
        entry: &Entry,
        each: &mut dyn FnMut(Selection) -> bool,
    ) -> bool {
        let of_prefix = (key, Source(0))..=(key, Source(u8::MAX));
        let beaten = self.beaten.range(of_prefix).map(|(_, candidate)| candidate);
        let mut selected = Some(entry.selected).filter(|set| *set != SetId::NONE);
        for candidate in entry.best.iter().chain(beaten) {
            // Of two sources with the same paths the first one counts.
            let counts = selected.take_if(|set| *set == candidate.set).is_some();
            if !each((candidate.source, candidate.set, counts)) {
                return false;
            }
        }
        true
    }

    /// The longest prefix with a route to an address that leads anywhere.
    pub(super) fn longest(&self, address: A) -> Option<Key<A>> {
        let covering = self.map.cover(&(address, A::BITS));
        let active = covering.filter(|(_, entry)| entry.selected != SetId::NONE);
        active.last().map(|(key, _)| key)
    }

    /// The routes to an address, in the order in which they count.
    pub(super) fn covering(&self, address: A) -> Vec<Candidate> {
        let key = (address, A::BITS);
        let mut routes = Vec::new();
        let entries: Vec<_> = self.map.cover(&key).collect();
        for (key, entry) in entries.into_iter().rev() {
            routes.extend(entry.best);
            if !self.beaten.is_empty() {
                let beaten = self.beaten.range((key, Source(0))..=(key, Source(u8::MAX)));
                routes.extend(beaten.map(|(_, candidate)| *candidate));
            }
        }
        routes
    }
}

pub(super) fn net4((address, len): Key<u32>) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(address.into(), len))
}

pub(super) fn net6((address, len): Key<u128>) -> IpNet {
    IpNet::V6(Ipv6Net::new_assert(address.into(), len))
}
