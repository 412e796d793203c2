//! Row `qos-act`, of either direction: police, then mark (ING-13, EGR-06).

use hal::PacketMask;

use crate::acl::{AclTables, Feature, NO_MATCH, Side};
use crate::packet::{DropReason, Vector};
use crate::qos::police::{Colour, Policers};
use crate::qos::table::{ClassEvent, ClassRow, LEVELS, Mark, QosSettings};
use crate::step::{Lcore, Step};
use crate::tables::table_kind;
use crate::uidb::UidbIndex;

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
        // Most vectors are of one interface.
        let (mut last, mut first) = (UidbIndex::NONE, 0);
        for slot in select & vector.classified[self.side as usize] {
            let uidb = match self.side {
                Side::In => vector.input(slot),
                Side::Out => vector.output(slot),
            };
            if uidb != last {
                let bindings = bindings.bindings(uidb);
                last = uidb;
                first = match self.side {
                    Side::In => bindings.classes_in,
                    Side::Out => bindings.classes_out,
                };
            }
            let result = vector.class(Feature::Qos as usize, slot);
            if result == NO_MATCH {
                continue;
            }
            let Some(class) = classes.get(first.wrapping_add(result) as usize) else { continue };
            let frame = u32::from(vector.burst.lens()[slot & 63]);
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
    // Of each level, the mark that it sets once nothing drops the packet any more.
    let mut marks: [Option<&Mark>; LEVELS] = [None; LEVELS];
    for (level, mark) in class.levels.iter().zip(&mut marks).take(class.depth as usize) {
        let count = |event: ClassEvent| {
            lcore.counters.rule(level.counters + event as u32, bytes.into());
        };
        count(ClassEvent::Matched);
        *mark = Some(&level.mark);
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
            *mark = Some(&action.mark);
        }
    }
    for mark in marks.iter().take(class.depth as usize).flatten() {
        set(vector, slot, mark);
    }
}

/// Sets the fields of a mark.
///
/// Marks that no packet carries are chosen without a branch: classes come in any order.
#[inline]
fn set(vector: &mut Vector, slot: usize, mark: &Mark) {
    let (class, bits) = mark.class(vector.ipv4.contains(slot));
    if bits != 0 {
        vector.set_traffic_class(slot, class, bits);
    }
    if mark.fields & (Mark::COS | Mark::INNER_COS) != 0 {
        let chosen = |field: u8, cos: u8| (mark.fields & field != 0).then_some(cos);
        vector.set_cos(slot, chosen(Mark::COS, mark.cos), chosen(Mark::INNER_COS, mark.inner_cos));
    }
    let (group, discard) = vector.internal_marks(slot);
    let group = if mark.fields & Mark::GROUP != 0 { mark.group } else { group };
    let discard = if mark.fields & Mark::DISCARD != 0 { mark.discard } else { discard };
    vector.set_internal_marks(slot, group, discard);
}
