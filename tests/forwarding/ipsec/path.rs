//! Packets that do not fit: told with the inner header, cut before they are protected, and paths
//! that turn out to be smaller.

use crate::gateways::{LAN, Pair, WAN, esp_at, ip};
use crate::packets::{payload, udp};

pub(super) const SECOND: u64 = 1_000_000_000;

/// A packet of `len` bytes from the west's network to the east's, with DF or without.
pub(super) fn sized(len: usize, df: bool) -> Vec<u8> {
    let mut ip = udp("10.1.0.2", "10.2.0.2", 64, (7, 9), &payload(len - 28));
    ip[6] = if df { 0x40 } else { 0 };
    let (mut header, rest) = etherparse::Ipv4Header::from_slice(&ip).unwrap();
    header.header_checksum = header.calc_header_checksum();
    [&header.to_bytes()[..], rest].concat()
}

/// What an ICMP message says: type, code and the MTU, and the packet that it quotes.
pub(super) fn message(ip: &[u8]) -> (u8, u8, u32, &[u8]) {
    let at = if ip[0] >> 4 == 4 { 20 } else { 40 };
    let word = u32::from_be_bytes(ip[at + 4..at + 8].try_into().unwrap());
    (ip[at], ip[at + 1], word, &ip[at + 8..])
}

/// "Fragmentation needed" from a router on the way, about an outer packet of the west.
pub(super) fn too_big(about: &[u8], mtu: u16) -> Vec<u8> {
    let mut packet = Vec::new();
    let builder = etherparse::PacketBuilder::ipv4([192, 0, 2, 9], [192, 0, 2, 1], 64);
    let header =
        etherparse::icmpv4::DestUnreachableHeader::FragmentationNeeded { next_hop_mtu: mtu };
    builder
        .icmpv4(etherparse::Icmpv4Type::DestinationUnreachable(header))
        .write(&mut packet, &about[..48.min(about.len())])
        .unwrap();
    packet
}

#[test]
fn what_does_not_fit_the_tunnel_is_told_with_the_inner_header() {
    let pair = Pair::default();
    let run = pair.side(1, LAN, &[sized(1446, true), sized(1447, true)]);
    assert_eq!(run.sent[WAN].len(), 1);
    assert_eq!(ip(&run, WAN)[0].len(), 1500, "what fits fills the link");
    let back = ip(&run, LAN);
    let [error] = &back[..] else { panic!("{} packets", back.len()) };
    let (kind, code, mtu, quoted) = message(error);
    assert_eq!((kind, code, mtu), (3, 4, 1446));
    assert_eq!(quoted[12..20], [10, 1, 0, 2, 10, 2, 0, 2], "the inner packet's addresses");
    assert_eq!(run.report.punts, [("IpMtuExceeded", 1)]);
    // IPv6 likewise.
    let large = udp("2001:db8:1::2", "2001:db8:2::2", 64, (7, 9), &payload(1447 - 48));
    let back = ip(&pair.side(1, LAN, &[large]), LAN);
    let (kind, code, mtu, quoted) = message(&back[0]);
    assert_eq!((kind, code, mtu, quoted[24 + 15]), (2, 0, 1446, 2));
}

#[test]
fn what_may_be_cut_is_cut_before_it_is_protected() {
    let pair = Pair::default();
    let (west, east) = pair.across(&[sized(1900, false)]);
    let outer = ip(&west, WAN);
    assert_eq!(outer.len(), 2);
    assert!(outer.iter().all(|ip| ip.len() <= 1500 && ip[6] & 0x3f == 0 && ip[7] == 0));
    let got = ip(&east, LAN);
    assert_eq!(got.len(), 2, "{:?}", east.report);
    let whole: Vec<u8> = got.iter().flat_map(|ip| ip[20..].to_vec()).collect();
    assert_eq!(whole, sized(1900, false)[20..]);
}

#[test]
fn a_path_that_is_smaller_makes_the_tunnel_smaller_for_ten_minutes() {
    let pair = Pair::default();
    let sent = ip(&pair.side(1, LAN, &[sized(1000, true)]), WAN);
    assert_eq!(esp_at(&sent[0]), 20);
    // The message comes in by the WAN, so this needs both ports.
    let at = |seconds: u64, len: usize| (seconds * SECOND, sized(len, true));
    let lan = [at(1, 1300), at(3, 1300), at(4, 1246), at(500, 1300), at(700, 1300)];
    let wan = [(2 * SECOND, too_big(&sent[0], 1300))];
    let run = pair.both(1, &lan, &wan);
    let lengths: Vec<usize> = ip(&run, WAN).iter().map(Vec::len).collect();
    // 1300 bytes of path leave 1246 for the packet; what needs more is told so, until it is forgotten.
    assert_eq!(lengths, [1356, 1300, 1356], "{:?}", run.report);
    let told: Vec<u32> = ip(&run, LAN).iter().map(|ip| message(ip).2).collect();
    assert_eq!(told, [1246, 1246]);
}

#[test]
fn messages_about_packets_that_nobody_sent_change_nothing() {
    let pair = Pair::default();
    let mut sent = ip(&pair.side(1, LAN, &[sized(1000, true)]), WAN).remove(0);
    let at = |seconds: u64| (seconds * SECOND, sized(1400, true));
    // Another SPI, and another destination.
    sent[23] ^= 1;
    let other_spi = too_big(&sent, 1300);
    sent[23] ^= 1;
    sent[19] = 7;
    let wan = [(SECOND, other_spi), (2 * SECOND, too_big(&sent, 1300))];
    let run = pair.both(1, &[at(3)], &wan);
    assert_eq!((run.sent[WAN].len(), run.sent[LAN].len()), (1, 0));
}
