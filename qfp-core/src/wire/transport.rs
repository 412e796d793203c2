//! Ports of UDP and TCP (RFC 768, RFC 9293).

use super::Malformed;

/// A UDP datagram, cut to its length field.
#[derive(Clone, Copy, Debug)]
pub struct Udp<'a> {
    header: &'a [u8; 8],
    datagram: &'a [u8],
}

impl<'a> Udp<'a> {
    /// Checks the length field. It is 8 or more and no larger than what is there.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let header: &[u8; 8] = bytes.first_chunk().ok_or(Malformed::Truncated)?;
        let len = u16::from_be_bytes([header[4], header[5]]);
        if len < 8 {
            return Err(Malformed::Length(len));
        }
        let datagram = bytes.get(..usize::from(len)).ok_or(Malformed::Truncated)?;
        Ok(Self { header, datagram })
    }

    /// Source port.
    #[must_use]
    pub fn src_port(&self) -> u16 {
        u16::from_be_bytes([self.header[0], self.header[1]])
    }

    /// Destination port.
    #[must_use]
    pub fn dst_port(&self) -> u16 {
        u16::from_be_bytes([self.header[2], self.header[3]])
    }

    /// Checksum field; 0 over IPv4 means that there is none.
    #[must_use]
    pub fn checksum(&self) -> u16 {
        u16::from_be_bytes([self.header[6], self.header[7]])
    }

    /// Header and payload.
    #[must_use]
    pub fn datagram(&self) -> &'a [u8] {
        self.datagram
    }
}

/// The fixed part of a TCP header.
#[derive(Clone, Copy, Debug)]
pub struct Tcp<'a>(&'a [u8; 20]);

impl<'a> Tcp<'a> {
    /// Takes the 20 bytes that every segment starts with.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        bytes.first_chunk().map(Self).ok_or(Malformed::Truncated)
    }

    /// Source port.
    #[must_use]
    pub fn src_port(&self) -> u16 {
        u16::from_be_bytes([self.0[0], self.0[1]])
    }

    /// Destination port.
    #[must_use]
    pub fn dst_port(&self) -> u16 {
        u16::from_be_bytes([self.0[2], self.0[3]])
    }

    /// Flags: FIN is bit 0, SYN bit 1, RST bit 2, PSH bit 3, ACK bit 4.
    #[must_use]
    pub fn flags(&self) -> u8 {
        self.0[13]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_stand_in_the_first_four_bytes() {
        let mut bytes = [0; 20];
        bytes[..8].copy_from_slice(&[0x1f, 0x90, 0, 53, 0, 9, 0, 0]);
        let udp = Udp::parse(&bytes).unwrap();
        assert_eq!((udp.src_port(), udp.dst_port(), udp.datagram().len()), (8080, 53, 9));
        let tcp = Tcp::parse(&bytes).unwrap();
        assert_eq!((tcp.src_port(), tcp.dst_port()), (8080, 53));
        assert!(Tcp::parse(&bytes[..19]).is_err());
    }

    #[test]
    fn a_datagram_is_as_long_as_it_says() {
        assert_eq!(Udp::parse(&[0, 1, 0, 2, 0, 7, 0, 0]).unwrap_err(), Malformed::Length(7));
        assert_eq!(Udp::parse(&[0, 1, 0, 2, 0, 9, 0, 0]).unwrap_err(), Malformed::Truncated);
    }
}
