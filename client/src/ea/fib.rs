//! Forwarding tables: prefixes to next-hop groups, groups to adjacencies.
//!
//! A group belongs to a set of paths of the RIB, so that all prefixes with these paths share it,
//! and what happens to the paths is written once. Default routes have groups of their own, whose
//! numbers are fixed: row `urpf` knows a default route by them.

mod groups;
mod spread;
mod tables;
mod write;

use std::collections::{BTreeMap, HashMap};

use driver::Driver;
use pal::pool::{Pool, PoolUsage};
use pal::region::Block;
use qfp_core::adjacency::{Group, Path};
use qfp_core::tables::table_kind;
use qfp_core::uidb::TableId;

use crate::commit::{Capacity, CommitError};
use crate::rib::SetId;
pub(crate) use groups::Plan;

use groups::NextHops;
use tables::{Blocks, Writers};

/// The agent for forwarding tables.
pub(crate) struct FibAgent {
    blocks: Blocks,
    groups_block: Block<Group>,
    paths_block: Block<Path>,
    writers: BTreeMap<TableId, Writers>,
    /// Routes in all tables.
    routes: usize,
    /// /24s that global IPv4 routes cover, counted once a route.
    cover: u64,
    groups: HashMap<u16, NextHops>,
    leaves: HashMap<SetId, u16>,
    /// Of groups that are not of default routes.
    numbers: Pool<u16>,
    places: Pool,
}

impl FibAgent {
    pub(crate) fn new(driver: &mut Driver, capacity: &Capacity) -> Result<Self, CommitError> {
        let blocks = Blocks::new(driver, capacity)?;
        let groups_block = driver.alloc::<Group>(1 << 16)?.publish();
        let paths_block = driver.alloc::<Path>(capacity.paths as usize)?.publish();
        driver.commit(|root| {
            blocks.name_in(root);
            root.set(table_kind::GROUP, groups_block).set(table_kind::PATH, paths_block);
        })?;
        // Leaves share their 16 bits with the numbers of blocks for long prefixes.
        let limit = 0xffff - capacity.long_prefixes;
        let first_number = 1 + 2 * (u32::from(capacity.vrfs) + 1);
        Ok(Self {
            blocks,
            groups_block,
            paths_block,
            writers: BTreeMap::new(),
            routes: 0,
            cover: 0,
            groups: HashMap::new(),
            leaves: HashMap::new(),
            numbers: Pool::new("next-hop groups", first_number..limit, driver.clock()),
            places: Pool::new("places of next-hop groups", 0..capacity.paths, driver.clock()),
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.routes
    }

    /// Groups and places in use, those that wait for readers included.
    pub(crate) fn in_use(&self) -> (u32, u32) {
        let sets = self.leaves.len();
        let defaults = u32::try_from(self.groups.len().saturating_sub(sets)).unwrap_or(0);
        (defaults + self.numbers.in_use(), self.places.in_use())
    }

    /// What it takes of.
    pub(crate) fn pools(&self) -> [PoolUsage; 2] {
        [self.numbers.usage(), self.places.usage()]
    }

    /// Bytes of all tables that hold routes.
    #[cfg(test)]
    pub(crate) fn bytes_used(&self, driver: &Driver) -> usize {
        self.writers.values().map(|writers| writers.bytes_used(driver, &self.blocks)).sum()
    }

    /// Makes memory usable again whose last reader has passed. Does not wait.
    pub(crate) fn reclaim(&mut self) {
        self.numbers.reclaim(|_| ());
        self.places.reclaim(|_| ());
        self.writers.values_mut().for_each(Writers::reclaim);
    }
}

/// The leaf of the default route of one family in a table.
pub(super) fn default_leaf(table: TableId, v6: bool) -> u16 {
    1 + 2 * table.0 + u16::from(v6)
}
