//! The fields of a packet that rules look at.

use std::net::IpAddr;

use super::{Family, Prefix};

/// Fields of one packet, as [`Components::eval`](super::Components::eval) reads them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The source address.
    pub source: IpAddr,
    /// The destination address, of the same family.
    pub destination: IpAddr,
    /// The IP protocol; in IPv6 the first header that is no extension.
    pub protocol: u8,
    /// What is known of the header behind.
    pub transport: Transport,
    /// Octets from the IP header to the end; an IPv6 packet of more counts as 65535.
    pub length: u16,
    /// The differentiated services code point.
    pub dscp: u8,
    /// The flow label; 0 in IPv4.
    pub flow_label: u32,
    /// IPv4 only: must not be fragmented.
    pub dont_fragment: bool,
    /// More fragments follow.
    pub more_fragments: bool,
    /// Where the fragment starts, in units of 8 octets.
    pub fragment_offset: u16,
}

/// The header behind the IP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Of another protocol, or out of reach.
    None,
    /// TCP.
    Tcp {
        /// Source port.
        source: u16,
        /// Destination port.
        destination: u16,
        /// Octets 13 and 14; the data offset, the upper 4 bits, counts as 0.
        flags: u16,
    },
    /// UDP.
    Udp {
        /// Source port.
        source: u16,
        /// Destination port.
        destination: u16,
    },
    /// ICMP or ICMPv6.
    Icmp {
        /// Type of the message.
        kind: u8,
        /// Its code.
        code: u8,
    },
}

impl Header {
    /// Bit of [`fragment_bits`](Self::fragment_bits): must not be fragmented.
    pub const DF: u8 = 1;
    /// Bit: a fragment, and not the first.
    pub const IS_F: u8 = 2;
    /// Bit: the first fragment of several.
    pub const FF: u8 = 4;
    /// Bit: the last fragment of several.
    pub const LF: u8 = 8;

    /// The family of both addresses, if they are of one.
    #[must_use]
    pub fn family(&self) -> Option<Family> {
        match (self.source, self.destination) {
            (IpAddr::V4(_), IpAddr::V4(_)) => Some(Family::V4),
            (IpAddr::V6(_), IpAddr::V6(_)) => Some(Family::V6),
            _ => None,
        }
    }

    /// What component 12 looks at: [`DF`](Self::DF), [`IS_F`](Self::IS_F), [`FF`](Self::FF),
    /// [`LF`](Self::LF) (RFC 8955 §4.2.2.12).
    #[must_use]
    pub fn fragment_bits(&self) -> u8 {
        let later = self.fragment_offset != 0;
        let bit = |bit, set| if set { bit } else { 0 };
        bit(Self::DF, self.dont_fragment)
            | bit(Self::IS_F, later)
            | bit(Self::FF, !later && self.more_fragments)
            | bit(Self::LF, later && !self.more_fragments)
    }

    /// Source and destination port of TCP or UDP.
    pub(super) fn ports(&self) -> Option<(u16, u16)> {
        let readable = matches!(self.protocol, 6 | 17) && self.fragment_offset == 0;
        match self.transport {
            Transport::Tcp { source, destination, .. } | Transport::Udp { source, destination }
                if readable =>
            {
                Some((source, destination))
            }
            _ => None,
        }
    }

    /// Type and code of ICMP in IPv4, of ICMPv6 in IPv6.
    pub(super) fn icmp(&self) -> Option<(u8, u8)> {
        match (self.protocol, self.family(), self.transport) {
            _ if self.fragment_offset != 0 => None,
            (1, Some(Family::V4), Transport::Icmp { kind, code })
            | (58, Some(Family::V6), Transport::Icmp { kind, code }) => Some((kind, code)),
            _ => None,
        }
    }

    /// Octets 13 and 14 of TCP without the data offset.
    pub(super) fn tcp_flags(&self) -> Option<u16> {
        match (self.protocol, self.transport) {
            _ if self.fragment_offset != 0 => None,
            (6, Transport::Tcp { flags, .. }) => Some(flags & 0x0fff),
            _ => None,
        }
    }

    /// Whether `address` has the bits of `prefix`.
    pub(super) fn address_in(&self, address: IpAddr, prefix: &Prefix) -> bool {
        match (address, prefix) {
            (IpAddr::V4(address), Prefix::V4(net)) => net.contains(&address),
            (IpAddr::V6(address), Prefix::V6(pattern)) => {
                let (address, wanted) = (address.to_bits(), pattern.address().to_bits());
                (pattern.offset()..pattern.length()).all(|bit| {
                    let bit = 127 - u32::from(bit);
                    address >> bit & 1 == wanted >> bit & 1
                })
            }
            _ => false,
        }
    }
}
