//! IPv4 with its options (RFC 791).

use std::net::Ipv4Addr;

use super::{Malformed, checksum};

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
        Ipv4Options(self.option_bytes())
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

/// One IPv4 option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4Option<'a> {
    /// Copied flag, class and number.
    pub kind: u8,
    /// The whole option: kind, and length and data unless it is a no-operation.
    pub bytes: &'a [u8],
}

impl Ipv4Option<'_> {
    /// No operation.
    pub const NOP: u8 = 1;
    /// Loose source and record route.
    pub const LOOSE_SOURCE_ROUTE: u8 = 131;
    /// Strict source and record route.
    pub const STRICT_SOURCE_ROUTE: u8 = 137;
    /// Router alert (RFC 2113).
    pub const ROUTER_ALERT: u8 = 148;

    /// True when every fragment carries the option, not only the first (RFC 791 3.1).
    #[must_use]
    pub const fn copied(&self) -> bool {
        self.kind & 0x80 != 0
    }

    /// True for both source routes.
    #[must_use]
    pub const fn is_source_route(&self) -> bool {
        matches!(self.kind, Self::LOOSE_SOURCE_ROUTE | Self::STRICT_SOURCE_ROUTE)
    }
}

/// Iterator over the options of a header; ends after the first malformed one.
#[derive(Clone, Debug)]
pub struct Ipv4Options<'a>(&'a [u8]);

impl<'a> Iterator for Ipv4Options<'a> {
    type Item = Result<Ipv4Option<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let (&kind, _) = self.0.split_first()?;
        let len = match kind {
            0 => return None,
            Ipv4Option::NOP => 1,
            _ => self.0.get(1).copied().unwrap_or(0),
        };
        let split = self.0.split_at_checked(usize::from(len));
        match split {
            Some((bytes, rest)) if len >= 2 || kind == Ipv4Option::NOP => {
                self.0 = rest;
                Some(Ok(Ipv4Option { kind, bytes }))
            }
            _ => {
                self.0 = &[];
                Some(Err(Malformed::Length(u16::from(len))))
            }
        }
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

    fn kinds(options: &[u8]) -> Vec<Result<u8, Malformed>> {
        let bytes = with_options(options);
        let ip = Ipv4::parse(&bytes).unwrap();
        ip.options().map(|option| option.map(|option| option.kind)).collect()
    }

    #[test]
    fn options_end_at_the_end_of_list_or_the_first_malformed_one() {
        assert_eq!(kinds(&[148, 4, 0, 0]), [Ok(148)]);
        assert_eq!(kinds(&[1, 7, 3, 4, 0, 148, 4, 0]), [Ok(1), Ok(7)]);
        assert_eq!(kinds(&[7, 0, 1, 1]), [Err(Malformed::Length(0))]);
        assert_eq!(kinds(&[7, 1, 1, 1]), [Err(Malformed::Length(1))]);
        assert_eq!(kinds(&[1, 1, 7, 9]), [Ok(1), Ok(1), Err(Malformed::Length(9))]);
        assert_eq!(kinds(&[1, 1, 1, 7]), [Ok(1), Ok(1), Ok(1), Err(Malformed::Length(0))]);
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
