//! Routing tables: what is sent because of a packet is routed where that packet was.

use super::*;

const RED: TableId = TableId(5);

/// LAN and QINQ are in the VRF, WAN is not.
fn rig() -> Rig {
    let mut rig = Rig::new();
    let mut links = interfaces();
    links[0].table = RED;
    links[2].table = RED;
    rig.slow_path.set_interfaces(links, &mut rig.actions);
    // Limits fill with time.
    rig.poll_at(rig.now);
    rig.poll_at(rig.now.saturating_add(Nanos::PER_SECOND));
    rig
}

fn punt(rig: &mut Rig, cause: PuntCause, (input, table): (UidbIndex, TableId), ip: &[u8]) {
    let mut punted = rig.punted(cause, input, &framed(LAN_MAC, HOST_MAC, ip));
    punted.table = table;
    rig.give(punted);
}

/// The tables of what is injected.
fn tables(rig: &mut Rig) -> Vec<TableId> {
    let injected = rig.actions.drain(..).filter_map(|action| match action {
        Action::Inject { table, .. } | Action::Forward { table, .. } => Some(table),
        _ => None,
    });
    injected.collect()
}

#[test]
fn answers_and_errors_are_routed_in_the_table_of_their_cause() {
    let mut rig = rig();
    let echo = icmp4(HOST_IP, LAN_IP, 8, 0, [0, 1, 0, 2], &[9; 8]);
    punt(&mut rig, PuntCause::Ipv4ForUs, (LAN, RED), &echo);
    let late = udp4(FAR_IP, NEXT_IP, 1, 8);
    punt(&mut rig, PuntCause::IpTtlExceeded, (WAN, TableId::GLOBAL), &late);
    punt(&mut rig, PuntCause::IpTtlExceeded, (LAN, RED), &late);
    let late = udp6(FAR_IP6, NEXT_IP6, 1, 8);
    punt(&mut rig, PuntCause::IpTtlExceeded, (LAN, RED), &late);
    assert_eq!(tables(&mut rig), [RED, TableId::GLOBAL, RED, RED]);
}

#[test]
fn a_packet_that_waited_for_its_neighbour_goes_on_in_its_table() {
    let mut rig = rig();
    let ip = udp4(FAR_IP, HOST_IP, 9, 8);
    let mut punted =
        rig.punted(PuntCause::IncompleteAdjacency, UidbIndex::RP, &framed(LAN_MAC, HOST_MAC, &ip));
    // A route of the VRF may lead out of it.
    (punted.table, punted.output) = (RED, WAN);
    punted.next_hop = Some(IpAddr::V4(NEXT_IP));
    rig.give(punted);
    rig.slow_path.add_static_neighbour(WAN, IpAddr::V4(NEXT_IP), NEXT_MAC);
    rig.poll_at(rig.now);
    assert_eq!(tables(&mut rig), [RED]);
}

#[test]
fn an_address_of_the_router_is_a_hosts_in_another_table() {
    let mut rig = rig();
    // With router alert, so that it is the slow path that decides whose the address is.
    let mut ip = udp4(FAR_IP, LAN_IP, 9, 8);
    ip.splice(20..20, [148, 4, 0, 0]);
    ip[0] = 0x46;
    ip[3] += 4;
    fix_checksum(&mut ip);
    punt(&mut rig, PuntCause::Ipv4Options, (WAN, TableId::GLOBAL), &ip);
    assert_eq!(tables(&mut rig), [TableId::GLOBAL]);
    let echo = icmp4(HOST_IP, LAN_IP, 8, 0, [0, 1, 0, 2], &[9; 8]);
    punt(&mut rig, PuntCause::Ipv4ForUs, (WAN, TableId::GLOBAL), &echo);
    assert_eq!(rig.dropped(SlowDrop::NotForUs), 1);
    // Two interfaces of a VRF have their addresses together.
    punt(&mut rig, PuntCause::Ipv4ForUs, (QINQ, RED), &echo);
    assert_eq!(tables(&mut rig), [RED]);
}

#[test]
fn an_error_comes_from_an_address_of_the_same_table() {
    let mut rig = rig();
    // An interface without addresses, in the global table: only WAN has one to lend.
    let late = udp4(FAR_IP, NEXT_IP, 1, 8);
    punt(&mut rig, PuntCause::IpTtlExceeded, (UidbIndex(9), TableId::GLOBAL), &late);
    let [Seen::Inject(error)] = &rig.seen()[..] else { panic!("no error") };
    assert_eq!(error[12..16], WAN_IP.octets());
    // The only interface of its table has none.
    let mut links = interfaces();
    let bare = Interface { ipv4: Vec::new(), ipv6: Vec::new(), ..links[0].clone() };
    links.push(Interface { uidb: UidbIndex(9), table: TableId(6), ..bare });
    rig.slow_path.set_interfaces(links, &mut rig.actions);
    punt(&mut rig, PuntCause::IpTtlExceeded, (UidbIndex(9), TableId(6)), &late);
    assert_eq!(rig.dropped(SlowDrop::NoAddress), 1);
}

#[test]
fn the_broadcast_of_a_network_is_a_host_in_another_table() {
    let mut rig = rig();
    let broadcast = Ipv4Addr::new(192, 0, 2, 255);
    let late = udp4(FAR_IP, broadcast, 1, 8);
    punt(&mut rig, PuntCause::IpTtlExceeded, (LAN, RED), &late);
    assert_eq!(rig.dropped(SlowDrop::ErrorForbidden), 1);
    punt(&mut rig, PuntCause::IpTtlExceeded, (WAN, TableId::GLOBAL), &late);
    assert_eq!(tables(&mut rig), [TableId::GLOBAL]);
}

/// No interface is in the VRF any more: the number may soon be another one's.
fn vrf_is_gone(rig: &mut Rig) {
    rig.slow_path.set_interfaces(interfaces(), &mut rig.actions);
}

#[test]
fn what_waits_for_a_neighbour_is_given_up_with_its_table() {
    let mut rig = rig();
    let ip = udp4(FAR_IP, HOST_IP, 9, 8);
    for table in [RED, TableId::GLOBAL] {
        let frame = framed(LAN_MAC, HOST_MAC, &ip);
        let mut punted = rig.punted(PuntCause::IncompleteAdjacency, UidbIndex::RP, &frame);
        // A route of the VRF leads out of it, through a link that stays.
        (punted.table, punted.output) = (table, WAN);
        punted.next_hop = Some(IpAddr::V4(NEXT_IP));
        rig.give(punted);
    }
    vrf_is_gone(&mut rig);
    assert_eq!((rig.dropped(SlowDrop::TableRemoved), rig.slow_path.counters().held), (1, 1));
    rig.slow_path.add_static_neighbour(WAN, IpAddr::V4(NEXT_IP), NEXT_MAC);
    rig.poll_at(rig.now);
    assert_eq!(tables(&mut rig), [TableId::GLOBAL]);
}

#[test]
fn nothing_is_done_about_packets_that_come_up_late_of_a_table_that_is_gone() {
    let mut rig = rig();
    let late = udp4(FAR_IP, HOST_IP, 1, 8);
    vrf_is_gone(&mut rig);
    for table in [RED, TableId::GLOBAL] {
        punt(&mut rig, PuntCause::IpTtlExceeded, (WAN, table), &late);
    }
    assert_eq!(rig.dropped(SlowDrop::TableRemoved), 1);
    assert_eq!(tables(&mut rig), [TableId::GLOBAL]);
}

#[test]
fn fragments_of_a_table_that_is_gone_complete_no_datagram_of_the_next_one() {
    let mut rig = rig();
    let ip = udp4(HOST_IP, LAN_IP, 9, 32);
    let first = super::reassembly::fragment(&ip, 7, 0, 24);
    let second = super::reassembly::fragment(&ip, 7, 24, 40);
    punt(&mut rig, PuntCause::Ipv4ForUs, (LAN, RED), &first);
    vrf_is_gone(&mut rig);
    let mut links = interfaces();
    links[0].table = RED;
    rig.slow_path.set_interfaces(links, &mut rig.actions);
    punt(&mut rig, PuntCause::Ipv4ForUs, (LAN, RED), &second);
    assert_eq!(tables(&mut rig), []);
    assert_eq!(rig.slow_path.counters().reassemblies_given_up, 1);
}
