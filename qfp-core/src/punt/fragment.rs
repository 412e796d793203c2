//! Packets larger than the output MTU: IPv4 fragmentation (RFC 791, EGR-08, EGR-09), or a report;
//! IPv6 fragmentation of what the router sends itself.

use std::net::IpAddr;

use hal::Packet;

use super::counters::{Done, Fate, SlowDrop};
use super::icmp::Problem;
use super::{Action, SlowPath, Turn, frame, network};
use crate::packet::PuntedPacket;
use crate::uidb::{TableId, UidbIndex};
use crate::wire::{Ipv4, Ipv6, checksum::Sum};

pub(super) mod v6;

/// Bytes of an IPv4 header without options.
const HEADER: usize = 20;
/// The largest fragment offset, in units of 8 bytes.
const MAX_OFFSET: usize = 0x1fff;

impl SlowPath {
    /// Takes a frame that is rewritten for its output interface, TTL decremented, but too large.
    /// Fragments get a copy of its link-layer header and go past all egress features.
    pub(super) fn too_big(&mut self, turn: &mut Turn<'_>, punted: &PuntedPacket) -> Fate {
        let mtu = self.interfaces.get(punted.output).ok_or(SlowDrop::NoInterface)?.mtu;
        let bytes = network(punted);
        let link_header = punted.packet.frame().get(..usize::from(punted.l3_offset));
        let link_header = link_header.unwrap_or_default();
        if bytes.first().is_some_and(|first| first >> 4 == 6) {
            let ip = Ipv6::parse(bytes).map_err(|_| SlowDrop::Malformed)?;
            // The MTU may have grown since the packet was punted.
            let is_own = punted.input < UidbIndex::FIRST_CONFIGURED
                && self.interfaces.owns(punted, IpAddr::V6(ip.src()));
            if !is_own && ip.packet().len() > usize::from(mtu) {
                return self.report(turn, punted, Problem::TooBig { mtu });
            }
            let fragments = v6::split(&ip, mtu, self.next_fragments.wrapping_add(1))?;
            if fragments.len() > 1 {
                self.next_fragments = self.next_fragments.wrapping_add(1);
            }
            return self.transmit_all(turn, (punted.output, false), link_header, &fragments);
        }
        let ip = Ipv4::parse(bytes).map_err(|_| SlowDrop::Malformed)?;
        if !ip.checksum_ok() {
            return Err(SlowDrop::BadChecksum);
        }
        if ip.dont_fragment() && ip.packet().len() > usize::from(mtu) {
            return self.report(turn, punted, Problem::TooBig { mtu });
        }
        self.transmit_all(turn, (punted.output, false), link_header, &split(&ip, mtu)?)
    }

    /// Sends all fragments of a datagram, or none: one that misses a fragment is lost anyway.
    pub(super) fn transmit_all(
        &mut self,
        turn: &mut Turn<'_>,
        (uidb, own): (UidbIndex, bool),
        link_header: &[u8],
        fragments: &[Vec<u8>],
    ) -> Fate {
        let packets = self.packets(turn, link_header, fragments)?;
        let lcore = turn.lcore;
        // What has been punted has met all rows; what the router says itself has not.
        turn.actions.extend(packets.into_iter().map(|packet| match own {
            true => Action::Transmit { lcore, uidb, packet },
            false => Action::TransmitPart { lcore, uidb, packet },
        }));
        Ok(Done::Resent)
    }

    /// Lets the router route all fragments of a datagram of its own, or none.
    pub(super) fn inject_all(
        &mut self,
        turn: &mut Turn<'_>,
        table: TableId,
        within: Option<UidbIndex>,
        fragments: &[Vec<u8>],
    ) -> Result<(), SlowDrop> {
        let header = fragments.first().map(|ip| frame::injected(ip)).unwrap_or_default();
        let header = header.get(..14).unwrap_or_default();
        let packets = self.packets(turn, header, fragments)?;
        let lcore = turn.lcore;
        let inject = |packet| Action::Inject { lcore, table, origin: None, within, packet };
        turn.actions.extend(packets.into_iter().map(inject));
        Ok(())
    }

    /// Buffers with all fragments, or none.
    fn packets(
        &mut self,
        turn: &mut Turn<'_>,
        header: &[u8],
        fragments: &[Vec<u8>],
    ) -> Result<Vec<Packet>, SlowDrop> {
        let packet = |ip: &Vec<u8>| turn.pool.packet(&[header, ip].concat());
        let packets: Option<Vec<_>> = fragments.iter().map(packet).collect();
        let packets = packets.ok_or(SlowDrop::NoBuffer)?;
        if packets.len() > 1 {
            self.counters.fragments += u64::try_from(packets.len()).unwrap_or_default();
        }
        Ok(packets)
    }

    /// A packet of the router's own, cut into pieces of at most `mtu` bytes.
    pub(super) fn own_pieces(&mut self, ip: &[u8], mtu: u16) -> Result<Vec<Vec<u8>>, SlowDrop> {
        if ip.len() <= usize::from(mtu) {
            return Ok(vec![ip.to_vec()]);
        }
        if ip.first().is_some_and(|first| first >> 4 == 4) {
            return split(&Ipv4::parse(ip).map_err(|_| SlowDrop::Malformed)?, mtu);
        }
        self.next_fragments = self.next_fragments.wrapping_add(1);
        v6::split(&Ipv6::parse(ip).map_err(|_| SlowDrop::Malformed)?, mtu, self.next_fragments)
    }
}

/// The fragments of `ip` for `mtu`; the packet itself when it fits.
///
/// A packet that is a fragment already is split further: offsets go on from its own, and the last
/// piece keeps its more-fragments flag.
fn split(ip: &Ipv4<'_>, mtu: u16) -> Result<Vec<Vec<u8>>, SlowDrop> {
    let mtu = usize::from(mtu);
    if ip.packet().len() <= mtu {
        return Ok(vec![ip.packet().to_vec()]);
    }
    let copied = copied_options(ip)?;
    let mut options = ip.option_bytes();
    let mut offset = usize::from(ip.fragment_offset());
    let mut rest = ip.payload();
    let mut fragments = Vec::new();
    while !rest.is_empty() {
        let room = mtu.saturating_sub(HEADER + options.len());
        let (piece, after) = match rest.split_at_checked(room & !7) {
            _ if rest.len() <= room => (rest, &[][..]),
            Some(split) if !split.0.is_empty() => split,
            _ => return Err(SlowDrop::CannotFragment),
        };
        if offset > MAX_OFFSET {
            return Err(SlowDrop::Malformed);
        }
        let more = !after.is_empty() || ip.more_fragments();
        fragments.push(fragment(ip, options, offset, more, piece)?);
        offset += piece.len() / 8;
        rest = after;
        options = &copied;
    }
    if fragments.is_empty() { Err(SlowDrop::CannotFragment) } else { Ok(fragments) }
}

/// The options that every fragment carries, padded to whole words (RFC 791 3.1).
fn copied_options(ip: &Ipv4<'_>) -> Result<Vec<u8>, SlowDrop> {
    let mut copied = Vec::new();
    for option in ip.options() {
        let option = option.map_err(|_| SlowDrop::Malformed)?;
        if option.copied() {
            copied.extend_from_slice(option.bytes);
        }
    }
    copied.resize(copied.len().next_multiple_of(4), 0);
    Ok(copied)
}

fn fragment(
    ip: &Ipv4<'_>,
    options: &[u8],
    offset: usize,
    more: bool,
    piece: &[u8],
) -> Result<Vec<u8>, SlowDrop> {
    let words = HEADER.saturating_add(options.len()) / 4;
    let version = u8::try_from(0x40 | words).map_err(|_| SlowDrop::Malformed)?;
    let total = u16::try_from(words * 4 + piece.len()).map_err(|_| SlowDrop::Malformed)?;
    let offset = u16::try_from(offset).map_err(|_| SlowDrop::Malformed)?;
    // The reserved flag is passed on as it came; DF is clear, or we would not be here.
    let reserved = u16::from(ip.header()[6] & 0x80) << 8;
    let position = reserved | u16::from(more) << 13 | offset;
    let mut bytes = ip.packet()[..HEADER].to_vec();
    bytes[0] = version;
    bytes[2..4].copy_from_slice(&total.to_be_bytes());
    bytes[6..8].copy_from_slice(&position.to_be_bytes());
    bytes.extend_from_slice(options);
    frame::set_checksum(&mut bytes, 10, Sum::default());
    bytes.extend_from_slice(piece);
    Ok(bytes)
}

#[cfg(test)]
mod tests;
