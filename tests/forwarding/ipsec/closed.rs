//! Nothing gets past a security policy: not with options, not to groups or link-local addresses, not
//! in errors about what it has opened.

use etherparse::PacketBuilder;

use super::path::SECOND;
use crate::gateways::{LAN, Pair, WAN, ip, run};
use crate::packets::{echo, tcp, udp, with_fragment_field};
use crate::router::Run;

/// What packets carry that must not be read.
const SECRET: &[u8] = b"TOP SECRET, FOR THE OTHER SIDE ONLY";

/// All between the two networks is protected.
fn protect(side: u8) -> String {
    let other = 3 - side;
    format!(
        "name = \"all\"\naction = \"protect\"\nlocal = \"10.{side}.0.0/16\"\n\
         remote = \"10.{other}.0.0/16\"\nsa_out = \"out\"\nsa_in = \"in\""
    )
}

const DISCARD: &str = "name = \"none\"\naction = \"discard\"";

fn side(config: &str, side: u8, port: usize, packets: &[Vec<u8>]) -> Run {
    let timed: Vec<_> = packets.iter().map(|ip| (0, ip.clone())).collect();
    if port == LAN { run(config, side, &timed, &[]) } else { run(config, side, &[], &timed) }
}

/// The IPv4 packet with these options, whose length is a multiple of four.
fn with_options(mut ip: Vec<u8>, options: &[u8]) -> Vec<u8> {
    ip.splice(20..20, options.iter().copied());
    ip[0] += u8::try_from(options.len() / 4).unwrap();
    let len = u16::try_from(ip.len()).unwrap();
    ip[2..4].copy_from_slice(&len.to_be_bytes());
    with_checksum(ip)
}

fn with_checksum(mut ip: Vec<u8>) -> Vec<u8> {
    let len = usize::from(ip[0] & 15) * 4;
    ip[10..12].fill(0);
    let sum: u32 = ip[..len].chunks(2).map(|w| u32::from(w[0]) << 8 | u32::from(w[1])).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
    ip[10..12].copy_from_slice(&(!sum).to_be_bytes());
    ip
}

/// The IPv6 packet with a router alert in front of its upper layer (RFC 2711).
fn with_alert(mut ip: Vec<u8>) -> Vec<u8> {
    let upper = ip[6];
    ip.splice(40..40, [upper, 0, 5, 2, 0, 0, 1, 0]);
    ip[6] = 0;
    let len = u16::try_from(ip.len() - 40).unwrap();
    ip[4..6].copy_from_slice(&len.to_be_bytes());
    ip
}

const ALERT: [u8; 4] = [148, 4, 0, 0];

/// Packets of the west's network in the clear to the east's, as an attacker sends them.
fn clear(dst: &str) -> Vec<Vec<u8>> {
    let src = "10.1.0.2";
    let plain = [
        udp(src, dst, 9, (7, 56), SECRET),
        tcp(src, dst, 9, (7, 80), 2, SECRET),
        echo(src, dst, 9, false, SECRET),
    ];
    let fragments = plain.iter().map(|ip| with_fragment_field(ip.clone(), 0x2000));
    plain.iter().cloned().chain(fragments).collect()
}

#[test]
fn options_are_no_way_around_an_entry() {
    let pair = Pair::default();
    let options = [&ALERT[..], &[131, 3, 4, 0], &[68, 9, 5, 0], &[1, 1, 1, 0]];
    for (entry, reason) in [(protect(2), "SpdUnprotected"), (DISCARD.to_owned(), "SpdDiscard")] {
        let config = pair.policy(2, &[&entry]);
        for dst in ["10.2.0.2", "10.2.0.1"] {
            let all = clear(dst);
            let all: Vec<_> = options
                .iter()
                .flat_map(|options| all.iter().map(|ip| with_options(ip.clone(), options)))
                .collect();
            let east = side(&config, 2, WAN, &all);
            let lost = |name| east.report.drops.iter().find(|(n, _)| *n == name).map(|(_, n)| *n);
            let tiny = lost("TinyFragment").unwrap_or(0);
            assert_eq!(lost(reason).unwrap_or(0) + tiny, all.len() as u64, "{dst} {entry}");
            assert!(east.sent.iter().all(Vec::is_empty), "{dst} {entry}");
        }
        let v6 = with_alert(udp("2001:db8:1::2", "2001:db8:2::2", 9, (7, 9), SECRET));
        let discards = pair.policy(2, &[DISCARD]);
        let east = side(&discards, 2, WAN, &[v6]);
        assert_eq!(east.report.drops, [("SpdDiscard", 1)]);
        assert_eq!(east.sent[LAN].len(), 0);
    }
}

#[test]
fn options_are_no_way_around_a_policer_or_a_policy_route() {
    let policer = "service_policy_in = \"SLOW\"\n";
    let text = "[qos]\ntext = \"\"\"\npolicy-map SLOW\n class class-default\n  police 8000 2000 \
                conform-action drop exceed-action drop\n\"\"\"\n";
    let map = "policy_route = \"AWAY\"\n";
    let maps = "[[route_map]]\ntext = \"route-map AWAY permit 10\\n set interface null0\"\n";
    let alert = with_options(udp("10.1.0.2", "10.2.0.2", 9, (7, 56), SECRET), &ALERT);
    for (line, more, reason) in [(policer, text, "Policer"), (map, maps, "PbrNull0")] {
        let config =
            crate::router::TWO_NETWORKS.replacen("[[port]]\n", &format!("[[port]]\n{line}"), 1)
                + more;
        let packets = vec![(
            0,
            crate::packets::frame(
                crate::packets::mac(1, 1),
                crate::packets::mac(1, 2),
                &[],
                &alert,
            ),
        )];
        let routed = crate::router::route(&config, &[&packets]);
        assert_eq!(routed.report.drops, [(reason, 1)]);
        assert_eq!(routed.report.punted(), 0);
    }
}

/// A neighbour solicitation with this hop limit.
fn solicitation(src: &str, dst: &str, target: &str, hop_limit: u8) -> Vec<u8> {
    let octets = |text: &str| text.parse::<std::net::Ipv6Addr>().unwrap().octets();
    let data = [&octets(target)[..], &[1, 1, 2, 0, 0, 0, 9, 1]].concat();
    let mut bytes = Vec::new();
    let packet = PacketBuilder::ipv6(octets(src), octets(dst), hop_limit);
    packet.icmpv6_raw(135, 0, [0; 4]).write(&mut bytes, &data).unwrap();
    bytes
}

#[test]
fn link_local_addresses_and_groups_meet_the_policy_and_neighbour_discovery_its_own_rule() {
    let pair = Pair::default();
    let config = pair.policy(2, &[DISCARD]);
    // The east's address on the link between the two.
    let own = "fe80::ff:fe00:902";
    let peer = "fe80::ff:fe00:901";
    let packets = [
        echo(peer, own, 9, false, SECRET),
        udp(peer, own, 9, (7, 9), SECRET),
        udp(peer, "ff02::5", 1, (7, 9), SECRET),
        solicitation(peer, own, own, 254),
    ];
    let east = side(&config, 2, WAN, &packets);
    assert_eq!(east.report.drops, [("SpdDiscard", 4)]);
    assert!(east.sent.iter().all(Vec::is_empty));

    let east = side(&config, 2, WAN, &[solicitation(peer, own, own, 255)]);
    assert_eq!(east.sent[WAN].len(), 1, "the advertisement");
    assert_eq!(ip(&east, WAN)[0][40], 136);
    let nd: Vec<_> = east
        .report
        .security
        .iter()
        .filter(|one| one.count.packets > 0)
        .map(|one| (&*one.rule.entry, one.rule.direction.name(), one.count.packets))
        .collect();
    assert_eq!(nd, [("wan/nd", "in", 1), ("wan/nd", "out", 1)]);

    let group = with_options(udp("192.0.2.1", "224.0.0.9", 1, (7, 9), SECRET), &ALERT);
    let plain = udp("192.0.2.1", "224.0.0.9", 1, (7, 9), SECRET);
    let east = side(&config, 2, WAN, &[group, plain]);
    assert_eq!(east.report.drops, [("SpdDiscard", 2)]);
}

#[test]
fn what_the_router_says_on_a_link_meets_the_policy_too() {
    let pair = Pair::default();
    // What comes in passes, what leaves does not.
    let config = pair.policy(
        2,
        &["name = \"no-echo\"\naction = \"discard\"\nlocal = \"fe80::ff:fe00:902\"\n\
           remote = \"fe80::/64\"\nprotocol = \"icmpv6\""],
    );
    let (own, peer) = ("fe80::ff:fe00:902", "fe80::ff:fe00:901");
    let east = side(&config, 2, WAN, &[echo(peer, own, 9, false, SECRET)]);
    assert!(east.sent.iter().all(Vec::is_empty));
    assert_eq!(east.report.drops, [("SpdDiscard", 1)]);
}

/// All errors that the east may owe the west for what it has opened, each at a time of its own.
fn provoke(east: &str, west: &[Vec<u8>]) -> Run {
    let timed: Vec<_> = (0..).zip(west).map(|(n, ip)| (n * SECOND, ip.clone())).collect();
    run(east, 2, &[], &timed)
}

/// The same configuration on links whose addresses are the lowest of the router.
fn renumbered(config: &str) -> String {
    config.replace("192.0.2.", "5.0.2.")
}

#[test]
fn an_error_about_what_was_opened_goes_back_by_its_sa_or_not_at_all() {
    let pair = Pair::default();
    let west = renumbered(&pair.policy(1, &[&protect(1)]));
    let sealed = |packets: &[Vec<u8>]| ip(&side(&west, 1, LAN, packets), WAN);
    let deny = "[[acl]]\ntext = \"access-list 101 deny udp any any eq 77\\naccess-list 101 permit ip \
                any any\"\n[[route]]\nprefix = \"10.2.77.0/24\"\ndrop = true\n";
    let narrow = protect(2).replace("10.2.0.0/16", "10.2.0.128/25");
    for (entry, answered) in [(protect(2), true), (narrow, false)] {
        let host = if answered { "10.2.0.2" } else { "10.2.0.130" };
        let null = if answered { "10.2.77.1" } else { host };
        let neighbour =
            format!("[[neighbor]]\naddress = \"{host}\"\nmac = \"02:00:00:00:02:22\"\n");
        let neighbour = if answered { String::new() } else { neighbour };
        let config = renumbered(&pair.policy(2, &[&entry])) + deny + &neighbour;
        let config = config.replacen("name = \"lan\"\n", "name = \"lan\"\nacl_out = \"101\"\n", 1);
        let packets = [
            // Its TTL runs out at the east, after the west.
            udp("10.1.0.2", host, 2, (7, 9), SECRET),
            udp("10.1.0.2", null, 9, (7, 9), SECRET),
            udp("10.1.0.2", host, 9, (7, 77), SECRET),
            // The slow path sends it on before the list denies it.
            with_options(udp("10.1.0.2", host, 9, (7, 77), SECRET), &ALERT),
        ];
        let outer = sealed(&packets);
        assert_eq!(outer.len(), 4);
        let east = provoke(&config, &outer);
        let sent = ip(&east, WAN);
        assert!(sent.iter().all(|ip| ip[9] == 50), "in the clear: {sent:02x?}");
        assert!(
            sent.iter().all(|ip| !ip.windows(SECRET.len()).any(|window| window == SECRET)),
            "can be read"
        );
        if answered {
            // Each is understood by the west's host.
            assert_eq!(sent.len(), 4, "{:?} {:?}", east.report.drops, east.report.slow_path);
            let opened = ip(&side(&west, 1, WAN, &sent), LAN);
            assert_eq!(opened.len(), 4);
            assert!(opened.iter().all(|ip| ip[9] == 1 && ip[12..16] == [10, 2, 0, 1]));
        } else {
            assert!(sent.is_empty());
        }
    }
}

#[test]
fn an_error_about_what_came_out_of_a_tunnel_does_not_leave_by_another_way() {
    let pair = Pair::default();
    let west = pair.config(1);
    let outer = ip(&side(&west, 1, LAN, &[udp("10.1.0.2", "10.2.0.2", 2, (7, 9), SECRET)]), WAN);
    // The way back of the west's network is in the clear at the east.
    let east = pair.config(2).replace(
        "prefix = \"10.1.0.0/16\"\ndev = \"tunnel0\"",
        "prefix = \"10.1.0.0/16\"\nvia = \"192.0.2.1\"",
    );
    let answer = side(&east, 2, WAN, &outer);
    assert_eq!(answer.report.punts, [("IpTtlExceeded", 1)]);
    assert!(answer.sent.iter().all(Vec::is_empty));
    assert_eq!(answer.report.drops, [("SpdUnprotected", 1)]);
    // And by the tunnel it does.
    let pair = Pair::default();
    let outer = side(&pair.config(1), 1, LAN, &[udp("10.1.0.2", "10.2.0.2", 2, (7, 9), SECRET)]);
    let answer = side(&pair.config(2), 2, WAN, &ip(&outer, WAN));
    let sent = ip(&answer, WAN);
    assert_eq!(sent.len(), 1, "{:?} {:?}", answer.report.drops, answer.report.slow_path);
    assert_eq!(sent[0][9], 50);
}
