//! What only some packets need: cold metadata, and what travels with a packet to the slow path.

use std::net::IpAddr;

use hal::Packet;

use crate::packet::PuntCause;
use crate::uidb::{TableId, UidbIndex};

/// What the network layer of a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum L3 {
    /// Not looked at yet, or neither IPv4 nor IPv6.
    #[default]
    Other,
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

/// Metadata that the common path never touches: one struct a packet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cold {
    /// Offset of the transport header from the network header, bytes; 0 when unknown.
    pub l4_offset: u16,
    /// Transport protocol behind all extension headers.
    pub protocol: u8,
    /// True for a fragment other than the first: ports cannot be read.
    pub later_fragment: bool,
}

/// A packet on its way to the slow path, with what the fast path knows about it.
#[derive(Debug)]
pub struct PuntedPacket {
    /// The frame, from the Ethernet header on. For causes behind the egress rewrite
    /// ([`PuntCause::IpMtuExceeded`]) that header is the one of the egress link.
    pub packet: Packet,
    /// Why.
    pub cause: PuntCause,
    /// The interface it came in through.
    pub input: UidbIndex,
    /// The interface it would leave through; [`UidbIndex::NONE`] before the route is known.
    pub output: UidbIndex,
    /// The routing table it belongs to: that of its input interface, or the one it was injected
    /// with. What is sent because of it is routed there.
    pub table: TableId,
    /// Bytes in front of the network header.
    pub l3_offset: u8,
    /// What the network header is.
    pub l3: L3,
    /// The lcore that it came in on. What comes of it goes back there, behind what came before.
    pub lcore: u16,
    /// It came out of ESP: what is said about it must not leave in the clear.
    pub opened: bool,
    /// The interface whose SA must protect it: it is the router's own, about a packet that came out
    /// of ESP.
    pub within: Option<UidbIndex>,
    /// The neighbour to resolve, for [`PuntCause::Glean`] and [`PuntCause::IncompleteAdjacency`].
    pub next_hop: Option<IpAddr>,
}

/// Where something came from that the slow path has put together and gives back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The interface.
    pub input: UidbIndex,
    /// It came out of ESP.
    pub opened: bool,
}
