//! Floods for the slow path at a port, and what must be lost to none of them: hellos, sessions,
//! neighbours and answers of another port, and of configured peers behind the same one.
//!
//! A million packets a second in the time of the captures; without optimisation a tenth of it.

use etherparse::PacketBuilder;
use qfp::core::lpts::{FlowType, LptsRates};

use crate::capture::Timed;
use crate::packets::{Mac, arp, echo, frame, link, mac, payload, tcp, udp};
use crate::router::{Run, TWO_NETWORKS, route};

const SECOND: u64 = 1_000_000_000;
/// Packets a second of a flood.
const RATE: u64 = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };
/// How long a flood lasts.
const LASTS: u64 = if cfg!(debug_assertions) { SECOND } else { 2 * SECOND };
const BROADCAST: Mac = [0xff; 6];

/// A flood of these frames, one after the other.
fn flood(frames: &[Vec<u8>]) -> Vec<Timed> {
    let count = LASTS * RATE / SECOND;
    let times = (0..count).map(|n| n * (SECOND / RATE));
    times.zip(frames.iter().cycle()).map(|(time, frame)| (time, frame.clone())).collect()
}

/// `frame` ten times a second, between the packets of the flood.
fn now_and_then(frame: &[u8]) -> Vec<Timed> {
    (0..LASTS / (SECOND / 10)).map(|n| (n * (SECOND / 10) + 77, frame.to_vec())).collect()
}

/// Both, in the order of time.
fn merged(mut a: Vec<Timed>, b: Vec<Timed>) -> Vec<Timed> {
    a.extend(b);
    a.sort_by_key(|(at, _)| *at);
    a
}

fn ospf(src: &str, dst: &str) -> Vec<u8> {
    raw(src, dst, 89)
}

fn raw(src: &str, dst: &str, protocol: u8) -> Vec<u8> {
    let octets = |text: &str| text.parse::<std::net::Ipv4Addr>().unwrap().octets();
    let mut bytes = Vec::new();
    let builder = PacketBuilder::ipv4(octets(src), octets(dst), 1);
    builder.write(&mut bytes, etherparse::IpNumber(protocol), &payload(44)).unwrap();
    bytes
}

/// A frame from the west or east host that sends the floods, which is on `10.SIDE.0.0/24`.
fn from(side: u8, ip: &[u8]) -> Vec<u8> {
    frame(mac(side, 1), mac(side, 2), &[], ip)
}

/// Frames of every kind that leaves for the slow path, as anybody on the west link can send them,
/// and the type of flow that each is of.
fn kinds() -> Vec<(FlowType, Vec<u8>)> {
    use FlowType::*;
    let west = "10.1.0.2";
    let ours = "10.1.0.1";
    let to_us = |port| from(1, &udp(west, ours, 9, (9, port), &payload(20)));
    let syn = |port| from(1, &tcp(west, ours, 9, (40_000, port), 2, &[]));
    let option = {
        let mut ip = udp(west, "10.2.0.9", 9, (1, 2), &payload(20));
        ip[0] = 0x46;
        ip.splice(20..20, [148, 4, 0, 0]);
        let total = u16::try_from(ip.len()).unwrap();
        ip[2..4].copy_from_slice(&total.to_be_bytes());
        checksummed(ip)
    };
    let who_has = |target| {
        let message = arp(false, (mac(1, 66), "10.1.0.66"), ([0; 6], target));
        link(BROADCAST, mac(1, 66), &[], 0x0806, &message)
    };
    let solicitation = discovery("2001:db8:1::66", "ff02::1:ff00:1", "2001:db8:1::1");
    vec![
        (OspfMcDefault, from(1, &ospf(west, "224.0.0.5"))),
        (OspfUcDefault, from(1, &ospf(west, ours))),
        (BgpDefault, syn(179)),
        (SshDefault, syn(22)),
        (TcpDefault, syn(9999)),
        (UdpDefault, to_us(9999)),
        (Snmp, to_us(161)),
        (NtpDefault, to_us(123)),
        (Dhcpv4, to_us(67)),
        (Radius, to_us(1812)),
        (IcmpLocal, from(1, &echo(west, ours, 9, false, &payload(20)))),
        (RawDefault, from(1, &raw(west, ours, 200))),
        (Vrrp, from(1, &raw(west, "224.0.0.18", 112))),
        (Gre, from(1, &raw(west, ours, 47))),
        (ArpForUs, who_has(ours)),
        (ArpOther, who_has("10.1.0.77")),
        (IcmpControl, frame([0x33, 0x33, 0xff, 0, 0, 1], mac(1, 66), &[], &solicitation)),
        (Glean, from(1, &udp(west, "10.2.0.200", 9, (1, 2), &payload(20)))),
        (TtlExceeded, from(1, &udp(west, "10.2.0.2", 1, (1, 2), &payload(20)))),
        (Unreachable, from(1, &udp(west, "192.0.2.9", 9, (1, 2), &payload(20)))),
        (Ipv4Options, from(1, &option)),
    ]
}

/// A neighbour solicitation (RFC 4861 4.3).
fn discovery(src: &str, dst: &str, target: &str) -> Vec<u8> {
    let octets = |text: &str| text.parse::<std::net::Ipv6Addr>().unwrap().octets();
    let data = [&octets(target)[..], &[1, 1], &mac(1, 66)].concat();
    let mut bytes = Vec::new();
    let packet = PacketBuilder::ipv6(octets(src), octets(dst), 255);
    packet.icmpv6_raw(135, 0, [0; 4]).write(&mut bytes, &data).unwrap();
    bytes
}

fn checksummed(mut ip: Vec<u8>) -> Vec<u8> {
    let len = usize::from(ip[0] & 15) * 4;
    ip[10..12].fill(0);
    let sum: u32 = ip[..len].chunks(2).map(|w| u32::from(w[0]) << 8 | u32::from(w[1])).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
    ip[10..12].copy_from_slice(&(!sum).to_be_bytes());
    ip
}

/// Packets of a type that came in through an interface: passed and beyond the rate.
fn policed(run: &Run, interface: &str, flow: FlowType) -> (u64, u64) {
    let is = |one: &&qfp::report::PolicedReport| {
        (one.flow, &*one.interface) == (flow.label(), interface)
    };
    run.report.policed.iter().find(is).map_or((0, 0), |one| (one.passed, one.dropped))
}

/// A peer for BGP and OSPF behind each link.
const PEERS: &str = r#"
[[lpts.peer]]
service = "bgp"
address = "10.1.0.9"
[[lpts.peer]]
service = "ospf"
trust = "known"
address = "10.1.0.9"
"#;

#[test]
fn no_flood_at_a_port_takes_anything_from_another_port_or_from_peers_behind_its_own() {
    let config = format!("{TWO_NETWORKS}{PEERS}");
    let east = "10.2.0.2";
    let honest = [
        (FlowType::OspfMcDefault, from(2, &ospf(east, "224.0.0.5"))),
        (FlowType::BgpDefault, from(2, &tcp(east, "10.2.0.1", 9, (179, 4000), 16, &[]))),
        (FlowType::IcmpLocal, from(2, &echo(east, "10.2.0.1", 9, false, &payload(20)))),
        (FlowType::TtlExceeded, from(2, &udp(east, "10.1.0.2", 1, (1, 2), &payload(20)))),
        (FlowType::ArpForUs, {
            let message = arp(false, (mac(2, 7), "10.2.0.7"), ([0; 6], "10.2.0.1"));
            link(BROADCAST, mac(2, 7), &[], 0x0806, &message)
        }),
        (FlowType::IcmpControl, {
            let packet = discovery("2001:db8:2::66", "ff02::1:ff00:1", "2001:db8:2::1");
            frame([0x33, 0x33, 0xff, 0, 0, 1], mac(2, 66), &[], &packet)
        }),
    ];
    let peer = [
        (FlowType::BgpCfgPeer, tcp("10.1.0.9", "10.1.0.1", 9, (179, 4000), 16, &[])),
        (FlowType::OspfMcKnown, ospf("10.1.0.9", "224.0.0.5")),
    ];
    let each = LASTS / (SECOND / 10);
    for (flow, flooded) in kinds() {
        let east = honest.iter().fold(Vec::new(), |all, (_, sent)| merged(all, now_and_then(sent)));
        let peers = peer.iter().fold(Vec::new(), |all, (_, sent)| {
            merged(all, now_and_then(&frame(mac(1, 1), mac(1, 9), &[], sent)))
        });
        let run = route(&config, &[&merged(flood(std::slice::from_ref(&flooded)), peers), &east]);
        for (kind, _) in &honest {
            // The first messages of a neighbour are a stranger's.
            let known = match kind {
                FlowType::ArpForUs => policed(&run, "east", FlowType::ArpKnown).0,
                FlowType::IcmpControl => policed(&run, "east", FlowType::NdKnown).0,
                _ => 0,
            };
            let (passed, dropped) = policed(&run, "east", *kind);
            assert_eq!((passed + known, dropped), (each, 0), "{kind:?} under {flow:?}");
        }
        for (kind, _) in &peer {
            assert_eq!(policed(&run, "west", *kind), (each, 0), "{kind:?} under {flow:?}");
        }
        // Counted to the packet.
        let known = if flow == FlowType::ArpForUs {
            FlowType::ArpKnown
        } else if flow == FlowType::IcmpControl {
            FlowType::NdKnown
        } else {
            flow
        };
        let seen = [flow, known].map(|flow| policed(&run, "west", flow));
        let count = |(passed, dropped): (u64, u64)| passed + dropped;
        let offered = count(seen[0]) + if known == flow { 0 } else { count(seen[1]) };
        assert_eq!(offered, LASTS * RATE / SECOND, "{flow:?}");
        assert_eq!(run.report.conserved, Some(true));
        // What passes is what the type may have: others on other ports had a little of it.
        let rate = LptsRates::default().of(flow);
        let may = u64::from(rate.per_second) * (LASTS / SECOND) + u64::from(rate.burst);
        if known == flow && may < offered {
            let (west, _) = policed(&run, "west", flow);
            let (east, _) = policed(&run, "east", flow);
            assert!((west + east).abs_diff(may) <= 1, "{flow:?}: {west} + {east}, not {may}");
        }
    }
}

#[test]
fn answers_reach_the_other_port_under_each_flood() {
    let each = LASTS / (SECOND / 10);
    let ping = from(2, &echo("10.2.0.2", "10.2.0.1", 9, false, &payload(20)));
    for (flow, flooded) in kinds() {
        let run = route(TWO_NETWORKS, &[&flood(&[flooded]), &now_and_then(&ping)]);
        let is_reply = |frame: &&[u8]| frame.get(23) == Some(&1) && frame.get(34) == Some(&0);
        let replies = run.frames(1).into_iter().filter(is_reply).count() as u64;
        assert_eq!(replies, each, "under {flow:?}");
    }
}

#[test]
fn what_an_access_list_denies_takes_nothing_from_what_it_permits() {
    let list = "acl_in = \"101\"\n";
    let config = TWO_NETWORKS.replacen("[[port]]\n", &format!("[[port]]\n{list}"), 1)
        + "[[acl]]\ntext = \"\"\"\naccess-list 101 deny ospf any any\n"
        + "access-list 101 permit ip any any\n\"\"\"\n";
    let east = now_and_then(&from(2, &ospf("10.2.0.2", "224.0.0.5")));
    let run = route(&config, &[&flood(&[from(1, &ospf("10.1.0.2", "224.0.0.5"))]), &east]);
    let flooded = LASTS * RATE / SECOND;
    assert_eq!(run.report.drops, [("Ipv4Acl", flooded)]);
    let denied = &run.report.access_lists[0].rules[0];
    assert_eq!(denied.packets, flooded);
    let hellos = policed(&run, "east", FlowType::OspfMcDefault);
    assert_eq!(hellos, (LASTS / (SECOND / 10), 0));
}

#[test]
fn a_lone_sender_is_heard_among_the_floods_of_others_on_its_own_link() {
    let pings: Vec<Vec<u8>> = (0..7)
        .map(|n| from(1, &echo(&format!("10.1.0.{}", 100 + n), "10.1.0.1", 9, false, &[1; 9])))
        .collect();
    let lone = now_and_then(&from(1, &echo("10.1.0.2", "10.1.0.1", 9, false, &payload(40))));
    let run = route(TWO_NETWORKS, &[&merged(flood(&pings), lone)]);
    // Some of seven others may hash to its share, with a chance of one in eighteen.
    let is_for_lone = |frame: &&[u8]| frame.get(30..34) == Some(&[10, 1, 0, 2]);
    let answered = run.frames(0).into_iter().filter(is_for_lone).count();
    assert!(answered > 0, "{answered}");
}
