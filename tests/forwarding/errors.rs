//! What the router says about packets that it cannot forward, and answers for itself.

use std::net::IpAddr;

use etherparse::{NetSlice, SlicedPacket, TransportSlice};

use crate::capture::Timed;
use crate::packets::{DOT1Q, Mac, Tag, echo, frame, mac, payload, udp, with_fragment_field};
use crate::router::{TWO_NETWORKS, route};

/// Both families: a host in the west, a destination behind the east, the router's address in the
/// west, and a destination without route.
const FAMILIES: [(&str, &str, &str, &str); 2] = [
    ("10.1.0.2", "203.0.113.9", "10.1.0.1", "192.0.2.9"),
    ("2001:db8:1::2", "2001:db8:ff::9", "2001:db8:1::1", "2001:db8:dead::9"),
];

/// An ICMP message, taken apart; both checksums have been checked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// Type, code, and the four bytes behind the checksum.
    pub(crate) kind: (u8, u8, u32),
    pub(crate) src: IpAddr,
    pub(crate) dst: IpAddr,
    /// What stands behind the eight bytes of its header.
    pub(crate) body: Vec<u8>,
}

/// The ICMP message in a frame from the router in the west to the host there.
pub(crate) fn message(frame: &[u8]) -> Message {
    assert_eq!(frame[..12], [mac(1, 2), mac(1, 1)].concat());
    let packet = SlicedPacket::from_ethernet(frame).unwrap();
    let (src, dst) = match packet.net.as_ref().unwrap() {
        NetSlice::Ipv4(ip) => {
            let header = ip.header();
            assert_eq!(header.to_header().calc_header_checksum(), header.header_checksum());
            assert!(header.ttl() >= 64);
            (IpAddr::V4(header.source_addr()), IpAddr::V4(header.destination_addr()))
        }
        NetSlice::Ipv6(ip) => {
            let header = ip.header();
            assert!(header.hop_limit() >= 64);
            (IpAddr::V6(header.source_addr()), IpAddr::V6(header.destination_addr()))
        }
        NetSlice::Arp(_) => panic!("ARP"),
    };
    let bytes = match (packet.transport.as_ref().unwrap(), src, dst) {
        (TransportSlice::Icmpv4(icmp), ..) => {
            assert_eq!(ones_complement(icmp.slice()), 0xffff, "ICMP checksum");
            icmp.slice()
        }
        (TransportSlice::Icmpv6(icmp), IpAddr::V6(src), IpAddr::V6(dst)) => {
            assert!(icmp.is_checksum_valid(src.octets(), dst.octets()));
            icmp.slice()
        }
        other => panic!("no ICMP: {other:?}"),
    };
    let rest = u32::from_be_bytes(bytes[4..8].try_into().unwrap());
    Message { kind: (bytes[0], bytes[1], rest), src, dst, body: bytes[8..].to_vec() }
}

/// The one's complement sum of all 16-bit words (RFC 1071).
fn ones_complement(bytes: &[u8]) -> u16 {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
    let mut sum: u32 = bytes.chunks(2).map(word).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).unwrap()
}

/// Sends `ip` from the host in the west; the one answer that comes back there.
fn answer_to(ip: &[u8]) -> Message {
    let run = route(TWO_NETWORKS, &[&[(0, frame(mac(1, 1), mac(1, 2), &[], ip))]]);
    assert!(run.sent[1].is_empty(), "something was forwarded");
    let [sent] = run.frames(0)[..] else { panic!("{} frames came back", run.sent[0].len()) };
    message(sent)
}

/// The error about a packet from `host`, sent by the router's address `router`.
fn assert_error(
    found: &Message,
    kinds: [(u8, u8, u32); 2],
    router: &str,
    host: &str,
    about: &[u8],
) {
    let router: IpAddr = router.parse().unwrap();
    assert_eq!(found.kind, kinds[usize::from(router.is_ipv6())]);
    assert_eq!((found.src, found.dst), (router, host.parse().unwrap()));
    // RFC 1812 4.3.2.3: as much as fits into 576 bytes; RFC 4443 2.4 c: into 1280 bytes.
    let most = if router.is_ipv6() { 1280 - 48 } else { 576 - 28 };
    assert_eq!(found.body, about[..about.len().min(most)]);
}

#[test]
fn a_packet_whose_time_is_up_is_reported_by_the_address_it_came_in_at() {
    for (host, there, router, _) in FAMILIES {
        for len in [0, 40, 1400] {
            let ip = udp(host, there, 1, (33434, 33434), &payload(len));
            assert_error(&answer_to(&ip), [(11, 0, 0), (3, 0, 0)], router, host, &ip);
        }
        let ip = udp(host, there, 0, (33434, 33434), &payload(10));
        assert_error(&answer_to(&ip), [(11, 0, 0), (3, 0, 0)], router, host, &ip);
    }
}

#[test]
fn a_packet_with_time_for_one_more_hop_goes_on() {
    for (host, there, ..) in FAMILIES {
        let packet = |ttl| udp(host, there, ttl, (1, 2), &payload(40));
        let run = route(TWO_NETWORKS, &[&[(0, frame(mac(1, 1), mac(1, 2), &[], &packet(2)))]]);
        assert_eq!(run.frames(1), [frame(mac(2, 2), mac(2, 1), &[], &packet(1))]);
        assert!(run.sent[0].is_empty());
    }
}

#[test]
fn a_packet_without_route_is_reported_out_of_the_port_it_came_in_by() {
    for (host, _, router, nowhere) in FAMILIES {
        let ip = udp(host, nowhere, 64, (1, 2), &payload(40));
        assert_error(&answer_to(&ip), [(3, 0, 0), (1, 0, 0)], router, host, &ip);
    }
}

#[test]
fn a_packet_into_a_discarding_route_is_reported_and_counted() {
    let config = format!(
        "{TWO_NETWORKS}[[route]]\nprefix = \"203.0.113.8/29\"\ndrop = true\n\
         [[route]]\nprefix = \"2001:db8:ff::/64\"\ndrop = true\n"
    );
    for ((host, there, router, _), reason) in FAMILIES.into_iter().zip(["Ipv4Null0", "Ipv6Null0"]) {
        let ip = udp(host, there, 64, (1, 2), &payload(40));
        let run = route(&config, &[&[(0, frame(mac(1, 1), mac(1, 2), &[], &ip))]]);
        assert_eq!(run.report.drops, [(reason, 1)]);
        let found = message(run.frames(0)[0]);
        assert_error(&found, [(3, 1, 0), (1, 6, 0)], router, host, &ip);
    }
}

#[test]
fn an_echo_to_any_own_address_is_answered_in_full() {
    for (host, own) in [
        ("10.1.0.2", "10.1.0.1"),
        ("10.1.0.2", "10.2.0.1"),
        ("2001:db8:1::2", "2001:db8:1::1"),
        ("2001:db8:1::2", "2001:db8:2::1"),
    ] {
        // What is for the router itself is not forwarded, so its TTL does not matter.
        for (ttl, len) in [(64, 56), (1, 56), (255, 1400), (64, 0)] {
            let found = answer_to(&echo(host, own, ttl, false, &payload(len)));
            let kind = if found.src.is_ipv4() { 0 } else { 129 };
            assert_eq!(found.kind, (kind, 0, 7 << 16 | 1));
            assert_eq!((found.src, found.dst), (own.parse().unwrap(), host.parse().unwrap()));
            assert_eq!(found.body, payload(len));
        }
    }
}

#[test]
fn an_echo_over_a_tagged_interface_is_answered_with_its_tag() {
    let config = "[[port]]\nmac = \"02:00:00:00:01:01\"\n[[port.vlan]]\nid = 100\n\
                  address = [\"10.1.0.1/24\", \"2001:db8:1::1/64\"]\n\
                  [[neighbor]]\naddress = \"10.1.0.2\"\nmac = \"02:00:00:00:01:02\"\n\
                  [[neighbor]]\naddress = \"2001:db8:1::2\"\nmac = \"02:00:00:00:01:02\"\n";
    let tags = [Tag(DOT1Q, 100)];
    for (host, own) in [("10.1.0.2", "10.1.0.1"), ("2001:db8:1::2", "2001:db8:1::1")] {
        let request = echo(host, own, 64, false, &payload(56));
        let run = route(config, &[&[(0, frame(mac(1, 1), mac(1, 2), &tags, &request))]]);
        let [sent] = run.frames(0)[..] else { panic!("{} frames", run.sent[0].len()) };
        assert_eq!(sent[12..16], [0x81, 0, 0, 100]);
        let untagged = [&sent[..12], &sent[16..]].concat();
        assert_eq!(message(&untagged).body, payload(56));
    }
}

#[test]
fn a_datagram_for_a_port_of_the_router_is_unreachable() {
    for (host, _, own, _) in FAMILIES {
        let ip = udp(host, own, 64, (1, 33434), &payload(40));
        assert_error(&answer_to(&ip), [(3, 3, 0), (1, 4, 0)], own, host, &ip);
    }
}

/// RFC 1812 4.3.2.7, RFC 4443 2.4 e: about these nothing is said.
#[test]
fn errors_are_not_sent_about_errors_fragments_and_groups() {
    let (host, there, ..) = FAMILIES[0];
    let (host6, there6, ..) = FAMILIES[1];
    let fragment = with_fragment_field(udp(host, there, 1, (1, 2), &payload(40)), 0x0010);
    let quoted = [&[11, 0, 0xf4, 0xff, 0, 0, 0, 0][..], &payload(0)].concat();
    let error = |src: &str, dst: &str| {
        let mut bytes = Vec::new();
        let octets = |text: &str| text.parse::<std::net::Ipv4Addr>().unwrap().octets();
        let packet = etherparse::PacketBuilder::ipv4(octets(src), octets(dst), 1);
        packet.icmpv4_raw(11, 0, [0; 4]).write(&mut bytes, &quoted).unwrap();
        bytes
    };
    let error6 = |src: &str, dst: &str| {
        let mut bytes = Vec::new();
        let octets = |text: &str| text.parse::<std::net::Ipv6Addr>().unwrap().octets();
        let packet = etherparse::PacketBuilder::ipv6(octets(src), octets(dst), 1);
        packet.icmpv6_raw(3, 0, [0; 4]).write(&mut bytes, &quoted).unwrap();
        bytes
    };
    let group: Mac = [0xff; 6];
    let received: Vec<Timed> = [
        frame(mac(1, 1), mac(1, 2), &[], &fragment),
        frame(mac(1, 1), mac(1, 2), &[], &error(host, there)),
        frame(mac(1, 1), mac(1, 2), &[], &error6(host6, there6)),
        frame(group, mac(1, 2), &[], &udp(host, there, 1, (1, 2), &payload(40))),
        frame(
            mac(1, 1),
            mac(1, 2),
            &[],
            &udp("0.0.0.0", "255.255.255.255", 1, (68, 67), &payload(40)),
        ),
        frame(mac(1, 1), mac(1, 2), &[], &udp("10.1.0.255", there, 1, (1, 2), &payload(40))),
    ]
    .into_iter()
    .zip((0..).map(|n| n * 1_000_000_000))
    .map(|(frame, time)| (time, frame))
    .collect();
    let run = route(TWO_NETWORKS, &[&received]);
    assert_eq!(run.report.forwarded(), 0, "{:?}", run.sent);
}

#[test]
fn errors_are_limited_in_the_time_of_the_packets() {
    let config =
        format!("{TWO_NETWORKS}[[route]]\nprefix = \"100.64.0.0/10\"\nvia = \"10.1.0.2\"\n");
    let there = FAMILIES[0].1;
    // All have 100 a second, and one sender has them if nobody else asks. Their interface is owed 10
    // more, for those that have not had 20.
    for (senders, limits) in [(1, 390..=420), (4000, 430..=460)] {
        // Four seconds of 1000 packets each.
        let from = |n: u64| {
            let host =
                format!("100.{}.{}.1", 64 + n % senders / 256, n % 256 * u64::from(senders > 1));
            let packet = udp(&host, there, 1, (1, 2), &payload(40));
            (1_000_000_000 + n * 1_000_000, frame(mac(1, 1), mac(1, 2), &[], &packet))
        };
        let received: Vec<Timed> = (0..4000).map(from).collect();
        let run = route(&config, &[&received]);
        let answers = run.sent[0].len();
        assert!(limits.contains(&answers), "{answers} for {senders} senders in four seconds");
        assert_eq!(run.report.punts, [("IpTtlExceeded", 4000)]);
    }
}
