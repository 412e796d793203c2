//! Every failure is a counted drop, and nothing of the packet goes on.

use proptest::prelude::*;

use super::rig::{Agreement, Build, Gateway, LAN, WAN, key, pair, spi};
use crate::crypto::{Aad, Algorithm, CryptoEngine, Iv, Job, Outcome};
use crate::ipsec::header::set_ipv4_checksum;
use crate::ipsec::{Dscp, Mode, Selector};
use crate::l3::scalar::tests::{ipv4, ipv6};
use crate::packet::{DropReason, PuntCause};

/// An IPv4 packet of any protocol to the east's WAN address.
fn outer(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64, &[], payload);
    packet[9] = protocol;
    set_ipv4_checksum(&mut packet[..20]);
    packet
}

fn inner() -> Vec<u8> {
    ipv4([10, 1, 0, 9], [10, 2, 0, 9], 64, &[], &[7; 30])
}

/// ESP of the west around any bytes, trailer included: what a peer with the key may send.
fn sealed(sequence: u32, plain: &[u8]) -> Vec<u8> {
    let mut esp = [spi(1).to_be_bytes(), sequence.to_be_bytes()].concat();
    esp.extend(u64::from(sequence).to_be_bytes());
    esp.extend(plain);
    esp.extend([0; 16]);
    let keys = [key(Algorithm::Aes128Gcm, 1)];
    let (iv, aad) = (Iv::counter(sequence.into()), Aad::esp(spi(1), sequence));
    let job = Job::new(0, 16, plain.len() as u32, iv, aad);
    let engine = CryptoEngine::start().unwrap().engine;
    assert_eq!(engine.seal(&keys, &[job], &mut [&mut esp]).get(0), Outcome::Done);
    esp
}

/// The plain bytes with padding and next header.
fn with_trailer(plain: &[u8], next: u8) -> Vec<u8> {
    let mut bytes = plain.to_vec();
    let pad = (4 - (bytes.len() + 2) % 4) % 4;
    bytes.extend(1..=pad as u8);
    bytes.extend([pad as u8, next]);
    bytes
}

/// What becomes of one packet at the east, when it is neither sent nor punted.
fn reason(east: &mut Gateway, packet: Vec<u8>) -> DropReason {
    let before = east.drops();
    assert!(east.walk(WAN, &[packet]).is_empty());
    assert!(east.slow.is_empty());
    let after = east.drops();
    let mut changed = after.into_iter().filter(|count| !before.contains(count));
    let (reason, _) = changed.next().unwrap();
    assert_eq!(changed.next(), None);
    reason
}

fn east() -> Gateway {
    Gateway::new(2, &Agreement::default())
}

#[test]
fn what_an_authentic_packet_holds_is_checked() {
    use DropReason as R;
    let mut east = east();
    let good = with_trailer(&inner(), 4);
    let mut bad_pad = with_trailer(&inner()[..49], 4);
    let at = bad_pad.len() - 3;
    bad_pad[at] ^= 4;
    let mut long = inner();
    long[3] += 1;
    let cases = [
        (with_trailer(&[0; 18], 59), R::EspDummy),
        (vec![0, 0, 255, 4], R::EspBadPadding),
        (bad_pad, R::EspBadPadding),
        (with_trailer(&inner(), 41), R::EspBadNextHeader),
        (with_trailer(&inner(), 17), R::EspBadNextHeader),
        (with_trailer(&[], 4), R::EspBadNextHeader),
        (with_trailer(&[0x45; 10], 4), R::EspBadNextHeader),
        (with_trailer(&long, 4), R::EspBadNextHeader),
        (good[..good.len() - 1].to_vec(), R::EspRunt),
    ];
    for (sequence, (plain, wanted)) in (1..).zip(cases) {
        assert_eq!(reason(&mut east, outer(50, &sealed(sequence, &plain))), wanted, "{sequence}");
        assert_eq!(east.state(1).failures(wanted), east.totals.drops(wanted));
    }
    // Bytes behind the inner packet only hide its length.
    let padded = with_trailer(&[inner(), vec![0xaa; 18]].concat(), 4);
    let mut wanted = inner();
    wanted[8] = 63;
    set_ipv4_checksum(&mut wanted[..20]);
    assert_eq!(east.through(WAN, LAN, &[outer(50, &sealed(20, &padded))]), [wanted]);
    assert_eq!(east.state(1).used().0, 1);
}

#[test]
fn what_is_not_for_an_sa_is_told_apart() {
    use DropReason as R;
    let mut east = east();
    let esp = sealed(1, &with_trailer(&inner(), 4));
    let udp = |payload: &[u8]| {
        let len = (8 + payload.len()) as u16;
        let header = [4500u16, 4500, len, 0].map(u16::to_be_bytes).concat();
        outer(17, &[&header, payload].concat())
    };
    let mut stranger = esp.clone();
    stranger[3] ^= 1;
    assert_eq!(reason(&mut east, outer(50, &stranger)), R::EspNoSa);
    assert_eq!(reason(&mut east, outer(50, &[0; 8])), R::EspNoSa);
    assert_eq!(reason(&mut east, outer(50, &esp[..7])), R::EspRunt);
    assert_eq!(reason(&mut east, outer(50, &[])), R::EspRunt);
    assert_eq!(reason(&mut east, udp(&esp)), R::EspPolicy);
    assert_eq!(reason(&mut east, udp(&[0xff])), R::NatKeepalive);
    assert_eq!(reason(&mut east, udp(&[1, 2, 3])), R::EspRunt);
    assert_eq!(reason(&mut east, udp(&[])), R::EspRunt);
    assert_eq!(east.state(1).failures(R::EspPolicy), 1);
    // IKE behind NAT goes to the slow path, as do fragments, and all else for the router.
    let ike = udp(&[0, 0, 0, 0, 1, 2, 3, 4]);
    let mut fragment = outer(50, &esp);
    fragment[6] = 0x20;
    set_ipv4_checksum(&mut fragment[..20]);
    let punted = [ike, fragment, outer(1, &[8; 8])];
    assert!(east.walk(WAN, &punted).is_empty());
    assert_eq!(east.punted(), punted);
    assert_eq!(east.totals.punts(PuntCause::Ipv4ForUs), 3);
}

#[test]
fn a_packet_is_taken_once_even_within_a_vector() {
    let mut east = east();
    let first = outer(50, &sealed(100, &with_trailer(&inner(), 4)));
    let out = east.walk(WAN, &[first.clone(), first.clone(), first.clone()]);
    assert_eq!(out.len(), 1);
    assert_eq!(reason(&mut east, first), DropReason::EspReplay);
    assert_eq!(east.totals.drops(DropReason::EspReplay), 3);
    let plain = with_trailer(&inner(), 4);
    assert_eq!(reason(&mut east, outer(50, &sealed(36, &plain))), DropReason::EspReplay);
    assert_eq!(east.through(WAN, LAN, &[outer(50, &sealed(37, &plain))]).len(), 1);
    assert_eq!(reason(&mut east, outer(50, &sealed(0, &plain))), DropReason::EspReplay);
    assert_eq!(east.state(1).failures(DropReason::EspReplay), 5);
}

#[test]
fn a_packet_that_does_not_authenticate_moves_no_window() {
    let mut east = east();
    let plain = with_trailer(&inner(), 4);
    let mut wrong = sealed(5000, &plain);
    wrong[20] ^= 1;
    assert_eq!(reason(&mut east, outer(50, &wrong)), DropReason::EspBadIcv);
    assert_eq!(east.state(1).sequence(), 0);
    assert_eq!(east.through(WAN, LAN, &[outer(50, &sealed(1, &plain))]).len(), 1);
}

#[test]
fn inner_packets_outside_of_the_selector_are_dropped() {
    let selector =
        Selector::between("10.1.0.0/24".parse().unwrap(), "10.2.0.0/16".parse().unwrap());
    let (mut west, mut east) = pair(&Agreement { selector, ..Agreement::default() });
    let other = ipv4([10, 1, 1, 9], [10, 2, 0, 9], 64, &[], &[7; 30]);
    let sealed = west.through(LAN, WAN, &[inner(), other]);
    assert_eq!(east.through(WAN, LAN, &sealed).len(), 1);
    assert_eq!(east.drops(), [(DropReason::EspPolicy, 1)]);
    assert_eq!(east.state(1).failures(DropReason::EspPolicy), 1);
}

#[test]
fn congestion_that_cannot_be_marked_is_a_drop() {
    let (mut west, mut east) = pair(&Agreement::default());
    let mut sealed = west.through(LAN, WAN, &[inner()]);
    sealed[0][1] |= 3;
    set_ipv4_checksum(&mut sealed[0][..20]);
    assert!(east.walk(WAN, &sealed).is_empty());
    assert_eq!(east.drops(), [(DropReason::EspEcn, 1)]);
}

#[test]
fn a_packet_that_is_too_large_is_reported_before_it_is_touched() {
    let mut west = Gateway::new(1, &Agreement::default());
    let large = ipv4([10, 1, 0, 9], [10, 2, 0, 9], 64, &[], &[7; 1381]);
    assert!(west.walk(LAN, std::slice::from_ref(&large)).is_empty());
    assert_eq!(west.totals.punts(PuntCause::IpMtuExceeded), 1);
    let mut wanted = large;
    wanted[8] = 63;
    set_ipv4_checksum(&mut wanted[..20]);
    assert_eq!(west.punted(), [wanted]);
    assert_eq!(west.state(0).sequence(), 0);
}

#[test]
fn a_buffer_without_room_is_a_drop() {
    let agreed = Agreement::default();
    // 30 bytes less than the outer packet needs.
    let mut west = Build { room: 14 + 1000, ..Build::of(1, &agreed) }.gateway();
    let packet = ipv4([10, 1, 0, 9], [10, 2, 0, 9], 64, &[], &[7; 980]);
    assert!(west.walk(LAN, &[packet]).is_empty());
    assert_eq!(west.drops(), [(DropReason::EspNoRoom, 1)]);
    assert_eq!(west.state(0).failures(DropReason::EspNoRoom), 1);
}

#[test]
fn a_tunnel_without_an_sa_sends_nothing() {
    let mut west = Gateway::new(1, &Agreement::default());
    west.tunnel(super::rig::TUNNEL).set(None);
    assert!(west.walk(LAN, &[inner()]).is_empty());
    west.tunnel(super::rig::TUNNEL).set(Some(99));
    assert!(west.walk(LAN, &[inner()]).is_empty());
    assert_eq!(west.drops(), [(DropReason::EspNoSa, 2)]);
}

#[test]
fn a_key_row_that_is_empty_protects_nothing_and_sends_nothing() {
    let agreed = Agreement::default();
    let key = Some(crate::crypto::SaKey::empty());
    let mut east = Build { key, ..Build::of(2, &agreed) }.gateway();
    let esp = sealed(1, &with_trailer(&inner(), 4));
    assert_eq!(reason(&mut east, outer(50, &esp)), DropReason::EspNoEngine);
}

#[test]
fn a_fragment_is_not_protected_in_transport_mode() {
    let mut west = Gateway::new(1, &Agreement { mode: Mode::Transport, ..Agreement::default() });
    let mut fragment = ipv4([10, 1, 0, 9], [192, 0, 2, 2], 64, &[], &[7; 30]);
    fragment[7] = 9;
    set_ipv4_checksum(&mut fragment[..20]);
    assert!(west.walk(LAN, &[fragment]).is_empty());
    assert_eq!(west.drops(), [(DropReason::EspFragment, 1)]);
}

/// What is for the ends alone does not stay in the clear (RFC 4301 4.4.1.1), whatever is behind it.
#[test]
fn transport_mode_protects_mobility_headers_and_the_like() {
    let agreed = Agreement { mode: Mode::Transport, outer_v6: true, ..Agreement::default() };
    let std::net::IpAddr::V6(east) = super::rig::wan(2, true) else { panic!("not IPv6") };
    for kind in [135, 139, 140] {
        for next in [59, 47] {
            let header = [next, 1, 5, 0, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7];
            let options = [kind, 0, 1, 4, 0, 0, 0, 0];
            let payload = [&options[..], &header, &[9; 8]].concat();
            let packet = ipv6("2001:db8:1::9", &east.to_string(), 60, 64, &payload);
            let sealed = Gateway::new(1, &agreed).through(LAN, WAN, &[packet]).remove(0);
            assert_eq!((sealed[6], sealed[40]), (60, 50), "ESP is behind the options");
            assert!(!sealed.windows(8).any(|window| window == [7; 8]));
        }
    }
}

/// RFC 6040 in compatibility mode, DSCP set, DF copied and set.
#[test]
fn the_outer_header_is_what_the_policies_say() {
    use crate::ipsec::DontFragment as Df;
    let outer = |agreed: &Agreement, inner: Vec<u8>| {
        Gateway::new(1, agreed).through(LAN, WAN, &[inner]).remove(0)
    };
    let classed = |class: u8, df: u8| {
        let mut packet = inner();
        (packet[1], packet[6]) = (class, df);
        set_ipv4_checksum(&mut packet[..20]);
        packet
    };
    let agreed = Agreement { dscp: Dscp::Set(46), ecn: false, ..Agreement::default() };
    assert_eq!(outer(&agreed, classed(0x23, 0))[1], 46 << 2);
    for (df, inner_df, outer_df, id) in [
        (Df::Copy, 0, 0, 1),
        (Df::Copy, 0x40, 0x40, 0),
        (Df::Set, 0, 0x40, 0),
        (Df::Clear, 0x40, 0, 1),
    ] {
        let packet = outer(&Agreement { df, ..Agreement::default() }, classed(0, inner_df));
        assert_eq!((packet[5], packet[6]), (id, outer_df), "{df:?}");
        assert_eq!(crate::wire::checksum::internet(&packet[..20]), 0);
    }
    let v6 = ipv6("2001:db8:1::9", "2001:db8:2::9", 17, 64, &[7; 30]);
    assert_eq!(outer(&Agreement::default(), v6.clone())[6], 0x40);
    // UDP over IPv6 has a checksum.
    let packet = outer(&Agreement { outer_v6: true, udp: true, ..Agreement::default() }, v6);
    let ends = [1, 2].map(|side| match super::rig::wan(side, true) {
        std::net::IpAddr::V6(address) => address,
        std::net::IpAddr::V4(_) => panic!("v6"),
    });
    let sum = crate::wire::checksum::Sum::default();
    let len = packet.len() as u32 - 40;
    assert_eq!(sum.pseudo_v6(ends[0], ends[1], 17, len).bytes(&packet[40..]).finish(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    /// One bit of ESP changed, cut anywhere, or bytes added: never sent, always counted.
    #[test]
    fn no_damaged_packet_gets_through(
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0..8u8), 1..30),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 1..30),
        esn in any::<bool>(),
        udp in any::<bool>(),
        v6 in any::<bool>(),
        algorithm in prop::sample::select(&Algorithm::ALL[..]),
    ) {
        let agreed = Agreement { algorithm, esn, udp, outer_v6: v6, ..Agreement::default() };
        let (mut west, mut east) = pair(&agreed);
        let packet = west.through(LAN, WAN, &[inner()]).remove(0);
        let header = if v6 { 40 } else { 20 } + if udp { 8 } else { 0 };
        let mut damaged = Vec::new();
        for (at, bit) in flips {
            let mut packet = packet.clone();
            let at = header + at.index(packet.len() - header);
            packet[at] ^= 1 << bit;
            damaged.push(packet);
        }
        for cut in cuts {
            let len = header + cut.index(packet.len() - header);
            let mut packet = packet[..len].to_vec();
            if v6 {
                packet[4..6].copy_from_slice(&((len - 40) as u16).to_be_bytes());
            } else {
                packet[2..4].copy_from_slice(&(len as u16).to_be_bytes());
                set_ipv4_checksum(&mut packet[..20]);
            }
            if udp {
                packet[header - 4..header - 2].copy_from_slice(&((len - header + 8) as u16).to_be_bytes());
            }
            damaged.push(packet);
        }
        prop_assert!(east.walk(WAN, &damaged).is_empty());
        prop_assert_eq!(east.state(1).used(), (0, 0));
        let ended = east.totals.all_drops() + east.totals.all_punts();
        prop_assert_eq!(ended, damaged.len() as u64);
        // Only what looks like IKE leaves for the slow path.
        prop_assert!(udp || east.totals.all_punts() == 0);
        // The packet itself is as good as it was.
        prop_assert_eq!(east.through(WAN, LAN, &[packet]).len(), 1);
    }
}
