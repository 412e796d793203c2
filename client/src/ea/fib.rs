//! Forwarding tables: prefixes to next-hop groups, groups to adjacencies.

use std::collections::HashMap;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::sync::atomic::{AtomicU16, AtomicU32};

use driver::Driver;
use ipnet::IpNet;
use pal::publication::Grace;
use pal::region::Block;
use qfp_core::adjacency::{Group, GroupWord, Path};
use qfp_core::fib::{FibError, Leaf, Line, Prefix, v4, v6};
use qfp_core::isa::Isa;
use qfp_core::step::table_kind;

use crate::commit::{Capacity, CommitError};
use crate::rm::Numbers;

/// Members of a group and their weights, in a fixed order.
pub(crate) type Members = Vec<(u32, u8)>;

struct Interned {
    members: Members,
    users: usize,
    /// Places in the path table: first, count. Empty for a group of one.
    places: (u32, u32),
}

struct Blocks {
    tbl24: Block<AtomicU16>,
    tbl8: Block<AtomicU16>,
    root6: Block<AtomicU32>,
    lines6: Block<Line>,
    deep6: Block<AtomicU32>,
    groups: Block<Group>,
    paths: Block<Path>,
}

/// The agent for forwarding tables.
pub(crate) struct FibAgent {
    blocks: Blocks,
    writer4: v4::Dir24Writer,
    writer6: v6::TrieWriter,
    /// What is in the tables now.
    routes: HashMap<IpNet, u16>,
    groups: HashMap<u16, Interned>,
    by_members: HashMap<Members, u16>,
    numbers: Numbers,
    places: Places,
    /// Counts the steps in which memory is given back.
    epoch: u64,
    waiting: Vec<Waiting>,
    freed: Freed,
}

/// Numbers that no route names any more.
#[derive(Default)]
struct Freed {
    groups: Vec<u16>,
    places: Vec<(u32, u32)>,
}

/// What waits for its last reader.
struct Waiting {
    epoch: u64,
    grace: Grace,
    freed: Freed,
}

impl FibAgent {
    pub(crate) fn new(driver: &mut Driver, capacity: &Capacity) -> Result<Self, CommitError> {
        let blocks = Blocks {
            tbl24: driver.alloc::<AtomicU16>(1 << 24)?.publish(),
            tbl8: driver.alloc::<AtomicU16>(256 * capacity.long_prefixes as usize)?.publish(),
            root6: driver.alloc::<AtomicU32>(1 << 16)?.publish(),
            lines6: driver.alloc::<Line>(capacity.ipv6_lines as usize)?.publish(),
            deep6: driver.alloc::<AtomicU32>(capacity.long_prefixes as usize)?.publish(),
            groups: driver.alloc::<Group>(1 << 16)?.publish(),
            paths: driver.alloc::<Path>(capacity.paths as usize)?.publish(),
        };
        let (writer4, writer6) = {
            let (fib4, fib6) = views(driver, &blocks)?;
            (v4::Dir24Writer::new(&fib4), v6::TrieWriter::new(&fib6))
        };
        driver.commit(|root| {
            root.set(table_kind::FIB4_TBL24, blocks.tbl24)
                .set(table_kind::FIB4_TBL8, blocks.tbl8)
                .set(table_kind::FIB6_ROOT, blocks.root6)
                .set(table_kind::FIB6_LINES, blocks.lines6)
                .set(table_kind::FIB6_DEEP, blocks.deep6)
                .set(table_kind::GROUP, blocks.groups)
                .set(table_kind::PATH, blocks.paths);
        })?;
        // Leaves share their 16 bits with the numbers of blocks for long prefixes.
        let limit = 0xffff - capacity.long_prefixes;
        Ok(Self {
            blocks,
            writer4,
            writer6,
            routes: HashMap::new(),
            groups: HashMap::new(),
            by_members: HashMap::new(),
            numbers: Numbers::new("next-hop groups", 1, limit),
            places: Places::new(capacity.paths),
            epoch: 0,
            waiting: Vec::new(),
            freed: Freed::default(),
        })
    }

    /// The group of `members`, made when there is none. Its users are counted by routes.
    pub(crate) fn group(&mut self, driver: &Driver, members: Members) -> Result<u16, CommitError> {
        if let Some(&leaf) = self.by_members.get(&members) {
            return Ok(leaf);
        }
        let word = match members[..] {
            [(adjacency, _)] => GroupWord { first: adjacency, places: 1 },
            _ => {
                let (first, places) = self.spread(driver, &members)?;
                GroupWord { first, places }
            }
        };
        let leaf = u16::try_from(self.numbers.take()?).unwrap_or(0);
        if let Some(group) = driver.view(self.blocks.groups).get(usize::from(leaf)) {
            group.word.store(word.pack(), Release);
        }
        let places = if members.len() == 1 { (0, 0) } else { (word.first, word.places) };
        self.groups.insert(leaf, Interned { members: members.clone(), users: 0, places });
        self.by_members.insert(members, leaf);
        Ok(leaf)
    }

    /// Writes the members into the path table, each as often as its weight says.
    fn spread(&mut self, driver: &Driver, members: &Members) -> Result<(u32, u32), CommitError> {
        let divisor = members.iter().fold(0, |d, (_, weight)| gcd(d, *weight)).max(1);
        let count: u32 = members.iter().map(|(_, w)| u32::from(w / divisor).max(1)).sum();
        let first = self.places.take(count).ok_or(CommitError::PathsFull { wanted: count })?;
        let paths = driver.view(self.blocks.paths);
        let mut place = first as usize;
        for (adjacency, weight) in members {
            for _ in 0..(weight / divisor).max(1) {
                if let Some(path) = paths.get(place) {
                    path.adjacency.store(*adjacency, Release);
                }
                place += 1;
            }
        }
        Ok((first, count))
    }

    /// Makes the tables hold exactly `wanted`, changing only what differs.
    pub(crate) fn replace(
        &mut self,
        driver: &mut Driver,
        wanted: HashMap<IpNet, u16>,
    ) -> Result<(), CommitError> {
        if self.routes.is_empty() {
            self.load(driver, &wanted)?;
        } else {
            for (prefix, leaf) in &wanted {
                if self.routes.get(prefix) != Some(leaf) {
                    self.write(driver, *prefix, Some(*leaf))?;
                }
            }
            let gone: Vec<IpNet> =
                self.routes.keys().filter(|p| !wanted.contains_key(*p)).copied().collect();
            for prefix in gone {
                self.write(driver, prefix, None)?;
            }
        }
        for leaf in wanted.values() {
            if let Some(group) = self.groups.get_mut(leaf) {
                group.users += 1;
            }
        }
        let old = std::mem::replace(&mut self.routes, wanted);
        for leaf in old.values() {
            self.release(driver, *leaf);
        }
        self.reclaim(driver);
        Ok(())
    }

    /// Adds or replaces one route.
    pub(crate) fn insert(
        &mut self,
        driver: &mut Driver,
        prefix: IpNet,
        leaf: u16,
    ) -> Result<(), CommitError> {
        self.write(driver, prefix, Some(leaf))?;
        if let Some(group) = self.groups.get_mut(&leaf) {
            group.users += 1;
        }
        if let Some(old) = self.routes.insert(prefix, leaf) {
            self.release(driver, old);
        }
        Ok(())
    }

    /// Removes one route, if it is there.
    pub(crate) fn remove(&mut self, driver: &mut Driver, prefix: IpNet) -> Result<(), CommitError> {
        if let Some(&leaf) = self.routes.get(&prefix) {
            self.write(driver, prefix, None)?;
            self.routes.remove(&prefix);
            self.release(driver, leaf);
        }
        Ok(())
    }

    pub(crate) fn contains(&self, prefix: &IpNet) -> bool {
        self.routes.contains_key(prefix)
    }

    pub(crate) fn len(&self) -> usize {
        self.routes.len()
    }

    /// Whether a group in use has this adjacency.
    pub(crate) fn uses(&self, adjacency: u32) -> bool {
        self.groups.values().any(|g| g.users > 0 && g.members.iter().any(|m| m.0 == adjacency))
    }

    /// Points every group that has adjacency `old` to `new`.
    pub(crate) fn repoint(&mut self, driver: &Driver, old: u32, new: u32) {
        let (groups, paths) = (driver.view(self.blocks.groups), driver.view(self.blocks.paths));
        for (leaf, interned) in &mut self.groups {
            if !interned.members.iter().any(|member| member.0 == old) {
                continue;
            }
            self.by_members.remove(&interned.members);
            for member in interned.members.iter_mut().filter(|member| member.0 == old) {
                member.0 = new;
            }
            self.by_members.insert(interned.members.clone(), *leaf);
            let (first, count) = interned.places;
            if count == 0
                && let Some(group) = groups.get(usize::from(*leaf))
            {
                group.word.store(GroupWord { first: new, places: 1 }.pack(), Release);
            }
            for path in paths.iter().skip(first as usize).take(count as usize) {
                if path.adjacency.load(Relaxed) == old {
                    path.adjacency.store(new, Release);
                }
            }
        }
    }

    fn load(&mut self, driver: &Driver, wanted: &HashMap<IpNet, u16>) -> Result<(), CommitError> {
        let (fib4, fib6) = views(driver, &self.blocks)?;
        let routes4 = wanted.iter().filter_map(|(prefix, leaf)| match prefix {
            IpNet::V4(net) => {
                Some((Prefix::new(net.addr().to_bits(), net.prefix_len())?, Leaf(*leaf)))
            }
            IpNet::V6(_) => None,
        });
        self.writer4.bulk_load(&fib4, routes4)?;
        let routes6 = wanted.iter().filter_map(|(prefix, leaf)| match prefix {
            IpNet::V6(net) => {
                Some((Prefix::new(net.addr().to_bits(), net.prefix_len())?, Leaf(*leaf)))
            }
            IpNet::V4(_) => None,
        });
        self.writer6.bulk_load(&fib6, routes6)?;
        Ok(())
    }

    /// One change; when memory that waits for readers would do, it is reclaimed first.
    fn write(
        &mut self,
        driver: &mut Driver,
        prefix: IpNet,
        leaf: Option<u16>,
    ) -> Result<(), CommitError> {
        match self.try_write(driver, prefix, leaf) {
            Err(CommitError::Fib(FibError::Full { .. })) => {
                self.reclaim(driver);
                self.try_write(driver, prefix, leaf)
            }
            result => result,
        }
    }

    fn try_write(
        &mut self,
        driver: &Driver,
        prefix: IpNet,
        leaf: Option<u16>,
    ) -> Result<(), CommitError> {
        let (fib4, fib6) = views(driver, &self.blocks)?;
        match prefix {
            IpNet::V4(net) => {
                let Some(p) = Prefix::new(net.addr().to_bits(), net.prefix_len()) else {
                    return Ok(());
                };
                match leaf {
                    Some(leaf) => drop(self.writer4.insert(&fib4, p, Leaf(leaf))?),
                    None => drop(self.writer4.remove(&fib4, p)),
                }
            }
            IpNet::V6(net) => {
                let Some(p) = Prefix::new(net.addr().to_bits(), net.prefix_len()) else {
                    return Ok(());
                };
                match leaf {
                    Some(leaf) => drop(self.writer6.insert(&fib6, p, Leaf(leaf))?),
                    None => drop(self.writer6.remove(&fib6, p)?),
                }
            }
        }
        Ok(())
    }

    /// One route less uses the group.
    fn release(&mut self, _driver: &Driver, leaf: u16) {
        let Some(group) = self.groups.get_mut(&leaf) else { return };
        group.users = group.users.saturating_sub(1);
        if group.users == 0
            && let Some(group) = self.groups.remove(&leaf)
        {
            self.by_members.remove(&group.members);
            self.freed.groups.push(leaf);
            if group.places.1 > 0 {
                self.freed.places.push(group.places);
            }
        }
    }

    /// Makes memory usable again whose last reader has passed. Does not wait.
    pub(crate) fn reclaim(&mut self, driver: &mut Driver) {
        let grace = driver.grace_period();
        let freed = std::mem::take(&mut self.freed);
        self.waiting.push(Waiting { epoch: self.epoch, grace, freed });
        self.epoch += 1;
        self.writer4.set_generation(self.epoch);
        self.writer6.set_generation(self.epoch);
        let mut passed = None;
        self.waiting.retain(|waiting| {
            if !driver.all_passed(waiting.grace) {
                return true;
            }
            passed = passed.max(Some(waiting.epoch));
            waiting.freed.groups.iter().for_each(|leaf| self.numbers.give(u32::from(*leaf)));
            waiting.freed.places.iter().for_each(|(first, n)| self.places.give(*first, *n));
            false
        });
        if let Some(epoch) = passed {
            self.writer4.reclaim(epoch);
            self.writer6.reclaim(epoch);
        }
    }
}

fn views<'a>(
    driver: &'a Driver,
    blocks: &Blocks,
) -> Result<(v4::Dir24<'a>, v6::Trie<'a>), CommitError> {
    let isa = Isa::Portable;
    Ok((
        v4::Dir24::new(driver.view(blocks.tbl24), driver.view(blocks.tbl8), isa)?,
        v6::Trie::new(
            driver.view(blocks.root6),
            driver.view(blocks.lines6),
            driver.view(blocks.deep6),
            isa,
        )?,
    ))
}

fn gcd(a: u8, b: u8) -> u8 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Runs of places in the path table, first fit.
struct Places {
    free: Vec<(u32, u32)>,
}

impl Places {
    fn new(total: u32) -> Self {
        Self { free: vec![(0, total)] }
    }

    fn take(&mut self, count: u32) -> Option<u32> {
        let at = self.free.iter().position(|(_, free)| *free >= count)?;
        let (first, free) = self.free[at];
        if free == count {
            self.free.remove(at);
        } else {
            self.free[at] = (first + count, free - count);
        }
        Some(first)
    }

    fn give(&mut self, first: u32, count: u32) {
        let at = self.free.partition_point(|(start, _)| *start < first);
        self.free.insert(at, (first, count));
        // Neighbours grow together.
        if at + 1 < self.free.len() && first + count == self.free[at + 1].0 {
            self.free[at].1 += self.free[at + 1].1;
            self.free.remove(at + 1);
        }
        if at > 0 && self.free[at - 1].0 + self.free[at - 1].1 == first {
            self.free[at - 1].1 += self.free[at].1;
            self.free.remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_places_grow_together_again() {
        let mut places = Places::new(10);
        let runs: Vec<u32> = [3, 4, 3].map(|n| places.take(n).unwrap()).to_vec();
        assert_eq!(runs, [0, 3, 7]);
        assert_eq!(places.take(1), None);
        places.give(0, 3);
        places.give(7, 3);
        assert_eq!(places.take(4), None);
        places.give(3, 4);
        assert_eq!(places.take(10), Some(0));
    }
}
