//! Security policies: what is protected, passes or is discarded, in both directions.

use super::rig::{Agreement, Build, Gateway, LAN, TUNNEL, WAN, WAN_UIDB, plan, wan};
use crate::acl::Pattern4;
use crate::adjacency::AdjacencyKind;
use crate::fia::Gate;
use crate::fia::tests::bench::Hop;
use crate::ipsec::{Mode, SpdAction};
use crate::l3::scalar::tests::ipv4;
use crate::packet::DropReason;
use crate::tables::table_kind;
use crate::uidb::UidbIndex;
use crate::wire::protocol;

/// UDP to and from port 53 of the other side passes, port 54 is discarded, the rest between the two
/// networks is protected.
fn entries(side: u8) -> Vec<(Pattern4, Pattern4, SpdAction)> {
    let net = |n: u8| u32::from_be_bytes([10, n, 0, 0]);
    let (ours, theirs, mask) = (net(side), net(3 - side), 0xffff_0000);
    let out = Pattern4::any().source(ours, mask).destination(theirs, mask);
    let within = Pattern4::any().source(theirs, mask).destination(ours, mask);
    let to = |port: u16| out.protocol(protocol::UDP, 255).destination_port(&(port..=port));
    let from = |port: u16| within.protocol(protocol::UDP, 255).destination_port(&(port..=port));
    vec![
        (to(53), from(53), SpdAction::Bypass),
        (to(54), from(54), SpdAction::Discard),
        (out, within, SpdAction::Protect(UidbIndex(TUNNEL))),
    ]
}

/// A side whose WAN has these policies; the other side's network is routed to the WAN.
fn gateway(side: u8, agreed: &Agreement) -> Gateway {
    let mut plan = plan(side, Mode::Tunnel);
    let other = format!("10.{}.0.0/16", 3 - side);
    plan.routes.retain(|(prefix, _)| prefix.to_string() != other);
    plan.route(&other, Hop::new(AdjacencyKind::Featured, WAN_UIDB, 14));
    for uidb in [4, 5] {
        plan.uidbs[uidb].features_in |= Gate::ESP_IN.mask();
    }
    plan.uidbs[usize::from(WAN_UIDB)].features_in |= Gate::SPD_IN.mask();
    plan.uidbs[usize::from(WAN_UIDB)].features_out |= Gate::SPD_OUT.mask();
    if agreed.mode == Mode::Transport {
        plan.uidbs[usize::from(TUNNEL)].port = plan.uidbs[usize::from(WAN_UIDB)].port;
    }
    Build { plan, spd: entries(side), ..Build::of(side, agreed) }.gateway()
}

/// UDP from the west's network to a port of the east's.
fn udp(port: u16) -> Vec<u8> {
    let [high, low] = port.to_be_bytes();
    let mut payload = vec![0x30, 0x39, high, low, 0, 20, 0, 0];
    payload.extend([7; 12]);
    let mut packet = ipv4([10, 1, 0, 9], [10, 2, 0, 9], 64, &[], &payload);
    packet[9] = protocol::UDP;
    crate::ipsec::header::set_ipv4_checksum(&mut packet[..20]);
    packet
}

#[test]
fn the_first_entry_that_matches_says_what_becomes_of_a_packet() {
    let agreed = Agreement::default();
    let (mut west, mut east) = (gateway(1, &agreed), gateway(2, &agreed));
    let ports: Vec<u16> = (0..100).map(|n| 50 + n % 10).collect();
    let packets: Vec<_> = ports.iter().map(|port| udp(*port)).collect();
    let sent = west.through(LAN, WAN, &packets);
    assert_eq!(sent.len(), 90);
    assert_eq!(west.drops(), [(DropReason::SpdDiscard, 10)]);
    let clear = sent.iter().filter(|packet| packet[9] == protocol::UDP).count();
    assert_eq!(clear, 10, "port 53 passes, and nothing else is in the clear");
    assert_eq!(west.state(0).used(), (80, 80 * 40));
    assert_eq!([0, 1, 2].map(|rule| west.totals.rule(rule).0), [10, 10, 80]);
    assert_eq!(west.totals.interface(UidbIndex(TUNNEL)).out_packets, 80);
    let got = east.through(WAN, LAN, &sent);
    assert_eq!(got.len(), 90);
    assert!(got.iter().all(|packet| packet[9] == protocol::UDP && packet.len() == 40));
    assert_eq!(east.totals.interface(UidbIndex(TUNNEL)).in_packets, 80);
    assert!(east.drops().is_empty());
}

#[test]
fn what_should_have_been_protected_is_not_taken_in_the_clear() {
    let agreed = Agreement::default();
    let mut east = gateway(2, &agreed);
    let packets: Vec<_> = [52, 53, 54, 55].map(udp).into();
    assert_eq!(east.through(WAN, LAN, &packets).len(), 1);
    assert_eq!(east.drops(), [(DropReason::SpdDiscard, 1), (DropReason::SpdUnprotected, 2)]);
}

#[test]
fn transport_mode_stays_on_the_interface_that_has_the_policy() {
    let agreed = Agreement { mode: Mode::Transport, ..Agreement::default() };
    let (mut west, mut east) = (gateway(1, &agreed), gateway(2, &agreed));
    let sent = west.through(LAN, WAN, &[udp(52), udp(53), udp(54), udp(55)]);
    let mut protocols: Vec<u8> = sent.iter().map(|packet| packet[9]).collect();
    protocols.sort_unstable();
    assert_eq!(protocols, [protocol::UDP, 50, 50]);
    // As if the hosts were the gateways: only what is for a router is opened.
    let mut to_east = sent;
    for packet in &mut to_east {
        let std::net::IpAddr::V4(address) = wan(2, false) else { panic!("IPv4") };
        packet[16..20].copy_from_slice(&address.octets());
        crate::ipsec::header::set_ipv4_checksum(&mut packet[..20]);
    }
    assert!(east.through(WAN, LAN, &to_east).is_empty());
    assert_eq!(east.state(1).used().0, 2);
    assert_eq!(east.punted().len(), 3, "all three are for the router, two of them opened");
}

#[test]
fn a_policy_without_an_sa_asks_for_one_and_lets_nothing_pass() {
    let agreed = Agreement::default();
    let mut west = gateway(1, &agreed);
    west.tunnel(TUNNEL).set(None);
    assert!(west.through(LAN, WAN, &[udp(1), udp(2), udp(3)]).is_empty());
    assert_eq!(west.drops(), [(DropReason::EspNoSa, 3)]);
    assert_eq!(west.take_unprotected(TUNNEL), 3);
    assert_eq!(west.take_unprotected(TUNNEL), 0);
}

#[test]
fn without_the_entries_of_the_policies_nothing_passes() {
    let agreed = Agreement::default();
    let all = |gateway: &mut Gateway, from, to| {
        gateway.through(from, to, &[udp(52), udp(53), udp(54), udp(55)]).len()
    };
    let (mut west, mut east) = (gateway(1, &agreed), gateway(2, &agreed));
    for gateway in [&mut west, &mut east] {
        gateway.publish(|region, root| {
            root.set(table_kind::ESP_POLICIES, region.alloc(0).unwrap().publish());
        });
    }
    assert_eq!(all(&mut west, LAN, WAN), 0);
    assert_eq!(west.drops(), [(DropReason::SpdDiscard, 4)]);
    assert_eq!(all(&mut east, WAN, LAN), 0);
    assert_eq!(east.drops(), [(DropReason::SpdDiscard, 4)]);
}
