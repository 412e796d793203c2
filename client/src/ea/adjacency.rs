//! Adjacencies: what is put in front of a packet for each next hop.
//!
//! An adjacency is written in place. Losing a neighbour is one store. A neighbour whose address
//! changes gets another row, and the groups that used the old one are pointed to it, because
//! lcores may be reading the old row this moment.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::atomic::Ordering::{Relaxed, Release};

use driver::{Driver, DriverError};
use pal::publication::Grace;
use pal::region::Block;
use qfp_core::adjacency::{Adjacency, AdjacencyKind, AdjacencyState, REWRITE_MAX};
use qfp_core::tables::table_kind;
use qfp_core::uidb::UidbIndex;

use crate::rm::{Exhausted, Numbers};

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

/// MAC addresses of neighbours.
pub(crate) type Macs = HashMap<(UidbIndex, IpAddr), [u8; 6]>;

/// What frames of an interface look like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LinkFacts {
    pub(crate) mac: [u8; 6],
    /// Tags, outer first, as they stand in a frame.
    pub(crate) tags: Vec<[u8; 4]>,
    pub(crate) mtu: u16,
    pub(crate) featured: bool,
    /// There is one neighbour, and nobody has to ask for its address.
    pub(crate) point_to_point: bool,
}

/// The agent for adjacencies.
pub(crate) struct AdjacencyAgent {
    table: Block<Adjacency>,
    numbers: Numbers,
    by_key: HashMap<AdjacencyKey, u32>,
    macs: HashMap<u32, [u8; 6]>,
    links: HashMap<UidbIndex, LinkFacts>,
    /// Rows that were complete once: not to be written before this has passed.
    lost: HashMap<u32, Grace>,
    retired: Vec<(u32, Grace)>,
}

impl AdjacencyAgent {
    pub(crate) fn new(driver: &mut Driver, capacity: u32) -> Result<Self, DriverError> {
        let table = driver.alloc::<Adjacency>(capacity as usize)?.publish();
        driver.commit(|root| {
            root.set(table_kind::ADJACENCY, table);
        })?;
        Ok(Self {
            table,
            numbers: Numbers::new("adjacencies", 1, capacity),
            by_key: HashMap::new(),
            macs: HashMap::new(),
            links: HashMap::new(),
            lost: HashMap::new(),
            retired: Vec::new(),
        })
    }

    /// Sets what frames of each interface look like, for rows written from now on. Returns what
    /// was set before.
    pub(crate) fn set_links(
        &mut self,
        links: HashMap<UidbIndex, LinkFacts>,
    ) -> HashMap<UidbIndex, LinkFacts> {
        std::mem::replace(&mut self.links, links)
    }

    /// The adjacency for `key`, made when there is none: a neighbour's starts incomplete.
    pub(crate) fn get(&mut self, driver: &Driver, key: AdjacencyKey) -> Result<u32, Exhausted> {
        if let Some(&number) = self.by_key.get(&key) {
            return Ok(number);
        }
        let number = self.numbers.take()?;
        self.by_key.insert(key, number);
        self.write_new(driver, number, key);
        Ok(number)
    }

    /// Whether all that leaves by an interface goes to one neighbour.
    pub(crate) fn is_point_to_point(&self, uidb: UidbIndex) -> bool {
        self.links.get(&uidb).is_some_and(|link| link.point_to_point)
    }

    /// Writes a row that nobody sees yet: a neighbour's is incomplete, unless there is nothing to be
    /// known of it.
    fn write_new(&mut self, driver: &Driver, number: u32, key: AdjacencyKey) {
        if let AdjacencyKey::Neighbour(uidb, address) = key
            && self.is_point_to_point(uidb)
        {
            return self.complete(driver, number, uidb, address, [0; 6]);
        }
        let (kind, uidb) = match key {
            AdjacencyKey::Receive => (AdjacencyKind::Receive, UidbIndex::RP),
            AdjacencyKey::LocalGroup => (AdjacencyKind::LocalGroup, UidbIndex::RP),
            AdjacencyKey::Null0 => (AdjacencyKind::Null0, UidbIndex::NONE),
            AdjacencyKey::Glean(uidb) => (AdjacencyKind::Glean, uidb),
            AdjacencyKey::Neighbour(uidb, _) => (AdjacencyKind::Incomplete, uidb),
        };
        let next_hop = match key {
            AdjacencyKey::Neighbour(_, address) => Some(address),
            _ => None,
        };
        let link = self.links.get(&uidb);
        if let Some(row) = driver.view(self.table).get(number as usize) {
            row.output.store(uidb.0, Relaxed);
            store_next_hop(row, next_hop);
            let mtu = link.map_or(u16::MAX, |link| link.mtu);
            row.state.store(AdjacencyState { kind, rewrite_len: 0, mtu }.pack(), Release);
        }
    }

    /// Completes a neighbour's adjacency. Returns its number, and the one it had before when the
    /// row had to change: once no group points to that one, it is given up with
    /// [`AdjacencyAgent::leave`].
    pub(crate) fn resolve(
        &mut self,
        driver: &mut Driver,
        uidb: UidbIndex,
        address: IpAddr,
        mac: [u8; 6],
    ) -> Result<(u32, Option<u32>), Exhausted> {
        let key = AdjacencyKey::Neighbour(uidb, address);
        let old = self.get(driver, key)?;
        let busy = match (self.macs.get(&old), self.lost.get(&old)) {
            (Some(&known), None) if known == mac => return Ok((old, None)),
            (Some(_), None) => true,
            (_, Some(&grace)) => !driver.all_passed(grace),
            (None, None) => false,
        };
        if !busy {
            self.complete(driver, old, uidb, address, mac);
            return Ok((old, None));
        }
        // Lcores may be reading the old row: another one takes its place.
        let number = self.numbers.take()?;
        self.by_key.insert(key, number);
        self.complete(driver, number, uidb, address, mac);
        Ok((number, Some(old)))
    }

    /// Gives up a row that another has taken the place of. An lcore may have come to it until the
    /// last group was pointed away from it, so its grace period begins no earlier.
    pub(crate) fn leave(&mut self, driver: &mut Driver, old: u32) {
        self.forget(driver, old);
    }

    /// A neighbour is gone: one store, however many prefixes use it.
    pub(crate) fn lose(
        &mut self,
        driver: &mut Driver,
        uidb: UidbIndex,
        address: IpAddr,
    ) -> Option<u32> {
        let number = *self.by_key.get(&AdjacencyKey::Neighbour(uidb, address))?;
        self.macs.remove(&number)?;
        let mtu = self.links.get(&uidb).map_or(u16::MAX, |link| link.mtu);
        let state = AdjacencyState { kind: AdjacencyKind::Incomplete, rewrite_len: 0, mtu };
        driver.view(self.table).get(number as usize)?.state.store(state.pack(), Release);
        let grace = driver.grace_period();
        self.lost.insert(number, grace);
        Some(number)
    }

    /// Which of the rows packets are to be sent to, by bit: not to neighbours that were lost, as
    /// long as there is another that is known. Those never known are asked for by packets to them.
    pub(crate) fn alive(&self, rows: impl Iterator<Item = (AdjacencyKey, u32)>) -> u64 {
        let (mut alive, mut known) = (0, false);
        for (bit, (key, number)) in rows.enumerate() {
            known |= !matches!(key, AdjacencyKey::Neighbour(..)) || self.macs.contains_key(&number);
            if !self.lost.contains_key(&number) {
                alive |= 1 << bit;
            }
        }
        if known { alive } else { u64::MAX }
    }

    /// Rows of neighbours that were lost and have not come back.
    pub(crate) fn lost(&self) -> impl Iterator<Item = (u32, (UidbIndex, IpAddr))> {
        self.by_key.iter().filter_map(|(key, number)| match key {
            AdjacencyKey::Neighbour(uidb, address) if self.lost.contains_key(number) => {
                Some((*number, (*uidb, *address)))
            }
            _ => None,
        })
    }

    /// Removes an adjacency that no group refers to any more; its number is free after a grace
    /// period.
    pub(crate) fn remove(&mut self, driver: &mut Driver, number: u32) {
        self.by_key.retain(|_, n| *n != number);
        self.forget(driver, number);
    }

    fn forget(&mut self, driver: &mut Driver, number: u32) {
        self.macs.remove(&number);
        self.lost.remove(&number);
        let grace = driver.grace_period();
        self.retired.push((number, grace));
    }

    /// Numbers whose last reader has passed can be used again.
    pub(crate) fn reclaim(&mut self, driver: &Driver) {
        let numbers = &mut self.numbers;
        self.retired.retain(|&(number, grace)| {
            let passed = driver.all_passed(grace);
            if passed {
                numbers.give(number);
            }
            !passed
        });
    }

    /// Prepares new rows for the neighbours whose row is not as the links and `given` say.
    ///
    /// `given` are MAC addresses that count instead of what is known, `gone` neighbours whose
    /// address counts no more, and `used` the numbers that lcores may come to. Nothing that they
    /// can come to is written.
    pub(crate) fn plan(
        &mut self,
        driver: &mut Driver,
        given: &Macs,
        gone: &[(UidbIndex, IpAddr)],
        used: &HashSet<u32>,
    ) -> Result<Vec<Move>, Exhausted> {
        let mut wanted = given.clone();
        for (key, number) in &self.by_key {
            if let (&AdjacencyKey::Neighbour(uidb, address), Some(mac)) =
                (key, self.macs.get(number))
            {
                wanted.entry((uidb, address)).or_insert(*mac);
            }
        }
        let mut wanted: HashMap<_, _> = wanted.into_iter().map(|(n, mac)| (n, Some(mac))).collect();
        wanted.extend(gone.iter().map(|neighbour| (*neighbour, None)));
        wanted.retain(|(uidb, _), _| self.links.contains_key(uidb));
        let mut moves = Vec::new();
        for ((uidb, address), mac) in wanted {
            match self.plan_one(driver, uidb, address, mac, used) {
                Ok(planned) => moves.extend(planned),
                Err(full) => {
                    self.cancel(driver, moves);
                    return Err(full);
                }
            }
        }
        Ok(moves)
    }

    fn plan_one(
        &mut self,
        driver: &Driver,
        uidb: UidbIndex,
        address: IpAddr,
        mac: Option<[u8; 6]>,
        used: &HashSet<u32>,
    ) -> Result<Option<Move>, Exhausted> {
        let key = AdjacencyKey::Neighbour(uidb, address);
        let Some(mac) = mac else {
            let known = self.by_key.get(&key).filter(|number| self.macs.contains_key(*number));
            let Some(&old) = known else { return Ok(None) };
            let new = self.numbers.take()?;
            self.write_new(driver, new, key);
            return Ok(Some(Move { key, old, new }));
        };
        let old = self.get(driver, key)?;
        let image = self.image(uidb, address, mac);
        let row = driver.view(self.table).get(old as usize);
        if row.is_some_and(|row| image.is_in(row)) {
            return Ok(None);
        }
        let never_complete = !self.macs.contains_key(&old) && !self.lost.contains_key(&old);
        if never_complete && !used.contains(&old) {
            self.complete(driver, old, uidb, address, mac);
            return Ok(None);
        }
        let new = self.numbers.take()?;
        self.complete(driver, new, uidb, address, mac);
        Ok(Some(Move { key, old, new }))
    }

    /// Gives up the new rows, to which no group points any more.
    pub(crate) fn cancel(&mut self, driver: &mut Driver, moves: Vec<Move>) {
        for moved in moves {
            self.forget(driver, moved.new);
        }
    }

    /// Gives up the old rows, to which no group points any more.
    pub(crate) fn finish(&mut self, driver: &mut Driver, moves: Vec<Move>) {
        for moved in moves {
            self.by_key.insert(moved.key, moved.new);
            self.forget(driver, moved.old);
        }
    }

    /// The row of a key that has one.
    pub(crate) fn number(&self, key: AdjacencyKey) -> Option<u32> {
        self.by_key.get(&key).copied()
    }

    /// Removes all adjacencies that are not among `used`.
    pub(crate) fn purge(&mut self, driver: &mut Driver, used: &HashSet<u32>) {
        let gone: Vec<u32> =
            self.by_key.extract_if(|_, number| !used.contains(number)).map(|(_, n)| n).collect();
        for number in gone {
            self.forget(driver, number);
        }
    }

    /// How many are in use, those that wait for readers included.
    pub(crate) fn in_use(&self) -> u32 {
        self.numbers.in_use(1)
    }

    fn image(&self, uidb: UidbIndex, address: IpAddr, mac: [u8; 6]) -> Image {
        let link = self.links.get(&uidb).cloned().unwrap_or_default();
        let mut bytes = [0; REWRITE_MAX];
        let mut len = 0;
        let ethertype: [u8; 2] = if address.is_ipv4() { [0x08, 0x00] } else { [0x86, 0xdd] };
        let parts = [&mac[..], &link.mac].into_iter();
        let parts = parts.chain(link.tags.iter().map(|tag| &tag[..])).chain([&ethertype[..]]);
        for part in parts {
            bytes[len..len + part.len()].copy_from_slice(part);
            len += part.len();
        }
        let kind = if link.featured { AdjacencyKind::Featured } else { AdjacencyKind::Plain };
        let rewrite_len = u8::try_from(len).unwrap_or(0);
        Image { bytes, state: AdjacencyState { kind, rewrite_len, mtu: link.mtu } }
    }

    fn complete(
        &mut self,
        driver: &Driver,
        number: u32,
        uidb: UidbIndex,
        address: IpAddr,
        mac: [u8; 6],
    ) {
        self.macs.insert(number, mac);
        self.lost.remove(&number);
        let image = self.image(uidb, address, mac);
        let Some(row) = driver.view(self.table).get(number as usize) else { return };
        row.output.store(uidb.0, Relaxed);
        store_next_hop(row, Some(address));
        for (word, value) in row.rewrite.iter().zip(image.words()) {
            word.store(value, Relaxed);
        }
        row.state.store(image.state.pack(), Release);
    }
}

/// A neighbour whose row has to change: from one to another, so that lcores see one or the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Move {
    key: AdjacencyKey,
    pub(crate) old: u32,
    pub(crate) new: u32,
}

/// A complete adjacency as it should stand in the table.
struct Image {
    bytes: [u8; REWRITE_MAX],
    state: AdjacencyState,
}

impl Image {
    fn words(&self) -> impl Iterator<Item = u64> {
        let (chunks, _) = self.bytes.as_chunks::<8>();
        chunks.iter().map(|chunk| u64::from_ne_bytes(*chunk))
    }

    fn is_in(&self, row: &Adjacency) -> bool {
        row.state() == self.state && row.rewrite() == self.bytes
    }
}

fn store_next_hop(row: &Adjacency, next_hop: Option<IpAddr>) {
    let (family, hi, lo) = match next_hop {
        Some(IpAddr::V4(address)) => (4, u64::from(address.to_bits()), 0),
        Some(IpAddr::V6(address)) => {
            let bits = address.to_bits();
            #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
            let halves = ((bits >> 64) as u64, bits as u64);
            (6, halves.0, halves.1)
        }
        None => (0, 0, 0),
    };
    row.next_hop[0].store(hi, Relaxed);
    row.next_hop[1].store(lo, Relaxed);
    row.family.store(family, Relaxed);
}
