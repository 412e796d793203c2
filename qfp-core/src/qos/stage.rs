//! Row `qos-act`, of either direction: police, then mark (ING-13, EGR-06).

use hal::PacketMask;

use crate::acl::{AclTables, Feature, NO_MATCH, Side};
use crate::packet::{DropReason, Vector};
use crate::qos::police::{Colour, Policers};
use crate::qos::table::{ClassEvent, ClassRow, Mark, QosSettings};
use crate::step::{Lcore, Step};
use crate::tables::table_kind;

/// Row `qos-act`.
///
/// A packet meets the policer of its class, then that of the class's parent, and so on while no
/// action drops it. Fields are set once nothing drops the packet any more. Bytes are those of the
/// frame as it was received, or as it leaves.
#[derive(Debug)]
pub struct QosAct {
    side: Side,
}

impl QosAct {
    /// The row of `side`.
    #[must_use]
    pub const fn new(side: Side) -> Self {
        Self { side }
    }
}

impl Step for QosAct {
    fn process(&mut self, lcore: &mut Lcore<'_>, vector: &mut Vector, select: PacketMask) {
        let bindings = AclTables::open(&lcore.tables);
        let classes = lcore.tables.view::<ClassRow>(table_kind::QOS_CLASSES);
        let settings = lcore.tables.view::<QosSettings>(table_kind::QOS_SETTINGS);
        let accounting = settings.first().copied().unwrap_or_default().accounting();
        let policers = Policers {
            configs: lcore.tables.view(table_kind::POLICER_CONFIGS),
            config_of: lcore.tables.view(table_kind::POLICER_CONFIG_OF),
            states: lcore.tables.state(table_kind::POLICER_STATES),
        };
        for slot in select & vector.classified[self.side as usize] {
            let result = vector.class(Feature::Qos as usize, slot);
            let (first, frame) = match self.side {
                Side::In => {
                    // The tags that this packet will get come from the marks it came with.
                    vector.glean_cos(slot);
                    (bindings.bindings(vector.input(slot)).classes_in, vector.received_len(slot))
                }
                Side::Out => {
                    let first = bindings.bindings(vector.output(slot)).classes_out;
                    (first, u32::from(vector.burst.lens()[slot & 63]))
                }
            };
            if result == NO_MATCH {
                continue;
            }
            let Some(class) = classes.get(first.wrapping_add(result) as usize) else { continue };
            act(lcore, vector, slot, class, &policers, accounting.counted(frame));
        }
    }
}

/// Polices and marks one packet.
fn act(
    lcore: &Lcore<'_>,
    vector: &mut Vector,
    slot: usize,
    class: &ClassRow,
    policers: &Policers<'_>,
    bytes: u32,
) {
    let mut colour = Colour::Green;
    let mut marks = [Mark::default(); crate::qos::table::LEVELS];
    for (level, mark) in class.levels.iter().zip(&mut marks).take(class.depth as usize) {
        let count = |event: ClassEvent| {
            lcore.counters.rule(level.counters + event as u32, bytes.into());
        };
        count(ClassEvent::Matched);
        *mark = level.mark;
        if level.policer == crate::qos::police::NO_POLICER {
            continue;
        }
        let before = level.colour(colour);
        colour = policers.meter(level.policer, vector.now(), bytes, before);
        count(ClassEvent::of(colour));
        let action = &level.actions[colour as usize % level.actions.len()];
        if action.drop != 0 {
            count(ClassEvent::Dropped);
            vector.drop(slot, DropReason::Policer);
            return;
        }
        if action.mark.is_some() {
            *mark = action.mark;
        }
    }
    for mark in marks.iter().filter(|mark| mark.is_some()) {
        set(vector, slot, mark);
    }
}

/// Sets the fields of a mark.
fn set(vector: &mut Vector, slot: usize, mark: &Mark) {
    let other = if vector.ipv4.contains(slot) { Mark::V6_ONLY } else { Mark::V4_ONLY };
    if mark.class_mask != 0 && mark.fields & other == 0 {
        vector.set_traffic_class(slot, mark.class, mark.class_mask);
    }
    if mark.fields & (Mark::COS | Mark::INNER_COS) != 0 {
        let chosen = |field: u8, cos: u8| (mark.fields & field != 0).then_some(cos);
        vector.set_cos(slot, chosen(Mark::COS, mark.cos), chosen(Mark::INNER_COS, mark.inner_cos));
    }
    if mark.fields & (Mark::GROUP | Mark::DISCARD) != 0 {
        let (mut group, mut discard) = vector.internal_marks(slot);
        if mark.fields & Mark::GROUP != 0 {
            group = mark.group;
        }
        if mark.fields & Mark::DISCARD != 0 {
            discard = mark.discard;
        }
        vector.set_internal_marks(slot, group, discard);
    }
}
