//! Packets that walk several times.

use super::rig::{Agreement, Build, LAN, WAN, plan};
use crate::adjacency::AdjacencyKind;
use crate::counters::LoopEvent;
use crate::fia::tests::bench::Hop;
use crate::fia::{TraceOutcome, TracedPacket};
use crate::ipsec::Mode;
use crate::l3::scalar::tests::ipv4;
use crate::packet::DropReason;
use crate::uidb::UidbIndex;

#[test]
fn a_tunnel_that_leads_into_itself_ends() {
    let agreed = Agreement::default();
    let mut loops = plan(1, Mode::Tunnel);
    // The peer's address is reached through the tunnel to it.
    loops.routes.retain(|(prefix, _)| prefix.to_string() != "192.0.2.2/32");
    loops.route("192.0.2.2/32", Hop::new(AdjacencyKind::Featured, 5, 14).mtu(1400));
    let mut west = Build { plan: loops, ..Build::of(1, &agreed) }.gateway();
    let packet = ipv4([10, 1, 0, 9], [10, 2, 0, 9], 64, &[], &[7; 30]);
    west.ppe.trace(3);
    assert!(west.walk(LAN, &vec![packet; 70]).is_empty());
    // The headroom ends before the patience does, or the other way round: each packet once.
    let drops = west.drops();
    assert_eq!(drops.iter().map(|(_, count)| count).sum::<u64>(), 70);
    let known = [DropReason::EspNoRoom, DropReason::RecirculationLimit];
    assert!(drops.iter().all(|(reason, _)| known.contains(reason)), "{drops:?}");
    assert!(west.totals.event(LoopEvent::Recirculated) <= 70 * 8);
    let traced = west.ppe.take_traces();
    assert!(traced.len() >= 6, "{traced:?}");
    let (ended, others) =
        traced.split_at_checked(traced.len() - 3).map_or((&[][..], &[][..]), |(a, b)| (b, a));
    let is_known = |outcome| matches!(outcome, TraceOutcome::Dropped(r) if known.contains(&r));
    assert!(ended.iter().all(|walk| is_known(walk.outcome)), "{ended:?}");
    assert!(others.iter().all(|walk| walk.outcome == TraceOutcome::Again));
}

/// What the slow path has cut to the tunnel's MTU goes through the tunnel.
#[test]
fn fragments_that_the_slow_path_makes_for_a_tunnel_are_protected() {
    let agreed = Agreement::default();
    let mut west = Build::of(1, &agreed).gateway();
    let fragments = [0, 100].map(|offset| {
        let mut packet = ipv4([10, 1, 0, 9], [10, 2, 0, 9], 63, &[], &[7; 800]);
        packet[7] = offset;
        crate::ipsec::header::set_ipv4_checksum(&mut packet[..20]);
        packet
    });
    let sealed = west.transmit(5, &fragments);
    assert_eq!(sealed.len(), 2);
    let mut east = Build::of(2, &agreed).gateway();
    let opened = east.through(WAN, LAN, &sealed);
    let ends = opened.iter().map(|packet| (packet[7], packet[8])).collect::<Vec<_>>();
    assert_eq!(ends, [(0, 62), (100, 62)]);
}

/// Options are looked at where a packet comes out of a tunnel as they are anywhere.
#[test]
fn a_source_route_inside_a_tunnel_goes_to_the_slow_path() {
    let agreed = Agreement::default();
    let mut west = Build::of(1, &agreed).gateway();
    let mut east = Build::of(2, &agreed).gateway();
    let plain = ipv4([10, 1, 0, 9], [10, 2, 0, 9], 64, &[1, 1, 1, 0], &[7; 30]);
    let alert = ipv4([10, 1, 0, 9], [10, 2, 0, 9], 64, &[148, 4, 0, 0], &[7; 30]);
    // As a host behind the west would have sealed it itself.
    let sealed = west.transmit(5, &[plain, alert]);
    assert_eq!(east.through(WAN, LAN, &sealed).len(), 1);
    assert_eq!(east.totals.punts(crate::packet::PuntCause::Ipv4Options), 1);
}

/// From one tunnel into another, as a hub does it: one vector, two walks more.
#[test]
fn a_hub_leads_from_one_tunnel_into_another() {
    let agreed = Agreement::default();
    let mut hub = plan(2, Mode::Tunnel);
    // What lies behind the east is reached through the tunnel back.
    hub.route("10.77.0.0/16", Hop::new(AdjacencyKind::Featured, 5, 14).mtu(1400));
    let mut outside = plan(1, Mode::Tunnel);
    outside.route("10.77.0.0/16", Hop::new(AdjacencyKind::Featured, 5, 14).mtu(1400));
    let mut west = Build { plan: outside, ..Build::of(1, &agreed) }.gateway();
    let mut east = Build { plan: hub, ..Build::of(2, &agreed) }.gateway();
    let packet = ipv4([10, 1, 0, 9], [10, 77, 0, 9], 64, &[], &[7; 30]);
    let sealed = west.through(LAN, WAN, &vec![packet.clone(); 64]);
    let again = east.through(WAN, WAN, &sealed);
    assert_eq!(again.len(), 64);
    assert_eq!(east.totals.event(LoopEvent::Recirculated), 128);
    assert_eq!(east.totals.event(LoopEvent::Vectors), 3);
    assert_eq!(east.totals.interface(UidbIndex(5)).in_packets, 64);
    assert_eq!(east.totals.interface(UidbIndex(5)).out_packets, 64);
    assert_eq!(east.totals.event(LoopEvent::Received), 64);
    assert_eq!(east.totals.event(LoopEvent::Sent), 64);
}

/// A trace goes on where a packet comes in again.
#[test]
fn a_trace_follows_a_packet_through_all_of_its_walks() {
    let agreed = Agreement::default();
    let mut west = Build::of(1, &agreed).gateway();
    let mut east = Build::of(2, &agreed).gateway();
    let packets: Vec<_> =
        (0..3).map(|n| ipv4([10, 1, 0, 9], [10, 2, 0, 9], 64, &[], &[n; 30])).collect();
    west.ppe.trace(2);
    let sealed = west.through(LAN, WAN, &packets);
    east.ppe.trace(2);
    east.through(WAN, LAN, &sealed);
    let sides =
        [(&mut west, "esp-encap", UidbIndex::CRYPTO), (&mut east, "esp-decap", UidbIndex(5))];
    for (gateway, row, input) in sides {
        let traced = gateway.ppe.take_traces();
        let numbers: Vec<_> = traced.iter().map(|walk| (walk.number, walk.outcome)).collect();
        let (again, sent) = (TraceOutcome::Again, TraceOutcome::Sent);
        assert_eq!(numbers, [(0, again), (1, again), (0, sent), (1, sent)]);
        let rows = |walk: &TracedPacket| walk.steps.iter().map(|step| step.row).collect::<Vec<_>>();
        for (first, second) in traced[..2].iter().zip(&traced[2..]) {
            assert_eq!((rows(first).last(), rows(second).last()), (Some(&row), Some(&"tx")));
            assert!(rows(second).contains(&"l3-parse"));
            assert_eq!((first.input == input, second.input), (false, input));
            assert_eq!(first.after, second.before);
        }
    }
}
