//! The run of rows from `ttl` to `mtu` in one pass, for packets that need nothing in between.
//!
//! Equal to the rows one by one, which a property test checks: a packet is taken only if its TTL
//! lasts, it is not for us, no option asks for attention, its adjacency is plain (rewrite known, no
//! egress features) and it fits the MTU. Packets that have egress features are taken from `ttl` to
//! `l2-rewrite`, and meet the rows from there on. All others are left to the rows.

use hal::PacketMask;

use super::stage::{cut, egress_gates};
use crate::adjacency::AdjacencyTables;
use crate::packet::Vector;
use crate::step::Lcore;
use crate::uidb::{Gates, UidbTable};

/// Which packets the kernel takes.
#[derive(Clone, Copy, Debug)]
pub struct Kinds {
    /// The row `ttl` is on for all of them, or for none.
    pub ttl: bool,
    /// Those with egress features too.
    pub featured: bool,
}

/// The packets that the kernel has taken.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rewritten {
    /// To the point of being sent.
    pub plain: PacketMask,
    /// To the end of `l2-rewrite`.
    pub featured: PacketMask,
}

/// Takes the packets of `select` that need nothing special through the rows, and returns which
/// those were, with the egress features of the featured ones.
///
/// `select` holds live packets behind the row `next-hop`.
#[inline]
#[must_use]
pub fn egress(
    lcore: &Lcore<'_>,
    vector: &mut Vector,
    select: PacketMask,
    kinds: Kinds,
) -> (Rewritten, Gates) {
    let mut select = (select & vector.live) - (vector.for_us | vector.attention);
    if kinds.ttl {
        select -= vector.ttl_expiring;
    }
    let tables = AdjacencyTables::open(&lcore.tables);
    let done = rewrite(&tables, vector, select, kinds);
    let all = done.plain | done.featured;
    cut(vector, all);
    // Most headers have no tags, which one comparison of the vector tells.
    let tagged = all - crate::simd::equal_bytes(&vector.l3_offset, 14);
    if !tagged.is_empty() {
        vector.impose_cos(tagged);
    }
    vector.fused |= all;
    vector.ahead = all;
    let gates = if done.featured.is_empty() {
        Gates::default()
    } else {
        egress_gates(UidbTable::open(&lcore.tables), vector, done.featured)
    };
    (done, gates)
}

#[cfg(target_arch = "x86_64")]
use super::simd::rewrite;

/// Without a kernel for this machine the rows do it.
#[cfg(not(target_arch = "x86_64"))]
fn rewrite(_: &AdjacencyTables<'_>, _: &mut Vector, _: PacketMask, _: Kinds) -> Rewritten {
    Rewritten::default()
}
