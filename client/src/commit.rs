//! The client: commits configurations and follows neighbours.

mod routes;

use std::collections::HashMap;
use std::net::IpAddr;

use driver::{Driver, DriverError};
use ipnet::IpNet;
use pal::publication::{Generation, Reader};
use pal::region::ReadOnly;
use qfp_core::fib::{FibError, ShapeError};
use qfp_core::punt;
use qfp_core::uidb::UidbIndex;

use crate::config::{Config, ConfigError, Interfaces, RouteTable, Tpid};
use routes::{Wanted, host, is_connected};

use crate::ea::{AdjacencyAgent, AdjacencyKey, FibAgent, InterfaceAgent, LinkFacts, Macs};
use crate::rm::Exhausted;

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
    /// A forwarding table has no room.
    #[error(transparent)]
    Fib(#[from] FibError),
    /// A forwarding table's memory has the wrong shape.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// The path table has no room for a group.
    #[error("no room for a next-hop group of {wanted} places")]
    PathsFull {
        /// Places it needs.
        wanted: u32,
    },
}

/// Sizes of the tables, fixed when the client starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Adjacencies.
    pub adjacencies: u32,
    /// Places of next-hop groups with several members.
    pub paths: u32,
    /// /24s with routes longer than that, and spans below a /48: the same number of each, at most
    /// 32,768. Together with the number of next-hop groups at most 65,535.
    pub long_prefixes: u32,
    /// Lines of the IPv6 table, 64 bytes each: about a line for two routes.
    pub ipv6_lines: u32,
}

impl Capacity {
    /// Room for the full Internet table twice over.
    pub const INTERNET: Self =
        Self { adjacencies: 1 << 17, paths: 1 << 18, long_prefixes: 8192, ipv6_lines: 1 << 19 };
    /// Room for a few thousand routes.
    pub const SMALL: Self =
        Self { adjacencies: 1 << 13, paths: 1 << 13, long_prefixes: 4096, ipv6_lines: 1 << 15 };

    /// Bytes of resource memory for tables of these sizes.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        // tbl24, groups, roots; then by row; then room for interfaces of two generations.
        (32 << 20)
            + (1 << 20)
            + self.adjacencies as usize * 64
            + self.paths as usize * 4
            + self.long_prefixes as usize * (512 + 4)
            + self.ipv6_lines as usize * 64
            + (64 << 20)
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
    features: HashMap<String, Features>,
    connected: Vec<(IpNet, UidbIndex)>,
    /// Host routes to neighbours that the slow path has found.
    learnt: HashMap<IpNet, UidbIndex>,
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
        let mut driver = Driver::new(capacity.bytes())?;
        let adjacencies = AdjacencyAgent::new(&mut driver, capacity.adjacencies)?;
        let fib = FibAgent::new(&mut driver, capacity)?;
        let interfaces = InterfaceAgent::new();
        Ok(Self {
            driver,
            interfaces,
            adjacencies,
            fib,
            features: HashMap::new(),
            connected: Vec::new(),
            learnt: HashMap::new(),
            given: Macs::new(),
        })
    }

    /// A reader and a read-only mapping of the tables, for one lcore.
    ///
    /// # Errors
    /// All places for readers are taken, or the mapping failed.
    pub fn attach(&mut self, name: &str) -> Result<(Reader, ReadOnly), CommitError> {
        Ok(self.driver.attach(name)?)
    }

    /// Switches features of an interface on, from the next commit on.
    pub fn set_features(&mut self, interface: &str, features: Features) {
        self.features.insert(interface.to_owned(), features);
    }

    /// Makes the tables say what `config` and `routes` say.
    ///
    /// `ports` describes the ports in the order of the configuration. When there is not enough
    /// memory at once, it waits some milliseconds for lcores to leave what they read.
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
        let links = self.links(&interfaces, ports);
        let before = self.adjacencies.set_links(links);
        let result = self.replace(config, routes, ports, &interfaces);
        if result.is_err() {
            self.adjacencies.set_links(before);
        }
        // Of a commit that failed nothing is left, of one that did not what it replaced.
        self.fib.purge();
        self.adjacencies.purge(&mut self.driver, &self.fib.used());
        self.housekeeping();
        result?;
        Ok(self.driver.generation())
    }

    /// Prepares everything where no lcore sees it, then lets them see it, step by step; a step
    /// that fails takes back those before it.
    fn replace(
        &mut self,
        config: &Config,
        routes: &RouteTable,
        ports: &[PortFacts],
        interfaces: &Interfaces<'_>,
    ) -> Result<(), CommitError> {
        let drafts = self.interfaces.draft(&self.driver, interfaces, ports, &self.features)?;
        let mut wanted =
            Wanted { routes: self.static_routes(config, routes, interfaces)?, ..Wanted::default() };
        self.connected_routes(interfaces, &mut wanted)?;
        let given = self.neighbour_routes(config, interfaces, &mut wanted)?;
        let gone = self.given.keys().filter(|neighbour| !given.contains_key(neighbour));
        let gone: Vec<_> = gone.copied().collect();
        let used = self.fib.used();
        let moves = self.adjacencies.plan(&mut self.driver, &given, &gone, &used)?;
        let before = match self.interfaces.publish(&mut self.driver, drafts) {
            Ok(before) => before,
            Err(error) => {
                self.adjacencies.cancel(&mut self.driver, moves);
                return Err(error.into());
            }
        };
        self.fib.repoint(&self.driver, &moves.iter().map(|m| (m.old, m.new)).collect());
        if let Err(error) = self.fib.replace(&mut self.driver, wanted.routes) {
            self.fib.repoint(&self.driver, &moves.iter().map(|m| (m.new, m.old)).collect());
            self.adjacencies.cancel(&mut self.driver, moves);
            self.interfaces.restore(&mut self.driver, before)?;
            return Err(error);
        }
        self.adjacencies.finish(&mut self.driver, moves);
        InterfaceAgent::keep(&mut self.driver, before);
        self.connected = wanted.connected;
        self.learnt = wanted.learnt;
        self.given = given;
        Ok(())
    }

    /// What frames of each interface look like.
    fn links(
        &self,
        interfaces: &Interfaces<'_>,
        ports: &[PortFacts],
    ) -> HashMap<UidbIndex, LinkFacts> {
        let mut links = HashMap::new();
        for interface in interfaces.all() {
            let tag = |tpid: Tpid, vid: u16| {
                let [a, b] = tpid.ethertype().to_be_bytes();
                let [c, d] = vid.to_be_bytes();
                [a, b, c, d]
            };
            let tags = interface.vlan.map_or(Vec::new(), |vlan| match vlan.inner {
                None => vec![tag(vlan.tpid, vlan.id)],
                Some(inner) => vec![tag(vlan.tpid, vlan.id), tag(Tpid::Dot1q, inner)],
            });
            let own = self.features.get(interface.name()).copied().unwrap_or_default();
            let facts = LinkFacts {
                mac: ports.get(interface.port_index).map_or([0; 6], |port| port.mac),
                tags,
                mtu: interface.mtu(),
                featured: own.egress != 0,
            };
            links.insert(self.interfaces.uidb(interface), facts);
        }
        links
    }

    fn resolved(
        &mut self,
        uidb: UidbIndex,
        address: IpAddr,
        mac: [u8; 6],
    ) -> Result<(), CommitError> {
        let (new, old) = self.adjacencies.resolve(&mut self.driver, uidb, address, mac)?;
        if let Some(old) = old {
            self.fib.repoint(&self.driver, &HashMap::from([(old, new)]));
        }
        Ok(())
    }

    /// What the slow path found out about a neighbour.
    ///
    /// # Errors
    /// A table has no room; forwarding goes on without the neighbour.
    pub fn neighbour(
        &mut self,
        uidb: UidbIndex,
        address: IpAddr,
        mac: Option<[u8; 6]>,
    ) -> Result<(), CommitError> {
        let prefix = host(address);
        match mac {
            Some(mac) => {
                // The interface may be gone by the time that its neighbour answers.
                if !self.adjacencies.has_link(uidb) {
                    return Ok(());
                }
                self.resolved(uidb, address, mac)?;
                if is_connected(&self.connected, uidb, address) && !self.fib.contains(&prefix) {
                    let leaf = self.single(AdjacencyKey::Neighbour(uidb, address))?;
                    let inserted = self.fib.insert(&mut self.driver, prefix, leaf);
                    inserted.inspect_err(|_| self.fib.purge())?;
                    self.learnt.insert(prefix, uidb);
                }
            }
            None => {
                let lost = self.adjacencies.lose(&mut self.driver, uidb, address);
                if self.learnt.get(&prefix) == Some(&uidb) {
                    self.learnt.remove(&prefix);
                    self.fib.remove(&mut self.driver, prefix)?;
                }
                // A next hop of routes keeps its row: whoever sends to it asks for it again.
                if let Some(number) = lost
                    && !self.fib.uses(number)
                {
                    self.adjacencies.remove(&mut self.driver, number);
                }
            }
        }
        Ok(())
    }

    /// Frees what no lcore can be reading any more. Does not wait: to be called now and then.
    pub fn housekeeping(&mut self) {
        self.fib.reclaim(&mut self.driver);
        self.adjacencies.reclaim(&self.driver);
        self.driver.reclaim();
    }

    /// The interfaces of `config` as the slow path knows them, after a commit.
    #[must_use]
    pub fn slow_path_interfaces(
        &self,
        config: &Config,
        ports: &[PortFacts],
    ) -> Vec<punt::Interface> {
        self.interfaces.slow_path(&Interfaces::new(config), ports)
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

    /// Routes in the forwarding tables.
    #[must_use]
    pub fn routes(&self) -> usize {
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
