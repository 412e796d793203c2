//! From one set of routes to another: the tables are changed in place, and back when it fails.

use std::collections::HashSet;
use std::time::Duration;

use driver::Driver;
use ipnet::IpNet;
use qfp_core::fib::{FibError, Leaf, Resource};
use qfp_core::uidb::TableId;

use super::tables::Writers;
use super::{FibAgent, default_leaf};
use crate::commit::CommitError;
use crate::rib::{Change, Delta, Rib, SetId};

/// How long a commit waits for lcores when it needs memory that they may still read.
const PATIENCE: Duration = Duration::from_millis(20);

/// One change of a table: from one leaf to another, 0 for no route.
#[derive(Clone, Copy, Debug)]
struct Write {
    table: TableId,
    prefix: IpNet,
    old: u16,
    new: u16,
}

impl FibAgent {
    /// Makes the tables say what `delta` says.
    ///
    /// # Errors
    /// The tables have no room; they hold what they held before, unless some reader does not
    /// move on.
    pub(crate) fn write(
        &mut self,
        driver: &mut Driver,
        rib: &mut Rib,
        delta: &Delta,
    ) -> Result<(), CommitError> {
        let writes = self.writes(rib, delta);
        let mut done = Vec::new();
        self.patient = true;
        let result = self.write_all(driver, &writes, &mut done);
        if result.is_err() {
            self.take_back(driver, &writes, &done);
            return result;
        }
        let stuck = std::mem::take(&mut self.stuck);
        for leaf in stuck.values().collect::<HashSet<_>>() {
            if self.groups.get(leaf).is_some_and(|group| group.set == SetId::NONE) {
                self.remove_group(*leaf);
            }
        }
        for change in &delta.changes {
            let (was, is) = (change.old != SetId::NONE, change.new != SetId::NONE);
            let cover = match change.table {
                TableId::GLOBAL => slash24s(&change.prefix),
                _ => 0,
            };
            if is && !was {
                self.routes += 1;
                self.cover = self.cover.wrapping_add(cover);
            } else if was && !is {
                self.routes -= 1;
                self.cover = self.cover.wrapping_sub(cover);
                if change.prefix.prefix_len() == 0 {
                    self.remove_group(default_leaf(change.table, change.prefix.addr().is_ipv6()));
                }
            }
        }
        self.blocks.set_cover(driver, self.cover);
        Ok(())
    }

    /// The changes of leaves that `delta` means, and those that an earlier commit still owes.
    fn writes(&self, rib: &mut Rib, delta: &Delta) -> Vec<Write> {
        let mut writes: Vec<Write> = Vec::with_capacity(delta.changes.len() + self.stuck.len());
        for &Change { table, prefix, old, new } in &delta.changes {
            let leaf = |set| self.leaf_of(table, prefix, set);
            let write = Write { table, prefix, old: leaf(old), new: leaf(new) };
            let owed = !self.stuck.is_empty() && self.stuck.contains_key(&(table, prefix));
            if write.old != write.new && !owed {
                writes.push(write);
            }
        }
        for (&(table, prefix), &old) in &self.stuck {
            let new = self.leaf_of(table, prefix, rib.selected(table, prefix));
            writes.push(Write { table, prefix, old, new });
        }
        writes
    }

    fn leaf_of(&self, table: TableId, prefix: IpNet, set: SetId) -> u16 {
        match (set, prefix.prefix_len()) {
            (SetId::NONE, _) => 0,
            (_, 0) => default_leaf(table, prefix.addr().is_ipv6()),
            _ => self.leaf(set),
        }
    }

    /// First loads of tables, then what is new before what goes, as long as there is room for
    /// both. The places in `writes` of those written are added to `done`.
    fn write_all(
        &mut self,
        driver: &mut Driver,
        writes: &[Write],
        done: &mut Vec<usize>,
    ) -> Result<(), CommitError> {
        let loaded = self.load(driver, writes, done)?;
        let rest = || (0..writes.len()).filter(|n| !loaded.contains(&writes[*n].table));
        let new: Vec<usize> = rest().filter(|n| writes[*n].new != 0).collect();
        let gone: Vec<usize> = rest().filter(|n| writes[*n].new == 0).collect();
        let before = done.len();
        let result = self.write_some(driver, writes, &new, done);
        if !full(&result) {
            result?;
            return self.write_some(driver, writes, &gone, done);
        }
        let written = done.len() - before;
        self.write_some(driver, writes, &gone, done)?;
        self.write_some(driver, writes, &new[written..], done)
    }

    fn write_some(
        &mut self,
        driver: &mut Driver,
        writes: &[Write],
        some: &[usize],
        done: &mut Vec<usize>,
    ) -> Result<(), CommitError> {
        for n in some {
            let Write { table, prefix, new, .. } = writes[*n];
            self.write_patiently(driver, table, prefix, new)?;
            done.push(*n);
        }
        Ok(())
    }

    /// Takes back what was done. What there is no room for is tried again when the others are out
    /// of the way. A route that cannot be taken back, because readers hold up the memory for it, is
    /// owed.
    fn take_back(&mut self, driver: &mut Driver, writes: &[Write], done: &[usize]) {
        let mut left: Vec<usize> = done.iter().rev().copied().collect();
        loop {
            let before = left.len();
            left.retain(|n| {
                let Write { table, prefix, old, .. } = writes[*n];
                let failed = self.write_patiently(driver, table, prefix, old).is_err();
                if !failed && let Some(owed) = self.stuck.get_mut(&(table, prefix)) {
                    *owed = old;
                }
                failed
            });
            if left.is_empty() || left.len() == before {
                break;
            }
        }
        for n in left {
            let Write { table, prefix, new, .. } = writes[n];
            self.stuck.insert((table, prefix), new);
        }
    }

    /// Fills the tables that have never been filled. Returns which.
    fn load(
        &mut self,
        driver: &mut Driver,
        writes: &[Write],
        done: &mut Vec<usize>,
    ) -> Result<HashSet<TableId>, CommitError> {
        let mut tables: Vec<TableId> = writes.iter().map(|write| write.table).collect();
        tables.dedup();
        tables.sort_unstable();
        tables.dedup();
        // The global table last: what it takes longest to take back.
        tables.reverse();
        let mut loaded = HashSet::new();
        for table in tables {
            if self.writers.get(&table).is_some_and(|writers| writers.loaded) {
                continue;
            }
            let own = || writes.iter().enumerate().filter(|(_, write)| write.table == table);
            let routes: Vec<(IpNet, u16)> = own().map(|(_, w)| (w.prefix, w.new)).collect();
            if table == TableId::GLOBAL {
                self.check_long(&routes)?;
            }
            if !self.writers.contains_key(&table) {
                let writers = Writers::new(driver, &self.blocks, table, self.epoch)?;
                self.writers.insert(table, writers);
            }
            let Some(writers) = self.writers.get_mut(&table) else { continue };
            if let Err(error) = writers.load(driver, &self.blocks, &routes) {
                // IPv6 may be in while IPv4 did not fit.
                for (prefix, _) in &routes {
                    drop(writers.write(driver, &self.blocks, *prefix, Leaf::NONE));
                }
                return Err(error);
            }
            writers.loaded = true;
            done.extend(own().map(|(n, _)| n));
            loaded.insert(table);
        }
        Ok(loaded)
    }

    /// Checked first: a load of the global IPv4 table that fails half-way leaves traces.
    fn check_long(&self, routes: &[(IpNet, u16)]) -> Result<(), CommitError> {
        let long = routes.iter().filter_map(|(prefix, _)| match prefix {
            IpNet::V4(net) if net.prefix_len() > 24 => Some(net.addr().to_bits() >> 8),
            _ => None,
        });
        let wanted = u32::try_from(long.collect::<HashSet<_>>().len()).unwrap_or(u32::MAX);
        let free = self.long_prefixes;
        if wanted > free {
            return Err(
                FibError::Full { resource: Resource::Blocks, wanted, free, waiting: 0 }.into()
            );
        }
        Ok(())
    }

    /// One change; when memory that readers hold up would do, it waits a moment for them.
    fn write_patiently(
        &mut self,
        driver: &mut Driver,
        table: TableId,
        prefix: IpNet,
        leaf: u16,
    ) -> Result<(), CommitError> {
        let result = self.write_one(driver, table, prefix, leaf);
        let Err(CommitError::Fib(FibError::Full { .. })) = result else { return result };
        self.reclaim(driver);
        match self.write_one(driver, table, prefix, leaf) {
            Err(CommitError::Fib(FibError::Full { waiting: 1.., .. })) if self.patient => {
                // Who does not move on now will not for the next route either.
                self.patient = driver.wait_for_readers(PATIENCE);
                self.reclaim(driver);
                self.write_one(driver, table, prefix, leaf)
            }
            result => result,
        }
    }

    fn write_one(
        &mut self,
        driver: &Driver,
        table: TableId,
        prefix: IpNet,
        leaf: u16,
    ) -> Result<(), CommitError> {
        match self.writers.get_mut(&table) {
            Some(writers) => writers.write(driver, &self.blocks, prefix, Leaf(leaf)),
            None => Ok(()),
        }
    }
}

fn full(result: &Result<(), CommitError>) -> bool {
    matches!(result, Err(CommitError::Fib(FibError::Full { .. })))
}

/// /24s that a route covers. Host routes to neighbours are too few to matter.
fn slash24s(prefix: &IpNet) -> u64 {
    match prefix {
        IpNet::V4(net) => 1 << 24_u8.saturating_sub(net.prefix_len()),
        IpNet::V6(_) => 0,
    }
}
