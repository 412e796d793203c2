//! ICMP and ICMPv6 (RFC 792, RFC 4443).

use super::Malformed;

/// ICMP types and codes of IPv4.
pub mod icmpv4 {
    /// Echo reply.
    pub const ECHO_REPLY: u8 = 0;
    /// Destination unreachable.
    pub const UNREACHABLE: u8 = 3;
    /// Code of destination unreachable: larger than the next link, and not to be fragmented.
    pub const FRAGMENTATION_NEEDED: u8 = 4;
    /// Echo request.
    pub const ECHO_REQUEST: u8 = 8;
    /// Time exceeded.
    pub const TIME_EXCEEDED: u8 = 11;
    /// Parameter problem.
    pub const PARAMETER_PROBLEM: u8 = 12;

    /// True for messages that ask or answer. Everything else reports an error, or is unknown, and
    /// no error is reported about it (RFC 1812 4.3.2.7).
    #[must_use]
    pub const fn is_query(kind: u8) -> bool {
        matches!(kind, 0 | 8 | 9 | 10 | 13..=18 | 42 | 43)
    }
}

/// ICMPv6 types.
pub mod icmpv6 {
    /// Destination unreachable.
    pub const UNREACHABLE: u8 = 1;
    /// Packet too big.
    pub const TOO_BIG: u8 = 2;
    /// Time exceeded.
    pub const TIME_EXCEEDED: u8 = 3;
    /// Parameter problem.
    pub const PARAMETER_PROBLEM: u8 = 4;
    /// Echo request.
    pub const ECHO_REQUEST: u8 = 128;
    /// Echo reply.
    pub const ECHO_REPLY: u8 = 129;
    /// Router solicitation.
    pub const ROUTER_SOLICITATION: u8 = 133;
    /// Router advertisement.
    pub const ROUTER_ADVERTISEMENT: u8 = 134;
    /// Neighbour solicitation.
    pub const NEIGHBOUR_SOLICITATION: u8 = 135;
    /// Neighbour advertisement.
    pub const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
    /// Redirect.
    pub const REDIRECT: u8 = 137;

    /// True for messages about which no error is reported: errors and redirects (RFC 4443 2.4 e).
    #[must_use]
    pub const fn is_error(kind: u8) -> bool {
        kind < 128 || kind == REDIRECT
    }
}

/// An ICMP message of either version.
#[derive(Clone, Copy, Debug)]
pub struct Icmp<'a> {
    header: &'a [u8; 8],
    message: &'a [u8],
}

impl<'a> Icmp<'a> {
    /// Takes 8 bytes of header and what follows.
    pub fn parse(message: &'a [u8]) -> Result<Self, Malformed> {
        let header = message.first_chunk().ok_or(Malformed::Truncated)?;
        Ok(Self { header, message })
    }

    /// Type.
    #[must_use]
    pub fn kind(&self) -> u8 {
        self.header[0]
    }

    /// Code.
    #[must_use]
    pub fn code(&self) -> u8 {
        self.header[1]
    }

    /// The second word: identifier and sequence, MTU, pointer or flags.
    #[must_use]
    pub fn rest(&self) -> u32 {
        let [.., a, b, c, d] = *self.header;
        u32::from_be_bytes([a, b, c, d])
    }

    /// What follows the 8 bytes of header.
    #[must_use]
    pub fn body(&self) -> &'a [u8] {
        &self.message[8..]
    }

    /// The whole message.
    #[must_use]
    pub fn message(&self) -> &'a [u8] {
        self.message
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_has_eight_bytes() {
        let bytes = [8, 0, 0xf7, 0xff, 0, 1, 0, 2, 0xaa];
        assert_eq!(Icmp::parse(&bytes[..7]).unwrap_err(), Malformed::Truncated);
        let icmp = Icmp::parse(&bytes).unwrap();
        assert_eq!((icmp.kind(), icmp.code(), icmp.rest()), (8, 0, 0x0001_0002));
        assert_eq!(icmp.body(), [0xaa]);
    }

    #[test]
    fn errors_and_unknown_types_are_no_queries() {
        let queries: Vec<u8> = (0..=255).filter(|kind| icmpv4::is_query(*kind)).collect();
        assert_eq!(queries, [0, 8, 9, 10, 13, 14, 15, 16, 17, 18, 42, 43]);
        assert!(icmpv6::is_error(1) && icmpv6::is_error(137) && !icmpv6::is_error(128));
    }
}
