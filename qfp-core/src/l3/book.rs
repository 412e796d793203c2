//! Packets that no kernel has taken, by the book, one by one.

use hal::PacketMask;

use crate::l3::fragment;
use crate::l3::scalar::{self, Arrived, Parsed};
use crate::l3::source::{self, Own};
use crate::packet::{Cold, DropReason, Source, Vector};
use crate::step::Lcore;
use crate::uidb::{Uidb, UidbIndex};

/// The packets of `others` by the scalar rules, and the sources of those and of `maybe_own`.
#[inline(never)]
pub(super) fn by_the_book(
    lcore: &Lcore<'_>,
    vector: &mut Vector,
    others: PacketMask,
    maybe_own: PacketMask,
    own: &Own<'_>,
) {
    for slot in source::drop_odd_frames(lcore, vector, others, own) {
        parse_one(vector, slot);
        fragment::judge(lcore, vector, slot);
    }
    source::drop_own(lcore, vector, maybe_own | others, own);
}

/// Steps over the priority tag of a frame whose port has no sub-interfaces (IEEE 802.1Q 6.9.1);
/// with sub-interfaces, `if-classify` has done it.
fn skip_priority_tag(vector: &mut Vector, slot: usize) {
    let i = slot & 63;
    if vector.l3.offset[i] == 14
        && let Some([0x81, 0x00, high, 0, _, _]) =
            vector.burst.frame(slot).get(12..).and_then(|rest| rest.first_chunk::<6>())
        && high & 0xf == 0
    {
        vector.l3.offset[i] = 18;
    }
}

/// One packet, by the book.
fn parse_one(vector: &mut Vector, slot: usize) {
    skip_priority_tag(vector, slot);
    let offset = usize::from(vector.l3.offset[slot & 63]);
    let frame = vector.burst.frame(slot);
    let (Some(ethertype), Some(packet)) = (
        frame.get(offset.wrapping_sub(2)..).and_then(|rest| rest.first_chunk::<2>()),
        frame.get(offset..),
    ) else {
        return vector.drop(slot, DropReason::Truncated);
    };
    let ethertype = u16::from_be_bytes(*ethertype);
    let arrived = Arrived {
        group: frame[0] & 1 == 1,
        // What comes out of a tunnel comes from outside.
        injected: matches!(
            vector.walk.source,
            Source::Internal { uidb: UidbIndex::RP | UidbIndex::RECYCLE, .. }
        ),
        records: vector.walk.gates_in.any & Uidb::RECORD_ROUTE != 0,
    };
    match scalar::parse(ethertype, packet, arrived) {
        Parsed::Ipv4(fields) => {
            vector.is.ipv4.insert(slot);
            vector.l3.src4[slot & 63] = fields.src;
            vector.l3.dst4[slot & 63] = fields.dst;
            vector.l3.ip_len[slot & 63] = fields.total_len;
            vector.l3.next_ttl[slot & 63] = fields.next_ttl;
            if fields.ttl <= 1 {
                vector.is.ttl_expiring.insert(slot);
            }
            if fields.link_local {
                vector.is.link_scope.insert(slot);
            }
            note(vector, slot, fields.local, fields.attention);
        }
        Parsed::Ipv6(fields) => {
            vector.is.ipv6.insert(slot);
            #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
            let halves = ((fields.dst >> 64) as u64, fields.dst as u64);
            (vector.l3.dst6_hi[slot & 63], vector.l3.dst6_lo[slot & 63]) = halves;
            vector.l3.ip_len[slot & 63] = fields.total_len;
            vector.l3.next_ttl[slot & 63] = u32::from(fields.hop_limit.wrapping_sub(1));
            if fields.hop_limit <= 1 {
                vector.is.ttl_expiring.insert(slot);
            }
            if fields.link_local_source {
                vector.is.link_scope.insert(slot);
            }
            if let Some((l4_offset, protocol, later_fragment)) = fields.transport {
                vector.is.extended.insert(slot);
                vector.cold[slot & 63] = Cold { l4_offset, protocol, later_fragment };
            }
            note(vector, slot, fields.local, fields.attention);
        }
        Parsed::Arp => {
            vector.l3.ip_len[slot & 63] = 0;
            vector.is.local.insert(slot);
        }
        Parsed::Drop(reason) => vector.drop(slot, reason),
    }
}

/// Notes what is for this router already, and what it must look at.
#[inline]
fn note(vector: &mut Vector, slot: usize, local: bool, attention: bool) {
    if local {
        vector.is.local.insert(slot);
    }
    if attention {
        vector.is.attention.insert(slot);
    }
}
