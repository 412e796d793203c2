//! Numbers of a table's rows: handed out once, reused only when told so.

use std::collections::BTreeSet;

use pal::refusal;

/// A table is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("all {limit} {what} are in use")]
pub struct Exhausted {
    /// What there are no more of.
    pub what: &'static str,
    /// How many there are.
    pub limit: u32,
}

/// The numbers `first..limit` of one table.
#[derive(Clone, Debug)]
pub struct Numbers {
    what: &'static str,
    next: u32,
    limit: u32,
    free: BTreeSet<u32>,
}

impl Numbers {
    /// Numbers from `first` up to and without `limit`, for rows called `what`.
    #[must_use]
    pub fn new(what: &'static str, first: u32, limit: u32) -> Self {
        Self { what, next: first, limit, free: BTreeSet::new() }
    }

    /// The lowest number that is free.
    ///
    /// # Errors
    /// All are in use.
    pub fn take(&mut self) -> Result<u32, Exhausted> {
        let full = self.free.is_empty() && self.next == self.limit;
        if full || refusal::is_due() {
            return Err(Exhausted { what: self.what, limit: self.limit });
        }
        Ok(self.free.pop_first().unwrap_or_else(|| {
            self.next += 1;
            self.next - 1
        }))
    }

    /// Checks that `count` more can be taken.
    ///
    /// # Errors
    /// Fewer are free.
    pub fn need(&self, count: usize) -> Result<(), Exhausted> {
        let free = (self.limit - self.next) as usize + self.free.len();
        if count > free {
            return Err(Exhausted { what: self.what, limit: self.limit });
        }
        Ok(())
    }

    /// Gives a number back. Nobody may refer to it any more, lcores included.
    pub fn give(&mut self, number: u32) {
        debug_assert!(number < self.next, "{number} was never handed out");
        self.free.insert(number);
    }

    /// One more than the highest number handed out so far.
    #[must_use]
    pub fn high_water(&self) -> u32 {
        self.next
    }

    /// How many are in use.
    #[must_use]
    pub fn in_use(&self, first: u32) -> u32 {
        self.next - first - u32::try_from(self.free.len()).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_run_out_with_a_name_and_come_back() {
        let mut numbers = Numbers::new("adjacencies", 1, 3);
        assert_eq!((numbers.take(), numbers.take()), (Ok(1), Ok(2)));
        let full = numbers.take().unwrap_err();
        assert_eq!(full.to_string(), "all 3 adjacencies are in use");
        numbers.give(1);
        assert_eq!(numbers.take(), Ok(1));
        assert_eq!(numbers.in_use(1), 2);
        assert!(numbers.need(0).is_ok() && numbers.need(1).is_err());
    }
}
