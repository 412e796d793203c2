//! Adjacencies: from a route's next-hop group to the frame that leaves (ING-08, EGR-01, EGR-02).
//!
//! Ingress picks the member of the group and thereby the output interface; the rewrite string is
//! egress state and looked at by egress rows only. Where nothing stands between the TTL and the
//! wire, [`EgressFast`] does the work of a whole run of rows.

mod fast;
mod next_hop;
#[cfg(target_arch = "x86_64")]
mod simd;
mod stage;
mod table;

pub(crate) use fast::open_gates;
pub use fast::{EgressFast, Interposed};
pub use next_hop::NextHop;
pub use stage::{AdjacencyLookup, L2Rewrite, MtuCheck, TtlDecrement};
pub use table::{
    Adjacency, AdjacencyKind, AdjacencyState, AdjacencyTables, Group, GroupClass, GroupWord, Path,
    REWRITE_MAX,
};

#[cfg(test)]
mod tests;
