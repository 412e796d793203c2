//! Numbers of routing tables, by the names of their VRFs.

use std::collections::{BTreeMap, HashSet};

use driver::Driver;
use pal::publication::Grace;
use qfp_core::uidb::TableId;

use crate::rm::{Exhausted, Numbers};

/// The VRFs that interfaces are in.
pub(crate) struct Vrfs {
    by_name: BTreeMap<String, TableId>,
    count: u16,
    numbers: Numbers,
    /// Tables of VRFs that are gone, until no packet can be on its way to them.
    retired: Vec<(TableId, Grace)>,
}

impl Vrfs {
    /// Tables 1 up to and with `count`; the global one has no name.
    pub(crate) fn new(count: u16) -> Self {
        let numbers = Numbers::new("VRFs", 1, u32::from(count) + 1);
        Self { by_name: BTreeMap::new(), count, numbers, retired: Vec::new() }
    }

    /// Gives numbers to `names`. Those that are new are added to `new`.
    pub(crate) fn add<'a>(
        &mut self,
        names: impl IntoIterator<Item = &'a str>,
        new: &mut HashSet<String>,
    ) -> Result<(), Exhausted> {
        let names = names.into_iter().filter(|name| !self.by_name.contains_key(*name));
        let names: HashSet<&str> = names.collect();
        let full = Exhausted { what: "VRFs", limit: self.count.into() };
        self.numbers.need(names.len()).map_err(|_| full)?;
        for name in names {
            let number = u16::try_from(self.numbers.take()?).unwrap_or(u16::MAX);
            self.by_name.insert(name.to_owned(), TableId(number));
            new.insert(name.to_owned());
        }
        Ok(())
    }

    /// The table of a VRF; the global one for none and for a name that is not known.
    pub(crate) fn table(&self, vrf: Option<&str>) -> TableId {
        vrf.and_then(|name| self.by_name.get(name).copied()).unwrap_or(TableId::GLOBAL)
    }

    /// The table of the VRF called `name`.
    pub(crate) fn named(&self, name: &str) -> Option<TableId> {
        self.by_name.get(name).copied()
    }

    /// All of them, by name.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, TableId)> {
        self.by_name.iter().map(|(name, table)| (name.as_str(), *table))
    }

    /// Whether there is such a table.
    pub(crate) fn contains(&self, table: TableId) -> bool {
        table == TableId::GLOBAL || self.by_name.values().any(|known| *known == table)
    }

    /// Gives up the VRFs that are not `kept`; their numbers are free after a grace period.
    pub(crate) fn retain(&mut self, driver: &mut Driver, kept: impl Fn(&str) -> bool) {
        let gone: Vec<_> = self.by_name.extract_if(.., |name, _| !kept(name)).collect();
        for (_, table) in gone {
            self.retired.push((table, driver.grace_period()));
        }
    }

    /// Numbers whose last reader has passed can be used again.
    pub(crate) fn reclaim(&mut self, driver: &Driver) {
        let numbers = &mut self.numbers;
        self.retired.retain(|&(table, grace)| {
            let passed = driver.all_passed(grace);
            if passed {
                numbers.give(u32::from(table.0));
            }
            !passed
        });
    }
}
