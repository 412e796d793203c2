//! Numbers of routing tables, by the names of their VRFs.

use std::collections::{BTreeMap, HashSet};

use driver::Driver;
use pal::pool::{Full, Pool, PoolUsage};
use pal::publication::{Grace, Timekeeper};
use qfp_core::uidb::TableId;

use super::{Kind, Named, Numbers};

/// The VRFs that interfaces are in.
///
/// Packets know their table outside of a vector, too: in the rings between lcores and slow path, in
/// both directions. So a table's number has a clock of its own, by which a period passes when what
/// the slow path had put in is taken, then walked, and what came of that is taken by the slow path,
/// which does nothing more about packets of a table that is gone.
pub(crate) struct Vrfs {
    by_name: BTreeMap<String, TableId>,
    numbers: Numbers<TableId>,
    time: Timekeeper,
    clearing: Clearing,
}

/// Where packets of tables that are gone may still be.
enum Clearing {
    Nowhere,
    /// In the rings to the lcores, and everywhere else.
    ToLcores(Grace),
    /// In walks, until the second period has passed, and in the rings to the slow path.
    Walks(Grace, Grace),
    ToSlowPath(Grace),
}

impl Vrfs {
    /// Tables 1 up to and with `count`; the global one has no name.
    pub(crate) fn new(count: u16) -> Self {
        let time = Timekeeper::default();
        let numbers = Pool::new("VRFs", 1..u32::from(count) + 1, time.clock());
        let numbers = Numbers::new(Kind::Vrf, numbers);
        Self { by_name: BTreeMap::new(), numbers, time, clearing: Clearing::Nowhere }
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

    /// Whether the rings are to be cleared now, for numbers to be used again.
    pub(crate) fn wants_rings_cleared(&mut self, driver: &Driver) -> bool {
        match self.clearing {
            Clearing::Nowhere if self.time.is_wanted() => {
                self.clearing = Clearing::ToLcores(self.time.begin());
            }
            Clearing::Walks(grace, walks) if driver.all_passed(walks) => {
                self.clearing = Clearing::ToSlowPath(grace);
            }
            _ => return false,
        }
        true
    }

    /// What was in the rings when that was wanted has been taken out.
    pub(crate) fn rings_cleared(&mut self, driver: &mut Driver) {
        self.clearing = match self.clearing {
            Clearing::ToLcores(grace) => Clearing::Walks(grace, driver.grace_period()),
            Clearing::ToSlowPath(grace) => {
                self.time.pass(grace);
                self.numbers.reclaim(|_| ());
                Clearing::Nowhere
            }
            Clearing::Nowhere | Clearing::Walks(..) => return,
        };
    }
}
