use std::net::IpAddr;
use std::sync::Arc;

use pal::clock::Nanos;

use super::*;
use crate::punt::Acquaintance;
use crate::uidb::{TableId, UidbIndex};
use crate::wire::protocol::{ICMP, ICMPV6, TCP, UDP};

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn flow(protocol: u8, local: &str, remote: &str, [local_port, remote_port]: [u16; 2]) -> Session {
    let (local, remote) = (address(local), address(remote));
    Session { table: TableId::GLOBAL, protocol, local, remote, local_port, remote_port }
}

fn ip(flow: Session) -> ForUs {
    ForUs::Ip { flow, later_fragment: false }
}

const OURS: &str = "192.0.2.1";
const PEER: &str = "192.0.2.2";

fn bgp() -> Session {
    flow(TCP, OURS, PEER, [179, 40_000])
}

#[test]
fn a_peer_is_trusted_as_far_as_it_is_known() {
    let mut lpts = Lpts::default();
    let packet = ip(bgp());
    assert_eq!(lpts.classify(&packet), FlowType::BgpDefault);
    lpts.set_peer(Service::Bgp, TableId::GLOBAL, address(PEER), Trust::CfgPeer);
    assert_eq!(lpts.classify(&packet), FlowType::BgpCfgPeer);
    lpts.set_session(bgp(), true);
    assert_eq!(lpts.classify(&packet), FlowType::BgpKnown);
    // The peer opens a second connection, or somebody guesses the ports.
    assert_eq!(lpts.classify(&ip(Session { remote_port: 40_001, ..bgp() })), FlowType::BgpCfgPeer);
    let stranger = Session { remote: address("192.0.2.3"), ..bgp() };
    assert_eq!(lpts.classify(&ip(stranger)), FlowType::BgpDefault);
    let other_vrf = Session { table: TableId(7), ..bgp() };
    assert_eq!(lpts.classify(&ip(other_vrf)), FlowType::BgpDefault);
    // The session is one that we have opened.
    let opened = flow(TCP, OURS, PEER, [50_000, 179]);
    assert_eq!(lpts.classify(&ip(opened)), FlowType::BgpCfgPeer);
    lpts.set_session(bgp(), false);
    assert_eq!(lpts.classify(&packet), FlowType::BgpCfgPeer);
    lpts.set_peer(Service::Bgp, TableId::GLOBAL, address(PEER), Trust::Default);
    assert_eq!(lpts.classify(&packet), FlowType::BgpDefault);
}

#[test]
fn protocols_are_told_apart_by_number_port_and_group() {
    use FlowType::*;
    let lpts = Lpts::default();
    let v6 = "2001:db8::1";
    let cases = [
        (flow(89, "224.0.0.5", PEER, [0, 0]), OspfMcDefault),
        (flow(89, "ff02::6", v6, [0, 0]), OspfMcDefault),
        (flow(89, OURS, PEER, [0, 0]), OspfUcDefault),
        (flow(103, "224.0.0.13", PEER, [0, 0]), PimMcastDefault),
        (flow(103, OURS, PEER, [0, 0]), PimUcast),
        (flow(2, "224.0.0.1", PEER, [0, 0]), Igmp),
        (flow(46, OURS, PEER, [0, 0]), RsvpDefault),
        (flow(47, OURS, PEER, [0, 0]), Gre),
        (flow(88, "224.0.0.10", PEER, [0, 0]), Eigrp),
        (flow(112, "224.0.0.18", PEER, [0, 0]), Vrrp),
        (flow(200, OURS, PEER, [0, 0]), RawDefault),
        (flow(200, "224.0.0.2", PEER, [0, 0]), AllRouters),
        (flow(UDP, "ff02::2", v6, [9, 9]), AllRouters),
        (flow(ICMP, OURS, PEER, [0, 8]), IcmpLocal),
        (flow(ICMP, OURS, PEER, [0, 11]), IcmpAppDefault),
        (flow(ICMP, OURS, PEER, [0, 13]), IcmpDefault),
        (flow(ICMPV6, v6, v6, [0, 128]), IcmpLocal),
        (flow(ICMPV6, v6, v6, [0, 135]), IcmpControl),
        (flow(ICMPV6, v6, v6, [0, 2]), IcmpAppDefault),
        (flow(ICMPV6, "ff02::16", v6, [0, 143]), Igmp),
        (flow(ICMPV6, v6, v6, [0, 200]), IcmpDefault),
        (flow(TCP, OURS, PEER, [646, 9]), LdpTcpDefault),
        (flow(UDP, "224.0.0.2", PEER, [646, 646]), LdpUdp),
        (flow(TCP, OURS, PEER, [22, 9]), SshDefault),
        (flow(TCP, OURS, PEER, [23, 9]), TelnetDefault),
        (flow(TCP, OURS, PEER, [80, 9]), HttpDefault),
        (flow(TCP, OURS, PEER, [443, 9]), ShttpDefault),
        (flow(TCP, OURS, PEER, [9, 49]), Tacacs),
        (flow(TCP, OURS, PEER, [9, 4189]), Pcep),
        (flow(TCP, OURS, PEER, [5000, 9]), TcpDefault),
        (flow(UDP, OURS, PEER, [161, 9]), Snmp),
        (flow(UDP, OURS, PEER, [9, 53]), Dns),
        (flow(UDP, OURS, PEER, [9, 1812]), Radius),
        (flow(UDP, OURS, PEER, [123, 123]), NtpDefault),
        (flow(UDP, "255.255.255.255", "0.0.0.0", [67, 68]), Dhcpv4),
        (flow(UDP, "ff02::1:2", v6, [547, 546]), Dhcpv6),
        (flow(UDP, "224.0.0.102", PEER, [1985, 1985]), Hsrp),
        (flow(UDP, "127.0.0.1", PEER, [3503, 9]), MplsOam),
        (flow(UDP, OURS, PEER, [862, 9]), PmTwamp),
        (flow(UDP, OURS, PEER, [1967, 9]), IpSla),
        (flow(UDP, OURS, PEER, [5000, 9]), UdpDefault),
    ];
    for (flow, wanted) in cases {
        assert_eq!(lpts.classify(&ip(flow)), wanted, "{flow:?}");
    }
    let later_fragment = ForUs::Ip { flow: bgp(), later_fragment: true };
    assert_eq!(lpts.classify(&later_fragment), Fragment);
}

#[test]
fn neighbours_sessions_and_open_ports_are_known() {
    use FlowType::*;
    let mut lpts = Lpts::default();
    let neighbours = [
        (Service::Ospf, flow(89, "224.0.0.5", PEER, [0, 0]), OspfMcKnown),
        (Service::Ospf, flow(89, OURS, PEER, [0, 0]), OspfUcKnown),
        (Service::Pim, flow(103, "224.0.0.13", PEER, [0, 0]), PimMcastKnown),
        (Service::Rsvp, flow(46, OURS, PEER, [0, 0]), RsvpKnown),
        (Service::Ldp, flow(TCP, OURS, PEER, [646, 9]), LdpTcpKnown),
        (Service::Ssh, flow(TCP, OURS, PEER, [22, 9]), SshKnown),
        (Service::Telnet, flow(TCP, OURS, PEER, [23, 9]), TelnetKnown),
        (Service::Http, flow(TCP, OURS, PEER, [80, 9]), HttpKnown),
        (Service::Shttp, flow(TCP, OURS, PEER, [443, 9]), ShttpKnown),
        (Service::Ntp, flow(UDP, OURS, PEER, [123, 123]), NtpKnown),
    ];
    for (service, flow, wanted) in neighbours {
        lpts.set_peer(service, flow.table, flow.remote, Trust::Known);
        assert_eq!(lpts.classify(&ip(flow)), wanted);
    }
    lpts.set_peer(Service::Ldp, TableId::GLOBAL, address(PEER), Trust::CfgPeer);
    assert_eq!(lpts.classify(&ip(flow(TCP, OURS, PEER, [646, 9]))), LdpTcpCfgPeer);

    let socket = flow(UDP, OURS, PEER, [5000, 9]);
    lpts.set_listener(TableId::GLOBAL, UDP, 5000, Some(UdpListen));
    assert_eq!(lpts.classify(&ip(socket)), UdpListen);
    lpts.set_session(socket, true);
    assert_eq!(lpts.classify(&ip(socket)), UdpKnown);
    lpts.set_listener(TableId::GLOBAL, TCP, 5000, Some(Tpa));
    assert_eq!(lpts.classify(&ip(flow(TCP, OURS, PEER, [5000, 9]))), Tpa);
    lpts.set_listener(TableId::GLOBAL, TCP, 5000, None);
    assert_eq!(lpts.classify(&ip(flow(TCP, OURS, PEER, [5000, 9]))), TcpDefault);

    let isis = ForUs::Isis(UidbIndex(3));
    assert_eq!(lpts.classify(&isis), IsisDefault);
    lpts.set_isis(UidbIndex(3), true);
    assert_eq!(lpts.classify(&isis), IsisKnown);
    lpts.set_isis(UidbIndex(3), false);
    assert_eq!(lpts.classify(&isis), IsisDefault);
}

#[test]
fn the_table_of_rates_has_every_type_once_and_in_order() {
    for (i, (flow, ..)) in rates::DEFAULTS.into_iter().enumerate() {
        assert_eq!(flow as usize, i, "{flow:?}");
    }
}

const PORTS: usize = 4;

fn group(rates: &LptsRates) -> LptsGroup {
    LptsGroup::new(rates, Lpts::default(), Arc::new(Acquaintance::new(16)), PORTS)
}

fn offered(flow: FlowType, input: u16) -> Offered {
    Offered { flow, input: UidbIndex(input), sender: None }
}

/// Packets of each type that pass in ten seconds at 5000 packets/s each, beyond the burst.
fn pass(group: &LptsGroup, flows: &[FlowType]) -> Vec<i64> {
    let mut passed = vec![0; flows.len()];
    for packet in 0..50_000 {
        for (passed, &flow) in passed.iter_mut().zip(flows) {
            let admission = group.admit(offered(flow, 1), Nanos(packet * 200_000));
            *passed += i64::from(admission == Admission::Accepted);
        }
    }
    let burst = |flow: FlowType| i64::from(LptsRates::default().of(flow).burst);
    passed.iter().zip(flows).map(|(passed, &flow)| passed - burst(flow)).collect()
}

/// V-31.
#[test]
fn each_type_is_limited_on_its_own_in_each_group() {
    let rates = LptsRates::default();
    let flows = [FlowType::BgpDefault, FlowType::BgpCfgPeer, FlowType::BgpKnown];
    let wanted = [1_000, 20_000, 25_000];
    let mut total = 0;
    for group in [group(&rates), group(&rates)] {
        let passed = pass(&group, &flows);
        for (passed, wanted) in passed.iter().zip(wanted) {
            assert!((passed - wanted).abs() <= 1, "{passed}, not {wanted}");
        }
        total += passed.iter().sum::<i64>();
    }
    assert!((total - 92_000).abs() <= 6, "{total}");
}

#[test]
fn no_type_that_one_interface_floods_is_lost_to_another() {
    for &flow in FlowType::ALL {
        let group = group(&LptsRates::default());
        let (mut lost, mut passed) = (0, 0);
        for n in 0..2_000_000u64 {
            let now = Nanos(n * 1000);
            passed += u64::from(group.admit(offered(flow, 1), now) == Admission::Accepted);
            if n % 50_000 == 20_000 {
                lost += u64::from(group.admit(offered(flow, 2), now) != Admission::Accepted);
            }
        }
        assert_eq!(lost, 0, "{flow:?}");
        let rate = LptsRates::default().of(flow);
        let wanted = u64::from(2 * rate.per_second + rate.burst) - 40;
        assert!(passed.abs_diff(wanted) <= 2, "{flow:?}: {passed}, not {wanted}");
    }
}

#[test]
fn a_rate_of_zero_lets_nothing_pass_and_the_total_limits_all() {
    let mut rates = LptsRates::default();
    rates.set(FlowType::Igmp, 0, 0).unwrap();
    rates.set_total(1_000, 5).unwrap();
    let group = group(&rates);
    for now in [0, 1, 1 << 60] {
        assert_eq!(group.admit(offered(FlowType::Igmp, 1), Nanos(now)), Admission::FlowLimit);
    }
    let admit = || group.admit(offered(FlowType::BgpKnown, 1), Nanos(1 << 60));
    let admissions: Vec<Admission> = (0..6).map(|_| admit()).collect();
    assert_eq!(admissions[..5], [Admission::Accepted; 5]);
    assert_eq!(admissions[5], Admission::TotalLimit);
    assert!(rates.set(FlowType::Igmp, 1, 0).is_err());
    assert!(rates.set(FlowType::Igmp, u64::MAX, 1).is_err());
    assert!(rates.set_floor(1, u64::MAX).is_err());
}

#[test]
fn numbers_of_interfaces_beyond_the_table_share_a_row() {
    let group = group(&LptsRates::default());
    for input in [u16::try_from(PORTS).unwrap(), 77, u16::MAX] {
        let admission = group.admit(offered(FlowType::Dns, input), Nanos(5));
        assert_eq!(admission, Admission::Accepted);
    }
}

#[test]
fn lcores_go_on_with_the_group_that_takes_the_place_of_theirs() {
    let closed = |flow| {
        let mut rates = LptsRates::default();
        rates.set(flow, 0, 0).unwrap();
        rates
    };
    let mut all = LptsSuccession::new(group(&closed(FlowType::Igmp)));
    let mut lcores = [all.group(), all.group()];
    let passes = |group: &LptsGroup| {
        [FlowType::Igmp, FlowType::Dns]
            .map(|flow| group.admit(offered(flow, 1), Nanos(5)) == Admission::Accepted)
    };
    assert!(lcores[0].successor().is_none());
    assert_eq!(passes(&lcores[0]), [false, true]);
    let mut lpts = Lpts::default();
    lpts.set_isis(UidbIndex(3), true);
    all.replace(&closed(FlowType::Dns), lpts);
    lcores[0] = lcores[0].successor().unwrap();
    assert_eq!(passes(&lcores[0]), [true, false]);
    assert_eq!(lcores[0].sessions().classify(&ForUs::Isis(UidbIndex(3))), FlowType::IsisKnown);
    // The other one sees no packet for long.
    let first = Arc::downgrade(&lcores[1]);
    all.replace(&LptsRates::default(), Lpts::default());
    all.replace(&LptsRates::default(), Lpts::default());
    assert_eq!(passes(&lcores[1]), [false, true]);
    for lcore in &mut lcores {
        *lcore = lcore.successor().unwrap();
        assert!(lcore.successor().is_none());
        assert_eq!(passes(lcore), [true, true]);
    }
    assert!(first.upgrade().is_some(), "an lcore frees nothing");
    all.replace(&LptsRates::default(), Lpts::default());
    assert!(first.upgrade().is_none());
    // Without one who replaces them they stay as they are.
    drop(all);
    assert!(lcores[0].successor().is_none());
    assert_eq!(passes(&lcores[0]), [true, true]);
}
