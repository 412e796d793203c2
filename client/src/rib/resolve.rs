//! Where paths lead: recursive next hops followed through the routes, weights multiplied out.
//!
//! A next hop on a connected network is on that link. Any other leads where the longest route to
//! its address leads. A route that names this very
//! address does not count, nor does one that leads nowhere: then the next shorter one does. Next
//! hops that lead in a circle, or over more than [`DEPTH`] others, lead nowhere.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;

use qfp_core::uidb::{TableId, UidbIndex};

use super::family::Candidate;
use super::sets::{SetId, recursive};
use super::{Delta, Hop, NextHop, Rib, Source};
use crate::config::MAX_PATHS;

/// What an adjacency is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum AdjacencyKey {
    /// Packets for the router itself.
    Receive,
    /// Packets for a broadcast address of a connected network.
    LocalGroup,
    /// Packets to be discarded.
    Null0,
    /// Hosts on the link of an interface.
    Glean(UidbIndex),
    /// One neighbour.
    Neighbour(UidbIndex, IpAddr),
}

/// Where a route leads: adjacencies and their shares, with no divisor in common.
pub(crate) type Members = Vec<(AdjacencyKey, u32)>;

/// Recursive next hops on the way to an adjacency.
const DEPTH: usize = 8;
/// Routes looked at for one next hop, so that next hops in many circles end, too.
///
/// Tests compare with a search that has no such end.
const BUDGET: u32 = if cfg!(test) { 1 << 22 } else { 1 << 12 };
/// A weight of one, before it is shared: divisible by all numbers up to 16.
const ONE: u64 = 720_720;

type Known = HashMap<(TableId, IpAddr), Hop>;

/// A next hop being followed.
struct Walk<'a> {
    known: &'a mut Known,
    way: Vec<IpAddr>,
    budget: u32,
    /// Whether a circle, or an end of patience, was met: then what was found holds on this way only.
    cut: bool,
}

impl Rib {
    /// Follows the next hops that changes may have touched. Returns those that lead elsewhere now.
    pub(super) fn resolve_hops(&mut self) -> HashSet<(TableId, IpAddr)> {
        let mut dirty: BTreeSet<(TableId, IpAddr)> = BTreeSet::new();
        let new = self.sets.take_new();
        for &set in &new {
            let (table, paths) = self.sets.paths(set);
            dirty.extend(recursive(paths).map(|address| (table, address)));
        }
        if self.links_before.is_some() {
            dirty.extend(self.hops.keys().copied());
        } else if !self.hops.is_empty() {
            for undo in &self.undo {
                let (first, last) = (undo.prefix.network(), undo.prefix.broadcast());
                let inside = self.hops.range((undo.table, first)..=(undo.table, last));
                dirty.extend(inside.map(|(hop, _)| *hop));
            }
        }
        self.sets.requeue(new);
        if dirty.is_empty() {
            return HashSet::new();
        }
        dirty.extend(self.hops.iter().filter(|(_, hop)| hop.height > 1).map(|(key, _)| *key));
        let mut known = Known::new();
        let mut changed = HashSet::new();
        for key in dirty {
            let hop = self.follow(key, &mut known);
            let Some(slot) = self.hops.get_mut(&key) else { continue };
            let before = std::mem::replace(slot, hop);
            if before.members != slot.members {
                changed.insert(key);
            }
            if before != *slot {
                self.hops_before.push((key, before));
            }
        }
        changed
    }

    /// Sets the members of new sets and of those with a next hop among `hops`. Returns the sets
    /// that have come to lead somewhere or nowhere.
    pub(super) fn resolve_sets(
        &mut self,
        hops: &HashSet<(TableId, IpAddr)>,
        delta: &mut Delta,
    ) -> HashSet<SetId> {
        let mut dirty = self.sets.take_new();
        if self.links_before.is_some() {
            dirty = self.sets.all().collect();
        } else if !hops.is_empty() {
            let touched = |set: &SetId| {
                let (table, paths) = self.sets.paths(*set);
                recursive(paths).any(|address| hops.contains(&(table, address)))
            };
            dirty.extend(self.sets.all().filter(touched));
        }
        let mut toggled = HashSet::new();
        for set in dirty {
            let members = self.lead(set);
            if members == *self.sets.members(set) && !members.is_empty() {
                continue;
            }
            let now = members.is_empty();
            let Some(before) = self.sets.set_members(set, members) else { continue };
            if before == *self.sets.members(set) {
                continue;
            }
            if before.is_empty() != now {
                toggled.insert(set);
            } else {
                delta.moved.push(set);
            }
            self.members_before.push((set, before));
        }
        toggled
    }

    /// Where a set leads, from what is known of its next hops.
    fn lead(&self, set: SetId) -> Members {
        let (table, paths) = self.sets.paths(set);
        let mut all = Vec::new();
        for path in paths {
            let share = u64::from(path.weight.max(1)) * ONE;
            match path.hop {
                NextHop::Via { address, interface: None } => {
                    let hop = self.hops.get(&(table, address));
                    spread(share, hop.map_or(&[], |hop| &hop.members), &mut all);
                }
                hop => all.extend(self.direct(hop, None).map(|key| (key, share))),
            }
        }
        finish(all)
    }

    /// The adjacency of a path that needs no lookup. With `address`, of a packet to that address.
    fn direct(&self, hop: NextHop, address: Option<IpAddr>) -> Option<AdjacencyKey> {
        let up = |uidb| self.links.contains_key(&uidb);
        match (hop, address) {
            (NextHop::Via { address, interface: Some(uidb) }, _) if up(uidb) => {
                Some(AdjacencyKey::Neighbour(uidb, address))
            }
            (NextHop::OnLink(uidb), Some(address)) if up(uidb) => {
                Some(AdjacencyKey::Neighbour(uidb, address))
            }
            (NextHop::OnLink(uidb), None) if up(uidb) => Some(AdjacencyKey::Glean(uidb)),
            (NextHop::Drop, _) => Some(AdjacencyKey::Null0),
            (NextHop::Receive, None) => Some(AdjacencyKey::Receive),
            (NextHop::LocalGroup, None) => Some(AdjacencyKey::LocalGroup),
            _ => None,
        }
    }

    fn follow(&self, key: (TableId, IpAddr), known: &mut Known) -> Hop {
        let mut walk = Walk { known, way: Vec::new(), budget: BUDGET, cut: false };
        self.step(key, &mut walk)
    }

    fn step(&self, key: (TableId, IpAddr), walk: &mut Walk<'_>) -> Hop {
        if let Some(hop) = walk.known.get(&key)
            && walk.way.len() + hop.height <= DEPTH
        {
            return hop.clone();
        }
        if walk.way.contains(&key.1) || walk.way.len() >= DEPTH || walk.budget == 0 {
            walk.cut = true;
            return Hop::default();
        }
        let cut_before = std::mem::replace(&mut walk.cut, false);
        walk.way.push(key.1);
        let mut found = Hop { members: Members::new(), height: 1 };
        let mut routes = self.covering(key);
        if let Some(at) = routes.iter().position(|route| route.source == Source::CONNECTED) {
            // Also for ourselves, and then it is no way to anybody else.
            routes = vec![routes[at]];
        }
        for route in routes {
            walk.budget = walk.budget.saturating_sub(1);
            let (_, paths) = self.sets.paths(route.set);
            if recursive(paths).any(|address| address == key.1) {
                continue;
            }
            let mut all = Vec::new();
            for path in paths {
                let share = u64::from(path.weight.max(1)) * ONE;
                match path.hop {
                    NextHop::Via { address, interface: None } => {
                        let hop = self.step((key.0, address), walk);
                        found.height = found.height.max(2).max(hop.height + 1);
                        spread(share, &hop.members, &mut all);
                    }
                    hop => all.extend(self.direct(hop, Some(key.1)).map(|k| (k, share))),
                }
            }
            found.members = finish(all);
            if !found.members.is_empty() {
                break;
            }
        }
        walk.way.pop();
        if !walk.cut {
            walk.known.insert(key, found.clone());
        }
        walk.cut |= cut_before;
        found
    }

    fn covering(&self, (table, address): (TableId, IpAddr)) -> Vec<Candidate> {
        let Some(table) = self.tables.get(&table) else { return Vec::new() };
        match address {
            IpAddr::V4(address) => table.v4.covering(address.to_bits()),
            IpAddr::V6(address) => table.v6.covering(address.to_bits()),
        }
    }
}

/// Adds `members` with `share` in all.
fn spread(share: u64, members: &[(AdjacencyKey, u32)], all: &mut Vec<(AdjacencyKey, u64)>) {
    let total: u64 = members.iter().map(|(_, weight)| u64::from(*weight)).sum();
    let part = |weight: u32| (share * u64::from(weight)).checked_div(total).unwrap_or(0).max(1);
    all.extend(members.iter().map(|(key, weight)| (*key, part(*weight))));
}

/// Equal members put together, in order, with the smallest weights of the same ratio.
fn finish(mut all: Vec<(AdjacencyKey, u64)>) -> Members {
    if all.iter().any(|(key, _)| *key != AdjacencyKey::Null0) {
        all.retain(|(key, _)| *key != AdjacencyKey::Null0);
    }
    all.sort_unstable();
    all.dedup_by(|next, first| {
        let same = next.0 == first.0;
        if same {
            first.1 += next.1;
        }
        same
    });
    all.truncate(MAX_PATHS);
    let divisor = all.iter().fold(0, |d, (_, weight)| gcd(d, *weight)).max(1);
    let mut shift = 0;
    while all.iter().any(|(_, weight)| (weight / divisor) >> shift > u64::from(u32::MAX)) {
        shift += 1;
    }
    let weight = |w: u64| u32::try_from((w / divisor) >> shift).unwrap_or(u32::MAX).max(1);
    all.into_iter().map(|(key, w)| (key, weight(w))).collect()
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
