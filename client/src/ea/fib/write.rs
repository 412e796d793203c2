//! From one set of routes to another: the tables are built beside what lcores see, then changed.

use std::collections::BTreeMap;

use driver::Driver;
use ipnet::IpNet;
use qfp_core::fib::Leaf;
use qfp_core::uidb::TableId;

use super::tables::Writers;
use super::{FibAgent, Plan, default_leaf};
use crate::commit::CommitError;
use crate::rib::{Delta, SetId};

impl FibAgent {
    /// Prepares what `delta` says, in all tables. The groups are there.
    pub(super) fn prepare_routes(
        &mut self,
        driver: &Driver,
        delta: &Delta,
        plan: &mut Plan,
    ) -> Result<(), CommitError> {
        let mut changes: BTreeMap<TableId, Vec<(IpNet, Option<Leaf>)>> = BTreeMap::new();
        for change in &delta.changes {
            let leaf = |set| self.leaf_of(change.table, change.prefix, set);
            let (old, new) = (leaf(change.old), leaf(change.new));
            if old != new {
                changes.entry(change.table).or_default().push((change.prefix, new));
            }
        }
        for (table, changes) in changes {
            if !self.writers.contains_key(&table) {
                let writers = Writers::new(driver, &self.blocks, table)?;
                self.writers.insert(table, writers);
            }
            plan.tables.insert(table);
            if let Some(writers) = self.writers.get_mut(&table) {
                writers.prepare(driver, &self.blocks, &changes)?;
            }
        }
        Ok(())
    }

    fn leaf_of(&self, table: TableId, prefix: IpNet, set: SetId) -> Option<Leaf> {
        match (set, prefix.prefix_len()) {
            (SetId::NONE, _) => None,
            (_, 0) => Some(Leaf(default_leaf(table, prefix.addr().is_ipv6()))),
            _ => Some(Leaf(self.leaf(set))),
        }
    }

    /// Writes the routes that were prepared.
    pub(super) fn publish_routes(&mut self, driver: &Driver, delta: &Delta, plan: &Plan) {
        for table in &plan.tables {
            if let Some(writers) = self.writers.get_mut(table) {
                writers.publish(driver, &self.blocks);
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
    }
}

/// /24s that a route covers. Host routes to neighbours are too few to matter.
fn slash24s(prefix: &IpNet) -> u64 {
    match prefix {
        IpNet::V4(net) => 1 << 24_u8.saturating_sub(net.prefix_len()),
        IpNet::V6(_) => 0,
    }
}
