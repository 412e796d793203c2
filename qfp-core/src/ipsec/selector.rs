//! Which packets an SA is for, checked after decryption (RFC 4301 §5.2).

use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::IpNet;

use crate::wire::{Ipv4, Ipv6, protocol};

pal::plain_struct! {
    /// Addresses, protocol and ports of the packets that an SA may carry.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Selector {
        src: [u8; 16],
        dst: [u8; 16],
        src_len: u8,
        dst_len: u8,
        /// 4, 6, or 0 for both, whatever the addresses.
        family: u8,
        /// 0 for any.
        protocol: u8,
        /// Lowest and highest; all of them where 0 to 65535.
        src_ports: [u16; 2],
        dst_ports: [u16; 2],
    }
}

impl Default for Selector {
    fn default() -> Self {
        Self::any()
    }
}

impl Selector {
    /// Everything, of both families.
    #[must_use]
    pub const fn any() -> Self {
        Self {
            src: [0; 16],
            dst: [0; 16],
            src_len: 0,
            dst_len: 0,
            family: 0,
            protocol: 0,
            src_ports: [0, u16::MAX],
            dst_ports: [0, u16::MAX],
        }
    }

    /// Everything between two networks; none if they are of different families.
    #[must_use]
    pub fn between(src: IpNet, dst: IpNet) -> Option<Self> {
        let bytes = |net: IpNet| match net {
            IpNet::V4(net) => super::header::padded(net.addr().octets()),
            IpNet::V6(net) => net.addr().octets(),
        };
        let family = match (src, dst) {
            (IpNet::V4(_), IpNet::V4(_)) => 4,
            (IpNet::V6(_), IpNet::V6(_)) => 6,
            _ => return None,
        };
        let all = [0, u16::MAX];
        Some(Self {
            src: bytes(src),
            dst: bytes(dst),
            src_len: src.prefix_len(),
            dst_len: dst.prefix_len(),
            family,
            protocol: 0,
            src_ports: all,
            dst_ports: all,
        })
    }

    /// The same, of one protocol, and between these ports if it has ports.
    #[must_use]
    pub const fn protocol(
        mut self,
        protocol: u8,
        src: &RangeInclusive<u16>,
        dst: &RangeInclusive<u16>,
    ) -> Self {
        self.protocol = protocol;
        self.src_ports = [*src.start(), *src.end()];
        self.dst_ports = [*dst.start(), *dst.end()];
        self
    }

    /// Networks and ports of source and destination; of both families, that of IPv4 stands for all.
    #[must_use]
    pub fn ends(&self) -> [(IpNet, RangeInclusive<u16>); 2] {
        let network = |bytes: [u8; 16], len| {
            let [a, b, c, d, ..] = bytes;
            let address = match self.family {
                6 => IpAddr::from(bytes),
                _ => IpAddr::from([a, b, c, d]),
            };
            // Lengths are those of networks.
            IpNet::new(address, len).unwrap_or_else(|_| address.into())
        };
        let ports = |[low, high]: [u16; 2]| low..=high;
        [
            (network(self.src, self.src_len), ports(self.src_ports)),
            (network(self.dst, self.dst_len), ports(self.dst_ports)),
        ]
    }

    /// The protocol; 0 for any.
    #[must_use]
    pub const fn upper(&self) -> u8 {
        self.protocol
    }

    /// Whether `packet`, from its network header on, is one of them. A packet whose ports cannot be
    /// read is not, unless ports do not matter.
    #[must_use]
    pub fn takes(&self, packet: &[u8]) -> bool {
        let Some(flow) = Flow::of(packet) else { return false };
        let any_port = [self.src_ports, self.dst_ports].iter().all(|r| *r == [0, u16::MAX]);
        let inside = |[low, high]: [u16; 2], port| (low..=high).contains(&port);
        (self.family == 0 || flow.family == self.family)
            && starts_with(&flow.src, &self.src, self.src_len)
            && starts_with(&flow.dst, &self.dst, self.dst_len)
            && (self.protocol == 0 || self.protocol == flow.protocol)
            && (any_port
                || flow.ports.is_some_and(|[src, dst]| {
                    inside(self.src_ports, src) && inside(self.dst_ports, dst)
                }))
    }
}

/// What a selector looks at.
struct Flow {
    family: u8,
    src: [u8; 16],
    dst: [u8; 16],
    protocol: u8,
    ports: Option<[u16; 2]>,
}

impl Flow {
    fn of(packet: &[u8]) -> Option<Self> {
        let (family, src, dst, protocol, first, upper) = match packet.first()? >> 4 {
            4 => {
                let ip = Ipv4::parse(packet).ok()?;
                let [src, dst] = [ip.src(), ip.dst()].map(|a| super::header::padded(a.octets()));
                (4, src, dst, ip.protocol(), ip.fragment_offset() == 0, ip.payload())
            }
            _ => {
                let ip = Ipv6::parse(packet).ok()?;
                let upper = ip.upper().ok()?;
                let rest = ip.packet().get(upper.offset..).unwrap_or_default();
                let (src, dst) = (ip.src().octets(), ip.dst().octets());
                (6, src, dst, upper.protocol, !upper.later_fragment, rest)
            }
        };
        let ported = matches!(protocol, protocol::TCP | protocol::UDP | 33 | 132 | 136);
        let ports = upper.first_chunk::<4>().filter(|_| ported && first).map(|bytes| {
            let [a, b, c, d] = *bytes;
            [u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])]
        });
        Some(Self { family, src, dst, protocol, ports })
    }
}

/// True when the first `len` bits are the same.
fn starts_with(address: &[u8; 16], prefix: &[u8; 16], len: u8) -> bool {
    let differ = u128::from_be_bytes(*address) ^ u128::from_be_bytes(*prefix);
    differ.leading_zeros() >= u32::from(len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::l3::scalar::tests::{ipv4, ipv6};

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_protocol_and_ports_all_matter() {
        let udp = [0x12, 0x34, 0, 53, 0, 8, 0, 0];
        let mut packet = ipv4([10, 1, 0, 9], [10, 2, 0, 9], 64, &[], &udp);
        let any = Selector::between(net("10.1.0.0/16"), net("10.2.0.0/24")).unwrap();
        assert!(any.takes(&packet));
        let other = Selector::between(net("10.2.0.0/16"), net("10.2.0.0/24")).unwrap();
        assert!(!other.takes(&packet));
        assert!(!Selector::between(net("::/0"), net("::/0")).unwrap().takes(&packet));
        let dns = any.protocol(17, &(0..=u16::MAX), &(53..=53));
        assert!(dns.takes(&packet));
        assert!(!any.protocol(6, &(0..=u16::MAX), &(53..=53)).takes(&packet));
        assert!(!any.protocol(17, &(0..=u16::MAX), &(54..=60)).takes(&packet));
        // A later fragment has no ports.
        packet[7] = 9;
        assert!(any.takes(&packet) && !dns.takes(&packet));
        assert!(Selector::any().takes(&packet));
        assert!(Selector::any().protocol(17, &(0..=u16::MAX), &(0..=u16::MAX)).takes(&packet));
        assert!(!Selector::any().protocol(6, &(0..=u16::MAX), &(0..=u16::MAX)).takes(&packet));
        assert!(!Selector::any().takes(&packet[..19]));
    }

    #[test]
    fn ipv6_is_looked_at_behind_its_extension_headers() {
        let payload = [17, 0, 1, 4, 0, 0, 0, 0, 0, 9, 0, 53, 0, 8, 0, 0];
        let packet = ipv6("2001:db8:1::9", "2001:db8:2::9", 0, 64, &payload);
        let any = Selector::between(net("2001:db8:1::/48"), net("2001:db8:2::9/128")).unwrap();
        assert!(any.protocol(17, &(9..=9), &(53..=53)).takes(&packet));
        assert!(!any.protocol(17, &(8..=8), &(53..=53)).takes(&packet));
        assert_eq!(Selector::between(net("10.0.0.0/8"), net("::/0")), None);
    }
}
