//! Adjacencies: from a route's next-hop group to the frame that leaves (ING-08, EGR-01, EGR-02).
//!
//! Ingress picks the member of the group and thereby the output interface; the rewrite string is
//! egress state and looked at by egress rows only. Where nothing stands between the TTL and the
//! wire, one kernel does the whole run of rows for a vector ([`fused`]).

pub mod fused;
#[cfg(target_arch = "x86_64")]
mod simd;
mod stage;
mod table;

pub use stage::{AdjacencyLookup, L2Rewrite, MtuCheck, NextHop, TtlDecrement};
pub use table::{
    Adjacency, AdjacencyKind, AdjacencyState, AdjacencyTables, Group, GroupWord, Path, REWRITE_MAX,
};
