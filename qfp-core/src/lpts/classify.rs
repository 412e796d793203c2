//! Which type of flow a packet for the router belongs to.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::packet::FlowType;
use crate::uidb::{TableId, UidbIndex};
use crate::wire::{icmpv4, icmpv6, protocol};

/// A packet for this router, with what tells its flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForUs {
    /// IP.
    Ip {
        /// Its addresses, protocol and ports. For ICMP the remote port is the type.
        flow: Session,
        /// True for a fragment other than the first: there are no ports.
        later_fragment: bool,
    },
    /// IS-IS, by the interface it came in through.
    Isis(UidbIndex),
}

/// A flow as the router sees it; ports are 0 where a protocol has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Session {
    /// Routing table.
    pub table: TableId,
    /// IP protocol.
    pub protocol: u8,
    /// Our address.
    pub local: IpAddr,
    /// Theirs.
    pub remote: IpAddr,
    /// Our port.
    pub local_port: u16,
    /// Theirs.
    pub remote_port: u16,
}

/// How well the other end is known.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub enum Trust {
    /// Not at all.
    Default,
    /// It is configured.
    CfgPeer,
    /// There is a session, or it is a neighbour.
    Known,
}

/// A protocol whose peers are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Service {
    /// BGP.
    Bgp,
    /// LDP sessions.
    Ldp,
    /// OSPF.
    Ospf,
    /// PIM.
    Pim,
    /// RSVP.
    Rsvp,
    /// SSH.
    Ssh,
    /// HTTP.
    Http,
    /// HTTPS.
    Shttp,
    /// Telnet.
    Telnet,
    /// NTP.
    Ntp,
}

/// An address that a service has to do with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
struct Peer {
    service: Service,
    table: TableId,
    remote: IpAddr,
}

/// A port that somebody listens on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
struct Listener {
    table: TableId,
    protocol: u8,
    port: u16,
}

/// The sessions, peers and open ports of this router.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Lpts {
    sessions: HashSet<Session, ahash::RandomState>,
    peers: HashMap<Peer, Trust, ahash::RandomState>,
    listeners: HashMap<Listener, FlowType, ahash::RandomState>,
    isis: HashSet<UidbIndex, ahash::RandomState>,
}

// Protocols that no view of this crate reads.
const IGMP: u8 = 2;
const RSVP: u8 = 46;
const GRE: u8 = 47;
const EIGRP: u8 = 88;
const OSPF: u8 = 89;
const PIM: u8 = 103;
const VRRP: u8 = 112;

impl Lpts {
    /// A session has been established, or is gone.
    pub fn set_session(&mut self, session: Session, established: bool) {
        if established {
            self.sessions.insert(session);
        } else {
            self.sessions.remove(&session);
        }
    }

    /// How far `service` trusts an address, whatever its ports: a configured peer, a neighbour.
    pub fn set_peer(&mut self, service: Service, table: TableId, remote: IpAddr, trust: Trust) {
        let peer = Peer { service, table, remote };
        if trust == Trust::Default {
            self.peers.remove(&peer);
        } else {
            self.peers.insert(peer, trust);
        }
    }

    /// Somebody listens on a port for flows of type `flow`, or nobody any more.
    ///
    /// For protocols that are known by their ports the type does not matter.
    pub fn set_listener(
        &mut self,
        table: TableId,
        protocol: u8,
        port: u16,
        flow: Option<FlowType>,
    ) {
        let listener = Listener { table, protocol, port };
        match flow {
            Some(flow) => self.listeners.insert(listener, flow),
            None => self.listeners.remove(&listener),
        };
    }

    /// There is an IS-IS neighbour behind an interface, or none any more.
    pub fn set_isis(&mut self, interface: UidbIndex, neighbour: bool) {
        if neighbour {
            self.isis.insert(interface);
        } else {
            self.isis.remove(&interface);
        }
    }

    /// The type of flow that a packet belongs to. At most three hash lookups, no allocation.
    #[must_use]
    pub fn classify(&self, packet: &ForUs) -> FlowType {
        match packet {
            ForUs::Isis(interface) if self.isis.contains(interface) => FlowType::IsisKnown,
            ForUs::Isis(_) => FlowType::IsisDefault,
            ForUs::Ip { later_fragment: true, .. } => FlowType::Fragment,
            ForUs::Ip { flow, .. } => match flow.protocol {
                protocol::TCP => self.tcp(flow),
                protocol::UDP => self.udp(flow),
                protocol::ICMP => icmp4(flow.remote_port),
                protocol::ICMPV6 => icmp6(flow.remote_port),
                other => self.raw(other, flow),
            },
        }
    }

    fn tcp(&self, flow: &Session) -> FlowType {
        use FlowType::*;
        let (service, [known, configured, default]) = match well_known(flow, |port| {
            matches!(port, 22 | 23 | 49 | 53 | 80 | 179 | 443 | 646 | 862 | 4189)
        }) {
            22 => (Service::Ssh, [SshKnown, SshKnown, SshDefault]),
            23 => (Service::Telnet, [TelnetKnown, TelnetKnown, TelnetDefault]),
            49 => return Tacacs,
            53 => return Dns,
            80 => (Service::Http, [HttpKnown, HttpKnown, HttpDefault]),
            179 => (Service::Bgp, [BgpKnown, BgpCfgPeer, BgpDefault]),
            443 => (Service::Shttp, [ShttpKnown, ShttpKnown, ShttpDefault]),
            646 => (Service::Ldp, [LdpTcpKnown, LdpTcpCfgPeer, LdpTcpDefault]),
            862 => return PmTwamp,
            4189 => return Pcep,
            _ => return self.socket(flow, [TcpKnown, TcpDefault]),
        };
        match self.trust(service, flow) {
            Trust::Known => known,
            Trust::CfgPeer => configured,
            Trust::Default => default,
        }
    }

    fn udp(&self, flow: &Session) -> FlowType {
        use FlowType::*;
        match well_known(flow, |port| {
            matches!(
                port,
                53 | 67
                    | 68
                    | 123
                    | 161
                    | 162
                    | 546
                    | 547
                    | 646
                    | 862
                    | 1645
                    | 1646
                    | 1812
                    | 1813
                    | 1967
                    | 1985
                    | 2029
                    | 3503
            )
        }) {
            53 => Dns,
            67 | 68 => Dhcpv4,
            123 => self.either(Service::Ntp, flow, NtpKnown, NtpDefault),
            161 | 162 => Snmp,
            546 | 547 => Dhcpv6,
            646 => LdpUdp,
            862 => PmTwamp,
            1645 | 1646 | 1812 | 1813 => Radius,
            1967 => IpSla,
            1985 | 2029 => Hsrp,
            3503 => MplsOam,
            _ => self.socket(flow, [UdpKnown, UdpDefault]),
        }
    }

    fn raw(&self, protocol: u8, flow: &Session) -> FlowType {
        use FlowType::*;
        let group = flow.local.is_multicast();
        match protocol {
            IGMP => Igmp,
            RSVP => self.either(Service::Rsvp, flow, RsvpKnown, RsvpDefault),
            GRE => Gre,
            EIGRP => Eigrp,
            OSPF if group => self.either(Service::Ospf, flow, OspfMcKnown, OspfMcDefault),
            OSPF => self.either(Service::Ospf, flow, OspfUcKnown, OspfUcDefault),
            PIM if group => self.either(Service::Pim, flow, PimMcastKnown, PimMcastDefault),
            PIM => PimUcast,
            VRRP => Vrrp,
            _ if is_all_routers(flow.local) => AllRouters,
            _ => RawDefault,
        }
    }

    /// The type of a flow that is known by sockets alone.
    fn socket(&self, flow: &Session, [known, default]: [FlowType; 2]) -> FlowType {
        if self.sessions.contains(flow) {
            return known;
        }
        let Session { table, protocol, local_port: port, .. } = *flow;
        match self.listeners.get(&Listener { table, protocol, port }) {
            Some(&flow) => flow,
            None if is_all_routers(flow.local) => FlowType::AllRouters,
            None => default,
        }
    }

    /// One type for neighbours, one for the rest: a peer that is only configured is no neighbour,
    /// but for NTP, which has no sessions.
    fn either(
        &self,
        service: Service,
        flow: &Session,
        known: FlowType,
        default: FlowType,
    ) -> FlowType {
        let enough = if service == Service::Ntp { Trust::CfgPeer } else { Trust::Known };
        if self.trust(service, flow) >= enough { known } else { default }
    }

    fn trust(&self, service: Service, flow: &Session) -> Trust {
        if self.sessions.contains(flow) {
            return Trust::Known;
        }
        let peer = Peer { service, table: flow.table, remote: flow.remote };
        self.peers.get(&peer).copied().unwrap_or(Trust::Default)
    }
}

/// The port that says what a flow is: ours, or else theirs, as we may have opened it.
fn well_known(flow: &Session, is_known: impl Fn(u16) -> bool) -> u16 {
    if is_known(flow.local_port) { flow.local_port } else { flow.remote_port }
}

fn is_all_routers(local: IpAddr) -> bool {
    local == Ipv4Addr::new(224, 0, 0, 2) || local == Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2)
}

fn icmp4(kind: u16) -> FlowType {
    match u8::try_from(kind) {
        Ok(icmpv4::ECHO_REQUEST | icmpv4::ECHO_REPLY) => FlowType::IcmpLocal,
        // Unreachable, source quench, redirect, time exceeded, parameter problem (RFC 792).
        Ok(3 | 4 | 5 | 11 | 12) => FlowType::IcmpAppDefault,
        _ => FlowType::IcmpDefault,
    }
}

fn icmp6(kind: u16) -> FlowType {
    match u8::try_from(kind) {
        Ok(icmpv6::ECHO_REQUEST | icmpv6::ECHO_REPLY) => FlowType::IcmpLocal,
        Ok(icmpv6::ROUTER_SOLICITATION..=icmpv6::REDIRECT) => FlowType::IcmpControl,
        // Multicast listener discovery (RFC 2710, RFC 3810).
        Ok(130..=132 | 143) => FlowType::Igmp,
        Ok(kind) if icmpv6::is_error(kind) => FlowType::IcmpAppDefault,
        _ => FlowType::IcmpDefault,
    }
}
