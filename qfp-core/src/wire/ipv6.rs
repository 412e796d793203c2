//! IPv6 (RFC 8200).

use std::net::Ipv6Addr;

use super::{Chain, ChainEnd, FragmentHeader, Malformed};

/// Bytes of the fixed header.
const HEADER: usize = 40;

/// An IPv6 packet, cut to its payload length.
#[derive(Clone, Copy, Debug)]
pub struct Ipv6<'a> {
    header: &'a [u8; HEADER],
    packet: &'a [u8],
}

impl<'a> Ipv6<'a> {
    /// Checks version and payload length. Bytes behind the payload are padding and left out.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let header: &[u8; HEADER] = bytes.first_chunk().ok_or(Malformed::Truncated)?;
        if header[0] >> 4 != 6 {
            return Err(Malformed::Version(header[0] >> 4));
        }
        let payload = usize::from(u16::from_be_bytes([header[4], header[5]]));
        let packet = bytes.get(..HEADER + payload).ok_or(Malformed::Truncated)?;
        Ok(Self { header, packet })
    }

    /// The whole packet.
    #[must_use]
    pub fn packet(&self) -> &'a [u8] {
        self.packet
    }

    /// What follows the fixed header.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        &self.packet[HEADER..]
    }

    /// Traffic class.
    #[must_use]
    pub fn traffic_class(&self) -> u8 {
        self.header[0] << 4 | self.header[1] >> 4
    }

    /// First next header field.
    #[must_use]
    pub fn next_header(&self) -> u8 {
        self.header[6]
    }

    /// Hop limit.
    #[must_use]
    pub fn hop_limit(&self) -> u8 {
        self.header[7]
    }

    /// Source address.
    #[must_use]
    pub fn src(&self) -> Ipv6Addr {
        Ipv6Addr::from_octets(std::array::from_fn(|byte| self.header[8 + byte]))
    }

    /// Destination address.
    #[must_use]
    pub fn dst(&self) -> Ipv6Addr {
        Ipv6Addr::from_octets(std::array::from_fn(|byte| self.header[24 + byte]))
    }

    /// The extension headers as far as they are there, and where the upper layer is.
    #[must_use]
    pub fn chain(&self) -> Chain {
        Chain::walk(self.next_header(), self.payload())
    }

    /// The first fragment header, if there is one in front of what is authenticated or enciphered.
    /// O(number of headers).
    pub fn fragment(&self) -> Result<Option<FragmentHeader>, Malformed> {
        let chain = self.chain();
        match chain.fragment {
            None if chain.end == ChainEnd::ExtensionCut => Err(Malformed::Truncated),
            found => Ok(found.filter(|fragment| !fragment.authenticated)),
        }
    }

    /// The chain, all of whose extension headers are there; the upper layer's header need not be.
    pub fn upper(&self) -> Result<Chain, Malformed> {
        let chain = self.chain();
        if chain.end == ChainEnd::ExtensionCut { Err(Malformed::Truncated) } else { Ok(chain) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(next: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER];
        bytes[0] = 0x60;
        bytes[5] = u8::try_from(payload.len()).unwrap();
        bytes[6] = next;
        bytes.extend_from_slice(payload);
        bytes
    }

    #[test]
    fn the_chain_leads_to_the_upper_layer() {
        let chain = [60, 0, 5, 2, 0, 0, 1, 0, 17, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7];
        let bytes = packet(0, &chain);
        let upper = Ipv6::parse(&bytes).unwrap().upper().unwrap();
        assert_eq!((upper.protocol, upper.offset, upper.named_at), (17, 64, 48));
        assert!(!upper.is_fragment && upper.source_route.is_none());
    }

    #[test]
    fn an_authentication_header_counts_in_words_of_four_bytes() {
        // RFC 4302 2.2: length 4 is six words.
        let header = [[17, 4, 0, 0, 0, 0, 0, 1], [0; 8], [0; 8]].concat();
        let bytes = packet(51, &[&header[..], &[0; 40]].concat());
        let upper = Ipv6::parse(&bytes).unwrap().upper().unwrap();
        assert_eq!((upper.protocol, upper.offset), (17, 40 + 24));
    }

    #[test]
    fn a_later_fragment_ends_the_chain() {
        let bytes = packet(44, &[0, 0, 0, 8, 1, 2, 3, 4, 0xff]);
        let upper = Ipv6::parse(&bytes).unwrap().upper().unwrap();
        assert!(upper.is_fragment && upper.later_fragment);
        assert_eq!((upper.protocol, upper.offset), (0, 48));
        let bytes = packet(44, &[17, 0, 0, 1, 1, 2, 3, 4, 0xff]);
        let upper = Ipv6::parse(&bytes).unwrap().upper().unwrap();
        assert!(upper.is_fragment && !upper.later_fragment);
    }

    #[test]
    fn a_fragment_header_is_found_behind_others_but_not_behind_authentication() {
        let fragment = [17, 0, 0x12, 0x29, 1, 2, 3, 4];
        let bytes = packet(60, &[[44, 0, 1, 4, 0, 0, 0, 0], fragment].concat());
        let found = Ipv6::parse(&bytes).unwrap().fragment().unwrap().unwrap();
        assert_eq!((found.at, found.named_at, found.next_header), (48, 40, 17));
        assert_eq!((found.offset, found.more, found.id), (0x245, true, 0x0102_0304));
        let bytes = packet(51, &[[44, 0, 0, 0, 0, 0, 0, 0], fragment].concat());
        assert_eq!(Ipv6::parse(&bytes).unwrap().fragment(), Ok(None));
        let bytes = packet(60, &[[44, 0, 1, 4, 0, 0, 0, 0], fragment].concat()[..15]);
        assert_eq!(Ipv6::parse(&bytes).unwrap().fragment(), Err(Malformed::Truncated));
    }

    #[test]
    fn a_header_longer_than_the_packet_is_truncated() {
        let bytes = packet(0, &[6, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(Ipv6::parse(&bytes).unwrap().upper(), Err(Malformed::Truncated));
        let bytes = packet(43, &[6, 0, 0]);
        assert_eq!(Ipv6::parse(&bytes).unwrap().upper(), Err(Malformed::Truncated));
        let bytes = packet(43, &[6, 0, 0, 1, 0, 0, 0, 0]);
        assert!(Ipv6::parse(&bytes).unwrap().upper().unwrap().source_route.is_some());
    }

    #[test]
    fn lengths_and_version_are_checked() {
        let mut bytes = packet(59, &[1, 2, 3]);
        assert_eq!(Ipv6::parse(&bytes).unwrap().payload(), [1, 2, 3]);
        assert_eq!(Ipv6::parse(&bytes[..42]).unwrap_err(), Malformed::Truncated);
        bytes[0] = 0x45;
        assert_eq!(Ipv6::parse(&bytes).unwrap_err(), Malformed::Version(4));
    }
}
