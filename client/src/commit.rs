//! The client: commits configurations and follows neighbours.

use std::collections::HashMap;
use std::net::IpAddr;

use driver::{Driver, DriverError};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use pal::publication::{Generation, Reader};
use pal::region::ReadOnly;
use qfp_core::fib::{FibError, ShapeError};
use qfp_core::punt;
use qfp_core::uidb::UidbIndex;

use crate::config::{Config, ConfigError, Hop, InterfaceId, Interfaces, RouteTable, Tpid};
use crate::ea::{AdjacencyAgent, AdjacencyKey, FibAgent, InterfaceAgent, LinkFacts, Members};
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
    /// `ports` describes the ports in the order of the configuration. The configuration and the
    /// routes are checked whole before anything is written.
    ///
    /// # Errors
    /// Invalid configuration, or a table that has no room.
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
        self.set_links(&interfaces, ports);
        let moved = self.adjacencies.refresh(&mut self.driver)?;
        for (old, new) in moved {
            self.fib.repoint(&self.driver, old, new);
        }
        self.interfaces.commit(&mut self.driver, &interfaces, ports, &self.features)?;
        let mut wanted = self.static_routes(config, routes, &interfaces)?;
        self.connected_routes(&interfaces, &mut wanted)?;
        for neighbour in &config.neighbours {
            if let Ok(id) = interfaces.locate(neighbour) {
                let uidb = self.interfaces.uidb(id);
                self.resolved(uidb, neighbour.address, neighbour.mac.0)?;
                self.host_route(uidb, neighbour.address, &mut wanted)?;
            }
        }
        let learnt = std::mem::take(&mut self.learnt);
        for (prefix, uidb) in learnt {
            if self.is_connected(uidb, prefix.addr()) && !wanted.contains_key(&prefix) {
                self.host_route(uidb, prefix.addr(), &mut wanted)?;
                self.learnt.insert(prefix, uidb);
            }
        }
        self.fib.replace(&mut self.driver, wanted)?;
        self.driver.reclaim();
        Ok(self.driver.generation())
    }

    fn set_links(&mut self, interfaces: &Interfaces<'_>, ports: &[PortFacts]) {
        let mut links = HashMap::new();
        for (index, interface) in interfaces.all().iter().enumerate() {
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
            links.insert(self.interfaces.uidb(InterfaceId(index)), facts);
        }
        self.adjacencies.set_links(links);
    }

    /// Configured routes and those of the route file.
    fn static_routes(
        &mut self,
        config: &Config,
        routes: &RouteTable,
        interfaces: &Interfaces<'_>,
    ) -> Result<HashMap<IpNet, u16>, CommitError> {
        let mut members: HashMap<IpNet, Members> = HashMap::new();
        for route in &config.routes {
            let hop = interfaces
                .resolve(route.prefix, &route.target)
                .map_err(|problem| problem.at(route.origin.at("prefix")))?;
            let member = (self.adjacency(hop)?, route.weight);
            members.entry(route.prefix).or_default().push(member);
        }
        let mut wanted = HashMap::with_capacity(members.len() + routes.len());
        let mut paths: Vec<Option<u32>> = vec![None; routes.paths().len()];
        let v4 = routes.ipv4().map(|entries| {
            (IpNet::V4(entries[0].prefix), entries.iter().map(|e| e.path).collect::<Vec<_>>())
        });
        let v6 = routes.ipv6().map(|entries| {
            (IpNet::V6(entries[0].prefix), entries.iter().map(|e| e.path).collect::<Vec<_>>())
        });
        for (prefix, indices) in v4.chain(v6) {
            let mut list = members.remove(&prefix).unwrap_or_default();
            for index in indices {
                let known = paths.get(index as usize).copied().flatten();
                let adjacency = match known {
                    Some(adjacency) => adjacency,
                    None => {
                        let hop = interfaces
                            .resolve(prefix, routes.path(index))
                            .map_err(|problem| problem.at(routes.place(0)))?;
                        let adjacency = self.adjacency(hop)?;
                        paths[index as usize] = Some(adjacency);
                        adjacency
                    }
                };
                list.push((adjacency, 1));
            }
            wanted.insert(prefix, self.group(list)?);
        }
        for (prefix, list) in members {
            wanted.insert(prefix, self.group(list)?);
        }
        Ok(wanted)
    }

    /// Connected networks, own addresses and broadcast addresses, before all static routes.
    fn connected_routes(
        &mut self,
        interfaces: &Interfaces<'_>,
        wanted: &mut HashMap<IpNet, u16>,
    ) -> Result<(), CommitError> {
        self.connected.clear();
        let receive = self.single(AdjacencyKey::Receive)?;
        let local_group = self.single(AdjacencyKey::LocalGroup)?;
        for (index, interface) in interfaces.all().iter().enumerate() {
            let uidb = self.interfaces.uidb(InterfaceId(index));
            for net in interface.addresses() {
                let glean = self.single(AdjacencyKey::Glean(uidb))?;
                let network = net.trunc();
                self.connected.push((network, uidb));
                wanted.insert(network, glean);
                match net {
                    IpNet::V4(net) if net.prefix_len() <= 30 => {
                        for address in [net.network(), net.broadcast()] {
                            wanted.insert(host(address.into()), local_group);
                        }
                    }
                    // The subnet-router anycast address (RFC 4291 2.6.1), but not on links
                    // between two routers (RFC 6164 5.1).
                    IpNet::V6(net) if net.prefix_len() <= 126 => {
                        wanted.insert(host(net.network().into()), receive);
                    }
                    _ => {}
                }
            }
        }
        for interface in interfaces.all() {
            for net in interface.addresses() {
                wanted.insert(host(net.addr()), receive);
            }
        }
        Ok(())
    }

    fn adjacency(&mut self, hop: Hop) -> Result<u32, CommitError> {
        let key = match hop {
            Hop::Drop => AdjacencyKey::Null0,
            Hop::OnLink(id) => AdjacencyKey::Glean(self.interfaces.uidb(id)),
            Hop::Via { interface, address } => {
                AdjacencyKey::Neighbour(self.interfaces.uidb(interface), address)
            }
        };
        Ok(self.adjacencies.get(&self.driver, key)?)
    }

    fn single(&mut self, key: AdjacencyKey) -> Result<u16, CommitError> {
        let adjacency = self.adjacencies.get(&self.driver, key)?;
        self.group(vec![(adjacency, 1)])
    }

    /// The group of `list`; a path named twice counts twice.
    fn group(&mut self, mut list: Members) -> Result<u16, CommitError> {
        list.sort_unstable();
        if let [(_, weight)] = &mut list[..] {
            *weight = 1;
        }
        self.fib.group(&self.driver, list)
    }

    /// A route to a neighbour on a connected network, unless the configuration has one.
    fn host_route(
        &mut self,
        uidb: UidbIndex,
        address: IpAddr,
        wanted: &mut HashMap<IpNet, u16>,
    ) -> Result<(), CommitError> {
        if self.is_connected(uidb, address) && !wanted.contains_key(&host(address)) {
            let leaf = self.single(AdjacencyKey::Neighbour(uidb, address))?;
            wanted.insert(host(address), leaf);
        }
        Ok(())
    }

    fn is_connected(&self, uidb: UidbIndex, address: IpAddr) -> bool {
        self.connected.iter().any(|(net, at)| *at == uidb && net.contains(&address))
    }

    fn resolved(
        &mut self,
        uidb: UidbIndex,
        address: IpAddr,
        mac: [u8; 6],
    ) -> Result<(), CommitError> {
        let (new, old) = self.adjacencies.resolve(&mut self.driver, uidb, address, mac)?;
        if let Some(old) = old {
            self.fib.repoint(&self.driver, old, new);
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
                self.resolved(uidb, address, mac)?;
                if self.is_connected(uidb, address) && !self.fib.contains(&prefix) {
                    let leaf = self.single(AdjacencyKey::Neighbour(uidb, address))?;
                    self.fib.insert(&mut self.driver, prefix, leaf)?;
                    self.learnt.insert(prefix, uidb);
                }
            }
            None => {
                let lost = self.adjacencies.lose(&mut self.driver, uidb, address);
                if self.learnt.remove(&prefix).is_some() {
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
        let interfaces = Interfaces::new(config);
        let located = config.neighbours.iter().filter_map(|neighbour| {
            let id = interfaces.locate(neighbour).ok()?;
            Some((self.interfaces.uidb(id), neighbour.address, neighbour.mac.0))
        });
        located.collect()
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

/// The prefix of one address.
fn host(address: IpAddr) -> IpNet {
    match address {
        IpAddr::V4(address) => IpNet::V4(Ipv4Net::from(address)),
        IpAddr::V6(address) => IpNet::V6(Ipv6Net::from(address)),
    }
}
