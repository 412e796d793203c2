//! Random lists and random packets through the whole router, against a plain reading of the aces.

use etherparse::{Ipv4Slice, Ipv6ExtensionSlice, Ipv6Slice, TcpSlice, UdpSlice};
use qfp::client::acl::{
    AccessList, Ace, Action, Address, Compare, Document, Family, IpMatch, Ports, Protocol, TcpMatch,
};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use crate::acl::{counts, lists};
use crate::capture::Timed;
use crate::packets::{frame, mac};
use crate::router::route;

/// What an ace may look at.
#[derive(Clone, Debug)]
struct Header {
    addresses: (u128, u128),
    protocol: u8,
    class: u8,
    ttl: u8,
    len: u16,
    flow_label: u32,
    later: bool,
    ports: Option<(u16, u16)>,
    icmp: Option<(u8, u8)>,
    tcp: Option<u8>,
}

impl Header {
    /// As a library reads it that the project does not use.
    fn of(ip: &[u8]) -> Self {
        let (header, later, payload) = if ip[0] >> 4 == 4 {
            let packet = Ipv4Slice::from_slice(ip).unwrap();
            let h = packet.header();
            let header = Self {
                addresses: (
                    h.source_addr().to_bits().into(),
                    h.destination_addr().to_bits().into(),
                ),
                protocol: h.protocol().0,
                class: h.dcp().value() << 2 | h.ecn().value(),
                ttl: h.ttl(),
                len: h.total_len(),
                ..Self::EMPTY
            };
            (header, h.fragments_offset().value() != 0, packet.payload().payload)
        } else {
            let packet = Ipv6Slice::from_slice(ip).unwrap();
            let h = packet.header();
            let later = packet.extensions().clone().into_iter().any(|extension| {
                matches!(&extension, Ipv6ExtensionSlice::Fragment(f) if f.fragment_offset().value() != 0)
            });
            let header = Self {
                addresses: (h.source_addr().to_bits(), h.destination_addr().to_bits()),
                protocol: packet.payload().ip_number.0,
                class: h.traffic_class(),
                ttl: h.hop_limit(),
                len: h.payload_length() + 40,
                flow_label: h.flow_label().value(),
                ..Self::EMPTY
            };
            (header, later, packet.payload().payload)
        };
        Self { later, ..header }.with_transport(payload)
    }

    /// The library does not look into the first of several fragments.
    fn with_transport(mut self, payload: &[u8]) -> Self {
        match self.protocol {
            _ if self.later => {}
            6 => {
                let tcp = TcpSlice::from_slice(payload).unwrap();
                self.ports = Some((tcp.source_port(), tcp.destination_port()));
                self.tcp = Some(tcp.slice()[13]);
            }
            17 => {
                let udp = UdpSlice::from_slice_lax(payload).unwrap();
                self.ports = Some((udp.source_port(), udp.destination_port()));
            }
            1 | 58 => self.icmp = Some((payload[0], payload[1])),
            _ => {}
        }
        self
    }

    const EMPTY: Self = Self {
        addresses: (0, 0),
        protocol: 0,
        class: 0,
        ttl: 0,
        len: 0,
        flow_label: 0,
        later: false,
        ports: None,
        icmp: None,
        tcp: None,
    };
}

fn compares(compare: &Compare, value: u16) -> bool {
    match compare {
        Compare::Eq(values) => values.contains(&value),
        Compare::Neq(values) => !values.contains(&value),
        Compare::Lt(limit) => value < *limit,
        Compare::Gt(limit) => value > *limit,
        Compare::Range(low, high) => (*low..=*high).contains(&value),
    }
}

fn is_at(address: &Address, value: u128) -> bool {
    match address {
        Address::Is(IpMatch::Any) => true,
        Address::Is(IpMatch::V4(bits)) => {
            u32::try_from(value).unwrap() & bits.mask() == bits.value()
        }
        Address::Is(IpMatch::V6(bits)) => value & bits.mask() == bits.value(),
        Address::Group(name) => panic!("no group is called {name}"),
    }
}

/// A later fragment has no header of layer 4: an ace that looks at one lets it pass by what it says
/// of layer 3, and does not deny it (Cisco, document 8014).
fn matches(ace: &Ace, header: &Header) -> bool {
    let by_layer3 = header.later && ace.is_layer4();
    if by_layer3 && ace.action == Action::Deny {
        return false;
    }
    let port = |ports: &Option<Ports>, of: fn((u16, u16)) -> u16| match ports {
        None => true,
        Some(Ports::Are(compare)) => header.ports.is_some_and(|p| compares(compare, of(p))),
        Some(Ports::Group(name)) => panic!("no group is called {name}"),
    };
    let options = &ace.options;
    let field = |compare: &Option<Compare>, value: u16| {
        compare.as_ref().is_none_or(|compare| compares(compare, value))
    };
    let flags = |wanted: TcpMatch, flags: u8| match wanted {
        TcpMatch::All { set, clear } => {
            flags & set.bits() == set.bits() && flags & clear.bits() == 0
        }
        TcpMatch::Any { set, clear } => flags & set.bits() != 0 || !flags & clear.bits() != 0,
    };
    (match ace.protocol {
        Protocol::Any => true,
        Protocol::Number(number) => number == header.protocol,
        Protocol::Group(_) => panic!("there are no groups"),
    }) && is_at(&ace.source, header.addresses.0)
        && is_at(&ace.destination, header.addresses.1)
        && (by_layer3
            || (port(&ace.source_port, |ports| ports.0)
                && port(&ace.destination_port, |ports| ports.1)
                && options.icmp.is_none_or(|wanted| {
                    header.icmp.is_some_and(|(kind, code)| {
                        kind == wanted.kind && wanted.code.is_none_or(|wanted| code == wanted)
                    })
                })
                && options
                    .tcp
                    .is_none_or(|wanted| header.tcp.is_some_and(|found| flags(wanted, found)))))
        && (!ace.fragments || header.later)
        && field(&options.dscp, u16::from(header.class >> 2))
        && field(&options.precedence, u16::from(header.class >> 5))
        && field(&options.ttl, u16::from(header.ttl))
        && field(&options.packet_length, header.len)
        && options.tos.is_none_or(|tos| header.class >> 1 & 0xf == tos)
        && options.flow_label.is_none_or(|label| header.flow_label == label)
}

/// Number of the rule that decides, counted from 0 with what follows the last ace, and whether the
/// packet passes.
fn decide(list: &AccessList, header: &Header) -> (usize, bool) {
    let aces = list.aces().count();
    if let Some((number, (_, ace))) =
        list.aces().enumerate().find(|(_, (_, ace))| matches(ace, header))
    {
        return (number, ace.action == Action::Permit);
    }
    let discovery = header.icmp.map(|(kind, _)| kind).filter(|_| header.protocol == 58);
    match (list.family(), discovery) {
        _ if aces == 0 => (0, true),
        (Family::V4, _) => (aces, false),
        (Family::V6, Some(136)) => (aces, true),
        (Family::V6, Some(135)) => (aces + 1, true),
        (Family::V6, _) => (aces + 2, false),
    }
}

const PORTS: [u16; 6] = [0, 22, 53, 80, 1024, 65_535];
const CODE_POINTS: [u8; 4] = [0, 10, 46, 63];

/// Words of an ace that go together, and packets that some of them match.
struct Source(StdRng);

impl Source {
    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of.choose(&mut self.0).unwrap()
    }

    fn often(&mut self, percent: u32) -> bool {
        self.0.random_range(0..100) < percent
    }

    fn ports(&mut self) -> String {
        if self.often(60) {
            return String::new();
        }
        let (a, b) = (*PORTS.choose(&mut self.0).unwrap(), *PORTS.choose(&mut self.0).unwrap());
        match self.0.random_range(0..5) {
            0 => format!(" eq {a}"),
            1 => format!(" neq {a}"),
            2 => format!(" lt {}", a.max(1)),
            3 => format!(" gt {}", a.min(65_534)),
            _ => format!(" range {} {}", a.min(b), a.max(b)),
        }
    }

    fn address(&mut self, family: Family, source: bool) -> &'static str {
        match (family, source) {
            (Family::V4, true) => self.one(&[
                "any",
                "any",
                "host 10.1.0.2",
                "10.1.0.0 0.0.0.255",
                "0.0.0.1 255.255.255.254",
                "10.0.0.3 0.255.255.0",
            ]),
            (Family::V4, false) => self.one(&[
                "any",
                "any",
                "host 203.0.113.9",
                "203.0.113.0 0.0.0.127",
                "0.0.0.8 255.255.255.247",
            ]),
            (Family::V6, true) => self.one(&[
                "any",
                "any",
                "host 2001:db8:1::2",
                "2001:db8:1::/64",
                "2001:db8:1::2/127",
            ]),
            (Family::V6, false) => self.one(&[
                "any",
                "any",
                "host 2001:db8:ff::9",
                "2001:db8:ff::/80",
                "2001:db8:ff:1::/64",
            ]),
        }
    }

    fn ace(&mut self, family: Family, outbound: bool) -> String {
        let action = self.one(&["permit", "deny"]);
        let any = if family == Family::V4 { "ip" } else { "ipv6" };
        let protocol = self.one(&[any, "tcp", "udp", "icmp", "tcp", "udp", "47"]);
        let has_ports = ["tcp", "udp"].contains(&protocol);
        let mut ports = || if has_ports { self.ports() } else { String::new() };
        let ports = [ports(), ports()];
        let (source, destination) = (self.address(family, true), self.address(family, false));
        let mut text =
            format!(" {action} {protocol} {source}{} {destination}{}", ports[0], ports[1]);
        let mut layer4 = ports.iter().any(|ports| !ports.is_empty());
        if protocol == "icmp" && self.often(60) {
            let four = ["echo", "echo-reply", "3 4", "unreachable"];
            let six = ["echo-request", "nd-ns", "1 4", "packet-too-big"];
            text += " ";
            text += self.one(if family == Family::V4 { &four } else { &six });
            layer4 = true;
        }
        if protocol == "tcp" && self.often(40) {
            text += self.one(&[" established", " match-all +syn -ack", " match-any +fin -psh"]);
            layer4 = true;
        }
        let class = self.0.random_range(0..8);
        text += match class {
            0 => " dscp ef",
            1 => " dscp 10",
            2 => " precedence 5",
            3 if family == Family::V4 => " precedence routine",
            _ => "",
        };
        if !outbound && self.often(10) && family == Family::V4 {
            text += self.one(&[" ttl lt 10", " ttl eq 64", " ttl gt 64"]);
        }
        if !layer4 && self.often(15) {
            text += " fragments";
        }
        text
    }

    fn list(&mut self, family: Family, name: &str, outbound: bool) -> String {
        let kind =
            if family == Family::V4 { "ip access-list extended" } else { "ipv6 access-list" };
        let mut text = format!("{kind} {name}\n");
        for _ in 0..self.0.random_range(0..25) {
            text += &self.ace(family, outbound);
            text.push('\n');
        }
        text
    }

    /// An IP packet of random shape; the checksum of its transport header is not looked at.
    fn packet(&mut self) -> Vec<u8> {
        let is_four = self.often(50);
        let mut protocol = *[6, 6, 17, 17, 1, 47].choose(&mut self.0).unwrap();
        if protocol == 1 && !is_four {
            protocol = 58;
        }
        let mut transport = vec![0; 20 + self.0.random_range(0..60)];
        for place in transport.chunks_exact_mut(2).take(2) {
            place.copy_from_slice(&PORTS.choose(&mut self.0).unwrap().to_be_bytes());
        }
        match protocol {
            // Redirects, solicitations and the like are for hosts, but pass a router all the same.
            1 => transport[..2]
                .copy_from_slice([[8, 0], [0, 0], [3, 4], [3, 1]].choose(&mut self.0).unwrap()),
            58 => transport[..2].copy_from_slice(
                [[128, 0], [129, 0], [1, 4], [2, 0], [135, 0], [136, 0]]
                    .choose(&mut self.0)
                    .unwrap(),
            ),
            6 => (transport[12], transport[13]) = (0x50, self.0.random_range(0..64)),
            17 => {
                let len = u16::try_from(transport.len()).unwrap();
                transport[4..6].copy_from_slice(&len.to_be_bytes());
            }
            _ => {}
        }
        let class = CODE_POINTS.choose(&mut self.0).unwrap() << 2 | self.0.random_range(0..4);
        let ttl = *[2, 9, 64, 255].choose(&mut self.0).unwrap();
        // Whole, first, middle, last.
        let fragment = *[0, 0, 0, 0x2000, 0x2004, 0x0004].choose(&mut self.0).unwrap();
        if is_four {
            self.four(protocol, class, ttl, fragment, &transport)
        } else {
            self.six(protocol, class, ttl, fragment, &transport)
        }
    }

    fn four(&mut self, protocol: u8, class: u8, ttl: u8, fragment: u16, data: &[u8]) -> Vec<u8> {
        let len = u16::try_from(20 + data.len()).unwrap();
        let mut ip = vec![0x45, class];
        ip.extend(len.to_be_bytes());
        ip.extend([0x12, 0x34]);
        ip.extend(fragment.to_be_bytes());
        ip.extend([ttl, protocol, 0, 0, 10, 1, 0, self.0.random_range(2..5)]);
        ip.extend([203, 0, 113, *[1, 8, 9, 200].choose(&mut self.0).unwrap()]);
        let checksum = etherparse::Ipv4Header::from_slice(&ip).unwrap().0.calc_header_checksum();
        ip[10..12].copy_from_slice(&checksum.to_be_bytes());
        ip.extend(data);
        ip
    }

    fn six(&mut self, protocol: u8, class: u8, hops: u8, fragment: u16, data: &[u8]) -> Vec<u8> {
        let mut extensions = Vec::new();
        let mut first = protocol;
        if fragment != 0 {
            let more = u16::from(fragment & 0x2000 != 0);
            extensions = [
                &[protocol, 0][..],
                &((fragment & 0x1fff) << 3 | more).to_be_bytes(),
                &[0, 0, 0, 7],
            ]
            .concat();
            first = 44;
        }
        while self.often(30) {
            // Those that the library walks, too.
            let kind = *[60, 60, 43, 51].choose(&mut self.0).unwrap();
            let header = match kind {
                51 => [&[first, 2][..], &[0; 14]].concat(),
                43 => vec![first, 0, 4, 0, 0, 0, 0, 0],
                _ => vec![first, 0, 1, 4, 0, 0, 0, 0],
            };
            extensions.splice(0..0, header);
            first = kind;
        }
        let len = u16::try_from(extensions.len() + data.len()).unwrap();
        let mut ip = vec![0x60 | class >> 4, class << 4, 0, 7];
        ip.extend(len.to_be_bytes());
        ip.extend([first, hops]);
        ip.extend([0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, self.0.random_range(2..5)]);
        let (net, host) = (self.0.random_range(0..2), *[1, 8, 9].choose(&mut self.0).unwrap());
        ip.extend([0x20, 1, 0xd, 0xb8, 0, 0xff, 0, net, 0, 0, 0, 0, 0, 0, 0, host]);
        ip.extend(&extensions);
        ip.extend(data);
        ip
    }
}

#[test]
fn random_packets_meet_random_lists_as_their_aces_say() {
    for seed in 0..16 {
        let mut source = Source(StdRng::seed_from_u64(seed));
        let families = [Family::V4, Family::V6];
        let text: String = families
            .map(|family| source.list(family, "IN", false) + &source.list(family, "OUT", true))
            .concat();
        let packets: Vec<Vec<u8>> = (0..400).map(|_| source.packet()).collect();
        check(seed, &text, &packets);
    }
}

/// Packets and bytes of each rule.
type Tally = Vec<(u64, u64)>;

fn check(seed: u64, text: &str, packets: &[Vec<u8>]) {
    let document =
        Document::parse(text).unwrap_or_else(|error| panic!("seed {seed}: {error}\n{text}"));
    let received: Vec<Timed> = (0..)
        .zip(packets)
        // Vectors of all sizes up to a full one.
        .map(|(n, ip)| (n / 50 * 1000, frame(mac(1, 1), mac(1, 2), &[], ip)))
        .collect();
    let run = route(&lists("acl_in = \"IN\"", "acl_out = \"OUT\"", text), &[&received]);
    let mut wanted_drops = [0, 0];
    let mut wanted_sent = Vec::new();
    let mut tallies: Vec<(Family, &str, Tally)> = Vec::new();
    for family in [Family::V4, Family::V6] {
        for name in ["IN", "OUT"] {
            tallies.push((family, name, vec![(0, 0); 30]));
        }
    }
    for (n, (ip, (_, frame))) in packets.iter().zip(&received).enumerate() {
        let is_six = usize::from(ip[0] >> 4 == 6);
        let family = [Family::V4, Family::V6][is_six];
        let mut header = Header::of(ip);
        let mut passes = true;
        for (side, name) in ["IN", "OUT"].into_iter().enumerate() {
            if !passes {
                continue;
            }
            let (rule, permits) = decide(document.list(family, name).unwrap(), &header);
            let tally = &mut tallies[2 * is_six + side].2[rule];
            *tally = (tally.0 + 1, tally.1 + frame.len() as u64);
            passes = permits;
            header.ttl -= 1;
        }
        if passes { wanted_sent.push(n) } else { wanted_drops[is_six] += 1 }
    }
    for (family, name, tally) in tallies {
        let found: Vec<_> =
            counts(&run, family, name).iter().map(|rule| (rule.1, rule.2)).collect();
        let list = document.list(family, name).unwrap();
        assert_eq!(found, tally[..found.len()], "seed {seed}, {family:?} {name}:\n{list}");
    }
    let drops = |name| run.report.drops.iter().find(|d| d.0 == name).map_or(0, |d| d.1);
    assert_eq!([drops("Ipv4Acl"), drops("Ipv6Acl")], wanted_drops, "seed {seed}");
    let payload = |frame: &[u8]| frame[14 + 12..].to_vec();
    let mut sent: Vec<_> = run.frames(1).into_iter().map(payload).collect();
    // Behind the words that a router changes.
    let mut wanted: Vec<_> = wanted_sent.iter().map(|n| packets[*n][12..].to_vec()).collect();
    sent.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(sent, wanted, "seed {seed}");
}
