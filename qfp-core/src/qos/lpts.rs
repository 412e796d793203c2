//! Local packet transport services: what packets for this router are, and how many of them pass.
//!
//! A packet for the router belongs to one of the [`FlowType`]s. Protocols with sessions have up to
//! three: the flow of an established session is *known*; one from a peer that is configured is
//! trusted less; anybody may send the rest. Each type has a packet rate of its own, in each
//! worker group, so that strangers cannot take what sessions need.
//!
//! - [`Lpts`] classifies: filled by whoever knows the sessions, read by lcores, no allocation;
//! - [`LptsRates`] makes the policers' rows, from published defaults;
//! - [`LptsGroup`] meters: one for each worker group, as network processors have them.

mod classify;
mod limit;

#[cfg(test)]
mod tests;

pub use classify::{ForUs, Lpts, Service, Session, Trust};
pub use limit::{Admission, LptsGroup, LptsRates};

use super::lpts_rates::DEFAULTS;
use crate::named::named;

named! {
    /// A type of flow to the router itself. Names follow IOS XR; see [`FlowType::label`].
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
    }
}

impl FlowType {
    /// The name in published lists, such as `BGP-cfg-peer`.
    #[must_use]
    pub const fn label(self) -> &'static str {
        DEFAULTS[self as usize].1
    }
}
