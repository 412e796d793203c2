//! The frame of a packet that was only described.

use std::net::IpAddr;

use client::config::Interface;

use super::probe::{FragmentKind, Probe};

/// Bytes behind the headers, unless a length is asked for.
const PAYLOAD: u16 = 16;
/// Where a fragment behind the first begins, in units of 8 bytes.
const OFFSET: u16 = 185;

impl Probe {
    /// Bytes of its network and transport headers.
    pub(super) fn least_len(&self) -> u16 {
        let network = if self.src.is_ipv4() { 20 } else { 40 };
        let fragment = if self.src.is_ipv6() && self.fragment.is_some() { 8 } else { 0 };
        network + fragment + self.transport_len()
    }

    fn transport_len(&self) -> u16 {
        match self.protocol {
            _ if self.fragment == Some(FragmentKind::Later) => 0,
            6 => 20,
            17 | 1 | 58 => 8,
            132 => 12,
            _ => 0,
        }
    }

    /// The frame as `interface` receives it, at the station with the address `mac`.
    pub(super) fn frame(&self, interface: &Interface<'_>, mac: [u8; 6]) -> Vec<u8> {
        let mut frame = self.destination_mac(mac).to_vec();
        // Locally administered: nobody's in particular.
        frame.extend([0x02, 0, 0, 0, 0, 0x01]);
        if let Some(vlan) = interface.vlan() {
            let tags = [Some((vlan.tpid.ethertype(), vlan.id)), vlan.inner.map(|id| (0x8100, id))];
            for (ethertype, id) in tags.into_iter().flatten() {
                frame.extend(ethertype.to_be_bytes());
                frame.extend(id.to_be_bytes());
            }
        }
        frame.extend(if self.src.is_ipv4() { [0x08, 0x00] } else { [0x86, 0xdd] });
        frame.extend(self.packet());
        frame
    }

    /// The interface's own address, or the group's (RFC 1112 6.4, RFC 2464 7).
    fn destination_mac(&self, own: [u8; 6]) -> [u8; 6] {
        match self.dst {
            IpAddr::V4(dst) if dst.is_broadcast() => [0xff; 6],
            IpAddr::V4(dst) if dst.is_multicast() => {
                let [_, b, c, d] = dst.octets();
                [0x01, 0, 0x5e, b & 0x7f, c, d]
            }
            IpAddr::V6(dst) if dst.is_multicast() => {
                let [.., a, b, c, d] = dst.octets();
                [0x33, 0x33, a, b, c, d]
            }
            _ => own,
        }
    }

    fn packet(&self) -> Vec<u8> {
        let len = self.len.unwrap_or(self.least_len() + PAYLOAD);
        let mut packet = match (self.src, self.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let fragment = match self.fragment {
                    None => 0,
                    Some(FragmentKind::First) => 0x2000,
                    Some(FragmentKind::Later) => OFFSET,
                };
                let mut header = vec![0x45, self.dscp << 2];
                header.extend(len.to_be_bytes());
                header.extend([0, 0]);
                header.extend(u16::to_be_bytes(fragment));
                header.extend([self.ttl, self.protocol, 0, 0]);
                header.extend(src.octets().into_iter().chain(dst.octets()));
                let checksum = checksum(&header);
                header[10..12].copy_from_slice(&checksum.to_be_bytes());
                header
            }
            (src, dst) => {
                let class = self.dscp << 2;
                let mut header = vec![0x60 | class >> 4, class << 4, 0, 0];
                header.extend((len - 40).to_be_bytes());
                let next = if self.fragment.is_some() { 44 } else { self.protocol };
                header.extend([next, self.ttl]);
                header.extend(octets(src).into_iter().chain(octets(dst)));
                if let Some(fragment) = self.fragment {
                    let word = match fragment {
                        FragmentKind::First => 1,
                        FragmentKind::Later => OFFSET << 3,
                    };
                    header.extend([self.protocol, 0]);
                    header.extend(u16::to_be_bytes(word));
                    header.extend([0, 0, 0, 1]);
                }
                header
            }
        };
        packet.extend(self.transport(len - self.least_len() + self.transport_len()));
        packet.resize(usize::from(len), 0);
        packet
    }

    /// The transport header, without a checksum: routers do not look at it.
    fn transport(&self, len: u16) -> Vec<u8> {
        let mut header = Vec::new();
        match self.protocol {
            _ if self.fragment == Some(FragmentKind::Later) => {}
            6 | 17 | 132 => {
                header.extend(self.ports.0.to_be_bytes());
                header.extend(self.ports.1.to_be_bytes());
                if self.protocol == 6 {
                    header.extend([0; 8]);
                    header.extend([0x50, self.flags]);
                } else if self.protocol == 17 {
                    header.extend(len.to_be_bytes());
                }
            }
            1 | 58 => header.extend([self.icmp.0, self.icmp.1]),
            _ => {}
        }
        header.resize(usize::from(self.transport_len()), 0);
        header
    }
}

fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// RFC 1071.
fn checksum(header: &[u8]) -> u16 {
    let words =
        header.chunks_exact(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use client::config::{Config, Interfaces};

    use super::*;

    fn frame(text: &str) -> Vec<u8> {
        let config = "[[port]]\nname = \"a\"\n[[port.vlan]]\nid = 5\ninner = 7\n";
        let config = Config::parse(config, "t.toml").unwrap();
        let interfaces = Interfaces::new(&config);
        let probe: Probe = text.parse().unwrap();
        let interface = interfaces.get(interfaces.named(&probe.input).unwrap());
        probe.frame(interface, [2, 0, 0, 0, 0, 9])
    }

    #[test]
    fn headers_say_what_was_asked_for() {
        let frame = frame("in=a src=192.0.2.1 dst=198.51.100.1 proto=tcp dport=22 len=64 dscp=8");
        assert_eq!((frame.len(), &frame[..6]), (14 + 64, &[2, 0, 0, 0, 0, 9][..]));
        assert_eq!(frame[14..24], [0x45, 32, 0, 64, 0, 0, 0, 0, 64, 6]);
        assert_eq!(checksum(&frame[14..34]), 0);
        assert_eq!((&frame[36..38], frame[34 + 13]), (&[0, 22][..], 2));
    }

    #[test]
    fn fragments_and_tags_are_there() {
        let later = frame("in=a.5.7 src=192.0.2.1 dst=198.51.100.1 proto=tcp frag=later");
        assert_eq!(later[12..22], [0x88, 0xa8, 0, 5, 0x81, 0, 0, 7, 8, 0]);
        assert_eq!((later[22 + 6..22 + 8].to_vec(), later.len()), (vec![0, 185], 22 + 36));
        let first = frame("in=a src=2001:db8::1 dst=ff02::5 icmp=128 frag=first");
        assert_eq!((&first[..6], first[14 + 6]), (&[0x33, 0x33, 0, 0, 0, 5][..], 44));
        assert_eq!(first[54..62], [58, 0, 0, 1, 0, 0, 0, 1]);
        assert_eq!((first[62], first.len()), (128, 14 + 40 + 8 + 8 + 16));
        assert_eq!(first[18..20], [0, 32]);
    }
}
