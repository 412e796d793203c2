//! Fragments for the router: cut by hand, in every order.
#![expect(clippy::cast_possible_truncation, reason = "small lengths")]

use proptest::prelude::*;

use super::*;

/// A datagram to the router with as much data as said.
fn datagram(v6: bool, len: usize) -> Vec<u8> {
    let data: Vec<u8> = (0..=250).cycle().take(len).collect();
    let builder = if v6 {
        PacketBuilder::ipv6(HOST_IP6.octets(), LAN_IP6.octets(), 9)
    } else {
        PacketBuilder::ipv4(HOST_IP.octets(), LAN_IP.octets(), 9)
    };
    let mut ip = Vec::new();
    builder.udp(5000, 33434).write(&mut ip, &data).unwrap();
    ip
}

/// The fragment that carries bytes `from..to` of what is behind the IP header.
pub(super) fn fragment(ip: &[u8], id: u8, from: usize, to: usize) -> Vec<u8> {
    let v6 = ip[0] >> 4 == 6;
    let header = if v6 { 40 } else { 20 };
    let more = header + to < ip.len();
    let mut bytes = ip[..header].to_vec();
    let place = (from as u16 / 8) << if v6 { 3 } else { 0 };
    if v6 {
        let [high, low] = (place | u16::from(more)).to_be_bytes();
        bytes.extend([ip[6], 0, high, low, 0, 0, 0, id]);
        bytes[6] = 44;
        bytes[4..6].copy_from_slice(&((to - from + 8) as u16).to_be_bytes());
    } else {
        bytes[2..4].copy_from_slice(&((to - from + 20) as u16).to_be_bytes());
        bytes[5] = id;
        bytes[6..8].copy_from_slice(&(place | u16::from(more) << 13).to_be_bytes());
    }
    bytes.extend(&ip[header + from..header + to]);
    if !v6 {
        fix_checksum(&mut bytes);
    }
    bytes
}

fn take(rig: &mut Rig, ip: &[u8]) -> Vec<Seen> {
    let cause = if ip[0] >> 4 == 6 { PuntCause::Ipv6ForUs } else { PuntCause::Ipv4ForUs };
    rig.punt(cause, LAN, &framed(LAN_MAC, HOST_MAC, ip));
    rig.seen()
}

/// The datagram as it comes out, with the identification of its fragments.
fn whole(ip: &[u8], id: u8) -> Vec<Seen> {
    let mut ip = ip.to_vec();
    if ip[0] >> 4 == 4 {
        ip[5] = id;
        ip[6] &= !0x40;
        fix_checksum(&mut ip);
    }
    vec![Seen::Inject(ip)]
}

/// The data of a datagram in pieces of eight bytes or some.
fn pieces(len: usize, cuts: &[usize]) -> Vec<(usize, usize)> {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (len / 8) * 8).collect();
    ends.extend([0, len]);
    ends.sort_unstable();
    ends.dedup();
    ends.windows(2).map(|pair| (pair[0], pair[1])).collect()
}

proptest! {
    #[test]
    fn a_datagram_is_whole_when_its_last_fragment_comes_and_not_before(
        v6: bool,
        len in 16_usize..1200,
        cuts in prop::collection::vec(1_usize..1000, 1..12),
        order in any::<prop::sample::Index>(),
        again in any::<prop::sample::Index>(),
    ) {
        let mut rig = Rig::new();
        let ip = datagram(v6, len);
        let data = ip.len() - if v6 { 40 } else { 20 };
        let mut pieces = pieces(data, &cuts);
        let start = order.index(pieces.len());
        pieces.rotate_left(start);
        if start % 2 == 1 {
            pieces.reverse();
        }
        // One comes twice.
        pieces.insert(0, pieces[again.index(pieces.len())]);
        if pieces.len() == 2 {
            pieces.remove(0);
        }
        let (last, others) = pieces.split_last().unwrap();
        for (from, to) in others.iter().filter(|piece| *piece != last) {
            prop_assert_eq!(take(&mut rig, &fragment(&ip, 7, *from, *to)), vec![]);
        }
        let seen = take(&mut rig, &fragment(&ip, 7, last.0, last.1));
        if others.is_empty() {
            // It was not cut at all.
            return Ok(());
        }
        prop_assert_eq!(seen, whole(&ip, 7));
        prop_assert_eq!(rig.slow_path.counters().reassembled, 1);
    }
}

#[test]
fn datagrams_of_other_identifications_do_not_mix() {
    for v6 in [false, true] {
        let mut rig = Rig::new();
        let (one, mut other) = (datagram(v6, 100), datagram(v6, 100));
        *other.last_mut().unwrap() ^= 1;
        assert!(take(&mut rig, &fragment(&one, 1, 0, 40)).is_empty());
        assert!(take(&mut rig, &fragment(&other, 2, 0, 40)).is_empty());
        assert_eq!(take(&mut rig, &fragment(&other, 2, 40, 108)), whole(&other, 2));
        assert_eq!(take(&mut rig, &fragment(&one, 1, 40, 108)), whole(&one, 1));
    }
}

#[test]
fn fragments_that_overlap_or_contradict_end_the_datagram() {
    for v6 in [false, true] {
        let ip = datagram(v6, 100);
        let mut other = ip.clone();
        *other.last_mut().unwrap() ^= 1;
        let end = fragment(&ip, 7, 40, 108);
        for (n, bad) in [
            fragment(&ip, 7, 32, 48),
            fragment(&ip, 7, 0, 48),
            fragment(&other, 7, 40, 108),
            // It ends elsewhere, or goes on behind the end.
            fragment(&datagram(v6, 60), 7, 40, 68),
            fragment(&datagram(v6, 200), 7, 112, 120),
        ]
        .iter()
        .enumerate()
        {
            let mut rig = Rig::new();
            assert!(take(&mut rig, &fragment(&ip, 7, 0, 40)).is_empty());
            if n > 1 {
                // With a gap, so that it does not end yet.
                rig = Rig::new();
                assert!(take(&mut rig, &end).is_empty());
            }
            assert!(take(&mut rig, bad).is_empty());
            assert_eq!(rig.dropped(SlowDrop::FragmentOverlap), 1, "{n}");
            // What comes then begins anew.
            assert!(take(&mut rig, &fragment(&ip, 7, 0, 40)).is_empty());
            assert_eq!(take(&mut rig, &end), whole(&ip, 7));
        }
    }
}

#[test]
fn fragments_that_cannot_be_are_malformed() {
    for v6 in [false, true] {
        let mut rig = Rig::new();
        let ip = datagram(v6, 100);
        let mut odd = fragment(&ip, 7, 0, 40);
        odd.pop();
        if v6 {
            odd[5] -= 1;
        } else {
            odd[3] -= 1;
            fix_checksum(&mut odd);
        }
        // IPv6 tells the source (RFC 8200 4.5).
        assert_eq!(take(&mut rig, &odd).len(), usize::from(v6));
        assert!(take(&mut rig, &fragment(&ip, 7, 40, 40)).is_empty());
        rig.now = rig.now.saturating_add(Nanos::PER_SECOND);
        // Behind 65,535 bytes.
        let mut far = fragment(&ip, 7, 40, 108);
        if v6 {
            far[42..44].copy_from_slice(&0xfff8_u16.to_be_bytes());
        } else {
            far[6..8].copy_from_slice(&0x1fff_u16.to_be_bytes());
            fix_checksum(&mut far);
        }
        assert_eq!(take(&mut rig, &far).len(), usize::from(v6));
        assert_eq!(rig.dropped(SlowDrop::Malformed), if v6 { 1 } else { 3 });
    }
}

#[test]
fn nothing_waits_longer_than_a_minute_and_its_sender_is_told() {
    for v6 in [false, true] {
        let mut rig = Rig::new();
        let ip = datagram(v6, 100);
        let first = fragment(&ip, 7, 0, 40);
        assert!(take(&mut rig, &first).is_empty());
        // Without the first fragment nobody is told (RFC 792, RFC 4443 3.3).
        assert!(take(&mut rig, &fragment(&ip, 8, 40, 108)).is_empty());
        let deadline = rig.slow_path.next_deadline().unwrap();
        assert_eq!(deadline, rig.now.saturating_add(60 * Nanos::PER_SECOND));
        rig.poll_at(Nanos(deadline.0 - 1));
        assert_eq!((rig.seen(), rig.slow_path.next_deadline()), (vec![], Some(deadline)));
        rig.poll_at(deadline);
        let seen = rig.seen();
        let [Seen::Inject(error)] = &seen[..] else { panic!("{seen:?}") };
        let header = if v6 { 40 } else { 20 };
        let form = if v6 { [3, 1] } else { [11, 1] };
        assert_eq!((&error[header..header + 2], &error[header + 8..]), (&form[..], &first[..]));
        assert_eq!(rig.slow_path.counters().reassemblies_timed_out, 2);
        assert_eq!(rig.slow_path.counters().reassemblies_given_up, 0);
        assert!(take(&mut rig, &fragment(&ip, 7, 40, 108)).is_empty());
    }
}

/// Limits for as many bytes as said; two datagrams.
fn tight(bytes: usize) -> Limits {
    Limits {
        reassemblies: 2,
        reassembly_bytes: bytes,
        reassembly_bytes_per_source: bytes,
        ..Limits::default()
    }
}

#[test]
fn the_oldest_datagram_makes_room() {
    let mut rig = Rig::with(tight(400));
    let ip = datagram(false, 100);
    for id in 1..=3 {
        assert!(take(&mut rig, &fragment(&ip, id, 0, 40)).is_empty());
    }
    // The first is gone; the others are there, but both do not fit when whole.
    assert!(take(&mut rig, &fragment(&ip, 1, 40, 108)).is_empty());
    assert_eq!(rig.slow_path.counters().reassemblies_given_up, 2);
    assert_eq!(take(&mut rig, &fragment(&ip, 3, 40, 108)), whole(&ip, 3));
    assert_eq!(rig.slow_path.counters().reassemblies_given_up, 3);
}

#[test]
fn the_datagram_that_is_served_never_makes_room() {
    let mut rig = Rig::with(tight(400));
    let ip = datagram(false, 100);
    // An identification that has been used before, and comes to its end beside another one.
    for id in [1, 1] {
        assert!(take(&mut rig, &fragment(&ip, id, 0, 40)).is_empty());
        assert!(take(&mut rig, &fragment(&ip, 2, 0, 40)).is_empty());
        assert_eq!(take(&mut rig, &fragment(&ip, id, 40, 108)), whole(&ip, id));
    }
    assert_eq!(rig.dropped(SlowDrop::ReassemblyFull), 0);
    // Alone it is refused when it does not fit.
    let mut rig = Rig::with(tight(300));
    assert!(take(&mut rig, &fragment(&ip, 1, 0, 40)).is_empty());
    assert!(take(&mut rig, &fragment(&ip, 1, 40, 108)).is_empty());
    assert_eq!(rig.dropped(SlowDrop::ReassemblyFull), 1);
    assert_eq!(rig.slow_path.next_deadline(), None);
}

#[test]
fn a_fragment_that_comes_twice_pushes_nothing_out() {
    let ip = datagram(false, 100);
    // With the first fragment as it came, and what each takes: 164 and 108 bytes.
    let mut rig = Rig::with(tight(400));
    for id in [1, 2] {
        assert!(take(&mut rig, &fragment(&ip, id, 0, 40)).is_empty());
        assert!(take(&mut rig, &fragment(&ip, id, 0, 40)).is_empty());
    }
    assert_eq!(rig.slow_path.counters().reassemblies_given_up, 0);
    // Alone, and larger than half of the room.
    let mut rig = Rig::with(tight(300));
    for _ in 0..2 {
        assert!(take(&mut rig, &fragment(&ip, 1, 0, 40)).is_empty());
    }
    assert_eq!(rig.dropped(SlowDrop::ReassemblyFull), 0);
    assert!(rig.slow_path.next_deadline().is_some());
}

/// The datagram with another source.
fn from(mut ip: Vec<u8>, source: Ipv4Addr) -> Vec<u8> {
    ip[12..16].copy_from_slice(&source.octets());
    fix_checksum(&mut ip);
    ip
}

#[test]
fn fragments_of_one_source_push_out_no_others() {
    let mut rig = Rig::new();
    let ip = datagram(false, 1000);
    assert!(take(&mut rig, &fragment(&ip, 7, 0, 800)).is_empty());
    for n in 0..5000_u32 {
        let [.., high, low] = n.to_be_bytes();
        // Some in many datagrams, some in many bytes, from everywhere in the prefix.
        let hostile = from(datagram(false, 1400), Ipv4Addr::new(10, 0, 0, low | 1));
        let mut hostile = fragment(&hostile, low, 8, if n % 2 == 0 { 16 } else { 1408 });
        hostile[4] = high;
        fix_checksum(&mut hostile);
        assert!(take(&mut rig, &hostile).is_empty());
    }
    assert!(rig.slow_path.counters().reassemblies_given_up > 4000);
    assert_eq!(take(&mut rig, &fragment(&ip, 7, 800, 1008)), whole(&ip, 7));
}

#[test]
fn fragments_of_many_sources_push_out_those_of_their_own_interface() {
    let mut rig = Rig::new();
    let ip = datagram(false, 1000);
    assert!(take(&mut rig, &fragment(&ip, 7, 0, 800)).is_empty());
    for n in 0..5000_u32 {
        let source = Ipv4Addr::from_bits(0x0a00_0001 + (n << 8));
        let hostile = fragment(&from(datagram(false, 1400), source), 1, 8, 1408);
        rig.punt(PuntCause::Ipv4ForUs, WAN, &framed(LAN_MAC, HOST_MAC, &hostile));
    }
    assert!(rig.slow_path.counters().reassemblies_given_up > 2000);
    assert_eq!(take(&mut rig, &fragment(&ip, 7, 800, 1008)), whole(&ip, 7));
}

#[test]
fn congestion_that_a_fragment_has_met_is_told_by_the_datagram() {
    for v6 in [false, true] {
        let mark = |mut ip: Vec<u8>, ecn: u8| {
            ip[1] |= if v6 { ecn << 4 } else { ecn };
            if !v6 {
                fix_checksum(&mut ip);
            }
            ip
        };
        let ip = datagram(v6, 100);
        for (marks, outcome) in
            [([2, 3], Some(3)), ([3, 1], Some(3)), ([2, 2], Some(2)), ([0, 3], None)]
        {
            let mut rig = Rig::new();
            assert!(take(&mut rig, &mark(fragment(&ip, 7, 0, 40), marks[0])).is_empty());
            let seen = take(&mut rig, &mark(fragment(&ip, 7, 40, 108), marks[1]));
            let wanted = outcome.map_or(vec![], |ecn| whole(&mark(ip.clone(), ecn), 7));
            assert_eq!(seen, wanted, "{marks:?}");
        }
    }
}
