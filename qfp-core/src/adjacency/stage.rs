//! Rows `next-hop`, `ttl`, `adjacency`, `l2-rewrite` and `mtu`, one by one.

use hal::PacketMask;

use crate::adjacency::{Adjacency, AdjacencyKind, AdjacencyTables, GroupClass};
use crate::packet::{DropReason, PuntCause, Vector};
use crate::simd::{each_interface, equal_bytes, longer};
use crate::step::{Lcore, Step};
use crate::uidb::{UidbIndex, UidbTable};

/// Row `next-hop`: from the leaf to the member of its group, and to the output interface.
///
/// One load a packet; a hash only where the group has several members.
#[derive(Debug, Default)]
pub struct NextHop;

impl Step for NextHop {
    fn process(&mut self, lcore: &mut Lcore<'_>, vector: &mut Vector, select: PacketMask) {
        let tables = AdjacencyTables::open(&lcore.tables);
        vector.is.for_us |= select & vector.is.local;
        let select = select - vector.is.local;
        let simple = super::one_member(&tables, vector, select);
        for slot in select - simple {
            choose(&tables, vector, slot);
        }
        // Link-local packets may reach us, but not pass (RFC 3927 7, RFC 4291 2.5.6).
        let strayed = (vector.is.link_scope & select) - vector.is.for_us;
        if !strayed.is_empty() {
            vector.drop_all(strayed, DropReason::LinkLocalScope);
        }
    }
}

/// One packet: no route, several members, for us, or Null0.
fn choose(tables: &AdjacencyTables<'_>, vector: &mut Vector, slot: usize) {
    let i = slot & 63;
    let group = tables.group(vector.route.leaf[i]);
    let by_family = |v4, v6| if vector.is.ipv4.contains(slot) { v4 } else { v6 };
    let adjacency = match group.places {
        0 => {
            return vector.drop(slot, by_family(DropReason::Ipv4NoRoute, DropReason::Ipv6NoRoute));
        }
        1 => group.first,
        _ => tables.member(group, vector.flow_hash(slot)),
    };
    match group.class {
        GroupClass::Null0 => {
            vector.drop(slot, by_family(DropReason::Ipv4Null0, DropReason::Ipv6Null0));
        }
        GroupClass::Receive => vector.is.for_us.insert(slot),
        GroupClass::Forward => {}
    }
    vector.route.adjacency[i] = adjacency;
    match tables.adjacencies.get(adjacency as usize) {
        Some(row) => vector.route.output[i] = row.output(),
        None => vector.drop(slot, DropReason::NoAdjacency),
    }
}

/// Row `ttl`: decrements TTL or hop limit and adjusts the checksum (ING-22, RFC 1812 5.3.1).
#[derive(Debug, Default)]
pub struct TtlDecrement;

impl Step for TtlDecrement {
    fn process(&mut self, _lcore: &mut Lcore<'_>, vector: &mut Vector, select: PacketMask) {
        // For us means not forwarded: its TTL is not ours to look at.
        let select = select - vector.is.for_us;
        vector.punt_all(select & vector.is.ttl_expiring, PuntCause::IpTtlExceeded);
        for slot in select & vector.live {
            decrement(vector, slot);
        }
    }
}

/// Writes the TTL that `l3-parse` has counted down, or the hop limit.
#[inline]
pub(super) fn decrement(vector: &mut Vector, slot: usize) {
    let next = vector.l3.next_ttl[slot & 63].to_le_bytes();
    if vector.is.ipv4.contains(slot) {
        if let Some(field) = vector.network_mut(slot).get_mut(8..12) {
            field.copy_from_slice(&next);
        }
    } else if let Some(field) = vector.network_mut(slot).get_mut(7) {
        *field = next[0];
    }
}

/// Row `adjacency`: the full egress lookup; what has no MAC address yet goes to be resolved.
#[derive(Debug, Default)]
pub struct AdjacencyLookup;

impl Step for AdjacencyLookup {
    fn process(&mut self, lcore: &mut Lcore<'_>, vector: &mut Vector, select: PacketMask) {
        let tables = AdjacencyTables::open(&lcore.tables);
        for slot in select {
            let kind = tables
                .adjacencies
                .get(vector.route.adjacency[slot & 63] as usize)
                .map_or(AdjacencyKind::Absent, |row| row.state().kind);
            match kind {
                AdjacencyKind::Plain | AdjacencyKind::Featured => {}
                AdjacencyKind::Glean => vector.punt(slot, PuntCause::Glean),
                AdjacencyKind::Incomplete => vector.punt(slot, PuntCause::IncompleteAdjacency),
                _ => vector.drop(slot, DropReason::NoAdjacency),
            }
        }
        open_gates(UidbTable::open(&lcore.tables), vector, select & vector.live);
    }
}

/// Opens the gates of the rows that are on for the output interfaces of `select`.
#[inline]
pub(crate) fn open_gates(uidbs: UidbTable<'_>, vector: &mut Vector, select: PacketMask) {
    let mut gates = vector.walk.gates_out;
    each_interface(&vector.route.output, select, |output, _| {
        gates.open(uidbs.get(output).features_out);
    });
    vector.walk.gates_out = gates;
}

/// Row `l2-rewrite`: puts the adjacency's header in front of the network header (EGR-02), and ends
/// the frame where the packet ends.
#[derive(Debug, Default)]
pub struct L2Rewrite;

impl Step for L2Rewrite {
    fn process(&mut self, lcore: &mut Lcore<'_>, vector: &mut Vector, select: PacketMask) {
        let tables = AdjacencyTables::open(&lcore.tables);
        for slot in select {
            let i = slot & 63;
            let Some(row) = tables.adjacencies.get(vector.route.adjacency[i] as usize) else {
                vector.drop(slot, DropReason::NoAdjacency);
                continue;
            };
            if !put_header(vector, slot, row, row.state().rewrite_len) {
                vector.drop(slot, DropReason::RewriteNoRoom);
            }
        }
        cut(vector, select & vector.live);
        vector.impose_cos(select & vector.live);
    }
}

/// Puts the rewrite string of `row`, of `len` bytes, in front of the network header; false, and no
/// change, where the buffer has no room for it.
#[inline]
pub(super) fn put_header(vector: &mut Vector, slot: usize, row: &Adjacency, len: u8) -> bool {
    if make_room(vector, PacketMask::only(slot), len).is_empty() {
        return false;
    }
    let (len, rewrite) = (usize::from(len), row.rewrite());
    if let (Some(header), Some(rewrite)) =
        (vector.burst.frame_mut(slot).get_mut(..len), rewrite.get(..len))
    {
        header.copy_from_slice(rewrite);
    }
    true
}

/// Gives the packets of `select` `len` bytes in front of their network headers; returns those whose
/// buffers have room for them, and leaves the others as they are.
#[inline]
pub(super) fn make_room(vector: &mut Vector, select: PacketMask, len: u8) -> PacketMask {
    let mut ready = select & equal_bytes(&vector.l3.offset, len);
    let mut rest = select - ready;
    while let Some(first) = rest.into_iter().next() {
        let offset = vector.l3.offset[first & 63];
        let same = rest & equal_bytes(&vector.l3.offset, offset);
        rest -= same;
        let moved = vector.burst.move_starts(same, isize::from(offset) - isize::from(len));
        for slot in moved {
            vector.l3.offset[slot & 63] = len;
        }
        ready |= moved;
    }
    ready
}

/// Cuts the frames of `select` behind their IP packets (RFC 894): what stands there is padding,
/// and nobody has checked its size. Devices pad again what is too short for their links.
///
/// Ten instructions a vector, and a few for each frame that is cut.
#[inline]
pub(super) fn cut(vector: &mut Vector, select: PacketMask) {
    let frames = vector.burst.lens();
    for slot in select & longer(frames, &vector.l3.offset, &vector.l3.ip_len) {
        let end =
            usize::from(vector.l3.offset[slot & 63]) + usize::from(vector.l3.ip_len[slot & 63]);
        vector.burst.truncate(slot, end);
    }
}

/// Row `mtu`: what is larger than the output interface takes goes to be fragmented or reported
/// (EGR-08).
#[derive(Debug, Default)]
pub struct MtuCheck;

impl Step for MtuCheck {
    fn process(&mut self, lcore: &mut Lcore<'_>, vector: &mut Vector, select: PacketMask) {
        let tables = AdjacencyTables::open(&lcore.tables);
        let uidbs = UidbTable::open(&lcore.tables);
        for slot in select {
            let i = slot & 63;
            let row = tables.adjacencies.get(vector.route.adjacency[i] as usize);
            let mtu = row.map_or(0, |row| row.state().mtu);
            if vector.l3.ip_len[i] > mtu {
                vector.punt(slot, PuntCause::IpMtuExceeded);
            } else if uidbs.get(vector.route.output[i]).port == crate::uidb::NO_PORT {
                vector.route.output[i] = UidbIndex::NONE;
                vector.drop(slot, DropReason::NoAdjacency);
            }
        }
    }
}
