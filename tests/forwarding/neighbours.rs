//! Neighbours: asked for, answered, and given up, as far as a capture can show it.

use etherparse::PacketBuilder;

use super::errors::message;
use crate::capture::Timed;
use crate::packets::{DOT1Q, Mac, Tag, arp, frame, link, mac, payload, udp};
use crate::router::{Run, TWO_NETWORKS, route, route_with};

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;
const BROADCAST: Mac = [0xff; 6];

/// `sent` begins with `wanted`, and only the zeros that a short frame needs follow.
fn assert_frame(sent: &[u8], wanted: &[u8]) {
    assert_eq!(&sent[..wanted.len().min(sent.len())], wanted);
    assert!(sent[wanted.len()..].iter().all(|byte| *byte == 0));
    assert!(sent.len() <= wanted.len().max(64));
}

#[test]
fn an_arp_request_for_an_own_address_is_answered() {
    let tagged = TWO_NETWORKS
        .replace("address = [\"10.1.0.1/24\"", "[[port.vlan]]\nid = 9\naddress = [\"10.1.0.1/24\"");
    let none: &[Tag] = &[];
    for (config, tags) in [(TWO_NETWORKS, none), (tagged.as_str(), &[Tag(DOT1Q, 9)])] {
        let request = arp(false, (mac(1, 9), "10.1.0.9"), ([0; 6], "10.1.0.1"));
        let run = route(config, &[&[(3, link(BROADCAST, mac(1, 9), tags, 0x0806, &request))]]);
        let [sent] = run.frames(0)[..] else { panic!("{} frames", run.sent[0].len()) };
        let reply = arp(true, (mac(1, 1), "10.1.0.1"), (mac(1, 9), "10.1.0.9"));
        assert_frame(sent, &link(mac(1, 9), mac(1, 1), tags, 0x0806, &reply));
        assert_eq!(run.report.punts, [("Arp", 1)]);
    }
}

#[test]
fn an_arp_request_for_somebody_else_is_not_answered() {
    for target in ["10.1.0.77", "10.2.0.1", "192.0.2.1"] {
        let request = arp(false, (mac(1, 9), "10.1.0.9"), ([0; 6], target));
        let run = route(TWO_NETWORKS, &[&[(3, link(BROADCAST, mac(1, 9), &[], 0x0806, &request))]]);
        assert_eq!(run.report.forwarded(), 0, "{target}");
    }
}

/// A neighbour solicitation (RFC 4861 4.3) or, with `flags`, an advertisement (4.4).
fn discovery(src: &str, dst: &str, target: &str, flags: Option<u8>, option: (u8, Mac)) -> Vec<u8> {
    let octets = |text: &str| text.parse::<std::net::Ipv6Addr>().unwrap().octets();
    let data = [&octets(target)[..], &[option.0, 1], &option.1].concat();
    let mut bytes = Vec::new();
    let kind = if flags.is_some() { 136 } else { 135 };
    let packet = PacketBuilder::ipv6(octets(src), octets(dst), 255);
    packet.icmpv6_raw(kind, 0, [flags.unwrap_or(0), 0, 0, 0]).write(&mut bytes, &data).unwrap();
    bytes
}

/// The Ethernet group of an IPv6 group that ends with these bytes (RFC 2464 7).
fn group(end: [u8; 4]) -> Mac {
    [0x33, 0x33, end[0], end[1], end[2], end[3]]
}

#[test]
fn a_solicitation_for_an_own_address_is_answered() {
    let (host, own) = ("2001:db8:1::9", "2001:db8:1::1");
    let ask = discovery(host, "ff02::1:ff00:1", own, None, (1, mac(1, 9)));
    let run = route(TWO_NETWORKS, &[&[(3, frame(group([0xff, 0, 0, 1]), mac(1, 9), &[], &ask))]]);
    let [sent] = run.frames(0)[..] else { panic!("{} frames", run.sent[0].len()) };
    // Router, solicited, override.
    let answer = discovery(own, host, own, Some(0xe0), (2, mac(1, 1)));
    assert_eq!(sent, frame(mac(1, 9), mac(1, 1), &[], &answer));
}

#[test]
fn an_unknown_ipv4_neighbour_is_asked_for_and_what_waits_is_sent_when_it_answers() {
    let packet = |ttl, n: u16| udp("10.1.0.2", "10.2.0.9", ttl, (n, 2), &payload(40));
    let from_west = |n| frame(mac(1, 1), mac(1, 2), &[], &packet(64, n));
    let reply = arp(true, (mac(2, 9), "10.2.0.9"), (mac(2, 1), "10.2.0.1"));
    let west: Vec<Timed> = vec![(0, from_west(1)), (MS, from_west(2)), (9 * MS, from_west(3))];
    let east: Vec<Timed> = vec![(5 * MS, link(mac(2, 1), mac(2, 9), &[], 0x0806, &reply))];
    let run = route(TWO_NETWORKS, &[&west, &east]);

    let [asked, rest @ ..] = &run.sent[1][..] else { panic!("nothing was sent") };
    assert_eq!(asked.0, 0);
    let request = arp(false, (mac(2, 1), "10.2.0.1"), ([0; 6], "10.2.0.9"));
    assert_frame(&asked.1, &link(BROADCAST, mac(2, 1), &[], 0x0806, &request));
    let to_east = |n| frame(mac(2, 9), mac(2, 1), &[], &packet(63, n));
    assert_eq!(rest, [(5 * MS, to_east(1)), (5 * MS, to_east(2)), (9 * MS, to_east(3))]);
    // The third did not need the slow path.
    assert_eq!(run.report.punts, [("Arp", 1), ("Glean", 2)]);
}

#[test]
fn an_unknown_ipv6_neighbour_is_asked_for_and_what_waits_is_sent_when_it_answers() {
    let packet = |ttl| udp("2001:db8:1::2", "2001:db8:2::9", ttl, (1, 2), &payload(40));
    let west = [(0, frame(mac(1, 1), mac(1, 2), &[], &packet(64)))];
    // Sent by the neighbour to the address that asked.
    let asker = "2001:db8:2::1";
    let answer = discovery("2001:db8:2::9", asker, "2001:db8:2::9", Some(0x60), (2, mac(2, 9)));
    let east = [(5 * MS, frame(mac(2, 1), mac(2, 9), &[], &answer))];
    let run = route(TWO_NETWORKS, &[&west, &east]);
    let [asked, rest @ ..] = &run.sent[1][..] else { panic!("nothing was sent") };
    let group_address = "ff02::1:ff00:9";
    let ask = discovery(asker, group_address, "2001:db8:2::9", None, (1, mac(2, 1)));
    assert_eq!(*asked, (0, frame(group([0xff, 0, 0, 9]), mac(2, 1), &[], &ask)));
    assert_eq!(rest, [(5 * MS, frame(mac(2, 9), mac(2, 1), &[], &packet(63)))]);
}

#[test]
fn a_next_hop_behind_a_route_is_resolved_as_well() {
    let config =
        format!("{TWO_NETWORKS}[[route]]\nprefix = \"192.0.2.0/24\"\nvia = \"10.2.0.9\"\n");
    let packet = |ttl| udp("10.1.0.2", "192.0.2.7", ttl, (1, 2), &payload(40));
    let west = [(0, frame(mac(1, 1), mac(1, 2), &[], &packet(64)))];
    let reply = arp(true, (mac(2, 9), "10.2.0.9"), (mac(2, 1), "10.2.0.1"));
    let east = [(5 * MS, link(mac(2, 1), mac(2, 9), &[], 0x0806, &reply))];
    let run = route(&config, &[&west, &east]);
    assert_eq!(run.sent[1].last(), Some(&(5 * MS, frame(mac(2, 9), mac(2, 1), &[], &packet(63)))));
    assert_eq!(run.report.punts, [("Arp", 1), ("IncompleteAdjacency", 1)]);
}

#[test]
fn a_neighbour_that_never_answers_is_asked_three_times_and_then_unreachable() {
    let families =
        [("10.1.0.2", "10.2.0.9", (3, 1, 0)), ("2001:db8:1::2", "2001:db8:2::9", (1, 3, 0))];
    for (host, absent, kind) in families {
        let ip = udp(host, absent, 64, (1, 2), &payload(40));
        let from_west = |time| (time, frame(mac(1, 1), mac(1, 2), &[], &ip));
        // The last one comes when the neighbour is still known to be absent.
        let run = route(TWO_NETWORKS, &[&[from_west(0), from_west(4 * SECOND)]]);
        let asked: Vec<u64> = run.sent[1].iter().map(|(time, _)| *time).collect();
        assert_eq!(asked, [0, SECOND, 2 * SECOND]);
        let (time, sent) = &run.sent[0][0];
        assert_eq!((*time, message(sent).kind), (3 * SECOND, kind));
        // RFC 792: the quoted packet is the one that was received.
        assert_eq!(message(sent).body.len(), ip.len());
    }
}

/// A count of the slow path, by name.
fn counted(run: &Run, name: &str) -> u64 {
    run.report.slow_path.iter().find(|(is, _)| *is == name).map_or(0, |(_, count)| *count)
}

#[test]
fn more_spoofed_senders_than_there_are_adjacencies_lock_nobody_out() {
    let config = TWO_NETWORKS.replace("\"10.1.0.1/24\"", "\"10.1.0.1/16\"");
    let senders = 9000;
    let mut west: Vec<Timed> = Vec::new();
    for n in 0..senders {
        let [_, _, high, low] = u32::to_be_bytes(n);
        let (spoofed, sender) = ([2, 9, 9, 9, high, low], format!("10.1.{}.{low}", 100 + high));
        let request = arp(false, (spoofed, &sender), ([0; 6], "10.1.0.1"));
        let time = u64::from(n) * MS / 5;
        west.push((time, link(BROADCAST, spoofed, &[], 0x0806, &request)));
    }
    // Packets for a new host, which answers a moment later.
    let start = u64::from(senders) * MS / 5;
    let reply = arp(true, (mac(1, 9), "10.1.0.9"), (mac(1, 1), "10.1.0.1"));
    west.push((start + 5 * MS, link(mac(1, 1), mac(1, 9), &[], 0x0806, &reply)));
    let packet = |ttl, n| udp("10.2.0.2", "10.1.0.9", ttl, (n, 2), &payload(40));
    let from_east =
        |n: u16| (start + u64::from(n) * 10 * MS, frame(mac(2, 1), mac(2, 2), &[], &packet(64, n)));
    let east: Vec<Timed> = (0..30).map(from_east).collect();
    let run = route(&config, &[&west, &east]);
    let to_west = |n| frame(mac(1, 9), mac(1, 1), &[], &packet(63, n));
    let sent = run.frames(0);
    let reached = (0..30).filter(|n| sent.contains(&&to_west(*n)[..])).count();
    assert_eq!(reached, 30);
    // Only the first waited, and none went round.
    assert!(run.report.punts.contains(&("Glean", 1)), "{:?}", run.report.punts);
    assert_eq!((counted(&run, "neighbours_learnt"), counted(&run, "neighbours_refused")), (5, 0));
    // Strangers' requests have a rate of their own; what passes it is known as far as there is room.
    let flow = qfp::core::lpts::FlowType::ArpForUs.label();
    let heard = run.report.policed.iter().find(|one| one.flow == flow).unwrap().passed;
    assert!(heard > 2 * 1024 && heard < u64::from(senders));
    assert_eq!(counted(&run, "unsolicited_gave_way"), heard - 1024);
}

#[test]
fn packets_for_neighbours_over_the_limit_are_dropped_and_do_not_go_round() {
    let limited = format!("{TWO_NETWORKS}[neighbors]\nlimit = 5\nlimit_per_interface = 5\n");
    for (config, reached) in [(TWO_NETWORKS, 8), (&limited, 5)] {
        let hosts: Vec<String> = (0..8).map(|n| format!("10.2.0.{}", 10 + n)).collect();
        let (mut west, mut east): (Vec<Timed>, Vec<Timed>) = Default::default();
        for round in 0..20 {
            for (n, host) in (0..8).zip(&hosts) {
                let ip = udp("10.1.0.2", host, 64, (1, 2), &payload(40));
                let time = round * 10 * MS + n * 10_000;
                west.push((time, frame(mac(1, 1), mac(1, 2), &[], &ip)));
            }
        }
        for (n, host) in (0..8).zip(&hosts) {
            let reply = arp(true, (mac(2, 10 + n), host), (mac(2, 1), "10.2.0.1"));
            let time = 5 * MS + u64::from(n) * 10_000;
            east.push((time, link(mac(2, 1), mac(2, 10 + n), &[], 0x0806, &reply)));
        }
        let run = route(config, &[&west, &east]);
        let forwarded = run.frames(1).iter().filter(|frame| frame[12..14] == [8, 0]).count();
        assert_eq!(forwarded, reached * 20);
        assert_eq!(counted(&run, "neighbours_over_limit"), 8 - reached as u64);
        // Each punted once: the first one, or all of those that nobody can be sent to.
        let punted = 8 + (8 - reached as u64) * 19;
        assert!(run.report.punts.contains(&("Glean", punted)), "{:?}", run.report.punts);
    }
}

#[test]
fn a_neighbour_that_the_tables_refuse_makes_no_packet_go_round() {
    let full = |forwarder: qfp::Forwarder| {
        forwarder
            .capacity(qfp::client::Capacity { ipv6_lines: 400, ..qfp::client::Capacity::SMALL })
    };
    let host = |n: u16| format!("2001:db8:2:0:{n:x}:{n:x}::1");
    let (mut west, mut east): (Vec<Timed>, Vec<Timed>) = Default::default();
    for n in 1..=120 {
        let ip = udp("2001:db8:1::2", &host(n * 419), 64, (1, 2), &payload(40));
        let time = u64::from(n) * MS;
        west.push((time, frame(mac(1, 1), mac(1, 2), &[], &ip)));
        let own = "2001:db8:2::1";
        let answer = discovery(&host(n * 419), own, &host(n * 419), Some(0x60), (2, mac(2, 9)));
        east.push((time + MS / 2, frame(mac(2, 1), mac(2, 9), &[], &answer)));
    }
    let run = route_with(TWO_NETWORKS, &[&west, &east], full);
    let refused = counted(&run, "neighbours_refused");
    assert!((1..120).contains(&refused), "{:?}", run.report.slow_path);
    // Those that were refused came back once, and were dropped.
    assert!(run.report.punts.contains(&("Glean", 120 + refused)), "{:?}", run.report.punts);
    assert_eq!(counted(&run, "NeighbourAbsent"), refused);
}
