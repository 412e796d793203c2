use super::*;
use crate::punt::IcmpKind;
use crate::punt::fragment::v6;
use crate::wire::Ipv6;
use proptest::prelude::*;

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

fn link_header6() -> Vec<u8> {
    framed(NEXT_MAC, WAN_MAC, &[0x60])[..14].to_vec()
}

/// What is sent of a packet that the router has injected and whose output link takes 1,280 bytes.
fn own_too_big(rig: &mut Rig, ip: &[u8]) -> Vec<Vec<u8>> {
    rig.slow_path.set_mtu(WAN, 1280);
    let frame = [&link_header6(), ip].concat();
    let mut punted = rig.punted(PuntCause::IpMtuExceeded, UidbIndex::RP, &frame);
    punted.output = WAN;
    rig.give(punted);
    let sent = |seen| match seen {
        Seen::Transmit(WAN, frame) => frame.strip_prefix(&link_header6()[..]).unwrap().to_vec(),
        other => panic!("{other:?}"),
    };
    rig.seen().into_iter().map(sent).collect()
}

/// The datagram that fragments are of, by the book (RFC 8200 4.5): all of them in order, each but
/// the last of whole units.
fn whole6(fragments: &[Vec<u8>]) -> Vec<u8> {
    let mut whole = fragments[0][..40].to_vec();
    for (n, fragment) in fragments.iter().enumerate() {
        assert_eq!((fragment[6], &fragment[41..42]), (44, &[0][..]));
        assert_eq!(&fragment[44..48], &fragments[0][44..48], "one identification");
        let len = usize::from(u16::from_be_bytes([fragment[4], fragment[5]]));
        assert_eq!(len, fragment.len() - 40);
        let place = u16::from_be_bytes([fragment[42], fragment[43]]);
        assert_eq!(usize::from(place & !7), whole.len() - 40);
        assert_eq!(place & 7, u16::from(n + 1 < fragments.len()));
        whole.extend(&fragment[48..]);
    }
    whole[6] = fragments[0][40];
    let len = u16::try_from(whole.len() - 40).unwrap();
    whole[4..6].copy_from_slice(&len.to_be_bytes());
    whole
}

#[test]
fn the_router_fragments_ipv6_packets_of_its_own_and_no_others() {
    let mut rig = Rig::new();
    let mut ids = Vec::new();
    for (len, lens) in [
        (1280, &[1280][..]),
        (1281, &[1280, 57]),
        (1500, &[1280, 276]),
        (4000, &[1280, 1280, 1280, 312]),
    ] {
        let ip = icmp6((LAN_IP6, FAR_IP6), 64, (129, 0), [0, 1, 0, 2], &vec![7; len - 48]);
        let sent = own_too_big(&mut rig, &ip);
        assert_eq!(sent.iter().map(Vec::len).collect::<Vec<_>>(), lens);
        if sent.len() > 1 {
            assert_eq!(whole6(&sent), ip);
            ids.push(sent[0][44..48].to_vec());
        }
    }
    ids.dedup();
    assert_eq!(ids.len(), 3, "no identification twice in a row");
    assert_eq!(rig.slow_path.counters().fragments, 2 + 2 + 4);
    // One that came from outside is not the router's, whatever its source says.
    for (input, src) in [(LAN, LAN_IP6), (UidbIndex::RP, HOST_IP6)] {
        let frame = [link_header6(), udp6(src, FAR_IP6, 63, 1400)].concat();
        let mut punted = rig.punted(PuntCause::IpMtuExceeded, input, &frame);
        punted.output = WAN;
        rig.give(punted);
        assert!(!rig.seen().iter().any(|seen| matches!(seen, Seen::Transmit(..))));
    }
}

#[test]
fn what_was_cut_for_its_path_is_cut_again_for_its_link() {
    let mut rig = Rig::new();
    let ip = icmp6((WAN_IP6, FAR_IP6), 64, (129, 0), [0, 1, 0, 2], &[7; 2952]);
    let parsed = Ipv6::parse(&ip).unwrap();
    let mut sent = Vec::new();
    for piece in v6::split(&parsed, 1400, 9).unwrap() {
        sent.extend(own_too_big(&mut rig, &piece));
    }
    assert!(sent.len() > 3 && sent.iter().all(|ip| ip.len() <= 1280));
    assert_eq!(whole6(&sent), ip);
}

#[test]
fn a_link_local_peer_gets_fragments_that_its_link_takes() {
    let mut rig = Rig::new();
    let (own, peer) = ("fe80::ff:fe00:1".parse().unwrap(), "fe80::aa".parse().unwrap());
    let request = icmp6((peer, own), 60, (128, 0), [0, 1, 0, 2], &[7; 4000]);
    rig.punt(PuntCause::Ipv6ForUs, LAN, &framed(LAN_MAC, HOST_MAC, &request));
    let sent: Vec<_> = rig.seen();
    let lens = sent.iter().map(|seen| match seen {
        Seen::Transmit(LAN, frame) => frame.len() - 14,
        other => panic!("{other:?}"),
    });
    assert_eq!(lens.collect::<Vec<_>>(), [1496, 1496, 1160]);
}

proptest! {
    #[test]
    fn fragments_of_ipv6_make_the_packet_again(len in 8..4000_usize, mtu in 1280..3000_u16) {
        let data: Vec<u8> = (0..=250).cycle().take(len).collect();
        let ip = icmp6((LAN_IP6, FAR_IP6), 64, (129, 0), [0, 1, 0, 2], &data);
        let parsed = Ipv6::parse(&ip).unwrap();
        let pieces = v6::split(&parsed, mtu, 9).unwrap();
        prop_assert!(pieces.iter().all(|piece| piece.len() <= usize::from(mtu)));
        if pieces.len() == 1 {
            prop_assert_eq!(&pieces[0], &ip);
        } else {
            prop_assert_eq!(whole6(&pieces), ip);
        }
    }
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
