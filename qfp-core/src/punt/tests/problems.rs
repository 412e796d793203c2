//! Parameter problems (RFC 792, RFC 4443 3.4), and when there is none.

use super::*;
use crate::punt::{IcmpKind, Rate};

fn with_options(dst: Ipv4Addr, options: &[u8]) -> Vec<u8> {
    let mut ip = udp4(HOST_IP, dst, 9, 8);
    ip[0] = 0x45 + u8::try_from(options.len() / 4).unwrap();
    ip[3] += u8::try_from(options.len()).unwrap();
    ip.splice(20..20, options.iter().copied());
    fix_checksum(&mut ip);
    ip
}

/// A UDP packet behind `headers`, the first of which is of kind `first`.
fn with_headers(dst: Ipv6Addr, first: u8, headers: &[u8]) -> Vec<u8> {
    let mut ip = udp6(HOST_IP6, dst, 9, 8);
    ip.splice(40..40, headers.iter().copied());
    ip[5] += u8::try_from(headers.len()).unwrap();
    ip[6] = first;
    ip
}

/// Punts at a time of its own, so that no limit is met.
fn punt(rig: &mut Rig, ip: &[u8]) -> Vec<Seen> {
    let cause = match (ip[0] >> 4, ip[6], ip[0] & 15) {
        (6, 0, _) => PuntCause::Ipv6HopByHop,
        (6, ..) => PuntCause::Ipv6ForUs,
        (_, _, 5) => PuntCause::Ipv4ForUs,
        _ => PuntCause::Ipv4Options,
    };
    rig.now = rig.now.saturating_add(Nanos::PER_SECOND);
    rig.punt(cause, LAN, &framed(LAN_MAC, HOST_MAC, ip));
    rig.seen()
}

/// Source, type, code and pointer of the only error in `seen`, which is to the host and quotes `ip`.
fn problem(seen: &[Seen], ip: &[u8]) -> (IpAddr, u8, u8, u32) {
    let [Seen::Inject(error)] = seen else { panic!("{seen:?}") };
    let (at, src, dst) = if error[0] >> 4 == 4 {
        let address = |at: usize| IpAddr::from(*error[at..].first_chunk::<4>().unwrap());
        (20, address(12), address(16))
    } else {
        let address = |at: usize| IpAddr::from(*error[at..].first_chunk::<16>().unwrap());
        (40, address(8), address(24))
    };
    let host = if src.is_ipv4() { IpAddr::V4(HOST_IP) } else { IpAddr::V6(HOST_IP6) };
    assert_eq!((dst, &error[at + 8..]), (host, ip));
    let rest = u32::from_be_bytes(*error[at + 4..].first_chunk().unwrap());
    (src, error[at], error[at + 1], rest)
}

#[test]
fn malformed_ipv4_options_are_reported_where_they_are_wrong() {
    let mut rig = Rig::new();
    for (options, pointer) in [
        (&[148, 9, 0, 0], 21),
        (&[148, 1, 0, 0], 21),
        (&[1, 1, 1, 148], 23),
        (&[1, 7, 3, 3], 23),
        (&[68, 4, 5, 0xf0], 23),
    ] {
        let ip = with_options(FAR_IP, options);
        let seen = punt(&mut rig, &ip);
        assert_eq!(problem(&seen, &ip), (LAN_IP.into(), 12, 0, pointer << 24));
    }
    // For the router itself, from the address that was spoken to.
    let ip = with_options(WAN_IP, &[1, 148, 9, 0]);
    rig.punt(PuntCause::Ipv4ForUs, LAN, &framed(LAN_MAC, HOST_MAC, &ip));
    assert_eq!(problem(&rig.seen(), &ip), (WAN_IP.into(), 12, 0, 22 << 24));
    assert_eq!(rig.slow_path.counters().icmp_sent(IcmpKind::Ipv4ParameterProblem), 6);
}

#[test]
fn unknown_ipv6_options_and_misplaced_headers_are_reported() {
    let mut rig = Rig::new();
    let (lan, far) = (LAN_IP6, FAR_IP6);
    for (dst, first, headers, from, code, pointer) in [
        (far, 0, &[17, 0, 0xbe, 4, 0, 0, 0, 0][..], lan, 2, 42),
        (far, 0, &[17, 0, 1, 0, 0xc2, 2, 0, 0], lan, 2, 44),
        (far, 0, &[17, 0, 1, 5, 0, 0, 0, 0], lan, 0, 43),
        (far, 0, &[0, 0, 1, 4, 0, 0, 0, 0, 17, 0, 1, 4, 0, 0, 0, 0], lan, 1, 40),
        (WAN_IP6, 60, &[17, 0, 0xfe, 4, 0, 0, 0, 0], WAN_IP6, 2, 42),
        (WAN_IP6, 60, &[0, 0, 1, 4, 0, 0, 0, 0, 17, 0, 1, 4, 0, 0, 0, 0], WAN_IP6, 1, 40),
        (WAN_IP6, 43, &[17, 0, 0, 1, 0, 0, 0, 0], WAN_IP6, 0, 42),
        (WAN_IP6, 44, &[17, 0, 0xff, 0xf8, 0, 0, 0, 1], WAN_IP6, 0, 42),
        (WAN_IP6, 44, &[17, 0, 0, 1, 0, 0, 0, 1, 0], WAN_IP6, 0, 4),
    ] {
        let ip = with_headers(dst, first, headers);
        let seen = punt(&mut rig, &ip);
        assert_eq!(problem(&seen, &ip), (from.into(), 4, code, pointer), "{headers:?}");
    }
    assert_eq!(rig.slow_path.counters().icmp_sent(IcmpKind::Ipv6ParameterProblem), 9);
    // No segments left, and options that may be skipped: the packet has arrived.
    for (first, headers) in [(43, [17, 0, 0, 0, 0, 0, 0, 0]), (60, [17, 0, 0x3e, 4, 0, 0, 0, 0])] {
        let ip = with_headers(LAN_IP6, first, &headers);
        assert_eq!(problem(&punt(&mut rig, &ip), &ip), (LAN_IP6.into(), 1, 4, 0));
    }
}

#[test]
fn a_group_hears_of_an_unknown_option_only_if_the_option_wants_it() {
    let mut rig = Rig::new();
    let group = "ff02::1".parse().unwrap();
    for first in [0, 60] {
        let ip = with_headers(group, first, &[17, 0, 0x80, 4, 0, 0, 0, 0]);
        let error = punt(&mut rig, &ip);
        assert_eq!(problem(&error, &ip), (LAN_IP6.into(), 4, 2, 42));
        for kind in [0x40, 0xc0] {
            let ip = with_headers(group, first, &[17, 0, kind, 4, 0, 0, 0, 0]);
            assert_eq!(punt(&mut rig, &ip), []);
        }
        let ip = with_headers(group, first, &[17, 0, 0x3e, 4, 0, 0, 0, 0]);
        assert_eq!(punt(&mut rig, &ip), []);
    }
    assert_eq!(rig.dropped(SlowDrop::UnknownOption), 4);
    assert_eq!(rig.slow_path.counters().consumed, 2);
    for (first, headers) in [(43, [17, 0, 0, 1, 0, 0, 0, 0]), (0, [0, 0, 1, 4, 0, 0, 0, 0])] {
        let headers = [headers, [17, 0, 1, 4, 0, 0, 0, 0]].concat();
        assert_eq!(punt(&mut rig, &with_headers(group, first, &headers)), []);
    }
    assert_eq!(rig.dropped(SlowDrop::ErrorForbidden), 2);
}

#[test]
fn no_problem_is_reported_about_errors_later_fragments_groups_and_strange_sources() {
    let mut rig = Rig::new();
    let bad = [148, 9, 0, 0];
    let mut packets = vec![
        with_options([255; 4].into(), &bad),
        with_options([224, 0, 0, 1].into(), &bad),
        with_options([192, 0, 2, 255].into(), &bad),
    ];
    let mut bent = |change: fn(&mut Vec<u8>)| {
        let mut ip = with_options(FAR_IP, &bad);
        change(&mut ip);
        fix_checksum(&mut ip);
        packets.push(ip);
    };
    bent(|ip| ip[7] = 1);
    // An ICMP error, and one of a type that nobody knows.
    bent(|ip| (ip[9], ip[24]) = (1, 3));
    bent(|ip| (ip[9], ip[24]) = (1, 99));
    bent(|ip| ip[12..16].fill(0));
    bent(|ip| ip[12..16].copy_from_slice(&[127, 0, 0, 1]));
    bent(|ip| ip[12..16].copy_from_slice(&[224, 0, 0, 1]));
    bent(|ip| ip[12..16].copy_from_slice(&[192, 0, 2, 255]));
    bent(|ip| ip[12..16].copy_from_slice(&LAN_IP.octets()));

    let unknown = [17, 0, 0xbe, 4, 0, 0, 0, 0];
    let mut bent = |first, headers: &[u8], change: fn(&mut Vec<u8>)| {
        let dst = if first == 0 { FAR_IP6 } else { LAN_IP6 };
        let mut ip = with_headers(dst, first, headers);
        change(&mut ip);
        packets.push(ip);
    };
    bent(0, &unknown, |ip| (ip[40], ip[48]) = (58, 1));
    bent(0, &unknown, |ip| (ip[40], ip[48]) = (58, 137));
    bent(0, &unknown, |ip| ip[8..24].fill(0));
    bent(0, &unknown, |ip| ip[8] = 0xff);
    bent(0, &[&[44, 0, 0xbe, 4, 0, 0, 0, 0][..], &[17, 0, 0, 8, 0, 0, 0, 1]].concat(), |_| ());
    // The data of a fragment may be those of an ICMPv6 error.
    bent(44, &[58, 0, 0xff, 0xf8, 0, 0, 0, 1], |_| ());
    bent(44, &[58, 0, 0, 9, 0, 0, 0, 1, 0], |_| ());
    for ip in &packets {
        assert_eq!(punt(&mut rig, ip), [], "{ip:02x?}");
    }
    // In a frame to a group only what concerns groups is told.
    for (kind, told) in [(0xbe, 1), (0xfe, 0)] {
        let ip = with_headers(FAR_IP6, 0, &[17, 0, kind, 4, 0, 0, 0, 0]);
        rig.punt(PuntCause::Ipv6HopByHop, LAN, &framed([0x33; 6], HOST_MAC, &ip));
        assert_eq!(rig.seen().len(), told);
    }
    let ip = with_options(FAR_IP, &bad);
    rig.punt(PuntCause::Ipv4Options, LAN, &framed([0xff; 6], HOST_MAC, &ip));
    assert_eq!(rig.seen(), []);
    let forbidden = u64::try_from(packets.len()).unwrap() + 2;
    assert_eq!(rig.dropped(SlowDrop::ErrorForbidden), forbidden);
}

#[test]
fn problems_have_limits_of_their_own() {
    let mut limits = Limits::default();
    let one = Rate { per_second: 1, burst: 1 };
    limits.icmp[IcmpKind::Ipv4ParameterProblem as usize] = one;
    limits.icmp[IcmpKind::Ipv6ParameterProblem as usize] = one;
    let mut rig = Rig::with(limits);
    let v4 = framed(LAN_MAC, HOST_MAC, &with_options(FAR_IP, &[148, 9, 0, 0]));
    let unknown = [17, 0, 0xbe, 4, 0, 0, 0, 0];
    let v6 = framed(LAN_MAC, HOST_MAC, &with_headers(FAR_IP6, 0, &unknown));
    for _ in 0..5 {
        rig.punt(PuntCause::Ipv4Options, LAN, &v4);
        rig.punt(PuntCause::Ipv6HopByHop, LAN, &v6);
    }
    let limited = [SlowDrop::ErrorLimit, SlowDrop::ErrorSourceLimit].map(|why| rig.dropped(why));
    assert_eq!((rig.seen().len(), limited.iter().sum::<u64>()), (2, 8));
}
