//! The client: commits configurations and follows neighbours.

mod capacity;
mod lists;
mod routes;
mod sas;
mod updates;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

use driver::{Driver, DriverError};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use pal::publication::{Generation, Reader, RootDraft};
use pal::region::{ReadOnly, ReadWrite};
use qfp_core::fib::{FibError, ShapeError};
use qfp_core::lpts::Lpts;
use qfp_core::punt;
use qfp_core::tables::{TableError, Tables};
use qfp_core::uidb::{TableId, Uidb, UidbIndex};

use crate::config::{Config, ConfigError, Interface, Interfaces, RouteTable, Tpid};
use crate::ea::{
    AclAgent, AclError, AclPlan, AdjacencyAgent, AdjacencyKey, BoundClass, ClassFacts, Drafts,
    FibAgent, InterfaceAgent, IpsecAgent, IpsecError, IpsecPlan, LinkFacts, Macs, SaNames, mac_of,
};
use crate::rib::{Delta, Rib};
use crate::rm::{Exhausted, Vrfs};

pub use capacity::Capacity;
pub use lists::{ListEdit, ListError};
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
    Exhausted(#[from] Exhausted),
    /// Access lists and policies.
    #[error(transparent)]
    Acl(#[from] AclError),
    /// SAs.
    #[error(transparent)]
    Ipsec(#[from] IpsecError),
    /// A forwarding table has no room.
    #[error(transparent)]
    Fib(#[from] FibError),
    /// A forwarding table's memory has the wrong shape.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// A table that lcores need is missing, or has another shape than they read.
    #[error(transparent)]
    Table(#[from] TableError),
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
    /// The path table has no room for a group.
    #[error("no room for a next-hop group of {wanted} places")]
    PathsFull {
        /// Places it needs.
        wanted: u32,
    },
}

impl CommitError {
    /// Whether the operator has asked for what cannot be, rather than for more than there is room
    /// for: exit status 2.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Config(_) | Self::NoTable(_) => true,
            Self::Acl(error) => error.is_usage(),
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
    acl: AclAgent,
    ipsec: IpsecAgent,
    /// Tunnels, and what stands for policies, by name.
    protected: BTreeMap<String, Protected>,
    rib: Rib,
    vrfs: Vrfs,
    features: HashMap<String, Features>,
    connected: Vec<(IpNet, UidbIndex)>,
    /// Host routes to neighbours that the slow path has found.
    learnt: HashMap<(TableId, IpNet), UidbIndex>,
    /// Static neighbours.
    given: Macs,
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

impl Client {
    /// A client with empty tables.
    ///
    /// # Errors
    /// The memory for the tables cannot be had.
    pub fn new(capacity: &Capacity) -> Result<Self, CommitError> {
        capacity.check()?;
        let driver = Driver::with_state(capacity.bytes(), capacity.state_bytes());
        let mut driver = driver.map_err(|error| match error {
            DriverError::NoMemory { what, bytes, error } if capacity.vrfs > 0 => {
                let what = format!("{what} ({} VRFs)", capacity.vrfs);
                DriverError::NoMemory { what, bytes, error }
            }
            error => error,
        })?;
        let adjacencies = AdjacencyAgent::new(&mut driver, capacity.adjacencies)?;
        let fib = FibAgent::new(&mut driver, capacity)?;
        let acl = AclAgent::new(&mut driver, capacity.acl_lines, capacity.rules, capacity.classes)?;
        let ipsec = IpsecAgent::new(&mut driver, capacity)?;
        let interfaces = InterfaceAgent::new();
        Ok(Self {
            driver,
            interfaces,
            adjacencies,
            fib,
            acl,
            ipsec,
            protected: BTreeMap::new(),
            rib: Rib::default(),
            vrfs: Vrfs::new(capacity.vrfs),
            features: HashMap::new(),
            connected: Vec::new(),
            learnt: HashMap::new(),
            given: Macs::new(),
        })
    }

    /// A reader and a read-only mapping of the tables, for one lcore.
    ///
    /// # Errors
    /// All places for readers are taken, the mapping failed, or a table is missing or has another
    /// shape than lcores read.
    pub fn attach(&mut self, name: &str) -> Result<(Reader, ReadOnly), CommitError> {
        let (reader, region) = self.driver.attach(name)?;
        Tables::new(reader.root(), &region).with_state(&self.driver.state()).check()?;
        Ok((reader, region))
    }

    /// What lcores write, for one lcore.
    #[must_use]
    pub fn state(&self) -> ReadWrite {
        self.driver.state()
    }

    /// Says how many lcores forward, before the first commit: policers of several are shared.
    pub fn set_lcores(&mut self, lcores: usize) {
        self.acl.services().share(lcores > 1);
    }

    /// Classes of service policies where they are bound, and what they have.
    pub fn service_classes(&self) -> impl Iterator<Item = (&BoundClass, &ClassFacts)> {
        self.acl.classes()
    }

    /// First counters of classes that are bound since this was last asked: what they have counted
    /// so far is not theirs.
    pub fn take_new_classes(&mut self) -> Vec<u32> {
        self.acl.services().take_renamed()
    }

    /// Switches features of an interface on, from the next commit on.
    pub fn set_features(&mut self, interface: &str, features: Features) {
        self.features.insert(interface.to_owned(), features);
    }

    /// Makes the tables say what `config` and `routes` say.
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
        let interfaces = Interfaces::new(config);
        self.interfaces.number(&interfaces)?;
        let names: HashSet<&str> = interfaces.all().iter().filter_map(Interface::vrf).collect();
        let new_vrfs = self.vrfs.add(names.iter().copied())?;
        let links = self.links(config, &interfaces, ports);
        let before = self.adjacencies.set_links(links);
        let result = self.configure(config, routes, ports, &interfaces);
        if result.is_err() {
            self.adjacencies.set_links(before);
            self.vrfs.retain(&mut self.driver, |name| !new_vrfs.iter().any(|new| new == name));
        } else {
            self.vrfs.retain(&mut self.driver, |name| names.contains(name));
        }
        // Of a commit that failed nothing is left, of one that did not what it replaced.
        self.purge();
        self.housekeeping();
        result?;
        Ok(self.driver.generation())
    }

    /// Prepares everything where no lcore sees it, then lets them see it, step by step; a step
    /// that fails takes back those before it.
    fn configure(
        &mut self,
        config: &Config,
        routes: &RouteTable,
        ports: &[PortFacts],
        interfaces: &Interfaces<'_>,
    ) -> Result<(), CommitError> {
        let table = |vrf: Option<&str>| self.vrfs.table(vrf);
        let features = |interface: &Interface<'_>| self.features_of(config, interface);
        let features = (features, IpsecAgent::everywhere(config));
        let drafts = self.interfaces.draft(&self.driver, interfaces, ports, features, table)?;
        let acl = self.acl.prepare(
            &self.driver,
            config,
            interfaces,
            |interface| self.interfaces.uidb(interface),
            self.interfaces.high_water(),
            |vrf| self.vrfs.named(vrf),
        )?;
        let sas = match self.prepare_sas(config, interfaces) {
            Ok(sas) => sas,
            Err(error) => {
                self.acl.cancel(&self.driver, acl);
                return Err(error.into());
            }
        };
        let wanted = self.configured_routes(config, routes, interfaces);
        let delta = self.rib.settle();
        let mut acl = Some(acl);
        let result = self.carry_out(&delta, drafts, &mut acl, &wanted.given);
        if let Some(acl) = acl {
            self.acl.cancel(&self.driver, acl);
        }
        if result.is_err() {
            self.ipsec.cancel(&mut self.driver, sas);
            self.rib.undo(&delta);
            return result;
        }
        self.ipsec.apply(&mut self.driver, sas);
        let protected = interfaces.all().iter().filter(|interface| interface.is_protected());
        let named = |one: &Interface<'_>| {
            let found = Protected { uidb: self.interfaces.uidb(one), mtu: one.mtu() };
            (one.name().to_owned(), found)
        };
        self.protected = protected.map(named).collect();
        let gone = self.rib.keep();
        self.fib.remove(&gone);
        self.connected = wanted.connected;
        self.learnt = wanted.learnt;
        self.given = wanted.given;
        Ok(())
    }

    fn carry_out(
        &mut self,
        delta: &Delta,
        drafts: Drafts,
        acl: &mut Option<AclPlan>,
        given: &Macs,
    ) -> Result<(), CommitError> {
        let gone = self.given.keys().filter(|neighbour| !given.contains_key(neighbour));
        let gone: Vec<_> = gone.copied().collect();
        let used = self.fib.used();
        let plan = self.fib.prepare(&self.driver, &mut self.adjacencies, &self.rib, delta)?;
        let moves = match self.adjacencies.plan(&mut self.driver, given, &gone, &used) {
            Ok(moves) => moves,
            Err(error) => {
                self.fib.cancel(plan);
                return Err(error.into());
            }
        };
        let (acl_before, acl) = self.acl.publish(acl);
        let others = |root: &mut RootDraft| self.acl.name_in(root);
        let before = match self.interfaces.publish(&mut self.driver, drafts, others) {
            Ok(before) => before,
            Err(error) => {
                self.acl.restore(&mut self.driver, acl_before, acl);
                self.fib.cancel(plan);
                self.adjacencies.cancel(&mut self.driver, moves);
                return Err(error.into());
            }
        };
        let moved: HashMap<u32, u32> = moves.iter().map(|m| (m.old, m.new)).collect();
        self.fib.repoint(&self.driver, &self.adjacencies, &moved);
        if let Err(error) = self.fib.write(&mut self.driver, &mut self.rib, delta) {
            let back = moved.iter().map(|(old, new)| (*new, *old)).collect();
            self.fib.repoint(&self.driver, &self.adjacencies, &back);
            self.fib.cancel(plan);
            self.adjacencies.cancel(&mut self.driver, moves);
            let undo = self.acl.restore_tables(acl_before);
            let restored =
                self.interfaces.restore(&mut self.driver, before, |root| self.acl.name_in(root));
            self.acl.forget(&mut self.driver, undo, acl);
            restored?;
            return Err(error);
        }
        self.fib.apply(&self.driver, &self.adjacencies, plan, &moved);
        self.adjacencies.finish(&mut self.driver, moves);
        InterfaceAgent::keep(&mut self.driver, before);
        self.acl.keep(&mut self.driver, acl_before, acl);
        Ok(())
    }

    /// Removes adjacencies and groups that nothing uses.
    fn purge(&mut self) {
        let mut used = self.fib.used();
        let learnt = self.learnt.iter().map(|((_, prefix), uidb)| (*uidb, prefix.addr()));
        let rows = learnt.filter_map(|(uidb, address)| {
            self.adjacencies.number(AdjacencyKey::Neighbour(uidb, address))
        });
        used.extend(rows);
        self.adjacencies.purge(&mut self.driver, &used);
    }

    /// Prepares what the configuration says about SAs.
    fn prepare_sas(
        &mut self,
        config: &Config,
        interfaces: &Interfaces<'_>,
    ) -> Result<IpsecPlan, IpsecError> {
        let Self { ipsec, driver, interfaces: numbers, vrfs, .. } = self;
        let interface = |name: &str| {
            let interface = interfaces.get(interfaces.named(name)?);
            interface.is_protected().then(|| numbers.uidb(interface))
        };
        let used: HashSet<&str> = interfaces.all().iter().filter_map(Interface::vrf).collect();
        let table = |vrf: &str| vrfs.named(vrf).filter(|_| used.contains(vrf));
        let names = SaNames { interface: &interface, table: &table };
        ipsec.prepare_configured(driver, config, &names)
    }

    /// Rows that are on for an interface beyond the usual ones: a user's own, and those of what is
    /// bound to it.
    fn features_of(&self, config: &Config, interface: &Interface<'_>) -> Features {
        let own = self.features.get(interface.name()).copied().unwrap_or_default();
        let all = [
            own,
            self.acl.features(config, interface),
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
    fn links(
        &self,
        config: &Config,
        interfaces: &Interfaces<'_>,
        ports: &[PortFacts],
    ) -> HashMap<UidbIndex, LinkFacts> {
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

    /// Next hops of routes that were known once and are not now. Packets go to the other members of
    /// their groups, so nobody but who calls this will ask for them.
    #[must_use]
    pub fn lost_next_hops(&self) -> Vec<(UidbIndex, IpAddr)> {
        self.adjacencies.lost().filter(|(number, _)| self.fib.uses(*number)).map(|l| l.1).collect()
    }

    /// Frees what no lcore can be reading any more. Does not wait: to be called now and then.
    pub fn housekeeping(&mut self) {
        self.fib.reclaim(&mut self.driver);
        self.adjacencies.reclaim(&self.driver);
        self.acl.reclaim(&self.driver);
        self.ipsec.reclaim(&self.driver);
        self.vrfs.reclaim(&self.driver);
        self.driver.reclaim();
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

    /// One more than the highest uIDB number in use.
    #[must_use]
    pub fn uidb_limit(&self) -> usize {
        self.interfaces.high_water()
    }

    /// The routing table of the VRF called `name`.
    #[must_use]
    pub fn table(&self, name: &str) -> Option<TableId> {
        self.vrfs.named(name)
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
