//! What the operator says about IPsec: `[ipsec]`, `[[sa]]`, `[[tunnel]]` and `[[spd]]`.

mod check;
mod error;
mod read;
mod write;

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use qfp_core::ipsec::Selector;

use super::{Layer3, Origin};
use crate::ipsec::Sa;

pub use error::IpsecProblem;
pub(super) use read::{IPSEC, MAX_KEY_FILE, SA, SPD, TUNNEL};
pub(super) use write::write_ipsec;

/// What the outer path of a tunnel takes, unless the tunnel says another MTU; bytes.
pub const OUTER_MTU: u16 = 1500;
/// What the rule is called that lets neighbour discovery pass in front of the entries of an
/// interface. No entry may have this name.
pub const NEIGHBOUR_DISCOVERY: &str = "nd";
/// All ports.
pub const ANY_PORT: RangeInclusive<u16> = 0..=u16::MAX;

/// SAs, and what they protect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ipsec {
    /// The folder of the sequence numbers that are not to be used again, as
    /// [`Config::state_dir`](super::Config::state_dir) has it.
    pub state_dir: Option<PathBuf>,
    /// Security associations.
    pub sas: Vec<ConfiguredSa>,
    /// Interfaces whose packets are protected.
    pub tunnels: Vec<Tunnel>,
    /// Policies: entries of interfaces, each interface's in order.
    pub spd: Vec<SpdEntry>,
    /// Where `[ipsec]` was said.
    pub origin: Origin,
}

/// Where a key comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum KeySource {
    /// Hexadecimal digits in a file.
    File(PathBuf),
    /// Hexadecimal digits in a variable of the environment.
    Env(String),
    /// From whoever put the configuration together: it cannot be written as TOML.
    #[default]
    Given,
}

impl KeySource {
    /// The key of `[[sa]]` that says it.
    const fn key(&self) -> &'static str {
        match self {
            Self::File(_) | Self::Given => "key_file",
            Self::Env(_) => "key_env",
        }
    }
}

/// An SA of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfiguredSa {
    /// The SA. What it protects is said where it is used.
    pub sa: Sa,
    /// Where its key comes from.
    pub key: KeySource,
    /// Where this was said.
    pub origin: Origin,
}

/// A tunnel interface: what is routed to it is protected by its SA.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// Name, unlike that of any other interface.
    pub name: String,
    /// Largest inner packet, bytes. Unset is what the SA leaves of [`OUTER_MTU`].
    pub mtu: Option<u16>,
    /// Administratively down: no route leads into it, and its SAs pass nothing.
    pub shutdown: bool,
    /// What it does with inner packets.
    pub layer3: Layer3,
    /// The SA that protects what leaves.
    pub sa_out: Option<String>,
    /// SAs whose inner packets come in through it.
    pub sa_in: Vec<String>,
    /// Where this was said.
    pub origin: Origin,
}

impl Tunnel {
    /// The largest inner packet, where `sas` are all SAs by name.
    #[must_use]
    pub fn effective_mtu(&self, sas: &HashMap<&str, &Sa>) -> u16 {
        self.mtu.unwrap_or_else(|| {
            let sa = self.sa_out.as_deref().and_then(|name| sas.get(name));
            // An SA that cannot be is another mistake.
            let inner = sa.map(|sa| sa.inner_mtu(OUTER_MTU)).filter(|mtu| *mtu > 0);
            inner.unwrap_or(SAFE_MTU)
        })
    }

    /// A tunnel without SAs, with default settings.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            mtu: None,
            shutdown: false,
            layer3: Layer3::default(),
            sa_out: None,
            sa_in: Vec::new(),
            origin: Origin::default(),
        }
    }
}

/// What becomes of the packets of a policy's entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpdAction {
    /// They are protected.
    Protect {
        /// The SA for what leaves.
        sa_out: Option<String>,
        /// SAs for what comes in.
        sa_in: Vec<String>,
    },
    /// They pass as they are.
    Bypass,
    /// They are dropped.
    Discard,
}

/// One entry of an interface's security policy database (RFC 4301 §4.4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpdEntry {
    /// The interface.
    pub interface: String,
    /// Its name, unlike that of any other entry of the interface.
    pub name: String,
    /// What becomes of its packets.
    pub action: SpdAction,
    /// Addresses on our side: sources of what leaves. Unset is any.
    pub local: Option<IpNet>,
    /// Addresses on the other side.
    pub remote: Option<IpNet>,
    /// Protocol above IP; unset is any.
    pub protocol: Option<u8>,
    /// Ports on our side.
    pub local_ports: RangeInclusive<u16>,
    /// Ports on the other side.
    pub remote_ports: RangeInclusive<u16>,
    /// The name of the interface that stands for it.
    hidden: String,
    /// Where this was said.
    pub origin: Origin,
}

impl SpdEntry {
    /// An entry for all packets.
    #[must_use]
    pub fn new(interface: &str, name: &str, action: SpdAction) -> Self {
        Self {
            interface: interface.to_owned(),
            name: name.to_owned(),
            action,
            local: None,
            remote: None,
            protocol: None,
            local_ports: ANY_PORT,
            remote_ports: ANY_PORT,
            hidden: format!("{interface}/{name}"),
            origin: Origin::default(),
        }
    }

    /// The name of the interface that stands for an entry that protects: `INTERFACE/ENTRY`.
    #[must_use]
    pub fn hidden_name(&self) -> &str {
        &self.hidden
    }

    /// The networks on our side and on the other one; none where both are any.
    #[must_use]
    pub fn networks(&self) -> Option<(IpNet, IpNet)> {
        let any = |like: IpNet| match like {
            IpNet::V4(_) => IpNet::V4(Ipv4Net::default()),
            IpNet::V6(_) => IpNet::V6(Ipv6Net::default()),
        };
        match (self.local, self.remote) {
            (Some(local), Some(remote)) => Some((local, remote)),
            (Some(local), None) => Some((local, any(local))),
            (None, Some(remote)) => Some((any(remote), remote)),
            (None, None) => None,
        }
    }

    /// What packets must be that come in through its SAs.
    fn selector(&self) -> Option<Selector> {
        let selector = match self.networks() {
            Some((local, remote)) => Selector::between(remote, local)?,
            None => Selector::any(),
        };
        let protocol = self.protocol.unwrap_or(0);
        Some(selector.protocol(protocol, &self.remote_ports, &self.local_ports))
    }
}

impl Ipsec {
    /// The SAs by name; the first where a name is given twice.
    #[must_use]
    pub fn by_name(&self) -> HashMap<&str, &Sa> {
        // The first of them comes last.
        self.sas.iter().rev().map(|sa| (sa.sa.name.as_str(), &sa.sa)).collect()
    }

    /// True where nothing can ever be opened or protected.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sas.is_empty() && self.tunnels.is_empty() && self.spd.is_empty()
    }

    /// Whether an interface has a policy.
    #[must_use]
    pub fn has_policy(&self, interface: &str) -> bool {
        self.spd.iter().any(|entry| entry.interface == interface)
    }

    /// All SAs, each with the interface and the selector of who uses it.
    #[must_use]
    pub fn bound(&self) -> Vec<Sa> {
        let mut users = HashMap::new();
        for tunnel in &self.tunnels {
            let names = tunnel.sa_out.iter().chain(&tunnel.sa_in);
            users.extend(names.map(|name| (name, (&tunnel.name, None))));
        }
        for entry in &self.spd {
            let SpdAction::Protect { sa_out, sa_in } = &entry.action else { continue };
            let selector = entry.selector();
            users.extend(sa_out.iter().map(|name| (name, (&entry.hidden, None))));
            users.extend(sa_in.iter().map(|name| (name, (&entry.hidden, selector))));
        }
        let bound = |configured: &ConfiguredSa| {
            let sa = configured.sa.clone();
            match users.get(&sa.name) {
                None => sa,
                Some((interface, selector)) => {
                    Sa { interface: Some((*interface).clone()), selector: *selector, ..sa }
                }
            }
        };
        self.sas.iter().map(bound).collect()
    }
}

/// The MTU of a tunnel whose SA comes later: what any SA leaves of the path.
const SAFE_MTU: u16 = 1400;
