//! Policies, policers and marks that cannot be.

use std::collections::HashSet;

use qfp_core::qos::police::{PolicerSpec, Rate};

use super::{at_most, length, within};
use crate::mqc::class::is_default;
use crate::mqc::{
    Actions, Burst, Fault, LEVELS, Limits, Mark, Outcome, Police, PolicyMap, Remaining, Share, Size,
};

impl PolicyMap {
    /// What concerns the policy as a whole: it can have `classes` beside the default one, and has
    /// `height` levels from it down.
    pub(super) fn check(
        &self,
        limits: &Limits,
        classes: usize,
        height: usize,
    ) -> Result<(), Fault> {
        length(&self.name, limits.policy_name)?;
        at_most("classes", self.classes.len(), classes)?;
        if height == LEVELS && self.classes.len() + 1 > limits.grandparent_classes {
            return Err(Fault::GrandparentDivides);
        }
        let mut seen = HashSet::new();
        for class in &self.classes {
            if is_default(&class.class) {
                return Err(Fault::Reserved);
            }
            if !seen.insert(&class.class) {
                return Err(Fault::Twice);
            }
        }
        let percent = |of: fn(&Actions) -> Option<u8>| -> u32 {
            self.all().filter_map(|(_, actions)| of(actions)).map(u32::from).sum()
        };
        let sums = [("bandwidth", percent(bandwidth)), ("bandwidth remaining", percent(remaining))];
        let above = sums.into_iter().find(|(_, sum)| *sum > 100);
        above.map_or(Ok(()), |(what, sum)| Err(Fault::Percentages { what, sum }))
    }
}

fn bandwidth(actions: &Actions) -> Option<u8> {
    match actions.queueing.bandwidth? {
        Share::Percent(percent) => Some(percent.get()),
        Share::Bits(_) => None,
    }
}

fn remaining(actions: &Actions) -> Option<u8> {
    match actions.queueing.remaining? {
        Remaining::Percent(percent) => Some(percent.get()),
        Remaining::Ratio(_) => None,
    }
}

impl Actions {
    /// What concerns one class.
    pub(super) fn check(&self, limits: &Limits, is_default: bool) -> Result<(), Fault> {
        marks(&self.marks, "marks", limits.marks)?;
        if let Some(police) = &self.police {
            police.check(limits)?;
            if police.child_conform_aware && self.child.is_none() {
                return Err(Fault::NoChild);
            }
        }
        self.queueing.check(is_default)
    }
}

/// Makes sure that marks have values of their fields, and do not write the same bits.
fn marks(marks: &[Mark], what: &'static str, max: usize) -> Result<(), Fault> {
    at_most(what, marks.len(), max)?;
    for (number, mark) in marks.iter().enumerate() {
        let (value, max) = mark.value();
        within(mark.field(), value.into(), 0, max.into())?;
        if let Some(other) = marks[..number].iter().find(|other| mark.collides(**other)) {
            return Err(Fault::MarkedTwice(mark.field(), other.field()));
        }
    }
    Ok(())
}

impl Police {
    fn check(&self, limits: &Limits) -> Result<(), Fault> {
        for outcome in self.outcomes() {
            if let Outcome::Transmit(of_colour) = outcome {
                marks(of_colour, "police actions", limits.police_actions)?;
            }
        }
        let packets = matches!(self.rate, Rate::Packets(_));
        burst(self.burst, packets, 1)?;
        let Some(beyond) = &self.beyond else { return Ok(()) };
        burst(beyond.burst, packets, u64::from(beyond.peak.is_some()))?;
        let Some(peak) = beyond.peak else { return Ok(()) };
        let below = match (self.rate, peak) {
            (Rate::Bits(cir), Rate::Bits(pir)) => pair(cir.get(), pir.get()),
            (Rate::Packets(cir), Rate::Packets(pir)) => pair(cir.get(), pir.get()),
            (Rate::Percent(cir), Rate::Percent(pir)) => pair(cir.get().into(), pir.get().into()),
            (Rate::Packets(_), _) | (_, Rate::Packets(_)) => return Err(Fault::MixedUnits),
            _ => None,
        };
        below.map_or(Ok(()), |(cir, pir)| Err(Fault::PeakBelowCommitted { cir, pir }))
    }
}

/// Both rates, if the second is the lower.
fn pair(cir: u64, pir: u64) -> Option<(u64, u64)> {
    (pir < cir).then_some((cir, pir))
}

fn burst(burst: Burst, packets: bool, least: u64) -> Result<(), Fault> {
    let Burst::Size(size) = burst else { return Ok(()) };
    match size {
        Size::Bits(_) => return Err(Fault::BurstUnit("bits", "bits a second")),
        Size::Bytes(_) if packets => return Err(Fault::BurstUnit("bytes", "packets a second")),
        Size::Packets(_) if !packets => return Err(Fault::BurstUnit("packets", "bits a second")),
        _ => {}
    }
    let inside = (least..=PolicerSpec::BURST_MAX).contains(&size.number());
    if inside { Ok(()) } else { Err(Fault::Burst(size.number())) }
}
