use super::*;
use crate::punt::Rate;

fn with_options(ttl: u8, dst: Ipv4Addr, options: &[u8]) -> Vec<u8> {
    let mut ip = udp4(HOST_IP, dst, ttl, 8);
    ip[0] = 0x45 + u8::try_from(options.len() / 4).unwrap();
    ip[3] += u8::try_from(options.len()).unwrap();
    ip.splice(20..20, options.iter().copied());
    fix_checksum(&mut ip);
    ip
}

fn punt(rig: &mut Rig, cause: PuntCause, ip: &[u8]) -> Vec<Seen> {
    rig.punt(cause, LAN, &framed(LAN_MAC, HOST_MAC, ip));
    rig.seen()
}

#[test]
fn a_router_alert_for_somebody_else_goes_on_as_it_is() {
    // The row `ttl` has taken its hop already, also the last one.
    let mut rig = Rig::new();
    for ttl in [9, 1, 0] {
        let ip = with_options(ttl, FAR_IP, &[148, 4, 0, 0]);
        assert_eq!(punt(&mut rig, PuntCause::Ipv4Options, &ip), [Seen::Inject(ip)]);
    }
    let mut ip = udp6(HOST_IP6, FAR_IP6, 9, 0);
    ip.splice(40..40, [17, 0, 5, 2, 0, 0, 1, 0]);
    (ip[5], ip[6]) = (16, 0);
    assert_eq!(punt(&mut rig, PuntCause::Ipv6HopByHop, &ip), [Seen::Inject(ip)]);
}

#[test]
fn source_routes_are_dropped_in_silence() {
    let mut rig = Rig::new();
    let source_routes =
        [[131, 7, 4, 10, 0, 0, 1, 0], [1, 137, 7, 4, 10, 0, 0, 1], [148, 4, 0, 0, 131, 3, 4, 0]];
    for options in source_routes {
        let ip = with_options(9, FAR_IP, &options);
        assert_eq!(punt(&mut rig, PuntCause::Ipv4Options, &ip), []);
    }
    assert_eq!(rig.dropped(SlowDrop::SourceRoute), 3);
}

#[test]
fn options_for_us_are_delivered() {
    let mut rig = Rig::new();
    let ip = with_options(1, LAN_IP, &[148, 4, 0, 0]);
    let seen = punt(&mut rig, PuntCause::Ipv4Options, &ip);
    assert!(matches!(&seen[..], [Seen::Inject(error)] if error[20..22] == [3, 3]));
    let igmp = with_options(1, [224, 0, 0, 22].into(), &[148, 4, 0, 0]);
    assert_eq!(punt(&mut rig, PuntCause::Ipv4Options, &igmp), []);
    assert_eq!(rig.slow_path.counters().consumed, 1);
}

#[test]
fn routes_are_recorded_with_the_address_of_the_way_out() {
    let empty = [7, 7, 4, 0, 0, 0, 0, 0];
    let recorded = |address: Ipv4Addr| [&[7, 7, 8], &address.octets()[..], &[0]].concat();
    let mut rig = Rig::new();
    // The network that it goes to, and for want of one the network that it came from.
    for (dst, address) in [(NEXT_IP, WAN_IP), (FAR_IP, LAN_IP)] {
        let seen = punt(&mut rig, PuntCause::Ipv4Options, &with_options(9, dst, &empty));
        assert_eq!(seen, [Seen::Inject(with_options(9, dst, &recorded(address)))]);
    }
    // The interface that it leaves by, where that is known.
    let frame = framed(LAN_MAC, HOST_MAC, &with_options(9, FAR_IP, &empty));
    let mut punted = rig.punted(PuntCause::Ipv4Options, LAN, &frame);
    punted.output = WAN;
    rig.give(punted);
    assert_eq!(rig.seen(), [Seen::Inject(with_options(9, FAR_IP, &recorded(WAN_IP)))]);
    // Where it is off, nothing is changed, right or wrong.
    let mut rig = Rig::with(Limits { record_route: false, ..Limits::default() });
    for options in [empty, [7, 7, 3, 0, 0, 0, 0, 0]] {
        let ip = with_options(9, FAR_IP, &options);
        assert_eq!(punt(&mut rig, PuntCause::Ipv4Options, &ip), [Seen::Inject(ip)]);
    }
}

#[test]
fn addresses_of_one_link_do_not_go_to_another() {
    let mut rig = Rig::new();
    let alert = [148, 4, 0, 0];
    let mut ip = with_options(9, [169, 254, 1, 2].into(), &alert);
    assert_eq!(punt(&mut rig, PuntCause::Ipv4Options, &ip), []);
    ip = with_options(9, FAR_IP, &alert);
    ip[12..16].copy_from_slice(&[169, 254, 1, 1]);
    fix_checksum(&mut ip);
    assert_eq!(punt(&mut rig, PuntCause::Ipv4Options, &ip), []);
    let mut ip = udp6("fe80::aa".parse().unwrap(), FAR_IP6, 9, 0);
    ip.splice(40..40, [17, 0, 5, 2, 0, 0, 1, 0]);
    (ip[5], ip[6]) = (16, 0);
    assert_eq!(punt(&mut rig, PuntCause::Ipv6HopByHop, &ip), []);
    assert_eq!(rig.dropped(SlowDrop::LinkLocalScope), 3);
}

#[test]
fn an_injected_packet_that_is_punted_again_goes_round_a_bounded_number_of_times() {
    let resend = Rate { per_second: 1, burst: 1 };
    let mut rig = Rig::with(Limits { resend, ..Limits::default() });
    let ip = with_options(9, FAR_IP, &[148, 4, 0, 0]);
    for _ in 0..5 {
        rig.punt(PuntCause::Ipv4Options, UidbIndex::RP, &framed([0; 6], [0; 6], &ip));
    }
    assert_eq!((rig.seen(), rig.dropped(SlowDrop::ResendLimit)), (vec![Seen::Inject(ip)], 4));
}
