//! The run of rows from `ttl` to `mtu` in one pass, for packets that need nothing in between.
//!
//! Equal to the rows one by one, which a property test checks: a packet is taken only if its TTL
//! lasts, it is not for us, its adjacency is plain (rewrite known, no egress features) and it fits
//! the MTU; all others are left to the rows.

use hal::PacketMask;

use crate::adjacency::AdjacencyTables;
use crate::packet::Vector;
use crate::step::Lcore;

/// Takes the packets of `select` that need nothing special to the point of being sent, and returns
/// which those were.
///
/// `select` holds live packets behind the row `next-hop`.
#[inline]
#[must_use]
pub fn egress(lcore: &Lcore<'_>, vector: &mut Vector, select: PacketMask) -> PacketMask {
    let select = (select & vector.live) - vector.for_us - vector.ttl_expiring;
    let tables = AdjacencyTables::open(&lcore.tables);
    let done = rewrite(&tables, vector, select);
    // Most headers have no tags, which one comparison of the vector tells.
    let tagged = done - crate::simd::equal_bytes(&vector.l3_offset, 14);
    if !tagged.is_empty() {
        vector.impose_cos(tagged);
    }
    vector.fused |= done;
    vector.ahead = done;
    done
}

#[cfg(target_arch = "x86_64")]
use super::simd::rewrite;

/// Without a kernel for this machine the rows do it.
#[cfg(not(target_arch = "x86_64"))]
fn rewrite(_: &AdjacencyTables<'_>, _: &mut Vector, _: PacketMask) -> PacketMask {
    PacketMask::EMPTY
}
