use super::*;

/// The beginning of a packet of ours, as a router quotes it: the header and eight bytes.
fn quoted4(src: Ipv4Addr, protocol: u8, upper: [u8; 8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 5, 0xdc, 0, 1, 0x40, 0, 60, protocol, 0, 0];
    packet.extend([src.octets(), FAR_IP.octets()].concat());
    packet.extend(upper);
    packet
}

fn quoted6(src: Ipv6Addr, next: u8, upper: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0, 5, 0xb4, next, 60];
    packet.extend([src.octets(), FAR_IP6.octets()].concat());
    packet.extend(upper);
    packet
}

const ESP: [u8; 8] = [0, 0, 0x12, 0x34, 0, 0, 0, 9];

fn needed(rig: &mut Rig, mtu: u16, quoted: &[u8]) -> Vec<Seen> {
    let [high, low] = mtu.to_be_bytes();
    let message = icmp4(NEXT_IP, WAN_IP, 3, 4, [0, 0, high, low], quoted);
    rig.punt(PuntCause::Ipv4ForUs, WAN, &framed(WAN_MAC, NEXT_MAC, &message));
    rig.seen()
}

#[test]
fn a_path_that_is_too_small_for_a_tunnel_is_passed_on() {
    let mut rig = Rig::new();
    let found = needed(&mut rig, 1400, &quoted4(WAN_IP, 50, ESP));
    assert_eq!(found, [Seen::PathMtu(FAR_IP.into(), 0x1234, 1400)]);
    let message =
        icmp6((NEXT_IP6, WAN_IP6), 60, (2, 0), [0, 0, 5, 0x14], &quoted6(WAN_IP6, 50, &ESP));
    rig.punt(PuntCause::Ipv6ForUs, WAN, &framed(WAN_MAC, NEXT_MAC, &message));
    assert_eq!(rig.seen(), [Seen::PathMtu(FAR_IP6.into(), 0x1234, 1300)]);
    assert_eq!(rig.slow_path.counters().consumed, 2);
}

#[test]
fn esp_in_udp_is_found_where_more_is_quoted_and_ike_is_not_taken_for_it() {
    let mut rig = Rig::new();
    let udp = [0x11, 0x94, 0x11, 0x94, 0, 100, 0, 0];
    let mut quoted = quoted4(WAN_IP, 17, udp);
    assert_eq!(needed(&mut rig, 1400, &quoted), []);
    quoted.extend([0, 0, 0, 0]);
    assert_eq!(needed(&mut rig, 1400, &quoted), []);
    quoted[28..].copy_from_slice(&[0, 0, 0x12, 0x34]);
    assert_eq!(needed(&mut rig, 1400, &quoted), [Seen::PathMtu(FAR_IP.into(), 0x1234, 1400)]);
    quoted[20] = 0;
    assert_eq!(needed(&mut rig, 1400, &quoted), []);
}

#[test]
fn nobody_makes_a_path_smaller_than_any_or_speaks_of_packets_that_are_not_ours() {
    let mut rig = Rig::new();
    let ours = quoted4(WAN_IP, 50, ESP);
    assert_eq!(needed(&mut rig, 68, &ours), [Seen::PathMtu(FAR_IP.into(), 0x1234, 576)]);
    assert_eq!(needed(&mut rig, 0, &ours), []);
    assert_eq!(needed(&mut rig, 1400, &quoted4(HOST_IP, 50, ESP)), []);
    assert_eq!(needed(&mut rig, 1400, &quoted4(WAN_IP, 6, ESP)), []);
    for len in 0..ours.len() - 4 {
        assert_eq!(needed(&mut rig, 1400, &ours[..len]), [], "{len} bytes");
    }
    let quoted = quoted6(WAN_IP6, 50, &ESP);
    let message = icmp6((NEXT_IP6, WAN_IP6), 60, (2, 0), [0, 0, 1, 0], &quoted);
    rig.punt(PuntCause::Ipv6ForUs, WAN, &framed(WAN_MAC, NEXT_MAC, &message));
    assert_eq!(rig.seen(), [Seen::PathMtu(FAR_IP6.into(), 0x1234, 1280)]);
}

const ECHO: [u8; 4] = [0, 1, 0, 2];

fn ping(rig: &mut Rig, ip: &[u8]) -> Vec<Vec<u8>> {
    let cause = if ip[0] >> 4 == 6 { PuntCause::Ipv6ForUs } else { PuntCause::Ipv4ForUs };
    rig.punt(cause, WAN, &framed(WAN_MAC, NEXT_MAC, ip));
    let injected = |seen| match seen {
        Seen::Inject(ip) => ip,
        other => panic!("{other:?}"),
    };
    rig.seen().into_iter().map(injected).collect()
}

fn ping4(rig: &mut Rig) -> Vec<usize> {
    let request = icmp4(FAR_IP, WAN_IP, 8, 0, ECHO, &[7; 1400]);
    ping(rig, &request).iter().map(Vec::len).collect()
}

fn ping6(rig: &mut Rig) -> Vec<usize> {
    let request = icmp6((FAR_IP6, WAN_IP6), 60, (128, 0), ECHO, &[7; 1400]);
    ping(rig, &request).iter().map(Vec::len).collect()
}

fn too_big(rig: &mut Rig, mtu: u32, quoted: &[u8]) {
    let message = icmp6((NEXT_IP6, WAN_IP6), 60, (2, 0), mtu.to_be_bytes(), quoted);
    rig.punt(PuntCause::Ipv6ForUs, WAN, &framed(WAN_MAC, NEXT_MAC, &message));
    assert_eq!(rig.seen(), []);
}

#[test]
fn what_the_router_sends_is_cut_to_a_path_that_somebody_says_is_narrow() {
    let mut rig = Rig::new();
    let quoted = quoted6(WAN_IP6, 58, &[129, 0, 0, 0, 0, 1, 0, 2]);
    assert_eq!(ping6(&mut rig), [1448]);
    too_big(&mut rig, 1300, &quoted);
    assert_eq!(ping6(&mut rig), [1296, 208]);
    // Narrower, and not wider again; less than every link takes is nonsense.
    too_big(&mut rig, 1280, &quoted);
    too_big(&mut rig, 1400, &quoted);
    too_big(&mut rig, 1279, &quoted);
    too_big(&mut rig, 0, &quoted);
    assert_eq!(ping6(&mut rig), [1280, 224]);
    // Another destination's path is as wide as ever.
    let request = icmp6((HOST_IP6, WAN_IP6), 60, (128, 0), ECHO, &[7; 1400]);
    assert_eq!(ping(&mut rig, &request).len(), 1);
    rig.now = rig.now.saturating_add(600 * Nanos::PER_SECOND);
    assert_eq!(ping6(&mut rig), [1448]);

    assert_eq!(ping4(&mut rig), [1428]);
    let quoted = quoted4(WAN_IP, 1, [0; 8]);
    assert_eq!(needed(&mut rig, 1000, &quoted), []);
    assert_eq!(ping4(&mut rig), [996, 452]);
    // No host takes less than 576 bytes.
    assert_eq!(needed(&mut rig, 68, &quoted), []);
    assert_eq!(ping4(&mut rig), [572, 572, 324]);
    assert_eq!(rig.slow_path.counters().path_mtus_heeded, 5);
    let interfaces = interfaces();
    rig.slow_path.set_interfaces(interfaces, &mut rig.actions);
    assert_eq!(ping4(&mut rig), [1428]);
}

#[test]
fn paths_of_what_others_send_are_not_the_router_s_to_know() {
    let mut rig = Rig::new();
    too_big(&mut rig, 1300, &quoted6(HOST_IP6, 58, &[129, 0, 0, 0, 0, 1, 0, 2]));
    assert_eq!(needed(&mut rig, 1000, &quoted4(HOST_IP, 1, [0; 8])), []);
    assert_eq!((ping4(&mut rig), ping6(&mut rig)), (vec![1428], vec![1448]));
    assert_eq!(rig.slow_path.counters().path_mtus_heeded, 0);
    // Nor what is in ESP: its tunnel is told.
    assert_eq!(needed(&mut rig, 1000, &quoted4(WAN_IP, 50, ESP)).len(), 1);
    assert_eq!(ping4(&mut rig), [1428]);
}
