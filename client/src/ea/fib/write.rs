//! From one set of routes to another: the tables are changed in place, and back when it fails.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use driver::Driver;
use ipnet::IpNet;
use qfp_core::fib::{FibError, Leaf, Prefix, Resource};

use super::{FibAgent, views};
use crate::commit::CommitError;

/// How long a commit waits for lcores when it needs memory that they may still read.
const PATIENCE: Duration = Duration::from_millis(20);

impl FibAgent {
    /// Makes the tables hold exactly `wanted`, changing only what differs.
    ///
    /// # Errors
    /// The tables have no room; they hold what they held before, unless some reader does not
    /// move on.
    pub(crate) fn replace(
        &mut self,
        driver: &mut Driver,
        wanted: HashMap<IpNet, u16>,
    ) -> Result<(), CommitError> {
        if self.loaded {
            self.change(driver, &wanted)?;
        } else {
            self.load(driver, &wanted)?;
            self.loaded = true;
        }
        for leaf in wanted.values() {
            if let Some(group) = self.groups.get_mut(leaf) {
                group.users += 1;
            }
        }
        let old = std::mem::replace(&mut self.routes, wanted);
        for leaf in old.values() {
            self.release(*leaf);
        }
        self.reclaim(driver);
        let cover = self.routes.keys().map(slash24s).sum();
        driver.view(self.blocks.cover).iter().for_each(|word| word.store(cover, Relaxed));
        Ok(())
    }

    /// From the present routes to `wanted`: what is new before what goes, as long as there is
    /// room for both.
    fn change(
        &mut self,
        driver: &mut Driver,
        wanted: &HashMap<IpNet, u16>,
    ) -> Result<(), CommitError> {
        let new = wanted.iter().filter(|(prefix, leaf)| self.routes.get(*prefix) != Some(*leaf));
        let new: Vec<(IpNet, Option<u16>)> = new.map(|(p, leaf)| (*p, Some(*leaf))).collect();
        let gone = self.routes.keys().filter(|prefix| !wanted.contains_key(*prefix));
        let gone: Vec<(IpNet, Option<u16>)> = gone.map(|prefix| (*prefix, None)).collect();
        let mut done = Vec::new();
        self.patient = true;
        let mut result = self.write_all(driver, &new, &mut done);
        if full(&result) {
            let written = done.len();
            result = self.write_all(driver, &gone, &mut done);
            if result.is_ok() {
                result = self.write_all(driver, &new[written..], &mut done);
            }
        } else if result.is_ok() {
            result = self.write_all(driver, &gone, &mut done);
        }
        if result.is_err() {
            for prefix in done.into_iter().rev() {
                let before = self.routes.get(&prefix).copied();
                if self.write_patiently(driver, prefix, before).is_err() {
                    // Readers hold up the memory for the way back: the route stays as it is now.
                    self.record(prefix, wanted.get(&prefix).copied());
                }
            }
        }
        result
    }

    /// Writes `changes` and adds the prefixes of those that were written to `done`.
    fn write_all(
        &mut self,
        driver: &mut Driver,
        changes: &[(IpNet, Option<u16>)],
        done: &mut Vec<IpNet>,
    ) -> Result<(), CommitError> {
        for (prefix, leaf) in changes {
            self.write_patiently(driver, *prefix, *leaf)?;
            done.push(*prefix);
        }
        Ok(())
    }

    /// One change; when memory that readers hold up would do, it waits a moment for them.
    fn write_patiently(
        &mut self,
        driver: &mut Driver,
        prefix: IpNet,
        leaf: Option<u16>,
    ) -> Result<(), CommitError> {
        match self.write(driver, prefix, leaf) {
            Err(CommitError::Fib(FibError::Full { waiting: 1.., .. })) if self.patient => {
                // Who does not move on now will not for the next route either.
                self.patient = driver.wait_for_readers(PATIENCE);
                self.write(driver, prefix, leaf)
            }
            result => result,
        }
    }

    /// Adds or replaces one route.
    pub(crate) fn insert(
        &mut self,
        driver: &mut Driver,
        prefix: IpNet,
        leaf: u16,
    ) -> Result<(), CommitError> {
        self.write(driver, prefix, Some(leaf))?;
        self.record(prefix, Some(leaf));
        Ok(())
    }

    /// Takes down that a route was written.
    fn record(&mut self, prefix: IpNet, leaf: Option<u16>) {
        if let Some(group) = leaf.and_then(|leaf| self.groups.get_mut(&leaf)) {
            group.users += 1;
        }
        let old = match leaf {
            Some(leaf) => self.routes.insert(prefix, leaf),
            None => self.routes.remove(&prefix),
        };
        if let Some(old) = old {
            self.release(old);
        }
    }

    /// Removes one route, if it is there.
    pub(crate) fn remove(&mut self, driver: &mut Driver, prefix: IpNet) -> Result<(), CommitError> {
        if self.routes.contains_key(&prefix) {
            self.write(driver, prefix, None)?;
            self.record(prefix, None);
        }
        Ok(())
    }

    fn load(&mut self, driver: &Driver, wanted: &HashMap<IpNet, u16>) -> Result<(), CommitError> {
        let (fib4, fib6) = views(driver, &self.blocks)?;
        // Checked first: a load of IPv4 routes that fails half-way leaves traces.
        let long = wanted.keys().filter_map(|prefix| match prefix {
            IpNet::V4(net) if net.prefix_len() > 24 => Some(net.addr().to_bits() >> 8),
            _ => None,
        });
        let count = u32::try_from(long.collect::<HashSet<_>>().len()).unwrap_or(u32::MAX);
        if count > self.long_prefixes {
            let free = self.long_prefixes;
            let full =
                FibError::Full { resource: Resource::Blocks, wanted: count, free, waiting: 0 };
            return Err(full.into());
        }
        let routes4 = wanted.iter().filter_map(|(prefix, leaf)| match prefix {
            IpNet::V4(net) => {
                Some((Prefix::new(net.addr().to_bits(), net.prefix_len())?, Leaf(*leaf)))
            }
            IpNet::V6(_) => None,
        });
        let routes6 = wanted.iter().filter_map(|(prefix, leaf)| match prefix {
            IpNet::V6(net) => {
                Some((Prefix::new(net.addr().to_bits(), net.prefix_len())?, Leaf(*leaf)))
            }
            IpNet::V4(_) => None,
        });
        self.writer6.bulk_load(&fib6, routes6)?;
        self.writer4.bulk_load(&fib4, routes4)?;
        Ok(())
    }

    /// One change; when memory that waits for readers would do, it is reclaimed first.
    fn write(
        &mut self,
        driver: &mut Driver,
        prefix: IpNet,
        leaf: Option<u16>,
    ) -> Result<(), CommitError> {
        match self.try_write(driver, prefix, leaf) {
            Err(CommitError::Fib(FibError::Full { .. })) => {
                self.reclaim(driver);
                self.try_write(driver, prefix, leaf)
            }
            result => result,
        }
    }

    fn try_write(
        &mut self,
        driver: &Driver,
        prefix: IpNet,
        leaf: Option<u16>,
    ) -> Result<(), CommitError> {
        let (fib4, fib6) = views(driver, &self.blocks)?;
        match prefix {
            IpNet::V4(net) => {
                let Some(p) = Prefix::new(net.addr().to_bits(), net.prefix_len()) else {
                    return Ok(());
                };
                match leaf {
                    Some(leaf) => drop(self.writer4.insert(&fib4, p, Leaf(leaf))?),
                    None => drop(self.writer4.remove(&fib4, p)),
                }
            }
            IpNet::V6(net) => {
                let Some(p) = Prefix::new(net.addr().to_bits(), net.prefix_len()) else {
                    return Ok(());
                };
                match leaf {
                    Some(leaf) => drop(self.writer6.insert(&fib6, p, Leaf(leaf))?),
                    None => drop(self.writer6.remove(&fib6, p)?),
                }
            }
        }
        Ok(())
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
