//! What the configuration says about routes, given to the RIB.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use qfp_core::uidb::{TableId, UidbIndex};

use super::Client;
use crate::config::{Config, Hop, Interface, Interfaces, RouteTable, Target};
use crate::ea::Macs;
use crate::rib::{NextHop, Path, Source};

/// What the client knows beside the routes after a commit.
#[derive(Default)]
pub(super) struct Wanted {
    pub(super) connected: Vec<(IpNet, UidbIndex)>,
    pub(super) learnt: HashMap<(TableId, IpNet), UidbIndex>,
}

impl Client {
    /// Gives all routes of the configuration to the RIB and removes those of the one before.
    pub(super) fn configured_routes(
        &mut self,
        config: &Config,
        routes: &RouteTable,
        interfaces: &Interfaces<'_>,
        given: &Macs,
    ) -> Wanted {
        let mut tables = HashSet::from([TableId::GLOBAL]);
        let mut links = HashMap::new();
        for interface in interfaces.all() {
            let table = self.vrfs.table(interface.vrf());
            tables.insert(table);
            if interface.is_up() && !interface.is_hidden() {
                links.insert(self.interfaces.uidb(interface), table);
            }
        }
        self.rib.next_configuration(links);
        let mut wanted = Wanted::default();
        self.connected_routes(interfaces, &mut wanted);
        self.static_routes(config, routes, interfaces);
        self.neighbour_routes(given, &mut wanted);
        self.rib.sweep(&[Source::CONNECTED, Source::STATIC, Source::NEIGHBOUR]);
        self.rib.sweep_tables(&tables);
        wanted
    }

    /// Configured routes and those of the route file.
    fn static_routes(&mut self, config: &Config, routes: &RouteTable, interfaces: &Interfaces<'_>) {
        let mut configured: HashMap<(TableId, IpNet), Vec<Path>> = HashMap::new();
        for route in &config.routes {
            let vrf = route.vrf.as_deref();
            let hop = self.hop(interfaces, vrf, route.prefix, &route.target);
            let paths = configured.entry((self.vrfs.table(vrf), route.prefix)).or_default();
            paths.extend(hop.map(|hop| Path { hop, weight: route.weight }));
        }
        let mut known = vec![None; routes.paths().len()];
        let v4 = routes.ipv4().map(|e| (IpNet::V4(e[0].prefix), e[0].path, e.len()));
        let v6 = routes.ipv6().map(|e| (IpNet::V6(e[0].prefix), e[0].path, e.len()));
        let mut several = Vec::new();
        for (prefix, path, count) in v4.chain(v6) {
            if count > 1 || configured.contains_key(&(TableId::GLOBAL, prefix)) {
                several.push(prefix);
                continue;
            }
            let slot = &mut known[path as usize];
            let set = match *slot {
                Some(set) => set,
                None => {
                    let hop = self.hop(interfaces, None, prefix, routes.path(path));
                    let path = hop.map(|hop| Path { hop, weight: 1 });
                    let set = self.rib.set(TableId::GLOBAL, path.as_slice());
                    *slot = Some(set);
                    set
                }
            };
            self.rib.replace(TableId::GLOBAL, prefix, Source::STATIC, set);
        }
        for prefix in several {
            let hops = routes.targets(prefix);
            let hops = hops.filter_map(|target| self.hop(interfaces, None, prefix, target));
            let hops: Vec<_> = hops.map(|hop| Path { hop, weight: 1 }).collect();
            configured.entry((TableId::GLOBAL, prefix)).or_default().extend(hops);
        }
        for ((table, prefix), mut paths) in configured {
            paths.sort_unstable();
            let set = self.rib.set(table, &paths);
            self.rib.replace(table, prefix, Source::STATIC, set);
        }
    }

    /// A path as the RIB knows it. The configuration has been checked: there is one.
    fn hop(
        &self,
        interfaces: &Interfaces<'_>,
        vrf: Option<&str>,
        prefix: IpNet,
        target: &Target,
    ) -> Option<NextHop> {
        let uidb = |id| self.interfaces.uidb(interfaces.get(id));
        let hop = Some(match interfaces.resolve_in(vrf, prefix, target).ok()? {
            Hop::Drop => NextHop::Drop,
            Hop::OnLink(id) => NextHop::OnLink(uidb(id)),
            Hop::Via { interface, address } => {
                NextHop::Via { address, interface: Some(uidb(interface)) }
            }
            Hop::Recursive(address) => NextHop::Via { address, interface: None },
        });
        hop.map(|hop| self.through(hop, prefix.addr().is_ipv4()))
    }

    /// A path for packets of a family: through a link that has one neighbour alone it leads there,
    /// whatever address it names. That neighbour has the unspecified address of the family.
    pub(super) fn through(&self, hop: NextHop, v4: bool) -> NextHop {
        let (NextHop::OnLink(uidb) | NextHop::Via { interface: Some(uidb), .. }) = hop else {
            return hop;
        };
        if !self.adjacencies.is_point_to_point(uidb) {
            return hop;
        }
        let address = if v4 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        NextHop::Via { address, interface: Some(uidb) }
    }

    fn single(&mut self, table: TableId, prefix: IpNet, source: Source, hop: NextHop) {
        let set = self.rib.set(table, &[Path { hop, weight: 1 }]);
        self.rib.replace(table, prefix, source, set);
    }

    /// Connected networks, own addresses and broadcast addresses.
    fn connected_routes(&mut self, interfaces: &Interfaces<'_>, wanted: &mut Wanted) {
        let up = || interfaces.all().iter().filter(|interface| interface.is_up());
        for interface in up() {
            let (uidb, table) = (self.interfaces.uidb(interface), self.vrfs.table(interface.vrf()));
            for net in interface.addresses() {
                let network = net.trunc();
                wanted.connected.push((network, uidb));
                let hop = self.through(NextHop::OnLink(uidb), network.addr().is_ipv4());
                self.single(table, network, Source::CONNECTED, hop);
                let (addresses, hop) = match net {
                    IpNet::V4(net) if net.prefix_len() <= 30 => {
                        let ends: [IpAddr; 2] = [net.network().into(), net.broadcast().into()];
                        (ends.to_vec(), NextHop::LocalGroup)
                    }
                    // The subnet-router anycast address (RFC 4291 2.6.1), but not on links
                    // between two routers (RFC 6164 5.1).
                    IpNet::V6(net) if net.prefix_len() <= 126 => {
                        (vec![net.network().into()], NextHop::Receive)
                    }
                    _ => continue,
                };
                for address in addresses {
                    self.single(table, host(address), Source::CONNECTED, hop);
                }
            }
        }
        for interface in up() {
            let table = self.vrfs.table(interface.vrf());
            for net in interface.addresses() {
                self.single(table, host(net.addr()), Source::CONNECTED, NextHop::Receive);
            }
        }
    }

    /// Host routes to static neighbours, and to those found before that are still on a link.
    fn neighbour_routes(&mut self, given: &Macs, wanted: &mut Wanted) {
        let learnt = self.learnt.iter().map(|((_, net), uidb)| (*uidb, net.addr()));
        let learnt = learnt.filter(|neighbour| !given.contains_key(neighbour));
        let learnt: Vec<_> = learnt.collect();
        let given = given.keys().map(|neighbour| (*neighbour, true));
        for ((uidb, address), is_given) in given.chain(learnt.into_iter().map(|n| (n, false))) {
            let Some(table) = self.rib.table_of(uidb) else { continue };
            if !is_connected(&wanted.connected, uidb, address) {
                continue;
            }
            if !is_given {
                wanted.learnt.insert((table, host(address)), uidb);
            }
            let hop = NextHop::Via { address, interface: Some(uidb) };
            self.single(table, host(address), Source::NEIGHBOUR, hop);
        }
    }

    pub(super) fn located(
        &self,
        config: &Config,
        interfaces: &Interfaces<'_>,
    ) -> Vec<(UidbIndex, IpAddr, [u8; 6])> {
        let located = config.neighbours.iter().filter_map(|neighbour| {
            let id = interfaces.locate(neighbour).ok()?;
            let interface: &Interface<'_> = interfaces.get(id);
            Some((self.interfaces.uidb(interface), neighbour.address, neighbour.mac.0))
        });
        located.collect()
    }
}

/// A next hop of the other address family.
pub(super) fn other_family(paths: &[Path], v4: bool) -> Option<IpAddr> {
    paths.iter().find_map(|path| match path.hop {
        NextHop::Via { address, .. } if address.is_ipv4() != v4 => Some(address),
        _ => None,
    })
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
