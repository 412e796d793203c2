//! Sets of numbers as sorted ranges.

use std::ops::RangeInclusive;

use super::{Comparison, Numeric, Term, Ternary};

/// The numbers `first..=last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Span {
    /// The least.
    pub(super) first: u32,
    /// The greatest, not below the least.
    pub(super) last: u32,
}

/// A set of numbers: spans in ascending order, with gaps between them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Ranges(Vec<Span>);

impl Ranges {
    /// The numbers `first..=last`; none if `last` is below `first`.
    pub(super) fn span(first: u32, last: u32) -> Self {
        Self(if first <= last { vec![Span { first, last }] } else { Vec::new() })
    }

    /// The numbers of all `spans`, in any order.
    pub(super) fn of(mut spans: Vec<Span>) -> Self {
        spans.retain(|span| span.first <= span.last);
        spans.sort_unstable();
        spans.dedup_by(|next, span| {
            let joined = next.first <= span.last.saturating_add(1);
            if joined {
                span.last = span.last.max(next.last);
            }
            joined
        });
        Self(spans)
    }

    /// The numbers up to `max` that pass `numeric`.
    pub(super) fn passing(numeric: &Numeric, max: u32) -> Self {
        let each = numeric.alternatives().flat_map(|all| {
            all.iter().fold(Self::span(0, max), |set, term| set.and(&Self::of_term(term, max))).0
        });
        Self::of(each.collect())
    }

    /// The numbers of every set.
    pub(super) fn or(sets: impl Iterator<Item = Self>) -> Self {
        Self::of(sets.flat_map(|set| set.0).collect())
    }

    /// The numbers of 16 bits with the upper octet in one set and the lower in another.
    pub(super) fn pairs(high: &Self, low: &Self) -> Self {
        let highs = (0..=0xff).filter(|number| high.contains(*number));
        let pair =
            |number, span: &Span| Self::span(number << 8 | span.first, number << 8 | span.last);
        Self::or(highs.flat_map(|number| low.0.iter().map(move |span| pair(number, span))))
    }

    /// Whether `number` is in it.
    pub(super) fn contains(&self, number: u32) -> bool {
        let at = self.0.partition_point(|span| span.last < number);
        self.0.get(at).is_some_and(|span| span.first <= number)
    }

    /// The numbers that are also in `other`.
    pub(super) fn and(&self, other: &Self) -> Self {
        let (mut a, mut b) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut both = Vec::new();
        while let (Some(left), Some(right)) = (a.peek(), b.peek()) {
            let span = Span { first: left.first.max(right.first), last: left.last.min(right.last) };
            if span.first <= span.last {
                both.push(span);
            }
            if left.last < right.last {
                a.next()
            } else {
                b.next()
            };
        }
        Self(both)
    }

    /// The spans of numbers of 16 bits.
    pub(super) fn to_u16(&self) -> Vec<RangeInclusive<u16>> {
        let narrow = |number| u16::try_from(number).unwrap_or(u16::MAX);
        self.0.iter().map(|span| narrow(span.first)..=narrow(span.last)).collect()
    }

    /// The same numbers as values and masks, ascending: at most 62 for each span.
    pub(super) fn ternaries(&self) -> impl Iterator<Item = Ternary<u32>> {
        self.0.iter().flat_map(|span| {
            let mut next = Some(span.first);
            std::iter::from_fn(move || {
                let first = next?;
                // The largest aligned block that starts here and stays inside.
                let low = |bits: u32| u32::MAX.checked_shl(bits).map_or(u32::MAX, |high| !high);
                let mut bits = first.trailing_zeros();
                while bits > 0 && span.last - first < low(bits) {
                    bits -= 1;
                }
                let last = first | low(bits);
                next = (last < span.last).then(|| last + 1);
                Some(Ternary::new(first, !low(bits)))
            })
        })
    }

    /// The numbers up to `max` that pass one term.
    fn of_term(term: &Term<Comparison>, max: u32) -> Self {
        // A value above all numbers of the field compares like the number behind the last.
        let value = term.value().min(u64::from(max) + 1);
        let below = value.checked_sub(1).map_or_else(Self::default, |last| Self::up_to(last, max));
        let above = Self::from(value + 1, max);
        let equal = Self::from(value, max).and(&Self::up_to(value, max));
        match term.op() {
            Comparison::False => Self::default(),
            Comparison::Equal => equal,
            Comparison::Greater => above,
            Comparison::GreaterOrEqual => Self::from(value, max),
            Comparison::Less => below,
            Comparison::LessOrEqual => Self::up_to(value, max),
            Comparison::NotEqual => Self::of([below.0, above.0].concat()),
            Comparison::True => Self::span(0, max),
        }
    }

    fn up_to(last: u64, max: u32) -> Self {
        Self::span(0, u32::try_from(last).unwrap_or(max).min(max))
    }

    fn from(first: u64, max: u32) -> Self {
        u32::try_from(first).map_or_else(|_| Self::default(), |first| Self::span(first, max))
    }
}
