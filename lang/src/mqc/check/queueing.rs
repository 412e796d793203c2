//! Queueing actions that cannot be.

use super::class::bounds;
use super::within;
use crate::mqc::{Fault, QueueLimit, Queueing, RandomDetect, Remaining, Shape, Size};

/// The longest queue or burst that can be said.
pub(in crate::mqc) const MAX_SIZE: u64 = 1 << 40;
/// The largest ratio of what remains.
pub(in crate::mqc) const MAX_RATIO: u16 = 1_000;
/// The most priority levels.
pub(in crate::mqc) const MAX_PRIORITY: u8 = 3;
/// The largest weight of an average.
pub(in crate::mqc) const MAX_WEIGHT: u8 = 16;
/// Bounds of the number of queues for flows.
pub(in crate::mqc) const FAIR_QUEUES: std::ops::RangeInclusive<u16> = 16..=4096;

impl Queueing {
    pub(super) fn check(&self, is_default: bool) -> Result<(), Fault> {
        if let Some(priority) = self.priority {
            within("priority level", priority.level.into(), 1, MAX_PRIORITY.into())?;
            if let Some(burst) = priority.burst {
                within("priority burst", burst.into(), 1, u32::MAX.into())?;
                if priority.limit.is_none() {
                    return Err(Fault::NoValue("a priority's rate"));
                }
            }
            if self.bandwidth.is_some() {
                return Err(Fault::Exclusive("bandwidth", "priority"));
            }
            if self.remaining.is_some() {
                return Err(Fault::Exclusive("bandwidth remaining", "priority"));
            }
            if priority.level == 1 && self.shape.is_some() {
                return Err(Fault::ShapedPriority);
            }
        }
        if let Some(Remaining::Ratio(ratio)) = self.remaining {
            within("bandwidth remaining ratio", ratio.into(), 1, MAX_RATIO.into())?;
        }
        self.shape.as_ref().map_or(Ok(()), Shape::check)?;
        if !is_default && !self.has_queue() {
            if !self.queue_limits.is_empty() {
                return Err(Fault::NoQueue("queue-limit"));
            }
            if self.random_detect.is_some() {
                return Err(Fault::NoQueue("random-detect"));
            }
        }
        for (number, limit) in self.queue_limits.iter().enumerate() {
            limit.check()?;
            if self.queue_limits[..number].iter().any(|other| other.of == limit.of) {
                return Err(Fault::Twice);
            }
        }
        self.random_detect.as_ref().map_or(Ok(()), RandomDetect::check)?;
        if let Some(queues) = self.fair_queue.and_then(|fair| fair.queues) {
            let (min, max) = (*FAIR_QUEUES.start(), *FAIR_QUEUES.end());
            within("fair-queue", queues.into(), min.into(), max.into())?;
        }
        Ok(())
    }
}

impl Shape {
    fn check(&self) -> Result<(), Fault> {
        if self.be.is_some() && self.bc.is_none() {
            return Err(Fault::ExcessAlone);
        }
        for burst in [self.bc, self.be].into_iter().flatten() {
            if matches!(burst, Size::Packets(_)) {
                return Err(Fault::Unit("a shaper's burst"));
            }
            within("a shaper's burst", burst.number(), 0, MAX_SIZE)?;
        }
        Ok(())
    }
}

/// Makes sure that a queue can be so long.
fn queue(what: &'static str, size: Size, least: u64) -> Result<(), Fault> {
    if matches!(size, Size::Bits(_)) {
        return Err(Fault::Unit(what));
    }
    within(what, size.number(), least, MAX_SIZE)
}

impl QueueLimit {
    fn check(&self) -> Result<(), Fault> {
        if let Some((selector, numbers)) = &self.of {
            bounds("queue-limit", numbers, 0, selector.max())?;
        }
        queue("queue-limit", self.size, 1)
    }
}

impl RandomDetect {
    fn check(&self) -> Result<(), Fault> {
        if let Some(weight) = self.weight {
            within("exponential-weighting-constant", weight.into(), 1, MAX_WEIGHT.into())?;
        }
        for (number, curve) in self.curves.iter().enumerate() {
            match (self.by, &curve.of) {
                (Some(selector), Some(numbers)) => {
                    bounds("random-detect", numbers, 0, selector.max())?;
                }
                (None, None) => {}
                _ => return Err(Fault::Selector),
            }
            if self.curves[..number].iter().any(|other| other.of == curve.of) {
                return Err(Fault::Twice);
            }
            queue("random-detect", curve.min, 0)?;
            queue("random-detect", curve.max, 1)?;
            let unit = std::mem::discriminant::<Size>;
            let rising = curve.min.number() <= curve.max.number();
            if unit(&curve.min) != unit(&curve.max) || !rising {
                return Err(Fault::Thresholds);
            }
            within("random-detect", curve.denominator.unwrap_or(1).into(), 1, u16::MAX.into())?;
        }
        Ok(())
    }
}
