//! Row `if-classify`.

use hal::PacketMask;

use crate::counters::LcoreCounters;
use crate::l2::TagTables;
use crate::l2::tags::classify_tags;
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
