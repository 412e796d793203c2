//! What the slow path knows of interfaces: names on the wire, networks, and which addresses are
//! the router's own.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::packet::PuntedPacket;
use crate::uidb::{TableId, UidbIndex};

/// A VLAN tag that every frame of an interface carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct VlanTag {
    /// EtherType of the tag.
    pub tpid: u16,
    /// VLAN id, 1 to 4094.
    pub vid: u16,
}

/// An interface with addresses.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Interface {
    /// Its number in the fast path.
    pub uidb: UidbIndex,
    /// The table that what comes in is routed in, and that its addresses belong to.
    pub table: TableId,
    /// Its configured name.
    pub name: String,
    /// Its MAC address.
    pub mac: [u8; 6],
    /// Largest IP packet, bytes.
    pub mtu: u16,
    /// IPv4 addresses with the networks they are connected to.
    pub ipv4: Vec<Ipv4Net>,
    /// IPv6 addresses with their networks. A link-local address comes by itself (RFC 4291 2.5.1).
    pub ipv6: Vec<Ipv6Net>,
    /// Tags of its frames, outer first.
    pub tags: Vec<VlanTag>,
}

impl Interface {
    /// The link-local address made of the MAC address (RFC 4291 appendix A); `None` without IPv6.
    #[must_use]
    pub fn link_local(&self) -> Option<Ipv6Addr> {
        let [a, b, c, d, e, f] = self.mac;
        let octets = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f];
        (!self.ipv6.is_empty()).then(|| Ipv6Addr::from_octets(octets))
    }

    /// True when the interface answers for `address` on its own link.
    pub(super) fn has_address(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.ipv4.iter().any(|net| net.addr() == address),
            IpAddr::V6(address) => {
                self.link_local() == Some(address)
                    || self.ipv6.iter().any(|net| net.addr() == address)
            }
        }
    }

    /// True for an address that a host on this link can have.
    pub(super) fn is_on_link(&self, address: IpAddr) -> bool {
        if !is_host(address) || self.has_address(address) {
            return false;
        }
        match address {
            IpAddr::V4(address) => self.ipv4.iter().any(|net| {
                net.contains(&address)
                    && (net.prefix_len() > 30
                        || (address != net.broadcast() && address != net.network()))
            }),
            IpAddr::V6(address) if address.is_unicast_link_local() => !self.ipv6.is_empty(),
            IpAddr::V6(address) => self.ipv6.iter().any(|net| net.contains(&address)),
        }
    }

    /// The own address to speak to `peer` with: the one in its network, else the first; for a
    /// link-local peer the link-local one. `None` without an address of that family.
    pub(super) fn source_for(&self, peer: IpAddr) -> Option<IpAddr> {
        match peer {
            IpAddr::V4(peer) => {
                let near = self.ipv4.iter().find(|net| net.contains(&peer));
                near.or(self.ipv4.first()).map(|net| IpAddr::V4(net.addr()))
            }
            IpAddr::V6(peer) if peer.is_unicast_link_local() => self.link_local().map(IpAddr::V6),
            IpAddr::V6(peer) => {
                let mut global = self.ipv6.iter().filter(|net| !net.addr().is_unicast_link_local());
                let near = global.clone().find(|net| net.contains(&peer));
                near.or(global.next()).map(|net| IpAddr::V6(net.addr()))
            }
        }
    }

    /// The own address to ask for `neighbour` with: as [`Interface::source_for`], but IPv6 always
    /// has its link-local address to ask from (RFC 4861 7.2.2).
    pub(super) fn asking_source(&self, neighbour: IpAddr) -> Option<IpAddr> {
        let link_local = || self.link_local().filter(|_| neighbour.is_ipv6()).map(IpAddr::V6);
        self.source_for(neighbour).or_else(link_local)
    }
}

/// All interfaces, by number, and the router's own addresses by routing table: what is ours in one
/// VRF may be a host's in another.
#[derive(Debug, Default)]
pub(super) struct Interfaces {
    by_uidb: BTreeMap<UidbIndex, Interface>,
    tables: BTreeSet<TableId>,
    own: BTreeSet<(TableId, IpAddr)>,
    broadcasts: BTreeSet<(TableId, Ipv4Addr)>,
    /// Networks on our side of the security policy's entries that an interface stands for.
    sides: BTreeMap<UidbIndex, Vec<IpNet>>,
}

impl Interfaces {
    pub(super) fn new(interfaces: Vec<Interface>) -> Self {
        let mut this = Self { tables: BTreeSet::from([TableId::GLOBAL]), ..Self::default() };
        for interface in interfaces {
            let table = interface.table;
            this.tables.insert(table);
            this.own.extend(interface.ipv4.iter().map(|net| (table, IpAddr::V4(net.addr()))));
            let global = interface.ipv6.iter().map(Ipv6Net::addr);
            let global = global.filter(|own| !own.is_unicast_link_local());
            this.own.extend(global.map(|own| (table, IpAddr::V6(own))));
            let subnets = interface.ipv4.iter().filter(|net| net.prefix_len() <= 30);
            this.broadcasts.extend(subnets.map(|net| (table, net.broadcast())));
            this.by_uidb.insert(interface.uidb, interface);
        }
        this
    }

    /// Whether an interface is in a table, or it is the global one.
    pub(super) fn has_table(&self, table: TableId) -> bool {
        self.tables.contains(&table)
    }

    pub(super) fn set_mtu(&mut self, uidb: UidbIndex, mtu: u16) {
        if let Some(interface) = self.by_uidb.get_mut(&uidb) {
            interface.mtu = mtu;
        }
    }

    pub(super) fn get(&self, uidb: UidbIndex) -> Option<&Interface> {
        self.by_uidb.get(&uidb)
    }

    /// Says which interfaces stand for entries of security policies, and what their networks on our
    /// side are.
    pub(super) fn set_sides(&mut self, sides: Vec<(UidbIndex, Vec<IpNet>)>) {
        self.sides = sides.into_iter().collect();
    }

    /// The networks on our side, of an interface that stands for an entry of a security policy.
    pub(super) fn sides(&self, uidb: UidbIndex) -> Option<&[IpNet]> {
        self.sides.get(&uidb).map(Vec::as_slice)
    }

    /// An own address in one of `networks` to speak to `peer` with.
    pub(super) fn own_within(
        &self,
        table: TableId,
        peer: IpAddr,
        networks: &[IpNet],
    ) -> Option<IpAddr> {
        let own =
            self.own.iter().filter(|(of, own)| *of == table && own.is_ipv4() == peer.is_ipv4());
        let mut own = own.map(|(_, own)| *own);
        own.find(|own| networks.iter().any(|network| network.contains(own)))
    }

    /// The interface of `table` that `address` is on the network of.
    pub(super) fn connected(&self, table: TableId, address: Ipv4Addr) -> Option<&Interface> {
        let on_link = |link: &&Interface| {
            link.table == table && link.ipv4.iter().any(|net| net.contains(&address))
        };
        self.by_uidb.values().find(on_link)
    }

    /// True when `address` is the router's own where `about` came in.
    pub(super) fn owns(&self, about: &PuntedPacket, address: IpAddr) -> bool {
        self.own.contains(&(about.table, address))
            || self.get(about.input).is_some_and(|interface| interface.has_address(address))
    }

    /// True for groups, the limited broadcast, and the broadcast of a network connected in `table`.
    pub(super) fn is_group(&self, table: TableId, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => {
                address.is_multicast()
                    || address.is_broadcast()
                    || self.broadcasts.contains(&(table, address))
            }
            IpAddr::V6(address) => address.is_multicast(),
        }
    }

    /// The address that a message to `peer` about `about` comes from: one of the interface that
    /// packet came in through (ING-22), else any that the router has in its table.
    pub(super) fn source_for(&self, about: &PuntedPacket, peer: IpAddr) -> Option<IpAddr> {
        let nearest = self.get(about.input).and_then(|interface| interface.source_for(peer));
        nearest.or_else(|| {
            let mut own = self.own.iter().filter(|(table, _)| *table == about.table);
            own.find(|(_, own)| own.is_ipv4() == peer.is_ipv4()).map(|(_, own)| *own)
        })
    }
}

/// True for an address that names one host: not zero, loopback, a group, or class E.
pub(super) fn is_host(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [first, ..] = address.octets();
            !matches!(first, 0 | 127 | 224..=255)
        }
        IpAddr::V6(address) => {
            !(address.is_unspecified() || address.is_loopback() || address.is_multicast())
        }
    }
}

/// True for addresses that mean something on one link only (RFC 3927, RFC 4291 2.5.6).
pub(super) fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// The solicited-node group of `address` (RFC 4291 2.7.1).
pub(super) fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    Ipv6Addr::from_octets([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c])
}
