//! From the vector to the slow path.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{SlowPathSink, SlowWork};
use crate::adjacency::AdjacencyTables;
use crate::counters::LcoreCounters;
use crate::packet::{DropReason, End, L3, PuntCause, PuntedPacket, Vector};
use crate::tables::Tables;
use crate::uidb::{UidbIndex, UidbTable};

/// Row `punt`: counts what was dropped and punted, and hands the slow path what the rows before
/// have let through. Buffers that nobody took stay with the vector.
#[cold]
pub(super) fn hand_over(
    vector: &mut Vector,
    lcore: u16,
    counters: &LcoreCounters,
    tables: Tables<'_>,
    sink: &mut impl SlowPathSink,
) {
    for slot in vector.ends.dropped {
        let End::Drop(reason) = vector.ends.end[slot & 63] else { continue };
        counters.drop(reason, 1);
        if vector.ends.reported.contains(slot)
            && let Some(dropped) = punted(vector, (slot, lcore), PuntCause::Feature, tables)
        {
            // Nobody waits for a report: without room the packet is simply gone.
            drop(sink.push(SlowWork::Unreachable(dropped, reason)));
        }
    }
    for slot in vector.ends.punted {
        let End::Punt(cause) = vector.ends.end[slot & 63] else { continue };
        let Some(punted) = punted(vector, (slot, lcore), cause, tables) else { continue };
        match sink.push(SlowWork::Punt(punted)) {
            Ok(()) => counters.punt(cause, 1),
            Err(_) => counters.drop(DropReason::PuntQueueFull, 1),
        }
    }
}

/// Takes the packet out of the vector, with what is known about it.
fn punted(
    vector: &mut Vector,
    (slot, lcore): (usize, u16),
    cause: PuntCause,
    tables: Tables<'_>,
) -> Option<PuntedPacket> {
    let i = slot & 63;
    let l3 = vector.l3(slot);
    let next_hop = match cause {
        PuntCause::Glean => destination(vector, slot),
        // Where a policy sends it: routed again by its destination it would go elsewhere.
        PuntCause::Ipv4Options | PuntCause::Ipv6HopByHop => {
            destination(vector, slot).filter(|hop| !is_in_header(vector, slot, *hop))
        }
        PuntCause::IncompleteAdjacency => AdjacencyTables::open(&tables)
            .adjacencies
            .get(vector.route.adjacency[i] as usize)
            .and_then(crate::adjacency::Adjacency::next_hop),
        _ => None,
    };
    let table = vector.table(UidbTable::open(&tables), slot);
    let routed = matches!(
        cause,
        PuntCause::Glean | PuntCause::IncompleteAdjacency | PuntCause::IpMtuExceeded
    );
    let output = if routed { vector.route.output[i] } else { UidbIndex::NONE };
    let (opened, came_in) =
        (vector.was_opened(slot), vector.walk.origin.map(|origin| origin.input));
    Some(PuntedPacket {
        packet: vector.burst.take(slot)?,
        cause,
        input: came_in.unwrap_or(vector.route.input[i]),
        lcore,
        opened,
        within: vector.walk.within,
        output,
        table,
        l3_offset: vector.l3.offset[i],
        l3,
        next_hop,
    })
}

/// Where the packet is routed to: its destination, or a policy's next hop in its place.
fn destination(vector: &Vector, slot: usize) -> Option<IpAddr> {
    let i = slot & 63;
    match vector.l3(slot) {
        L3::Ipv4 => Some(IpAddr::V4(Ipv4Addr::from(vector.l3.dst4[i]))),
        L3::Ipv6 => Some(IpAddr::V6(Ipv6Addr::from(
            u128::from(vector.l3.dst6_hi[i]) << 64 | u128::from(vector.l3.dst6_lo[i]),
        ))),
        L3::Other => None,
    }
}

/// Whether that is the destination in the packet's own header.
fn is_in_header(vector: &Vector, slot: usize, address: IpAddr) -> bool {
    let packet = vector.network(slot);
    match address {
        IpAddr::V4(v4) => packet.get(16..20) == Some(&v4.octets()),
        IpAddr::V6(v6) => packet.get(24..40) == Some(&v6.octets()),
    }
}
