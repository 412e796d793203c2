//! Packets for the router itself: echo, and errors for what nobody here listens to.

use std::net::IpAddr;

use super::counters::{Done, Fate, SlowDrop};
use super::extension::{self, Where};
use super::frame::{self, Ipv4Header};
use super::icmp::Problem;
use super::interface::is_host;
use super::{SlowPath, Turn, network, options};
use crate::packet::PuntedPacket;
use crate::wire::{Icmp, Ipv4, Ipv6, Udp, checksum::Sum, icmpv4, icmpv6, protocol};

/// Where the protocol field of IPv4 stands.
const IPV4_PROTOCOL_AT: u32 = 9;

impl SlowPath {
    /// Takes an IPv4 packet to an own address, a local group or a broadcast. Groups and
    /// broadcasts are not answered (RFC 1812 4.3.3.6 leaves it open for echo).
    pub(super) fn local_v4(&mut self, turn: &mut Turn<'_>, punted: &PuntedPacket) -> Fate {
        let ip = Ipv4::parse(network(punted)).map_err(|_| SlowDrop::Malformed)?;
        if !ip.checksum_ok() {
            return Err(SlowDrop::BadChecksum);
        }
        if let Err(refusal) = options::judge(&ip, None) {
            return self.refuse(turn, punted, refusal);
        }
        let dst = IpAddr::V4(ip.dst());
        if self.interfaces.is_group(punted.table, dst) {
            return Ok(Done::Consumed);
        }
        self.check_ends(punted, IpAddr::V4(ip.src()), dst)?;
        if ip.is_fragment() {
            return self.fragment_v4(turn, punted, &ip);
        }
        match ip.protocol() {
            protocol::ICMP => self.icmp_v4(turn, punted, &ip),
            protocol::UDP => {
                check_udp(IpAddr::V4(ip.src()), dst, ip.payload())?;
                self.report(turn, punted, Problem::PortUnreachable)
            }
            protocol::TCP => Err(SlowDrop::NoListener),
            _ => {
                let problem = Problem::ProtocolUnreachable { named_at: IPV4_PROTOCOL_AT };
                self.report(turn, punted, problem)
            }
        }
    }

    /// Takes an IPv6 packet to an own address or to a group.
    pub(super) fn local_v6(&mut self, turn: &mut Turn<'_>, punted: &PuntedPacket) -> Fate {
        let ip = Ipv6::parse(network(punted)).map_err(|_| SlowDrop::Malformed)?;
        let (src, dst) = (IpAddr::V6(ip.src()), IpAddr::V6(ip.dst()));
        let is_group = dst.is_multicast();
        if !is_group && !self.interfaces.owns(punted, dst) {
            return Err(SlowDrop::NotForUs);
        }
        let place = if is_group { Where::Group } else { Where::Here };
        if let Err(refusal) = extension::judge(&ip, place) {
            return self.refuse(turn, punted, refusal);
        }
        let upper = ip.upper().map_err(|_| SlowDrop::Malformed)?;
        let message = ip.packet().get(upper.offset..).unwrap_or_default();
        if upper.is_fragment {
            self.check_ends(punted, src, dst)?;
            return self.fragment_v6(turn, punted, &ip);
        }
        if upper.protocol == protocol::ICMPV6 && upper.ends_only.is_none() {
            return self.icmp_v6(turn, punted, &ip, message);
        }
        if dst.is_multicast() {
            return Ok(Done::Consumed);
        }
        self.check_ends(punted, src, dst)?;
        if let Some(place) = upper.ends_only {
            let named_at = u32::try_from(place.named_at).unwrap_or(u32::MAX);
            return self.report(turn, punted, Problem::ProtocolUnreachable { named_at });
        }
        match upper.protocol {
            protocol::UDP => {
                check_udp(src, dst, message)?;
                self.report(turn, punted, Problem::PortUnreachable)
            }
            protocol::TCP | protocol::NO_NEXT_HEADER => Err(SlowDrop::NoListener),
            _ => {
                let named_at = u32::try_from(upper.named_at).unwrap_or(u32::MAX);
                self.report(turn, punted, Problem::ProtocolUnreachable { named_at })
            }
        }
    }

    /// Checks that the source is a host and the destination the router.
    fn check_ends(&self, punted: &PuntedPacket, src: IpAddr, dst: IpAddr) -> Result<(), SlowDrop> {
        if !self.interfaces.owns(punted, dst) {
            return Err(SlowDrop::NotForUs);
        }
        if !is_host(src) || self.interfaces.is_group(punted.table, src) {
            return Err(SlowDrop::BadSource);
        }
        Ok(())
    }

    fn icmp_v4(&mut self, turn: &mut Turn<'_>, punted: &PuntedPacket, ip: &Ipv4<'_>) -> Fate {
        let icmp = Icmp::parse(ip.payload()).map_err(|_| SlowDrop::Malformed)?;
        if Sum::default().bytes(icmp.message()).finish() != 0 {
            return Err(SlowDrop::BadChecksum);
        }
        match (icmp.kind(), icmp.code()) {
            (icmpv4::ECHO_REQUEST, 0) => {}
            (icmpv4::UNREACHABLE, icmpv4::FRAGMENTATION_NEEDED) => {
                self.path_mtu(turn, punted, &icmp, false);
                return Ok(Done::Consumed);
            }
            _ => return Ok(Done::Consumed),
        }
        let mut reply = echo_reply(&icmp, icmpv4::ECHO_REPLY);
        frame::set_checksum(&mut reply, 2, Sum::default());
        let header = Ipv4Header {
            tos: ip.tos(),
            id: self.take_id(),
            protocol: protocol::ICMP,
            src: ip.dst(),
            dst: ip.src(),
        };
        let datagram = header.datagram(&reply).ok_or(SlowDrop::NoBuffer)?;
        self.answer(turn, punted, &datagram, IpAddr::V4(ip.src()), None)?;
        self.counters.echo_replies += 1;
        Ok(Done::Answered)
    }

    fn icmp_v6(
        &mut self,
        turn: &mut Turn<'_>,
        punted: &PuntedPacket,
        ip: &Ipv6<'_>,
        message: &[u8],
    ) -> Fate {
        let icmp = Icmp::parse(message).map_err(|_| SlowDrop::Malformed)?;
        let len = u32::try_from(message.len()).map_err(|_| SlowDrop::Malformed)?;
        let sum = Sum::default().pseudo_v6(ip.src(), ip.dst(), protocol::ICMPV6, len);
        if sum.bytes(message).finish() != 0 {
            return Err(SlowDrop::BadChecksum);
        }
        let dst = IpAddr::V6(ip.dst());
        match icmp.kind() {
            icmpv6::NEIGHBOUR_SOLICITATION => self.solicitation(turn, punted, ip, &icmp),
            icmpv6::NEIGHBOUR_ADVERTISEMENT => self.advertisement(turn, punted, ip, &icmp),
            icmpv6::ROUTER_SOLICITATION | icmpv6::ROUTER_ADVERTISEMENT | icmpv6::REDIRECT => {
                self.counters.router_discovery_ignored += 1;
                Ok(Done::Consumed)
            }
            icmpv6::ECHO_REQUEST if icmp.code() == 0 && !dst.is_multicast() => {
                self.check_ends(punted, IpAddr::V6(ip.src()), dst)?;
                let reply = echo_reply(&icmp, icmpv6::ECHO_REPLY);
                let datagram = frame::icmpv6(ip.dst(), ip.src(), frame::TTL, reply);
                let datagram = datagram.ok_or(SlowDrop::NoBuffer)?;
                self.answer(turn, punted, &datagram, IpAddr::V6(ip.src()), None)?;
                self.counters.echo_replies += 1;
                Ok(Done::Answered)
            }
            icmpv6::TOO_BIG if !dst.is_multicast() => {
                self.path_mtu(turn, punted, &icmp, true);
                Ok(Done::Consumed)
            }
            _ => Ok(Done::Consumed),
        }
    }
}

/// The request's identifier, sequence number and data under another type, without checksum.
fn echo_reply(request: &Icmp<'_>, kind: u8) -> Vec<u8> {
    let mut reply = vec![kind, 0, 0, 0];
    reply.extend_from_slice(&request.rest().to_be_bytes());
    reply.extend_from_slice(request.body());
    reply
}

/// Checks length and checksum, which only IPv4 may leave out (RFC 1122 4.1.3.4, RFC 8200 8.1).
fn check_udp(src: IpAddr, dst: IpAddr, bytes: &[u8]) -> Result<(), SlowDrop> {
    let udp = Udp::parse(bytes).map_err(|_| SlowDrop::Malformed)?;
    if udp.checksum() == 0 && dst.is_ipv4() {
        return Ok(());
    }
    let len = u32::try_from(udp.datagram().len()).map_err(|_| SlowDrop::Malformed)?;
    let sum = Sum::default().pseudo(src, dst, protocol::UDP, len).ok_or(SlowDrop::Malformed)?;
    let right = udp.checksum() != 0 && sum.bytes(udp.datagram()).finish() == 0;
    if right { Ok(()) } else { Err(SlowDrop::BadChecksum) }
}
