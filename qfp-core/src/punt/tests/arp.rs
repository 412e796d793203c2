use super::*;

/// An ARP frame to everybody.
pub(super) fn arp(
    operation: u8,
    sender: ([u8; 6], Ipv4Addr),
    target: ([u8; 6], Ipv4Addr),
) -> Vec<u8> {
    let mut frame = [&[0xff; 6][..], &sender.0, &[8, 6, 0, 1, 8, 0, 6, 4, 0, operation]].concat();
    for (mac, ip) in [sender, target] {
        frame.extend_from_slice(&mac);
        frame.extend_from_slice(&ip.octets());
    }
    frame
}

#[test]
fn a_request_for_an_own_address_is_answered_and_teaches_the_sender() {
    let mut rig = Rig::new();
    rig.punt(PuntCause::Arp, LAN, &arp(1, (HOST_MAC, HOST_IP), ([0; 6], LAN_IP)));
    let reply = [
        2, 0, 0, 0, 0, 0xaa, 2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 2, 2, 0, 0, 0, 0, 1, 192,
        0, 2, 1, 2, 0, 0, 0, 0, 0xaa, 192, 0, 2, 10,
    ];
    assert_eq!(rig.seen(), [Seen::Transmit(LAN, reply.to_vec())]);
    let counters = rig.slow_path.counters();
    assert_eq!((counters.answered, counters.arp_replies), (1, 1));
    // The fast path learns of it when there is a packet for it, which does not wait.
    let packet = udp4(FAR_IP, HOST_IP, 63, 30);
    rig.glean(LAN, HOST_IP.into(), &packet);
    let known = Seen::Neighbour(LAN, HOST_IP.into(), Some(HOST_MAC));
    assert_eq!(rig.seen(), [known, Seen::Inject(packet)]);
}

#[test]
fn the_reply_carries_the_tags_of_its_interface() {
    let mut rig = Rig::new();
    let mut request =
        arp(1, (HOST_MAC, Ipv4Addr::new(203, 0, 113, 2)), ([0; 6], Ipv4Addr::new(203, 0, 113, 1)));
    request.splice(12..12, [0x88, 0xa8, 0, 100, 0x81, 0, 0, 200]);
    let mut punted = rig.punted(PuntCause::Arp, QINQ, &request);
    punted.l3_offset = 22;
    rig.give(punted);
    let seen = rig.seen();
    let Seen::Transmit(QINQ, reply) = &seen[0] else { panic!("{seen:?}") };
    assert_eq!(reply[12..22], [0x88, 0xa8, 0, 100, 0x81, 0, 0, 200, 8, 6]);
    assert_eq!(reply.len(), 14 + 8 + 28);
}

#[test]
fn a_probe_is_answered_and_teaches_nothing() {
    let mut rig = Rig::new();
    let probe = arp(1, (HOST_MAC, Ipv4Addr::UNSPECIFIED), ([0; 6], LAN_IP));
    rig.punt(PuntCause::Arp, LAN, &probe);
    let seen = rig.seen();
    assert!(matches!(&seen[..], [Seen::Transmit(LAN, reply)] if reply[38..42] == [0; 4]));
}

#[test]
fn a_conflict_is_counted_and_not_answered() {
    let mut rig = Rig::new();
    rig.punt(PuntCause::Arp, LAN, &arp(1, (HOST_MAC, LAN_IP), ([0; 6], LAN_IP)));
    assert_eq!(rig.seen(), []);
    assert_eq!(rig.slow_path.counters().address_conflicts, 1);
    assert_eq!(rig.dropped(SlowDrop::AddressConflict), 1);
}

#[test]
fn nobody_is_believed_who_cannot_be_on_the_link() {
    let mut rig = Rig::new();
    let target = ([0; 6], LAN_IP);
    for (sender, reason) in [
        ((HOST_MAC, FAR_IP), SlowDrop::NotOnLink),
        ((HOST_MAC, Ipv4Addr::new(192, 0, 2, 255)), SlowDrop::NotOnLink),
        ((HOST_MAC, Ipv4Addr::new(192, 0, 2, 0)), SlowDrop::NotOnLink),
        (([3, 0, 0, 0, 0, 1], HOST_IP), SlowDrop::Malformed),
        (([0xff; 6], HOST_IP), SlowDrop::Malformed),
        (([0; 6], HOST_IP), SlowDrop::Malformed),
        ((LAN_MAC, HOST_IP), SlowDrop::LoopedBack),
    ] {
        let before = rig.dropped(reason);
        rig.punt(PuntCause::Arp, LAN, &arp(1, sender, target));
        assert_eq!((rig.seen(), rig.dropped(reason)), (vec![], before + 1), "{sender:?}");
    }
}

#[test]
fn malformed_messages_are_dropped() {
    let mut rig = Rig::new();
    let good = arp(1, (HOST_MAC, HOST_IP), ([0; 6], LAN_IP));
    for (at, value) in [(15, 6), (16, 9), (18, 8), (19, 16), (21, 3), (20, 1)] {
        let mut frame = good.clone();
        frame[at] = value;
        rig.punt(PuntCause::Arp, LAN, &frame);
    }
    rig.punt(PuntCause::Arp, LAN, &good[..41]);
    rig.punt(PuntCause::Arp, LAN, &[]);
    assert_eq!((rig.seen(), rig.dropped(SlowDrop::Malformed)), (vec![], 8));
    rig.punt(PuntCause::Arp, UidbIndex(77), &good);
    assert_eq!((rig.seen(), rig.dropped(SlowDrop::NoInterface)), (vec![], 1));
}

/// Whether a packet to `host` on the LAN is sent at once, and to whom.
fn sent_to(rig: &mut Rig, host: Ipv4Addr) -> Option<[u8; 6]> {
    rig.glean(LAN, host.into(), &udp4(FAR_IP, host, 63, 30));
    rig.seen().into_iter().find_map(|seen| match seen {
        Seen::Neighbour(LAN, address, mac) if address == IpAddr::V4(host) => mac,
        _ => None,
    })
}

#[test]
fn what_is_said_to_others_and_answers_to_nobody_create_nothing() {
    let other = Ipv4Addr::new(192, 0, 2, 20);
    for frame in [
        arp(1, (HOST_MAC, HOST_IP), ([0; 6], other)),
        arp(1, (HOST_MAC, HOST_IP), ([0; 6], HOST_IP)),
        arp(2, (HOST_MAC, HOST_IP), (LAN_MAC, LAN_IP)),
        arp(2, (HOST_MAC, HOST_IP), ([0xff; 6], HOST_IP)),
    ] {
        let mut rig = Rig::new();
        rig.punt(PuntCause::Arp, LAN, &frame);
        assert_eq!((rig.seen(), rig.dropped(SlowDrop::NotForUs)), (vec![], 1));
        assert_eq!(sent_to(&mut rig, HOST_IP), None);
    }
}

#[test]
fn messages_in_frames_to_other_stations_are_ignored() {
    let mut rig = Rig::new();
    for operation in [1, 2] {
        let mut frame = arp(operation, (HOST_MAC, HOST_IP), (LAN_MAC, LAN_IP));
        frame[..6].copy_from_slice(&NEXT_MAC);
        rig.punt(PuntCause::Arp, LAN, &frame);
        assert_eq!(rig.seen(), []);
    }
    assert_eq!(rig.dropped(SlowDrop::OtherStation), 2);
    assert_eq!(sent_to(&mut rig, HOST_IP), None);
}

/// A rig that knows the host, by its answer.
fn knowing() -> Rig {
    let mut rig = Rig::new();
    assert_eq!(sent_to(&mut rig, HOST_IP), None);
    rig.punt(PuntCause::Arp, LAN, &arp(2, (HOST_MAC, HOST_IP), (LAN_MAC, LAN_IP)));
    assert_eq!(rig.seen()[0], Seen::Neighbour(LAN, HOST_IP.into(), Some(HOST_MAC)));
    rig
}

/// What others say of a host to take its place: by request, announcement (RFC 5227 3) and answer.
fn claims() -> [Vec<u8>; 3] {
    [
        arp(1, (NEXT_MAC, HOST_IP), ([0; 6], LAN_IP)),
        arp(1, (NEXT_MAC, HOST_IP), ([0; 6], HOST_IP)),
        arp(2, (NEXT_MAC, HOST_IP), (LAN_MAC, LAN_IP)),
    ]
}

#[test]
fn who_claims_a_known_address_waits_until_its_owner_does_not_answer() {
    for claim in claims() {
        let mut rig = knowing();
        let start = rig.now;
        rig.punt(PuntCause::Arp, LAN, &claim);
        rig.next();
        rig.next();
        // Three requests to the old address alone, within a second.
        let asked = rig.seen();
        let asks = asked.iter().filter(
            |seen| matches!(seen, Seen::Transmit(LAN, ask) if ask[..6] == HOST_MAC && ask[21] == 1),
        );
        assert_eq!(asks.count(), 3);
        rig.next();
        assert!(rig.now <= start.saturating_add(Nanos::PER_SECOND));
        assert_eq!(rig.seen(), [Seen::Neighbour(LAN, HOST_IP.into(), Some(NEXT_MAC))]);
        assert_eq!(rig.slow_path.counters().neighbours_contested, 1);
        // It is asked itself, and forgotten if it was all a lie.
        for _ in 0..4 {
            rig.next();
        }
        assert_eq!(rig.seen().pop(), Some(Seen::Neighbour(LAN, HOST_IP.into(), None)));
    }
}

#[test]
fn a_known_neighbour_that_answers_keeps_its_address_whoever_claims_it() {
    let mut rig = knowing();
    for n in 0..50_u64 {
        for claim in claims() {
            rig.punt(PuntCause::Arp, LAN, &claim);
        }
        let is_request = |seen: &Seen| matches!(seen, Seen::Transmit(LAN, arp) if arp[21] == 1);
        let asked = rig.seen().into_iter().filter(is_request).count();
        assert_eq!(asked, usize::from(n % 10 == 0), "one question a second");
        rig.punt(PuntCause::Arp, LAN, &arp(2, (HOST_MAC, HOST_IP), (LAN_MAC, LAN_IP)));
        rig.poll_at(rig.now.saturating_add(100 * Nanos::PER_MILLI));
        assert_eq!(rig.seen(), []);
    }
    assert_eq!(sent_to(&mut rig, HOST_IP), Some(HOST_MAC));
}

#[test]
fn of_two_strangers_with_one_address_neither_is_believed() {
    let mut rig = Rig::new();
    rig.punt(PuntCause::Arp, LAN, &arp(1, (HOST_MAC, HOST_IP), ([0; 6], LAN_IP)));
    rig.punt(PuntCause::Arp, LAN, &arp(1, (NEXT_MAC, HOST_IP), ([0; 6], LAN_IP)));
    rig.seen();
    assert_eq!(sent_to(&mut rig, HOST_IP), None);
    assert_eq!(rig.slow_path.counters().arp_requests, 1);
}
