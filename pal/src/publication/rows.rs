use super::GraceClock;
use crate::faults;
use crate::pool::{Full, Pool, Span};
use crate::region::{Block, Draft, Plain, Region};

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
    numbers: Pool,
}

impl<T: Plain> Rows<T> {
    /// The rows of `table`, which is all zeroes, in `region`; `clock` is that of its readers.
    pub(super) fn new(
        what: &'static str,
        region: &Region,
        table: Draft<T>,
        clock: &GraceClock,
    ) -> Self {
        let limit = u32::try_from(table.len()).unwrap_or(u32::MAX);
        let numbers = Pool::new(what, 0..limit, clock);
        Self { region: region.clone(), block: table.publish(), numbers }
    }

    /// The table, for the root.
    #[must_use]
    pub const fn block(&self) -> Block<T> {
        self.block
    }

    /// Which rows are in use.
    #[must_use]
    pub const fn numbers(&self) -> &Pool {
        &self.numbers
    }

    /// Takes a free row and has it written.
    ///
    /// Whatever leads readers to the row is stored after this, with `Release`.
    ///
    /// # Errors
    /// There is none.
    pub fn take(&mut self, write: impl FnOnce(&mut T)) -> Result<u32, Full> {
        let row = self.numbers.alloc()?;
        edit(&self.region, self.block, row, write);
        Ok(row)
    }

    /// Takes this row and no other, which stays as it is. False if it is not free.
    pub fn claim(&mut self, row: u32) -> bool {
        self.numbers.claim(Span { first: row, count: 1 })
    }

    /// Has a row written that was claimed and that nothing leads to yet.
    pub fn write(&mut self, row: u32, write: impl FnOnce(&mut T)) {
        edit(&self.region, self.block, row, write);
    }

    /// Gives a row back that nothing names any more.
    pub fn retire(&mut self, row: u32) {
        self.numbers.retire(row);
    }

    /// Has the rows wiped whose grace period has passed; they can be taken again.
    pub fn reclaim(&mut self, mut wipe: impl FnMut(&mut T)) {
        let Self { region, block, numbers } = self;
        numbers.reclaim(|row| edit(region, *block, row.first, &mut wipe));
    }
}

fn edit<T: Plain>(region: &Region, block: Block<T>, row: u32, edit: impl FnOnce(&mut T)) {
    faults::store();
    // SAFETY: the row was never taken, or a grace period has passed since the owner retired it,
    // so no reader comes to it; and there is one owner, whom the callers borrow exclusively.
    unsafe { region.edit(block, row as usize, edit) };
}

#[cfg(all(test, not(loom)))]
mod tests {
    use crate::publication::Publisher;
    use crate::region::{HugePages, Region};

    #[test]
    fn a_row_is_wiped_and_used_again_only_when_its_grace_period_has_passed() {
        let mut publisher = Publisher::new();
        let mut reader = publisher.register_reader("r").unwrap();
        let region = Region::anonymous(1 << 20, HugePages::Never).unwrap();
        let mut rows = publisher.rows("rows", &region, region.alloc::<u64>(2).unwrap());
        let block = rows.block();
        let view = || region.view(block).unwrap().to_vec();
        assert_eq!((rows.take(|row| *row = 7), rows.take(|row| *row = 8)), (Ok(0), Ok(1)));
        assert!(rows.take(|_| ()).is_err());
        assert_eq!(view(), [7, 8]);
        rows.retire(0);
        publisher.reclaim();
        rows.reclaim(|row| *row = 0);
        assert_eq!((rows.numbers().free(), view()), (0, vec![7, 8]));
        reader.quiescent();
        publisher.reclaim();
        rows.reclaim(|row| *row = 0);
        assert_eq!((rows.numbers().free(), view()), (1, vec![0, 8]));
        assert_eq!(rows.take(|row| *row += 1), Ok(0));
        assert_eq!(view(), [1, 8]);
    }
}
