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
    assert_eq!(
        rig.seen(),
        [Seen::Neighbour(LAN, HOST_IP.into(), Some(HOST_MAC)), Seen::Transmit(LAN, reply.to_vec())]
    );
    let counters = rig.slow_path.counters();
    assert_eq!((counters.answered, counters.arp_replies, counters.neighbours_learnt), (1, 1, 1));
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
    let Seen::Transmit(QINQ, reply) = &seen[1] else { panic!("{seen:?}") };
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

#[test]
fn what_is_said_to_others_updates_but_does_not_create() {
    let mut rig = Rig::new();
    let other = Ipv4Addr::new(192, 0, 2, 20);
    rig.punt(PuntCause::Arp, LAN, &arp(1, (HOST_MAC, HOST_IP), ([0; 6], other)));
    assert_eq!((rig.seen(), rig.dropped(SlowDrop::NotForUs)), (vec![], 1));
    rig.punt(PuntCause::Arp, LAN, &arp(1, (HOST_MAC, HOST_IP), ([0; 6], LAN_IP)));
    rig.seen();
    // Gratuitous, from another MAC address (RFC 5227 3).
    rig.punt(PuntCause::Arp, LAN, &arp(1, (NEXT_MAC, HOST_IP), ([0; 6], HOST_IP)));
    assert_eq!(rig.seen(), [Seen::Neighbour(LAN, HOST_IP.into(), Some(NEXT_MAC))]);
    assert_eq!(rig.slow_path.counters().consumed, 1);
}
