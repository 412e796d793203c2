//! Policers and marks as text.

use std::fmt::{Display, Formatter, Result};

use qfp_core::qos::police::Rate;

use super::{value, version};
use crate::ios::names::{DSCP, PRECEDENCE};
use crate::mqc::{Burst, Ip, Mark, Outcome, Police, Size};

/// The line and those of its mode, as they stand in a class.
impl Display for Police {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let packets = matches!(self.rate, Rate::Packets(_));
        let words = match packets {
            true => ["rate", "burst", "peak-rate", "peak-burst"],
            false => ["cir", "bc", "pir", "be"],
        };
        write!(f, "  police {} {}", words[0], InText(self.rate))?;
        if self.burst != Burst::Default {
            write!(f, " {} {}", words[1], self.burst)?;
        }
        if let Some(beyond) = &self.beyond {
            if let Some(peak) = beyond.peak {
                write!(f, " {} {}", words[2], InText(peak))?;
            }
            if beyond.burst != self.burst.inherited() {
                write!(f, " {} {}", words[3], beyond.burst)?;
            }
        }
        writeln!(f)?;
        if let Some(colours) = &self.colours {
            write!(f, "   conform-color {}", colours.conform)?;
            match &colours.exceed {
                Some(exceed) => writeln!(f, " exceed-color {exceed}")?,
                None => writeln!(f)?,
            }
        }
        if self.child_conform_aware {
            writeln!(f, "   child-conform-aware")?;
        }
        let colours = ["conform-action", "exceed-action", "violate-action"];
        for (colour, outcome) in colours.iter().zip(self.outcomes()) {
            match outcome {
                Outcome::Drop => writeln!(f, "   {colour} drop")?,
                Outcome::Transmit(marks) if marks.is_empty() => {
                    writeln!(f, "   {colour} transmit")?
                }
                Outcome::Transmit(marks) => {
                    for mark in marks {
                        writeln!(f, "   {colour} {}", Action(*mark))?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl Burst {
    /// What the second burst is if nothing is said about it.
    pub(in crate::mqc) fn inherited(self) -> Self {
        match self {
            Self::Auto250Ms => self,
            Self::Default | Self::Size(_) => Self::Default,
        }
    }
}

/// What follows the keyword.
impl Display for Burst {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Default => f.write_str("auto"),
            Self::Auto250Ms => f.write_str("auto 250ms"),
            Self::Size(Size::Bytes(bytes)) => write!(f, "{bytes}"),
            Self::Size(size) => write!(f, "{size}"),
        }
    }
}

/// A rate as it follows its keyword.
struct InText(Rate);

impl Display for InText {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self.0 {
            Rate::Bits(rate) => write!(f, "{}", rate.get()),
            Rate::Packets(rate) => write!(f, "{} pps", rate.get()),
            Rate::Percent(percent) => write!(f, "percent {}", percent.get()),
        }
    }
}

/// What follows `set`.
impl Display for Mark {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match *self {
            Self::Dscp(ip, dscp) => {
                write!(f, "{}dscp ", version(ip))?;
                value(f, DSCP, dscp)
            }
            Self::Precedence(ip, precedence) => {
                write!(f, "{}precedence ", version(ip))?;
                value(f, PRECEDENCE, precedence)
            }
            Self::Cos(cos) => write!(f, "cos {cos}"),
            Self::InnerCos(cos) => write!(f, "cos inner {cos}"),
            Self::Dei(set) => write!(f, "dei {}", u8::from(set)),
            Self::ImposedExp(exp) => write!(f, "mpls experimental imposition {exp}"),
            Self::TopmostExp(exp) => write!(f, "mpls experimental topmost {exp}"),
            Self::QosGroup(group) => write!(f, "qos-group {group}"),
            Self::DiscardClass(class) => write!(f, "discard-class {class}"),
        }
    }
}

/// A mark as the action of a policer, as IOS says it where it does.
struct Action(Mark);

impl Display for Action {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self.0 {
            Mark::Dscp(Ip::Both, dscp) => {
                f.write_str("set-dscp-transmit ")?;
                value(f, DSCP, dscp)
            }
            Mark::Precedence(Ip::Both, precedence) => {
                write!(f, "set-prec-transmit {precedence}")
            }
            Mark::Cos(cos) => write!(f, "set-cos-transmit {cos}"),
            Mark::ImposedExp(exp) => write!(f, "set-mpls-exp-imposition-transmit {exp}"),
            Mark::TopmostExp(exp) => write!(f, "set-mpls-exp-topmost-transmit {exp}"),
            Mark::QosGroup(group) => write!(f, "set-qos-transmit {group}"),
            Mark::DiscardClass(class) => write!(f, "set-discard-class-transmit {class}"),
            mark => write!(f, "set {mark}"),
        }
    }
}
