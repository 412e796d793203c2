use super::arp::arp;
use super::*;
use crate::punt::{Rate, Share};

const NEXT: IpAddr = IpAddr::V4(NEXT_IP);

fn packet() -> Vec<u8> {
    udp4(HOST_IP, FAR_IP, 63, 30)
}

fn answer(rig: &mut Rig) {
    rig.punt(PuntCause::Arp, WAN, &arp(2, (NEXT_MAC, NEXT_IP), (WAN_MAC, WAN_IP)));
}

#[test]
fn a_packet_waits_for_its_next_hop_and_goes_on_when_it_answers() {
    let mut rig = Rig::new();
    let mut padded = framed(LAN_MAC, HOST_MAC, &packet());
    padded.extend_from_slice(&[0; 6]);
    let mut punted = rig.punted(PuntCause::Glean, LAN, &padded);
    (punted.output, punted.next_hop) = (WAN, Some(NEXT));
    rig.give(punted);
    let request = [
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 2, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0,
        0, 0, 0, 2, 198, 51, 100, 1, 0, 0, 0, 0, 0, 0, 198, 51, 100, 2,
    ];
    assert_eq!(rig.seen(), [Seen::Transmit(WAN, request.to_vec())]);
    assert_eq!(rig.slow_path.counters().held, 1);
    rig.glean(WAN, NEXT, &packet());
    assert_eq!(rig.seen(), []);
    answer(&mut rig);
    let resolved = Seen::Neighbour(WAN, NEXT, Some(NEXT_MAC));
    assert_eq!(rig.seen(), [resolved, Seen::Inject(packet()), Seen::Inject(packet())]);
    let counters = rig.slow_path.counters();
    assert_eq!((counters.resent, counters.consumed, counters.held), (2, 1, 0));
}

#[test]
fn without_a_next_hop_the_destination_is_the_neighbour() {
    let mut rig = Rig::new();
    let frame = framed(LAN_MAC, HOST_MAC, &udp4(HOST_IP, NEXT_IP, 63, 0));
    let mut punted = rig.punted(PuntCause::Glean, LAN, &frame);
    punted.output = WAN;
    rig.give(punted);
    assert!(
        matches!(&rig.seen()[..], [Seen::Transmit(WAN, arp)] if arp[38..] == [198, 51, 100, 2])
    );
}

#[test]
fn three_requests_a_second_apart_then_host_unreachable_then_silence() {
    let mut rig = Rig::new();
    let start = rig.now;
    rig.glean(WAN, NEXT, &packet());
    rig.glean(WAN, NEXT, &packet());
    assert_eq!(rig.seen().len(), 1);
    for second in 1..=2 {
        rig.next();
        assert_eq!(rig.now, start.saturating_add(second * Nanos::PER_SECOND));
        assert!(matches!(&rig.seen()[..], [Seen::Transmit(WAN, _)]));
    }
    rig.next();
    let seen = rig.seen();
    assert_eq!((rig.now, seen.len()), (start.saturating_add(3 * Nanos::PER_SECOND), 2));
    for seen in seen {
        let Seen::Inject(ip) = seen else { panic!("{seen:?}") };
        assert_eq!(ip[12..20], [192, 0, 2, 1, 192, 0, 2, 10]);
        assert_eq!(ip[20..22], [3, 1]);
        assert_eq!(ip[28..], packet());
    }
    // Absent for three seconds: dropped without asking.
    rig.glean(WAN, NEXT, &packet());
    assert_eq!((rig.seen(), rig.dropped(SlowDrop::NeighbourAbsent)), (vec![], 1));
    rig.next();
    assert_eq!(rig.now, start.saturating_add(6 * Nanos::PER_SECOND));
    assert_eq!(rig.slow_path.next_deadline(), None);
    rig.glean(WAN, NEXT, &packet());
    assert_eq!(rig.seen().len(), 1);
    assert_eq!(rig.slow_path.counters().arp_requests, 4);
}

#[test]
fn an_absent_neighbour_that_speaks_is_back() {
    let mut rig = Rig::new();
    rig.glean(WAN, NEXT, &packet());
    for _ in 0..3 {
        rig.next();
    }
    rig.seen();
    answer(&mut rig);
    assert_eq!(rig.seen(), [Seen::Neighbour(WAN, NEXT, Some(NEXT_MAC))]);
}

#[test]
fn hold_queues_are_bounded_for_a_neighbour_and_in_all() {
    let limits = Limits { held_per_interface: 12, held_total: 16, ..Limits::default() };
    let mut rig = Rig::with(limits);
    rig.glean(LAN, HOST_IP.into(), &packet());
    for n in 0..10 {
        rig.glean(WAN, NEXT, &udp4(HOST_IP, FAR_IP, 63, n));
    }
    assert_eq!(rig.dropped(SlowDrop::HoldQueueFull), 6);
    for host in 20..30 {
        rig.glean(WAN, Ipv4Addr::new(198, 51, 100, host).into(), &packet());
    }
    // Of its own interface, the oldest gave way: two of the four.
    let counters = rig.slow_path.counters();
    assert_eq!((counters.held, counters.dropped(SlowDrop::HoldFull)), (13, 2));
    // All together have too many: the interface with most gives way.
    for host in 20..25 {
        rig.glean(LAN, Ipv4Addr::new(192, 0, 2, host).into(), &packet());
    }
    let counters = rig.slow_path.counters();
    assert_eq!((counters.held, counters.dropped(SlowDrop::HoldFull)), (16, 4));
    // Whoever was asked for has been asked.
    assert_eq!(rig.slow_path.counters().arp_requests, 17);
    rig.seen();
    answer(&mut rig);
    rig.punt(PuntCause::Arp, LAN, &arp(2, (HOST_MAC, HOST_IP), (LAN_MAC, LAN_IP)));
    let sent = rig.seen().iter().filter(|seen| matches!(seen, Seen::Inject(_))).count();
    assert_eq!(sent, 1);
    rig.slow_path.drain();
    assert_eq!(rig.dropped(SlowDrop::RunEnded), 15);
}

#[test]
fn the_youngest_packets_of_a_neighbour_go_on() {
    let mut rig = Rig::new();
    for n in 0..10 {
        rig.glean(WAN, NEXT, &udp4(HOST_IP, FAR_IP, 63, n));
    }
    rig.seen();
    answer(&mut rig);
    let seen = rig.seen();
    let sent = seen.iter().filter_map(|seen| match seen {
        Seen::Inject(ip) => Some(ip.len() - 28),
        _ => None,
    });
    assert_eq!(sent.collect::<Vec<_>>(), [6, 7, 8, 9]);
}

#[test]
fn who_answers_when_too_many_are_known_counts_as_absent() {
    let mut rig = Rig::with(Limits { neighbours_per_interface: 1, ..Limits::default() });
    rig.glean(WAN, NEXT, &packet());
    answer(&mut rig);
    let other = Ipv4Addr::new(198, 51, 100, 9);
    rig.glean(WAN, other.into(), &packet());
    rig.seen();
    rig.punt(PuntCause::Arp, WAN, &arp(2, (HOST_MAC, other), (WAN_MAC, WAN_IP)));
    assert_eq!((rig.seen(), rig.dropped(SlowDrop::NeighboursFull)), (vec![], 1));
    rig.glean(WAN, other.into(), &packet());
    assert_eq!((rig.seen(), rig.dropped(SlowDrop::NeighbourAbsent)), (vec![], 1));
    // The one that is known goes on, static ones fit, and so do those of other interfaces.
    rig.glean(WAN, NEXT, &packet());
    rig.slow_path.add_static_neighbour(WAN, other.into(), HOST_MAC);
    rig.poll_at(rig.now);
    rig.glean(LAN, HOST_IP.into(), &packet());
    rig.punt(PuntCause::Arp, LAN, &arp(2, (HOST_MAC, HOST_IP), (LAN_MAC, LAN_IP)));
    let known = |uidb, address: IpAddr, mac| Seen::Neighbour(uidb, address, Some(mac));
    let seen = rig.seen();
    assert_eq!(seen[..2], [known(WAN, NEXT, NEXT_MAC), Seen::Inject(packet())]);
    assert_eq!(seen[2], known(WAN, other.into(), HOST_MAC));
    assert_eq!(seen[4..], [known(LAN, HOST_IP.into(), HOST_MAC), Seen::Inject(packet())]);
    assert_eq!(rig.slow_path.counters().neighbours_over_limit, 1);
}

#[test]
fn a_neighbour_that_the_fast_path_refuses_counts_as_absent_for_a_while() {
    let mut rig = Rig::new();
    for fixed in [false, true] {
        if fixed {
            rig.slow_path.add_static_neighbour(WAN, NEXT, NEXT_MAC);
            rig.poll_at(rig.now);
        } else {
            rig.glean(WAN, NEXT, &packet());
            answer(&mut rig);
        }
        rig.seen();
        rig.slow_path.neighbour_refused(rig.now, WAN, NEXT);
        for _ in 0..100 {
            rig.glean(WAN, NEXT, &packet());
        }
        assert_eq!(rig.seen(), []);
        rig.poll_at(rig.now.saturating_add(3 * Nanos::PER_SECOND));
        if fixed {
            assert_eq!(rig.seen(), [Seen::Neighbour(WAN, NEXT, Some(NEXT_MAC))]);
        } else {
            rig.glean(WAN, NEXT, &packet());
            assert!(matches!(&rig.seen()[..], [Seen::Transmit(WAN, _)]));
        }
    }
    assert_eq!(rig.dropped(SlowDrop::NeighbourAbsent), 100);
    assert_eq!(rig.dropped(SlowDrop::NeighboursFull), 100);
}

#[test]
fn one_packet_goes_round_three_times_at_most() {
    let mut rig = Rig::new();
    rig.slow_path.add_static_neighbour(WAN, NEXT, NEXT_MAC);
    rig.poll_at(rig.now);
    rig.seen();
    let mut input = LAN;
    let mut frame = framed([0xff; 6], HOST_MAC, &packet());
    for round in 0..6 {
        let mut punted = rig.punted(PuntCause::IncompleteAdjacency, input, &frame);
        (punted.output, punted.next_hop) = (WAN, Some(NEXT));
        rig.give(punted);
        let resent = rig.actions.drain(..).find_map(|action| match action {
            Action::Forward { packet, .. } => Some(packet),
            _ => None,
        });
        assert_eq!(resent.is_some(), round < 3, "round {round}");
        // As the fast path punts it again.
        if let Some(packet) = resent {
            frame = packet.frame().to_vec();
            input = UidbIndex::RECYCLE;
        }
        rig.poll_at(rig.now.saturating_add(Nanos::PER_SECOND));
    }
    assert_eq!(rig.dropped(SlowDrop::WentRound), 3);
}

#[test]
fn a_known_neighbour_is_asked_before_it_is_given_up() {
    let mut rig = Rig::new();
    rig.glean(WAN, NEXT, &packet());
    answer(&mut rig);
    rig.seen();
    let learnt = rig.now;
    for n in 0..3 {
        rig.next();
        assert_eq!(rig.now, learnt.saturating_add((240 + n) * Nanos::PER_SECOND));
        let seen = rig.seen();
        let [Seen::Transmit(WAN, request)] = &seen[..] else { panic!("{seen:?}") };
        assert_eq!(request[..6], NEXT_MAC);
    }
    answer(&mut rig);
    assert_eq!(rig.seen(), []);
    for _ in 0..4 {
        rig.next();
    }
    let lost = rig.seen().pop();
    assert_eq!(lost, Some(Seen::Neighbour(WAN, NEXT, None)));
    assert_eq!(rig.slow_path.counters().neighbours_lost, 1);
    assert_eq!(rig.slow_path.next_deadline(), None);
}

#[test]
fn a_static_neighbour_is_announced_never_asked_and_never_replaced() {
    let mut rig = Rig::new();
    rig.glean(WAN, NEXT, &packet());
    rig.seen();
    rig.slow_path.add_static_neighbour(WAN, NEXT, HOST_MAC);
    rig.next();
    assert_eq!(rig.seen(), [Seen::Neighbour(WAN, NEXT, Some(HOST_MAC)), Seen::Inject(packet())]);
    assert_eq!(rig.slow_path.next_deadline(), None);
    answer(&mut rig);
    assert_eq!(rig.seen(), []);
    rig.slow_path.remove_neighbour(WAN, NEXT, &mut rig.actions);
    assert_eq!(rig.seen(), [Seen::Neighbour(WAN, NEXT, None)]);
}

#[test]
fn a_packet_cannot_go_round_for_ever() {
    let resend = Rate { per_second: 1, burst: 4 };
    let resend_share = Share { interface: Rate { per_second: 0, burst: 0 }, source: resend };
    let mut rig = Rig::with(Limits { resend, resend_share, ..Limits::default() });
    rig.slow_path.add_static_neighbour(WAN, NEXT, NEXT_MAC);
    let now = rig.now;
    rig.poll_at(now);
    rig.poll_at(now.saturating_add(60 * Nanos::PER_SECOND));
    rig.seen();
    for _ in 0..10 {
        rig.glean(WAN, NEXT, &packet());
    }
    assert_eq!(rig.dropped(SlowDrop::ResendLimit), 6);
    let again = [Seen::Neighbour(WAN, NEXT, Some(NEXT_MAC)), Seen::Inject(packet())];
    assert_eq!(rig.seen()[..2], again);
}

#[test]
fn neighbours_go_with_their_interface() {
    let mut rig = Rig::new();
    rig.slow_path.add_static_neighbour(LAN, HOST_IP.into(), HOST_MAC);
    rig.glean(WAN, NEXT, &packet());
    rig.seen();
    let left = interfaces().into_iter().filter(|interface| interface.uidb != LAN).collect();
    rig.slow_path.set_interfaces(left, &mut rig.actions);
    assert_eq!(rig.seen(), [Seen::Neighbour(LAN, HOST_IP.into(), None)]);
    rig.slow_path.set_interfaces(vec![], &mut rig.actions);
    assert_eq!((rig.seen(), rig.dropped(SlowDrop::InterfaceRemoved)), (vec![], 1));
    assert!(rig.slow_path.counters().conserved());
    rig.glean(WAN, NEXT, &packet());
    assert_eq!(rig.dropped(SlowDrop::NoInterface), 1);
}

#[test]
fn groups_and_own_addresses_are_no_next_hops() {
    let mut rig = Rig::new();
    for next_hop in ["224.0.0.5", "198.51.100.255", "198.51.100.1", "0.0.0.0", "ff02::1", "::"] {
        rig.glean(WAN, next_hop.parse().unwrap(), &packet());
    }
    assert_eq!((rig.seen(), rig.dropped(SlowDrop::BadNextHop)), (vec![], 6));
    rig.glean(QINQ, NEXT_IP6.into(), &packet());
    assert_eq!((rig.seen(), rig.dropped(SlowDrop::NoAddress)), (vec![], 1));
}

#[test]
fn time_that_stands_still_or_jumps_does_no_harm() {
    let mut rig = Rig::new();
    rig.glean(WAN, NEXT, &packet());
    for _ in 0..10 {
        rig.poll_at(Nanos::MAX);
    }
    assert_eq!(rig.slow_path.counters().neighbours_absent, 1);
    rig.poll_at(Nanos::ZERO);
}
