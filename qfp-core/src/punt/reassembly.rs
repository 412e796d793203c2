//! Fragments for the router itself become datagrams again (RFC 791 §3.2, RFC 8200 §4.5).
//!
//! Every fragment is copied and its buffer is free at once; a datagram that is whole is routed to
//! the router anew, so that ESP is opened wherever it was cut. Memory and time are bounded (see
//! `room`): none waits longer than a minute. Whoever sent the first fragment of one that has waited
//! that long is told so (RFC 792, RFC 4443 3.3).

mod partial;
mod room;

use std::net::IpAddr;

use super::counters::{Done, Fate, SlowDrop};
use super::icmp::Problem;
use super::{SlowPath, Turn};
use crate::packet::{L3, Origin, PuntCause, PuntedPacket};
use crate::uidb::{TableId, UidbIndex};
use crate::wire::{Ipv4, Ipv6};

pub(super) use room::Reassembly;

/// The two bits of the traffic class that are about congestion (RFC 3168).
const ECN: u8 = 3;

/// Which datagram a fragment is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    table: TableId,
    ends: (IpAddr, IpAddr),
    /// IPv4 only: identifications of IPv6 are not by protocol.
    protocol: u8,
    id: u32,
    /// Out of ESP: what was protected is not completed by what was not.
    opened: bool,
}

/// A fragment.
#[derive(Clone)]
struct Piece<'a> {
    key: Key,
    /// Bytes in front of the data, as in the datagram, but for its lengths and checksum.
    header: Vec<u8>,
    ecn: u8,
    /// Of the data in the datagram's, bytes.
    offset: usize,
    more: bool,
    data: &'a [u8],
    origin: First,
}

/// A fragment as it came in.
#[derive(Clone, Debug)]
pub(super) struct First {
    frame: Vec<u8>,
    input: UidbIndex,
    table: TableId,
    l3_offset: u8,
    l3: L3,
    lcore: u16,
    opened: bool,
}

impl First {
    /// Of a fragment that is not the first, only where it came from.
    fn of(punted: &PuntedPacket, offset: usize) -> Self {
        let frame = if offset == 0 { punted.packet.frame().to_vec() } else { Vec::new() };
        Self {
            frame,
            input: punted.input,
            table: punted.table,
            l3_offset: punted.l3_offset,
            l3: punted.l3,
            lcore: punted.lcore,
            opened: punted.opened,
        }
    }
}

impl SlowPath {
    /// Takes a fragment of an IPv4 datagram to the router.
    pub(super) fn fragment_v4(
        &mut self,
        turn: &mut Turn<'_>,
        punted: &PuntedPacket,
        ip: &Ipv4<'_>,
    ) -> Fate {
        let header = ip.packet().get(..ip.packet().len() - ip.payload().len());
        let mut header = header.unwrap_or_default().to_vec();
        if let Some(fragmentation) = header.get_mut(6..8) {
            fragmentation.fill(0);
        }
        let key = Key {
            table: punted.table,
            ends: (IpAddr::V4(ip.src()), IpAddr::V4(ip.dst())),
            protocol: ip.protocol(),
            id: ip.id().into(),
            opened: punted.opened,
        };
        let offset = usize::from(ip.fragment_offset()) * 8;
        let (ecn, more, data) = (ip.tos() & ECN, ip.more_fragments(), ip.payload());
        let origin = First::of(punted, offset);
        self.reassemble(turn, punted, Piece { key, header, ecn, offset, more, data, origin })
    }

    /// Takes a fragment of an IPv6 datagram to the router.
    pub(super) fn fragment_v6(
        &mut self,
        turn: &mut Turn<'_>,
        punted: &PuntedPacket,
        ip: &Ipv6<'_>,
    ) -> Fate {
        let found = ip.fragment().map_err(|_| SlowDrop::Malformed)?.ok_or(SlowDrop::Malformed)?;
        let mut header = ip.packet().get(..found.at).unwrap_or_default().to_vec();
        if let Some(next) = header.get_mut(found.named_at) {
            *next = found.next_header;
        }
        let ends = (IpAddr::V6(ip.src()), IpAddr::V6(ip.dst()));
        let (table, opened) = (punted.table, punted.opened);
        let key = Key { table, ends, protocol: 0, id: found.id, opened };
        let data = ip.packet().get(found.at + 8..).unwrap_or_default();
        let ecn = ip.traffic_class() & ECN;
        let (offset, more) = (usize::from(found.offset) * 8, found.more);
        let origin = First::of(punted, offset);
        self.reassemble(turn, punted, Piece { key, header, ecn, offset, more, data, origin })
    }

    fn reassemble(&mut self, turn: &mut Turn<'_>, punted: &PuntedPacket, piece: Piece<'_>) -> Fate {
        let table = piece.key.table;
        let given_up = &mut self.counters.reassemblies_given_up;
        let Some(datagram) = self.reassembly.add(turn.now, piece, &self.limits, given_up)? else {
            return Ok(Done::Consumed);
        };
        turn.deliver(table, Origin { input: punted.input, opened: punted.opened }, &datagram)?;
        self.counters.reassembled += 1;
        Ok(Done::Resent)
    }

    /// Gives up datagrams that have waited too long, and tells who sent their first fragments.
    pub(super) fn expire_fragments(&mut self, turn: &mut Turn<'_>) {
        let late = self.reassembly.expire(turn.now);
        self.counters.reassemblies_timed_out += late.len() as u64;
        for late in late.into_iter().flatten() {
            let First { frame, input, table, l3_offset, l3, lcore, opened } = late;
            let Some(packet) = turn.pool.packet(&frame) else { continue };
            let first = PuntedPacket {
                packet,
                cause: PuntCause::Feature,
                input,
                output: UidbIndex::NONE,
                table,
                l3_offset,
                l3,
                lcore,
                opened,
                within: None,
                next_hop: None,
            };
            // The fragment has had its fate: it was consumed.
            let _ = self.report(turn, &first, Problem::ReassemblyTimeExceeded);
        }
    }
}
