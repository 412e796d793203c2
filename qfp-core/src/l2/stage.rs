//! Rows `if-classify` and `mac-filter`.

use hal::PacketMask;

use crate::counters::LcoreCounters;
use crate::l2::{MacRow, PortClass, TagTables};
use crate::packet::{DropReason, Source, Vector};
use crate::simd;
use crate::step::{Lcore, Step};
use crate::uidb::{Gates, Uidb, UidbIndex, UidbTable};

/// EtherTypes that announce a VLAN tag: IEEE 802.1Q, 802.1ad, and the old QinQ number.
const fn is_tag(ethertype: u16) -> bool {
    matches!(ethertype, 0x8100 | 0x88a8 | 0x9100)
}

/// Row `if-classify`: finds the input interface and where the network header starts.
///
/// Untagged frames of a port without sub-interfaces cost two array fills a vector.
#[derive(Debug, Default)]
pub struct IfClassify;

impl Step for IfClassify {
    fn process(&mut self, lcore: &mut Lcore<'_>, vector: &mut Vector, select: PacketMask) {
        let uidbs = UidbTable::open(&lcore.tables);
        vector.l3_offset = [14; hal::VECTOR];
        let native = match vector.source {
            Source::Internal(uidb) => {
                vector.input = [uidb; hal::VECTOR];
                return finish(lcore.counters, uidbs, vector, select, Some(uidb));
            }
            Source::Port(port) => {
                let tags = TagTables::open(&lcore.tables);
                let class = tags.port(port);
                vector.input = [UidbIndex(class.native); hal::VECTOR];
                if class.outer != 0 && classify_tags(tags, class, vector, select) {
                    return finish(lcore.counters, uidbs, vector, select, None);
                }
                UidbIndex(class.native)
            }
        };
        finish(lcore.counters, uidbs, vector, select, Some(native));
    }
}

/// Finds the interfaces of tagged frames; true when there were any.
fn classify_tags(
    tags: TagTables<'_>,
    class: PortClass,
    vector: &mut Vector,
    select: PacketMask,
) -> bool {
    let mut tagged = PacketMask::EMPTY;
    let mut group = PacketMask::EMPTY;
    for slot in select {
        let frame = vector.burst.frame(slot);
        let Some(&[high, low, tci_high, tci_low]) =
            frame.get(12..).and_then(|rest| rest.first_chunk())
        else {
            continue;
        };
        if !is_tag(u16::from_be_bytes([high, low])) {
            continue;
        }
        tagged.insert(slot);
        if frame[0] & 1 == 1 {
            group.insert(slot);
        }
        let vid = u16::from_be_bytes([tci_high, tci_low]) & 0xfff;
        let mut offset = 18;
        let mut uidb = if vid == 0 {
            // A priority tag: the frame belongs to the port itself (IEEE 802.1Q 6.9.1).
            UidbIndex(class.native)
        } else {
            let outer = tags.outer(class, vid);
            let mut uidb = UidbIndex(outer.uidb);
            if let Some(&[high, low, tci_high, tci_low]) =
                frame.get(16..).and_then(|rest| rest.first_chunk())
                && is_tag(u16::from_be_bytes([high, low]))
            {
                let inner = tags.inner(outer, u16::from_be_bytes([tci_high, tci_low]));
                if inner != UidbIndex::NONE {
                    offset = 22;
                    uidb = inner;
                }
            }
            uidb
        };
        if frame.len() < offset {
            uidb = UidbIndex::NONE;
        }
        vector.input[slot & 63] = uidb;
        #[expect(clippy::cast_possible_truncation, reason = "18 or 22")]
        let offset = offset as u8;
        vector.l3_offset[slot & 63] = offset;
    }
    vector.tagged_group = group;
    !tagged.is_empty()
}

/// Counts the interfaces, drops what has none, and opens the gates of their features.
fn finish(
    counters: &LcoreCounters,
    uidbs: UidbTable<'_>,
    vector: &mut Vector,
    select: PacketMask,
    uniform: Option<UidbIndex>,
) {
    let mut rest = select;
    let mut gates = Gates { any: 0, all: u64::MAX };
    while let Some(first) = rest.into_iter().next() {
        let uidb = uniform.unwrap_or(vector.input[first & 63]);
        let same = match uniform {
            Some(_) => rest,
            None => rest & simd::same_interface(&vector.input, uidb),
        };
        rest -= same;
        let row = uidbs.get(uidb);
        match row.state {
            Uidb::UP => {
                gates.any |= row.features_in;
                gates.all &= row.features_in;
            }
            Uidb::DOWN => vector.drop_all(same, DropReason::UidbDown),
            _ => {
                vector.drop_all(same, DropReason::BadUidbIdx);
                continue;
            }
        }
        counters.interface_in(uidb, u64::from(same.count()), simd::sum(vector.burst.lens(), same));
    }
    gates.all &= gates.any;
    vector.gates_in = gates;
}

/// Row `mac-filter`: drops frames for other stations, on ports that do not do it themselves.
#[derive(Debug, Default)]
pub struct MacFilter;

impl Step for MacFilter {
    fn process(&mut self, lcore: &mut Lcore<'_>, vector: &mut Vector, select: PacketMask) {
        let Source::Port(port) = vector.source else { return };
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
