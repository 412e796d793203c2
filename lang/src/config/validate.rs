use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;

use ipnet::IpNet;

use super::interfaces::{is_host_of, is_link_local, is_unicast};
use super::recursion::Recursion;
use super::table::out_of_range;
use super::{
    Config, ConfigError, Hop, Interface, InterfaceId, Interfaces, IpsecProblem, MAX_PATHS,
    MIN_MTU_IPV6, MTU, MacAddr, Origin, Port, Problem, Route, Target, VLAN_ID, WEIGHT,
};

impl Config {
    /// Checks that the configuration makes sense as a whole.
    ///
    /// # Errors
    /// The first thing that does not, in the order ports, addresses, SAs and who uses them, access
    /// lists, route maps, who uses them, routes, neighbours.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.ports.is_empty() {
            return Err(Problem::NoPorts.at(self.origin.place()));
        }
        for port in &self.ports {
            check_port(port)?;
        }
        let interfaces = Interfaces::new(self);
        for (index, interface) in interfaces.all().iter().enumerate() {
            check_interface(&interfaces, InterfaceId(index), interface)?;
        }
        check_overlaps(&interfaces)?;
        self.check_ipsec(&interfaces)?;
        self.lpts.validate(&interfaces)?;
        self.check_bindings(&interfaces)?;
        self.check_routes(&interfaces)?;
        self.check_neighbours(&interfaces)
    }

    fn check_routes(&self, interfaces: &Interfaces<'_>) -> Result<(), ConfigError> {
        let mut paths: HashMap<_, Vec<&Target>> = HashMap::new();
        let mut recursion = Recursion::new(self, interfaces, None);
        for route in &self.routes {
            check_route(interfaces, &mut recursion, route)?;
            let earlier = paths.entry((route.vrf.as_deref(), route.prefix)).or_default();
            check_path(route.prefix, earlier, &route.target)
                .map_err(|problem| problem.at(route.origin.place()))?;
            earlier.push(&route.target);
        }
        Ok(())
    }

    fn check_neighbours(&self, interfaces: &Interfaces<'_>) -> Result<(), ConfigError> {
        let mut macs = HashMap::new();
        for neighbour in &self.neighbours {
            let origin = &neighbour.origin;
            check_mac(Some(neighbour.mac), origin)?;
            let interface = interfaces.locate(neighbour).map_err(|problem| {
                let key = dev_or(&problem, "address");
                problem.at(origin.at(key))
            })?;
            let at = interfaces.get(interface);
            if at.is_point_to_point() {
                let problem = IpsecProblem::TunnelNeighbour(at.name().to_owned());
                return Err(Problem::Ipsec(problem).at(origin.at("dev")));
            }
            let address = neighbour.address;
            let first = *macs.entry((interface, address)).or_insert(neighbour.mac);
            if first != neighbour.mac {
                return Err(Problem::NeighbourConflict { address, first }.at(origin.at("mac")));
            }
        }
        Ok(())
    }
}

fn check_port(port: &Port) -> Result<(), ConfigError> {
    let origin = &port.origin;
    check_mac(port.mac, origin)?;
    check_range("mtu", port.mtu, &MTU, origin)?;
    let mut tags = HashMap::new();
    for vlan in &port.vlans {
        let origin = &vlan.origin;
        check_range("id", vlan.id, &VLAN_ID, origin)?;
        if let Some(inner) = vlan.inner {
            check_range("inner", inner, &VLAN_ID, origin)?;
        }
        if let Some(mtu) = vlan.mtu {
            check_range("mtu", mtu, &MTU, origin)?;
            if mtu > port.mtu {
                let problem = Problem::MtuAbovePort { mtu, port_mtu: port.mtu };
                return Err(problem.at(origin.at("mtu")));
            }
        }
        if let Some(other) = tags.insert((vlan.id, vlan.inner), &vlan.name) {
            let (port, other) = (port.name.clone(), other.clone());
            let problem = Problem::DuplicateVlan { port, id: vlan.id, inner: vlan.inner, other };
            return Err(problem.at(origin.at("id")));
        }
    }
    Ok(())
}

fn check_interface(
    interfaces: &Interfaces<'_>,
    id: InterfaceId,
    interface: &Interface<'_>,
) -> Result<(), ConfigError> {
    let (name, origin) = (interface.name(), interface.origin());
    if !is_name(name) {
        return Err(Problem::BadName(name.to_owned()).at(origin.at("name")));
    }
    if let Some(vrf) = interface.vrf().filter(|vrf| !is_name(vrf)) {
        return Err(Problem::BadVrfName(vrf.to_owned()).at(origin.at("vrf")));
    }
    if let Some(first) = interfaces.named(name).filter(|first| *first != id) {
        let first = interfaces.get(first).origin().at("name");
        return Err(Problem::DuplicateName { name: name.to_owned(), first }.at(origin.at("name")));
    }
    let addresses = interface.addresses();
    for (index, net) in addresses.iter().enumerate() {
        let at = || origin.nth("address", index);
        let address = net.addr();
        if !is_unicast(address) || !is_host_of(address, *net) {
            return Err(Problem::NotHostAddress(*net).at(at()));
        }
        let twice = addresses[..index].iter().any(|earlier| earlier.addr() == address);
        let owner =
            if twice { id } else { interfaces.owner(interface.vrf(), address).unwrap_or(id) };
        if twice || owner != id {
            let interface = interfaces.get(owner).name().to_owned();
            return Err(Problem::DuplicateAddress { address, interface }.at(at()));
        }
    }
    let mtu = interface.mtu();
    if mtu < MIN_MTU_IPV6 && addresses.iter().any(|net| net.addr().is_ipv6()) {
        let problem = Problem::MtuTooSmallForIpv6 { interface: name.to_owned(), mtu };
        return Err(problem.at(origin.at("mtu")));
    }
    Ok(())
}

/// Networks are nested or apart, so sorted by address and length, a network that overlaps others
/// overlaps the last one that still encloses it.
fn check_overlaps(interfaces: &Interfaces<'_>) -> Result<(), ConfigError> {
    let mut tables: BTreeMap<Option<&str>, Vec<(IpNet, InterfaceId, usize)>> = BTreeMap::new();
    for (index, interface) in interfaces.all().iter().enumerate() {
        let global = |net: &IpNet| !is_link_local(net.addr());
        let nets = interface.addresses().iter().enumerate().filter(|(_, net)| global(net));
        let nets = nets.map(|(entry, net)| (net.trunc(), InterfaceId(index), entry));
        tables.entry(interface.vrf()).or_default().extend(nets);
    }
    tables.into_values().try_for_each(|networks| check_overlaps_in(interfaces, networks))
}

/// As [`check_overlaps`], for the networks of one table.
fn check_overlaps_in(
    interfaces: &Interfaces<'_>,
    mut networks: Vec<(IpNet, InterfaceId, usize)>,
) -> Result<(), ConfigError> {
    networks.sort();
    let mut enclosing: Vec<(IpNet, InterfaceId, usize)> = Vec::new();
    for current in networks {
        while enclosing.pop_if(|outer| !outer.0.contains(&current.0)).is_some() {}
        if let Some(outer) = enclosing.last().filter(|outer| outer.1 != current.1) {
            let (first, later) =
                if outer.1 < current.1 { (*outer, current) } else { (current, *outer) };
            let interface = interfaces.get(first.1).name().to_owned();
            let problem = Problem::Overlap { network: later.0, other: first.0, interface };
            return Err(problem.at(interfaces.get(later.1).origin().nth("address", later.2)));
        }
        enclosing.push(current);
    }
    Ok(())
}

fn check_route<'c>(
    interfaces: &Interfaces<'_>,
    recursion: &mut Recursion<'c>,
    route: &'c Route,
) -> Result<(), ConfigError> {
    let origin = &route.origin;
    if route.prefix != route.prefix.trunc() {
        return Err(Problem::HostBits(route.prefix).at(origin.at("prefix")));
    }
    check_range("weight", route.weight, &WEIGHT, origin)?;
    let vrf = route.vrf.as_deref();
    if let Some(name) = vrf
        && !interfaces.all().iter().any(|interface| interface.vrf() == vrf)
    {
        return Err(Problem::UnknownVrf(name.to_owned()).at(origin.at("vrf")));
    }
    match interfaces.resolve_in(vrf, route.prefix, &route.target) {
        Ok(Hop::Recursive(address)) if !recursion.reaches(vrf, address) => {
            Err(Problem::NextHopUnreachable(address).at(origin.at("via")))
        }
        Ok(_) => Ok(()),
        Err(problem) => {
            let key = dev_or(&problem, "via");
            Err(problem.at(origin.at(key)))
        }
    }
}

/// Checks that `prefix`, which has the paths `earlier`, can have the path `next` as well.
pub(super) fn check_path(prefix: IpNet, earlier: &[&Target], next: &Target) -> Result<(), Problem> {
    if earlier.contains(&next) {
        Err(Problem::DuplicatePath(prefix))
    } else if earlier.first().is_some_and(|first| is_drop(first) != is_drop(next)) {
        Err(Problem::DropAmongPaths(prefix))
    } else if earlier.len() >= MAX_PATHS {
        Err(Problem::TooManyPaths(prefix))
    } else {
        Ok(())
    }
}

/// Whether a name can be told from other words.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control())
}

fn is_drop(target: &Target) -> bool {
    matches!(target, Target::Drop)
}

/// The key that a problem of reaching a neighbour is about.
fn dev_or(problem: &Problem, otherwise: &'static str) -> &'static str {
    if matches!(problem, Problem::UnknownInterface(_) | Problem::OtherVrf { .. }) {
        "dev"
    } else {
        otherwise
    }
}

fn check_mac(mac: Option<MacAddr>, origin: &Origin) -> Result<(), ConfigError> {
    match mac {
        Some(mac) if !mac.is_station() => Err(Problem::MacNotStation(mac).at(origin.at("mac"))),
        _ => Ok(()),
    }
}

pub(super) fn check_range<T>(
    key: &'static str,
    value: T,
    range: &RangeInclusive<T>,
    origin: &Origin,
) -> Result<(), ConfigError>
where
    T: Copy + PartialOrd + Into<u64> + ToString,
{
    if range.contains(&value) {
        Ok(())
    } else {
        Err(out_of_range(key, &value, range).at(origin.at(key)))
    }
}
