//! ARP for IPv4 over Ethernet (RFC 826).

use std::net::Ipv4Addr;

use super::{Malformed, ethertype};

/// Bytes of the message.
const LEN: usize = 28;

/// What an ARP message wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArpOperation {
    /// Who has the target address?
    Request,
    /// The sender has the sender address.
    Reply,
    /// Anything else.
    Unknown(u16),
}

/// An ARP message.
#[derive(Clone, Copy, Debug)]
pub struct Arp<'a>(&'a [u8; LEN]);

impl<'a> Arp<'a> {
    /// Checks hardware type, protocol type and both address lengths.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let this = bytes.first_chunk().map(Self).ok_or(Malformed::Truncated)?;
        let [hardware, protocol, lengths] = [this.word(0), this.word(2), this.word(4)];
        match (hardware, protocol, lengths) {
            (1, ethertype::IPV4, 0x0604) => Ok(this),
            (1, ethertype::IPV4, _) => Err(Malformed::Length(lengths)),
            (1, ..) => Err(Malformed::Unsupported(protocol)),
            _ => Err(Malformed::Unsupported(hardware)),
        }
    }

    fn word(&self, at: usize) -> u16 {
        u16::from_be_bytes([self.0[at], self.0[at + 1]])
    }

    fn mac(&self, at: usize) -> [u8; 6] {
        std::array::from_fn(|byte| self.0[at + byte])
    }

    fn ip(&self, at: usize) -> Ipv4Addr {
        Ipv4Addr::from_octets(std::array::from_fn(|byte| self.0[at + byte]))
    }

    /// What the message wants.
    #[must_use]
    pub fn operation(&self) -> ArpOperation {
        match self.word(6) {
            1 => ArpOperation::Request,
            2 => ArpOperation::Reply,
            other => ArpOperation::Unknown(other),
        }
    }

    /// MAC address of the sender.
    #[must_use]
    pub fn sender_mac(&self) -> [u8; 6] {
        self.mac(8)
    }

    /// IPv4 address of the sender; 0.0.0.0 in a probe (RFC 5227 1.1).
    #[must_use]
    pub fn sender_ip(&self) -> Ipv4Addr {
        self.ip(14)
    }

    /// IPv4 address that is asked for, or that the reply goes to.
    #[must_use]
    pub fn target_ip(&self) -> Ipv4Addr {
        self.ip(24)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ipv4_over_ethernet_is_taken() {
        let mut bytes = [0; LEN];
        bytes[..8].copy_from_slice(&[0, 1, 8, 0, 6, 4, 0, 1]);
        bytes[14..18].copy_from_slice(&[192, 0, 2, 1]);
        let arp = Arp::parse(&bytes).unwrap();
        assert_eq!(arp.operation(), ArpOperation::Request);
        assert_eq!(arp.sender_ip(), Ipv4Addr::new(192, 0, 2, 1));
        assert_eq!(Arp::parse(&bytes[..27]).unwrap_err(), Malformed::Truncated);
        bytes[4] = 8;
        assert_eq!(Arp::parse(&bytes).unwrap_err(), Malformed::Length(0x0804));
        bytes[1] = 6;
        assert_eq!(Arp::parse(&bytes).unwrap_err(), Malformed::Unsupported(6));
    }
}
