//! Floods against the neighbour table, in virtual time: a million spoofed senders, scans of
//! connected networks. A new neighbour must be found within a second, and a known one stay known.

use super::arp::arp;
use super::*;

/// Packets a second that an attack has; the fast path lets through half of that.
const RATE: u64 = 20_000;
const TICK: u64 = Nanos::PER_SECOND / RATE;
/// An honest sender has a packet for its neighbour every tenth of a second.
const HONEST: u64 = RATE / 10;

const LAN_OWN: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 1);
/// Known from the beginning.
const KNOWN: Ipv4Addr = Ipv4Addr::new(10, 7, 1, 1);
const KNOWN_MAC: [u8; 6] = [2, 0, 0, 0, 1, 1];
/// Spoken to only when the attack has gone on for a while.
const NEW_MAC: [u8; 6] = [2, 0, 0, 0, 2, 2];

/// A router with a /8 and a /64 on its LAN, that knows one neighbour there.
fn attacked(limits: Limits) -> Rig {
    let mut rig = Rig::sized(limits, 8192);
    let mut links = interfaces();
    links[0].ipv4 = vec!["10.7.0.1/8".parse().unwrap()];
    rig.slow_path.set_interfaces(links, &mut rig.actions);
    rig.glean(LAN, KNOWN.into(), &udp4(FAR_IP, KNOWN, 63, 8));
    rig.punt(PuntCause::Arp, LAN, &arp(2, (KNOWN_MAC, KNOWN), (LAN_MAC, LAN_OWN)));
    rig.actions.clear();
    rig
}

/// Whether a frame of ours asks for `address`.
fn asks_for(frame: &[u8], address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => frame[12..14] == [8, 6] && frame[38..42] == address.octets(),
        IpAddr::V6(address) => frame.get(54) == Some(&135) && frame[62..78] == address.octets(),
    }
}

/// The answer of `mac` for `address`.
fn answer(rig: &mut Rig, uidb: UidbIndex, address: IpAddr, mac: [u8; 6]) {
    let (own_mac, own4, own6) =
        if uidb == LAN { (LAN_MAC, LAN_OWN, LAN_IP6) } else { (WAN_MAC, WAN_IP, WAN_IP6) };
    match address {
        IpAddr::V4(address) => {
            rig.punt(PuntCause::Arp, uidb, &arp(2, (mac, address), (own_mac, own4)));
        }
        IpAddr::V6(address) => {
            let body = [&address.octets()[..], &[2, 1], &mac].concat();
            let ip = icmp6((address, own6), 255, (136, 0), [0x60, 0, 0, 0], &body);
            rig.punt(PuntCause::Ipv6ForUs, uidb, &framed(own_mac, mac, &ip));
        }
    }
}

fn packet_to(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => udp4(FAR_IP, address, 63, 8),
        IpAddr::V6(address) => udp6(FAR_IP6, address, 63, 8),
    }
}

/// What came of an attack.
#[derive(Debug, Default)]
struct Outcome {
    /// From the first packet for the new neighbour until the fast path knew it, nanoseconds.
    found_after: Option<u64>,
    /// How many requests went out for others.
    asked: u64,
    /// Neighbours that the fast path was told of, or that they are gone.
    told: Vec<(IpAddr, Option<[u8; 6]>)>,
    most_entries: usize,
}

/// Attacks for `seconds`; in the middle of that somebody has packets for `new` on `uidb`. Whoever
/// is honest answers when he is asked.
fn attack(
    rig: &mut Rig,
    seconds: u64,
    (uidb, new): (UidbIndex, IpAddr),
    mut hostile: impl FnMut(&mut Rig, u64),
) -> Outcome {
    let start = rig.now;
    let middle = seconds * RATE / 2;
    let mut outcome = Outcome::default();
    for n in 0..seconds * RATE {
        rig.now = start.saturating_add(n * TICK);
        if n >= middle && (n - middle).is_multiple_of(HONEST) && outcome.found_after.is_none() {
            rig.glean(uidb, new, &packet_to(new));
        }
        hostile(rig, n);
        if rig.slow_path.next_deadline().is_some_and(|due| due <= rig.now) {
            rig.poll_at(rig.now);
        }
        let mut answers = Vec::new();
        for action in rig.actions.drain(..) {
            match action {
                Action::Transmit { uidb: link, packet, .. } => {
                    let frame = packet.frame();
                    if link == uidb && asks_for(frame, new) {
                        answers.push((link, new, NEW_MAC));
                    } else if link == LAN && asks_for(frame, KNOWN.into()) {
                        answers.push((link, KNOWN.into(), KNOWN_MAC));
                    } else if frame[12..14] == [8, 6] && frame[21] == 1
                        || frame.get(54) == Some(&135)
                    {
                        outcome.asked += 1;
                    }
                }
                Action::Neighbour { address, mac, .. } => {
                    if (address, mac) == (new, Some(NEW_MAC)) {
                        outcome.found_after.get_or_insert((n - middle) * TICK);
                    }
                    outcome.told.push((address, mac));
                }
                _ => {}
            }
        }
        for (link, address, mac) in answers {
            answer(rig, link, address, mac);
        }
        if n.is_multiple_of(100) {
            outcome.most_entries = outcome.most_entries.max(rig.slow_path.neighbours.len());
        }
    }
    outcome
}

#[track_caller]
fn assert_survived(rig: &Rig, outcome: &Outcome, new: IpAddr) {
    let found = outcome.found_after.expect("the new neighbour is not found");
    assert!(found <= Nanos::PER_SECOND, "found after {found} ns");
    assert_eq!(outcome.told, [(new, Some(NEW_MAC))], "nobody else was told of or lost");
    assert!(rig.slow_path.acquaintance().knows(LAN, KNOWN.into(), KNOWN_MAC));
    assert_eq!(rig.slow_path.counters().neighbours_lost, 0);
}

/// Limits under which the known neighbour is asked again and again during an attack.
fn limits() -> Limits {
    Limits { reachable_ns: 2 * Nanos::PER_SECOND, ..Limits::default() }
}

#[test]
fn a_million_spoofed_senders_do_no_harm() {
    let mut rig = attacked(limits());
    let new = IpAddr::from([10, 9, 9, 9]);
    let outcome = attack(&mut rig, 50, (LAN, new), |rig, n| {
        let [_, a, b, c] = u32::try_from(n).unwrap().to_be_bytes();
        let host = Ipv4Addr::new(10, 16 + a, b, c);
        if n % 256 == 0 {
            return;
        }
        rig.punt(PuntCause::Arp, LAN, &arp(1, ([2, 1, 1, a, b, c], host), ([0; 6], LAN_OWN)));
    });
    assert_survived(&rig, &outcome, new);
    let unsolicited = Limits::default().unsolicited_per_interface;
    assert!(outcome.most_entries <= unsolicited + 2, "{}", outcome.most_entries);
    assert_eq!(outcome.asked, 0);
    assert!(rig.slow_path.counters().unsolicited_gave_way > 900_000);
}

#[test]
fn solicitations_of_spoofed_senders_do_no_harm_either() {
    let mut rig = attacked(limits());
    let new = IpAddr::from(HOST_IP6);
    let outcome = attack(&mut rig, 5, (LAN, new), |rig, n| {
        let src = Ipv6Addr::from_bits(LAN_IP6.to_bits() + 0x1_0000 + u128::from(n));
        let [.., a, b, c] = src.octets();
        let body = [&LAN_IP6.octets()[..], &[1, 1], &[2, 1, 1, a, b, c]].concat();
        let ip = icmp6((src, LAN_IP6), 255, (135, 0), [0; 4], &body);
        rig.punt(PuntCause::Ipv6ForUs, LAN, &framed(LAN_MAC, [2, 1, 1, a, b, c], &ip));
    });
    assert_survived(&rig, &outcome, new);
    assert!(outcome.most_entries <= Limits::default().unsolicited_per_interface + 2);
}

/// Scans at full rate with `repeats` packets for each address in a row.
fn scan(new: IpAddr, (uidb, repeats): (UidbIndex, u64), target: impl Fn(u64) -> IpAddr) {
    let mut rig = attacked(limits());
    let outcome = attack(&mut rig, 10, (uidb, new), |rig, n| {
        let target = target(n / repeats);
        rig.glean(LAN, target, &packet_to(target));
    });
    assert_survived(&rig, &outcome, new);
    let limits = Limits::default();
    let (rate, burst) = (limits.requests_rate.per_second, limits.requests_rate.burst);
    assert!(outcome.asked <= u64::from(10 * rate + burst), "{}", outcome.asked);
    assert!(outcome.asked >= u64::from(9 * rate), "{}", outcome.asked);
    assert!(outcome.most_entries <= limits.unresolved_per_interface + 2);
    assert!(rig.slow_path.counters().held <= limits.held_per_interface as u64);
}

fn in_16(n: u64) -> IpAddr {
    // Steps over the whole /16, but for what is somebody's.
    let [.., high, low] = u32::try_from(n * 7919 % 65_536).unwrap().to_be_bytes();
    let (high, low) = if (high, low) == (0, 0) { (1, 1) } else { (high, low) };
    Ipv4Addr::new(10, 8, high, low).into()
}

fn in_64(n: u64) -> IpAddr {
    let host = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1 << 40;
    Ipv6Addr::from_bits(LAN_IP6.to_bits() & !u128::from(u64::MAX) | u128::from(host)).into()
}

#[test]
fn a_scan_of_a_16_keeps_nobody_from_being_found() {
    scan(IpAddr::from([10, 9, 9, 9]), (LAN, 1), in_16);
}

#[test]
fn a_scan_of_a_64_keeps_nobody_from_being_found() {
    scan(HOST_IP6.into(), (LAN, 1), in_64);
}

#[test]
fn a_scan_that_asks_for_every_address_several_times_keeps_nobody_from_being_found() {
    for repeats in [2, 3, 8] {
        scan(IpAddr::from([10, 9, 9, 9]), (LAN, repeats), in_16);
    }
}

#[test]
fn a_scan_of_one_link_takes_nothing_from_another() {
    // Found with the first packet, which waits for it.
    let mut rig = attacked(limits());
    let outcome = attack(&mut rig, 2, (WAN, NEXT_IP.into()), |rig, n| {
        rig.glean(LAN, in_16(n), &packet_to(in_16(n)));
    });
    assert_survived(&rig, &outcome, NEXT_IP.into());
    assert!(outcome.found_after < Some(Nanos::PER_MILLI), "{:?}", outcome.found_after);
    assert_eq!(rig.slow_path.counters().resent, 2);
}

#[test]
fn a_next_hop_of_a_route_is_found_at_once_during_a_scan() {
    let mut rig = attacked(limits());
    let new = IpAddr::from([10, 9, 9, 9]);
    for n in 0..RATE {
        rig.now = rig.now.saturating_add(TICK);
        // The least that a scan has to do to be worth as much as an honest sender.
        let target = in_16(n / 4);
        rig.glean(LAN, target, &packet_to(target));
        rig.actions.clear();
    }
    // Its adjacency is there, which no scan can make.
    let frame = framed(LAN_MAC, HOST_MAC, &packet_to(new));
    let mut punted = rig.punted(PuntCause::IncompleteAdjacency, LAN, &frame);
    (punted.output, punted.next_hop) = (LAN, Some(new));
    rig.give(punted);
    let seen = rig.seen();
    assert!(matches!(&seen[..], [Seen::Transmit(LAN, frame)] if asks_for(frame, new)));
}
