//! Headers of many next hops in one vector.
#![expect(unsafe_code, reason = "stores through packet pointers")]

use std::arch::x86_64::*;
use std::sync::atomic::Ordering;

use hal::PacketMask;

use super::{TAGGED, UNTAGGED, headers};
use crate::adjacency::{Adjacency, AdjacencyKind, AdjacencyState};
use crate::packet::Vector;

/// Puts the headers of plain adjacencies in front of the packets of `select`; returns those that it
/// has done.
///
/// # Safety
/// As for [`headers`].
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,bmi1,bmi2")]
pub(super) unsafe fn any_header(
    adjacencies: &[Adjacency],
    vector: &mut Vector,
    select: PacketMask,
    ttl: u32,
) -> PacketMask {
    // The low half of the state words that are taken.
    let [plain14, plain18] = [UNTAGGED, TAGGED].map(|rewrite_len| {
        AdjacencyState { kind: AdjacencyKind::Plain, rewrite_len, mtu: 0 }.pack()
    });
    let (mut untagged, mut tagged) = (0, 0);
    for slot in select {
        let i = slot & 63;
        let Some(row) = adjacencies.get(vector.route.adjacency[i] as usize) else { continue };
        let state = row.state.load(Ordering::Acquire);
        let fits = u32::from(vector.l3.ip_len[i]) <= state >> 16;
        untagged |= u64::from((state & 0xffff == plain14) & fits) << i;
        tagged |= u64::from((state & 0xffff == plain18) & fits) << i;
    }
    // SAFETY: as to the strings, see `rewrite`. The rest is passed on from the caller.
    unsafe {
        let header = |number: u32| match adjacencies.get(number as usize) {
            Some(row) => _mm256_loadu_si256((&raw const row.rewrite).cast()),
            None => _mm256_setzero_si256(),
        };
        headers::<14>(vector, PacketMask(untagged), ttl, header)
            | headers::<18>(vector, PacketMask(tagged), ttl, header)
    }
}
