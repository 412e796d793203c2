//! The client: commits configurations and follows neighbours.

mod capacity;
mod forwarding;
mod lists;
mod names;
mod routes;
mod sas;
mod transaction;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::os::fd::OwnedFd;

pub use driver::Kept;
use driver::{Driver, DriverError};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use pal::counters::{CounterBlock, Counters};
use pal::pool::{Full, PoolUsage};
use pal::process::Ended;
use pal::publication::{Generation, ReaderSite, RootDraft};
use qfp_core::fib::{FibError, ShapeError};
use qfp_core::lpts::Lpts;
use qfp_core::punt;
use qfp_core::tables::{TableReader, table_kind};
use qfp_core::uidb::{TableId, Uidb, UidbIndex};

use crate::config::{Config, ConfigError, Interface, Interfaces, RouteTable, Tpid};
use crate::ea::{
    AdjacencyAgent, BoundClass, ClassFacts, ClassificationAgent, ClassificationError,
    ClassificationPlan, FibAgent, InterfaceAgent, InterfacePlan, IpsecAgent, IpsecError, LinkFacts,
    mac_of,
};
use crate::rib::{Rib, RouteQuery, RouteState};
use crate::rm::{Rings, Vrfs};
use forwarding::Forwarding;
use routes::Given;
use transaction::{Agent, NextGeneration, Prepare};

pub use capacity::Capacity;
pub use lists::{ListEdit, ListError};
pub use names::Tell;
pub(crate) use sas::Protected;
pub use sas::SaPlace;

/// Why a configuration cannot be committed.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The configuration itself.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data plane.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// A table has no more rows.
    #[error(transparent)]
    Full(#[from] Full),
    /// Access lists and policies.
    #[error(transparent)]
    Classification(#[from] ClassificationError),
    /// SAs.
    #[error(transparent)]
    Ipsec(#[from] IpsecError),
    /// A forwarding table has no room.
    #[error(transparent)]
    Fib(#[from] FibError),
    /// A forwarding table's memory has the wrong shape.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// A size of the tables that cannot be.
    #[error("{value} {what} are too many: there can be {limit} at most")]
    TooMany {
        /// What there are too many of.
        what: &'static str,
        /// How many were asked for.
        value: u64,
        /// Most allowed.
        limit: u32,
    },
    /// A routing table that no interface uses.
    #[error("there is no routing table {0}")]
    NoTable(u16),
}

impl CommitError {
    /// Whether the operator has asked for what cannot be, rather than for more than there is room
    /// for: exit status 2.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Config(_) | Self::NoTable(_) => true,
            Self::Classification(error) => error.is_usage(),
            Self::Ipsec(error) => error.is_usage(),
            _ => false,
        }
    }
}

/// What the client must know of a started port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortFacts {
    /// Its MAC address.
    pub mac: [u8; 6],
    /// Whether frames for other stations are dropped unless the configuration says otherwise.
    pub filter_mac: bool,
}

/// Rows of the order of operations that an interface has switched on beyond the usual ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// Ingress bits.
    pub ingress: u64,
    /// Egress bits.
    pub egress: u64,
}

/// The one writer of all forwarding tables.
pub struct Client {
    driver: Driver,
    interfaces: InterfaceAgent,
    adjacencies: AdjacencyAgent,
    fib: FibAgent,
    classification: ClassificationAgent,
    ipsec: IpsecAgent,
    /// Tunnels, and what stands for policies, by name.
    protected: BTreeMap<String, Protected>,
    rib: Rib,
    vrfs: Vrfs,
    rings: Rings,
    features: HashMap<String, Features>,
    given: Given,
    connected: Vec<(IpNet, UidbIndex)>,
    /// Host routes to neighbours that the slow path has found.
    learnt: HashMap<(TableId, IpNet), UidbIndex>,
    /// Who is told of names that have been given numbers.
    names: Option<names::Tell>,
}

/// A configuration to be committed.
#[derive(Clone, Copy)]
struct Configured<'a> {
    config: &'a Config,
    routes: &'a RouteTable,
    ports: &'a [PortFacts],
    interfaces: &'a Interfaces<'a>,
}

/// Rows of the tables in use, those that wait for their last reader included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Adjacencies.
    pub adjacencies: u32,
    /// Next-hop groups.
    pub groups: u32,
    /// Places of groups with several members.
    pub paths: u32,
    /// Bytes of resource memory.
    pub memory: usize,
}

/// Names of VRFs.
#[derive(Default)]
struct VrfPlan {
    new: HashSet<String>,
    all: HashSet<String>,
}

impl Agent for Vrfs {
    type Plan = VrfPlan;

    fn keep(client: &mut Client, plan: VrfPlan) {
        client.vrfs.retain(|name| plan.all.contains(name));
    }

    fn abort(client: &mut Client, plan: VrfPlan) {
        client.vrfs.forget(&plan.new);
    }
}

impl Prepare<Configured<'_>> for Vrfs {
    type Error = CommitError;

    fn prepare(
        client: &mut Client,
        wanted: Configured<'_>,
        plan: &mut VrfPlan,
    ) -> Result<(), CommitError> {
        let names = || wanted.interfaces.all().iter().filter_map(Interface::vrf);
        plan.all = names().map(str::to_owned).collect();
        Ok(client.vrfs.add(names(), &mut plan.new)?)
    }
}

impl Agent for InterfaceAgent {
    type Plan = InterfacePlan;

    fn name(client: &mut Client, plan: &mut InterfacePlan, root: &mut RootDraft) {
        client.interfaces.name(plan, root);
    }

    fn keep(client: &mut Client, plan: InterfacePlan) {
        let Client { driver, interfaces, ipsec, .. } = client;
        // Another tunnel may have its number.
        interfaces.gone(&plan).for_each(|uidb| ipsec.set_path_mtu(driver, uidb, None));
        interfaces.keep(driver, plan);
    }

    fn abort(client: &mut Client, plan: InterfacePlan) {
        client.interfaces.abort(plan);
    }
}

impl Prepare<Configured<'_>> for InterfaceAgent {
    type Error = CommitError;

    fn prepare(
        client: &mut Client,
        wanted: Configured<'_>,
        plan: &mut InterfacePlan,
    ) -> Result<(), CommitError> {
        let Configured { config, ports, interfaces, .. } = wanted;
        client.interfaces.number(interfaces, plan)?;
        let table = |vrf: Option<&str>| client.vrfs.table(vrf);
        let features = |interface: &Interface<'_>| client.features_of(config, interface);
        let features = (features, IpsecAgent::everywhere(config));
        let Client { driver, interfaces: agent, .. } = &*client;
        Ok(agent.draft(driver, interfaces, ports, features, table, plan)?)
    }
}

impl Agent for ClassificationAgent {
    type Plan = ClassificationPlan;

    fn name(client: &mut Client, plan: &mut ClassificationPlan, root: &mut RootDraft) {
        client.classification.name(plan, root);
    }

    fn keep(client: &mut Client, plan: ClassificationPlan) {
        client.classification.keep(&mut client.driver, plan);
    }

    fn abort(client: &mut Client, plan: ClassificationPlan) {
        client.classification.abort(&client.driver, plan);
    }
}

impl Prepare<Configured<'_>> for ClassificationAgent {
    type Error = CommitError;

    fn prepare(
        client: &mut Client,
        wanted: Configured<'_>,
        plan: &mut ClassificationPlan,
    ) -> Result<(), CommitError> {
        let Client { driver, classification, interfaces, vrfs, .. } = client;
        let uidb = |interface: &Interface<'_>| interfaces.uidb(interface);
        let rows = interfaces.high_water();
        let what = (wanted.config, wanted.interfaces);
        Ok(classification.prepare(driver, what, uidb, rows, |vrf| vrfs.named(vrf), plan)?)
    }
}

impl Client {
    /// A client whose tables are those of a configuration without interfaces.
    ///
    /// # Errors
    /// The memory for the tables cannot be had.
    pub fn new(capacity: &Capacity) -> Result<Self, CommitError> {
        capacity.check()?;
        Self::with(Driver::new(capacity.bytes(), capacity.state_bytes()), capacity)
    }

    /// A client for lcores that another one has left: its tables lie beside those that they read, and
    /// what they write and count goes on. `capacity` is that of the other one.
    ///
    /// # Errors
    /// As [`Client::new`], or what was kept is not what it should be.
    pub fn taking_over(capacity: &Capacity, kept: Kept) -> Result<Self, CommitError> {
        capacity.check()?;
        Self::with(Driver::taking_over(capacity.bytes(), kept), capacity)
    }

    fn with(driver: Result<Driver, DriverError>, capacity: &Capacity) -> Result<Self, CommitError> {
        let mut driver = driver.map_err(|error| match error {
            DriverError::NoMemory { what, bytes, error } if capacity.vrfs > 0 => {
                let what = format!("{what} ({} VRFs)", capacity.vrfs);
                DriverError::NoMemory { what, bytes, error }
            }
            error => error,
        })?;
        let adjacencies = AdjacencyAgent::new(&mut driver, capacity.adjacencies)?;
        let fib = FibAgent::new(&mut driver, capacity)?;
        let classification = ClassificationAgent::new(
            &mut driver,
            capacity.acl_lines,
            capacity.rules,
            capacity.classes,
        )?;
        let ipsec = IpsecAgent::new(&mut driver, capacity)?;
        let rings = Rings::new();
        let interfaces = InterfaceAgent::new(capacity.interfaces, rings.clock());
        let mut client = Self {
            driver,
            interfaces,
            adjacencies,
            fib,
            classification,
            ipsec,
            protected: BTreeMap::new(),
            rib: Rib::default(),
            vrfs: Vrfs::new(capacity.vrfs, rings.clock()),
            rings,
            features: HashMap::new(),
            given: Given::default(),
            connected: Vec::new(),
            learnt: HashMap::new(),
            names: None,
        };
        client.commit_valid(&Config::default(), &RouteTable::default(), &[])?;
        Ok(client)
    }

    /// A reader of the tables, for one lcore.
    ///
    /// # Errors
    /// All places for readers are taken, the mapping failed, or a table is missing or has another
    /// shape than lcores read.
    pub fn attach(&mut self, name: &str) -> Result<TableReader, CommitError> {
        Ok(self.driver.attach(name, table_kind::SHAPES)?)
    }

    /// Counters of `lcores` lcores, `len` each; see [`Driver::counters`].
    ///
    /// # Errors
    /// The memory cannot be had.
    pub fn counters(
        &mut self,
        len: usize,
        lcores: usize,
    ) -> Result<(Counters, Vec<CounterBlock>), CommitError> {
        Ok(self.driver.counters(len, lcores)?)
    }

    /// A place for a reader in another process; see [`Driver::site`].
    ///
    /// # Errors
    /// All places for readers are taken.
    pub fn site(&mut self, name: &str) -> Result<ReaderSite, CommitError> {
        Ok(self.driver.site(name)?)
    }

    /// What a data plane in another process maps; see [`Driver::descriptors`].
    ///
    /// # Errors
    /// The system has no descriptors.
    pub fn descriptors(&self) -> Result<Vec<OwnedFd>, CommitError> {
        Ok(self.driver.descriptors()?)
    }

    /// Signs off the readers of a process that has ended so.
    pub fn evict(&mut self, sites: &[ReaderSite], ended: &Ended) {
        self.driver.evict(sites, ended);
    }

    /// Says how many lcores forward, before the first commit: policers of several are shared.
    pub fn set_lcores(&mut self, lcores: usize) {
        self.classification.services().share(lcores > 1);
    }

    /// Classes of service policies where they are bound, and what they have.
    pub fn service_classes(&self) -> impl Iterator<Item = (BoundClass, ClassFacts)> {
        self.classification.classes()
    }

    /// First counters of classes that are bound since this was last asked: what they have counted
    /// so far is not theirs.
    pub fn take_new_classes(&mut self) -> Vec<u32> {
        self.classification.services().take_renamed()
    }

    /// Has lcores know ports by these numbers, in the order of the configurations to come. Without it
    /// they are numbered in that order.
    pub fn number_ports(&mut self, numbers: Vec<u16>) {
        self.interfaces.number_ports(numbers);
    }

    /// Switches features of an interface on, from the next commit on.
    pub fn set_features(&mut self, interface: &str, features: Features) {
        self.features.insert(interface.to_owned(), features);
    }

    /// Makes the tables say what `config` and `routes` say: all of it or, refused, nothing.
    ///
    /// `ports` describes the ports in the order of the configuration. Routes of other sources stay.
    /// When there is not enough memory at once, it waits some milliseconds for lcores to leave what
    /// they read.
    ///
    /// # Errors
    /// Invalid configuration, or a table that has no room; forwarding goes on as before (ARC-20).
    pub fn commit(
        &mut self,
        config: &Config,
        routes: &RouteTable,
        ports: &[PortFacts],
    ) -> Result<Generation, CommitError> {
        config.validate()?;
        routes.validate(config)?;
        self.commit_valid(config, routes, ports)
    }

    fn commit_valid(
        &mut self,
        config: &Config,
        routes: &RouteTable,
        ports: &[PortFacts],
    ) -> Result<Generation, CommitError> {
        type All = (Vrfs, (InterfaceAgent, (Forwarding, (ClassificationAgent, IpsecAgent))));
        let interfaces = Interfaces::new(config);
        let wanted = Configured { config, routes, ports, interfaces: &interfaces };
        let result = self.transact::<NextGeneration<All>, _>(wanted);
        // Of a commit that failed nothing is left, of one that did not what it replaced.
        self.housekeeping();
        result?;
        let protected = interfaces.all().iter().filter(|interface| interface.is_protected());
        let named = |one: &Interface<'_>| {
            let found = Protected { uidb: self.interfaces.uidb(one), mtu: one.mtu() };
            (one.name().to_owned(), found)
        };
        self.protected = protected.map(named).collect();
        Ok(self.driver.generation())
    }

    /// Rows that are on for an interface beyond the usual ones: a user's own, and those of what is
    /// bound to it.
    fn features_of(&self, config: &Config, interface: &Interface<'_>) -> Features {
        let own = self.features.get(interface.name()).copied().unwrap_or_default();
        let all = [
            own,
            self.classification.features(config, interface),
            IpsecAgent::everywhere(config),
            IpsecAgent::features(interface),
            Features {
                ingress: if config.punt.record_route { Uidb::RECORD_ROUTE } else { 0 },
                egress: 0,
            },
        ];
        all.into_iter().fold(Features::default(), |sum, one| Features {
            ingress: sum.ingress | one.ingress,
            egress: sum.egress | one.egress,
        })
    }

    /// What frames of each interface look like.
    fn links(&self, wanted: &Configured<'_>) -> HashMap<UidbIndex, LinkFacts> {
        let Configured { config, ports, interfaces, .. } = *wanted;
        let mut links = HashMap::new();
        let up = |interface: &&Interface<'_>| interface.is_up() && !interface.is_hidden();
        for interface in interfaces.all().iter().filter(up) {
            let tag = |tpid: Tpid, vid: u16| {
                let [a, b] = tpid.ethertype().to_be_bytes();
                let [c, d] = vid.to_be_bytes();
                [a, b, c, d]
            };
            let tags = interface.vlan().map_or(Vec::new(), |vlan| match vlan.inner {
                None => vec![tag(vlan.tpid, vlan.id)],
                Some(inner) => vec![tag(vlan.tpid, vlan.id), tag(Tpid::Dot1q, inner)],
            });
            let own = self.features_of(config, interface);
            let facts = LinkFacts {
                mac: mac_of(interface, ports),
                tags,
                mtu: interface.mtu(),
                featured: own.egress != 0,
                point_to_point: interface.is_point_to_point(),
            };
            links.insert(self.interfaces.uidb(interface), facts);
        }
        links
    }

    /// Neighbours whose MAC addresses lcores see, static ones among them, in no order.
    #[must_use]
    pub fn neighbours(&self) -> Vec<(UidbIndex, IpAddr, [u8; 6])> {
        self.adjacencies.known().collect()
    }

    /// Neighbours that the slow path has found out and lcores see.
    #[must_use]
    pub fn learnt_neighbours(&self) -> Vec<(UidbIndex, IpAddr, [u8; 6])> {
        self.adjacencies.learnt().collect()
    }

    /// Next hops of routes that were known once and are not now. Packets go to the other members of
    /// their groups, so nobody but who calls this will ask for them.
    #[must_use]
    pub fn lost_next_hops(&self) -> Vec<(UidbIndex, IpAddr)> {
        self.adjacencies.lost().filter(|(number, _)| self.fib.uses(*number)).map(|l| l.1).collect()
    }

    /// Frees what no lcore can be reading any more. Does not wait: to be called now and then.
    pub fn housekeeping(&mut self) {
        self.driver.reclaim();
        self.fib.reclaim();
        self.adjacencies.reclaim();
        self.classification.reclaim();
        self.ipsec.reclaim(&self.driver);
    }

    /// Whether the rings between lcores and slow path are to be cleared now, so that the numbers of
    /// interfaces and VRFs that are gone can be others'. The slow path knows the interfaces of the last commit. To
    /// be asked after [`housekeeping`](Self::housekeeping), and followed by
    /// [`rings_cleared`](Self::rings_cleared).
    pub fn wants_rings_cleared(&mut self) -> bool {
        self.rings.want_clearing(&self.driver)
    }

    /// What was in the rings, in both directions, when that was wanted has been taken out by those
    /// at their ends.
    pub fn rings_cleared(&mut self) {
        self.rings.cleared(&mut self.driver);
        self.vrfs.reclaim();
        self.interfaces.reclaim();
    }

    /// The interfaces of `config` as the slow path knows them, after a commit.
    #[must_use]
    pub fn slow_path_interfaces(
        &self,
        config: &Config,
        ports: &[PortFacts],
    ) -> Vec<punt::Interface> {
        let table = |vrf: Option<&str>| self.vrfs.table(vrf);
        self.interfaces.slow_path(&Interfaces::new(config), ports, table)
    }

    /// The interfaces that stand for entries of security policies, with the networks on our side
    /// ([`SlowPath::set_sides`](punt::SlowPath::set_sides)), after a commit.
    #[must_use]
    pub fn slow_path_sides(&self, config: &Config) -> Vec<(UidbIndex, Vec<IpNet>)> {
        let any = || vec![IpNet::V4(Ipv4Net::default()), IpNet::V6(Ipv6Net::default())];
        let entries = config.ipsec.spd.iter().filter_map(|entry| {
            let networks = entry.networks().map_or_else(any, |(ours, _)| vec![ours]);
            Some((self.interfaces.named(entry.hidden_name())?, networks))
        });
        entries.collect()
    }

    /// Sessions, peers and open ports of `config`, after a commit.
    #[must_use]
    pub fn lpts(&self, config: &Config) -> Lpts {
        config.lpts.lpts(|vrf| self.vrfs.table(vrf))
    }

    /// Static neighbours of `config`, after a commit.
    #[must_use]
    pub fn static_neighbours(&self, config: &Config) -> Vec<(UidbIndex, IpAddr, [u8; 6])> {
        self.located(config, &Interfaces::new(config))
    }

    /// The number of the interface called `name`.
    #[must_use]
    pub fn uidb(&self, name: &str) -> Option<UidbIndex> {
        self.interfaces.named(name)
    }

    /// One more than the highest uIDB number that has been in use.
    #[must_use]
    pub fn uidb_limit(&self) -> usize {
        self.interfaces.high_water()
    }

    /// One more than the highest uIDB number that there can be.
    #[must_use]
    pub fn most_uidbs(&self) -> usize {
        self.interfaces.limit()
    }

    /// The routing table of the VRF called `name`.
    #[must_use]
    pub fn table(&self, name: &str) -> Option<TableId> {
        self.vrfs.named(name)
    }

    /// The VRFs that interfaces are in, by name.
    pub fn vrfs(&self) -> impl Iterator<Item = (&str, TableId)> {
        self.vrfs.all()
    }

    /// Routes of the RIB, `limit` at most, without the first `skip`.
    #[must_use]
    pub fn show_routes(&self, query: RouteQuery, skip: usize, limit: usize) -> Vec<RouteState> {
        self.rib.routes(query, skip, limit)
    }

    /// Routes in the forwarding tables.
    #[must_use]
    pub fn route_count(&self) -> usize {
        self.fib.len()
    }

    /// What is in use of the tables.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let (groups, paths) = self.fib.in_use();
        let adjacencies = self.adjacencies.in_use();
        Usage { adjacencies, groups, paths, memory: self.driver.memory().0 }
    }

    /// What agents take of: each with the agent that does.
    #[must_use]
    pub fn resources(&self) -> Vec<(&'static str, PoolUsage)> {
        let (classification, services) = self.classification.pools();
        let agents: [(&str, &[PoolUsage]); 7] = [
            ("interface", &self.interfaces.pools()),
            ("vrf", &self.vrfs.pools()),
            ("adjacency", &self.adjacencies.pools()),
            ("fib", &self.fib.pools()),
            ("classification", &classification),
            ("qos", &services),
            ("ipsec", &self.ipsec.pools()),
        ];
        agents
            .into_iter()
            .flat_map(|(agent, pools)| pools.iter().map(move |pool| (agent, *pool)))
            .collect()
    }

    /// The generation that was committed last.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.driver.generation()
    }

    /// The way to the data plane, for reports.
    #[must_use]
    pub fn driver(&self) -> &Driver {
        &self.driver
    }
}

#[cfg(test)]
mod tests;
