//! From the vector to the slow path.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{PuntGate, SlowPathSink, SlowWork};
use crate::acl::LateFilter;
use crate::adjacency::AdjacencyTables;
use crate::counters::LcoreCounters;
use crate::isa::Isa;
use crate::packet::{DropReason, End, PuntCause, PuntedPacket, Vector};
use crate::tables::Tables;
use crate::uidb::{UidbIndex, UidbTable};

/// Counts what was dropped and punted, and hands the slow path its share. Buffers that nobody took
/// stay with the vector.
#[cold]
pub(super) fn hand_over(
    vector: &mut Vector,
    (gate, filter): (&mut PuntGate, &mut LateFilter),
    counters: &LcoreCounters,
    tables: Tables<'_>,
    sink: &mut impl SlowPathSink,
) {
    for slot in vector.dropped {
        let End::Drop(reason) = vector.end[slot & 63] else { continue };
        counters.drop(reason, 1);
        if is_reported(reason)
            && gate.report(vector.now)
            && let Some(dropped) = punted(vector, slot, PuntCause::Feature, tables)
        {
            // Nobody waits for a report: without room the packet is simply gone.
            drop(sink.push(SlowWork::Unreachable(dropped, reason)));
        }
    }
    for slot in vector.punted {
        let End::Punt(cause) = vector.end[slot & 63] else { continue };
        if !gate.passes(cause, vector.now) {
            counters.drop(DropReason::PuntPerCausePolicer, 1);
            continue;
        }
        if let Some(reason) = filter.refuses(&tables, counters, vector, slot) {
            counters.drop(reason, 1);
            continue;
        }
        let table = vector.table(UidbTable::open(&tables), slot);
        if !gate.admits(cause, vector, slot, table) {
            counters.drop(DropReason::Lpts, 1);
            continue;
        }
        // The slow path forwards packets with options, which no row has checked the source of.
        if matches!(cause, PuntCause::Ipv4Options | PuntCause::Ipv6HopByHop)
            && let Some(reason) = crate::fib::refuses(&tables, vector, slot, Isa::Portable)
        {
            counters.drop(reason, 1);
            continue;
        }
        let Some(punted) = punted(vector, slot, cause, tables) else { continue };
        match sink.push(SlowWork::Punt(punted)) {
            Ok(()) => counters.punt(cause, 1),
            Err(_) => counters.drop(DropReason::PuntQueueFull, 1),
        }
    }
}

/// Drops whose source the slow path may tell (RFC 1812 5.2.7.1).
const fn is_reported(reason: DropReason) -> bool {
    matches!(
        reason,
        DropReason::Ipv4NoRoute
            | DropReason::Ipv6NoRoute
            | DropReason::Ipv4Null0
            | DropReason::Ipv6Null0
            | DropReason::NoAdjacency
            | DropReason::Ipv4Acl
            | DropReason::Ipv6Acl
    )
}

/// Takes the packet out of the vector, with what is known about it.
fn punted(
    vector: &mut Vector,
    slot: usize,
    cause: PuntCause,
    tables: Tables<'_>,
) -> Option<PuntedPacket> {
    let i = slot & 63;
    let l3 = vector.l3(slot);
    let next_hop = match cause {
        PuntCause::Glean if vector.ipv4.contains(slot) => {
            Some(IpAddr::V4(Ipv4Addr::from(vector.dst4[i])))
        }
        PuntCause::Glean => Some(IpAddr::V6(Ipv6Addr::from(
            u128::from(vector.dst6_hi[i]) << 64 | u128::from(vector.dst6_lo[i]),
        ))),
        PuntCause::IncompleteAdjacency => AdjacencyTables::open(&tables)
            .adjacencies
            .get(vector.adjacency[i] as usize)
            .and_then(crate::adjacency::Adjacency::next_hop),
        _ => None,
    };
    let table = vector.table(UidbTable::open(&tables), slot);
    let routed = matches!(
        cause,
        PuntCause::Glean | PuntCause::IncompleteAdjacency | PuntCause::IpMtuExceeded
    );
    let output = if routed { vector.output[i] } else { UidbIndex::NONE };
    Some(PuntedPacket {
        packet: vector.burst.take(slot)?,
        cause,
        input: vector.input[i],
        output,
        table,
        l3_offset: vector.l3_offset[i],
        l3,
        next_hop,
    })
}
