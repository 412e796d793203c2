use std::ops::RangeInclusive;

use crate::ios::names;

/// Most that a DSCP can be.
pub const MAX_DSCP: u16 = 63;
/// Most that a precedence can be.
pub const MAX_PRECEDENCE: u16 = 7;
/// Most that the four type-of-service bits can be.
pub const MAX_TOS: u8 = 15;
/// Most that a TTL or hop limit can be.
pub const MAX_TTL: u16 = 255;
/// Most that a flow label can be.
pub const MAX_FLOW_LABEL: u32 = (1 << 20) - 1;

/// Names of DSCPs, as wide as what is compared.
pub(super) static DSCP_NAMES: [(&str, u16); names::DSCP.len()] = widened(names::DSCP);
/// Names of precedences, likewise.
pub(super) static PRECEDENCE_NAMES: [(&str, u16); names::PRECEDENCE.len()] =
    widened(names::PRECEDENCE);

const fn widened<const N: usize>(names: &[(&'static str, u8)]) -> [(&'static str, u16); N] {
    let mut wide = [("", 0); N];
    let mut at = 0;
    while at < N {
        wide[at] = (names[at].0, names[at].1 as u16);
        at += 1;
    }
    wide
}

/// How a field must compare: ports, lengths, TTL, DSCP, precedence.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Compare {
    /// One of these.
    Eq(Vec<u16>),
    /// None of these.
    Neq(Vec<u16>),
    /// Less than this.
    Lt(u16),
    /// More than this.
    Gt(u16),
    /// From the first to the second, both included.
    Range(u16, u16),
}

impl Compare {
    /// Equal to one value.
    #[must_use]
    pub fn eq(value: u16) -> Self {
        Self::Eq(vec![value])
    }

    /// The values from 0 to `max` that match: ranges in rising order with gaps between them. Empty
    /// if none does.
    #[must_use]
    pub fn ranges(&self, max: u16) -> Vec<RangeInclusive<u16>> {
        let one = |low: u16, high: u16| if low <= high { vec![low..=high] } else { Vec::new() };
        match self {
            Self::Eq(values) => equal(values, max),
            Self::Neq(values) => between(&equal(values, max), max),
            Self::Lt(value) => value.checked_sub(1).map_or(Vec::new(), |v| one(0, v.min(max))),
            Self::Gt(value) => value.checked_add(1).map_or(Vec::new(), |v| one(v, max)),
            Self::Range(low, high) => one(*low, (*high).min(max)),
        }
    }

    /// Every value that is named.
    pub(super) fn values(&self) -> Vec<u16> {
        match self {
            Self::Eq(values) | Self::Neq(values) => values.clone(),
            Self::Lt(value) | Self::Gt(value) => vec![*value],
            Self::Range(low, high) => vec![*low, *high],
        }
    }
}

/// The values as ranges, neighbours joined.
fn equal(values: &[u16], max: u16) -> Vec<RangeInclusive<u16>> {
    let mut sorted: Vec<u16> = values.iter().copied().filter(|value| *value <= max).collect();
    sorted.sort_unstable();
    sorted.dedup();
    sorted
        .chunk_by(|a, b| a.checked_add(1) == Some(*b))
        .map(|run| run[0]..=run[run.len() - 1])
        .collect()
}

/// What lies between ranges that rise and have gaps between them.
fn between(ranges: &[RangeInclusive<u16>], max: u16) -> Vec<RangeInclusive<u16>> {
    let mut gaps = Vec::new();
    let mut next = Some(0_u16);
    for range in ranges {
        if let Some(low) = next
            && low < *range.start()
        {
            gaps.push(low..=range.start() - 1);
        }
        next = range.end().checked_add(1);
    }
    gaps.extend(next.filter(|low| *low <= max).map(|low| low..=max));
    gaps
}
