use super::*;
use crate::packet::DropReason;
use crate::punt::{IcmpKind, Rate, Share};

const TTL: PuntCause = PuntCause::IpTtlExceeded;

fn expire(rig: &mut Rig, input: UidbIndex, ip: &[u8]) -> Vec<Seen> {
    rig.now = rig.now.saturating_add(Nanos::PER_SECOND);
    rig.punt(TTL, input, &framed(LAN_MAC, HOST_MAC, ip));
    rig.seen()
}

fn report(rig: &mut Rig, ip: &[u8], reason: DropReason) -> Vec<Seen> {
    rig.now = rig.now.saturating_add(Nanos::PER_SECOND);
    let punted = rig.punted(PuntCause::Feature, LAN, &framed(LAN_MAC, HOST_MAC, ip));
    let pool = rig.cache.as_mut().unwrap();
    rig.slow_path.unreachable(rig.now, &punted, reason, pool, &mut rig.actions);
    assert!(rig.slow_path.counters().conserved());
    rig.seen()
}

#[test]
fn time_exceeded_comes_from_the_ingress_address_and_quotes_the_packet() {
    let mut rig = Rig::new();
    let mut ip = udp4(HOST_IP, FAR_IP, 1, 12);
    let mut frame = framed(LAN_MAC, HOST_MAC, &ip);
    frame.resize(60, 0);
    rig.punt(TTL, LAN, &frame);
    let mut expected = icmp4(LAN_IP, HOST_IP, 11, 0, [0; 4], &ip);
    (expected[1], expected[5], expected[6], expected[8]) = (0xc0, 1, 0, 64);
    fix_checksum(&mut expected);
    assert_eq!(rig.seen(), [Seen::Inject(expected)]);
    assert_eq!(rig.slow_path.counters().icmp_sent(IcmpKind::Ipv4TimeExceeded), 1);
    // A long packet is quoted as far as 576 bytes go.
    ip = udp4(HOST_IP, FAR_IP, 1, 1400);
    let seen = expire(&mut rig, LAN, &ip);
    let [Seen::Inject(error)] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!((error.len(), &error[28..]), (576, &ip[..548]));
}

#[test]
fn hop_limit_exceeded_quotes_up_to_1280_bytes() {
    let mut rig = Rig::new();
    for (payload, len) in [(12, 48 + 60), (1184, 1280), (1185, 1280), (1400, 1280)] {
        let ip = udp6(HOST_IP6, FAR_IP6, 1, payload);
        let seen = expire(&mut rig, LAN, &ip);
        let [Seen::Inject(error)] = &seen[..] else { panic!("{seen:?}") };
        assert_eq!((error.len(), error[7], &error[40..42]), (len, 64, &[3, 0][..]));
        assert_eq!(error[8..40], [LAN_IP6.octets(), HOST_IP6.octets()].concat());
        assert_eq!(error[48..], ip[..len - 48]);
    }
}

#[test]
fn an_interface_without_address_of_the_family_borrows_one() {
    let mut rig = Rig::new();
    let seen = expire(&mut rig, QINQ, &udp6(HOST_IP6, FAR_IP6, 1, 0));
    assert!(matches!(&seen[..], [Seen::Inject(error)] if error[8..24] == LAN_IP6.octets()));
    rig.slow_path.set_interfaces(vec![], &mut rig.actions);
    assert_eq!(expire(&mut rig, LAN, &udp4(HOST_IP, FAR_IP, 1, 0)), []);
    assert_eq!(rig.dropped(SlowDrop::NoAddress), 1);
}

#[test]
fn no_error_about_errors_fragments_groups_and_strange_sources() {
    let mut rig = Rig::new();
    let mut fragment = udp4(HOST_IP, FAR_IP, 1, 0);
    fragment[7] = 1;
    fix_checksum(&mut fragment);
    let mut fragment6 = udp6(HOST_IP6, FAR_IP6, 1, 0);
    fragment6[6] = 44;
    fragment6[40..48].copy_from_slice(&[17, 0, 0, 8, 0, 0, 0, 1]);
    let mut packets = vec![
        fragment,
        fragment6,
        icmp4(HOST_IP, FAR_IP, 3, 0, [0; 4], b""),
        icmp4(HOST_IP, FAR_IP, 11, 0, [0; 4], b""),
        icmp4(HOST_IP, FAR_IP, 99, 0, [0; 4], b""),
        icmp6((HOST_IP6, FAR_IP6), 1, (1, 0), [0; 4], b""),
        icmp6((HOST_IP6, FAR_IP6), 1, (137, 0), [0; 4], b""),
        udp4(HOST_IP, [224, 1, 2, 3].into(), 1, 0),
        udp4(HOST_IP, [255; 4].into(), 1, 0),
        udp4(HOST_IP, [198, 51, 100, 255].into(), 1, 0),
        udp6(HOST_IP6, "ff0e::1".parse().unwrap(), 1, 0),
        udp6(Ipv6Addr::UNSPECIFIED, FAR_IP6, 1, 0),
        udp6(Ipv6Addr::LOCALHOST, FAR_IP6, 1, 0),
        udp6("ff02::1".parse().unwrap(), FAR_IP6, 1, 0),
    ];
    let sources = [[0; 4], [127, 0, 0, 1], [224, 0, 0, 1], [240, 0, 0, 1], [192, 0, 2, 255]];
    packets.extend(sources.map(|src| udp4(src.into(), FAR_IP, 1, 0)));
    packets.push(udp4(LAN_IP, FAR_IP, 1, 0));
    for (n, ip) in packets.iter().enumerate() {
        assert_eq!(expire(&mut rig, LAN, ip), [], "packet {n}");
    }
    rig.punt(TTL, LAN, &framed([0xff; 6], HOST_MAC, &udp4(HOST_IP, FAR_IP, 1, 0)));
    assert_eq!(rig.seen(), []);
    let forbidden = u64::try_from(packets.len()).unwrap() + 1;
    assert_eq!(rig.dropped(SlowDrop::ErrorForbidden), forbidden);
    // Queries are no errors, and first fragments are reported.
    let mut first = udp4(HOST_IP, FAR_IP, 1, 8);
    first[6] = 0x20;
    fix_checksum(&mut first);
    assert_eq!(expire(&mut rig, LAN, &first).len(), 1);
    assert_eq!(expire(&mut rig, LAN, &icmp4(HOST_IP, FAR_IP, 8, 0, [0; 4], b"")).len(), 1);
}

/// An error or a query of ICMPv6 behind an extension header of this kind.
fn behind(kind: u8, message: (u8, u8)) -> Vec<u8> {
    let mut ip = icmp6((HOST_IP6, FAR_IP6), 1, message, [0; 4], b"");
    let header = [58, u8::from(kind == 51), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let size = if kind == 51 { 12 } else { 8 };
    ip.splice(40..40, header[..size].iter().copied());
    ip[5] += u8::try_from(size).unwrap();
    ip[6] = kind;
    ip
}

#[test]
fn no_error_about_an_error_behind_any_extension_header() {
    let mut rig = Rig::new();
    let kinds = [0, 43, 44, 51, 60, 135, 139, 140];
    for kind in kinds {
        assert_eq!(expire(&mut rig, LAN, &behind(kind, (1, 0))), [], "header {kind}");
        assert_eq!(expire(&mut rig, LAN, &behind(kind, (137, 0))), [], "header {kind}");
        assert_eq!(expire(&mut rig, LAN, &behind(kind, (128, 0))).len(), 1, "header {kind}");
    }
    let forbidden = 2 * u64::try_from(kinds.len()).unwrap();
    assert_eq!(rig.dropped(SlowDrop::ErrorForbidden), forbidden);
}

#[test]
fn drops_of_the_fast_path_are_reported_by_reason() {
    let mut rig = Rig::new();
    let (v4, v6) = (udp4(HOST_IP, FAR_IP, 9, 4), udp6(HOST_IP6, FAR_IP6, 9, 4));
    for (ip, reason, form) in [
        (&v4, DropReason::Ipv4NoRoute, [3, 0]),
        (&v4, DropReason::Ipv4Null0, [3, 1]),
        (&v4, DropReason::NoAdjacency, [3, 1]),
        (&v4, DropReason::Ipv4Acl, [3, 13]),
        (&v6, DropReason::Ipv6NoRoute, [1, 0]),
        (&v6, DropReason::Ipv6Null0, [1, 6]),
        (&v6, DropReason::NoAdjacency, [1, 3]),
    ] {
        let seen = report(&mut rig, ip, reason);
        let [Seen::Inject(error)] = &seen[..] else { panic!("{reason:?}: {seen:?}") };
        let header = if error[0] >> 4 == 6 { 40 } else { 20 };
        assert_eq!(error[header..header + 2], form, "{reason:?}");
    }
    assert_eq!(report(&mut rig, &v4, DropReason::Policer), []);
    assert_eq!(rig.dropped(SlowDrop::NotReported), 1);
    let mut quiet = Rig::with(Limits { null0_unreachables: false, ..Limits::default() });
    assert_eq!(report(&mut quiet, &v4, DropReason::Ipv4Null0), []);
}

#[test]
fn ten_thousand_expired_packets_a_second_get_a_hundred_answers_a_second() {
    // And what their interface is owed whatever others do: none here.
    let share =
        Share { interface: Rate { per_second: 0, burst: 0 }, ..Limits::default().icmp_share };
    let mut rig = Rig::with(Limits { icmp_share: share, ..Limits::default() });
    for second in 0..4_u64 {
        let mut answers = 0;
        for n in 0..10_000_u32 {
            rig.now = Nanos(Nanos::from_secs(2000 + second).0 + u64::from(n) * 100_000);
            // Of as many senders as packets.
            let ip = udp4(Ipv4Addr::from_bits(0x0a00_0000 + (n << 8)), FAR_IP, 1, 0);
            rig.punt(TTL, LAN, &framed(LAN_MAC, HOST_MAC, &ip));
            answers += rig.seen().len();
        }
        assert!((99..=101).contains(&answers), "{answers} answers in second {second}");
    }
    let counters = rig.slow_path.counters();
    let suppressed = counters.icmp_suppressed(IcmpKind::Ipv4TimeExceeded);
    assert_eq!(suppressed + counters.icmp_sent(IcmpKind::Ipv4TimeExceeded), 40_000);
    assert_eq!(suppressed, counters.dropped(SlowDrop::ErrorLimit));
}

/// Whether one error a second gets through during five seconds of 10 000 packets a second.
fn heard_during(flood_input: UidbIndex, flood_source: impl Fn(u32) -> Ipv4Addr) -> Vec<bool> {
    let mut rig = Rig::new();
    let mut heard = Vec::new();
    for n in 0..50_000_u32 {
        rig.now = Nanos(Nanos::from_secs(2000).0 + u64::from(n) * 100_000);
        let ip = udp4(flood_source(n), FAR_IP, 1, 0);
        rig.punt(TTL, flood_input, &framed(LAN_MAC, HOST_MAC, &ip));
        rig.actions.clear();
        if n % 10_000 == 9_999 {
            rig.punt(TTL, LAN, &framed(LAN_MAC, HOST_MAC, &udp4(HOST_IP, FAR_IP, 1, 0)));
            heard.push(!rig.seen().is_empty());
        }
    }
    heard
}

#[test]
fn one_sender_does_not_use_up_the_errors_of_another() {
    assert_eq!(heard_during(LAN, |_| Ipv4Addr::new(10, 0, 0, 7)), [true; 5]);
    // Nor do all senders of one interface those of another.
    assert_eq!(heard_during(WAN, |n| Ipv4Addr::from_bits(0x0a00_0000 + (n << 8))), [true; 5]);
}

#[test]
fn each_kind_has_a_limit_of_its_own() {
    let mut limits = Limits::default();
    limits.icmp[IcmpKind::Ipv4TimeExceeded as usize] = Rate { per_second: 0, burst: 0 };
    let mut rig = Rig::with(limits);
    assert_eq!(expire(&mut rig, LAN, &udp4(HOST_IP, FAR_IP, 1, 0)), []);
    assert_eq!(expire(&mut rig, LAN, &udp6(HOST_IP6, FAR_IP6, 1, 0)).len(), 1);
    assert_eq!(report(&mut rig, &udp4(HOST_IP, FAR_IP, 9, 0), DropReason::Ipv4NoRoute).len(), 1);
}
