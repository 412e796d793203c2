//! Security associations in the tables: who there is, what protects which interface, what becomes
//! of them.
//!
//! A change is prepared where no lcore sees it, then made visible by one store for each SA, and
//! what it replaced goes a grace period later. The newest outbound SA of an interface protects it,
//! so adding one is a rekey; inbound SAs live beside each other until they are deleted. An SA that
//! is written again with the same key keeps its state, whatever its name: numbers, counters, window.

mod ahead;
mod change;
mod error;
mod receive;
mod tables;
mod watch;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::OwnedFd;

use driver::{Driver, DriverError};
use pal::pool::PoolUsage;
use pal::publication::Retired;
use qfp_core::ipsec::{Mode, SaEvents, SaState};
use qfp_core::packet::DropReason;
use qfp_core::uidb::UidbIndex;

use self::ahead::Ahead;
use self::tables::{Held, Tables, identity};
use crate::commit::{Capacity, Features};
use crate::config::{Config, Interface};
use crate::ipsec::{Direction, KeyId, Mark, MarkId, Marks, MarksError, Sa};
use crate::rm::{Kind, Named};

pub(crate) use self::change::{Change, IpsecPlan, Names};
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
    /// What its mark is found by, if it has one.
    id: Option<MarkId>,
    /// Its state was kept from a client before.
    is_kept: bool,
    uidb: UidbIndex,
    /// Counts up with each SA that is added.
    order: u64,
    since: Option<u64>,
    /// What has been told of it.
    told: SaEvents,
    moved_to: Option<(IpAddr, u16)>,
    /// Numbers of an outbound SA are reserved up to this one.
    mark: u64,
}

impl Installed {
    /// What another client finds its state by.
    fn named(&self) -> Named {
        let words = (self.held.words.first, self.held.words.count);
        let kind = Kind::Sa { words, since: self.since };
        Named { kind, name: identity(&self.sa), number: self.held.state }
    }

    /// Whether packets come in through it: what nobody uses opens nothing.
    fn is_opened(&self) -> bool {
        self.sa.direction == Direction::In && self.uidb != UidbIndex::NONE
    }
}

/// What lets an SA of a lasting key use more numbers while there is no client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastingKey {
    /// Row of its state.
    pub state: u32,
    /// Where its line begins in the file of marks.
    pub place: u64,
    /// Who its key is, in that line.
    pub id: u128,
    /// Whether it accepts numbers rather than takes them.
    pub inbound: bool,
    /// The highest number there is.
    pub last: u64,
}

/// All of them, and where their states lie in the memory that lcores write: offset and number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastingKeys {
    /// The states.
    pub states: (u64, u64),
    /// The keys.
    pub keys: Vec<LastingKey>,
}

impl Marks {
    /// What of an SA goes on while there is no client; none if its key does not last.
    fn lasting(&self, found: &Installed) -> Option<LastingKey> {
        Some(LastingKey {
            state: found.held.state,
            place: self.place(found.id?)?,
            id: found.id?.number(),
            inbound: found.sa.direction == Direction::In,
            last: found.sa.last_number(),
        })
    }
}

/// A key whose state lcores may still use for a grace period.
#[derive(Debug)]
struct Leaving {
    /// Row of the state.
    state: u32,
    key: KeyId,
    /// Its mark, which is exact then.
    id: Option<MarkId>,
}

/// The agent for SAs.
pub(crate) struct IpsecAgent {
    tables: Tables,
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
    /// Inbound SAs whose windows outlive the process, by row of the state.
    ahead: BTreeMap<u32, Ahead>,
    /// Marks that are on their way to the disk, by row of the state.
    syncing: Vec<(u32, u64)>,
    /// When limits were looked at last.
    looked: u64,
    leaving: Retired<Leaving>,
    /// When it was told last of an interface that it wants an SA.
    asked: HashMap<UidbIndex, u64>,
    /// When it was told last that numbers cannot be reserved, if they still cannot.
    complained: Option<u64>,
    order: u64,
    /// The vectors' clock, as of the last look.
    now: Option<u64>,
    /// SAs that were installed before it was known.
    undated: Vec<String>,
    /// States that were given since it was asked last, and lasting keys of those that have them.
    given: Vec<Named>,
    fresh_keys: Vec<LastingKey>,
}

impl IpsecAgent {
    pub(crate) fn new(driver: &mut Driver, capacity: &Capacity) -> Result<Self, DriverError> {
        Ok(Self {
            tables: Tables::new(driver, capacity)?,
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
            ahead: BTreeMap::new(),
            syncing: Vec::new(),
            looked: 0,
            leaving: Retired::new(driver.clock()),
            asked: HashMap::new(),
            complained: None,
            order: 0,
            now: None,
            undated: Vec::new(),
            given: Vec::new(),
            fresh_keys: Vec::new(),
        })
    }

    /// From here on marks of lasting keys are noted here.
    pub(crate) fn keep_marks(&mut self, marks: Marks) {
        self.marks = marks;
    }

    /// States that were given to SAs since this was asked last.
    pub(crate) fn take_given(&mut self) -> Vec<Named> {
        self.fresh_keys.clear();
        std::mem::take(&mut self.given)
    }

    /// All SAs with their states.
    pub(crate) fn all_named(&self) -> impl Iterator<Item = Named> {
        self.sas.values().map(Installed::named)
    }

    /// All SAs of lasting keys, those that nobody uses yet among them.
    pub(crate) fn lasting(&self) -> LastingKeys {
        let installed = self.sas.values().filter_map(|found| self.marks.lasting(found));
        let keys = installed.chain(self.fresh_keys.iter().copied());
        LastingKeys { states: self.tables.places_of_states(), keys: keys.collect() }
    }

    /// The file of marks, for a process that keeps it open.
    pub(crate) fn marks_file(&self) -> Result<Option<OwnedFd>, MarksError> {
        self.marks.file()
    }

    /// From here on this client lets SAs use more numbers: what another process has let them use of
    /// those that it was taken over with.
    pub(crate) fn resume_kept(&mut self, driver: &Driver) {
        let Self { sas, tables, marks, ahead, .. } = self;
        for found in sas.values_mut().filter(|found| found.is_kept) {
            let row = found.held.state;
            let Some(state) = tables.state(driver, row) else { continue };
            found.mark = state.reserved();
            let Some(id) = found.id else { continue };
            marks.heard(id, Mark::reserved(found.mark));
            if let Some(ahead) = ahead.get_mut(&row) {
                *ahead = Ahead::new(id, found.mark, found.sa.last_number());
            }
        }
    }

    /// Keeps the state of an SA until it comes.
    pub(crate) fn keep_state(&mut self, named: Named) {
        self.tables.keep(named);
    }

    /// SAs that have not come do not come any more.
    pub(crate) fn let_go(&mut self) {
        self.tables.let_go();
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

    /// Has the newest outbound SA of an interface protect it.
    fn protect(&mut self, driver: &Driver, uidb: UidbIndex) {
        let newest = self.protecting(uidb).and_then(|name| self.sas.get(name));
        let row = newest.map(|sa| sa.held.row);
        if uidb != UidbIndex::NONE {
            self.tables.protect(driver, uidb, row);
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
        self.tables.set_path_mtu(driver, uidb, mtu);
    }

    fn state<'a>(&self, driver: &'a Driver, row: u32) -> Option<&'a SaState> {
        self.tables.state(driver, row)
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
    #[cfg(test)]
    pub(crate) fn states(&self) -> pal::region::Block<SaState> {
        self.tables.states()
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
        self.tables.usage()
    }

    /// What it takes of.
    pub(crate) fn pools(&self) -> [PoolUsage; 2] {
        self.tables.pools()
    }

    /// Rows of both directions and words of replay windows in use.
    #[cfg(test)]
    pub(crate) fn rows_used(&self) -> [usize; 3] {
        self.tables.rows_used()
    }

    /// Frees what every lcore has left. Does not wait.
    pub(crate) fn reclaim(&mut self, driver: &Driver) {
        // States are used again only after it has been noted how far they have come.
        if self.part(driver) {
            self.tables.reclaim();
        }
    }
}
