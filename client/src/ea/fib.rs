//! Forwarding tables: prefixes to next-hop groups, groups to adjacencies.

mod write;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64};

use driver::Driver;
use ipnet::IpNet;
use pal::publication::Grace;
use pal::region::Block;
use qfp_core::adjacency::{Group, GroupClass, GroupWord, Path};
use qfp_core::fib::{Line, v4, v6};
use qfp_core::isa::Isa;
use qfp_core::tables::table_kind;
use qfp_core::uidb::UidbIndex;

use crate::commit::{Capacity, CommitError};
use crate::rm::{Numbers, Places};

/// Members of a group and their weights, in a fixed order.
pub(crate) type Members = Vec<(u32, u8)>;

struct Interned {
    members: Members,
    users: usize,
    /// Places in the path table: first, count. Empty for a group of one.
    places: (u32, u32),
}

struct Blocks {
    cover: Block<AtomicU64>,
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
    /// Blocks of the IPv4 table for routes longer than /24.
    long_prefixes: u32,
    /// Whether the tables have been filled once: from then on they are changed in place.
    loaded: bool,
    /// Whether the present commit still waits for readers.
    patient: bool,
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
            cover: driver.alloc::<AtomicU64>(1)?.publish(),
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
            root.set(table_kind::FIB4_COVER, blocks.cover)
                .set(table_kind::FIB4_TBL24, blocks.tbl24)
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
            long_prefixes: capacity.long_prefixes,
            loaded: false,
            patient: true,
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
    ///
    /// `class` and `output` are those of the first member.
    pub(crate) fn group(
        &mut self,
        driver: &Driver,
        members: Members,
        class: GroupClass,
        output: UidbIndex,
    ) -> Result<u16, CommitError> {
        if let Some(&leaf) = self.by_members.get(&members) {
            return Ok(leaf);
        }
        let leaf = self.numbers.take()?;
        let spread = match members[..] {
            [(adjacency, _)] => Ok((adjacency, 1)),
            _ => self.spread(driver, &members),
        };
        // No lcore has seen the number: it is free again at once.
        let (first, places) = spread.inspect_err(|_| self.numbers.give(leaf))?;
        let word = GroupWord { first, output, class, places };
        let leaf = u16::try_from(leaf).unwrap_or(0);
        if let Some(group) = driver.view(self.blocks.groups).get(usize::from(leaf)) {
            group.word.store(word.pack(), Release);
        }
        let places = if members.len() == 1 { (0, 0) } else { (first, u32::from(places)) };
        self.groups.insert(leaf, Interned { members: members.clone(), users: 0, places });
        self.by_members.insert(members, leaf);
        Ok(leaf)
    }

    /// Writes the members into the path table, each as often as its weight says.
    fn spread(&mut self, driver: &Driver, members: &Members) -> Result<(u32, u16), CommitError> {
        let divisor = members.iter().fold(0, |d, (_, weight)| gcd(d, *weight)).max(1);
        // At most 64 members of weight 255.
        let count: u16 = members.iter().map(|(_, w)| u16::from(w / divisor).max(1)).sum();
        let wanted = u32::from(count);
        let first = self.places.take(wanted).ok_or(CommitError::PathsFull { wanted })?;
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

    /// Points the groups that have an adjacency among the keys of `moved` to its value.
    pub(crate) fn repoint(&mut self, driver: &Driver, moved: &HashMap<u32, u32>) {
        let (groups, paths) = (driver.view(self.blocks.groups), driver.view(self.blocks.paths));
        for (leaf, interned) in &mut self.groups {
            if !interned.members.iter().any(|member| moved.contains_key(&member.0)) {
                continue;
            }
            self.by_members.remove(&interned.members);
            for (number, _) in &mut interned.members {
                *number = moved.get(number).copied().unwrap_or(*number);
            }
            // In the order in which a commit looks for it.
            interned.members.sort_unstable();
            self.by_members.insert(interned.members.clone(), *leaf);
            let (first, count) = interned.places;
            if count == 0
                && let Some(group) = groups.get(usize::from(*leaf))
            {
                let word = GroupWord::unpack(group.word.load(Relaxed));
                let first = moved.get(&word.first).copied().unwrap_or(word.first);
                group.word.store(GroupWord { first, ..word }.pack(), Release);
            }
            for path in paths.iter().skip(first as usize).take(count as usize) {
                if let Some(new) = moved.get(&path.adjacency.load(Relaxed)) {
                    path.adjacency.store(*new, Release);
                }
            }
        }
    }

    /// One route less uses the group.
    fn release(&mut self, leaf: u16) {
        let Some(group) = self.groups.get_mut(&leaf) else { return };
        group.users = group.users.saturating_sub(1);
        if group.users == 0 {
            self.remove_group(leaf);
        }
    }

    fn remove_group(&mut self, leaf: u16) {
        let Some(group) = self.groups.remove(&leaf) else { return };
        self.by_members.remove(&group.members);
        self.freed.groups.push(leaf);
        if group.places.1 > 0 {
            self.freed.places.push(group.places);
        }
    }

    /// Removes the groups that no route has come to use.
    pub(crate) fn purge(&mut self) {
        let unused = self.groups.iter().filter(|(_, group)| group.users == 0);
        let unused: Vec<u16> = unused.map(|(leaf, _)| *leaf).collect();
        unused.into_iter().for_each(|leaf| self.remove_group(leaf));
    }

    /// Adjacencies that lcores may come to.
    pub(crate) fn used(&self) -> HashSet<u32> {
        let groups = self.groups.values().filter(|group| group.users > 0);
        groups.flat_map(|group| group.members.iter().map(|member| member.0)).collect()
    }

    /// Groups and places in use, those that wait for readers included.
    pub(crate) fn in_use(&self) -> (u32, u32) {
        (self.numbers.in_use(1), self.places.in_use())
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
