//! Packets larger than the next link takes.

use etherparse::Ipv4Slice;

use super::errors::message;
use crate::packets::{DOT1Q, Tag, frame, mac, payload, udp, with_fragment_field};
use crate::router::{TWO_NETWORKS, route};

/// A 4000-byte packet from west to behind the east.
fn large(ttl: u8) -> Vec<u8> {
    udp("10.1.0.2", "203.0.113.9", ttl, (1, 2), &payload(4000 - 28))
}

/// The packets that arrive in the east when `ip` comes from the west, without their link header.
fn fragments(config: &str, ip: &[u8], header: usize) -> Vec<Vec<u8>> {
    let run = route(config, &[&[(0, frame(mac(1, 1), mac(1, 2), &[], ip))]]);
    let frames = run.frames(1);
    for sent in &frames {
        assert_eq!(sent[..12], [mac(2, 2), mac(2, 1)].concat());
    }
    frames.iter().map(|sent| sent[header..].to_vec()).collect()
}

#[test]
fn a_packet_of_4000_bytes_becomes_three_at_an_mtu_of_1500() {
    let found = fragments(TWO_NETWORKS, &large(64), 14);
    assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [1500, 1500, 1040]);
    let original = large(63);
    for (n, fragment) in found.iter().enumerate() {
        let header = Ipv4Slice::from_slice(fragment).unwrap().header().to_header();
        assert_eq!(header.header_checksum, header.calc_header_checksum());
        assert_eq!(usize::from(header.total_len), fragment.len());
        assert_eq!(usize::from(header.fragment_offset.value()), n * 185);
        assert_eq!(header.more_fragments, n < 2);
        // All else is that of the original.
        assert_eq!(header.identification, 0x1234);
        assert_eq!((fragment[1], fragment[8], fragment[9]), (original[1], 63, 17));
        assert_eq!(fragment[12..20], original[12..20]);
    }
    let whole: Vec<u8> = found.iter().flat_map(|fragment| fragment[20..].to_vec()).collect();
    assert_eq!(whole, original[20..]);
}

#[test]
fn fragments_are_counted_as_put_in_and_the_packet_as_punted() {
    let run = route(TWO_NETWORKS, &[&[(0, frame(mac(1, 1), mac(1, 2), &[], &large(64)))]]);
    assert_eq!(run.report.punts, [("IpMtuExceeded", 1)]);
    assert_eq!((run.report.injected, run.report.forwarded(), run.report.dropped()), (3, 3, 0));
}

#[test]
fn a_fragment_is_split_further_with_offsets_from_its_own() {
    // The middle of a larger datagram: more to come, offset 100 * 8.
    let found = fragments(TWO_NETWORKS, &with_fragment_field(large(64), 0x2000 | 100), 14);
    let fields: Vec<u16> = found.iter().map(|ip| u16::from_be_bytes([ip[6], ip[7]])).collect();
    assert_eq!(fields, [0x2000 | 100, 0x2000 | 285, 0x2000 | 470]);
}

#[test]
fn fragments_carry_the_tags_of_their_link() {
    let config = TWO_NETWORKS.replace(
        "mac = \"02:00:00:00:02:01\"\n",
        "mac = \"02:00:00:00:02:01\"\n[[port.vlan]]\nid = 30\n",
    );
    let run = route(&config, &[&[(0, frame(mac(1, 1), mac(1, 2), &[], &large(64)))]]);
    let frames = run.frames(1);
    assert_eq!(frames.iter().map(|sent| sent.len()).collect::<Vec<_>>(), [1518, 1518, 1058]);
    let [first, ..] = frames[..] else { panic!("nothing was sent") };
    let header = &frame(mac(2, 2), mac(2, 1), &[Tag(DOT1Q, 30)], &large(63))[..18];
    assert_eq!(&first[..18], header);
}

#[test]
fn a_packet_that_just_fits_is_left_alone_and_one_byte_more_is_not() {
    let packet = |len: usize| udp("10.1.0.2", "203.0.113.9", 64, (1, 2), &payload(len - 28));
    assert_eq!(fragments(TWO_NETWORKS, &packet(1500), 14).len(), 1);
    let lens: Vec<usize> =
        fragments(TWO_NETWORKS, &packet(1501), 14).iter().map(Vec::len).collect();
    assert_eq!(lens, [1500, 21]);
}

#[test]
fn a_large_packet_that_must_not_be_fragmented_is_reported_with_the_mtu() {
    let ip = with_fragment_field(large(64), 0x4000);
    let run = route(TWO_NETWORKS, &[&[(0, frame(mac(1, 1), mac(1, 2), &[], &ip))]]);
    assert!(run.sent[1].is_empty());
    let [sent] = run.frames(0)[..] else { panic!("{} answers", run.sent[0].len()) };
    let found = message(sent);
    assert_eq!(found.kind, (3, 4, 1500));
    assert_eq!(found.src, "10.1.0.1".parse::<std::net::IpAddr>().unwrap());
    // The quoted header has the ports and addresses by which the sender knows its packet.
    assert_eq!(found.body[12..28], ip[12..28]);
}

#[test]
fn a_large_ipv6_packet_is_reported_as_too_big_with_the_mtu() {
    let ip = udp("2001:db8:1::2", "2001:db8:ff::9", 64, (1, 2), &payload(1453));
    let run = route(TWO_NETWORKS, &[&[(0, frame(mac(1, 1), mac(1, 2), &[], &ip))]]);
    assert!(run.sent[1].is_empty());
    let [sent] = run.frames(0)[..] else { panic!("{} answers", run.sent[0].len()) };
    assert_eq!(sent.len(), 14 + 1280);
    let found = message(sent);
    assert_eq!(found.kind, (2, 0, 1500));
    assert_eq!(found.body[..4], ip[..4]);
    assert_eq!(found.body[8..], ip[8..1232]);
}
