//! From tags to interfaces.

use hal::PacketMask;

use crate::l2::{PortClass, TagTables, simd};
use crate::packet::Vector;
use crate::uidb::UidbIndex;

/// Finds the interfaces of tagged frames; true when there were any.
#[inline]
pub(super) fn classify_tags(
    tags: TagTables<'_>,
    class: PortClass,
    vector: &mut Vector,
    select: PacketMask,
) -> bool {
    let Some(outer) = tags.outer_tags(class) else { return false };
    let tagged = simd::outer_tags(outer, vector, select);
    for slot in tagged.other {
        let (uidb, offset) = classify_tag(tags, class, vector.burst.frame(slot));
        vector.route.input[slot & 63] = uidb;
        vector.l3.offset[slot & 63] = offset;
    }
    !(tagged.single | tagged.other).is_empty()
}

/// The interface of one tagged frame, and the offset of its network header.
fn classify_tag(tags: TagTables<'_>, class: PortClass, frame: &[u8]) -> (UidbIndex, u8) {
    const NOWHERE: (UidbIndex, u8) = (UidbIndex::NONE, 18);
    let vid = |at: usize| {
        let tci = frame.get(at..).and_then(|rest| rest.first_chunk::<2>());
        tci.map(|tci| u16::from_be_bytes(*tci) & 0xfff)
    };
    let Some(outer_vid) = vid(14).filter(|_| frame.len() >= 18) else { return NOWHERE };
    if outer_vid == 0 {
        // A priority tag: the frame belongs to the port itself (IEEE 802.1Q 6.9.1).
        return (UidbIndex(class.native), 18);
    }
    let outer = tags.outer(class, outer_vid);
    if let Some([0x81, 0x00] | [0x88, 0xa8] | [0x91, 0x00]) =
        frame.get(16..).and_then(|rest| rest.first_chunk::<2>())
        && let Some(inner_vid) = vid(18).filter(|_| frame.len() >= 22)
    {
        let inner = tags.inner(outer, inner_vid);
        if inner != UidbIndex::NONE {
            return (inner, 22);
        }
    }
    (UidbIndex(outer.uidb), 18)
}
