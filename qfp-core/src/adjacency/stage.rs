//! Rows `ttl`, `adjacency`, `l2-rewrite` and `mtu`, one by one: for packets that `egress-fast` leaves.

use hal::PacketMask;

use super::fast::{cut, make_room, open_gates};
use crate::adjacency::{Adjacency, AdjacencyKind, AdjacencyTables};
use crate::packet::{DropReason, PuntCause, Vector};
use crate::step::{Lcore, Step};
use crate::uidb::{UidbIndex, UidbTable};

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
