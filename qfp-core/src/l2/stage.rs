//! Rows `if-classify` and `mac-filter`.

use hal::PacketMask;

use crate::counters::LcoreCounters;
use crate::l2::{MacRow, PortClass, TagTables, simd};
use crate::packet::{DropReason, Source, Vector};
use crate::simd::{each_interface, sum};
use crate::step::{Lcore, Step};
use crate::uidb::{Gates, Uidb, UidbIndex, UidbTable};

/// Row `if-classify`: finds the input interface and where the network header starts.
///
/// Untagged frames of a port without sub-interfaces cost two array fills a vector.
#[derive(Debug, Default)]
pub struct IfClassify;

impl Step for IfClassify {
    fn process(&mut self, lcore: &mut Lcore<'_>, vector: &mut Vector, select: PacketMask) {
        let uidbs = UidbTable::open(&lcore.tables);
        vector.l3.offset = [14; hal::VECTOR];
        // No route yet: what the vector before left here names other packets' interfaces.
        vector.route.output = [UidbIndex::NONE; hal::VECTOR];
        let native = match vector.walk.source {
            Source::Internal { uidb, .. } => {
                vector.route.input = [uidb; hal::VECTOR];
                return finish(lcore.counters, uidbs, vector, select, Some(uidb));
            }
            Source::Port(port) => {
                let tags = TagTables::open(&lcore.tables);
                let class = tags.port(port);
                vector.route.input = [UidbIndex(class.native); hal::VECTOR];
                if classify_tags(tags, class, vector, select) {
                    return finish(lcore.counters, uidbs, vector, select, None);
                }
                UidbIndex(class.native)
            }
        };
        finish(lcore.counters, uidbs, vector, select, Some(native));
    }
}

/// Finds the interfaces of tagged frames; true when there were any.
#[inline]
fn classify_tags(
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

/// Counts the interfaces, drops what has none, and opens the gates of their features. `uniform` is
/// the interface of all packets, where it is known to be one.
fn finish(
    counters: &LcoreCounters,
    uidbs: UidbTable<'_>,
    vector: &mut Vector,
    select: PacketMask,
    uniform: Option<UidbIndex>,
) {
    let input = vector.route.input;
    let mut gates = Gates::NONE;
    let mut see = |uidb, same: PacketMask| {
        let row = uidbs.get(uidb);
        match row.state {
            Uidb::UP => gates.open(row.features_in),
            Uidb::DOWN => vector.drop_all(same, DropReason::UidbDown),
            _ => return vector.drop_all(same, DropReason::BadUidbIdx),
        }
        let bytes = if same == vector.burst.owned() {
            vector.walk.bytes
        } else {
            sum(vector.burst.lens(), same)
        };
        counters.interface_in(uidb, u64::from(same.count()), bytes);
    };
    match uniform {
        Some(uidb) => see(uidb, select),
        None => each_interface(&input, select, see),
    }
    vector.walk.gates_in = gates;
}

/// Row `mac-filter`: drops frames for other stations, on ports that do not do it themselves.
#[derive(Debug, Default)]
pub struct MacFilter;

impl Step for MacFilter {
    fn process(&mut self, lcore: &mut Lcore<'_>, vector: &mut Vector, select: PacketMask) {
        let Source::Port(port) = vector.walk.source else { return };
        let own = MacRow(TagTables::open(&lcore.tables).port(port).mac);
        for slot in select {
            let Some(&mac) = vector.burst.frame(slot).first_chunk::<6>() else {
                vector.drop(slot, DropReason::Truncated);
                continue;
            };
            let group = mac[0] & 1 == 1;
            if !group && MacRow::from(mac) != own {
                vector.drop(slot, DropReason::MacFilter);
            }
        }
    }
}
