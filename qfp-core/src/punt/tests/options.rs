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
fn a_router_alert_for_somebody_else_goes_on_with_its_ttl_decremented() {
    let mut rig = Rig::new();
    let before = with_options(9, FAR_IP, &[148, 4, 0, 0]);
    let after = with_options(8, FAR_IP, &[148, 4, 0, 0]);
    assert_eq!(punt(&mut rig, PuntCause::Ipv4Options, &before), [Seen::Inject(after)]);
    let expiring = with_options(1, FAR_IP, &[148, 4, 0, 0]);
    let seen = punt(&mut rig, PuntCause::Ipv4Options, &expiring);
    assert!(matches!(&seen[..], [Seen::Inject(error)] if error[20] == 11));
    // With a route it has been through the TTL row already.
    let frame = framed(LAN_MAC, HOST_MAC, &before);
    let mut punted = rig.punted(PuntCause::Ipv4Options, LAN, &frame);
    punted.output = WAN;
    rig.give(punted);
    assert_eq!(rig.seen(), [Seen::Inject(before)]);
}

#[test]
fn source_routes_are_dropped_and_so_is_nonsense() {
    let mut rig = Rig::new();
    let source_routes =
        [[131, 7, 4, 10, 0, 0, 1, 0], [1, 137, 7, 4, 10, 0, 0, 1], [148, 4, 0, 0, 131, 3, 4, 0]];
    for options in source_routes {
        let ip = with_options(9, FAR_IP, &options);
        assert_eq!(punt(&mut rig, PuntCause::Ipv4Options, &ip), []);
    }
    assert_eq!(rig.dropped(SlowDrop::SourceRoute), 3);
    let ip = with_options(9, FAR_IP, &[148, 9, 0, 0]);
    assert_eq!(punt(&mut rig, PuntCause::Ipv4Options, &ip), []);
    assert_eq!(rig.dropped(SlowDrop::Malformed), 1);
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
fn hop_by_hop_options_go_on_with_the_hop_limit_decremented() {
    let mut rig = Rig::new();
    let mut ip = udp6(HOST_IP6, FAR_IP6, 9, 0);
    ip.splice(40..40, [17, 0, 5, 2, 0, 0, 1, 0]);
    (ip[5], ip[6]) = (16, 0);
    let seen = punt(&mut rig, PuntCause::Ipv6HopByHop, &ip);
    ip[7] = 8;
    assert_eq!(seen, [Seen::Inject(ip.clone())]);
    ip[41] = 9;
    assert_eq!(punt(&mut rig, PuntCause::Ipv6HopByHop, &ip), []);
    assert_eq!(rig.dropped(SlowDrop::Malformed), 1);
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
