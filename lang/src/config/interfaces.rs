use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;

use qfp_core::ipsec::Mode;
use qfp_core::qos::police::BitsPerSecond;

use super::{
    Config, Ipsec, Layer3, MacAddr, Neighbour, Origin, Port, Problem, SpdAction, SpdEntry,
};
use super::{Target, Tunnel, Urpf, Vlan};
use crate::ipsec::Sa;

/// Number of an interface: ports in order, each followed by its sub-interfaces, then tunnels, then
/// what stands for entries of security policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InterfaceId(pub usize);

/// Anything that packets come in through or leave by.
#[derive(Clone, Copy, Debug)]
pub struct Interface<'c> {
    /// What it is.
    pub kind: InterfaceKind<'c>,
}

/// What an interface is.
#[derive(Clone, Copy, Debug)]
pub enum InterfaceKind<'c> {
    /// A port.
    Port {
        /// Its number.
        index: usize,
        /// The port.
        port: &'c Port,
    },
    /// A sub-interface.
    Vlan {
        /// Number of its port.
        index: usize,
        /// Its port.
        port: &'c Port,
        /// The sub-interface.
        vlan: &'c Vlan,
    },
    /// A tunnel.
    Tunnel {
        /// The tunnel.
        tunnel: &'c Tunnel,
        /// Its MTU, which may follow from its SA.
        mtu: u16,
    },
    /// What stands for an entry that protects packets of an interface: a link of its own to the
    /// peer, which nothing but the policy leads to.
    Policy {
        /// The entry.
        entry: &'c SpdEntry,
        /// Number of the port.
        index: usize,
        /// The port.
        port: &'c Port,
        /// The sub-interface whose policy it is, if it is one's.
        vlan: Option<&'c Vlan>,
        /// The SA for what leaves, if it is known.
        sa: Option<&'c Sa>,
    },
}

use InterfaceKind as Kind;

impl<'c> Interface<'c> {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'c str {
        match self.kind {
            Kind::Port { port, .. } => &port.name,
            Kind::Vlan { vlan, .. } => &vlan.name,
            Kind::Tunnel { tunnel, .. } => &tunnel.name,
            Kind::Policy { entry, .. } => entry.hidden_name(),
        }
    }

    /// The number of its port, and the port; none for a tunnel.
    #[must_use]
    pub fn port(&self) -> Option<(usize, &'c Port)> {
        match self.kind {
            Kind::Port { index, port }
            | Kind::Vlan { index, port, .. }
            | Kind::Policy { index, port, .. } => Some((index, port)),
            Kind::Tunnel { .. } => None,
        }
    }

    /// The sub-interface whose tags its frames have.
    #[must_use]
    pub fn vlan(&self) -> Option<&'c Vlan> {
        match self.kind {
            Kind::Vlan { vlan, .. } => Some(vlan),
            Kind::Policy { vlan, .. } => vlan,
            Kind::Port { .. } | Kind::Tunnel { .. } => None,
        }
    }

    /// Whether all that leaves by it goes to one neighbour, without a MAC address.
    #[must_use]
    pub fn is_point_to_point(&self) -> bool {
        matches!(self.kind, Kind::Tunnel { .. })
    }

    /// Whether it stands for an entry of a security policy: nothing can name it.
    #[must_use]
    pub fn is_hidden(&self) -> bool {
        matches!(self.kind, Kind::Policy { .. })
    }

    /// Whether what leaves by it is protected.
    #[must_use]
    pub fn is_protected(&self) -> bool {
        matches!(self.kind, Kind::Tunnel { .. } | Kind::Policy { .. })
    }

    /// The number of the port that its own frames leave by: none where outer packets find their
    /// own way.
    #[must_use]
    pub fn sends_by(&self) -> Option<usize> {
        match self.kind {
            Kind::Policy { sa, .. } if sa.is_none_or(|sa| sa.mode == Mode::Tunnel) => None,
            _ => self.port().map(|(index, _)| index),
        }
    }

    /// Largest IP packet it sends, bytes.
    #[must_use]
    pub fn mtu(&self) -> u16 {
        let of_port =
            |port: &Port, vlan: Option<&Vlan>| vlan.and_then(|vlan| vlan.mtu).unwrap_or(port.mtu);
        match self.kind {
            Kind::Port { port, .. } => port.mtu,
            Kind::Vlan { port, vlan, .. } => of_port(port, Some(vlan)),
            Kind::Tunnel { mtu, .. } => mtu,
            Kind::Policy { port, vlan, sa, .. } => {
                let path = of_port(port, vlan);
                // In transport mode it is the link that the protected packet has to fit.
                let inside = sa.filter(|sa| sa.mode == Mode::Tunnel);
                let inner = inside.map(|sa| sa.inner_mtu(path)).filter(|mtu| *mtu > 0);
                inner.unwrap_or(path)
            }
        }
    }

    fn layer3(&self) -> &'c Layer3 {
        match self.kind {
            Kind::Port { port, .. } => &port.layer3,
            Kind::Vlan { vlan, .. } => &vlan.layer3,
            Kind::Tunnel { tunnel, .. } => &tunnel.layer3,
            Kind::Policy { .. } => NOTHING,
        }
    }

    /// Its own addresses, each with the length of its network's prefix.
    #[must_use]
    pub fn addresses(&self) -> &'c [IpNet] {
        &self.layer3().addresses
    }

    /// Its own MAC address, if it is configured.
    #[must_use]
    pub fn mac(&self) -> Option<MacAddr> {
        self.port().and_then(|(_, port)| port.mac)
    }

    /// The VRF whose table its packets are routed in.
    #[must_use]
    pub fn vrf(&self) -> Option<&'c str> {
        self.visible_layer3().vrf.as_deref()
    }

    /// Whether packets may come in that claim to come from the router itself.
    #[must_use]
    pub fn allows_own_source(&self) -> bool {
        self.visible_layer3().allow_own_source
    }

    /// What it does with packets; for an entry of a policy, what its interface does.
    fn visible_layer3(&self) -> &'c Layer3 {
        match self.kind {
            Kind::Policy { port, vlan, .. } => vlan.map_or(&port.layer3, |vlan| &vlan.layer3),
            _ => self.layer3(),
        }
    }

    /// Whether it takes in fragments that hide what they carry.
    #[must_use]
    pub fn passes_tiny_fragments(&self) -> bool {
        self.visible_layer3().pass_tiny_fragments
    }

    /// Which sources its packets may have.
    #[must_use]
    pub fn urpf(&self) -> Option<Urpf> {
        self.layer3().urpf
    }

    /// Names of the access lists for packets that it receives, whether they are for the router
    /// itself or not. [`Config::access_list`] has the one of a family.
    #[must_use]
    pub fn acl_in(&self) -> &'c [String] {
        &self.layer3().acl_in
    }

    /// Names of the access lists for packets that it sends, but for the router's own.
    #[must_use]
    pub fn acl_out(&self) -> &'c [String] {
        &self.layer3().acl_out
    }

    /// Name of the route map for packets that it receives.
    #[must_use]
    pub fn policy_route(&self) -> Option<&'c str> {
        self.layer3().policy_route.as_deref()
    }

    /// The service policy for what comes in, if it has one of its own.
    #[must_use]
    pub fn service_policy_in(&self) -> Option<&'c str> {
        self.layer3().service_policy_in.as_deref()
    }

    /// The service policy for what leaves, if it has one of its own.
    #[must_use]
    pub fn service_policy_out(&self) -> Option<&'c str> {
        self.layer3().service_policy_out.as_deref()
    }

    /// The rate of its port's link, if it is said.
    #[must_use]
    pub fn speed(&self) -> Option<BitsPerSecond> {
        self.port().and_then(|(_, port)| port.speed)
    }

    /// Whether it is not shut down.
    #[must_use]
    pub fn is_up(&self) -> bool {
        match self.kind {
            Kind::Tunnel { tunnel, .. } => !tunnel.shutdown,
            Kind::Port { port, .. } | Kind::Vlan { port, .. } | Kind::Policy { port, .. } => {
                !port.shutdown
            }
        }
    }

    /// Where it was configured.
    #[must_use]
    pub fn origin(&self) -> &'c Origin {
        match self.kind {
            Kind::Port { port, .. } => &port.origin,
            Kind::Vlan { vlan, .. } => &vlan.origin,
            Kind::Tunnel { tunnel, .. } => &tunnel.origin,
            Kind::Policy { entry, .. } => &entry.origin,
        }
    }
}

/// What an interface does that nothing is said of.
static NOTHING: &Layer3 = &Layer3 {
    addresses: Vec::new(),
    vrf: None,
    urpf: None,
    pass_tiny_fragments: false,
    allow_own_source: false,
    acl_in: Vec::new(),
    acl_out: Vec::new(),
    policy_route: None,
    service_policy_in: None,
    service_policy_out: None,
};

/// A path whose names and addresses have been looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hop {
    /// To a router on the interface's link.
    Via {
        /// Out of this interface.
        interface: InterfaceId,
        /// The router.
        address: IpAddr,
    },
    /// To a router on no connected network: wherever the routes to it lead.
    Recursive(IpAddr),
    /// To the destination itself, on the interface's link.
    OnLink(InterfaceId),
    /// Nowhere: discard.
    Drop,
}

/// All interfaces, found by name, own address and connected network.
///
/// Where a configuration that is not valid says something twice, the first counts.
#[derive(Clone, Debug)]
pub struct Interfaces<'c> {
    list: Vec<Interface<'c>>,
    names: HashMap<&'c str, InterfaceId>,
    own: HashMap<(Option<&'c str>, IpAddr), InterfaceId>,
    networks: HashMap<(Option<&'c str>, IpNet), InterfaceId>,
    /// Prefix lengths in `networks`, longest first.
    lengths: Vec<u8>,
}

impl<'c> Interfaces<'c> {
    /// The interfaces of `config`. Linear in their number.
    #[must_use]
    pub fn new(config: &'c Config) -> Self {
        let mut list = Vec::new();
        for (index, port) in config.ports.iter().enumerate() {
            list.push(Kind::Port { index, port });
            list.extend(port.vlans.iter().map(|vlan| Kind::Vlan { index, port, vlan }));
        }
        let ipsec = &config.ipsec;
        let sas = ipsec.by_name();
        let mtu = |tunnel: &Tunnel| tunnel.effective_mtu(&sas);
        let tunnels = ipsec.tunnels.iter();
        list.extend(tunnels.map(|tunnel| Kind::Tunnel { tunnel, mtu: mtu(tunnel) }));
        list.extend(policies(ipsec, &sas, &list));
        let list: Vec<_> = list.into_iter().map(|kind| Interface { kind }).collect();
        let (mut names, mut own, mut networks) = (HashMap::new(), HashMap::new(), HashMap::new());
        for (index, interface) in list.iter().enumerate() {
            let id = InterfaceId(index);
            names.entry(interface.name()).or_insert(id);
            for address in interface.addresses().iter().filter(|net| !is_link_local(net.addr())) {
                own.entry((interface.vrf(), address.addr())).or_insert(id);
                networks.entry((interface.vrf(), address.trunc())).or_insert(id);
            }
        }
        let mut lengths: Vec<u8> = networks.keys().map(|(_, net)| net.prefix_len()).collect();
        lengths.sort_unstable_by(|a, b| b.cmp(a));
        lengths.dedup();
        Self { list, names, own, networks, lengths }
    }

    /// All of them, in the order of their numbers.
    #[must_use]
    pub fn all(&self) -> &[Interface<'c>] {
        &self.list
    }

    /// The interface of this number, as given out by the same value.
    #[must_use]
    pub fn get(&self, id: InterfaceId) -> &Interface<'c> {
        &self.list[id.0]
    }

    /// The interface of this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<InterfaceId> {
        self.names.get(name).copied()
    }

    /// The interface that has this address in the table of `vrf`. Link-local addresses are
    /// nobody's in particular.
    #[must_use]
    pub fn owner(&self, vrf: Option<&str>, address: IpAddr) -> Option<InterfaceId> {
        self.own.get(&(vrf, address)).copied()
    }

    /// The interface of `vrf` on whose network this address lies: longest prefix, link-local
    /// excepted.
    #[must_use]
    pub fn connected(&self, vrf: Option<&str>, address: IpAddr) -> Option<InterfaceId> {
        self.lengths.iter().find_map(|length| {
            let network = IpNet::new(address, *length).ok()?.trunc();
            self.networks.get(&(vrf, network)).copied()
        })
    }

    /// Where a path of `prefix` in the global table leads.
    ///
    /// # Errors
    /// As [`Interfaces::resolve_in`].
    pub fn resolve(&self, prefix: IpNet, target: &Target) -> Result<Hop, Problem> {
        self.resolve_in(None, prefix, target)
    }

    /// Where a path of `prefix` in the table of `vrf` leads.
    ///
    /// # Errors
    /// When the interface does not exist or is in another table, or the next hop cannot be a
    /// neighbour.
    pub fn resolve_in(
        &self,
        vrf: Option<&str>,
        prefix: IpNet,
        target: &Target,
    ) -> Result<Hop, Problem> {
        match target {
            Target::Drop => Ok(Hop::Drop),
            Target::Dev(name) => self.need_in(vrf, name).map(Hop::OnLink),
            Target::Via { address, dev } => {
                if address.is_ipv4() != prefix.addr().is_ipv4() {
                    return Err(Problem::FamilyMismatch { prefix, via: *address });
                }
                let interface = match dev {
                    Some(name) => Some(self.need_in(vrf, name)?),
                    None if is_link_local(*address) => {
                        return Err(Problem::LinkLocalNeedsDev(*address));
                    }
                    None => self.connected(vrf, *address),
                };
                self.check_neighbour(vrf, interface, *address)?;
                Ok(match interface {
                    Some(interface) => Hop::Via { interface, address: *address },
                    None => Hop::Recursive(*address),
                })
            }
        }
    }

    /// The interface at which a static neighbour is.
    ///
    /// # Errors
    /// When the interface does not exist, or none can be told from the address.
    pub fn locate(&self, neighbour: &Neighbour) -> Result<InterfaceId, Problem> {
        let address = neighbour.address;
        let interface = match &neighbour.dev {
            Some(name) => self.need(name)?,
            None if is_link_local(address) => return Err(Problem::LinkLocalNeedsDev(address)),
            None => self.connected(None, address).ok_or(Problem::NeighbourNotConnected(address))?,
        };
        self.check_neighbour(self.get(interface).vrf(), Some(interface), address)?;
        Ok(interface)
    }

    fn need(&self, name: &str) -> Result<InterfaceId, Problem> {
        let named = self.named(name).filter(|id| !self.get(*id).is_hidden());
        named.ok_or_else(|| Problem::UnknownInterface(name.to_owned()))
    }

    /// The interface of this name, which must be of the table of `vrf`.
    fn need_in(&self, vrf: Option<&str>, name: &str) -> Result<InterfaceId, Problem> {
        let interface = self.need(name)?;
        if self.get(interface).vrf() != vrf {
            let (interface, vrf) = (name.to_owned(), vrf.map(str::to_owned));
            return Err(Problem::OtherVrf { interface, vrf });
        }
        Ok(interface)
    }

    /// Checks that `address` can be the address of another host, at `interface` if that is known.
    fn check_neighbour(
        &self,
        vrf: Option<&str>,
        interface: Option<InterfaceId>,
        address: IpAddr,
    ) -> Result<(), Problem> {
        let networks = interface.map_or(&[][..], |id| self.get(id).addresses());
        let broadcast = networks.iter().any(|net| !is_host_of(address, *net));
        if broadcast || !is_unicast(address) {
            return Err(Problem::NotNeighbourAddress(address));
        }
        let own = interface.filter(|_| networks.iter().any(|net| net.addr() == address));
        if let Some(owner) = own.or_else(|| self.owner(vrf, address)) {
            let interface = self.get(owner).name().to_owned();
            return Err(Problem::OwnAddress { address, interface });
        }
        Ok(())
    }
}

/// What stands for the entries that protect packets of one of `interfaces`.
fn policies<'c>(
    ipsec: &'c Ipsec,
    sas: &HashMap<&str, &'c Sa>,
    interfaces: &[Kind<'c>],
) -> Vec<Kind<'c>> {
    let places = interfaces.iter().rev().filter_map(|kind| match *kind {
        Kind::Port { index, port } => Some((port.name.as_str(), (index, port, None))),
        Kind::Vlan { index, port, vlan } => Some((vlan.name.as_str(), (index, port, Some(vlan)))),
        _ => None,
    });
    let places: HashMap<&str, _> = places.collect();
    let policy = |entry: &'c SpdEntry| {
        let SpdAction::Protect { sa_out, .. } = &entry.action else { return None };
        let &(index, port, vlan) = places.get(entry.interface.as_str())?;
        let sa = sa_out.as_deref().and_then(|name| sas.get(name).copied());
        Some(Kind::Policy { entry, index, port, vlan, sa })
    };
    ipsec.spd.iter().filter_map(policy).collect()
}

/// True for addresses that mean another host on every link (RFC 4291 2.5.6).
pub(super) fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

/// True for addresses that one host can have on a wire.
pub(super) fn is_unicast(address: IpAddr) -> bool {
    let class_e = matches!(address, IpAddr::V4(v4) if v4.octets()[0] >= 240);
    !(address.is_unspecified() || address.is_loopback() || address.is_multicast() || class_e)
}

/// False for the all-zeros and all-ones hosts of an IPv4 network (RFC 1122 3.2.1.3), which a
/// prefix of 31 or 32 bits does not have (RFC 3021).
pub(super) fn is_host_of(address: IpAddr, network: IpNet) -> bool {
    network.addr().is_ipv6()
        || network.prefix_len() >= 31
        || (address != network.network() && address != network.broadcast())
}
