//! What the configuration says about routes, given to the RIB.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use qfp_core::uidb::{TableId, UidbIndex};

use super::Client;
use crate::config::{Config, Hop, Interface, Interfaces, RouteEntry, RouteTable, Target};
use crate::ea::Macs;
use crate::rib::{NextHop, Path, Rib, SetId, Source};

/// What the client knows beside the routes after a commit.
#[derive(Default)]
pub(super) struct Wanted {
    pub(super) connected: Vec<(IpNet, UidbIndex)>,
    pub(super) learnt: HashMap<(TableId, IpNet), UidbIndex>,
    pub(super) given: Given,
}

/// The routes that a configuration has given to the RIB.
#[derive(Default)]
pub(super) struct Given {
    /// Those of interfaces, of the TOML and to neighbours.
    routes: HashSet<(TableId, IpNet, Source)>,
    /// Those of the route file, but for prefixes that the TOML has too.
    file: RouteTable,
    /// Where the file's paths lead, for IPv4 and for IPv6.
    hops: [Vec<Option<NextHop>>; 2],
}

impl Given {
    /// Where the entries of a prefix of the file lead, in the order of paths.
    fn paths<P>(&self, entries: &[RouteEntry<P>], v6: bool) -> Vec<Path> {
        let hops = &self.hops[usize::from(v6)];
        let hop = |entry: &RouteEntry<P>| hops.get(entry.path as usize).copied().flatten();
        let mut paths: Vec<Path> =
            entries.iter().filter_map(hop).map(|hop| Path { hop, weight: 1 }).collect();
        paths.sort_unstable();
        paths
    }
}

impl Client {
    /// Gives the routes of the configuration to the RIB and removes those of the one before. A route
    /// file that is the same is not walked as long as its paths lead where they did.
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
        self.static_routes(config, routes, interfaces, &mut wanted.given);
        self.neighbour_routes(given, &mut wanted);
        let learnt = self.learnt.keys().map(|(table, prefix)| (*table, *prefix, Source::NEIGHBOUR));
        let before = self.given.routes.iter().copied().chain(learnt);
        for route in before.filter(|route| !wanted.given.routes.contains(route)) {
            let (table, prefix, source) = route;
            let is_in_file = (table, source) == (TableId::GLOBAL, Source::STATIC)
                && wanted.given.file.contains(prefix);
            if !is_in_file {
                self.rib.withdraw(table, prefix, source);
            }
        }
        self.rib.sweep_tables(&tables);
        wanted
    }

    /// Configured routes and those of the route file.
    fn static_routes(
        &mut self,
        config: &Config,
        routes: &RouteTable,
        interfaces: &Interfaces<'_>,
        given: &mut Given,
    ) {
        let mut configured: HashMap<(TableId, IpNet), Vec<Path>> = HashMap::new();
        for route in &config.routes {
            let vrf = route.vrf.as_deref();
            let hop = self.hop(interfaces, vrf, route.prefix, &route.target);
            let paths = configured.entry((self.vrfs.table(vrf), route.prefix)).or_default();
            paths.extend(hop.map(|hop| Path { hop, weight: route.weight }));
        }
        let any = [Ipv4Net::default().into(), Ipv6Net::default().into()];
        given.hops = any.map(|prefix| {
            let hops = routes.paths().iter().map(|path| self.hop(interfaces, None, prefix, path));
            hops.collect()
        });
        given.file = routes.clone();
        self.file_routes(&configured, given);
        for ((table, prefix), mut paths) in configured {
            if table == TableId::GLOBAL {
                paths.extend(match prefix {
                    IpNet::V4(net) => given.paths(routes.ipv4_of(net), false),
                    IpNet::V6(net) => given.paths(routes.ipv6_of(net), true),
                });
            }
            paths.sort_unstable();
            let set = self.rib.set(table, &paths);
            self.rib.replace(table, prefix, Source::STATIC, set);
            given.routes.insert((table, prefix, Source::STATIC));
        }
    }

    /// The routes of the route file, without those of prefixes that are `configured` too.
    fn file_routes(&mut self, configured: &HashMap<(TableId, IpNet), Vec<Path>>, given: &Given) {
        let Self { rib, given: before, .. } = self;
        let is_own = |prefix: IpNet| configured.contains_key(&(TableId::GLOBAL, prefix));
        let is_same = given.file.is(&before.file);
        let mut file = FileRoutes { rib, given, sets: [Vec::new(), Vec::new()] };
        if !is_same || given.hops != before.hops {
            let moved = |path: u32, v6: usize| {
                let place = path as usize;
                !is_same || before.hops[v6].get(place) != given.hops[v6].get(place)
            };
            for entries in given.file.ipv4() {
                let prefix = entries[0].prefix.into();
                if entries.iter().any(|entry| moved(entry.path, 0)) && !is_own(prefix) {
                    file.give(prefix, entries, false);
                }
            }
            for entries in given.file.ipv6() {
                let prefix = entries[0].prefix.into();
                if entries.iter().any(|entry| moved(entry.path, 1)) && !is_own(prefix) {
                    file.give(prefix, entries, true);
                }
            }
        }
        if is_same {
            // What the TOML had too until now.
            for (table, prefix, source) in &before.routes {
                if (*table, *source) == (TableId::GLOBAL, Source::STATIC) && !is_own(*prefix) {
                    file.give_prefix(*prefix);
                }
            }
            return;
        }
        let gone4 = before.file.ipv4().map(|entries| IpNet::V4(entries[0].prefix));
        let gone6 = before.file.ipv6().map(|entries| IpNet::V6(entries[0].prefix));
        for prefix in gone4.chain(gone6) {
            if !given.file.contains(prefix) && !is_own(prefix) {
                file.rib.withdraw(TableId::GLOBAL, prefix, Source::STATIC);
            }
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

    fn single(
        &mut self,
        (table, prefix, source): (TableId, IpNet, Source),
        hop: NextHop,
        given: &mut Given,
    ) {
        let set = self.rib.set(table, &[Path { hop, weight: 1 }]);
        self.rib.replace(table, prefix, source, set);
        given.routes.insert((table, prefix, source));
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
                self.single((table, network, Source::CONNECTED), hop, &mut wanted.given);
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
                    let route = (table, host(address), Source::CONNECTED);
                    self.single(route, hop, &mut wanted.given);
                }
            }
        }
        for interface in up() {
            let table = self.vrfs.table(interface.vrf());
            for net in interface.addresses() {
                let route = (table, host(net.addr()), Source::CONNECTED);
                self.single(route, NextHop::Receive, &mut wanted.given);
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
            self.single((table, host(address), Source::NEIGHBOUR), hop, &mut wanted.given);
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

/// Routes of a route file on their way to the RIB.
struct FileRoutes<'a> {
    rib: &'a mut Rib,
    given: &'a Given,
    /// Sets of the file's paths, for prefixes that have one: IPv4, IPv6.
    sets: [Vec<Option<SetId>>; 2],
}

impl FileRoutes<'_> {
    fn give<P>(&mut self, prefix: IpNet, entries: &[RouteEntry<P>], v6: bool) {
        let sets = &mut self.sets[usize::from(v6)];
        sets.resize(self.given.file.paths().len(), None);
        let known = match entries {
            [one] => sets.get_mut(one.path as usize),
            _ => None,
        };
        let set = known
            .as_ref()
            .and_then(|known| **known)
            .unwrap_or_else(|| self.rib.set(TableId::GLOBAL, &self.given.paths(entries, v6)));
        if let Some(known) = known {
            *known = Some(set);
        }
        self.rib.replace(TableId::GLOBAL, prefix, Source::STATIC, set);
    }

    /// As [`FileRoutes::give`], if the file has the prefix.
    fn give_prefix(&mut self, prefix: IpNet) {
        let file = self.given.file.clone();
        match prefix {
            IpNet::V4(net) if file.contains(prefix) => self.give(prefix, file.ipv4_of(net), false),
            IpNet::V6(net) if file.contains(prefix) => self.give(prefix, file.ipv6_of(net), true),
            _ => {}
        }
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
