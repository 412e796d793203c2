use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;

use qfp_core::qos::police::BitsPerSecond;

use super::{Config, MacAddr, Neighbour, Origin, Port, Problem, Target, Urpf, Vlan};

/// Number of an interface: ports in order, each followed by its sub-interfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InterfaceId(pub usize);

/// A port or one of its sub-interfaces.
#[derive(Clone, Copy, Debug)]
pub struct Interface<'c> {
    /// Number of its port.
    pub port_index: usize,
    /// Its port.
    pub port: &'c Port,
    /// The sub-interface, if it is one.
    pub vlan: Option<&'c Vlan>,
}

impl<'c> Interface<'c> {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'c str {
        self.vlan.map_or(&self.port.name, |vlan| &vlan.name)
    }

    /// Largest IP packet it sends, bytes.
    #[must_use]
    pub fn mtu(&self) -> u16 {
        self.vlan.and_then(|vlan| vlan.mtu).unwrap_or(self.port.mtu)
    }

    /// Its own addresses, each with the length of its network's prefix.
    #[must_use]
    pub fn addresses(&self) -> &'c [IpNet] {
        self.vlan.map_or(&self.port.addresses, |vlan| &vlan.addresses)
    }

    /// Its own MAC address, if it is configured.
    #[must_use]
    pub fn mac(&self) -> Option<MacAddr> {
        self.port.mac
    }

    /// The VRF whose table its packets are routed in.
    #[must_use]
    pub fn vrf(&self) -> Option<&'c str> {
        self.vlan.map_or(&self.port.vrf, |vlan| &vlan.vrf).as_deref()
    }

    /// Which sources its packets may have.
    #[must_use]
    pub fn urpf(&self) -> Option<Urpf> {
        self.vlan.map_or(self.port.urpf, |vlan| vlan.urpf)
    }

    /// Names of the access lists for packets that it receives, whether they are for the router
    /// itself or not. [`Config::access_list`] has the one of a family.
    #[must_use]
    pub fn acl_in(&self) -> &'c [String] {
        self.vlan.map_or(&self.port.acl_in, |vlan| &vlan.acl_in)
    }

    /// Names of the access lists for packets that it sends, but for the router's own.
    #[must_use]
    pub fn acl_out(&self) -> &'c [String] {
        self.vlan.map_or(&self.port.acl_out, |vlan| &vlan.acl_out)
    }

    /// Name of the route map for packets that it receives.
    #[must_use]
    pub fn policy_route(&self) -> Option<&'c str> {
        self.vlan.map_or(&self.port.policy_route, |vlan| &vlan.policy_route).as_deref()
    }

    /// The service policy for what comes in, if it has one of its own.
    #[must_use]
    pub fn service_policy_in(&self) -> Option<&'c str> {
        self.vlan.map_or(&self.port.service_policy_in, |vlan| &vlan.service_policy_in).as_deref()
    }

    /// The service policy for what leaves, if it has one of its own.
    #[must_use]
    pub fn service_policy_out(&self) -> Option<&'c str> {
        self.vlan.map_or(&self.port.service_policy_out, |vlan| &vlan.service_policy_out).as_deref()
    }

    /// The rate of its port's link, if it is said.
    #[must_use]
    pub fn speed(&self) -> Option<BitsPerSecond> {
        self.port.speed
    }

    /// Whether it is not shut down.
    #[must_use]
    pub fn is_up(&self) -> bool {
        !self.port.shutdown
    }

    /// Where it was configured.
    #[must_use]
    pub fn origin(&self) -> &'c Origin {
        self.vlan.map_or(&self.port.origin, |vlan| &vlan.origin)
    }
}

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
        for (port_index, port) in config.ports.iter().enumerate() {
            list.push(Interface { port_index, port, vlan: None });
            list.extend(port.vlans.iter().map(|vlan| Interface {
                port_index,
                port,
                vlan: Some(vlan),
            }));
        }
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
        self.named(name).ok_or_else(|| Problem::UnknownInterface(name.to_owned()))
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
