use super::grace::Grace;
use crate::refusal;
use crate::region::{Block, Draft, Plain, Region};
use std::collections::{BTreeSet, VecDeque};

/// A table whose rows come and go: readers know all of it, and its one owner writes rows that
/// nothing names.
///
/// For rows that are plain data, and too many to be copied whenever one of them changes. A row is
/// written when it is taken; then something names it, and it stays as it is. Once nothing names it
/// any more it is retired, and a grace period later it is wiped and may be taken again.
#[derive(Debug)]
pub struct Rows<T: Plain> {
    region: Region,
    block: Block<T>,
    /// Rows from here on have never been taken.
    next: u32,
    limit: u32,
    free: BTreeSet<u32>,
    /// Rows that readers may still look at, oldest first.
    retired: VecDeque<(Grace, u32)>,
}

impl<T: Plain> Rows<T> {
    /// The rows of `table`, which is all zeroes, in `region`.
    #[must_use]
    pub fn new(region: &Region, table: Draft<T>) -> Self {
        let limit = u32::try_from(table.len()).unwrap_or(u32::MAX);
        let (block, region) = (table.publish(), region.clone());
        Self { region, block, next: 0, limit, free: BTreeSet::new(), retired: VecDeque::new() }
    }

    /// The table, for the root.
    #[must_use]
    pub const fn block(&self) -> Block<T> {
        self.block
    }

    /// How many there are in all.
    #[must_use]
    pub const fn limit(&self) -> u32 {
        self.limit
    }

    /// How many can be taken now.
    #[must_use]
    pub fn available(&self) -> usize {
        (self.limit - self.next) as usize + self.free.len()
    }

    /// Takes the lowest free row and has it written; none when there is none.
    ///
    /// Whatever leads readers to the row is stored after this, with `Release`.
    pub fn take(&mut self, write: impl FnOnce(&mut T)) -> Option<u32> {
        if refusal::is_due() {
            return None;
        }
        let row = match self.free.pop_first() {
            Some(row) => row,
            None if self.next < self.limit => {
                self.next += 1;
                self.next - 1
            }
            None => return None,
        };
        self.edit(row, write);
        Some(row)
    }

    /// Gives a row back that nothing names any more since `grace` began.
    pub fn retire(&mut self, row: u32, grace: Grace) {
        debug_assert!(row < self.next && !self.free.contains(&row), "{row} was not taken");
        self.retired.push_back((grace, row));
    }

    /// Has the rows wiped whose grace period `passed`; they can be taken again.
    pub fn reclaim(&mut self, passed: impl Fn(Grace) -> bool, mut wipe: impl FnMut(&mut T)) {
        while let Some((_, row)) = self.retired.pop_front_if(|(grace, _)| passed(*grace)) {
            self.edit(row, &mut wipe);
            self.free.insert(row);
        }
    }

    fn edit(&mut self, row: u32, edit: impl FnOnce(&mut T)) {
        // SAFETY: the row was never taken, or a grace period has passed since the owner retired it,
        // so no reader comes to it; and there is one owner, which is borrowed exclusively.
        unsafe { self.region.edit(self.block, row as usize, edit) };
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::region::HugePages;

    #[test]
    fn a_row_is_wiped_and_used_again_only_when_its_grace_period_has_passed() {
        let region = Region::anonymous(1 << 20, HugePages::Never).unwrap();
        let mut rows = Rows::new(&region, region.alloc::<u64>(2).unwrap());
        let view = |rows: &Rows<u64>| region.view(rows.block()).unwrap().to_vec();
        assert_eq!((rows.take(|row| *row = 7), rows.take(|row| *row = 8)), (Some(0), Some(1)));
        assert_eq!((rows.take(|_| ()), view(&rows)), (None, vec![7, 8]));
        rows.retire(0, Grace(5));
        rows.reclaim(|_| false, |row| *row = 0);
        assert_eq!((rows.available(), view(&rows)), (0, vec![7, 8]));
        rows.reclaim(|grace| grace <= Grace(5), |row| *row = 0);
        assert_eq!((rows.available(), view(&rows)), (1, vec![0, 8]));
        assert_eq!(rows.take(|row| *row += 1), Some(0));
        assert_eq!((rows.limit(), view(&rows)), (2, vec![1, 8]));
    }
}
