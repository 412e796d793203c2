//! Whether SAs, tunnels and policies can be, and fit each other.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use qfp_core::ipsec::{Mode, SaError};

use super::{ANY_PORT, IpsecProblem, KeySource, NEIGHBOUR_DISCOVERY, SpdAction, SpdEntry};
use crate::config::validate::{check_range, is_name};
use crate::config::{Config, ConfigError, InterfaceKind, Interfaces, MTU, Origin};
use crate::ipsec::{Direction, KeyId, Sa, SaProblem};

/// Protocols with names of their own.
const PROTOCOLS: [(&str, u8); 11] = [
    ("icmp", 1),
    ("tcp", 6),
    ("udp", 17),
    ("dccp", 33),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("icmpv6", 58),
    ("ospf", 89),
    ("sctp", 132),
    ("udplite", 136),
];
/// Protocols whose packets begin with two ports.
const WITH_PORTS: [u8; 5] = [6, 17, 33, 132, 136];

pub(super) fn protocol_of(name: &str) -> Option<u8> {
    PROTOCOLS.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
}

pub(super) fn protocol_name(number: u8) -> Option<&'static str> {
    PROTOCOLS.iter().find(|(_, known)| *known == number).map(|(name, _)| *name)
}

impl Config {
    /// Checks SAs one by one and against each other, then who uses them.
    pub(in crate::config) fn check_ipsec(
        &self,
        interfaces: &Interfaces<'_>,
    ) -> Result<(), ConfigError> {
        self.check_sas(interfaces)?;
        let sas = self.ipsec.by_name();
        let mut users: HashMap<&str, &str> = HashMap::new();
        for tunnel in &self.ipsec.tunnels {
            if let Some(mtu) = tunnel.mtu {
                check_range("mtu", mtu, &MTU, &tunnel.origin)?;
            }
            let user = (tunnel.name.as_str(), &tunnel.origin);
            let used = check_user(&sas, (&tunnel.sa_out, &tunnel.sa_in), user, &mut users)?;
            if let Some(sa) = used.iter().find(|sa| sa.mode == Mode::Transport) {
                let key = if sa.direction == Direction::Out { "sa_out" } else { "sa_in" };
                let problem = IpsecProblem::TransportTunnel(sa.name.clone());
                return Err(problem.at(tunnel.origin.at(key)));
            }
        }
        let mut names: HashMap<(&str, &str), &Origin> = HashMap::new();
        for entry in &self.ipsec.spd {
            check_entry(interfaces, entry)?;
            if entry.name == NEIGHBOUR_DISCOVERY {
                return Err(IpsecProblem::ReservedEntry.at(entry.origin.at("name")));
            }
            if let Some(first) = names.insert((&entry.interface, &entry.name), &entry.origin) {
                let (interface, name) = (entry.interface.clone(), entry.name.clone());
                let first = first.at("name");
                let problem = IpsecProblem::DuplicateEntry { interface, name, first };
                return Err(problem.at(entry.origin.at("name")));
            }
            let SpdAction::Protect { sa_out, sa_in } = &entry.action else { continue };
            let user = (entry.hidden_name(), &entry.origin);
            let used = check_user(&sas, (sa_out, sa_in), user, &mut users)?;
            if let [first, rest @ ..] = &used[..]
                && let Some(sa) = rest.iter().find(|sa| sa.mode != first.mode)
            {
                let (sa, other) = (sa.name.clone(), first.name.clone());
                return Err(IpsecProblem::MixedModes { sa, other }.at(entry.origin.at("sa_in")));
            }
        }
        Ok(())
    }

    fn check_sas(&self, interfaces: &Interfaces<'_>) -> Result<(), ConfigError> {
        let mut names: HashMap<&str, &Origin> = HashMap::new();
        let mut spis = HashMap::new();
        let mut keys: HashMap<KeyId, &str> = HashMap::new();
        let addresses = interfaces.all().iter().flat_map(|one| one.addresses());
        let ours: HashSet<IpAddr> = addresses.map(ipnet::IpNet::addr).collect();
        for configured in &self.ipsec.sas {
            let (sa, origin) = (&configured.sa, &configured.origin);
            let name = || sa.name.clone();
            if !is_name(&sa.name) {
                return Err(IpsecProblem::BadName(name()).at(origin.at("name")));
            }
            if let Some(first) = names.insert(&sa.name, origin) {
                let problem = IpsecProblem::DuplicateSa { name: name(), first: first.at("name") };
                return Err(problem.at(origin.at("name")));
            }
            sa.check().map_err(|problem| {
                let place = origin.at(key_of(&problem, &configured.key));
                IpsecProblem::Sa { sa: name(), problem }.at(place)
            })?;
            if let Some(other) = keys.insert(sa.key_id(), &sa.name) {
                let problem = IpsecProblem::SameKey { sa: name(), other: other.to_owned() };
                return Err(problem.at(origin.at(configured.key.key())));
            }
            if let Some(vrf) = &sa.vrf
                && !interfaces.all().iter().any(|one| one.vrf() == Some(vrf))
            {
                return Err(IpsecProblem::UnknownVrf(vrf.clone()).at(origin.at("vrf")));
            }
            if sa.direction == Direction::Out {
                continue;
            }
            let local = sa.endpoints.local;
            if !ours.contains(&local) {
                return Err(IpsecProblem::NotOurs { sa: name(), local }.at(origin.at("local")));
            }
            if let Some(other) = spis.insert((sa.spi, local), &sa.name) {
                let (spi, other) = (sa.spi, other.clone());
                let problem = IpsecProblem::DuplicateSpi { spi, local, other };
                return Err(problem.at(origin.at("spi")));
            }
        }
        Ok(())
    }
}

/// The key of `[[sa]]` that a problem is with.
const fn key_of(problem: &SaProblem, source: &KeySource) -> &'static str {
    match problem {
        SaProblem::Sa(SaError::Spi(_)) => "spi",
        SaProblem::Sa(SaError::Families(_)) => "remote",
        SaProblem::Sa(SaError::Ttl) => "ttl",
        SaProblem::Sa(SaError::Dscp(_)) => "dscp",
        SaProblem::Sa(SaError::Port) => "udp",
        SaProblem::Sa(SaError::EsnWithoutWindow) => "esn",
        SaProblem::Sa(SaError::Window(_)) | SaProblem::OutboundWindow => "replay_window",
        SaProblem::Key(_) => source.key(),
        SaProblem::SoftAboveHard { .. } | SaProblem::NoLifetime(_) => "soft",
    }
}

/// Checks the SAs that a tunnel or an entry uses, and returns them.
fn check_user<'a>(
    sas: &HashMap<&str, &'a Sa>,
    (sa_out, sa_in): (&'a Option<String>, &'a [String]),
    (user, origin): (&'a str, &Origin),
    users: &mut HashMap<&'a str, &'a str>,
) -> Result<Vec<&'a Sa>, ConfigError> {
    let out = sa_out.iter().map(|name| (name, Direction::Out, origin.at("sa_out")));
    let ins = sa_in.iter().enumerate();
    let ins = ins.map(|(n, name)| (name, Direction::In, origin.nth("sa_in", n)));
    let mut used = Vec::new();
    for (name, wants, place) in out.chain(ins) {
        let Some(sa) = sas.get(name.as_str()) else {
            return Err(IpsecProblem::UnknownSa(name.clone()).at(place));
        };
        let (sa_name, has) = (name.clone(), sa.direction);
        if has != wants {
            return Err(IpsecProblem::Direction { sa: sa_name, has, wants }.at(place));
        }
        if let Some(other) = users.insert(name, user) {
            let other = other.to_owned();
            return Err(IpsecProblem::UsedTwice { sa: sa_name, other }.at(place));
        }
        used.push(*sa);
    }
    Ok(used)
}

fn check_entry(interfaces: &Interfaces<'_>, entry: &SpdEntry) -> Result<(), ConfigError> {
    let origin = &entry.origin;
    if !is_name(&entry.name) {
        return Err(IpsecProblem::BadName(entry.name.clone()).at(origin.at("name")));
    }
    let under = interfaces.named(&entry.interface).map(|id| interfaces.get(id).kind);
    if !matches!(under, Some(InterfaceKind::Port { .. } | InterfaceKind::Vlan { .. })) {
        let problem = IpsecProblem::UnknownInterface(entry.interface.clone());
        return Err(problem.at(origin.at("interface")));
    }
    if let (Some(local), Some(remote)) = (entry.local, entry.remote)
        && local.addr().is_ipv4() != remote.addr().is_ipv4()
    {
        return Err(IpsecProblem::Families.at(origin.at("remote")));
    }
    let with_ports = entry.protocol.is_some_and(|protocol| WITH_PORTS.contains(&protocol));
    for (key, range) in [("local_port", &entry.local_ports), ("remote_port", &entry.remote_ports)] {
        if *range != ANY_PORT && !with_ports {
            return Err(IpsecProblem::PortsWithoutProtocol.at(origin.at(key)));
        }
    }
    Ok(())
}
