//! Consecutive places of a table.

use pal::refusal;

/// Runs of places in the path table, first fit.
pub(crate) struct Places {
    total: u32,
    free: Vec<(u32, u32)>,
}

impl Places {
    /// Places 0 up to and without `total`.
    pub(crate) fn new(total: u32) -> Self {
        Self { total, free: vec![(0, total)] }
    }

    /// The first of `count` consecutive places; `None` when there are not so many in one piece.
    pub(crate) fn take(&mut self, count: u32) -> Option<u32> {
        let at = self.free.iter().position(|(_, free)| *free >= count)?;
        if refusal::is_due() {
            return None;
        }
        let (first, free) = self.free[at];
        if free == count {
            self.free.remove(at);
        } else {
            self.free[at] = (first + count, free - count);
        }
        Some(first)
    }

    /// How many places are in use.
    pub(crate) fn in_use(&self) -> u32 {
        self.total - self.free.iter().map(|(_, count)| count).sum::<u32>()
    }

    /// Gives a run back. Nobody may refer to it any more, lcores included.
    pub(crate) fn give(&mut self, first: u32, count: u32) {
        let at = self.free.partition_point(|(start, _)| *start < first);
        self.free.insert(at, (first, count));
        // Neighbours grow together.
        if at + 1 < self.free.len() && first + count == self.free[at + 1].0 {
            self.free[at].1 += self.free[at + 1].1;
            self.free.remove(at + 1);
        }
        if at > 0 && self.free[at - 1].0 + self.free[at - 1].1 == first {
            self.free[at - 1].1 += self.free[at].1;
            self.free.remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_places_grow_together_again() {
        let mut places = Places::new(10);
        let runs: Vec<u32> = [3, 4, 3].map(|n| places.take(n).unwrap()).to_vec();
        assert_eq!(runs, [0, 3, 7]);
        assert_eq!(places.take(1), None);
        places.give(0, 3);
        places.give(7, 3);
        assert_eq!(places.take(4), None);
        places.give(3, 4);
        assert_eq!(places.take(10), Some(0));
    }
}
