//! The tag kernel: one pass over the frames' EtherTypes, with plain loads.
#![expect(unsafe_code, reason = "loads through packet pointers")]

use hal::PacketMask;

use crate::l2::table::{TAGS, TagEntry};
use crate::packet::Vector;
use crate::uidb::UidbIndex;

/// EtherTypes of tags as they are read from a frame in little-endian order.
const DOT1Q: u32 = 0x0081;
const DOT1AD: u32 = 0xa888;
const OLD_QINQ: u32 = 0x0091;

/// Bytes of a frame with one tag in front of the network header.
const ONE_TAG: u8 = 18;

/// What the pass has found.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tagged {
    /// Frames with one tag that names an interface by itself: done.
    pub(super) single: PacketMask,
    /// Frames with a tag that need another look.
    pub(super) other: PacketMask,
}

/// Finds the tagged frames of `select`, and the interfaces of those with one tag.
///
/// `outer` is the port's table of outer tags. About five cycles a packet, loads included.
#[inline]
pub(super) fn outer_tags(
    outer: &[TagEntry; TAGS],
    vector: &mut Vector,
    select: PacketMask,
) -> Tagged {
    let select = select & vector.burst.owned();
    let (mut single, mut other) = (0u64, 0u64);
    for slot in select {
        let i = slot & 63;
        let frame = vector.burst.data_ptrs()[i];
        // SAFETY: the burst owns the packet, and behind every frame's start there are
        // `hal::packet::SLACK` readable bytes.
        let word = unsafe { u32::from_le(frame.add(12).cast::<u32>().read_unaligned()) };
        if !matches!(word & 0xffff, DOT1Q | DOT1AD | OLD_QINQ) {
            continue;
        }
        let [_, _, tci_high, tci_low] = word.to_le_bytes();
        let vid = usize::from(u16::from_be_bytes([tci_high, tci_low]) & 0xfff);
        let entry = outer[vid % TAGS];
        if vid == 0 || entry.inner != 0 || vector.burst.lens()[i] < u16::from(ONE_TAG) {
            other |= 1 << i;
            continue;
        }
        vector.route.input[i] = UidbIndex(entry.uidb);
        vector.l3.offset[i] = ONE_TAG;
        single |= 1 << i;
    }
    Tagged { single: PacketMask(single), other: PacketMask(other) }
}
