//! Row `next-hop`.

use hal::PacketMask;

use crate::adjacency::{AdjacencyTables, GroupClass};
use crate::packet::{DropReason, Vector};
use crate::step::{Lcore, Step};

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
        let simple = one_member(&tables, vector, select);
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

#[cfg(target_arch = "x86_64")]
use super::simd::one_member;

/// Without a kernel for this machine packets are resolved one by one.
#[cfg(not(target_arch = "x86_64"))]
fn one_member(_: &AdjacencyTables<'_>, _: &mut Vector, _: PacketMask) -> PacketMask {
    PacketMask::EMPTY
}
