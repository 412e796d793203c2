//! Adjacencies: from a route's next-hop group to the frame that leaves (ING-08, EGR-01, EGR-02).
//!
//! Ingress picks the member of the group and thereby the output interface; the rewrite string is
//! egress state and looked at by egress rows only. Where nothing stands between the TTL and the
//! wire, [`EgressFast`] does the work of a whole run of rows.

mod fast;
#[cfg(target_arch = "x86_64")]
mod simd;
mod stage;
mod table;

pub use fast::{EgressFast, Interposed};
pub(crate) use stage::open_gates;
pub use stage::{AdjacencyLookup, L2Rewrite, MtuCheck, NextHop, TtlDecrement};
pub use table::{
    Adjacency, AdjacencyKind, AdjacencyState, AdjacencyTables, Group, GroupClass, GroupWord, Path,
    REWRITE_MAX,
};

/// Resolves the packets of `select` whose group has one member that is forwarded to, or that is
/// this router; returns them.
#[inline]
fn one_member(
    tables: &AdjacencyTables<'_>,
    vector: &mut crate::packet::Vector,
    select: hal::PacketMask,
) -> hal::PacketMask {
    #[cfg(target_arch = "x86_64")]
    return simd::one_member(tables, vector, select);
    #[cfg(not(target_arch = "x86_64"))]
    hal::PacketMask::EMPTY
}

#[cfg(test)]
mod tests;
