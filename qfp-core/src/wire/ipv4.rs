//! IPv4 with its options (RFC 791).

use std::net::Ipv4Addr;

use super::{Ipv4Options, Malformed, checksum};

/// Bytes of the header without options.
const HEADER: usize = 20;

/// An IPv4 packet, cut to its total length.
#[derive(Clone, Copy, Debug)]
pub struct Ipv4<'a> {
    header: &'a [u8; HEADER],
    packet: &'a [u8],
    header_len: usize,
}

impl<'a> Ipv4<'a> {
    /// Checks version, header length and total length (RFC 1812 5.2.2), not the checksum.
    ///
    /// Bytes behind the total length are padding and left out.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let header: &[u8; HEADER] = bytes.first_chunk().ok_or(Malformed::Truncated)?;
        if header[0] >> 4 != 4 {
            return Err(Malformed::Version(header[0] >> 4));
        }
        let header_len = usize::from(header[0] & 15) * 4;
        let total = u16::from_be_bytes([header[2], header[3]]);
        if header_len < HEADER || usize::from(total) < header_len {
            return Err(Malformed::Length(total));
        }
        let packet = bytes.get(..usize::from(total)).ok_or(Malformed::Truncated)?;
        Ok(Self { header, packet, header_len })
    }

    /// True when the header's checksum is right.
    #[must_use]
    pub fn checksum_ok(&self) -> bool {
        checksum::internet(self.header()) == 0
    }

    /// Header with options.
    #[must_use]
    pub fn header(&self) -> &'a [u8] {
        &self.packet[..self.header_len]
    }

    /// What the options occupy, padding included.
    #[must_use]
    pub fn option_bytes(&self) -> &'a [u8] {
        &self.packet[HEADER..self.header_len]
    }

    /// The options one by one, until the end of the list.
    #[must_use]
    pub fn options(&self) -> Ipv4Options<'a> {
        Ipv4Options::new(self.option_bytes(), HEADER)
    }

    /// What follows the header.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        &self.packet[self.header_len..]
    }

    /// The whole packet.
    #[must_use]
    pub fn packet(&self) -> &'a [u8] {
        self.packet
    }

    /// Type of service.
    #[must_use]
    pub fn tos(&self) -> u8 {
        self.header[1]
    }

    /// Identification.
    #[must_use]
    pub fn id(&self) -> u16 {
        u16::from_be_bytes([self.header[4], self.header[5]])
    }

    fn fragment_word(&self) -> u16 {
        u16::from_be_bytes([self.header[6], self.header[7]])
    }

    /// True when the packet may not be fragmented.
    #[must_use]
    pub fn dont_fragment(&self) -> bool {
        self.fragment_word() & 0x4000 != 0
    }

    /// True when more fragments follow.
    #[must_use]
    pub fn more_fragments(&self) -> bool {
        self.fragment_word() & 0x2000 != 0
    }

    /// Position of the payload in the original datagram, in units of 8 bytes.
    #[must_use]
    pub fn fragment_offset(&self) -> u16 {
        self.fragment_word() & 0x1fff
    }

    /// True for every fragment, the first included.
    #[must_use]
    pub fn is_fragment(&self) -> bool {
        self.fragment_word() & 0x3fff != 0
    }

    /// Time to live.
    #[must_use]
    pub fn ttl(&self) -> u8 {
        self.header[8]
    }

    /// Protocol number.
    #[must_use]
    pub fn protocol(&self) -> u8 {
        self.header[9]
    }

    /// Source address.
    #[must_use]
    pub fn src(&self) -> Ipv4Addr {
        let [.., a, b, c, d, _, _, _, _] = *self.header;
        Ipv4Addr::new(a, b, c, d)
    }

    /// Destination address.
    #[must_use]
    pub fn dst(&self) -> Ipv4Addr {
        let [.., a, b, c, d] = *self.header;
        Ipv4Addr::new(a, b, c, d)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_options(options: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER];
        let header_len = HEADER + options.len();
        bytes[0] = 0x40 | u8::try_from(header_len / 4).unwrap();
        bytes[3] = u8::try_from(header_len).unwrap();
        bytes.extend_from_slice(options);
        bytes
    }

    #[test]
    fn lengths_that_contradict_each_other_are_refused() {
        let mut bytes = with_options(&[]);
        assert!(Ipv4::parse(&bytes).is_ok());
        assert_eq!(Ipv4::parse(&bytes[..19]).unwrap_err(), Malformed::Truncated);
        bytes[3] = 21;
        assert_eq!(Ipv4::parse(&bytes).unwrap_err(), Malformed::Truncated);
        bytes[3] = 19;
        assert_eq!(Ipv4::parse(&bytes).unwrap_err(), Malformed::Length(19));
        bytes[0] = 0x44;
        assert!(Ipv4::parse(&bytes).is_err());
        bytes[0] = 0x65;
        assert_eq!(Ipv4::parse(&bytes).unwrap_err(), Malformed::Version(6));
    }

    #[test]
    fn padding_is_no_part_of_the_packet() {
        let mut bytes = with_options(&[]);
        bytes[3] = 22;
        bytes.extend_from_slice(&[1, 2, 3, 4]);
        assert_eq!(Ipv4::parse(&bytes).unwrap().payload(), [1, 2]);
    }
}
