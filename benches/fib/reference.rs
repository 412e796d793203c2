//! What every lookup must give: merged intervals, searched by halving.

use qfp::core::fib::Leaf;

use crate::family::Family;
use crate::input::Rib;

/// The address space cut where the longest match changes.
pub(crate) struct Intervals<A> {
    starts: Vec<A>,
    leaves: Vec<u16>,
}

impl<A: Family> Intervals<A> {
    /// Cuts the address space by the routes of `rib`.
    pub(crate) fn new(rib: &Rib<A>) -> Self {
        let mut cut = Self { starts: vec![A::zero()], leaves: vec![Leaf::NONE.0] };
        // Routes that hold the current one, outermost first. A map of prefixes is in the order
        // of their addresses, and the shorter of two that begin alike comes first.
        let mut open: Vec<(A, Leaf)> = Vec::new();
        for (prefix, &leaf) in rib {
            while open.last().is_some_and(|(last, _)| *last < prefix.first()) {
                cut.close(&mut open);
            }
            cut.begin(prefix.first(), leaf);
            open.push((prefix.last(), leaf));
        }
        while !open.is_empty() {
            cut.close(&mut open);
        }
        cut
    }

    fn close(&mut self, open: &mut Vec<(A, Leaf)>) {
        let Some((last, _)) = open.pop() else { return };
        if last != A::max_value() {
            self.begin(last + A::one(), open.last().map_or(Leaf::NONE, |(_, leaf)| *leaf));
        }
    }

    fn begin(&mut self, start: A, leaf: Leaf) {
        if self.starts.last() == Some(&start) {
            self.starts.pop();
            self.leaves.pop();
        }
        self.starts.push(start);
        self.leaves.push(leaf.0);
    }

    /// The leaf of one address.
    pub(crate) fn leaf(&self, key: A) -> u32 {
        // The first interval begins at zero, so there is one at or before any key.
        self.leaves[self.starts.partition_point(|start| *start <= key) - 1].into()
    }

    /// The first and the last address of every interval, shuffled with a stride.
    pub(crate) fn edges(&self) -> Vec<A> {
        let last =
            |i: usize| self.starts.get(i + 1).map_or(A::max_value(), |next| *next - A::one());
        let count = self.starts.len();
        let stride = if count.is_multiple_of(7919) { 7907 } else { 7919 };
        (0..count).map(|i| i * stride % count).flat_map(|i| [self.starts[i], last(i)]).collect()
    }
}
