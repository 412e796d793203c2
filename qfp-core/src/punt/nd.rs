//! Neighbour discovery (RFC 4861 7).

use std::net::{IpAddr, Ipv6Addr};

use super::counters::{Done, Fate, SlowDrop};
use super::interface::{is_host, solicited_node};
use super::neighbour::{Heard, Mac};
use super::{SlowPath, Turn, frame, is_station};
use crate::packet::PuntedPacket;
use crate::uidb::UidbIndex;
use crate::wire::{Ethernet, Icmp, Ipv6, ethertype, icmpv6};

/// Hop limit of all ND messages: nobody can send it across a router.
const HOP_LIMIT: u8 = 255;
/// Option: source link-layer address.
const SOURCE_MAC: u8 = 1;
/// Option: target link-layer address.
const TARGET_MAC: u8 = 2;
/// Flags of an advertisement: sent by a router, answer to a solicitation, replaces what is known.
const ROUTER: u8 = 0x80;
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;

/// All nodes of a link.
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// What solicitations and advertisements have in common, validated.
struct Message {
    target: Ipv6Addr,
    mac: Option<Mac>,
    flags: u8,
}

impl Message {
    /// Checks what RFC 4861 7.1.1 and 7.1.2 have in common; the caller has checked the checksum.
    fn parse(ip: &Ipv6<'_>, icmp: &Icmp<'_>, mac_option: u8) -> Result<Self, SlowDrop> {
        let (target, options) = icmp.body().split_first_chunk::<16>().ok_or(SlowDrop::NdInvalid)?;
        let target = Ipv6Addr::from_octets(*target);
        if ip.hop_limit() != HOP_LIMIT || icmp.code() != 0 || !is_host(IpAddr::V6(target)) {
            return Err(SlowDrop::NdInvalid);
        }
        let mac = link_layer_option(options, mac_option)?;
        let [flags, ..] = icmp.rest().to_be_bytes();
        Ok(Self { target, mac, flags })
    }
}

impl SlowPath {
    /// Takes a neighbour solicitation whose checksum is right.
    pub(super) fn solicitation(
        &mut self,
        turn: &mut Turn<'_>,
        punted: &PuntedPacket,
        ip: &Ipv6<'_>,
        icmp: &Icmp<'_>,
    ) -> Fate {
        let link = self.interfaces.get(punted.input).ok_or(SlowDrop::NoInterface)?;
        let message = Message::parse(ip, icmp, SOURCE_MAC)?;
        let frame = Ethernet::parse(punted.packet.frame()).map_err(|_| SlowDrop::Malformed)?;
        let (src, target) = (ip.src(), message.target);
        if !frame::is_for(link, punted) {
            return Err(SlowDrop::OtherStation);
        }
        if frame.src() == link.mac || message.mac == Some(link.mac) {
            return Err(SlowDrop::LoopedBack);
        }
        let probe = src.is_unspecified();
        if probe && (message.mac.is_some() || ip.dst() != solicited_node(target)) {
            return Err(SlowDrop::NdInvalid);
        }
        if !probe && !is_host(IpAddr::V6(src)) {
            return Err(SlowDrop::NdInvalid);
        }
        if link.has_address(IpAddr::V6(src)) {
            self.counters.address_conflicts += 1;
            return Err(SlowDrop::AddressConflict);
        }
        if !link.has_address(IpAddr::V6(target)) {
            return Err(SlowDrop::NotForUs);
        }
        let key = (link.uidb, IpAddr::V6(src));
        let (to, mac, flags) = if probe {
            (ALL_NODES, frame::group_mac(ALL_NODES), ROUTER | OVERRIDE)
        } else {
            let mac = message.mac.or(self.neighbours.mac(key)).unwrap_or(frame.src());
            (src, mac, ROUTER | SOLICITED | OVERRIDE)
        };
        if !probe && !is_station(mac) {
            return Err(SlowDrop::NdInvalid);
        }
        let kind = icmpv6::NEIGHBOUR_ADVERTISEMENT;
        let reply = build(kind, flags, target, TARGET_MAC, link.mac);
        let reply = frame::icmpv6(target, to, HOP_LIMIT, reply).ok_or(SlowDrop::NoBuffer)?;
        let reply = frame::ethernet(link, mac, ethertype::IPV6, &reply);
        if link.is_on_link(IpAddr::V6(src)) && message.mac.is_some() {
            let heard = Heard { mac: message.mac, create: true, replace: true, confirms: false };
            self.hear(turn, key, heard);
        }
        turn.transmit(punted.input, &reply)?;
        self.counters.nd_advertisements += 1;
        Ok(Done::Answered)
    }

    /// Takes a neighbour advertisement whose checksum is right (RFC 4861 7.2.5).
    pub(super) fn advertisement(
        &mut self,
        turn: &mut Turn<'_>,
        punted: &PuntedPacket,
        ip: &Ipv6<'_>,
        icmp: &Icmp<'_>,
    ) -> Fate {
        let link = self.interfaces.get(punted.input).ok_or(SlowDrop::NoInterface)?;
        let message = Message::parse(ip, icmp, TARGET_MAC)?;
        let target = IpAddr::V6(message.target);
        if !frame::is_for(link, punted) {
            return Err(SlowDrop::OtherStation);
        }
        let solicited = message.flags & SOLICITED != 0;
        if ip.dst().is_multicast() && solicited {
            return Err(SlowDrop::NdInvalid);
        }
        if link.has_address(target) {
            self.counters.address_conflicts += 1;
            return Err(SlowDrop::AddressConflict);
        }
        if message.mac == Some(link.mac) {
            return Err(SlowDrop::LoopedBack);
        }
        let heard = Heard {
            mac: message.mac,
            create: false,
            replace: message.flags & OVERRIDE != 0,
            confirms: solicited,
        };
        let known = self.hear(turn, (link.uidb, target), heard);
        if known { Ok(Done::Consumed) } else { Err(SlowDrop::NotForUs) }
    }

    /// Asks for `address`: its solicited-node group, or only who had it last.
    pub(super) fn solicit(
        &mut self,
        turn: &mut Turn<'_>,
        uidb: UidbIndex,
        address: Ipv6Addr,
        mac: Option<Mac>,
    ) -> Result<(), SlowDrop> {
        let link = self.interfaces.get(uidb).ok_or(SlowDrop::NoInterface)?;
        let Some(IpAddr::V6(source)) = link.asking_source(IpAddr::V6(address)) else {
            return Err(SlowDrop::NoAddress);
        };
        let to = if mac.is_some() { address } else { solicited_node(address) };
        let kind = icmpv6::NEIGHBOUR_SOLICITATION;
        let message = build(kind, 0, address, SOURCE_MAC, link.mac);
        let ip = frame::icmpv6(source, to, HOP_LIMIT, message).ok_or(SlowDrop::NoBuffer)?;
        let mac = mac.unwrap_or(frame::group_mac(to));
        turn.transmit(uidb, &frame::ethernet(link, mac, ethertype::IPV6, &ip))?;
        self.counters.nd_solicitations += 1;
        Ok(())
    }
}

/// The link-layer address in the option `wanted`. Unknown options are passed over; a length of
/// zero or one beyond the message makes it invalid (RFC 4861 7.1.1).
fn link_layer_option(mut options: &[u8], wanted: u8) -> Result<Option<Mac>, SlowDrop> {
    let mut found = None;
    while let [kind, units, ..] = *options {
        let len = usize::from(units) * 8;
        if len == 0 {
            return Err(SlowDrop::NdInvalid);
        }
        let (option, rest) = options.split_at_checked(len).ok_or(SlowDrop::NdInvalid)?;
        if kind == wanted
            && let [_, 1, mac @ ..] = option
        {
            let mac = mac.first_chunk().copied().filter(|mac| is_station(*mac));
            found = Some(mac.ok_or(SlowDrop::NdInvalid)?);
        }
        options = rest;
    }
    if options.is_empty() { Ok(found) } else { Err(SlowDrop::NdInvalid) }
}

fn build(kind: u8, flags: u8, target: Ipv6Addr, option: u8, mac: Mac) -> Vec<u8> {
    let mut message = vec![kind, 0, 0, 0, flags, 0, 0, 0];
    message.extend_from_slice(&target.octets());
    message.extend_from_slice(&[option, 1]);
    message.extend_from_slice(&mac);
    message
}
