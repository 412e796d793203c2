//! Header formats, as views over bytes: checked once when made, infallible afterwards.
//!
//! A view borrows the bytes from its header on. Numbers come out in host order. Nothing here
//! writes; whoever builds headers does so where they are sent.

mod arp;
pub mod checksum;
mod ethernet;
mod extension;
mod family;
mod headers;
mod icmp;
mod ipv4;
mod ipv6;
mod option;
mod transport;

pub use arp::{Arp, ArpOperation};
pub use ethernet::{Ethernet, is_group, is_vlan};
pub use extension::{
    Chain, ChainEnd, FragmentHeader, HeaderPlace, RoutingHeader, TCP_HEADER, holds_upper_header,
    is_extension, may_hide,
};
pub use family::Family;
pub use headers::{Extension, Extensions};
pub use icmp::{Icmp, icmpv4, icmpv6};
pub use ipv4::Ipv4;
pub use ipv6::Ipv6;
pub use option::{BadOption, Ipv4Option, Ipv4Options, Ipv6Option, Ipv6Options};
pub use transport::{Tcp, Udp};

/// EtherTypes.
pub mod ethertype {
    /// IPv4.
    pub const IPV4: u16 = 0x0800;
    /// ARP.
    pub const ARP: u16 = 0x0806;
    /// IPv6.
    pub const IPV6: u16 = 0x86dd;
    /// IEEE 802.1Q tag.
    pub const DOT1Q: u16 = 0x8100;
    /// IEEE 802.1ad service tag.
    pub const DOT1AD: u16 = 0x88a8;
    /// The service tag of equipment older than 802.1ad.
    pub const QINQ_9100: u16 = 0x9100;
}

/// Protocol numbers, as in the IPv4 protocol and IPv6 next header fields.
pub mod protocol {
    /// IPv6 hop-by-hop options.
    pub const HOP_BY_HOP: u8 = 0;
    /// ICMP.
    pub const ICMP: u8 = 1;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// IPv6 routing header.
    pub const ROUTING: u8 = 43;
    /// IPv6 fragment header.
    pub const FRAGMENT: u8 = 44;
    /// IP authentication header.
    pub const AUTHENTICATION: u8 = 51;
    /// ICMPv6.
    pub const ICMPV6: u8 = 58;
    /// Nothing follows.
    pub const NO_NEXT_HEADER: u8 = 59;
    /// IPv6 destination options.
    pub const DESTINATION_OPTIONS: u8 = 60;
    /// IPv6 mobility header.
    pub const MOBILITY: u8 = 135;
    /// Host identity protocol.
    pub const HIP: u8 = 139;
    /// Shim6.
    pub const SHIM6: u8 = 140;
}

/// Why bytes are not the header they are said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Fewer bytes than the header announces.
    #[error("fewer bytes than the header announces")]
    Truncated,
    /// The version field names another protocol.
    #[error("wrong IP version {0}")]
    Version(u8),
    /// A length field contradicts the format.
    #[error("impossible length {0}")]
    Length(u16),
    /// A field that must have one value has another.
    #[error("unsupported value {0:#x}")]
    Unsupported(u16),
}
