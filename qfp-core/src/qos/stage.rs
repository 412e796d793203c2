//! Row `qos-act`, of either direction: police, then mark (ING-13, EGR-06).

use hal::PacketMask;

use crate::acl::{AclTables, Feature, NO_MATCH};
use crate::packet::{DropReason, Vector};
use crate::qos::police::{Colour, NO_POLICER, Policers};
use crate::qos::table::{ClassEvent, ClassRow, LEVELS, Mark};
use crate::step::{Lcore, Step};
use crate::tables::table_kind;
use crate::uidb::Direction;

/// Row `qos-act`.
///
/// A packet meets the policer of its class, then that of the class's parent, and so on while no
/// action drops it. Fields are set once nothing drops the packet any more. Bytes are those of the
/// frame as it was received, or as it leaves.
#[derive(Debug)]
pub struct QosAct {
    direction: Direction,
}

impl QosAct {
    /// The row of `direction`.
    #[must_use]
    pub const fn new(direction: Direction) -> Self {
        Self { direction }
    }
}

/// Classes of a vector whose packets are looked for all at once; in a vector of more, packets are
/// taken one by one.
const GROUPS: usize = 8;

impl Step for QosAct {
    fn process(&mut self, lcore: &mut Lcore<'_>, vector: &mut Vector, select: PacketMask) {
        let bindings = AclTables::open(&lcore.tables);
        let mut rest = select & vector.is.classified[self.direction as usize];
        // Most vectors are of one interface.
        while let Some(slot) = rest.into_iter().next() {
            let (interfaces, uidb) = match self.direction {
                Direction::In => (&vector.route.input, vector.input(slot)),
                Direction::Out => (&vector.route.output, vector.output(slot)),
            };
            let same = crate::simd::same_interface(interfaces, uidb) & rest;
            rest -= same;
            let Some(bindings) = bindings.bindings(uidb) else { continue };
            let first = match self.direction {
                Direction::In => bindings.classes_in,
                Direction::Out => bindings.classes_out,
            };
            act_on_policy(lcore, vector, same, first);
        }
    }
}

/// Applies the policy whose first class is `first`: classes without policers at once, and
/// packets that meet policers in the order in which they came, since classes may share a parent's.
fn act_on_policy(lcore: &Lcore<'_>, vector: &mut Vector, select: PacketMask, first: u32) {
    let classes = lcore.tables.view(table_kind::QOS_CLASSES);
    let settings = lcore.tables.view(table_kind::QOS_SETTINGS);
    let accounting = settings.first().copied().unwrap_or_default().accounting();
    let class_of = |result: u32| match result {
        NO_MATCH => None,
        result => classes.get(first.wrapping_add(result) as usize),
    };
    let (mut rest, mut one_by_one) = (select, PacketMask::EMPTY);
    for _ in 0..GROUPS {
        let Some(slot) = rest.into_iter().next() else { break };
        let result = vector.class(Feature::Qos as usize, slot);
        let same =
            crate::simd::equal_words(&vector.classes.found[Feature::Qos as usize], result) & rest;
        rest -= same;
        match class_of(result) {
            None => {}
            Some(class) if class.polices() => one_by_one |= same,
            Some(class) => {
                let bytes = accounting.counted_of(vector.burst.lens(), same);
                act_without_policers(lcore, vector, same, class, bytes);
            }
        }
    }
    one_by_one |= rest;
    if one_by_one.is_empty() {
        return;
    }
    let policers = Policers {
        configs: lcore.tables.view(table_kind::POLICER_CONFIGS),
        config_of: lcore.tables.view(table_kind::POLICER_CONFIG_OF),
        states: lcore.tables.view(table_kind::POLICER_STATES),
    };
    for slot in one_by_one {
        if let Some(class) = class_of(vector.class(Feature::Qos as usize, slot)) {
            let frame = u32::from(vector.burst.lens()[slot & 63]);
            act(lcore, vector, slot, class, &policers, accounting.counted(frame));
        }
    }
}

/// Counts and marks packets of one class, `bytes` in all.
fn act_without_policers(
    lcore: &Lcore<'_>,
    vector: &mut Vector,
    select: PacketMask,
    class: &ClassRow,
    bytes: u64,
) {
    for level in class.levels() {
        let matched = level.counters + ClassEvent::Matched as u32;
        lcore.counters.rules(matched, u64::from(select.count()), bytes);
        if level.mark.is_some() {
            set(vector, select, &level.mark);
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
    for (level, mark) in class.levels().iter().zip(&mut marks) {
        let count = |event: ClassEvent| {
            lcore.counters.rule(level.counters + event as u32, bytes.into());
        };
        count(ClassEvent::Matched);
        *mark = Some(&level.mark);
        if level.policer == NO_POLICER {
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
    for mark in marks.iter().flatten() {
        set(vector, PacketMask::only(slot), mark);
    }
}

/// Sets the fields of a mark in all of `select`.
///
/// Marks that no packet carries are chosen without a branch: classes come in any order.
fn set(vector: &mut Vector, select: PacketMask, mark: &Mark) {
    for slot in select {
        let (class, bits) = mark.class(vector.is.ipv4.contains(slot));
        if bits != 0 {
            vector.set_traffic_class(slot, class, bits);
        }
        if mark.fields & (Mark::COS | Mark::INNER_COS) != 0 {
            let chosen = |field: u8, cos: u8| (mark.fields & field != 0).then_some(cos);
            let (cos, inner) =
                (chosen(Mark::COS, mark.cos), chosen(Mark::INNER_COS, mark.inner_cos));
            vector.set_cos(slot, cos, inner);
        }
        let (group, discard) = vector.internal_marks(slot);
        let group = if mark.fields & Mark::GROUP != 0 { mark.group } else { group };
        let discard = if mark.fields & Mark::DISCARD != 0 { mark.discard } else { discard };
        vector.set_internal_marks(slot, group, discard);
    }
}
