//! Frames that the slow path builds.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::interface::Interface;
use crate::packet::PuntedPacket;
use crate::wire::{checksum, ethertype, is_group, protocol};

/// TTL and hop limit of what the router originates (RFC 1812 4.2.2.9).
pub(super) const TTL: u8 = 64;

/// A frame on the wire of `interface`, from its MAC address, with its tags.
///
/// Not padded to the minimum of Ethernet: ports do that.
pub(super) fn ethernet(
    interface: &Interface,
    dst: [u8; 6],
    ethertype: u16,
    payload: &[u8],
) -> Vec<u8> {
    let mut frame = Vec::with_capacity(14 + interface.tags.len() * 4 + payload.len());
    frame.extend_from_slice(&dst);
    frame.extend_from_slice(&interface.mac);
    for tag in &interface.tags {
        frame.extend_from_slice(&tag.tpid.to_be_bytes());
        frame.extend_from_slice(&(tag.vid & 0x0fff).to_be_bytes());
    }
    frame.extend_from_slice(&ethertype.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// A frame for the router to route: an Ethernet header without addresses in front of `ip`.
pub(super) fn injected(ip: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(14 + ip.len());
    frame.extend_from_slice(&[0; 12]);
    frame.extend_from_slice(&ip_ethertype(ip).to_be_bytes());
    frame.extend_from_slice(ip);
    frame
}

/// Where a frame for the router to route counts how often it has been handed to the fast path:
/// in the destination address that it does not have.
const ROUNDS_AT: usize = 5;

/// How often the packet has been handed to the fast path. Frames from a wire have not been, and have
/// a sender; one that has none only makes its own rounds fewer.
pub(super) fn rounds(punted: &PuntedPacket) -> u8 {
    let frame = punted.packet.frame();
    let injected = frame.get(6..12) == Some(&[0; 6]);
    frame.get(ROUNDS_AT).copied().filter(|_| injected).unwrap_or(0)
}

/// As [`injected`], for a packet that has been punted once for each of `rounds`.
pub(super) fn injected_again(ip: &[u8], rounds: u8) -> Vec<u8> {
    let mut frame = injected(ip);
    if let Some(byte) = frame.get_mut(ROUNDS_AT) {
        *byte = rounds;
    }
    frame
}

/// True for a frame to the interface's MAC address or to a group of stations.
pub(super) fn is_for(interface: &Interface, punted: &PuntedPacket) -> bool {
    let dst = punted.packet.frame().first_chunk::<6>();
    dst.is_some_and(|dst| *dst == interface.mac || is_group(*dst))
}

/// The EtherType that goes with the version of `ip`.
pub(super) fn ip_ethertype(ip: &[u8]) -> u16 {
    match ip.first() {
        Some(first) if first >> 4 == 6 => ethertype::IPV6,
        _ => ethertype::IPV4,
    }
}

/// An IPv4 header without options that a datagram of the router starts with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ipv4Header {
    pub(super) tos: u8,
    pub(super) id: u16,
    pub(super) protocol: u8,
    pub(super) src: Ipv4Addr,
    pub(super) dst: Ipv4Addr,
}

impl Ipv4Header {
    /// The datagram with `payload`; `None` when it exceeds 65,535 bytes.
    pub(super) fn datagram(self, payload: &[u8]) -> Option<Vec<u8>> {
        let total = u16::try_from(20 + payload.len()).ok()?;
        let mut ip = Vec::with_capacity(usize::from(total));
        ip.extend_from_slice(&[0x45, self.tos]);
        ip.extend_from_slice(&total.to_be_bytes());
        ip.extend_from_slice(&self.id.to_be_bytes());
        ip.extend_from_slice(&[0, 0, TTL, self.protocol, 0, 0]);
        ip.extend_from_slice(&self.src.octets());
        ip.extend_from_slice(&self.dst.octets());
        set_checksum(&mut ip, 10, checksum::Sum::default());
        ip.extend_from_slice(payload);
        Some(ip)
    }
}

/// An ICMPv6 datagram; fills in the checksum of `message`. `None` when it is too long.
pub(super) fn icmpv6(
    src: Ipv6Addr,
    dst: Ipv6Addr,
    hop_limit: u8,
    mut message: Vec<u8>,
) -> Option<Vec<u8>> {
    let len = u16::try_from(message.len()).ok()?;
    let pseudo = checksum::Sum::default().pseudo_v6(src, dst, protocol::ICMPV6, u32::from(len));
    set_checksum(&mut message, 2, pseudo);
    let mut ip = Vec::with_capacity(40 + message.len());
    ip.extend_from_slice(&[0x60, 0, 0, 0]);
    ip.extend_from_slice(&len.to_be_bytes());
    ip.extend_from_slice(&[protocol::ICMPV6, hop_limit]);
    ip.extend_from_slice(&src.octets());
    ip.extend_from_slice(&dst.octets());
    ip.extend_from_slice(&message);
    Some(ip)
}

/// Writes the checksum over `bytes` and `pseudo` at `at`.
pub(super) fn set_checksum(bytes: &mut [u8], at: usize, pseudo: checksum::Sum) {
    if let Some(field) = bytes.get_mut(at..at + 2) {
        field.fill(0);
    }
    let value = pseudo.bytes(bytes).finish();
    if let Some(field) = bytes.get_mut(at..at + 2) {
        field.copy_from_slice(&value.to_be_bytes());
    }
}

/// The group MAC address of an IPv6 group (RFC 2464 7).
pub(super) fn group_mac(group: Ipv6Addr) -> [u8; 6] {
    let [.., a, b, c, d] = group.octets();
    [0x33, 0x33, a, b, c, d]
}
