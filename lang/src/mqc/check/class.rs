//! Class maps that cannot be.

use super::{at_most, length, within};
use crate::mqc::class::is_default;
use crate::mqc::{ClassMap, Fault, Limits, MAX_QOS_GROUP, MAX_VLAN, Match, Numbers};

impl ClassMap {
    /// What can be said without other class maps.
    pub(super) fn check(&self, limits: &Limits) -> Result<(), Fault> {
        length(&self.name, limits.class_name)?;
        if is_default(&self.name) {
            return Err(Fault::Reserved);
        }
        at_most("matches", self.matches.len(), limits.matches)?;
        for (number, criterion) in self.matches.iter().enumerate() {
            criterion.is.check()?;
            if self.matches[..number].contains(criterion) {
                return Err(Fault::MatchTwice);
            }
        }
        Ok(())
    }
}

impl Match {
    fn check(&self) -> Result<(), Fault> {
        let (numbers, min, max) = match self {
            Self::Dscp(_, numbers) => (numbers, 0, 63),
            Self::Vlan(numbers) | Self::InnerVlan(numbers) => (numbers, 1, MAX_VLAN),
            Self::QosGroup(numbers) => (numbers, 0, MAX_QOS_GROUP),
            Self::Protocol(numbers) => (numbers, 0, u16::from(u8::MAX)),
            Self::Precedence(_, numbers)
            | Self::Cos(numbers)
            | Self::InnerCos(numbers)
            | Self::TopmostExp(numbers)
            | Self::DiscardClass(numbers) => (numbers, 0, 7),
            Self::PacketLength(length) if length.is_empty() => {
                return Err(Fault::NoValue(self.field()));
            }
            Self::Class(name) if is_default(name) => return Err(Fault::Reserved),
            _ => return Ok(()),
        };
        bounds(self.field(), numbers, min, max)
    }

    /// What is looked at.
    fn field(&self) -> &'static str {
        match self {
            Self::Dscp(..) => "DSCP",
            Self::Precedence(..) => "precedence",
            Self::Cos(_) => "cos",
            Self::InnerCos(_) => "inner cos",
            Self::Vlan(_) => "VLAN",
            Self::InnerVlan(_) => "inner VLAN",
            Self::TopmostExp(_) => "topmost experimental bits",
            Self::QosGroup(_) => "qos-group",
            Self::DiscardClass(_) => "discard-class",
            Self::PacketLength(_) => "packet length",
            _ => "protocol",
        }
    }
}

/// Makes sure that there are numbers, and that the field can have them.
pub(super) fn bounds(
    field: &'static str,
    numbers: &Numbers,
    min: u16,
    max: u16,
) -> Result<(), Fault> {
    let bounds = numbers.bounds().ok_or(Fault::NoValue(field))?;
    for value in [*bounds.start(), *bounds.end()] {
        within(field, value.into(), min.into(), max.into())?;
    }
    Ok(())
}
