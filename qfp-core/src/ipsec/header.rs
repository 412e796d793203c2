//! Outer headers: made once for an SA, filled in for each packet.

use std::net::IpAddr;

use super::sa::Endpoints;
use crate::wire::checksum::Sum;
use crate::wire::{ethertype, protocol};

/// Bytes that the longest outer header takes: IPv6 and UDP.
pub(super) const HEADER_ROOM: usize = 48;
/// Bytes of the Ethernet header in front of a packet that begins a walk.
pub(super) const LINK: usize = 14;
/// Bytes of a UDP header.
pub(super) const UDP: usize = UDP_BYTE as usize;
const UDP_BYTE: u8 = 8;
/// Protocol number of ESP.
pub(super) const ESP: u8 = 50;
/// Protocol numbers of IP in IP.
pub(super) const IPV4_IN: u8 = 4;
pub(super) const IPV6_IN: u8 = 41;

/// The address, filled up with zeroes.
pub(super) fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => padded(address.octets()),
        IpAddr::V6(address) => address.octets(),
    }
}

pub(super) const fn padded([a, b, c, d]: [u8; 4]) -> [u8; 16] {
    [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
}

/// The outer header of a tunnel and its length. What differs between packets is zero, and an IPv4
/// checksum field holds the sum of the rest.
pub(super) fn template(
    ends: Endpoints,
    ttl: u8,
    df: bool,
    udp: Option<(u16, u16)>,
) -> ([u8; HEADER_ROOM], u8) {
    let mut header = [0; HEADER_ROOM];
    let next = if udp.is_some() { protocol::UDP } else { ESP };
    let (local, remote) = (octets(ends.local), octets(ends.remote));
    let ip = if ends.local.is_ipv4() {
        header[0] = 0x45;
        header[6] = if df { 0x40 } else { 0 };
        header[8..10].copy_from_slice(&[ttl, next]);
        header[12..16].copy_from_slice(&local[..4]);
        header[16..20].copy_from_slice(&remote[..4]);
        let sum = !Sum::default().bytes(&header[..20]).finish();
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        20
    } else {
        header[0] = 0x60;
        header[6..8].copy_from_slice(&[next, ttl]);
        header[8..24].copy_from_slice(&local);
        header[24..40].copy_from_slice(&remote);
        40
    };
    let Some(ports) = udp else { return (header, ip) };
    write_ports(&mut header[usize::from(ip)..], ports);
    (header, ip + UDP_BYTE)
}

/// The UDP header of transport mode, if there is one.
pub(super) fn udp_template(udp: Option<(u16, u16)>) -> ([u8; HEADER_ROOM], u8) {
    let mut header = [0; HEADER_ROOM];
    let Some(ports) = udp else { return (header, 0) };
    write_ports(&mut header, ports);
    (header, UDP_BYTE)
}

fn write_ports(header: &mut [u8], (src, dst): (u16, u16)) {
    header[..2].copy_from_slice(&src.to_be_bytes());
    header[2..4].copy_from_slice(&dst.to_be_bytes());
}

/// What an outer header gets from its packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outer {
    /// Bytes of the outer packet.
    pub(super) total: u16,
    /// DSCP and ECN.
    pub(super) class: u8,
    /// Whether DF is set on top of what the template says.
    pub(super) df: bool,
    /// Identification.
    pub(super) id: u16,
}

/// Writes the outer header in front of ESP: `out` is as long as the template's.
#[inline]
pub(super) fn write(template: &[u8; HEADER_ROOM], v6: bool, outer: Outer, out: &mut [u8]) {
    let [total_high, total_low] = outer.total.to_be_bytes();
    if v6 {
        let Some((ip, udp)) = out.split_first_chunk_mut::<40>() else { return };
        ip.copy_from_slice(&template[..40]);
        ip[0] = 0x60 | outer.class >> 4;
        ip[1] = outer.class << 4;
        let [high, low] = outer.total.wrapping_sub(40).to_be_bytes();
        [ip[4], ip[5]] = [high, low];
        write_udp(&template[40..], outer.total.wrapping_sub(40), udp);
    } else {
        let Some((ip, udp)) = out.split_first_chunk_mut::<20>() else { return };
        ip.copy_from_slice(&template[..20]);
        ip[1] = outer.class;
        [ip[2], ip[3]] = [total_high, total_low];
        // A packet that is not fragmented needs no identification (RFC 6864 §4), and one with DF
        // is not fragmented.
        ip[6] |= if outer.df { 0x40 } else { 0 };
        let id = if ip[6] & 0x40 == 0 { outer.id } else { 0 };
        [ip[4], ip[5]] = id.to_be_bytes();
        let sum = u32::from(u16::from_be_bytes([ip[10], ip[11]]))
            + u32::from(outer.class)
            + u32::from(outer.total)
            + u32::from(id)
            + if outer.df && template[6] == 0 { 0x4000 } else { 0 };
        [ip[10], ip[11]] = complement(sum).to_be_bytes();
        write_udp(&template[20..], outer.total.wrapping_sub(20), udp);
    }
}

/// A UDP header from its template, if there is one: `out` is empty otherwise. No checksum.
#[inline]
pub(super) fn write_udp(template: &[u8], len: u16, out: &mut [u8]) {
    if let (Some(out), Some(ports)) = (out.first_chunk_mut::<UDP>(), template.first_chunk::<4>()) {
        out[..4].copy_from_slice(ports);
        out[4..6].copy_from_slice(&len.to_be_bytes());
        out[6..].fill(0);
    }
}

/// The complement of a one's complement sum of fewer than 2^16 words.
#[inline]
const fn complement(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    let [low, high, ..] = ((sum & 0xffff) + (sum >> 16)).to_le_bytes();
    !u16::from_le_bytes([low, high])
}

/// An Ethernet header without addresses, as packets that begin a walk have it.
#[inline]
pub(super) const fn link(v6: bool) -> [u8; LINK] {
    let [high, low] = if v6 { ethertype::IPV6 } else { ethertype::IPV4 }.to_be_bytes();
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, high, low]
}

/// The byte of DSCP and ECN of a packet; 0 when there is no header.
#[inline]
pub(super) fn class(packet: &[u8]) -> u8 {
    match packet.first_chunk::<2>() {
        Some([first, second]) if first >> 4 == 6 => first << 4 | second >> 4,
        Some([_, second]) => *second,
        None => 0,
    }
}

/// Sets the ECN field of a packet; adjusts an IPv4 checksum.
pub(super) fn set_ecn(packet: &mut [u8], ecn: u8) {
    let Some([first, second]) = packet.first_chunk_mut::<2>() else { return };
    if *first >> 4 == 6 {
        *second = *second & 0xcf | ecn << 4;
        return;
    }
    let before = u16::from_be_bytes([*first, *second]);
    *second = *second & 0xfc | ecn;
    let after = u16::from_be_bytes([*first, *second]);
    if let Some([high, low]) = packet.get_mut(10..12).and_then(|field| field.first_chunk_mut()) {
        let sum = crate::wire::checksum::update(u16::from_be_bytes([*high, *low]), before, after);
        [*high, *low] = sum.to_be_bytes();
    }
}

/// Computes the checksum of an IPv4 header with its options.
pub(super) fn set_ipv4_checksum(header: &mut [u8]) {
    if let Some(field) = header.get_mut(10..12) {
        field.fill(0);
    }
    let sum = crate::wire::checksum::internet(header);
    if let Some(field) = header.get_mut(10..12) {
        field.copy_from_slice(&sum.to_be_bytes());
    }
}
