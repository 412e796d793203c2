//! Numbers of routing tables, by the names of their VRFs.

use std::collections::{BTreeMap, HashSet};

use pal::pool::{Full, Pool, PoolUsage};
use pal::publication::GraceClock;
use qfp_core::uidb::TableId;

use super::{Kind, Named, Numbers};

/// The VRFs that interfaces are in.
pub(crate) struct Vrfs {
    by_name: BTreeMap<String, TableId>,
    numbers: Numbers<TableId>,
}

impl Vrfs {
    /// Tables 1 up to and with `count`; the global one has no name. Packets know their table outside of
    /// a vector, too: `clock` is that of the rings.
    pub(crate) fn new(count: u16, clock: &GraceClock) -> Self {
        let numbers = Pool::new("VRFs", 1..u32::from(count) + 1, clock);
        let numbers = Numbers::new(Kind::Vrf, numbers);
        Self { by_name: BTreeMap::new(), numbers }
    }

    /// Gives numbers to `names`. Those that are new are added to `new`.
    pub(crate) fn add<'a>(
        &mut self,
        names: impl IntoIterator<Item = &'a str>,
        new: &mut HashSet<String>,
    ) -> Result<(), Full> {
        for name in names {
            if !self.by_name.contains_key(name) {
                let (table, is_kept) = self.numbers.give(name.to_owned())?;
                self.by_name.insert(name.to_owned(), table);
                if !is_kept {
                    new.insert(name.to_owned());
                }
            }
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

    /// Numbers by name.
    pub(crate) const fn numbers(&mut self) -> &mut Numbers<TableId> {
        &mut self.numbers
    }

    /// All names with their numbers.
    pub(crate) fn names(&self) -> impl Iterator<Item = Named> {
        self.by_name.iter().map(|(name, table)| self.numbers.named(name.clone(), *table))
    }

    /// How many there are.
    pub(crate) fn pools(&self) -> [PoolUsage; 1] {
        [self.numbers.usage()]
    }

    /// All of them, by name.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, TableId)> {
        self.by_name.iter().map(|(name, table)| (name.as_str(), *table))
    }

    /// Whether there is such a table.
    pub(crate) fn contains(&self, table: TableId) -> bool {
        table == TableId::GLOBAL || self.by_name.values().any(|known| *known == table)
    }

    /// Gives up the VRFs that are not `kept`; their numbers are free once no packet has them.
    pub(crate) fn retain(&mut self, kept: impl Fn(&str) -> bool) {
        let gone = self.by_name.extract_if(.., |name, _| !kept(name));
        gone.for_each(|(_, table)| self.numbers.retire(table));
    }

    /// Gives up VRFs that no lcore has heard of.
    pub(crate) fn forget(&mut self, names: &HashSet<String>) {
        let gone = self.by_name.extract_if(.., |name, _| names.contains(name));
        gone.for_each(|(_, table)| self.numbers.give_back(table));
    }

    /// Numbers that no packet has any more are free.
    pub(crate) fn reclaim(&mut self) {
        self.numbers.reclaim(|_| ());
    }
}
