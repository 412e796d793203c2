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
