use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use ipnet::IpNet;

use super::state_dir::default_state_dir;
use super::{
    Definitions, Discover, Ipsec, LptsConfig, MacAddr, NeighbourLimits, Origin, Punt, Qos,
};
use crate::acl::{AccessList, Document, Family};
use crate::mqc::Policies;
use crate::pbr::RouteMaps;
use qfp_core::qos::police::BitsPerSecond;

/// Largest IP packets an interface may be set to send, bytes (RFC 791 3.2 and jumbo frames).
pub const MTU: RangeInclusive<u16> = 68..=9000;
/// Smallest MTU of an interface with an IPv6 address, bytes (RFC 8200 5).
pub const MIN_MTU_IPV6: u16 = 1280;
/// VLAN identifiers that a tag may carry (IEEE 802.1Q 9.6).
pub const VLAN_ID: RangeInclusive<u16> = 1..=4094;
/// Shares of traffic a path may take, relative to the other paths of its prefix.
pub const WEIGHT: RangeInclusive<u8> = 1..=u8::MAX;
/// Most paths one prefix may have.
pub const MAX_PATHS: usize = 64;
/// Most entries an access list may have when its object-groups stand in place of their names.
pub const MAX_ACES: usize = 100_000;

/// Everything the operator says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Ports in the order of their numbers.
    pub ports: Vec<Port>,
    /// Interfaces of the kernel's that become ports by themselves.
    pub discover: Option<Discover>,
    /// Static routes; several of one prefix are its paths.
    pub routes: Vec<Route>,
    /// Static neighbours.
    pub neighbours: Vec<Neighbour>,
    /// How many others there may be.
    pub neighbour_limits: NeighbourLimits,
    /// Access lists, and the object-groups that they name.
    pub access_lists: Document,
    /// Route maps.
    pub route_maps: RouteMaps,
    /// Class maps and policy maps.
    pub policies: Policies,
    /// What holds for all policies.
    pub qos: Qos,
    /// What holds for packets that the fast path does not handle.
    pub punt: Punt,
    /// SAs, tunnels and security policies.
    pub ipsec: Ipsec,
    /// How much the slow path takes, and whom the router trusts.
    pub lpts: LptsConfig,
    /// Where the access lists, object-groups and route maps were said.
    pub definitions: Definitions,
    /// The file it was read from.
    pub origin: Origin,
}

impl Config {
    /// The list that `names`, as of [`Interface::acl_in`](super::Interface::acl_in), have for
    /// packets of `family`. Without one, all of them are permitted.
    #[must_use]
    pub fn access_list(&self, names: &[String], family: Family) -> Option<&AccessList> {
        names.iter().find_map(|name| self.access_lists.list(family, name))
    }

    /// The folder of the sequence numbers that are not to be used again: the one that `[ipsec]`
    /// names; else the variable `QFP_STATE_DIR`, else `/var/lib/qfp`; for who is not root, `qfp` in
    /// `XDG_STATE_HOME`, else `~/.local/state/qfp`. None without SAs.
    #[must_use]
    pub fn state_dir(&self) -> Option<PathBuf> {
        let has_keys = !self.ipsec.sas.is_empty();
        has_keys.then(|| self.ipsec.state_dir.clone().unwrap_or_else(default_state_dir))
    }
}

/// What an interface of any kind does with IP packets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layer3 {
    /// Own addresses, each with the length of its network's prefix.
    pub addresses: Vec<IpNet>,
    /// The VRF whose table its packets are routed in; unset is the global table.
    pub vrf: Option<String>,
    /// Which sources packets may have.
    pub urpf: Option<Urpf>,
    /// Takes in fragments that hide what they carry: of TCP with less than its header or inside of
    /// it (RFC 1858), of IPv6 without all headers in the first (RFC 7112).
    pub pass_tiny_fragments: bool,
    /// Whether packets may come in that claim to come from the router itself: from its MAC address,
    /// its IP addresses, or the broadcast of a network of its.
    pub allow_own_source: bool,
    /// Access lists that packets must pass when they are received, at most one of each family.
    pub acl_in: Vec<String>,
    /// Access lists that packets must pass before they are sent, likewise.
    pub acl_out: Vec<String>,
    /// The route map that says which packets are not routed as usual when they are received.
    pub policy_route: Option<String>,
    /// Service policy for what comes in: a policy map.
    pub service_policy_in: Option<String>,
    /// Service policy for what leaves: a policy map.
    pub service_policy_out: Option<String>,
}

/// A physical interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Name, unlike that of any other interface.
    pub name: String,
    /// What to open, in the words of the port back-ends: `pcap:rx=in.pcap`, `tap:tap0`.
    pub device: Option<String>,
    /// Address to use instead of the device's own.
    pub mac: Option<MacAddr>,
    /// Largest IP packet it sends, bytes.
    pub mtu: u16,
    /// Asks the device to receive frames for any MAC address.
    pub promiscuous: bool,
    /// Whether to drop frames that are neither for its own MAC address nor for a group.
    /// Unset leaves the choice to the kind of device.
    pub mac_filter: Option<bool>,
    /// Administratively down: nothing is received, and no route leads out of it or of its
    /// sub-interfaces.
    pub shutdown: bool,
    /// What it does with IP packets.
    pub layer3: Layer3,
    /// Rate of the link, for what is said in percent of it.
    pub speed: Option<BitsPerSecond>,
    /// Sub-interfaces.
    pub vlans: Vec<Vlan>,
    /// Where this was said.
    pub origin: Origin,
}

impl Port {
    /// A port with default settings.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            device: None,
            mac: None,
            mtu: 1500,
            promiscuous: false,
            mac_filter: None,
            shutdown: false,
            layer3: Layer3::default(),
            speed: None,
            vlans: Vec::new(),
            origin: Origin::default(),
        }
    }

    /// The name of port `index` that has no other.
    #[must_use]
    pub fn default_name(index: usize) -> String {
        format!("port{index}")
    }
}

/// A sub-interface: the frames of a port with one tag (802.1Q) or two (QinQ).
///
/// A frame belongs to the sub-interface that names the most of its tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vlan {
    /// Identifier in the tag, the outer one if there are two.
    pub id: u16,
    /// Identifier in the inner tag. The inner tag is always of type 0x8100.
    pub inner: Option<u16>,
    /// Type of the outer tag in frames sent; either is accepted in frames received.
    pub tpid: Tpid,
    /// Name, unlike that of any other interface.
    pub name: String,
    /// Largest IP packet it sends, bytes; the port's if unset, and never more than that.
    pub mtu: Option<u16>,
    /// What it does with IP packets; the port hands nothing of its own down.
    pub layer3: Layer3,
    /// Where this was said.
    pub origin: Origin,
}

/// Unicast reverse path forwarding: which route the source of a packet must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Urpf {
    /// Only one that leads back through the interface; else any but discard.
    pub strict: bool,
    /// Whether the default route is a route, too.
    pub allow_default: bool,
}

impl Vlan {
    /// A sub-interface of the port named `port`, with default settings.
    #[must_use]
    pub fn new(port: &str, id: u16, inner: Option<u16>) -> Self {
        Self {
            id,
            inner,
            tpid: if inner.is_some() { Tpid::Dot1ad } else { Tpid::Dot1q },
            name: match inner {
                Some(inner) => format!("{port}.{id}.{inner}"),
                None => format!("{port}.{id}"),
            },
            mtu: None,
            layer3: Layer3::default(),
            origin: Origin::default(),
        }
    }
}

/// Type of a VLAN tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tpid {
    /// Customer tag, 0x8100.
    Dot1q,
    /// Service tag, 0x88a8.
    Dot1ad,
}

impl Tpid {
    /// The EtherType, host byte order.
    #[must_use]
    pub const fn ethertype(self) -> u16 {
        match self {
            Self::Dot1q => 0x8100,
            Self::Dot1ad => 0x88a8,
        }
    }

    /// The word in configurations.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dot1q => "dot1q",
            Self::Dot1ad => "dot1ad",
        }
    }
}

/// One path of a static route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Destinations, without host bits.
    pub prefix: IpNet,
    /// Where they are sent.
    pub target: Target,
    /// Share of the prefix's traffic, relative to its other paths.
    pub weight: u8,
    /// The VRF whose table it is in; unset is the global table.
    pub vrf: Option<String>,
    /// Where this was said.
    pub origin: Origin,
}

/// Where a path leads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// A router on a network we are connected to, or one that other routes lead to.
    Via {
        /// The router's address.
        address: IpAddr,
        /// The interface; found from the connected networks and routes if unset.
        dev: Option<String>,
    },
    /// The destinations themselves are on this interface's link.
    Dev(String),
    /// Nowhere: packets are discarded (Null0).
    Drop,
}

/// A neighbour whose MAC address is given instead of asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// The neighbour's address.
    pub address: IpAddr,
    /// Its MAC address.
    pub mac: MacAddr,
    /// The interface; found from the connected networks of the global table if unset.
    pub dev: Option<String>,
    /// Where this was said.
    pub origin: Origin,
}
