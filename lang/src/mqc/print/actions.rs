//! The actions of a class as text.

use std::fmt::{Display, Formatter, Result};

use super::value;
use crate::ios::names::{DSCP, PRECEDENCE};
use crate::mqc::{
    Actions, FairQueue, Numbers, Priority, QueueLimit, Queueing, RandomDetect, Remaining, Selector,
    Shape, ShapeKind, Share, Size,
};

/// The lines of a class, without the one that begins it.
impl Display for Actions {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        self.queueing.fmt(f)?;
        if let Some(police) = &self.police {
            police.fmt(f)?;
        }
        self.marks.iter().try_for_each(|mark| writeln!(f, "  set {mark}"))?;
        match &self.child {
            Some(child) => writeln!(f, "  service-policy {child}"),
            None => Ok(()),
        }
    }
}

impl Display for Queueing {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        if let Some(Priority { level, limit, burst }) = self.priority {
            write!(f, "  priority level {level}")?;
            if let Some(limit) = limit {
                kilobits(f, limit)?;
            }
            match burst {
                Some(burst) => writeln!(f, " {burst}")?,
                None => writeln!(f)?,
            }
        }
        if let Some(bandwidth) = self.bandwidth {
            f.write_str("  bandwidth")?;
            kilobits(f, bandwidth)?;
            writeln!(f)?;
        }
        match self.remaining {
            Some(Remaining::Ratio(ratio)) => writeln!(f, "  bandwidth remaining ratio {ratio}")?,
            Some(Remaining::Percent(percent)) => {
                writeln!(f, "  bandwidth remaining percent {}", percent.get())?;
            }
            None => {}
        }
        if let Some(shape) = self.shape {
            shape.fmt(f)?;
        }
        self.queue_limits.iter().try_for_each(|limit| limit.fmt(f))?;
        if let Some(detect) = &self.random_detect {
            detect.fmt(f)?;
        }
        match self.fair_queue {
            Some(FairQueue { queues: Some(queues) }) => writeln!(f, "  fair-queue {queues}"),
            Some(FairQueue { queues: None }) => writeln!(f, "  fair-queue"),
            None => Ok(()),
        }
    }
}

/// A share where rates are kilobits a second, unless they say otherwise.
fn kilobits(f: &mut Formatter<'_>, share: Share) -> Result {
    match share {
        Share::Percent(percent) => write!(f, " percent {}", percent.get()),
        Share::Bits(rate) if rate.get() % 1_000 == 0 => write!(f, " {}", rate.get() / 1_000),
        Share::Bits(rate) => write!(f, " {} bps", rate.get()),
    }
}

impl Display for Shape {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let kind = match self.kind {
            ShapeKind::Average => "average",
            ShapeKind::Peak => "peak",
        };
        match self.rate {
            Share::Bits(rate) => write!(f, "  shape {kind} {}", rate.get())?,
            Share::Percent(percent) => write!(f, "  shape {kind} percent {}", percent.get())?,
        }
        for burst in [self.bc, self.be].into_iter().flatten() {
            match burst {
                Size::Bits(bits) => write!(f, " {bits}")?,
                size => write!(f, " {size}")?,
            }
        }
        writeln!(f)
    }
}

/// The number and its unit.
impl Display for Size {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Bits(number) => write!(f, "{number} bits"),
            Self::Bytes(number) => write!(f, "{number} bytes"),
            Self::Packets(number) => write!(f, "{number} packets"),
            Self::Milliseconds(number) => write!(f, "{number} ms"),
            Self::Microseconds(number) => write!(f, "{number} us"),
        }
    }
}

impl Display for QueueLimit {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str("  queue-limit ")?;
        if let Some((selector, numbers)) = &self.of {
            selected(f, *selector, numbers)?;
        }
        writeln!(f, "{}", self.size)
    }
}

impl Selector {
    /// Keyword of the field.
    pub(in crate::mqc) const fn keyword(self) -> &'static str {
        match self {
            Self::Dscp => "dscp",
            Self::Precedence => "precedence",
            Self::Cos => "cos",
            Self::Exp => "exp",
            Self::DiscardClass => "discard-class",
        }
    }
}

/// The field and its values in one word, and a blank.
fn selected(f: &mut Formatter<'_>, selector: Selector, numbers: &Numbers) -> Result {
    write!(f, "{} ", selector.keyword())?;
    for (index, number) in numbers.iter().enumerate() {
        if index > 0 {
            f.write_str(",")?;
        }
        let number = u8::try_from(number).unwrap_or(u8::MAX);
        match selector {
            Selector::Dscp => value(f, DSCP, number)?,
            Selector::Precedence => value(f, PRECEDENCE, number)?,
            _ => write!(f, "{number}")?,
        }
    }
    f.write_str(" ")
}

impl Display for RandomDetect {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self.by {
            None => writeln!(f, "  random-detect default")?,
            Some(selector) => writeln!(f, "  random-detect {}-based", selector.keyword())?,
        }
        if let Some(weight) = self.weight {
            writeln!(f, "  random-detect exponential-weighting-constant {weight}")?;
        }
        if self.ecn {
            writeln!(f, "  random-detect ecn")?;
        }
        for curve in &self.curves {
            f.write_str("  random-detect ")?;
            if let (Some(selector), Some(numbers)) = (self.by, &curve.of) {
                selected(f, selector, numbers)?;
            }
            write!(f, "{} {}", curve.min, curve.max)?;
            match curve.denominator {
                Some(denominator) => writeln!(f, " {denominator}")?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}
