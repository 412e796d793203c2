//! Route maps as IOS text.

use std::fmt::{Display, Formatter, Result};

use super::{Action, Entry, Mark, Matches, RouteMap, RouteMaps, Sets};
use crate::ios::names::{DSCP, PRECEDENCE, name_of};

/// Text that [`RouteMaps::parse`] reads back as the same. Route maps without entries have none.
impl Display for RouteMaps {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        self.iter().try_for_each(|map| map.fmt(f))
    }
}

impl Display for RouteMap {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        for (sequence, entry) in self.entries() {
            let action = match entry.action {
                Action::Permit => "permit",
                Action::Deny => "deny",
            };
            writeln!(f, "route-map {} {action} {sequence}", self.name())?;
            entry.fmt(f)?;
        }
        Ok(())
    }
}

/// The lines of its mode, without the one that begins it.
impl Display for Entry {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        if let Some(description) = &self.description {
            writeln!(f, " description {}", description.as_str())?;
        }
        self.matches.fmt(f)?;
        self.sets.fmt(f)
    }
}

impl Display for Matches {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        line(f, "match ip address", &self.ipv4)?;
        line(f, "match ipv6 address", &self.ipv6)?;
        if let Some(length) = &self.length {
            writeln!(f, " match length {} {}", length.start(), length.end())?;
        }
        Ok(())
    }
}

impl Display for Sets {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self.mark {
            Some(Mark::Dscp(value)) => named(f, "set ip dscp", DSCP, value)?,
            Some(Mark::Precedence(value)) => named(f, "set ip precedence", PRECEDENCE, value)?,
            None => {}
        }
        if let Some(vrf) = &self.vrf {
            writeln!(f, " set vrf {vrf}")?;
        }
        line(f, "set ip next-hop", &self.next_hops4)?;
        line(f, "set ipv6 next-hop", &self.next_hops6)?;
        if self.null0 {
            writeln!(f, " set interface Null0")?;
        }
        line(f, "set ip default next-hop", &self.default_next_hops4)?;
        line(f, "set ipv6 default next-hop", &self.default_next_hops6)
    }
}

/// A line of `command` with all of `list`, if there are any.
fn line(f: &mut Formatter<'_>, command: &str, list: &[impl Display]) -> Result {
    if list.is_empty() {
        return Ok(());
    }
    write!(f, " {command}")?;
    list.iter().try_for_each(|item| write!(f, " {item}"))?;
    writeln!(f)
}

/// A line of `command` with the name of a value, or its number if it has none.
fn named(f: &mut Formatter<'_>, command: &str, names: &[(&'static str, u8)], value: u8) -> Result {
    match name_of(names, value) {
        Some(name) => writeln!(f, " {command} {name}"),
        None => writeln!(f, " {command} {value}"),
    }
}
