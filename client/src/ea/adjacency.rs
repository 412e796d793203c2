//! Adjacencies: what is put in front of a packet for each next hop.
//!
//! An adjacency is written in place. Losing a neighbour is one store. A neighbour whose address
//! changes gets another row, and the groups that used the old one are pointed to it, because
//! lcores may be reading the old row this moment.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::atomic::Ordering::{Relaxed, Release};

use driver::{Driver, DriverError};
use pal::pool::{Full, Pool, PoolUsage};
use pal::publication::Grace;
use pal::region::Block;
use qfp_core::adjacency::{Adjacency, AdjacencyKind, AdjacencyState, REWRITE_MAX};
use qfp_core::tables::table_kind;
use qfp_core::uidb::UidbIndex;

use crate::rib::AdjacencyKey;

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

/// What becomes of rows, prepared where no lcore comes.
#[derive(Default)]
pub(crate) struct Plan {
    /// The links before, when there are others.
    links: Option<HashMap<UidbIndex, LinkFacts>>,
    given: Option<Macs>,
    /// Keys that had no row.
    fresh: Vec<AdjacencyKey>,
    moves: Vec<Move>,
    /// Rows that lcores know as incomplete, and that can be completed in place.
    complete: Vec<(u32, UidbIndex, IpAddr, [u8; 6])>,
    /// The row of a neighbour that is lost, and its interface.
    lost: Option<(u32, UidbIndex)>,
}

/// A neighbour whose row has to change: from one to another, so that lcores see one or the other.
struct Move {
    key: AdjacencyKey,
    old: u32,
    new: u32,
}

impl Plan {
    /// Rows that groups are to have in place of others, or to be written again for.
    pub(crate) fn touched(&self) -> HashMap<u32, u32> {
        let moved = self.moves.iter().map(|moved| (moved.old, moved.new));
        let same = self.complete.iter().map(|row| row.0).chain(self.lost.map(|row| row.0));
        moved.chain(same.map(|row| (row, row))).collect()
    }

    /// The row of a neighbour that is lost.
    pub(crate) fn lost(&self) -> Option<u32> {
        self.lost.map(|row| row.0)
    }
}

/// The agent for adjacencies.
pub(crate) struct AdjacencyAgent {
    table: Block<Adjacency>,
    numbers: Pool,
    by_key: HashMap<AdjacencyKey, u32>,
    macs: HashMap<u32, [u8; 6]>,
    links: HashMap<UidbIndex, LinkFacts>,
    /// Static neighbours.
    given: Macs,
    /// Rows that were complete once: not to be written before this has passed.
    lost: HashMap<u32, Grace>,
}

impl AdjacencyAgent {
    pub(crate) fn new(driver: &mut Driver, capacity: u32) -> Result<Self, DriverError> {
        let table = driver.alloc::<Adjacency>(capacity as usize)?.publish();
        driver.commit(|root| {
            root.set(table_kind::ADJACENCY, table);
        })?;
        Ok(Self {
            table,
            numbers: Pool::new("adjacencies", 1..capacity, driver.clock()),
            by_key: HashMap::new(),
            macs: HashMap::new(),
            links: HashMap::new(),
            given: Macs::new(),
            lost: HashMap::new(),
        })
    }

    /// The adjacency for `key`, made when there is none: a neighbour's starts incomplete.
    pub(crate) fn get(
        &mut self,
        driver: &Driver,
        key: AdjacencyKey,
        plan: &mut Plan,
    ) -> Result<u32, Full> {
        if let Some(&number) = self.by_key.get(&key) {
            return Ok(number);
        }
        let number = self.numbers.alloc()?;
        self.by_key.insert(key, number);
        plan.fresh.push(key);
        self.write_new(driver, number, key);
        Ok(number)
    }

    /// Whether all that leaves by an interface goes to one neighbour.
    pub(crate) fn is_point_to_point(&self, uidb: UidbIndex) -> bool {
        self.links.get(&uidb).is_some_and(|link| link.point_to_point)
    }

    /// Whether the configuration names this neighbour's MAC address.
    pub(crate) fn is_given(&self, uidb: UidbIndex, address: IpAddr) -> bool {
        self.given.contains_key(&(uidb, address))
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
            pal::faults::store();
            row.output.store(uidb.0, Relaxed);
            store_next_hop(row, next_hop);
            let mtu = link.map_or(u16::MAX, |link| link.mtu);
            pal::faults::store();
            row.state.store(AdjacencyState { kind, rewrite_len: 0, mtu }.pack(), Release);
        }
    }

    /// Prepares what frames of each interface look like, and MAC addresses that count instead of
    /// what is known.
    pub(crate) fn configure(
        &mut self,
        driver: &Driver,
        links: HashMap<UidbIndex, LinkFacts>,
        given: Macs,
        plan: &mut Plan,
    ) -> Result<(), Full> {
        let mut wanted = given.clone();
        for (key, number) in &self.by_key {
            if let (&AdjacencyKey::Neighbour(uidb, address), Some(mac)) =
                (key, self.macs.get(number))
            {
                wanted.entry((uidb, address)).or_insert(*mac);
            }
        }
        let mut wanted: HashMap<_, _> = wanted.into_iter().map(|(n, mac)| (n, Some(mac))).collect();
        let gone = self.given.keys().filter(|neighbour| !given.contains_key(neighbour));
        wanted.extend(gone.map(|neighbour| (*neighbour, None)));
        wanted.retain(|(uidb, _), _| links.contains_key(uidb));
        plan.links = Some(std::mem::replace(&mut self.links, links));
        plan.given = Some(given);
        for ((uidb, address), mac) in wanted {
            match mac {
                Some(mac) => self.resolve(driver, uidb, address, mac, plan)?,
                None => self.unknow(driver, AdjacencyKey::Neighbour(uidb, address), plan)?,
            }
        }
        Ok(())
    }

    /// Prepares a neighbour's complete adjacency: another row takes the place of one that lcores
    /// may be reading.
    pub(crate) fn resolve(
        &mut self,
        driver: &Driver,
        uidb: UidbIndex,
        address: IpAddr,
        mac: [u8; 6],
        plan: &mut Plan,
    ) -> Result<(), Full> {
        let key = AdjacencyKey::Neighbour(uidb, address);
        let is_fresh = !self.by_key.contains_key(&key);
        let old = self.get(driver, key, plan)?;
        if is_fresh {
            self.complete(driver, old, uidb, address, mac);
            return Ok(());
        }
        let image = self.image(uidb, address, mac);
        if driver.view(self.table).get(old as usize).is_some_and(|row| image.is_in(row)) {
            return Ok(());
        }
        let passed = self.lost.get(&old).is_none_or(|grace| driver.all_passed(*grace));
        if passed && !self.macs.contains_key(&old) {
            plan.complete.push((old, uidb, address, mac));
            return Ok(());
        }
        let new = self.numbers.alloc()?;
        self.complete(driver, new, uidb, address, mac);
        self.shift(Move { key, old, new }, plan);
        Ok(())
    }

    /// Prepares an incomplete row in place of a complete one.
    fn unknow(&mut self, driver: &Driver, key: AdjacencyKey, plan: &mut Plan) -> Result<(), Full> {
        let known = self.by_key.get(&key).filter(|number| self.macs.contains_key(*number));
        let Some(&old) = known else { return Ok(()) };
        let new = self.numbers.alloc()?;
        self.write_new(driver, new, key);
        self.shift(Move { key, old, new }, plan);
        Ok(())
    }

    fn shift(&mut self, moved: Move, plan: &mut Plan) {
        self.by_key.insert(moved.key, moved.new);
        plan.moves.push(moved);
    }

    /// Prepares that a neighbour is gone, if it was known.
    pub(crate) fn lose(&self, uidb: UidbIndex, address: IpAddr, plan: &mut Plan) {
        let number = self.by_key.get(&AdjacencyKey::Neighbour(uidb, address));
        let known = number.filter(|number| self.macs.contains_key(*number));
        plan.lost = known.map(|number| (*number, uidb));
    }

    /// Writes what lcores see at once. A neighbour that is gone is one store, however many prefixes
    /// use it.
    pub(crate) fn publish(&mut self, driver: &Driver, plan: &Plan) {
        for (number, uidb, address, mac) in &plan.complete {
            self.complete(driver, *number, *uidb, *address, *mac);
        }
        let Some((number, uidb)) = plan.lost else { return };
        let mtu = self.links.get(&uidb).map_or(u16::MAX, |link| link.mtu);
        let state = AdjacencyState { kind: AdjacencyKind::Incomplete, rewrite_len: 0, mtu };
        if let Some(row) = driver.view(self.table).get(number as usize) {
            pal::faults::store();
            row.state.store(state.pack(), Release);
        }
        self.macs.remove(&number);
        self.lost.insert(number, driver.clock().next());
    }

    /// Gives up the rows that others have taken the place of, and to which no group points any
    /// more.
    pub(crate) fn keep(&mut self, plan: Plan) {
        for moved in plan.moves {
            self.forget(moved.old);
        }
        if let Some(given) = plan.given {
            self.given = given;
        }
    }

    /// Gives up what was prepared.
    pub(crate) fn abort(&mut self, plan: Plan) {
        for Move { key, old, new } in plan.moves {
            self.by_key.insert(key, old);
            self.give_back(new);
        }
        for key in plan.fresh {
            if let Some(number) = self.by_key.remove(&key) {
                self.give_back(number);
            }
        }
        if let Some(links) = plan.links {
            self.links = links;
        }
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

    /// Neighbours whose MAC addresses are known.
    pub(crate) fn known(&self) -> impl Iterator<Item = (UidbIndex, IpAddr, [u8; 6])> {
        self.by_key.iter().filter_map(|(key, number)| match key {
            AdjacencyKey::Neighbour(uidb, address) if !self.is_point_to_point(*uidb) => {
                Some((*uidb, *address, *self.macs.get(number)?))
            }
            _ => None,
        })
    }

    /// Those of them that are not configured.
    pub(crate) fn learnt(&self) -> impl Iterator<Item = (UidbIndex, IpAddr, [u8; 6])> {
        self.known().filter(|(uidb, address, _)| !self.given.contains_key(&(*uidb, *address)))
    }

    /// Removes an adjacency that no group refers to any more; its number is free after a grace
    /// period.
    pub(crate) fn remove(&mut self, number: u32) {
        self.by_key.retain(|_, n| *n != number);
        self.forget(number);
    }

    fn forget(&mut self, number: u32) {
        self.macs.remove(&number);
        self.lost.remove(&number);
        self.numbers.retire(number);
    }

    /// Gives up a row that no group has ever pointed to.
    fn give_back(&mut self, number: u32) {
        self.macs.remove(&number);
        self.lost.remove(&number);
        self.numbers.give_back(number);
    }

    /// Numbers whose last reader has passed can be used again.
    pub(crate) fn reclaim(&mut self) {
        self.numbers.reclaim(|_| ());
    }

    /// The row of a key that has one.
    pub(crate) fn number(&self, key: AdjacencyKey) -> Option<u32> {
        self.by_key.get(&key).copied()
    }

    /// Removes all adjacencies that are not among `used`.
    pub(crate) fn purge(&mut self, used: &HashSet<u32>) {
        let gone: Vec<u32> =
            self.by_key.extract_if(|_, number| !used.contains(number)).map(|(_, n)| n).collect();
        for number in gone {
            self.forget(number);
        }
    }

    /// How many are in use, those that wait for readers included.
    /// What it takes of.
    pub(crate) fn pools(&self) -> [PoolUsage; 1] {
        [self.numbers.usage()]
    }

    pub(crate) fn in_use(&self) -> u32 {
        self.numbers.in_use()
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
        pal::faults::store();
        row.output.store(uidb.0, Relaxed);
        store_next_hop(row, Some(address));
        for (word, value) in row.rewrite.iter().zip(image.words()) {
            pal::faults::store();
            word.store(value, Relaxed);
        }
        pal::faults::store();
        row.state.store(image.state.pack(), Release);
    }
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
    pal::faults::store();
    row.next_hop[0].store(hi, Relaxed);
    pal::faults::store();
    row.next_hop[1].store(lo, Relaxed);
    pal::faults::store();
    row.family.store(family, Relaxed);
}
