//! Packets of every kind, with what they are: known from how they were made, not read back.

use std::net::IpAddr;

use qfp::core::packet::DropReason;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::scene::{POLICED, Scene, WAN, ip};

/// First and last bytes of what every packet carries, around its number.
const MARK: [u8; 3] = [0xa5, 0x5a, 0xc3];

/// What a packet is.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) number: u32,
    /// No IP packet, but a question of a neighbour.
    pub(super) arp: bool,
    pub(super) src: IpAddr,
    pub(super) dst: IpAddr,
    pub(super) protocol: u8,
    pub(super) ports: Option<(u16, u16)>,
    /// Type of an ICMP message.
    pub(super) icmp: Option<u8>,
    pub(super) later: bool,
    pub(super) ttl: u8,
    pub(super) dscp: u8,
    /// Its options ask for the router's attention.
    pub(super) attention: bool,
    /// It does not go on with them: a source route, one that cannot be made out, one that is unknown
    /// and says so (RFC 8200 4.2).
    pub(super) hopeless: bool,
    /// The frame is for a group.
    pub(super) group_frame: bool,
    /// Its headers are wrong, or its addresses.
    pub(super) wrong: Option<DropReason>,
    /// A fragment that hides what it carries (RFC 1858, RFC 3128, RFC 7112).
    pub(super) tiny: Option<DropReason>,
    pub(super) len: usize,
}

/// A packet on its way in, as it lies behind the link's header.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) link: usize,
    pub(super) bytes: Vec<u8>,
    pub(super) facts: Facts,
    /// The entry whose SA it comes by, in tunnel mode.
    pub(super) by: Option<usize>,
}

/// The number of the packet that these bytes are of, or quote.
pub(super) fn number_in(bytes: &[u8]) -> Option<u32> {
    let at = bytes.windows(8).position(|part| part[..3] == MARK && part[7] == b'!')?;
    Some(u32::from_be_bytes(bytes[at + 3..at + 7].try_into().unwrap()))
}

fn mark(number: u32) -> Vec<u8> {
    [&MARK[..], &number.to_be_bytes(), b"!"].concat()
}

/// The Internet checksum of some parts, the first of even length (RFC 1071).
pub(super) fn checksum(parts: &[&[u8]]) -> [u8; 2] {
    let bytes = parts.concat();
    let words =
        bytes.chunks(2).map(|w| u32::from(w[0]) << 8 | w.get(1).map_or(0, |b| u32::from(*b)));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!u16::try_from(sum).unwrap()).to_be_bytes()
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// What makes packets for a scene.
pub(super) struct Packets<'s> {
    pub(super) scene: &'s Scene,
    pub(super) rng: StdRng,
    pub(super) number: u32,
}

impl Packets<'_> {
    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        *of.choose(&mut self.rng).unwrap()
    }

    pub(super) fn often(&mut self, percent: u32) -> bool {
        self.rng.random_range(0..100) < percent
    }

    fn destination(&mut self, v6: bool) -> IpAddr {
        if v6 {
            let all = [
                "2001:db8:1::2",
                "2001:db8:1::50",
                "2001:db8:1::1",
                "2001:db8:ff::2",
                "2001:db8:ff::50",
                "2001:db8:ff::1",
                "2001:db8:2:1::9",
                "2001:db8:2:1::9",
                "2001:db8:2:2::9",
                "2001:db8:3::2",
                "2001:db8:3::1",
                "2001:db8:4::9",
                "2001:db8:9::1",
                "2001:db8:8::1",
                "2001:db9::1",
                "fe80::1",
                "fe80::ff:fe00:101",
                "ff02::1",
                "ff02::5",
                "ff05::2",
                "2001:db8:1::2",
                "2001:db8:2:1::9",
                "2001:db8:1::2",
                "2001:db8:2:1::9",
                "2001:db8:2:2::9",
            ];
            return ip(self.one(&all));
        }
        let wan = |host: u8| format!("{}.{host}", self.scene.wan);
        let wan = [wan(2), wan(50), wan(1), wan(255)];
        let mut all = vec![
            "10.1.0.2",
            "10.1.0.50",
            "10.1.0.1",
            "10.1.0.255",
            "10.2.1.9",
            "10.2.1.9",
            "10.2.2.9",
            "10.3.0.2",
            "10.3.0.1",
            "10.4.0.9",
            "10.9.0.1",
            "10.8.0.1",
            "198.51.100.1",
            "224.0.0.5",
            "255.255.255.255",
            "239.1.1.1",
            "10.1.0.2",
            "10.2.1.9",
            "10.1.0.2",
            "10.2.1.9",
            "10.2.1.9",
            "10.2.2.9",
        ];
        all.extend(wan.iter().map(String::as_str));
        ip(self.one(&all))
    }

    /// Mostly whom a link leads to.
    fn source(&mut self, link: usize, v6: bool) -> IpAddr {
        let wan = format!("{}.2", self.scene.wan);
        let honest: [&[&str]; 6] = [
            &["10.1.0.2", "10.1.0.9"],
            &["10.2.1.9", "10.2.2.9", &wan],
            &["10.3.0.2", "10.4.0.9"],
            &["2001:db8:1::2", "2001:db8:1::9", "fe80::9"],
            &["2001:db8:2:1::9", "2001:db8:2:2::9", "2001:db8:ff::2", "fe80::9"],
            &["2001:db8:3::2", "2001:db8:4::9"],
        ];
        if self.often(2) {
            let own = ["10.1.0.1", "10.3.0.255", "2001:db8:1::1", "2001:db8:ff::1"];
            return ip(own[2 * usize::from(v6) + self.rng.random_range(0..2)]);
        }
        let at = if self.often(85) { link } else { self.rng.random_range(0..3) };
        if self.often(3) {
            return ip(if v6 { "2001:db9::7" } else { "198.51.100.7" });
        }
        ip(self.one(honest[at + 3 * usize::from(v6)]))
    }

    /// The next packet.
    pub(super) fn next(&mut self, link: usize) -> Sent {
        self.number += 1;
        if self.often(2) {
            return self.arp(link);
        }
        let v6 = self.often(50);
        let (src, dst) = (self.source(link, v6), self.destination(v6));
        let mut packet = self.between(link, src, dst);
        let is_group = match dst {
            IpAddr::V4(v4) => v4.is_multicast() || v4.is_broadcast(),
            IpAddr::V6(v6) => v6.is_multicast(),
        };
        // Which of two faults is named first is not for the oracle to know.
        packet.facts.group_frame = is_group || packet.facts.wrong.is_none() && self.often(1);
        packet
    }

    /// A packet that comes by the SA of an entry, mostly one that fits.
    pub(super) fn inside(&mut self, by: usize) -> Sent {
        self.number += 1;
        let v6 = match self.scene.links[WAN].spd[by].local.or(self.scene.links[WAN].spd[by].remote)
        {
            Some(net) => net.addr().is_ipv6(),
            None => self.often(50),
        };
        let (src, dst) = (self.source(WAN, v6), self.destination(v6));
        Sent { by: Some(by), ..self.between(WAN, src, dst) }
    }

    fn arp(&mut self, link: usize) -> Sent {
        let connected = self.scene.connected()[link].1.addr();
        let IpAddr::V4(own) = connected else { unreachable!() };
        let host = (own.to_bits() + 1).to_be_bytes();
        let bytes = [
            &[0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, u8::try_from(link).unwrap(), 2][..],
            &host,
            &[0; 6],
            &own.octets(),
        ]
        .concat();
        let facts = Facts {
            arp: true,
            len: bytes.len(),
            group_frame: true,
            ..self.facts(connected, connected)
        };
        Sent { link, bytes, facts, by: None }
    }

    fn facts(&self, src: IpAddr, dst: IpAddr) -> Facts {
        Facts {
            number: self.number,
            arp: false,
            src,
            dst,
            protocol: 17,
            ports: None,
            icmp: None,
            later: false,
            ttl: 64,
            dscp: 0,
            attention: false,
            hopeless: false,
            group_frame: false,
            wrong: None,
            tiny: None,
            len: 0,
        }
    }

    fn between(&mut self, link: usize, src: IpAddr, dst: IpAddr) -> Sent {
        let mut facts = self.facts(src, dst);
        facts.ttl = self.one(&[64, 64, 64, 64, 64, 64, 255, 255, 2, 2, 1, 0]);
        facts.dscp = if self.often(15) { POLICED } else { self.one(&[0, 0, 10]) };
        let upper = self.upper(&mut facts);
        let bytes =
            if dst.is_ipv4() { self.four(&mut facts, upper) } else { self.six(&mut facts, upper) };
        facts.len = bytes.len();
        Sent { link, bytes, facts, by: None }
    }

    /// A transport header and payload, all of it marked where there is room.
    fn upper(&mut self, facts: &mut Facts) -> Vec<u8> {
        let v6 = facts.dst.is_ipv6();
        let marked =
            mark(self.number).repeat(if self.often(6) { 200 } else { self.rng.random_range(2..9) });
        let ports = (self.rng.random_range(0..8), self.rng.random_range(0..8));
        let pair = [u16::to_be_bytes(ports.0), u16::to_be_bytes(ports.1)].concat();
        facts.protocol = self.one(&[6, 17, 17, 17, 1, 1, 47, 89]);
        if v6 && facts.protocol == 1 {
            facts.protocol = 58;
        }
        let mut upper = match facts.protocol {
            6 => [
                &pair[..],
                &mark(self.number),
                &[0x50, self.one(&[2, 16]), 4, 0, 0, 0, 0, 0],
                &marked,
            ]
            .concat(),
            17 => {
                let len = u16::try_from(8 + marked.len()).unwrap();
                [&pair[..], &len.to_be_bytes(), &[0, 0], &marked].concat()
            }
            1 | 58 => {
                let kinds: &[u8] = if v6 { &[128, 128, 129, 135, 136, 1] } else { &[8, 8, 0, 3] };
                let kind = self.one(kinds);
                facts.icmp = Some(kind);
                if (135..=136).contains(&kind) && self.often(70) {
                    facts.ttl = 255;
                }
                [&[kind, 0, 0, 0, 0, 0, 0, 1][..], &marked].concat()
            }
            _ => marked,
        };
        facts.ports = matches!(facts.protocol, 6 | 17).then_some(ports);
        let at = match facts.protocol {
            6 => 16,
            17 => 6,
            1 | 58 => 2,
            _ => return upper,
        };
        let mut pseudo = [octets(facts.src), octets(facts.dst)].concat();
        pseudo.extend(u32::try_from(upper.len()).unwrap().to_be_bytes());
        pseudo.extend([0, 0, 0, facts.protocol]);
        let pseudo: &[u8] = if facts.protocol == 1 { &[] } else { &pseudo };
        let sum = checksum(&[pseudo, &upper]);
        upper[at..at + 2].copy_from_slice(&sum);
        upper
    }

    /// Whole, or one fragment of it: what is left of the upper layer, its offset, and whether more
    /// follow.
    fn cut(&mut self, facts: &mut Facts, upper: Vec<u8>) -> (Vec<u8>, u16, bool) {
        match self.rng.random_range(0..20) {
            0 => (upper, 0, true),
            1 if upper.len() > 24 => {
                let reason = if facts.dst.is_ipv6() {
                    DropReason::Ipv6FirstFragment
                } else {
                    DropReason::TinyFragment
                };
                facts.tiny = (facts.protocol == 6).then_some(reason);
                (upper[..16].to_vec(), 0, true)
            }
            n @ 2..=4 => {
                facts.tiny = (facts.protocol == 6 && n == 2).then_some(DropReason::TinyFragment);
                (facts.later, facts.ports, facts.icmp) = (true, None, None);
                let skipped = 8.min(upper.len() - 16);
                (upper[skipped..].to_vec(), if n == 2 { 1 } else { 9 }, n == 4)
            }
            _ => (upper, 0, false),
        }
    }

    fn four(&mut self, facts: &mut Facts, upper: Vec<u8>) -> Vec<u8> {
        let (mut upper, offset, more) = self.cut(facts, upper);
        if more {
            upper.truncate(upper.len() & !7);
        }
        let options: &[u8] = match self.rng.random_range(0..12) {
            0 | 1 => &[148, 4, 0, 0],
            2 => self.one(&[&[137, 7, 4, 10, 2, 1, 9, 0], &[131, 7, 4, 10, 2, 1, 9, 0]]),
            3 => &[1, 1, 1, 1],
            4 => &[148, 1, 0, 0],
            5 => &[94, 4, 0, 0],
            6 => &[7, 7, 4, 0, 0, 0, 0, 0],
            _ => &[],
        };
        facts.attention = matches!(options.first(), Some(7 | 131 | 137 | 148));
        facts.hopeless =
            facts.attention && (options[0] & 0x80 != 0 && options[0] != 148 || options[1] == 1);
        let len = u16::try_from(20 + options.len() + upper.len()).unwrap();
        let dont = if offset == 0 && !more && self.often(30) { 0x4000 } else { 0 };
        let field = offset | u16::from(more) << 13 | dont;
        let mut ip = vec![0x45 + u8::try_from(options.len() / 4).unwrap(), facts.dscp << 2];
        ip.extend(len.to_be_bytes());
        ip.extend(u16::try_from(self.number & 0xffff).unwrap().to_be_bytes());
        ip.extend(field.to_be_bytes());
        ip.extend([facts.ttl, facts.protocol, 0, 0]);
        ip.extend([octets(facts.src), octets(facts.dst)].concat());
        ip.extend(options);
        let sum = checksum(&[&ip]);
        ip[10..12].copy_from_slice(&sum);
        if self.often(1) {
            ip[10] ^= 0x40;
            facts.wrong = Some(DropReason::Ipv4BadChecksum);
        } else if facts.dst == super::scene::ip("239.1.1.1") {
            facts.wrong = Some(DropReason::Ipv4McastNoRoute);
        }
        ip.extend(upper);
        ip
    }

    fn six(&mut self, facts: &mut Facts, upper: Vec<u8>) -> Vec<u8> {
        let (mut upper, offset, more) = self.cut(facts, upper);
        if more {
            upper.truncate(upper.len() & !7);
        }
        let (mut next, mut behind) = (facts.protocol, upper);
        if offset != 0 || more {
            let field = offset << 3 | u16::from(more);
            let header =
                [&[next, 0][..], &field.to_be_bytes(), &self.number.to_be_bytes()].concat();
            (next, behind) = (44, [header, behind].concat());
        }
        if self.often(8) {
            (next, behind) = (60, [&[next, 0, 1, 4, 0, 0, 0, 0], &behind[..]].concat());
        }
        let options: &[u8] = match self.rng.random_range(0..10) {
            0 | 1 => &[5, 2, 0, 0, 1, 0],
            2 => &[0x1e, 4, 0, 0, 0, 0],
            3 => {
                self.one(&[&[0x5e, 4, 0, 0, 0, 0], &[0x9e, 4, 0, 0, 0, 0], &[0xde, 4, 0, 0, 0, 0]])
            }
            4 => &[1, 4, 0, 0, 0, 0],
            5 if self.often(20) => &[5, 9, 0, 0, 1, 0],
            _ => &[],
        };
        if let Some(kind) = options.first() {
            (next, behind) = (0, [&[next, 0], options, &behind[..]].concat());
            facts.attention = *kind == 5 || *kind & 0xc0 != 0;
            facts.hopeless = *kind & 0xc0 != 0;
            facts.wrong = (options[1] == 9).then_some(DropReason::Ipv6FormatErr);
        }
        if facts.dst == super::scene::ip("ff05::2") {
            facts.wrong = Some(DropReason::Ipv6McastNoRoute);
        }
        let mut ip = vec![0x60 | facts.dscp >> 2, facts.dscp << 6, 0, 0];
        ip.extend(u16::try_from(behind.len()).unwrap().to_be_bytes());
        ip.extend([next, facts.ttl]);
        ip.extend([octets(facts.src), octets(facts.dst)].concat());
        ip.extend(behind);
        ip
    }
}
