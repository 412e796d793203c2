//! The routing information base: every route of every source, and which of them count.
//!
//! One writer, no input or output. A prefix has at most one route of a [`Source`]; the one with the
//! lowest preference that leads anywhere is *selected* and goes to the forwarding tables. Routes
//! share their [`Paths`]: a *set* of paths is stored once, and resolved once, however many prefixes
//! have it. A path to an address that no interface is named for is *recursive*: it leads where the
//! longest route to that address leads, and follows it when it changes.
//!
//! Changes are collected, then `settle` says what they mean for the forwarding tables, and
//! `keep` or `undo` ends them.

mod family;
mod resolve;
mod sets;
mod show;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use qfp_core::uidb::{TableId, UidbIndex};

use family::{Candidate, Family};
pub(crate) use resolve::{AdjacencyKey, Members};
pub(crate) use sets::SetId;
use sets::Sets;
pub use show::{RouteQuery, RouteState};

/// Who says a route: the number is its administrative preference, and the lowest wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source(pub u8);

impl Source {
    /// Networks of interfaces, and own addresses.
    pub const CONNECTED: Self = Self(0);
    /// The configuration and the route file.
    pub const STATIC: Self = Self(1);
    /// Whoever asks over the API.
    pub const API: Self = Self(10);
    /// A routing daemon's forwarding plane manager.
    pub const FPM: Self = Self(20);
    /// Host routes to neighbours: before less specific routes, after all equal ones.
    pub const NEIGHBOUR: Self = Self(255);
}

impl fmt::Display for Source {
    /// Its name, else its number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match *self {
            Self::CONNECTED => "connected",
            Self::STATIC => "static",
            Self::API => "api",
            Self::FPM => "fpm",
            Self::NEIGHBOUR => "neighbour",
            Self(number) => return write!(f, "source {number}"),
        };
        f.write_str(name)
    }
}

/// Where a path leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NextHop {
    /// To a router: on the link of `interface`, or wherever the routes to its address lead.
    Via {
        /// The router.
        address: IpAddr,
        /// Its link, if it is known.
        interface: Option<UidbIndex>,
    },
    /// To the destination itself, on this link.
    OnLink(UidbIndex),
    /// Nowhere: discard.
    Drop,
    /// To the router itself.
    Receive,
    /// To the router itself, as a broadcast.
    LocalGroup,
}

/// One path of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Path {
    /// Where it leads.
    pub hop: NextHop,
    /// Its share of the traffic, relative to the other paths; 0 counts as 1.
    pub weight: u8,
}

/// The paths of a route, at most 64; those beyond are not used. Cheap to clone.
pub type Paths = Arc<[Path]>;

/// What becomes of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is there, with these paths and no others.
    Replace(Paths),
    /// It is not there.
    Withdraw,
}

/// One change of one route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteUpdate {
    /// The routing table; see [`Client::table`](crate::Client::table).
    pub table: TableId,
    /// The destinations; host bits do not count.
    pub prefix: IpNet,
    /// Who says so.
    pub source: Source,
    /// What becomes of it.
    pub action: Action,
}

/// A prefix whose selected route is another one now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) table: TableId,
    pub(crate) prefix: IpNet,
    pub(crate) old: SetId,
    pub(crate) new: SetId,
}

/// What has changed for the forwarding tables.
#[derive(Debug, Default)]
pub(crate) struct Delta {
    pub(crate) changes: Vec<Change>,
    /// Sets that were there before and lead elsewhere now.
    pub(crate) moved: Vec<SetId>,
}

/// How to take back one change.
struct Undo {
    table: TableId,
    prefix: IpNet,
    source: Source,
    before: Option<Candidate>,
}

#[derive(Default)]
struct Table {
    v4: Family<u32>,
    v6: Family<u128>,
}

/// Where a recursive next hop leads now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Hop {
    members: Members,
    /// Next hops on the longest way from here, this one included.
    height: usize,
}

/// All routes.
#[derive(Default)]
pub(crate) struct Rib {
    tables: BTreeMap<TableId, Table>,
    sets: Sets,
    hops: BTreeMap<(TableId, IpAddr), Hop>,
    /// Interfaces that are up, and their tables.
    links: HashMap<UidbIndex, TableId>,
    undo: Vec<Undo>,
    links_before: Option<HashMap<UidbIndex, TableId>>,
    hops_before: Vec<((TableId, IpAddr), Hop)>,
    members_before: Vec<(SetId, Members)>,
}

/// Calls a method of the routes of one family.
macro_rules! family {
    ($table:expr, $prefix:expr, |$family:ident, $key:ident| $body:expr) => {
        match $prefix {
            IpNet::V4(net) => {
                let ($family, $key) = (&mut $table.v4, (net.network().to_bits(), net.prefix_len()));
                $body
            }
            IpNet::V6(net) => {
                let ($family, $key) = (&mut $table.v6, (net.network().to_bits(), net.prefix_len()));
                $body
            }
        }
    };
}

impl Rib {
    /// Begins the routes of another configuration, with these interfaces.
    pub(crate) fn next_configuration(&mut self, links: HashMap<UidbIndex, TableId>) {
        self.links_before = Some(std::mem::replace(&mut self.links, links));
    }

    /// The table of an interface that is up.
    pub(crate) fn table_of(&self, uidb: UidbIndex) -> Option<TableId> {
        self.links.get(&uidb).copied()
    }

    /// The set of `paths` in `table`.
    pub(crate) fn set(&mut self, table: TableId, paths: &[Path]) -> SetId {
        let paths = &paths[..paths.len().min(crate::config::MAX_PATHS)];
        let (set, recursive) = self.sets.intern(table, paths);
        for address in recursive {
            self.hops.entry((table, address)).or_default();
        }
        set
    }

    /// Adds a route, or replaces the one of the same source.
    pub(crate) fn replace(&mut self, table: TableId, prefix: IpNet, source: Source, set: SetId) {
        self.write(table, prefix, source, Some(set));
    }

    /// Removes a route, if it is there.
    pub(crate) fn withdraw(&mut self, table: TableId, prefix: IpNet, source: Source) {
        self.write(table, prefix, source, None);
    }

    fn write(&mut self, table: TableId, prefix: IpNet, source: Source, set: Option<SetId>) {
        let candidate = set.map(|set| Candidate { set, source });
        let routes = self.tables.entry(table).or_default();
        let before = family!(routes, prefix, |family, key| family.set(key, source, candidate));
        let same = before.map(|before| before.set) == set;
        if same {
            return;
        }
        if let Some(set) = set {
            self.sets.use_one(set);
        }
        if let Some(before) = before {
            self.sets.release(before.set);
        }
        self.undo.push(Undo { table, prefix, source, before });
    }

    /// Removes all routes of tables that are not among `tables`.
    pub(crate) fn sweep_tables(&mut self, tables: &HashSet<TableId>) {
        let mut found = Vec::new();
        for (&id, table) in self.tables.iter().filter(|(id, _)| !tables.contains(id)) {
            table.v4.candidates(|key, c| found.push((id, family::net4(key), c.source)));
            table.v6.candidates(|key, c| found.push((id, family::net6(key), c.source)));
        }
        for (table, prefix, source) in found {
            self.withdraw(table, prefix, source);
        }
    }

    /// What all changes since the last end of changes mean for the forwarding tables.
    ///
    /// Linear in the changes, and in the number of different sets when a recursive next hop comes
    /// to lead elsewhere; in the number of routes when a set comes to lead nowhere or back.
    pub(crate) fn settle(&mut self) -> Delta {
        let mut delta = Delta::default();
        let hops = self.resolve_hops();
        let toggled = self.resolve_sets(&hops, &mut delta);
        let undo = std::mem::take(&mut self.undo);
        for entry in &undo {
            self.select(entry.table, entry.prefix, &mut delta);
        }
        self.undo = undo;
        if !toggled.is_empty() {
            for (table, prefix) in self.prefixes_of(&toggled) {
                self.select(table, prefix, &mut delta);
            }
        }
        delta
    }

    /// Chooses among the routes of one prefix.
    fn select(&mut self, table: TableId, prefix: IpNet, delta: &mut Delta) {
        let Some(routes) = self.tables.get_mut(&table) else { return };
        let sets = &self.sets;
        let active = |set| !sets.members(set).is_empty();
        let changed = family!(routes, prefix, |family, key| family.select(key, active));
        let Some((old, new)) = changed else { return };
        self.sets.installed(new, old);
        delta.changes.push(Change { table, prefix, old, new });
    }

    /// The prefixes that have a route with one of `sets`.
    fn prefixes_of(&self, sets: &HashSet<SetId>) -> Vec<(TableId, IpNet)> {
        let mut found = Vec::new();
        for (&id, table) in &self.tables {
            table.v4.candidates(|key, candidate| {
                if sets.contains(&candidate.set) {
                    found.push((id, family::net4(key)));
                }
            });
            table.v6.candidates(|key, candidate| {
                if sets.contains(&candidate.set) {
                    found.push((id, family::net6(key)));
                }
            });
        }
        found
    }

    /// Where a set leads; nothing for one that leads nowhere.
    pub(crate) fn members(&self, set: SetId) -> &Members {
        self.sets.members(set)
    }

    /// Makes the changes final. Returns the sets that no prefix has selected any more.
    pub(crate) fn keep(&mut self) -> Vec<SetId> {
        self.undo.clear();
        self.links_before = None;
        self.hops_before.clear();
        self.members_before.clear();
        self.tidy()
    }

    /// Takes the changes back, those of `delta` included.
    pub(crate) fn undo(&mut self, delta: &Delta) {
        let undo = std::mem::take(&mut self.undo);
        for &Undo { table, prefix, source, before } in undo.iter().rev() {
            let routes = self.tables.entry(table).or_default();
            let now = family!(routes, prefix, |family, key| family.set(key, source, before));
            if let Some(before) = before {
                self.sets.use_one(before.set);
            }
            if let Some(now) = now {
                self.sets.release(now.set);
            }
        }
        for Change { table, prefix, old, new } in delta.changes.iter().rev() {
            let routes = self.tables.entry(*table).or_default();
            family!(routes, *prefix, |family, key| family.set_selected(key, *old));
            self.sets.installed(*old, *new);
        }
        for Undo { table, prefix, .. } in undo {
            let routes = self.tables.entry(table).or_default();
            family!(routes, prefix, |family, key| family.forget_empty(key));
        }
        if let Some(links) = self.links_before.take() {
            self.links = links;
        }
        for (key, hop) in std::mem::take(&mut self.hops_before).into_iter().rev() {
            self.hops.insert(key, hop);
        }
        for (set, members) in std::mem::take(&mut self.members_before).into_iter().rev() {
            self.sets.set_members(set, members);
        }
        self.tidy();
    }

    /// Forgets sets and next hops that no route has.
    fn tidy(&mut self) -> Vec<SetId> {
        let (unselected, hops_gone) = self.sets.tidy();
        for hop in hops_gone {
            self.hops.remove(&hop);
        }
        self.tables.retain(|_, table| !table.v4.is_empty() || !table.v6.is_empty());
        unselected
    }
}

#[cfg(test)]
mod tests;
