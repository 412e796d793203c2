//! The fused egress kernel: stores through packet pointers, no calls, one branch a packet.
#![expect(unsafe_code, reason = "stores through packet pointers")]

use std::sync::atomic::Ordering;

use hal::PacketMask;

use crate::adjacency::{AdjacencyKind, AdjacencyState, AdjacencyTables};
use crate::packet::Vector;

/// Ethernet header without tags.
const UNTAGGED: u8 = 14;

/// Rewrites the packets of `select` whose adjacency is plain and whose size fits; returns them.
#[inline]
pub(super) fn rewrite(
    tables: &AdjacencyTables<'_>,
    vector: &mut Vector,
    select: PacketMask,
) -> PacketMask {
    // Frames whose start has been moved already may lack headroom: the rows look at that. The
    // others have all of `hal::packet::HEADROOM` in front of them.
    let moved = *vector.burst.parts().resized;
    let select = (select & vector.burst.owned()) - moved;
    one_family::<true>(tables, vector, select & vector.ipv4)
        | one_family::<false>(tables, vector, select & vector.ipv6)
}

/// The packets of one family.
#[inline]
fn one_family<const IPV4: bool>(
    tables: &AdjacencyTables<'_>,
    vector: &mut Vector,
    select: PacketMask,
) -> PacketMask {
    let mut done = 0u64;
    let mut resized = 0u64;
    let parts = vector.burst.parts();
    for slot in select {
        let i = slot & 63;
        let Some(row) = tables.adjacencies.get(vector.adjacency[i] as usize) else { continue };
        let state = AdjacencyState::unpack(row.state.load(Ordering::Acquire));
        if state.kind != AdjacencyKind::Plain || vector.ip_len[i] > state.mtu {
            continue;
        }
        let l3_offset = vector.l3_offset[i];
        // SAFETY: the frame has at least `l3_offset` bytes and a whole IP header behind them
        // (`l3-parse`), so bytes 7 to 12 of the header are inside it.
        let network = unsafe { parts.data[i].add(usize::from(l3_offset)) };
        let next = vector.next_ttl[i];
        if IPV4 {
            // SAFETY: as above.
            unsafe { network.add(8).cast::<u32>().write_unaligned(next) };
        } else {
            // SAFETY: as above. The hop limit is the low byte.
            unsafe { network.add(7).write(next.to_le_bytes()[0]) };
        }
        let words = [0, 1, 2, 3].map(|w: usize| row.rewrite[w].load(Ordering::Relaxed));
        if l3_offset == UNTAGGED && state.rewrite_len == UNTAGGED {
            // SAFETY: bytes 0 to 14 of the frame, as two stores that overlap by two bytes.
            unsafe {
                let frame = network.sub(14);
                frame.cast::<u64>().write_unaligned(words[0]);
                frame.add(6).cast::<u64>().write_unaligned(words[0] >> 48 | words[1] << 16);
            }
        } else {
            let len = usize::from(state.rewrite_len);
            let source = words.as_ptr().cast::<u8>();
            // SAFETY: the frame starts where it was received, with `HEADROOM` bytes in front,
            // which is more than `REWRITE_MAX`; the source is 32 bytes of a local array, and
            // `unpack` bounds the length by that.
            unsafe {
                let frame = network.sub(len);
                if len >= 16 {
                    // Two copies of 16 that overlap: no call, whatever the length.
                    let last = source.add(len - 16).cast::<[u8; 16]>().read_unaligned();
                    let first = source.cast::<[u8; 16]>().read_unaligned();
                    frame.cast::<[u8; 16]>().write_unaligned(first);
                    frame.add(len - 16).cast::<[u8; 16]>().write_unaligned(last);
                } else {
                    std::ptr::copy_nonoverlapping(source, frame, len);
                }
                parts.data[i] = frame;
            }
            // At most 32 bytes longer than what fitted 16 bits with its own header.
            parts.len[i] = parts.len[i]
                .wrapping_sub(u16::from(l3_offset))
                .wrapping_add(u16::from(state.rewrite_len));
            vector.l3_offset[i] = state.rewrite_len;
            resized |= u64::from(l3_offset != state.rewrite_len) << i;
        }
        done |= 1 << i;
    }
    *parts.resized |= PacketMask(resized);
    PacketMask(done)
}
