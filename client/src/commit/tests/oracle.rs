//! What the tables ought to say: a list of routes, looked through from end to end.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

use ipnet::IpNet;

use super::world::{INTERFACES, Verdict, Way, World, header, name};
use crate::config::{Config, Interfaces, RouteTable, Target};

/// Routes in the order in which they count among equal prefixes: the first does.
type Routes = Vec<(IpNet, Vec<(Path, u32)>)>;

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Path {
    Receive,
    LocalGroup,
    Null0,
    Glean(u8),
    Neighbour(u8, IpAddr),
}

#[derive(Default)]
pub(super) struct Oracle {
    routes: Routes,
    /// MAC addresses of neighbours.
    macs: HashMap<(u8, IpAddr), [u8; 6]>,
    given: HashSet<(u8, IpAddr)>,
    /// Neighbours that were known and are not any more.
    lost: HashSet<(u8, IpAddr)>,
    /// Neighbours that have a host route because they were heard of.
    learnt: HashSet<(u8, IpAddr)>,
    connected: Vec<(IpNet, u8)>,
}

fn host(address: IpAddr) -> IpNet {
    IpNet::new(address, if address.is_ipv4() { 32 } else { 128 }).unwrap()
}

impl Oracle {
    pub(super) fn commit(&mut self, config: &Config, file: &RouteTable) {
        let interfaces = Interfaces::new(config);
        let number = |wanted: &str| (0..INTERFACES).find(|n| name(*n) == wanted).unwrap();
        let all: Vec<_> =
            interfaces.all().iter().map(|i| (number(i.name()), i.addresses())).collect();
        self.routes.clear();
        self.connected.clear();
        for net in all.iter().flat_map(|(_, nets)| *nets) {
            self.routes.push((host(net.addr()), vec![(Path::Receive, 1)]));
        }
        for net in all.iter().flat_map(|(_, nets)| *nets) {
            let v4 = net.addr().is_ipv4();
            let path = if v4 { Path::LocalGroup } else { Path::Receive };
            self.routes.push((host(net.network()), vec![(path, 1)]));
            if v4 {
                self.routes.push((host(net.broadcast()), vec![(path, 1)]));
            }
        }
        for (interface, net) in all.iter().flat_map(|(n, nets)| nets.iter().map(|net| (*n, *net))) {
            self.routes.push((net.trunc(), vec![(Path::Glean(interface), 1)]));
            self.connected.push((net.trunc(), interface));
        }
        let mut paths: HashMap<IpNet, Vec<(Path, u32)>> = HashMap::new();
        let mut add = |prefix: IpNet, target: &Target, weight: u8| {
            let path = match target {
                Target::Drop => Path::Null0,
                Target::Dev(dev) => Path::Glean(number(dev)),
                Target::Via { address, .. } => {
                    let id = interfaces.connected(None, *address).unwrap();
                    Path::Neighbour(number(interfaces.get(id).name()), *address)
                }
            };
            paths.entry(prefix).or_default().push((path, weight.into()));
        };
        for route in &config.routes {
            add(route.prefix, &route.target, route.weight);
        }
        let v4 = file.ipv4().flatten().map(|entry| (IpNet::V4(entry.prefix), entry.path));
        let v6 = file.ipv6().flatten().map(|entry| (IpNet::V6(entry.prefix), entry.path));
        for (prefix, path) in v4.chain(v6) {
            add(prefix, file.path(path), 1);
        }
        self.routes.extend(paths);
        for neighbour in &std::mem::take(&mut self.given) {
            self.macs.remove(neighbour);
        }
        for neighbour in &config.neighbours {
            let id = interfaces.locate(neighbour).unwrap();
            let key = (number(interfaces.get(id).name()), neighbour.address);
            self.given.insert(key);
            self.macs.insert(key, neighbour.mac.0);
            self.lost.remove(&key);
            self.host_route(key);
        }
        for key in std::mem::take(&mut self.learnt) {
            if !self.given.contains(&key) && self.host_route(key) {
                self.learnt.insert(key);
            }
        }
        // What no route leads to is forgotten.
        let used: HashSet<_> = self.routes.iter().flat_map(|(_, paths)| paths).collect();
        let used: HashSet<Path> = used.into_iter().map(|(path, _)| *path).collect();
        self.macs.retain(|(n, hop), _| used.contains(&Path::Neighbour(*n, *hop)));
        self.lost.retain(|(n, hop)| used.contains(&Path::Neighbour(*n, *hop)));
    }

    fn host_route(&mut self, (interface, address): (u8, IpAddr)) -> bool {
        let prefix = host(address);
        let on_link =
            self.connected.iter().any(|(net, n)| *n == interface && net.contains(&address));
        if on_link {
            self.routes.push((prefix, vec![(Path::Neighbour(interface, address), 1)]));
        }
        on_link
    }

    pub(super) fn neighbour(&mut self, key: (u8, IpAddr), mac: Option<[u8; 6]>) {
        match mac {
            Some(mac) => {
                self.macs.insert(key, mac);
                if !self.learnt.contains(&key) && self.host_route(key) {
                    self.learnt.insert(key);
                }
                self.lost.remove(&key);
            }
            None => {
                if self.macs.remove(&key).is_some() {
                    self.lost.insert(key);
                }
                if self.learnt.remove(&key) {
                    let at = self.routes.iter().rposition(|(prefix, _)| *prefix == host(key.1));
                    self.routes.remove(at.unwrap());
                }
            }
        }
    }

    /// The ways of a destination and the weight of each.
    fn lookup(&self, world: &World, dst: IpAddr) -> Verdict {
        let matching = self.routes.iter().filter(|(prefix, _)| prefix.contains(&dst));
        let longest = matching.clone().map(|(prefix, _)| prefix.prefix_len()).max()?;
        let (_, paths) = matching.clone().find(|(prefix, _)| prefix.prefix_len() == longest)?;
        let is_lost = |path: &Path| match path {
            Path::Neighbour(n, hop) => self.lost.contains(&(*n, *hop)),
            _ => false,
        };
        let all_lost = !paths.iter().any(|(path, _)| match path {
            Path::Neighbour(n, hop) => self.macs.contains_key(&(*n, *hop)),
            _ => true,
        });
        let mut ways = BTreeMap::new();
        for (path, weight) in paths.iter().filter(|(path, _)| all_lost || !is_lost(path)) {
            let way = match *path {
                Path::Receive => Way::Receive,
                Path::LocalGroup => Way::LocalGroup,
                Path::Null0 => Way::Null0,
                Path::Glean(n) => Way::Glean(world.uidb(n).0),
                Path::Neighbour(n, hop) => {
                    let mac = self.macs.get(&(n, hop));
                    let header = mac.map(|mac| header(n, *mac, hop.is_ipv6()));
                    Way::Neighbour(world.uidb(n).0, hop, header)
                }
            };
            *ways.entry(way).or_insert(0) += weight;
        }
        Some(ways)
    }

    /// Whether ways have the shares that they should, within a place or two.
    fn same(is: &Verdict, wanted: &Verdict) -> bool {
        let (Some(is), Some(wanted)) = (is, wanted) else {
            return is.is_none() && wanted.is_none();
        };
        let sum = |ways: &BTreeMap<Way, u32>| f64::from(ways.values().sum::<u32>());
        let share = |weight: u32| f64::from(weight) * sum(is) / sum(wanted);
        is.keys().eq(wanted.keys())
            && is.iter().all(|(way, n)| (f64::from(*n) - share(wanted[way])).abs() < 2.0)
    }

    /// Compares the tables with this at the edges of all prefixes and beside them.
    pub(super) fn check(&self, world: &World) {
        let step = |address: IpAddr, by: i8| -> IpAddr {
            match address {
                IpAddr::V4(v4) => {
                    std::net::Ipv4Addr::from(v4.to_bits().wrapping_add_signed(by.into())).into()
                }
                IpAddr::V6(v6) => {
                    std::net::Ipv6Addr::from(v6.to_bits().wrapping_add_signed(by.into())).into()
                }
            }
        };
        for (prefix, _) in &self.routes {
            let (first, last) = (prefix.network(), prefix.broadcast());
            for dst in [step(first, -1), first, step(first, 1), step(last, -1), last, step(last, 1)]
            {
                let (is, wanted) = (world.lookup(dst), self.lookup(world, dst));
                assert!(Self::same(&is, &wanted), "{dst}: {is:?}, wanted {wanted:?}");
            }
        }
        let prefixes: HashSet<IpNet> = self.routes.iter().map(|(prefix, _)| *prefix).collect();
        assert_eq!(world.client.route_count(), prefixes.len());
    }
}
