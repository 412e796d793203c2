//! Policies as IOS XE text.

mod actions;
mod police;

use std::fmt::{Display, Formatter, Result};

use super::{ClassMap, Criterion, Ip, Logic, Match, Numbers, Policies, PolicyMap};
use crate::acl::{Family, Name};
use crate::ios::names::{DSCP, PRECEDENCE, PROTOCOLS, name_of};
use crate::mac::MacAddr;

/// Protocols that have no name in access lists, as those have messages instead.
pub(super) const ICMP: &[(&str, u8)] = &[("icmp", 1), ("icmpv6", 58)];

/// Text that [`Policies::parse`] reads back as the same, if [`Policies::check`] finds no fault.
impl Display for Policies {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        self.classes().try_for_each(|class| class.fmt(f))?;
        self.policies().try_for_each(|policy| policy.fmt(f))
    }
}

impl Display for ClassMap {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let logic = match self.logic {
            Logic::Any => "match-any",
            Logic::All => "match-all",
        };
        writeln!(f, "class-map {logic} {}", self.name)?;
        if let Some(description) = &self.description {
            writeln!(f, " description {}", description.as_str())?;
        }
        self.matches.iter().try_for_each(|criterion| writeln!(f, " {criterion}"))
    }
}

impl Display for PolicyMap {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        writeln!(f, "policy-map {}", self.name)?;
        if let Some(description) = &self.description {
            writeln!(f, " description {}", description.as_str())?;
        }
        for (class, actions) in self.all() {
            if class == super::CLASS_DEFAULT && *actions == super::Actions::default() {
                continue;
            }
            writeln!(f, " class {class}")?;
            actions.fmt(f)?;
        }
        Ok(())
    }
}

/// The line, without blanks before it.
impl Display for Criterion {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "match {}{}", if self.not { "not " } else { "" }, self.is)
    }
}

/// What follows `match`.
impl Display for Match {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::AccessGroup(ip, name) => access_group(f, *ip, name),
            Self::Dscp(ip, numbers) => {
                write!(f, "{}dscp", version(*ip))?;
                values(f, numbers, DSCP)
            }
            Self::Precedence(ip, numbers) => {
                write!(f, "{}precedence", version(*ip))?;
                values(f, numbers, PRECEDENCE)
            }
            Self::Cos(numbers) => ranges(f, "cos", numbers),
            Self::InnerCos(numbers) => ranges(f, "cos inner", numbers),
            Self::Dei(set) => write!(f, "dei {}", u8::from(*set)),
            Self::Vlan(numbers) => ranges(f, "vlan", numbers),
            Self::InnerVlan(numbers) => ranges(f, "vlan inner", numbers),
            Self::TopmostExp(numbers) => ranges(f, "mpls experimental topmost", numbers),
            Self::QosGroup(numbers) => ranges(f, "qos-group", numbers),
            Self::DiscardClass(numbers) => ranges(f, "discard-class", numbers),
            Self::Protocol(numbers) => protocols(f, numbers),
            Self::Version(Family::V4) => f.write_str("protocol ip"),
            Self::Version(Family::V6) => f.write_str("protocol ipv6"),
            Self::SourceMac(mac) => mac_address(f, "source-address", *mac),
            Self::DestinationMac(mac) => mac_address(f, "destination-address", *mac),
            Self::PacketLength(length) => {
                write!(f, "packet length min {} max {}", length.start(), length.end())
            }
            Self::Class(name) => write!(f, "class-map {name}"),
        }
    }
}

/// What says the version before a field of the IP header.
fn version(ip: Ip) -> &'static str {
    match ip {
        Ip::Both => "",
        Ip::V4 => "ip ",
        Ip::V6 => "ipv6 ",
    }
}

fn access_group(f: &mut Formatter<'_>, ip: Ip, name: &Name) -> Result {
    let sort = match ip {
        Ip::Both => "name",
        Ip::V4 => "ipv4",
        Ip::V6 => "ipv6",
    };
    write!(f, "access-group {sort} {name}")
}

fn ranges(f: &mut Formatter<'_>, field: &str, numbers: &Numbers) -> Result {
    f.write_str(field)?;
    numbers.ranges().iter().try_for_each(|range| match range.start() == range.end() {
        true => write!(f, " {}", range.start()),
        false => write!(f, " {}-{}", range.start(), range.end()),
    })
}

/// Each number by its name, if it has one.
fn values(f: &mut Formatter<'_>, numbers: &Numbers, names: &[(&'static str, u8)]) -> Result {
    numbers.iter().try_for_each(|number| match named(names, number) {
        Some(name) => write!(f, " {name}"),
        None => write!(f, " {number}"),
    })
}

fn named(names: &[(&'static str, u8)], number: u16) -> Option<&'static str> {
    name_of(names, u8::try_from(number).ok()?)
}

/// Single protocols by their names, more as ranges.
fn protocols(f: &mut Formatter<'_>, numbers: &Numbers) -> Result {
    f.write_str("protocol")?;
    for range in numbers.ranges() {
        let (low, high) = (*range.start(), *range.end());
        match named(PROTOCOLS, low).or_else(|| named(ICMP, low)).filter(|_| low == high) {
            Some(name) => write!(f, " {name}")?,
            None if low == high => write!(f, " {low}")?,
            None => write!(f, " {low}-{high}")?,
        }
    }
    Ok(())
}

fn mac_address(f: &mut Formatter<'_>, side: &str, mac: MacAddr) -> Result {
    let [a, b, c, d, e, g] = mac.0;
    write!(f, "{side} mac {a:02x}{b:02x}.{c:02x}{d:02x}.{e:02x}{g:02x}")
}

/// The name of a value, or its number if it has none.
fn value(f: &mut Formatter<'_>, names: &[(&'static str, u8)], value: u8) -> Result {
    match name_of(names, value) {
        Some(name) => f.write_str(name),
        None => write!(f, "{value}"),
    }
}
