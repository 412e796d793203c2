//! Frames, built and taken apart with a library that the project itself does not use.

use std::net::IpAddr;

use etherparse::{ArpHardwareId, ArpOperation, ArpPacket, EtherType, PacketBuilder};

pub(crate) type Mac = [u8; 6];

/// EtherTypes of VLAN tags.
pub(crate) const DOT1Q: u16 = 0x8100;
pub(crate) const DOT1AD: u16 = 0x88a8;

/// A VLAN tag: its EtherType, and priority and VLAN number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tag(pub(crate) u16, pub(crate) u16);

/// A station's address: `link` says where it is, `host` who it is. Host 1 is the router.
pub(crate) const fn mac(link: u8, host: u8) -> Mac {
    [2, 0, 0, 0, link, host]
}

/// An Ethernet frame around an IP packet.
pub(crate) fn frame(dst: Mac, src: Mac, tags: &[Tag], ip: &[u8]) -> Vec<u8> {
    let ethertype: u16 = if ip[0] >> 4 == 4 { 0x0800 } else { 0x86dd };
    link(dst, src, tags, ethertype, ip)
}

/// An Ethernet frame around anything.
pub(crate) fn link(dst: Mac, src: Mac, tags: &[Tag], ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = [dst, src].concat();
    for Tag(tpid, tci) in tags {
        bytes.extend([tpid.to_be_bytes(), tci.to_be_bytes()].concat());
    }
    bytes.extend(ethertype.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// Bytes to tell packets apart by.
pub(crate) fn payload(len: usize) -> Vec<u8> {
    (0..=250).cycle().take(len).collect()
}

/// A UDP datagram in an IP packet of the addresses' family.
pub(crate) fn udp(src: &str, dst: &str, ttl: u8, ports: (u16, u16), data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let packet = match ends(src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let header = etherparse::Ipv4Header {
                identification: 0x1234,
                protocol: etherparse::IpNumber::UDP,
                dont_fragment: false,
                time_to_live: ttl,
                source: src.octets(),
                destination: dst.octets(),
                ..etherparse::Ipv4Header::default()
            };
            let extensions = etherparse::Ipv4Extensions::default();
            PacketBuilder::ip(etherparse::IpHeaders::Ipv4(header, extensions))
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => PacketBuilder::ipv6(src.octets(), dst.octets(), ttl),
        _ => panic!("{src} and {dst} are of two families"),
    };
    packet.udp(ports.0, ports.1).write(&mut bytes, data).unwrap();
    bytes
}

/// A TCP segment with these flags.
pub(crate) fn tcp(
    src: &str,
    dst: &str,
    ttl: u8,
    ports: (u16, u16),
    flags: u8,
    data: &[u8],
) -> Vec<u8> {
    let mut header = etherparse::TcpHeader::new(ports.0, ports.1, 1, 1024);
    [header.fin, header.syn, header.rst] = [1, 2, 4].map(|bit| flags & bit != 0);
    [header.psh, header.ack, header.urg] = [8, 16, 32].map(|bit| flags & bit != 0);
    let packet = match ends(src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => PacketBuilder::ipv4(src.octets(), dst.octets(), ttl),
        (IpAddr::V6(src), IpAddr::V6(dst)) => PacketBuilder::ipv6(src.octets(), dst.octets(), ttl),
        _ => panic!("{src} and {dst} are of two families"),
    };
    let mut bytes = Vec::new();
    packet.tcp_header(header).write(&mut bytes, data).unwrap();
    bytes
}

/// An echo request or reply.
pub(crate) fn echo(src: &str, dst: &str, ttl: u8, reply: bool, data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let packet = match ends(src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let packet = PacketBuilder::ipv4(src.octets(), dst.octets(), ttl);
            if reply { packet.icmpv4_echo_reply(7, 1) } else { packet.icmpv4_echo_request(7, 1) }
                .write(&mut bytes, data)
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            let packet = PacketBuilder::ipv6(src.octets(), dst.octets(), ttl);
            if reply { packet.icmpv6_echo_reply(7, 1) } else { packet.icmpv6_echo_request(7, 1) }
                .write(&mut bytes, data)
        }
        _ => panic!("{src} and {dst} are of two families"),
    };
    packet.unwrap();
    bytes
}

fn ends(src: &str, dst: &str) -> (IpAddr, IpAddr) {
    (src.parse().unwrap(), dst.parse().unwrap())
}

/// The IPv4 packet with other flags and offset in the header, and the checksum that belongs to it.
pub(crate) fn with_fragment_field(mut ip: Vec<u8>, field: u16) -> Vec<u8> {
    ip[6..8].copy_from_slice(&field.to_be_bytes());
    let (mut header, rest) = etherparse::Ipv4Header::from_slice(&ip).unwrap();
    header.header_checksum = header.calc_header_checksum();
    [&header.to_bytes()[..], rest].concat()
}

/// An ARP message; `from` and `to` are MAC and IPv4 address.
pub(crate) fn arp(reply: bool, from: (Mac, &str), to: (Mac, &str)) -> Vec<u8> {
    let octets = |address: &str| address.parse::<std::net::Ipv4Addr>().unwrap().octets();
    let operation = if reply { ArpOperation::REPLY } else { ArpOperation::REQUEST };
    let arp = ArpPacket::new(
        ArpHardwareId::ETHERNET,
        EtherType::IPV4,
        operation,
        &from.0,
        &octets(from.1),
        &to.0,
        &octets(to.1),
    );
    arp.unwrap().to_bytes().to_vec()
}
