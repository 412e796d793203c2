//! How many packets a second the router takes for itself, by type of flow.
//!
//! The numbers are the defaults that Cisco publishes for the NCS 5500 with IOS XR 7.2.1, as
//! `show lpts pifib hardware police` prints them: packets a second and burst in packets, a policer
//! of its own for each type and network processor. Other platforms have others, so they are data:
//! [`LptsRates`](super::lpts::LptsRates) starts with them.

use super::lpts::FlowType;

/// A row: type, its name in the published list, packets a second, burst in packets.
pub(super) type Row = (FlowType, &'static str, u64, u64);

/// All types, in their order.
pub(super) const DEFAULTS: [Row; FlowType::COUNT] = [
    (FlowType::Fragment, "Fragment", 1000, 98),
    (FlowType::OspfMcKnown, "OSPF-mc-known", 2000, 2000),
    (FlowType::OspfMcDefault, "OSPF-mc-default", 100, 8),
    (FlowType::OspfUcKnown, "OSPF-uc-known", 2000, 2000),
    (FlowType::OspfUcDefault, "OSPF-uc-default", 100, 8),
    (FlowType::IsisKnown, "ISIS-known", 2000, 2000),
    (FlowType::IsisDefault, "ISIS-default", 100, 8),
    (FlowType::BgpKnown, "BGP-known", 2500, 2975),
    (FlowType::BgpCfgPeer, "BGP-cfg-peer", 2000, 2000),
    (FlowType::BgpDefault, "BGP-default", 100, 8),
    (FlowType::PimMcastKnown, "PIM-mcast-known", 2100, 2078),
    (FlowType::PimMcastDefault, "PIM-mcast-default", 100, 8),
    (FlowType::PimUcast, "PIM-ucast", 1000, 500),
    (FlowType::Igmp, "IGMP", 2000, 2000),
    (FlowType::IcmpLocal, "ICMP-local", 2500, 250),
    (FlowType::IcmpControl, "ICMP-control", 2500, 250),
    (FlowType::IcmpDefault, "ICMP-default", 1000, 98),
    (FlowType::IcmpAppDefault, "ICMP-app-default", 2500, 250),
    (FlowType::LdpTcpKnown, "LDP-TCP-known", 2500, 3104),
    (FlowType::LdpTcpCfgPeer, "LDP-TCP-cfg-peer", 2000, 2000),
    (FlowType::LdpTcpDefault, "LDP-TCP-default", 100, 8),
    (FlowType::LdpUdp, "LDP-UDP", 2000, 2000),
    (FlowType::AllRouters, "All-routers", 1000, 500),
    (FlowType::RsvpKnown, "RSVP-known", 2500, 2975),
    (FlowType::RsvpDefault, "RSVP-default", 100, 8),
    (FlowType::Snmp, "SNMP", 2000, 197),
    (FlowType::SshKnown, "SSH-known", 1000, 98),
    (FlowType::SshDefault, "SSH-default", 100, 8),
    (FlowType::HttpKnown, "HTTP-known", 1000, 98),
    (FlowType::HttpDefault, "HTTP-default", 1000, 98),
    (FlowType::ShttpKnown, "SHTTP-known", 1000, 98),
    (FlowType::ShttpDefault, "SHTTP-default", 1000, 98),
    (FlowType::TelnetKnown, "TELNET-known", 1000, 98),
    (FlowType::TelnetDefault, "TELNET-default", 100, 8),
    (FlowType::UdpKnown, "UDP-known", 25000, 2494),
    (FlowType::UdpListen, "UDP-listen", 4000, 398),
    (FlowType::UdpDefault, "UDP-default", 100, 8),
    (FlowType::TcpKnown, "TCP-known", 25000, 2494),
    (FlowType::TcpListen, "TCP-listen", 25000, 2494),
    (FlowType::TcpDefault, "TCP-default", 100, 8),
    (FlowType::RawDefault, "Raw-default", 250, 23),
    (FlowType::IpSla, "ip-sla", 1000, 98),
    (FlowType::Eigrp, "EIGRP", 1500, 1119),
    (FlowType::Pcep, "PCEP", 100, 18),
    (FlowType::Gre, "GRE", 150, 8),
    (FlowType::Vrrp, "VRRP", 1000, 1000),
    (FlowType::Hsrp, "HSRP", 400, 158),
    (FlowType::MplsOam, "MPLS-oam", 250, 31),
    (FlowType::Dns, "DNS", 500, 49),
    (FlowType::Radius, "RADIUS", 7000, 4158),
    (FlowType::Tacacs, "TACACS", 500, 49),
    (FlowType::NtpKnown, "NTP-known", 500, 49),
    (FlowType::NtpDefault, "NTP-default", 100, 8),
    (FlowType::Dhcpv4, "DHCPv4", 4000, 398),
    (FlowType::Dhcpv6, "DHCPv6", 4000, 398),
    (FlowType::Tpa, "TPA", 2000, 2000),
    (FlowType::PmTwamp, "PM-TWAMP", 8000, 799),
];
