//! What the operator says about packets to the slow path: `[lpts]` and `[punt]`.

use std::fmt::{self, Formatter};
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::LazyLock;

use qfp_core::lpts::{FlowType, Lpts, LptsRateError, LptsRates, Service, Session, Trust};
use qfp_core::punt::Rate;
use qfp_core::uidb::TableId;
use qfp_core::wire::protocol;

use super::table::{Found, Table};
use super::write::write_text;
use super::{Config, ConfigError, Interfaces, Origin, Place, Problem};

pub(super) const LPTS: &[&str] = &["rate", "total", "floor", "peer", "session", "listen"];
const PEER: &[&str] = &["service", "address", "trust", "vrf"];
const SESSION: &[&str] = &["protocol", "local", "remote", "local_port", "remote_port", "vrf"];
const LISTEN: &[&str] = &["protocol", "port", "type", "vrf"];
const PORTS: RangeInclusive<u16> = 1..=u16::MAX;

/// Types that `[lpts.rate]` has rates of, and those of `[punt.rate]`.
static FOR_US: LazyLock<Vec<&'static str>> = LazyLock::new(|| labels(true));
static OTHERS: LazyLock<Vec<&'static str>> = LazyLock::new(|| labels(false));

fn labels(for_us: bool) -> Vec<&'static str> {
    let types = FlowType::ALL.iter().filter(|flow| flow.is_for_us() == for_us);
    types.map(|flow| flow.label()).collect()
}

/// How much the slow path takes, and whom the router trusts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LptsConfig {
    /// Rates by type, in total, and the least share of an interface.
    pub rates: LptsRates,
    /// Addresses that a service has to do with.
    pub peers: Vec<LptsPeer>,
    /// Established sessions.
    pub sessions: Vec<LptsSession>,
    /// Open ports.
    pub listeners: Vec<LptsListener>,
}

/// A peer: what a service makes of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LptsPeer {
    /// The service.
    pub service: Service,
    /// Its address.
    pub address: IpAddr,
    /// How far it is trusted.
    pub trust: Trust,
    /// The VRF that it is reached in.
    pub vrf: Option<String>,
    /// Where this was said.
    pub origin: Origin,
}

/// A session: a flow that is known by addresses and ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LptsSession {
    /// IP protocol: TCP or UDP.
    pub protocol: u8,
    /// Our address and port.
    pub local: (IpAddr, u16),
    /// Theirs.
    pub remote: (IpAddr, u16),
    /// The VRF.
    pub vrf: Option<String>,
    /// Where this was said.
    pub origin: Origin,
}

/// A port that something listens on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LptsListener {
    /// IP protocol: TCP or UDP.
    pub protocol: u8,
    /// The port.
    pub port: u16,
    /// What type its flows are of.
    pub flow: FlowType,
    /// The VRF.
    pub vrf: Option<String>,
    /// Where this was said.
    pub origin: Origin,
}

/// What can be wrong with `[lpts]` and `[punt]`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LptsProblem {
    /// Not a rate and a burst.
    #[error("{0:?} must be [packets a second, packets at once], such as [100, 8]")]
    BadRate(&'static str),
    /// A rate or burst out of range.
    #[error("{0:?}: {1}")]
    Rate(&'static str, LptsRateError),
    /// No such service.
    #[error("service {0:?} is none of {names}", names = service_names())]
    BadService(String),
    /// No such trust.
    #[error("trust {0:?} is neither \"peer\" nor \"known\"")]
    BadTrust(String),
    /// No protocol with ports.
    #[error("protocol {0:?} is neither \"tcp\" nor \"udp\"")]
    BadProtocol(String),
    /// No such type of flow.
    #[error("type {0:?} is no type of flow to the router")]
    BadType(String),
    /// Addresses of two families.
    #[error("local and remote are of different families")]
    Families,
    /// No interface is in the VRF.
    #[error("no interface is in VRF {0:?}")]
    UnknownVrf(String),
}

impl LptsProblem {
    fn at(self, place: Place) -> ConfigError {
        Problem::Lpts(self).at(place)
    }
}

const SERVICES: [(&str, Service); 10] = [
    ("bgp", Service::Bgp),
    ("ldp", Service::Ldp),
    ("ospf", Service::Ospf),
    ("pim", Service::Pim),
    ("rsvp", Service::Rsvp),
    ("ssh", Service::Ssh),
    ("http", Service::Http),
    ("https", Service::Shttp),
    ("telnet", Service::Telnet),
    ("ntp", Service::Ntp),
];

fn service_names() -> String {
    SERVICES.map(|(name, _)| name).join(", ")
}

impl LptsConfig {
    /// Reads `[lpts]`.
    pub(super) fn read(&mut self, mut table: Table<'_>) -> Result<(), ConfigError> {
        if let Some((rate, burst, place)) = rate(&mut table, "total")? {
            let set = self.rates.set_total(rate, burst);
            set.map_err(|error| LptsProblem::Rate("total", error).at(place))?;
        }
        if let Some((rate, burst, place)) = rate(&mut table, "floor")? {
            let set = self.rates.set_floor(rate, burst);
            set.map_err(|error| LptsProblem::Rate("floor", error).at(place))?;
        }
        if let Some(rates) = table.table("rate", "[lpts.rate]", &FOR_US)? {
            self.read_rates(rates)?;
        }
        for table in table.tables("peer", "[[lpts.peer]]", PEER)? {
            self.peers.push(peer(table)?);
        }
        for table in table.tables("session", "[[lpts.session]]", SESSION)? {
            self.sessions.push(session(table)?);
        }
        for table in table.tables("listen", "[[lpts.listen]]", LISTEN)? {
            self.listeners.push(listener(table)?);
        }
        Ok(())
    }

    /// Reads the rates of `[punt]`.
    pub(super) fn read_punt(&mut self, mut table: Table<'_>) -> Result<(), ConfigError> {
        match table.table("rate", "[punt.rate]", &OTHERS)? {
            Some(rates) => self.read_rates(rates),
            None => Ok(()),
        }
    }

    fn read_rates(&mut self, mut table: Table<'_>) -> Result<(), ConfigError> {
        for flow in FlowType::ALL {
            if let Some((rate, burst, place)) = rate(&mut table, flow.label())? {
                let set = self.rates.set(*flow, rate, burst);
                set.map_err(|error| LptsProblem::Rate(flow.label(), error).at(place))?;
            }
        }
        Ok(())
    }

    /// Checks that every VRF is one.
    pub(super) fn validate(&self, interfaces: &Interfaces<'_>) -> Result<(), ConfigError> {
        let peers = self.peers.iter().map(|peer| (&peer.vrf, &peer.origin));
        let sessions = self.sessions.iter().map(|session| (&session.vrf, &session.origin));
        let listeners = self.listeners.iter().map(|listener| (&listener.vrf, &listener.origin));
        for (vrf, origin) in peers.chain(sessions).chain(listeners) {
            let is_one = |vrf: &&String| interfaces.all().iter().any(|one| one.vrf() == Some(vrf));
            if let Some(vrf) = vrf.as_ref().filter(|vrf| !is_one(vrf)) {
                return Err(LptsProblem::UnknownVrf(vrf.clone()).at(origin.at("vrf")));
            }
        }
        Ok(())
    }

    /// What the rows of the fast path know types by; `table` gives the number of a VRF's table.
    pub fn lpts(&self, table: impl Fn(Option<&str>) -> TableId) -> Lpts {
        let mut lpts = Lpts::default();
        for LptsPeer { service, address, trust, vrf, .. } in &self.peers {
            lpts.set_peer(*service, table(vrf.as_deref()), *address, *trust);
        }
        for LptsSession { protocol, local, remote, vrf, .. } in &self.sessions {
            let session = Session {
                table: table(vrf.as_deref()),
                protocol: *protocol,
                local: local.0,
                remote: remote.0,
                local_port: local.1,
                remote_port: remote.1,
            };
            lpts.set_session(session, true);
        }
        for LptsListener { protocol, port, flow, vrf, .. } in &self.listeners {
            lpts.set_listener(table(vrf.as_deref()), *protocol, *port, Some(*flow));
        }
        lpts
    }
}

/// The rate and burst of `key`, if it is there, and where it stands.
fn rate(
    table: &mut Table<'_>,
    key: &'static str,
) -> Result<Option<(u64, u64, Place)>, ConfigError> {
    match table.numbers::<u64>(key)? {
        None => Ok(None),
        Some((numbers, place)) => match numbers[..] {
            [rate, burst] => Ok(Some((rate, burst, place))),
            _ => Err(LptsProblem::BadRate(key).at(place)),
        },
    }
}

fn peer(mut table: Table<'_>) -> Result<LptsPeer, ConfigError> {
    let service = table.need("service")?;
    let known = SERVICES.iter().find(|(name, _)| *name == service.text);
    let service = match known {
        Some((_, known)) => *known,
        None => {
            return Err(LptsProblem::BadService(service.text.to_owned()).at(service.place));
        }
    };
    let trust = match table.text("trust")? {
        None | Some(Found { text: "peer", .. }) => Trust::CfgPeer,
        Some(Found { text: "known", .. }) => Trust::Known,
        Some(other) => return Err(LptsProblem::BadTrust(other.text.to_owned()).at(other.place)),
    };
    let address = table.need("address")?.parse(Problem::BadAddress)?;
    let vrf = table.text("vrf")?.map(|vrf| vrf.text.to_owned());
    Ok(LptsPeer { service, address, trust, vrf, origin: table.origin })
}

fn session(mut table: Table<'_>) -> Result<LptsSession, ConfigError> {
    let protocol = protocol_of(&mut table)?;
    let local: IpAddr = table.need("local")?.parse(Problem::BadAddress)?;
    let remote: IpAddr = table.need("remote")?.parse(Problem::BadAddress)?;
    if local.is_ipv4() != remote.is_ipv4() {
        return Err(LptsProblem::Families.at(table.origin.at("remote")));
    }
    let local = (local, table.need_number("local_port", &PORTS)?);
    let remote = (remote, table.need_number("remote_port", &PORTS)?);
    let vrf = table.text("vrf")?.map(|vrf| vrf.text.to_owned());
    Ok(LptsSession { protocol, local, remote, vrf, origin: table.origin })
}

fn listener(mut table: Table<'_>) -> Result<LptsListener, ConfigError> {
    let protocol = protocol_of(&mut table)?;
    let port = table.need_number("port", &PORTS)?;
    let flow = match table.text("type")? {
        None if protocol == protocol::TCP => FlowType::TcpListen,
        None => FlowType::UdpListen,
        Some(text) => {
            let known = FlowType::named(text.text).filter(|flow| flow.is_for_us());
            known.ok_or_else(|| LptsProblem::BadType(text.text.to_owned()).at(text.place))?
        }
    };
    let vrf = table.text("vrf")?.map(|vrf| vrf.text.to_owned());
    Ok(LptsListener { protocol, port, flow, vrf, origin: table.origin })
}

fn protocol_of(table: &mut Table<'_>) -> Result<u8, ConfigError> {
    match table.need("protocol")? {
        Found { text: "tcp", .. } => Ok(protocol::TCP),
        Found { text: "udp", .. } => Ok(protocol::UDP),
        other => Err(LptsProblem::BadProtocol(other.text.to_owned()).at(other.place)),
    }
}

/// Writes `[lpts]` and `[punt]` as far as they say something.
pub(super) fn write_lpts(
    f: &mut Formatter<'_>,
    config: &Config,
    separate: &mut impl FnMut(&mut Formatter<'_>) -> fmt::Result,
) -> fmt::Result {
    let LptsConfig { rates, peers, sessions, listeners } = &config.lpts;
    let usual = LptsRates::default();
    let pair = |rate: Rate| format!("[{}, {}]", rate.per_second, rate.burst);
    let changed = |for_us: bool| {
        let own = FlowType::ALL.iter().copied().filter(move |flow| flow.is_for_us() == for_us);
        own.filter(|flow| rates.of(*flow) != usual.of(*flow))
    };
    if rates.total().is_some() || rates.floor() != usual.floor() {
        separate(f)?;
        writeln!(f, "[lpts]")?;
        rates.total().iter().try_for_each(|total| writeln!(f, "total = {}", pair(*total)))?;
        writeln!(f, "floor = {}", pair(rates.floor()))?;
    }
    for (title, for_us) in [("[lpts.rate]", true), ("[punt.rate]", false)] {
        if changed(for_us).next().is_none() {
            continue;
        }
        separate(f)?;
        writeln!(f, "{title}")?;
        changed(for_us)
            .try_for_each(|flow| writeln!(f, "{} = {}", flow.label(), pair(rates.of(flow))))?;
    }
    let write_vrf = |f: &mut Formatter<'_>, vrf: &Option<String>| {
        vrf.iter().try_for_each(|vrf| write_text(f, "vrf", vrf))
    };
    for LptsPeer { service, address, trust, vrf, .. } in peers {
        separate(f)?;
        writeln!(f, "[[lpts.peer]]")?;
        let name = SERVICES.iter().find(|(_, known)| known == service).map_or("", |(name, _)| name);
        write_text(f, "service", name)?;
        write_text(f, "address", &address.to_string())?;
        write_text(f, "trust", if *trust == Trust::Known { "known" } else { "peer" })?;
        write_vrf(f, vrf)?;
    }
    let name = |number: u8| if number == protocol::TCP { "tcp" } else { "udp" };
    for LptsSession { protocol, local, remote, vrf, .. } in sessions {
        separate(f)?;
        writeln!(f, "[[lpts.session]]")?;
        write_text(f, "protocol", name(*protocol))?;
        write_text(f, "local", &local.0.to_string())?;
        write_text(f, "remote", &remote.0.to_string())?;
        writeln!(f, "local_port = {}\nremote_port = {}", local.1, remote.1)?;
        write_vrf(f, vrf)?;
    }
    for LptsListener { protocol, port, flow, vrf, .. } in listeners {
        separate(f)?;
        writeln!(f, "[[lpts.listen]]")?;
        write_text(f, "protocol", name(*protocol))?;
        writeln!(f, "port = {port}")?;
        write_text(f, "type", flow.label())?;
        write_vrf(f, vrf)?;
    }
    Ok(())
}
