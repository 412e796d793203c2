//! Route maps as the operator says them.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use super::EntryError;
use crate::acl::Name;
use crate::ios::Description;

/// Whether packets that match are treated specially.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The sets apply.
    Permit,
    /// Routed as usual. Sets count for nothing.
    Deny,
}

/// What an entry matches: all that is given must hold. Nothing given matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matches {
    /// IPv4 access lists, one of which must permit. If there are any, IPv6 packets need one of
    /// [`ipv6`](Self::ipv6).
    pub ipv4: Vec<Name>,
    /// IPv6 access lists, likewise.
    pub ipv6: Vec<Name>,
    /// Length of the packet from its IP header on, in octets.
    pub length: Option<RangeInclusive<u32>>,
}

/// A new code point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mark {
    /// All six bits, 0 to 63.
    Dscp(u8),
    /// The upper three, 0 to 7; the others stay.
    Precedence(u8),
}

/// What happens to the packets of an entry; nothing, unless more is said.
///
/// The first that works decides where a packet goes: a next hop that is up, the null interface, a
/// route that is more specific than the default route, a default next hop that is up, and then the
/// default route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sets {
    /// IPv4 next hops, the first that is up.
    pub next_hops4: Vec<Ipv4Addr>,
    /// IPv6 next hops, the first that is up.
    pub next_hops6: Vec<Ipv6Addr>,
    /// IPv4 next hops in the place of the default route.
    pub default_next_hops4: Vec<Ipv4Addr>,
    /// IPv6 next hops in the place of the default route.
    pub default_next_hops6: Vec<Ipv6Addr>,
    /// The VRF in which to look for a route. Then there are neither next hops nor null interface.
    pub vrf: Option<Name>,
    /// Dropped, if no next hop is up: interface Null0.
    pub null0: bool,
    /// A new code point.
    pub mark: Option<Mark>,
}

/// One entry of a route map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Whether the sets apply.
    pub action: Action,
    /// What the operator notes about it.
    pub description: Option<Description>,
    /// What it matches.
    pub matches: Matches,
    /// What happens then.
    pub sets: Sets,
}

impl Entry {
    /// An entry that matches everything and sets nothing.
    #[must_use]
    pub fn new(action: Action) -> Self {
        let (matches, sets) = (Matches::default(), Sets::default());
        Self { action, description: None, matches, sets }
    }
}

/// Entries by sequence number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteMap {
    name: Name,
    entries: BTreeMap<u16, Entry>,
}

impl RouteMap {
    /// A route map without entries. All packets are routed as usual.
    #[must_use]
    pub fn new(name: Name) -> Self {
        Self { name, entries: BTreeMap::new() }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// The entries in the order in which they are looked at.
    pub fn entries(&self) -> impl Iterator<Item = (u16, &Entry)> {
        self.entries.iter().map(|(sequence, entry)| (*sequence, entry))
    }

    /// Adds an entry, or puts it in the place of the one of its number, which it gives.
    ///
    /// # Errors
    /// The entry cannot be carried out.
    pub fn insert(&mut self, sequence: u16, entry: Entry) -> Result<Option<Entry>, EntryError> {
        entry.check()?;
        Ok(self.entries.insert(sequence, entry))
    }

    /// Takes an entry out. Gives it.
    pub fn remove(&mut self, sequence: u16) -> Option<Entry> {
        self.entries.remove(&sequence)
    }
}

/// Route maps by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteMaps(BTreeMap<Name, RouteMap>);

impl RouteMaps {
    /// The route map of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&RouteMap> {
        self.0.get(name)
    }

    /// The route map of this name, to edit.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut RouteMap> {
        self.0.get_mut(name)
    }

    /// The route map of this name; a new one if there was none.
    pub(super) fn get_or_new(&mut self, name: Name) -> &mut RouteMap {
        self.0.entry(name.clone()).or_insert_with(|| RouteMap::new(name))
    }

    /// All of them in order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &RouteMap> {
        self.0.values()
    }

    /// Adds a route map, or puts it in the place of the one of its name, which it gives.
    pub fn insert(&mut self, map: RouteMap) -> Option<RouteMap> {
        self.0.insert(map.name.clone(), map)
    }

    /// Takes a route map out. Gives it.
    pub fn remove(&mut self, name: &str) -> Option<RouteMap> {
        self.0.remove(name)
    }
}
