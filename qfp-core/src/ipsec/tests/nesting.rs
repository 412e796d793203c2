//! Packets that walk several times.

use super::rig::{Agreement, Build, LAN, WAN, plan};
use crate::adjacency::AdjacencyKind;
use crate::counters::LoopEvent;
use crate::fia::tests::bench::Hop;
use crate::ipsec::Mode;
use crate::l3::scalar::tests::ipv4;
use crate::packet::DropReason;

#[test]
fn a_tunnel_that_leads_into_itself_ends() {
    let agreed = Agreement::default();
    let mut loops = plan(1, Mode::Tunnel);
    // The peer's address is reached through the tunnel to it.
    loops.routes.retain(|(prefix, _)| prefix.to_string() != "192.0.2.2/32");
    loops.route("192.0.2.2/32", Hop::new(AdjacencyKind::Featured, 5, 14).mtu(1400));
    let mut west = Build { plan: loops, ..Build::of(1, &agreed) }.gateway();
    let packet = ipv4([10, 1, 0, 9], [10, 2, 0, 9], 64, &[], &[7; 30]);
    assert!(west.walk(LAN, &vec![packet; 70]).is_empty());
    // The headroom ends before the patience does, or the other way round: each packet once.
    let drops = west.drops();
    assert_eq!(drops.iter().map(|(_, count)| count).sum::<u64>(), 70);
    let known = [DropReason::EspNoRoom, DropReason::RecirculationLimit];
    assert!(drops.iter().all(|(reason, _)| known.contains(reason)), "{drops:?}");
    assert!(west.totals.event(LoopEvent::Recirculated) <= 70 * 8);
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
    assert_eq!(east.totals.interface(crate::uidb::UidbIndex(5)).in_packets, 64);
    assert_eq!(east.totals.interface(crate::uidb::UidbIndex(5)).out_packets, 64);
    assert_eq!(east.totals.event(LoopEvent::Received), 64);
    assert_eq!(east.totals.event(LoopEvent::Sent), 64);
}
