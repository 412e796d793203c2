//! What the forwarding tables shall hold, from the configuration.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use qfp_core::uidb::UidbIndex;

use super::{Client, CommitError};
use crate::config::{Config, Hop, Interfaces, RouteTable};
use crate::ea::{AdjacencyKey, Macs, Members};

/// What the forwarding tables shall hold.
#[derive(Default)]
pub(super) struct Wanted {
    pub(super) routes: HashMap<IpNet, u16>,
    pub(super) connected: Vec<(IpNet, UidbIndex)>,
    pub(super) learnt: HashMap<IpNet, UidbIndex>,
}

impl Client {
    /// Configured routes and those of the route file.
    pub(super) fn static_routes(
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
            let member = (self.adjacency(interfaces, hop)?, route.weight);
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
                        let adjacency = self.adjacency(interfaces, hop)?;
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
    pub(super) fn connected_routes(
        &mut self,
        interfaces: &Interfaces<'_>,
        wanted: &mut Wanted,
    ) -> Result<(), CommitError> {
        let receive = self.single(AdjacencyKey::Receive)?;
        let local_group = self.single(AdjacencyKey::LocalGroup)?;
        for interface in interfaces.all() {
            let uidb = self.interfaces.uidb(interface);
            for net in interface.addresses() {
                let glean = self.single(AdjacencyKey::Glean(uidb))?;
                let network = net.trunc();
                wanted.connected.push((network, uidb));
                wanted.routes.insert(network, glean);
                match net {
                    IpNet::V4(net) if net.prefix_len() <= 30 => {
                        for address in [net.network(), net.broadcast()] {
                            wanted.routes.insert(host(address.into()), local_group);
                        }
                    }
                    // The subnet-router anycast address (RFC 4291 2.6.1), but not on links
                    // between two routers (RFC 6164 5.1).
                    IpNet::V6(net) if net.prefix_len() <= 126 => {
                        wanted.routes.insert(host(net.network().into()), receive);
                    }
                    _ => {}
                }
            }
        }
        for interface in interfaces.all() {
            for net in interface.addresses() {
                wanted.routes.insert(host(net.addr()), receive);
            }
        }
        Ok(())
    }

    /// Host routes to static neighbours, and to those found before that are still on a link.
    /// Returns the MAC addresses of the static ones.
    pub(super) fn neighbour_routes(
        &mut self,
        config: &Config,
        interfaces: &Interfaces<'_>,
        wanted: &mut Wanted,
    ) -> Result<Macs, CommitError> {
        let mut given = Macs::new();
        for (uidb, address, mac) in self.located(config, interfaces) {
            given.insert((uidb, address), mac);
            self.host_route(uidb, address, wanted)?;
        }
        let learnt: Vec<_> = self.learnt.iter().map(|(prefix, uidb)| (*prefix, *uidb)).collect();
        for (prefix, uidb) in learnt {
            if self.host_route(uidb, prefix.addr(), wanted)? {
                wanted.learnt.insert(prefix, uidb);
            }
        }
        Ok(given)
    }

    fn adjacency(&mut self, interfaces: &Interfaces<'_>, hop: Hop) -> Result<u32, CommitError> {
        let uidb = |id| self.interfaces.uidb(interfaces.get(id));
        let key = match hop {
            Hop::Drop => AdjacencyKey::Null0,
            Hop::OnLink(id) => AdjacencyKey::Glean(uidb(id)),
            Hop::Via { interface, address } => AdjacencyKey::Neighbour(uidb(interface), address),
        };
        Ok(self.adjacencies.get(&self.driver, key)?)
    }

    pub(super) fn single(&mut self, key: AdjacencyKey) -> Result<u16, CommitError> {
        let adjacency = self.adjacencies.get(&self.driver, key)?;
        self.group(vec![(adjacency, 1)])
    }

    /// The group of `list`; a path named twice counts twice.
    fn group(&mut self, mut list: Members) -> Result<u16, CommitError> {
        list.sort_unstable();
        if let [(_, weight)] = &mut list[..] {
            *weight = 1;
        }
        let first = list.first().map_or(0, |(adjacency, _)| *adjacency);
        let (class, output) = self.adjacencies.describe(&self.driver, first);
        self.fib.group(&self.driver, list, class, output)
    }

    /// A route to a neighbour on a connected network, unless there is one. True when it was made.
    fn host_route(
        &mut self,
        uidb: UidbIndex,
        address: IpAddr,
        wanted: &mut Wanted,
    ) -> Result<bool, CommitError> {
        let needed = is_connected(&wanted.connected, uidb, address)
            && !wanted.routes.contains_key(&host(address));
        if needed {
            let leaf = self.single(AdjacencyKey::Neighbour(uidb, address))?;
            wanted.routes.insert(host(address), leaf);
        }
        Ok(needed)
    }

    pub(super) fn located(
        &self,
        config: &Config,
        interfaces: &Interfaces<'_>,
    ) -> Vec<(UidbIndex, IpAddr, [u8; 6])> {
        let located = config.neighbours.iter().filter_map(|neighbour| {
            let id = interfaces.locate(neighbour).ok()?;
            let uidb = self.interfaces.uidb(interfaces.get(id));
            Some((uidb, neighbour.address, neighbour.mac.0))
        });
        located.collect()
    }
}

pub(super) fn is_connected(
    connected: &[(IpNet, UidbIndex)],
    uidb: UidbIndex,
    address: IpAddr,
) -> bool {
    connected.iter().any(|(net, at)| *at == uidb && net.contains(&address))
}

/// The prefix of one address.
pub(super) fn host(address: IpAddr) -> IpNet {
    match address {
        IpAddr::V4(address) => IpNet::V4(Ipv4Net::from(address)),
        IpAddr::V6(address) => IpNet::V6(Ipv6Net::from(address)),
    }
}
