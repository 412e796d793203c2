use super::*;

const ECHO: [u8; 4] = [0x12, 0x34, 0, 7];

fn ping4(src: Ipv4Addr, dst: Ipv4Addr, body: &[u8]) -> Vec<u8> {
    icmp4(src, dst, 8, 0, ECHO, body)
}

#[test]
fn echo_is_answered_from_the_address_that_was_asked() {
    let mut rig = Rig::new();
    // The address of another interface, odd length, padded to the minimum of Ethernet.
    let mut request = ping4(HOST_IP, WAN_IP, b"odd");
    request[1] = 0xb8;
    fix_checksum(&mut request);
    let mut frame = framed(LAN_MAC, HOST_MAC, &request);
    frame.resize(60, 0xee);
    rig.punt(PuntCause::Ipv4ForUs, LAN, &frame);
    let mut expected = icmp4(WAN_IP, HOST_IP, 0, 0, ECHO, b"odd");
    // TTL 64, the request's type of service, identification 1, fragmentation allowed.
    (expected[1], expected[5], expected[6], expected[8]) = (0xb8, 1, 0, 64);
    fix_checksum(&mut expected);
    assert_eq!(rig.seen(), [Seen::Inject(expected)]);
    assert_eq!(rig.slow_path.counters().echo_replies, 1);
}

#[test]
fn echo_of_every_size_is_answered() {
    let mut rig = Rig::new();
    for len in [0, 1, 2, 1471, 1472, 8972] {
        let body: Vec<u8> = (0..=255).cycle().take(len).collect();
        rig.punt(
            PuntCause::Ipv4ForUs,
            LAN,
            &framed(LAN_MAC, HOST_MAC, &ping4(HOST_IP, LAN_IP, &body)),
        );
        let seen = rig.seen();
        assert!(matches!(&seen[..], [Seen::Inject(ip)] if ip[28..] == body), "{len}");
    }
}

#[test]
fn echo_over_ipv6_is_answered() {
    let mut rig = Rig::new();
    let request = icmp6((HOST_IP6, LAN_IP6), 60, (128, 0), ECHO, b"hello");
    rig.punt(PuntCause::Ipv6ForUs, LAN, &framed(LAN_MAC, HOST_MAC, &request));
    let expected = icmp6((LAN_IP6, HOST_IP6), 64, (129, 0), ECHO, b"hello");
    assert_eq!(rig.seen(), [Seen::Inject(expected)]);
}

#[test]
fn a_link_local_peer_is_answered_on_its_link() {
    let mut rig = Rig::new();
    let own: Ipv6Addr = "fe80::ff:fe00:1".parse().unwrap();
    let peer: Ipv6Addr = "fe80::aa".parse().unwrap();
    let request = icmp6((peer, own), 60, (128, 0), ECHO, b"");
    rig.punt(PuntCause::Ipv6ForUs, LAN, &framed(LAN_MAC, HOST_MAC, &request));
    let expected = icmp6((own, peer), 64, (129, 0), ECHO, b"");
    assert_eq!(rig.seen(), [Seen::Transmit(LAN, framed(HOST_MAC, LAN_MAC, &expected))]);
    // The link-local address of one link is not an address of another.
    rig.punt(PuntCause::Ipv6ForUs, WAN, &framed(WAN_MAC, HOST_MAC, &request));
    assert_eq!((rig.seen(), rig.dropped(SlowDrop::NotForUs)), (vec![], 1));
}

#[test]
fn groups_and_broadcasts_are_taken_in_silence() {
    let mut rig = Rig::new();
    for dst in [[255; 4], [224, 0, 0, 1], [192, 0, 2, 255]] {
        let frame = framed([0xff; 6], HOST_MAC, &ping4(HOST_IP, dst.into(), b""));
        rig.punt(PuntCause::Ipv4LocalGroup, LAN, &frame);
    }
    let all_nodes = "ff02::1".parse().unwrap();
    for ip in
        [icmp6((HOST_IP6, all_nodes), 60, (128, 0), ECHO, b""), udp6(HOST_IP6, all_nodes, 1, 4)]
    {
        rig.punt(PuntCause::Ipv6ForUs, LAN, &framed([0x33, 0x33, 0, 0, 0, 1], HOST_MAC, &ip));
    }
    assert_eq!((rig.seen(), rig.slow_path.counters().consumed), (vec![], 5));
}

#[test]
fn what_is_wrong_is_dropped_by_name() {
    let mut rig = Rig::new();
    let good = ping4(HOST_IP, LAN_IP, b"data");
    let mut header_sum = good.clone();
    header_sum[10] ^= 1;
    let mut icmp_sum = good.clone();
    icmp_sum[30] ^= 1;
    let mut too_long = good.clone();
    too_long[3] += 1;
    let mut routed = udp4(HOST_IP, LAN_IP, 9, 4);
    routed[0] = 0x46;
    routed.splice(20..20, [131, 3, 4, 0]);
    routed[3] += 4;
    fix_checksum(&mut routed);
    for (ip, reason) in [
        (header_sum, SlowDrop::BadChecksum),
        (icmp_sum, SlowDrop::BadChecksum),
        (too_long, SlowDrop::Malformed),
        (routed, SlowDrop::SourceRoute),
        (good[..27].to_vec(), SlowDrop::Malformed),
        (ping4(HOST_IP, FAR_IP, b""), SlowDrop::NotForUs),
        (ping4([224, 0, 0, 1].into(), LAN_IP, b""), SlowDrop::BadSource),
        (ping4([192, 0, 2, 255].into(), LAN_IP, b""), SlowDrop::BadSource),
        (ping4([127, 0, 0, 1].into(), LAN_IP, b""), SlowDrop::BadSource),
    ] {
        let before = rig.dropped(reason);
        rig.punt(PuntCause::Ipv4ForUs, LAN, &framed(LAN_MAC, HOST_MAC, &ip));
        assert_eq!((rig.seen(), rig.dropped(reason)), (vec![], before + 1), "{reason:?}");
    }
}

#[test]
fn other_icmp_is_taken_in_silence() {
    let mut rig = Rig::new();
    for kind in [0, 3, 11, 13, 99] {
        let ip = icmp4(HOST_IP, LAN_IP, kind, 0, [0; 4], b"");
        rig.punt(PuntCause::Ipv4ForUs, LAN, &framed(LAN_MAC, HOST_MAC, &ip));
    }
    assert_eq!((rig.seen(), rig.slow_path.counters().consumed), (vec![], 5));
}

#[test]
fn nobody_listens() {
    let mut rig = Rig::new();
    let mut tcp = Vec::new();
    let builder = PacketBuilder::ipv4(HOST_IP.octets(), LAN_IP.octets(), 9).tcp(1, 179, 0, 0);
    builder.write(&mut tcp, b"").unwrap();
    rig.punt(PuntCause::Ipv4ForUs, LAN, &framed(LAN_MAC, HOST_MAC, &tcp));
    assert_eq!((rig.seen(), rig.dropped(SlowDrop::NoListener)), (vec![], 1));

    let mut gre = udp4(HOST_IP, LAN_IP, 9, 4);
    gre[9] = 47;
    fix_checksum(&mut gre);
    let mut gre6 = udp6(HOST_IP6, LAN_IP6, 9, 4);
    gre6[6] = 47;
    let mut unsummed = udp4(HOST_IP, LAN_IP, 9, 4);
    unsummed[26..28].fill(0);
    for (ip, form) in [
        (udp4(HOST_IP, LAN_IP, 9, 4), &[3, 3][..]),
        (unsummed, &[3, 3]),
        (gre, &[3, 2]),
        (udp6(HOST_IP6, LAN_IP6, 9, 4), &[1, 4]),
        (gre6, &[4, 1]),
    ] {
        let v6 = ip[0] >> 4 == 6;
        let cause = if v6 { PuntCause::Ipv6ForUs } else { PuntCause::Ipv4ForUs };
        rig.now = rig.now.saturating_add(Nanos::PER_SECOND);
        rig.punt(cause, LAN, &framed(LAN_MAC, HOST_MAC, &ip));
        let seen = rig.seen();
        let [Seen::Inject(error)] = &seen[..] else { panic!("{seen:?}") };
        let icmp = &error[if v6 { 40 } else { 20 }..];
        assert_eq!((&icmp[..2], &icmp[8..]), (form, &ip[..]));
        if form == [4, 1] {
            assert_eq!(icmp[4..8], [0, 0, 0, 6], "points at the next header field");
        }
    }
    let mut wrong = udp4(HOST_IP, LAN_IP, 9, 4);
    wrong[26] ^= 1;
    rig.punt(PuntCause::Ipv4ForUs, LAN, &framed(LAN_MAC, HOST_MAC, &wrong));
    assert_eq!((rig.seen(), rig.dropped(SlowDrop::BadChecksum)), (vec![], 1));
}

/// A router passes such headers, but does not speak what they are for (RFC 8200 4).
#[test]
fn headers_for_ends_that_speak_them_are_not_recognised() {
    let mut rig = Rig::new();
    for kind in [135, 139, 140] {
        for behind in [[59, 0, 1, 4, 0, 0, 0, 0], [17, 0, 1, 4, 0, 0, 0, 0]] {
            let mut ip = udp6(HOST_IP6, LAN_IP6, 9, 4);
            ip.splice(40..40, [[kind, 0, 1, 4, 0, 0, 0, 0], behind].concat());
            ip[5] += 16;
            ip[6] = 60;
            rig.now = rig.now.saturating_add(Nanos::PER_SECOND);
            rig.punt(PuntCause::Ipv6ForUs, LAN, &framed(LAN_MAC, HOST_MAC, &ip));
            let seen = rig.seen();
            let [Seen::Inject(error)] = &seen[..] else { panic!("{seen:?}") };
            // Points at the field that names it.
            assert_eq!((&error[40..42], &error[44..48]), (&[4, 1][..], &[0, 0, 0, 40][..]));
        }
    }
    // Nor is what stands behind one answered.
    let mut echo = icmp6((HOST_IP6, LAN_IP6), 9, (128, 0), [0; 4], b"");
    echo.splice(40..40, [58, 0, 1, 4, 0, 0, 0, 0]);
    (echo[5], echo[6]) = (echo[5] + 8, 135);
    rig.punt(PuntCause::Ipv6ForUs, LAN, &framed(LAN_MAC, HOST_MAC, &echo));
    let seen = rig.seen();
    assert!(matches!(&seen[..], [Seen::Inject(error)] if error[40..42] == [4, 1]), "{seen:?}");
}

#[test]
fn a_link_local_peer_with_our_own_mac_address_gets_nothing() {
    let mut rig = Rig::new();
    let peer: Ipv4Addr = [169, 254, 1, 1].into();
    for mac in [LAN_MAC, [0; 6], [3, 0, 0, 0, 0, 1]] {
        let frame = framed(LAN_MAC, mac, &ping4(peer, LAN_IP, b""));
        rig.punt(PuntCause::Ipv4ForUs, LAN, &frame);
    }
    assert_eq!((rig.seen(), rig.dropped(SlowDrop::BadNextHop)), (vec![], 3));
}
