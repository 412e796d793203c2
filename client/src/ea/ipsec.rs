//! Security associations in the tables: who there is, what protects which interface, what becomes
//! of them.
//!
//! A change is prepared where no lcore sees it, then made visible by one store for each SA, and
//! what it replaced goes a grace period later. The newest outbound SA of an interface protects it,
//! so adding one is a rekey; inbound SAs live beside each other until they are deleted. An SA that
//! is written again with the same key keeps its state: numbers, counters, window.

mod error;
mod tables;
mod watch;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr};

use driver::{Driver, DriverError};
use pal::region::Block;
use qfp_core::ipsec::{Mode, SaEvents, SaState};
use qfp_core::packet::DropReason;
use qfp_core::uidb::{TableId, UidbIndex};

use self::tables::{Held, Tables};
use crate::commit::{Capacity, Features};
use crate::config::{Config, Interface};
use crate::ipsec::{Direction, KeyId, Marks, RowNumbers, Sa};
use crate::rm::Exhausted;

pub use self::error::IpsecError;

/// Sequence numbers that are reserved at a time.
const RESERVE: u64 = 1 << 24;

/// What is known of an SA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaStatus {
    /// The SA as it is now.
    pub sa: Sa,
    /// Whether it is the one that protects its interface; true for all inbound SAs.
    pub in_use: bool,
    /// When it was installed, nanoseconds of the vectors' clock; unknown before packets flow.
    pub installed_ns: Option<u64>,
    /// Seconds until its hard lifetime is over by time, as of the last look; none if it has no end.
    pub seconds_left: Option<u64>,
    /// What lcores have counted.
    pub counts: SaCounts,
}

/// What lcores count of an SA.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SaCounts {
    /// Inner packets that were protected or accepted.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The last sequence number that was taken, or the highest that was accepted.
    pub sequence: u64,
    /// When it was last used, nanoseconds of the vectors' clock; 0 for never.
    pub last_used_ns: u64,
    /// Packets that failed, by reason.
    pub failures: Vec<(DropReason, u64)>,
}

impl SaCounts {
    /// What a state says now.
    #[must_use]
    pub fn of(state: &SaState) -> Self {
        let (packets, bytes) = state.used();
        Self {
            packets,
            bytes,
            sequence: state.sequence(),
            last_used_ns: state.last_used(),
            failures: state.all_failures().collect(),
        }
    }
}

/// An SA in the tables.
#[derive(Debug)]
struct Installed {
    sa: Sa,
    held: Held,
    uidb: UidbIndex,
    /// Counts up with each SA that is added.
    order: u64,
    since: Option<u64>,
    /// What has been told of it.
    told: SaEvents,
    moved_to: Option<(IpAddr, u16)>,
    /// Numbers are reserved up to this one.
    mark: u64,
}

/// One SA that comes, in place of one of its name if there is one, or that goes.
#[derive(Debug)]
pub(crate) enum Change {
    Put(Box<Sa>),
    Delete(String),
}

/// SAs that nobody uses yet.
#[must_use]
pub(crate) struct IpsecPlan {
    fresh: Vec<Installed>,
    gone: Vec<String>,
    configured: Option<BTreeMap<String, Sa>>,
}

/// What names mean.
pub(crate) struct Names<'a> {
    pub(crate) interface: &'a dyn Fn(&str) -> Option<UidbIndex>,
    pub(crate) table: &'a dyn Fn(&str) -> Option<TableId>,
}

/// The agent for SAs.
pub(crate) struct IpsecAgent {
    tables: Option<Tables>,
    sas: BTreeMap<String, Installed>,
    /// Outbound SAs of each interface, the newest last.
    of_interface: HashMap<UidbIndex, BTreeSet<(u64, String)>>,
    /// Names by row of the state, to look at all of them.
    by_state: BTreeMap<u32, String>,
    by_spi: BTreeMap<(u32, IpAddr), String>,
    /// Outbound SAs by SPI and peer.
    by_peer: BTreeSet<(u32, IpAddr, String)>,
    by_key: HashMap<KeyId, String>,
    /// SPIs that have been handed out and not been used yet.
    allocated: HashSet<u32>,
    /// Ends of lifetimes by time: when, whose, and whether the hard one.
    deadlines: BTreeSet<(u64, String, bool)>,
    /// SAs of the last configuration, as it has them.
    configured: BTreeMap<String, Sa>,
    marks: Marks,
    /// When it was told last of an interface that it wants an SA.
    asked: HashMap<UidbIndex, u64>,
    /// When it was told last that numbers cannot be reserved, if they still cannot.
    complained: Option<u64>,
    order: u64,
    /// The vectors' clock, as of the last look.
    now: Option<u64>,
    /// SAs that were installed before it was known.
    undated: Vec<String>,
}

impl IpsecAgent {
    pub(crate) fn new(driver: &mut Driver, capacity: &Capacity) -> Result<Self, DriverError> {
        let tables = if capacity.sas > 0 { Some(Tables::new(driver, capacity)?) } else { None };
        Ok(Self {
            tables,
            sas: BTreeMap::new(),
            of_interface: HashMap::new(),
            by_state: BTreeMap::new(),
            by_spi: BTreeMap::new(),
            by_peer: BTreeSet::new(),
            by_key: HashMap::new(),
            allocated: HashSet::new(),
            deadlines: BTreeSet::new(),
            configured: BTreeMap::new(),
            marks: Marks::default(),
            asked: HashMap::new(),
            complained: None,
            order: 0,
            now: None,
            undated: Vec::new(),
        })
    }

    /// From here on marks of lasting keys are noted here.
    pub(crate) fn keep_marks(&mut self, marks: Marks) {
        self.marks = marks;
    }

    /// Rows that are on for every interface, since ESP may come in through any.
    pub(crate) fn everywhere(config: &Config) -> Features {
        use qfp_core::fia::Gate;
        let ingress = if config.ipsec.is_empty() { 0 } else { Gate::ESP_IN.mask() };
        Features { ingress, egress: 0 }
    }

    /// Rows that are on for an interface that is a tunnel or stands for a policy.
    pub(crate) fn features(interface: &Interface<'_>) -> Features {
        use qfp_core::fia::Gate;
        let egress = if interface.is_protected() { Gate::ESP_OUT.mask() } else { 0 };
        Features { ingress: 0, egress }
    }

    /// Prepares what `config` has that the configuration before had not, and the reverse. SAs that
    /// it says nothing new about stay as they are, whatever has been done to them since; those
    /// that were added otherwise stay too.
    pub(crate) fn prepare_configured(
        &mut self,
        driver: &mut Driver,
        config: &Config,
        names: &Names<'_>,
    ) -> Result<IpsecPlan, IpsecError> {
        let wanted: BTreeMap<String, Sa> =
            config.ipsec.bound().into_iter().map(|sa| (sa.name.clone(), sa)).collect();
        let gone = self.configured.keys().filter(|name| !wanted.contains_key(*name));
        let gone = gone.filter(|name| self.sas.contains_key(*name));
        // What a program has added goes with the interface or the table that it needs.
        let lost = self.sas.values().map(|found| &found.sa).filter(|sa| {
            let known =
                |sa: &Sa| wanted.contains_key(&sa.name) || self.configured.contains_key(&sa.name);
            let has =
                |name: &Option<String>, is: &dyn Fn(&str) -> bool| name.as_deref().is_none_or(is);
            let interface = has(&sa.interface, &|name| (names.interface)(name).is_some());
            let table = has(&sa.vrf, &|name| (names.table)(name).is_some());
            !(known(sa) || interface && table)
        });
        let gone = gone.chain(lost.map(|sa| &sa.name));
        let mut changes: Vec<Change> = gone.cloned().map(Change::Delete).collect();
        let new = wanted.values().filter(|sa| self.configured.get(&sa.name) != Some(*sa));
        changes.extend(new.cloned().map(|sa| Change::Put(Box::new(sa))));
        let mut plan = self.prepare(driver, changes, names)?;
        plan.configured = Some(wanted);
        Ok(plan)
    }

    /// Prepares changes, all or none: SAs are written where no lcore comes, sequence numbers are
    /// reserved. Packets may already come in through inbound SAs.
    pub(crate) fn prepare(
        &mut self,
        driver: &mut Driver,
        changes: Vec<Change>,
        names: &Names<'_>,
    ) -> Result<IpsecPlan, IpsecError> {
        let mut plan = IpsecPlan { fresh: Vec::new(), gone: Vec::new(), configured: None };
        let outcome = self.fill(driver, changes, names, &mut plan);
        let outcome = outcome.and_then(|()| self.reserve(driver, &mut plan));
        let outcome = outcome.and_then(|()| self.enter(driver, &plan));
        match outcome {
            Ok(()) => Ok(plan),
            Err(error) => {
                self.cancel(driver, plan);
                Err(error)
            }
        }
    }

    fn fill(
        &mut self,
        driver: &mut Driver,
        changes: Vec<Change>,
        names: &Names<'_>,
        plan: &mut IpsecPlan,
    ) -> Result<(), IpsecError> {
        if !changes.is_empty() {
            qfp_core::ipsec::engine().map_err(IpsecError::Engine)?;
        }
        let mut replaced: HashSet<String> = HashSet::new();
        let mut puts = Vec::new();
        for change in changes {
            match change {
                Change::Delete(name) if !self.sas.contains_key(&name) => {
                    return Err(IpsecError::Unknown(name));
                }
                Change::Delete(name) => {
                    replaced.insert(name.clone());
                    plan.gone.push(name);
                }
                Change::Put(sa) => {
                    replaced.insert(sa.name.clone());
                    puts.push(*sa);
                }
            }
        }
        let mut keys: HashMap<KeyId, String> = HashMap::new();
        let mut spis: HashMap<(u32, IpAddr), String> = HashMap::new();
        for sa in puts {
            let name = || sa.name.clone();
            sa.check().map_err(|problem| IpsecError::Sa { sa: name(), problem })?;
            let key = KeyId::of(&sa.key);
            let known = self.by_key.get(&key).filter(|other| !replaced.contains(*other));
            if let Some(other) = known.or(keys.get(&key)) {
                return Err(IpsecError::SameKey { sa: name(), other: other.clone() });
            }
            keys.insert(key, name());
            if sa.direction == Direction::In {
                let (spi, local) = (sa.spi, sa.endpoints.local);
                let known = self.by_spi.get(&(spi, local));
                let known = known.filter(|other| !replaced.contains(*other));
                if let Some(other) = known.or(spis.get(&(spi, local))) {
                    return Err(IpsecError::DuplicateSpi { spi, local, other: other.clone() });
                }
                spis.insert((spi, local), name());
            }
            let fresh = self.write(driver, sa, names)?;
            plan.fresh.push(fresh);
        }
        Ok(())
    }

    /// Writes the rows of one SA.
    fn write(
        &mut self,
        driver: &mut Driver,
        sa: Sa,
        names: &Names<'_>,
    ) -> Result<Installed, IpsecError> {
        let uidb = match &sa.interface {
            None => UidbIndex::NONE,
            Some(interface) => (names.interface)(interface).ok_or_else(|| {
                IpsecError::NoInterface { sa: sa.name.clone(), interface: interface.clone() }
            })?,
        };
        let table = match &sa.vrf {
            None => TableId::GLOBAL,
            Some(vrf) => (names.table)(vrf)
                .ok_or_else(|| IpsecError::NoVrf { sa: sa.name.clone(), vrf: vrf.clone() })?,
        };
        let before = self.sas.get(&sa.name);
        let same = before.filter(|before| keeps_state(&before.sa, &sa));
        if same.is_some_and(|before| before.sa.replay_window != sa.replay_window) {
            return Err(IpsecError::WindowChange(sa.name));
        }
        let (since, order) = match same {
            Some(same) => (same.since, same.order),
            None => (self.now, self.order),
        };
        let numbers =
            RowNumbers { table, interface: uidb, installed: since, ..RowNumbers::default() };
        let (told, moved_to, mark) = match same {
            // What was told of it is still so, but for lifetimes that are others now.
            Some(same) if (same.sa.soft, same.sa.hard) == (sa.soft, sa.hard) => {
                (same.told, None, same.mark)
            }
            Some(same) => (SaEvents::default(), None, same.mark),
            None => (SaEvents::default(), None, 0),
        };
        let like = same.map(|same| same.held);
        let full = Exhausted { what: "SAs", limit: 0 };
        let tables = self.tables.as_mut().ok_or(full)?;
        let held = tables.write(driver, &sa, numbers, like)?;
        if like.is_none() {
            self.order += 1;
        }
        Ok(Installed { sa, held, uidb, order, since, told, moved_to, mark })
    }

    /// Reserves sequence numbers for outbound SAs, and notes those of lasting keys first.
    fn reserve(&mut self, driver: &Driver, plan: &mut IpsecPlan) -> Result<(), IpsecError> {
        let mut noted = Vec::new();
        for new in plan.fresh.iter_mut() {
            if new.sa.direction == Direction::In || new.mark > 0 {
                continue;
            }
            let key = KeyId::of(&new.sa.key);
            // With another SPI it is another SA, whose numbers go on behind those of the one before.
            let before = self.by_key.get(&key).and_then(|name| self.sas.get(name));
            let before = before.map_or(0, |before| before.mark);
            let used = if new.sa.lasting { self.marks.get(key).max(before) } else { before };
            let last = new.sa.last_number();
            if used >= last {
                return Err(IpsecError::UsedUp(new.sa.name.clone()));
            }
            new.mark = used.saturating_add(RESERVE).min(last);
            if new.sa.lasting {
                noted.push((key, new.mark));
            }
            // Nobody can send with it before there is an interface that it protects.
            if let Some(state) = self.state(driver, new.held.state) {
                state.resume(used);
            }
        }
        if !noted.is_empty() {
            self.marks.raise(noted)?;
        }
        for new in plan.fresh.iter().filter(|new| new.mark > 0) {
            if let Some(state) = self.state(driver, new.held.state) {
                state.reserve(new.mark);
            }
        }
        Ok(())
    }

    /// Lets packets find the inbound SAs. Packets for one that is to be replaced find either.
    fn enter(&mut self, driver: &Driver, plan: &IpsecPlan) -> Result<(), IpsecError> {
        let Some(tables) = &self.tables else { return Ok(()) };
        // What nobody uses opens nothing.
        let used =
            |new: &&Installed| new.sa.direction == Direction::In && new.uidb != UidbIndex::NONE;
        let mut used = plan.fresh.iter().filter(used);
        used.try_for_each(|new| tables.enter(driver, new.sa.spi, new.held.row))
    }

    /// Gives up what was prepared.
    pub(crate) fn cancel(&mut self, driver: &mut Driver, plan: IpsecPlan) {
        let Some(tables) = &mut self.tables else { return };
        for new in &plan.fresh {
            if new.sa.direction == Direction::In {
                tables.leave(driver, new.sa.spi, new.held.row);
            }
        }
        let grace = driver.grace_period();
        for new in plan.fresh {
            let keep = self.sas.get(&new.sa.name).is_some_and(|b| b.held.state == new.held.state);
            tables.drop_rows(new.sa.direction, new.held, keep, grace);
        }
    }

    /// Lets lcores see what was prepared, and gives back what it replaces.
    pub(crate) fn apply(&mut self, driver: &mut Driver, plan: IpsecPlan) {
        if let Some(configured) = plan.configured {
            self.configured = configured;
        }
        if self.tables.is_none() {
            return;
        }
        let mut touched: BTreeSet<UidbIndex> = BTreeSet::new();
        let mut left: Vec<(Installed, bool)> = Vec::new();
        for name in plan.gone {
            left.extend(self.forget(&name).map(|old| (old, false)));
        }
        for new in plan.fresh {
            let name = new.sa.name.clone();
            if let Some(old) = self.forget(&name) {
                let keep = old.held.state == new.held.state;
                left.push((old, keep));
            }
            touched.insert(new.uidb);
            self.remember(new);
        }
        touched.extend(left.iter().map(|(old, _)| old.uidb));
        for uidb in touched {
            self.protect(driver, uidb);
        }
        let Some(tables) = &mut self.tables else { return };
        for (old, _) in left.iter().filter(|(old, _)| old.sa.direction == Direction::In) {
            tables.leave(driver, old.sa.spi, old.held.row);
        }
        let grace = driver.grace_period();
        for (old, keep) in left {
            tables.drop_rows(old.sa.direction, old.held, keep, grace);
        }
    }

    /// Enters an SA in all indices.
    fn remember(&mut self, new: Installed) {
        let name = new.sa.name.clone();
        self.by_state.insert(new.held.state, name.clone());
        self.by_key.insert(KeyId::of(&new.sa.key), name.clone());
        match new.sa.direction {
            Direction::In => {
                self.allocated.remove(&new.sa.spi);
                self.by_spi.insert((new.sa.spi, new.sa.endpoints.local), name.clone());
            }
            Direction::Out => {
                self.by_peer.insert((new.sa.spi, new.sa.endpoints.remote, name.clone()));
                if new.uidb != UidbIndex::NONE {
                    let order = (new.order, name.clone());
                    self.of_interface.entry(new.uidb).or_default().insert(order);
                }
            }
        }
        match new.since {
            Some(since) => self.date(&new.sa, since),
            None => self.undated.push(name.clone()),
        }
        self.sas.insert(name, new);
    }

    /// Enters when the lifetimes of an SA end.
    fn date(&mut self, sa: &Sa, since: u64) {
        for (lifetime, hard) in [(sa.soft, false), (sa.hard, true)] {
            self.deadlines.extend(lifetime.end(since).map(|end| (end, sa.name.clone(), hard)));
        }
    }

    /// Removes an SA from all indices.
    fn forget(&mut self, name: &str) -> Option<Installed> {
        let old = self.sas.remove(name)?;
        self.by_state.remove(&old.held.state);
        self.by_key.remove(&KeyId::of(&old.sa.key));
        match old.sa.direction {
            Direction::In => drop(self.by_spi.remove(&(old.sa.spi, old.sa.endpoints.local))),
            Direction::Out => {
                self.by_peer.remove(&(old.sa.spi, old.sa.endpoints.remote, name.to_owned()));
            }
        }
        if let Some(all) = self.of_interface.get_mut(&old.uidb) {
            all.remove(&(old.order, name.to_owned()));
        }
        for (lifetime, hard) in [(old.sa.soft, false), (old.sa.hard, true)] {
            if let Some(end) = old.since.and_then(|since| lifetime.end(since)) {
                self.deadlines.remove(&(end, name.to_owned(), hard));
            }
        }
        Some(old)
    }

    /// Has the newest outbound SA of an interface protect it.
    fn protect(&mut self, driver: &Driver, uidb: UidbIndex) {
        let newest = self.protecting(uidb).and_then(|name| self.sas.get(name));
        let row = newest.map(|sa| sa.held.row);
        if let Some(tables) = self.tables.as_ref().filter(|_| uidb != UidbIndex::NONE) {
            tables.protect(driver, uidb, row);
        }
    }

    /// The newest outbound SA of an interface.
    fn protecting(&self, uidb: UidbIndex) -> Option<&str> {
        self.of_interface.get(&uidb)?.last().map(|(_, name)| name.as_str())
    }

    /// The interfaces whose packets leave with this SPI for this peer, each with the largest packet
    /// whose outer one has at most `mtu` bytes.
    pub(crate) fn inner_mtus(&self, spi: u32, peer: IpAddr, mtu: u16) -> Vec<(UidbIndex, u16)> {
        let from = self.by_peer.range((spi, peer, String::new())..);
        let same = from.take_while(|(s, p, _)| (*s, *p) == (spi, peer));
        let found = same.filter_map(|(.., name)| self.sas.get(name));
        // In transport mode it is the packet's own sender who hears of the path.
        let found = found.filter(|found| {
            found.uidb != UidbIndex::NONE && self.in_use(found) && found.sa.mode == Mode::Tunnel
        });
        found.map(|found| (found.uidb, found.sa.inner_mtu(mtu))).collect()
    }

    /// Says how large packets of an interface may be, whatever its MTU.
    pub(crate) fn set_path_mtu(&self, driver: &Driver, uidb: UidbIndex, mtu: Option<u16>) {
        if let Some(tables) = &self.tables {
            tables.set_path_mtu(driver, uidb, mtu);
        }
    }

    fn state<'a>(&self, driver: &'a Driver, row: u32) -> Option<&'a SaState> {
        self.tables.as_ref()?.state(driver, row)
    }

    /// Whether there is an SA of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.sas.contains_key(name)
    }

    /// The SA of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&Sa> {
        self.sas.get(name).map(|installed| &installed.sa)
    }

    /// Names of all SAs.
    pub(crate) fn names(&self) -> Vec<String> {
        self.sas.keys().cloned().collect()
    }

    /// An SA with what lcores have counted.
    pub(crate) fn status(&self, driver: &Driver, name: &str) -> Option<SaStatus> {
        let found = self.sas.get(name)?;
        let state = self.state(driver, found.held.state)?;
        Some(SaStatus {
            sa: found.sa.clone(),
            in_use: self.in_use(found),
            installed_ns: found.since,
            seconds_left: self.seconds_left(found),
            counts: SaCounts::of(state),
        })
    }

    fn seconds_left(&self, found: &Installed) -> Option<u64> {
        let end = match (found.since, self.now) {
            (Some(since), Some(now)) => found.sa.hard.end(since)?.saturating_sub(now),
            _ => return found.sa.hard.seconds,
        };
        Some(end.div_ceil(1_000_000_000))
    }

    fn in_use(&self, found: &Installed) -> bool {
        let protects = self.protecting(found.uidb) == Some(&found.sa.name);
        found.sa.direction == Direction::In || protects
    }

    /// All SAs, whether they are in use, and the rows of their states.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&Sa, bool, u32)> {
        self.sas.values().map(|found| (&found.sa, self.in_use(found), found.held.state))
    }

    /// The states of SAs.
    pub(crate) fn states(&self) -> Option<Block<SaState>> {
        self.tables.as_ref().map(Tables::states)
    }

    /// An SPI that no inbound SA has, and that is handed out once.
    pub(crate) fn allocate_spi(&mut self) -> Result<u32, IpsecError> {
        let mut random = File::open("/dev/urandom").map_err(IpsecError::Random)?;
        let lowest = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        loop {
            let mut bytes = [0; 4];
            random.read_exact(&mut bytes).map_err(IpsecError::Random)?;
            let spi = u32::from_ne_bytes(bytes);
            let next = self.by_spi.range((spi, lowest)..).next();
            let used = next.is_some_and(|((next, _), _)| *next == spi);
            // RFC 4303 §2.1: those up to 255 are reserved.
            if spi > 255 && !used && self.allocated.insert(spi) {
                return Ok(spi);
            }
        }
    }

    /// SAs there is room for, and how many are in use.
    pub(crate) fn usage(&self) -> (u32, u32) {
        self.tables.as_ref().map_or((0, 0), Tables::usage)
    }

    /// Frees what every lcore has left. Does not wait.
    pub(crate) fn reclaim(&mut self, driver: &Driver) {
        if let Some(tables) = &mut self.tables {
            tables.reclaim(driver);
        }
    }
}

/// Whether what is known of the one is so of the other: it is the same SA, with other settings.
fn keeps_state(before: &Sa, after: &Sa) -> bool {
    let identity = |sa: &Sa| (sa.direction, sa.spi, sa.algorithm);
    identity(before) == identity(after) && before.key == after.key
}
