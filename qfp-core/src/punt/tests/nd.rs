use super::*;

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const LAN_LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 1);
const HOST_LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0xff, 0xfe00, 0xaa);
const NEXT: IpAddr = IpAddr::V6(NEXT_IP6);

fn group_of(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    Ipv6Addr::from_octets([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c])
}

fn body(target: Ipv6Addr, option: &[u8]) -> Vec<u8> {
    [&target.octets()[..], option].concat()
}

fn mac_option(kind: u8, mac: [u8; 6]) -> Vec<u8> {
    [&[kind, 1][..], &mac].concat()
}

fn solicitation(src: Ipv6Addr, target: Ipv6Addr, option: &[u8]) -> Vec<u8> {
    let dst = group_of(target);
    let ip = icmp6((src, dst), 255, (135, 0), [0; 4], &body(target, option));
    framed([0x33, 0x33, 0xff, 0, 0, 1], HOST_MAC, &ip)
}

fn advertisement(flags: u8, mac: Option<[u8; 6]>) -> Vec<u8> {
    let option = mac.map(|mac| mac_option(2, mac)).unwrap_or_default();
    let ip = icmp6((NEXT_IP6, WAN_IP6), 255, (136, 0), [flags, 0, 0, 0], &body(NEXT_IP6, &option));
    framed(WAN_MAC, NEXT_MAC, &ip)
}

/// A rig that is asking for the next hop, with one packet held.
fn asking() -> Rig {
    let mut rig = Rig::new();
    rig.glean(WAN, NEXT, &udp6(HOST_IP6, FAR_IP6, 63, 20));
    rig
}

#[test]
fn a_solicitation_is_answered_and_teaches_the_sender() {
    let mut rig = Rig::new();
    let frame = solicitation(HOST_IP6, LAN_IP6, &mac_option(1, HOST_MAC));
    rig.punt(PuntCause::Ipv6ForUs, LAN, &frame);
    let expected = framed(
        HOST_MAC,
        LAN_MAC,
        &icmp6(
            (LAN_IP6, HOST_IP6),
            255,
            (136, 0),
            [0xe0, 0, 0, 0],
            &body(LAN_IP6, &mac_option(2, LAN_MAC)),
        ),
    );
    assert_eq!(rig.seen(), [Seen::Transmit(LAN, expected)]);
    // Heard of in passing only: asked five seconds after it is first used (RFC 4861 7.3.3).
    let start = rig.now.saturating_add(10 * Nanos::PER_SECOND);
    rig.poll_at(start);
    let packet = udp6(FAR_IP6, HOST_IP6, 63, 20);
    rig.glean(LAN, HOST_IP6.into(), &packet);
    let known = Seen::Neighbour(LAN, HOST_IP6.into(), Some(HOST_MAC));
    assert_eq!(rig.seen(), [known, Seen::Inject(packet)]);
    rig.next();
    assert_eq!(rig.now, start.saturating_add(5 * Nanos::PER_SECOND));
    let seen = rig.seen();
    let [Seen::Transmit(LAN, probe)] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!((&probe[..6], &probe[38..54]), (&HOST_MAC[..], &HOST_IP6.octets()[..]));
}

#[test]
fn the_link_local_address_answers_too() {
    let mut rig = Rig::new();
    let frame = solicitation(HOST_LINK_LOCAL, LAN_LINK_LOCAL, &[]);
    rig.punt(PuntCause::Ipv6ForUs, LAN, &frame);
    let seen = rig.seen();
    // No option: nothing is learnt, and the reply goes back to where the frame came from.
    let [Seen::Transmit(LAN, reply)] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!((&reply[..6], &reply[22..38]), (&HOST_MAC[..], &LAN_LINK_LOCAL.octets()[..]));
    assert_eq!(rig.slow_path.next_deadline(), None);
}

#[test]
fn duplicate_address_detection_is_answered_to_all_nodes() {
    let mut rig = Rig::new();
    let frame = solicitation(Ipv6Addr::UNSPECIFIED, LAN_IP6, &[]);
    rig.punt(PuntCause::Ipv6ForUs, LAN, &frame);
    let seen = rig.seen();
    let [Seen::Transmit(LAN, reply)] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!(reply[..6], [0x33, 0x33, 0, 0, 0, 1]);
    assert_eq!((&reply[38..54], reply[58]), (&ALL_NODES.octets()[..], 0xa0));
}

#[test]
fn invalid_solicitations_are_dropped() {
    let mut rig = Rig::new();
    let option = mac_option(1, HOST_MAC);
    let ns = |src, dst, hop_limit, code, body: &[u8]| {
        framed(LAN_MAC, HOST_MAC, &icmp6((src, dst), hop_limit, (135, code), [0; 4], body))
    };
    let good = body(LAN_IP6, &option);
    let unspecified = Ipv6Addr::UNSPECIFIED;
    for frame in [
        ns(HOST_IP6, LAN_IP6, 254, 0, &good),
        ns(HOST_IP6, LAN_IP6, 255, 1, &good),
        ns(HOST_IP6, LAN_IP6, 255, 0, &good[..15]),
        ns(HOST_IP6, LAN_IP6, 255, 0, &body(LAN_IP6, &[1, 0, 0, 0, 0, 0, 0, 0])),
        ns(HOST_IP6, LAN_IP6, 255, 0, &body(LAN_IP6, &[1, 2, 0, 0, 0, 0, 0, 0])),
        ns(HOST_IP6, LAN_IP6, 255, 0, &body(LAN_IP6, &mac_option(1, [0xff; 6]))),
        ns(HOST_IP6, LAN_IP6, 255, 0, &body(ALL_NODES, &option)),
        ns(unspecified, group_of(LAN_IP6), 255, 0, &good),
        ns(unspecified, LAN_IP6, 255, 0, &body(LAN_IP6, &[])),
    ] {
        let before = rig.dropped(SlowDrop::NdInvalid);
        rig.punt(PuntCause::Ipv6ForUs, LAN, &frame);
        assert_eq!((rig.seen(), rig.dropped(SlowDrop::NdInvalid)), (vec![], before + 1));
    }
    let mut wrong = solicitation(HOST_IP6, LAN_IP6, &option);
    wrong[56] ^= 1;
    rig.punt(PuntCause::Ipv6ForUs, LAN, &wrong);
    assert_eq!((rig.seen(), rig.dropped(SlowDrop::BadChecksum)), (vec![], 1));
    rig.punt(PuntCause::Ipv6ForUs, LAN, &solicitation(HOST_IP6, WAN_IP6, &option));
    assert_eq!((rig.seen(), rig.dropped(SlowDrop::NotForUs)), (vec![], 1));
    rig.punt(PuntCause::Ipv6ForUs, LAN, &solicitation(LAN_IP6, LAN_IP6, &option));
    assert_eq!((rig.seen(), rig.slow_path.counters().address_conflicts), (vec![], 1));
}

#[test]
fn a_next_hop_is_solicited_at_its_group() {
    let mut rig = asking();
    let option = mac_option(1, WAN_MAC);
    let group = group_of(NEXT_IP6);
    let ip = icmp6((WAN_IP6, group), 255, (135, 0), [0; 4], &body(NEXT_IP6, &option));
    let expected = framed([0x33, 0x33, 0xff, 0, 0, 2], WAN_MAC, &ip);
    assert_eq!(rig.seen(), [Seen::Transmit(WAN, expected)]);
    rig.punt(PuntCause::Ipv6ForUs, WAN, &advertisement(0x60, Some(NEXT_MAC)));
    let packet = udp6(HOST_IP6, FAR_IP6, 63, 20);
    let resolved = Seen::Neighbour(WAN, NEXT, Some(NEXT_MAC));
    assert_eq!(rig.seen(), [resolved, Seen::Inject(packet)]);
}

#[test]
fn a_link_without_global_address_asks_from_its_link_local_one() {
    let mut rig = Rig::new();
    let mut interfaces = interfaces();
    interfaces[1].ipv6 = vec!["fe80::1/64".parse().unwrap()];
    rig.slow_path.set_interfaces(interfaces, &mut rig.actions);
    rig.glean(WAN, NEXT, &udp6(HOST_IP6, FAR_IP6, 63, 20));
    let seen = rig.seen();
    let [Seen::Transmit(WAN, frame)] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!(frame[22..38], [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe, 0, 0, 2]);
}

#[test]
fn silence_is_reported_as_address_unreachable() {
    let mut rig = asking();
    rig.seen();
    for _ in 0..3 {
        rig.next();
    }
    let Some(Seen::Inject(ip)) = rig.seen().pop() else { panic!("no report") };
    assert_eq!((&ip[8..24], &ip[24..40]), (&LAN_IP6.octets()[..], &HOST_IP6.octets()[..]));
    assert_eq!(ip[40..42], [1, 3]);
    assert_eq!(rig.slow_path.counters().nd_solicitations, 3);
}

#[test]
fn advertisements_update_by_their_flags() {
    let other = [2, 0, 0, 0, 0, 0xcc];
    let mut rig = asking();
    // No address in it: of no use (7.2.5).
    rig.punt(PuntCause::Ipv6ForUs, WAN, &advertisement(0x40, None));
    assert_eq!(rig.seen().len(), 1);
    rig.punt(PuntCause::Ipv6ForUs, WAN, &advertisement(0x40, Some(NEXT_MAC)));
    assert_eq!(rig.seen()[0], Seen::Neighbour(WAN, NEXT, Some(NEXT_MAC)));
    let reachable_until = rig.slow_path.next_deadline().unwrap();
    // Without override another address is not believed, but casts doubt.
    rig.punt(PuntCause::Ipv6ForUs, WAN, &advertisement(0x40, Some(other)));
    assert_eq!(rig.seen(), []);
    assert!(rig.slow_path.next_deadline().unwrap() < reachable_until);
    // The known one confirms.
    rig.punt(PuntCause::Ipv6ForUs, WAN, &advertisement(0x40, None));
    assert_eq!(rig.slow_path.next_deadline(), Some(reachable_until));
    // With override it replaces, unless the one that is known answers within a second.
    for answers in [true, false] {
        rig.poll_at(rig.now.saturating_add(Nanos::PER_SECOND));
        rig.punt(PuntCause::Ipv6ForUs, WAN, &advertisement(0x20, Some(other)));
        let seen = rig.seen();
        assert!(matches!(&seen[..], [Seen::Transmit(WAN, ask)] if ask[..6] == NEXT_MAC));
        if answers {
            rig.punt(PuntCause::Ipv6ForUs, WAN, &advertisement(0x60, Some(NEXT_MAC)));
            rig.poll_at(rig.now.saturating_add(Nanos::PER_SECOND));
            assert_eq!(rig.seen(), []);
        }
    }
    for _ in 0..3 {
        rig.next();
    }
    assert_eq!(rig.seen().pop(), Some(Seen::Neighbour(WAN, NEXT, Some(other))));
}

#[test]
fn messages_in_frames_to_other_stations_are_ignored() {
    let mut rig = asking();
    rig.seen();
    let mut frame = advertisement(0x60, Some(NEXT_MAC));
    frame[..6].copy_from_slice(&HOST_MAC);
    rig.punt(PuntCause::Ipv6ForUs, WAN, &frame);
    let mut frame = solicitation(HOST_IP6, LAN_IP6, &mac_option(1, HOST_MAC));
    frame[..6].copy_from_slice(&NEXT_MAC);
    rig.punt(PuntCause::Ipv6ForUs, LAN, &frame);
    assert_eq!((rig.seen(), rig.dropped(SlowDrop::OtherStation)), (vec![], 2));
}

#[test]
fn unasked_advertisements_create_nothing() {
    let mut rig = Rig::new();
    rig.punt(PuntCause::Ipv6ForUs, WAN, &advertisement(0x60, Some(NEXT_MAC)));
    assert_eq!((rig.seen(), rig.dropped(SlowDrop::NotForUs)), (vec![], 1));
}

#[test]
fn router_discovery_is_counted_and_ignored() {
    let mut rig = Rig::new();
    let all_routers = "ff02::2".parse().unwrap();
    for kind in [133, 134, 137] {
        let ip = icmp6((HOST_LINK_LOCAL, all_routers), 255, (kind, 0), [0; 4], &[]);
        rig.punt(PuntCause::Ipv6ForUs, LAN, &framed([0x33, 0x33, 0, 0, 0, 2], HOST_MAC, &ip));
    }
    assert_eq!((rig.seen(), rig.slow_path.counters().router_discovery_ignored), (vec![], 3));
}

#[test]
fn invalid_advertisements_are_dropped() {
    let mut rig = asking();
    rig.seen();
    let to_group = icmp6(
        (NEXT_IP6, ALL_NODES),
        255,
        (136, 0),
        [0x60, 0, 0, 0],
        &body(NEXT_IP6, &mac_option(2, NEXT_MAC)),
    );
    rig.punt(PuntCause::Ipv6ForUs, WAN, &framed([0x33, 0x33, 0, 0, 0, 1], NEXT_MAC, &to_group));
    assert_eq!((rig.seen(), rig.dropped(SlowDrop::NdInvalid)), (vec![], 1));
    rig.punt(PuntCause::Ipv6ForUs, WAN, &advertisement(0x60, Some(WAN_MAC)));
    assert_eq!((rig.seen(), rig.dropped(SlowDrop::LoopedBack)), (vec![], 1));
    let own = icmp6(
        (NEXT_IP6, WAN_IP6),
        255,
        (136, 0),
        [0x20, 0, 0, 0],
        &body(WAN_IP6, &mac_option(2, NEXT_MAC)),
    );
    rig.punt(PuntCause::Ipv6ForUs, WAN, &framed(WAN_MAC, NEXT_MAC, &own));
    assert_eq!((rig.seen(), rig.dropped(SlowDrop::AddressConflict)), (vec![], 1));
}

#[test]
fn the_source_of_a_request_is_the_address_on_the_neighbour_s_network() {
    let mut rig = Rig::new();
    let mut interfaces = interfaces();
    interfaces[1].ipv6.insert(0, "2001:db8:ff::1/64".parse().unwrap());
    interfaces[1].ipv4.insert(0, "10.0.0.1/8".parse().unwrap());
    rig.slow_path.set_interfaces(interfaces, &mut rig.actions);
    rig.glean(WAN, NEXT, &udp6(HOST_IP6, FAR_IP6, 63, 20));
    rig.glean(WAN, NEXT_IP.into(), &udp4(HOST_IP, FAR_IP, 63, 20));
    let seen = rig.seen();
    let [Seen::Transmit(WAN, nd), Seen::Transmit(WAN, arp)] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!((&nd[22..38], &arp[28..32]), (&WAN_IP6.octets()[..], &WAN_IP.octets()[..]));
}
