//! Every packet has exactly one fate, and every run of the same packets is the same.

use qfp::client::config::Config;
use qfp::core::fia::{FiaBuilder, Gate};
use qfp::core::lpts::{FlowType, LptsRates};
use qfp::core::packet::{DropReason, Vector};
use qfp::core::step::{Lcore, Step};
use qfp::hal::PacketMask;
use qfp::{Forwarder, RunError};

use crate::capture::{self, Timed};
use crate::gateways::{Pair, spi};
use crate::ipsec::peer::{fixed, nested, outer, sealed, with_trailer};
use crate::packets::{DOT1Q, Tag, arp, frame, link, mac, payload, tcp, udp, with_fragment_field};
use crate::router::{Run, TWO_NETWORKS, route_with};

/// [`TWO_NETWORKS`] with discarding routes, a port that is shut down, one that only takes frames for
/// itself, one that checks sources, one that denies all packets, one whose route map drops them, one
/// whose policer does, one with a tunnel, and one with a security policy.
fn config(keys: &Pair) -> String {
    format!(
        "{TWO_NETWORKS}[[route]]\nprefix = \"198.18.0.0/15\"\ndrop = true\n\
         [[route]]\nprefix = \"2001:2::/48\"\ndrop = true\n\
         [[port]]\nshutdown = true\n[[port]]\nmac_filter = true\n\
         [[port]]\nurpf = \"strict\"\n\
         [[port]]\nacl_in = [\"1\", \"SIX\"]\n[[port]]\npolicy_route = \"NOWHERE\"\n\
         [[port]]\nservice_policy_in = \"NOTHING\"\n\
         [[acl]]\ntext = '''\n{LISTS}'''\n[[route_map]]\ntext = '''\n{NOWHERE}'''\n\
         [qos]\ntext = '''\n{NOTHING}'''\n{}",
        tunnel(keys)
    )
}

/// A tunnel of the east to the west, whose peer is behind it as seen from here.
fn tunnel(keys: &Pair) -> String {
    let sa = |direction: &str, sender: u8, remote: u8| {
        format!(
            "[[sa]]\nname = \"{direction}\"\ndirection = \"{direction}\"\nspi = {}\n\
             local = \"192.0.2.2\"\nremote = \"192.0.2.{remote}\"\n\
             algorithm = \"aes-128-gcm\"\nkey_file = '{}'\n",
            spi(sender),
            keys.key_file(sender).display()
        )
    };
    format!(
        "[[port]]\nname = \"wan\"\naddress = [\"192.0.2.2/24\"]\n\
         [ipsec]\nstate_dir = '{}'\n{}replay_window = 1024\n{}\
         [[port]]\nname = \"policed\"\n\
         [[spd]]\ninterface = \"policed\"\nname = \"no\"\naction = \"discard\"\nremote = \"{}\"\n\
         [[spd]]\ninterface = \"policed\"\nname = \"secret\"\naction = \"protect\"\nremote = \"{}\"\n\
         [[tunnel]]\nname = \"tunnel0\"\nsa_in = \"in\"\nsa_out = \"out\"\n\
         [[route]]\nprefix = \"192.0.2.77/32\"\ndev = \"tunnel0\"\n",
        keys.state_dir(2).display(),
        sa("in", 1, 1),
        sa("out", 2, 77),
        V4.0,
        V6.0,
    )
}

const LISTS: &str = "access-list 1 deny any\nipv6 access-list SIX\n deny ipv6 any any\n";
const NOWHERE: &str = "route-map NOWHERE permit 10\n set interface Null0\n";
const NOTHING: &str =
    "policy-map NOTHING\n class class-default\n  police 8000\n   conform-action drop\n";

/// Ports of [`config`].
const PORTS: usize = 10;

const V4: (&str, &str) = ("10.1.0.2", "203.0.113.9");
const V6: (&str, &str) = ("2001:db8:1::2", "2001:db8:ff::9");

fn from_west(ip: &[u8]) -> Vec<u8> {
    frame(mac(1, 1), mac(1, 2), &[], ip)
}

fn plain((src, dst): (&str, &str)) -> Vec<u8> {
    udp(src, dst, 64, (1, 2), &payload(40))
}

/// `ip` with one byte changed.
fn with(mut ip: Vec<u8>, at: usize, byte: u8) -> Vec<u8> {
    ip[at] = byte;
    ip
}

/// A step of a user who lets no packet to UDP port 666 through.
struct NoPort666;

impl Step for NoPort666 {
    fn process(&mut self, _lcore: &mut Lcore<'_>, vector: &mut Vector, select: PacketMask) {
        for slot in select {
            if vector.network(slot).get(22..24) == Some(&[2, 0x9a]) {
                vector.drop(slot, DropReason::Feature);
            }
        }
    }
}

/// Reasons to drop, and a packet for each with the port it comes in by.
fn cases() -> Vec<(DropReason, usize, Vec<u8>)> {
    use DropReason as R;
    let v4 = || plain(V4);
    let to = |dst: &str| from_west(&plain((V4.0, dst)));
    let to6 = |dst: &str| from_west(&plain((V6.0, dst)));
    vec![
        (R::BadUidbIdx, 0, frame(mac(1, 1), mac(1, 2), &[Tag(DOT1Q, 5)], &v4())),
        (R::UidbDown, 2, from_west(&v4())),
        (R::MacFilter, 3, from_west(&v4())),
        (R::SourceMac, 0, frame(mac(1, 1), mac(1, 1), &[], &v4())),
        (R::OwnSource, 0, from_west(&plain(("10.1.0.1", V4.1)))),
        (R::Truncated, 0, from_west(&v4()[..30])),
        (R::UnknownEthertype, 0, link(mac(1, 1), mac(1, 2), &[], 0x88b5, &payload(46))),
        (R::Ipv4FormatErr, 0, from_west(&with(v4(), 0, 0x44))),
        (R::Ipv4BadChecksum, 0, from_west(&with(v4(), 10, v4()[10] ^ 1))),
        (R::Ipv4Martian, 0, from_west(&plain(("127.0.0.1", V4.1)))),
        // A hop-by-hop header that announces more than there is.
        (R::Ipv6FormatErr, 0, from_west(&with(with(plain(V6), 6, 0), 41, 255))),
        (R::Ipv6Martian, 0, from_west(&plain(("ff02::1", V6.1)))),
        (R::Ipv6FirstFragment, 0, from_west(&cut_chain())),
        (
            R::TinyFragment,
            0,
            from_west(&with_fragment_field(tcp(V4.0, V4.1, 64, (1, 2), 2, &[]), 1)),
        ),
        (R::Ipv4NoRoute, 0, to("192.88.99.1")),
        (R::Ipv6NoRoute, 0, to6("2001:db8:dead::1")),
        (R::Ipv4Null0, 0, to("198.19.0.1")),
        (R::Ipv6Null0, 0, to6("2001:2::1")),
        (R::L2GroupUnicast, 0, frame([0xff; 6], mac(1, 2), &[], &v4())),
        (R::Ipv4McastNoRoute, 0, to("239.1.2.3")),
        (R::Ipv6McastNoRoute, 0, to6("ff05::99")),
        (R::Ipv4UnicastRpf, 4, from_west(&v4())),
        (R::Ipv6UnicastRpf, 4, from_west(&plain(V6))),
        (R::Ipv4Acl, 5, from_west(&v4())),
        (R::Ipv6Acl, 5, from_west(&plain(V6))),
        (R::PbrNull0, 6, from_west(&v4())),
        (R::Policer, 7, from_west(&v4())),
        (R::LinkLocalScope, 0, from_west(&plain(("fe80::2", V6.1)))),
        (R::Feature, 0, from_west(&udp(V4.0, V4.1, 64, (1, 666), &payload(40)))),
        (R::EspNoRoom, 0, to("192.0.2.77")),
        (R::SpdDiscard, 9, from_west(&v4())),
        (R::SpdUnprotected, 9, from_west(&plain(V6))),
    ]
    .into_iter()
    .chain(protected())
    .collect()
}

/// A first fragment with half of a UDP header.
fn cut_chain() -> Vec<u8> {
    let mut ip = plain(V6);
    ip[6] = 44;
    ip[40..48].copy_from_slice(&[17, 0, 0, 1, 0, 0, 0, 1]);
    ip.truncate(40 + 8 + 4);
    ip[4..6].copy_from_slice(&[0, 12]);
    ip
}

/// Reasons of what comes in for the tunnel.
fn protected() -> Vec<(DropReason, usize, Vec<u8>)> {
    use DropReason as R;
    let inner = || with_trailer(&plain(V4), 4);
    let good = |number| sealed(number, &inner());
    let last = good(1).len() - 1;
    let congested = |ip: Vec<u8>| fixed(with(ip, 1, 3));
    let udp_4500 = |payload: &[u8]| {
        let len = 8 + u16::try_from(payload.len()).unwrap();
        let header = [4500, 4500, len, 0].map(u16::to_be_bytes).concat();
        outer(17, &[&header, payload].concat())
    };
    let cases = [
        (R::RecirculationLimit, nested(plain(V4), 20)),
        (R::NatKeepalive, udp_4500(&[0xff])),
        (R::EspNoSa, outer(50, &[1; 40])),
        (R::EspRunt, outer(50, &[1; 7])),
        (R::EspReplay, sealed(0, &inner())),
        (R::EspBeyondMark, good(5000)),
        (R::EspBadIcv, with(good(31), last, good(31)[last] ^ 1)),
        (R::EspBadPadding, sealed(32, &[0, 0, 255, 4])),
        (R::EspBadNextHeader, sealed(33, &with_trailer(&plain(V4), 17))),
        (R::EspDummy, sealed(34, &with_trailer(&[7; 18], 59))),
        (R::EspEcn, congested(good(35))),
        (R::EspPolicy, udp_4500(&good(36)[20..])),
    ];
    cases.into_iter().map(|(reason, ip)| (reason, 8, from_west(&ip))).collect()
}

/// Reasons that no configuration and no packet of today can bring about here, and why.
const OUT_OF_REACH: [(DropReason, &str); 7] = [
    (DropReason::EspFragment, "no policy here is in transport mode"),
    (DropReason::NoAdjacency, "groups and adjacencies are written together"),
    (DropReason::PuntQueueFull, "in the captures' time the slow path keeps up"),
    (DropReason::RewriteNoRoom, "the headroom is larger than any header"),
    (DropReason::Flowspec, "no configuration binds flow specifications"),
    (DropReason::NoTables, "lcores attach to tables of this program before they start"),
    (DropReason::EspNoEngine, "a router with SAs does not start without an engine"),
];

/// Reasons that have a test of their own: below, with the lifetimes of SAs, among namespaces, or with
/// the features that name them.
const ELSEWHERE: [DropReason; 15] = [
    DropReason::UcodeRestart,
    DropReason::PuntPerCausePolicer,
    DropReason::Lpts,
    DropReason::TxQueueFull,
    DropReason::PortGone,
    DropReason::EspSequenceOverflow,
    DropReason::EspSaExpired,
    DropReason::Own0,
    DropReason::Own1,
    DropReason::Own2,
    DropReason::Own3,
    DropReason::Own4,
    DropReason::Own5,
    DropReason::Own6,
    DropReason::Own7,
];

fn run_all(received: &[Vec<Timed>]) -> Run {
    let received: Vec<&[Timed]> = received.iter().map(Vec::as_slice).collect();
    let fia = FiaBuilder::router();
    let fia = fia.insert_after("l3-parse", "no-666", Gate::Always, || Box::new(NoPort666)).unwrap();
    let keys = Pair::default();
    route_with(&config(&keys), &received, |forwarder| forwarder.fia(fia))
}

#[test]
fn every_drop_reason_counts_its_packet_and_no_other() {
    for (reason, port, bytes) in cases() {
        let mut received = vec![Vec::new(); PORTS];
        received[port].push((0, bytes));
        let run = run_all(&received);
        assert_eq!(run.report.drops, [(reason.name(), 1)]);
        assert_eq!((run.report.received(), run.report.punted()), (1, 0), "{reason:?}");
    }
}

#[test]
fn every_drop_reason_there_is_has_a_case() {
    let mut known: Vec<DropReason> = cases().into_iter().map(|(reason, ..)| reason).collect();
    known.extend(OUT_OF_REACH.map(|(reason, _)| reason));
    known.extend(ELSEWHERE);
    known.sort_unstable();
    assert_eq!(known, DropReason::ALL);
}

/// All of the cases in one vector, among packets that are forwarded.
fn mixture() -> Vec<Vec<Timed>> {
    let mut received = vec![Vec::new(); PORTS];
    for (n, (_, port, bytes)) in (0..).zip(cases()) {
        received[port].push((n / 30 * 1_000, bytes));
        received[0].push((n / 30 * 1_000, from_west(&plain(if n % 2 == 0 { V4 } else { V6 }))));
    }
    received
}

#[test]
fn reasons_do_not_mix_within_a_vector() {
    let run = run_all(&mixture());
    let mut wanted: Vec<_> = cases().iter().map(|(reason, ..)| (reason.name(), 1)).collect();
    let mut drops = run.report.drops.clone();
    drops.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(drops, wanted);
    assert_eq!(run.sent[1].len(), cases().len());
}

#[test]
fn the_same_packets_give_the_same_output_every_time() {
    let mut received = mixture();
    // Punts of every kind as well.
    let request = arp(false, (mac(1, 9), "10.1.0.9"), ([0; 6], "10.1.0.1"));
    received[0].push((2_000, link([0xff; 6], mac(1, 9), &[], 0x0806, &request)));
    received[0].push((2_000, from_west(&udp(V4.0, V4.1, 1, (1, 2), &payload(40)))));
    received[0].push((3_000, from_west(&udp(V4.0, "10.2.0.77", 9, (1, 2), &payload(40)))));
    received[0].push((3_000, from_west(&udp(V4.0, V4.1, 9, (1, 2), &payload(3000)))));
    received[1].push((9_000_000_000, from_west(&udp(V4.1, V4.0, 9, (1, 2), &payload(300)))));
    let (first, second) = (run_all(&received), run_all(&received));
    assert_eq!(first.sent, second.sent);
    assert!(first.sent[0].len() > 3 && first.sent[1].len() > 20);
    assert_eq!(first.report.drops, second.report.drops);
    assert_eq!(first.report.punts, second.report.punts);
    assert_eq!(first.report.slow_path, second.report.slow_path);
}

#[test]
fn punts_beyond_the_rate_of_their_cause_are_dropped_and_those_of_others_are_not() {
    let mut rates = LptsRates::default();
    rates.set(FlowType::TtlExceeded, 10, 3).unwrap();
    let expired = from_west(&udp(V4.0, V4.1, 1, (1, 2), &payload(40)));
    let for_us = from_west(&udp(V4.0, "10.1.0.1", 1, (1, 2), &payload(40)));
    let mut received: Vec<Timed> = vec![(0, expired.clone()); 5];
    received.extend(vec![(0, for_us); 5]);
    // In half a second three are earned again.
    received.extend(vec![(500_000_000, expired); 5]);
    let run = route_with(TWO_NETWORKS, &[&received], |forwarder| forwarder.punt_rates(rates));
    assert_eq!(run.report.drops, [("PuntPerCausePolicer", 4)]);
    assert_eq!(run.report.punts, [("Ipv4ForUs", 5), ("IpTtlExceeded", 6)]);
}

#[test]
fn packets_for_the_router_beyond_the_rate_of_their_flow_are_dropped_and_those_of_others_are_not() {
    // No port is open: the default lets 100 such packets a second pass, 8 at once.
    let unknown = from_west(&udp(V4.0, "10.1.0.1", 9, (1, 2), &payload(40)));
    let ntp = from_west(&udp(V4.0, "10.1.0.1", 9, (1, 123), &payload(40)));
    let mut received: Vec<Timed> = vec![(0, unknown.clone()); 20];
    received.extend(vec![(0, ntp); 5]);
    // In 50 ms five are earned again.
    received.extend(vec![(50_000_000, unknown); 20]);
    let run = route_with(TWO_NETWORKS, &[&received], |forwarder| forwarder);
    assert_eq!(run.report.drops, [("Lpts", 12 + 15)]);
    assert_eq!(run.report.punts, [("Ipv4ForUs", 8 + 5 + 5)]);
}

#[test]
fn packets_that_an_output_does_not_take_are_drops_of_its_queue() {
    if !std::path::Path::new("/dev/full").exists() {
        return eprintln!("skipped: no /dev/full");
    }
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("in.pcap");
    // More than what is gathered before the file is written to.
    let packet = from_west(&udp(V4.0, V4.1, 64, (1, 2), &payload(1400)));
    capture::write(&input, &(0..2000).map(|n| (n, packet.clone())).collect::<Vec<_>>());
    let mut config = Config::parse(TWO_NETWORKS, "test.toml").unwrap();
    config.ports[0].device = Some(format!("pcap:rx={}", input.display()));
    config.ports[1].device = Some("pcap:tx=/dev/full".to_owned());
    let running = Forwarder::new(config).start().unwrap();
    assert!(running.wait(std::time::Duration::from_secs(60)));
    let RunError::Port { source, ended } = running.join().unwrap_err() else { panic!() };
    assert!(source.to_string().contains("/dev/full"));
    let (report, _) = *ended;
    assert_eq!(report.conserved, Some(true));
    let [(reason, lost)] = report.drops[..] else { panic!("{:?}", report.drops) };
    assert_eq!(reason, "TxQueueFull");
    assert!(lost > 500 && lost + report.ports[1].tx_packets == 2000);
    assert_eq!(report.ports[1].tx_dropped, lost);
}
