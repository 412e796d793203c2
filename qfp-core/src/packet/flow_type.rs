//! Types of flow to the slow path, which have rates of their own (LPTS).

use crate::named::named;

named! {
    /// A type of flow to the slow path. Names of those to the router itself follow IOS XR; see
    /// [`FlowType::label`].
    FlowType {
        /// A fragment other than the first, whose ports are not known.
        Fragment,
        /// OSPF to a group, from a neighbour.
        OspfMcKnown,
        /// OSPF to a group, from anybody.
        OspfMcDefault,
        /// OSPF to this router, from a neighbour.
        OspfUcKnown,
        /// OSPF to this router, from anybody.
        OspfUcDefault,
        /// IS-IS, from a neighbour.
        IsisKnown,
        /// IS-IS, from anybody.
        IsisDefault,
        /// BGP of an established session.
        BgpKnown,
        /// BGP of a configured peer.
        BgpCfgPeer,
        /// BGP of anybody.
        BgpDefault,
        /// PIM to a group, from a neighbour.
        PimMcastKnown,
        /// PIM to a group, from anybody.
        PimMcastDefault,
        /// PIM to this router.
        PimUcast,
        /// IGMP and multicast listener discovery.
        Igmp,
        /// Echo requests and replies.
        IcmpLocal,
        /// IPv6 neighbour discovery.
        IcmpControl,
        /// ICMP of other types.
        IcmpDefault,
        /// ICMP errors, which concern flows of applications.
        IcmpAppDefault,
        /// LDP sessions, established.
        LdpTcpKnown,
        /// LDP sessions of a configured peer.
        LdpTcpCfgPeer,
        /// LDP sessions of anybody.
        LdpTcpDefault,
        /// LDP discovery.
        LdpUdp,
        /// To the group of all routers.
        AllRouters,
        /// RSVP, from a neighbour.
        RsvpKnown,
        /// RSVP, from anybody.
        RsvpDefault,
        /// SNMP.
        Snmp,
        /// SSH, established or from a configured address.
        SshKnown,
        /// SSH of anybody.
        SshDefault,
        /// HTTP, established or from a configured address.
        HttpKnown,
        /// HTTP of anybody.
        HttpDefault,
        /// HTTPS, established or from a configured address.
        ShttpKnown,
        /// HTTPS of anybody.
        ShttpDefault,
        /// Telnet, established or from a configured address.
        TelnetKnown,
        /// Telnet of anybody.
        TelnetDefault,
        /// UDP of a connected socket.
        UdpKnown,
        /// UDP to an open port.
        UdpListen,
        /// UDP to any other port.
        UdpDefault,
        /// TCP of an established connection.
        TcpKnown,
        /// TCP to an open port.
        TcpListen,
        /// TCP to any other port.
        TcpDefault,
        /// Any other protocol.
        RawDefault,
        /// Service level probes.
        IpSla,
        /// EIGRP.
        Eigrp,
        /// Path computation.
        Pcep,
        /// GRE.
        Gre,
        /// VRRP.
        Vrrp,
        /// HSRP.
        Hsrp,
        /// MPLS echo.
        MplsOam,
        /// DNS.
        Dns,
        /// RADIUS.
        Radius,
        /// TACACS+.
        Tacacs,
        /// NTP of a configured server or peer.
        NtpKnown,
        /// NTP of anybody.
        NtpDefault,
        /// DHCP.
        Dhcpv4,
        /// DHCPv6.
        Dhcpv6,
        /// Applications of third parties, as they register their ports.
        Tpa,
        /// TWAMP.
        PmTwamp,
        /// ARP of a neighbour that the router knows, or whose answer it is waiting for.
        ArpKnown,
        /// ARP about an address of the router, from anybody.
        ArpForUs,
        /// ARP about other addresses.
        ArpOther,
        /// Neighbour discovery of a neighbour that the router knows, or whose answer it is waiting
        /// for.
        NdKnown,
        /// Packets whose next hop has no MAC address yet.
        Glean,
        /// Packets whose TTL or hop limit has run out.
        TtlExceeded,
        /// Packets that are larger than the output interface takes.
        MtuExceeded,
        /// Packets in transit with IPv4 options that a router must look at.
        Ipv4Options,
        /// Packets in transit with IPv6 options that a router must look at.
        Ipv6Options,
        /// Dropped packets whose source is to be told.
        Unreachable,
        /// What a user's own feature has punted.
        Feature,
    }
}

impl FlowType {
    /// The name in published lists, such as `BGP-cfg-peer`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        LABELS[self as usize]
    }

    /// The type with that label, in capitals or not.
    #[must_use]
    pub fn named(label: &str) -> Option<Self> {
        let is = |flow: &&Self| flow.label().eq_ignore_ascii_case(label);
        Self::ALL.iter().find(is).copied()
    }

    /// True for what is for the router itself, ARP and neighbour discovery included.
    #[must_use]
    pub const fn is_for_us(self) -> bool {
        (self as u8) < Self::Glean as u8
    }

    /// True for types in which senders have shares too: anybody may send them, and they need the
    /// router's answer.
    #[must_use]
    pub const fn by_sender(self) -> bool {
        matches!(
            self,
            Self::IcmpLocal
                | Self::IcmpControl
                | Self::ArpKnown
                | Self::ArpForUs
                | Self::NdKnown
                | Self::Glean
                | Self::TtlExceeded
                | Self::MtuExceeded
                | Self::Ipv4Options
                | Self::Ipv6Options
                | Self::Unreachable
        )
    }
}

/// Names in lists, in the order of the types.
const LABELS: [&str; FlowType::COUNT] = [
    "Fragment",
    "OSPF-mc-known",
    "OSPF-mc-default",
    "OSPF-uc-known",
    "OSPF-uc-default",
    "ISIS-known",
    "ISIS-default",
    "BGP-known",
    "BGP-cfg-peer",
    "BGP-default",
    "PIM-mcast-known",
    "PIM-mcast-default",
    "PIM-ucast",
    "IGMP",
    "ICMP-local",
    "ICMP-control",
    "ICMP-default",
    "ICMP-app-default",
    "LDP-TCP-known",
    "LDP-TCP-cfg-peer",
    "LDP-TCP-default",
    "LDP-UDP",
    "All-routers",
    "RSVP-known",
    "RSVP-default",
    "SNMP",
    "SSH-known",
    "SSH-default",
    "HTTP-known",
    "HTTP-default",
    "SHTTP-known",
    "SHTTP-default",
    "TELNET-known",
    "TELNET-default",
    "UDP-known",
    "UDP-listen",
    "UDP-default",
    "TCP-known",
    "TCP-listen",
    "TCP-default",
    "Raw-default",
    "ip-sla",
    "EIGRP",
    "PCEP",
    "GRE",
    "VRRP",
    "HSRP",
    "MPLS-oam",
    "DNS",
    "RADIUS",
    "TACACS",
    "NTP-known",
    "NTP-default",
    "DHCPv4",
    "DHCPv6",
    "TPA",
    "PM-TWAMP",
    "ARP-known",
    "ARP-for-us",
    "ARP-other",
    "ND-known",
    "Glean",
    "TTL-exceeded",
    "MTU-exceeded",
    "IPv4-options",
    "IPv6-options",
    "Unreachable",
    "Feature",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_type_has_a_label_of_its_own_that_names_it() {
        for flow in FlowType::ALL {
            let plain = |text: &str| text.replace('-', "").to_lowercase();
            assert_eq!(plain(flow.name()), plain(flow.label()));
            assert_eq!(FlowType::named(&flow.label().to_uppercase()), Some(*flow));
        }
        let labels: BTreeSet<&str> = FlowType::ALL.iter().map(|flow| flow.label()).collect();
        assert_eq!(labels.len(), FlowType::COUNT);
        assert_eq!(FlowType::named("no-such"), None);
    }
}
