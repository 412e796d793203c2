use super::*;
use crate::punt::IcmpKind;

/// What a rewritten frame looks like, and what comes out of it.
fn too_big(rig: &mut Rig, link_header: &[u8], ip: &[u8]) -> Vec<Seen> {
    let frame = [link_header, ip].concat();
    let mut punted = rig.punted(PuntCause::IpMtuExceeded, LAN, &frame);
    punted.output = WAN;
    punted.l3_offset = u8::try_from(link_header.len()).unwrap();
    rig.give(punted);
    rig.seen()
}

fn link_header() -> Vec<u8> {
    framed(NEXT_MAC, WAN_MAC, &[0x45])[..14].to_vec()
}

/// Total length, more-fragments flag and offset of each fragment, which all have `link_header`.
fn outline(seen: &[Seen], link_header: &[u8]) -> Vec<(u16, bool, u16)> {
    let fragment = |seen: &Seen| {
        let Seen::Transmit(WAN, frame) = seen else { panic!("{seen:?}") };
        let ip = frame.strip_prefix(link_header).unwrap();
        let word = |at| u16::from_be_bytes([ip[at], ip[at + 1]]);
        assert_eq!(usize::from(word(2)), ip.len());
        (word(2), word(6) & 0x2000 != 0, word(6) & 0x1fff)
    };
    seen.iter().map(fragment).collect()
}

#[test]
fn the_vectors_of_v_30_come_out() {
    let mut rig = Rig::new();
    for (total, expected) in [
        (4000, vec![(1500, true, 0), (1500, true, 185), (1040, false, 370)]),
        (3000, vec![(1500, true, 0), (1500, true, 185), (40, false, 370)]),
        (1501, vec![(1500, true, 0), (21, false, 185)]),
        (1500, vec![(1500, false, 0)]),
    ] {
        let ip = udp4(HOST_IP, FAR_IP, 63, total - 28);
        let seen = too_big(&mut rig, &link_header(), &ip);
        assert_eq!(outline(&seen, &link_header()), expected, "{total}");
    }
    assert_eq!(rig.slow_path.counters().fragments, 3 + 3 + 2);
}

#[test]
fn tags_are_copied_to_every_fragment() {
    let mut rig = Rig::new();
    let mut tagged = link_header();
    tagged.splice(12..12, [0x81, 0, 0, 100]);
    let seen = too_big(&mut rig, &tagged, &udp4(HOST_IP, FAR_IP, 63, 2000));
    assert_eq!(outline(&seen, &tagged).len(), 2);
}

#[test]
fn a_fragment_is_split_further() {
    let mut rig = Rig::new();
    let mut ip = udp4(HOST_IP, FAR_IP, 63, 1972);
    ip[6..8].copy_from_slice(&0x2064_u16.to_be_bytes());
    fix_checksum(&mut ip);
    let seen = too_big(&mut rig, &link_header(), &ip);
    let expected = [(1500, true, 100), (520, true, 285)];
    assert_eq!(outline(&seen, &link_header()), expected);
}

#[test]
fn what_may_not_be_fragmented_is_reported_with_the_mtu() {
    let mut rig = Rig::new();
    let mut ip = udp4(HOST_IP, FAR_IP, 63, 3972);
    ip[6] = 0x40;
    fix_checksum(&mut ip);
    let seen = too_big(&mut rig, &link_header(), &ip);
    let [Seen::Inject(error)] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!(error[20..22], [3, 4]);
    assert_eq!(error[24..28], [0, 0, 0x05, 0xdc]);
    assert_eq!(error[12..20], [192, 0, 2, 1, 192, 0, 2, 10]);

    let seen = too_big(&mut rig, &link_header(), &udp6(HOST_IP6, FAR_IP6, 63, 3000));
    let [Seen::Inject(error)] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!((&error[40..42], &error[44..48]), (&[2, 0][..], &[0, 0, 0x05, 0xdc][..]));
    let counters = rig.slow_path.counters();
    assert_eq!(counters.icmp_sent(IcmpKind::Ipv4FragmentationNeeded), 1);
    assert_eq!(counters.icmp_sent(IcmpKind::Ipv6PacketTooBig), 1);
}

#[test]
fn without_buffers_for_all_fragments_none_is_sent() {
    let mut rig = Rig::new();
    let cache = rig.cache.as_mut().unwrap();
    let mut hoard: Vec<_> = std::iter::from_fn(|| cache.packet(b"")).collect();
    // One for the packet, two for its three fragments.
    hoard.truncate(hoard.len() - 3);
    // What was truncated went back to the shared pool, behind an empty cache.
    let seen = too_big(&mut rig, &link_header(), &udp4(HOST_IP, FAR_IP, 63, 3972));
    assert_eq!((seen, rig.dropped(SlowDrop::NoBuffer)), (vec![], 1));
    drop(hoard);
}
