//! Sets of paths: stored once, counted by the routes that have them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use qfp_core::uidb::TableId;

use super::resolve::Members;
use super::{NextHop, Path, Paths};

/// Number of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SetId(u32);

impl SetId {
    /// No set: no route.
    pub(crate) const NONE: Self = Self(u32::MAX);
}

/// One set.
#[derive(Clone, Debug)]
struct Set {
    table: TableId,
    paths: Paths,
    /// Routes that have it.
    routes: u32,
    /// Prefixes that have selected it.
    selected: u32,
    members: Members,
    /// Whether it has been resolved once.
    resolved: bool,
}

/// All sets.
#[derive(Default)]
pub(super) struct Sets {
    slots: Vec<Option<Set>>,
    free: Vec<SetId>,
    by_paths: HashMap<(TableId, Paths), SetId>,
    /// Sets for each recursive next hop.
    hop_users: HashMap<(TableId, IpAddr), u32>,
    new: Vec<SetId>,
    /// Sets that may have lost their last route or prefix.
    loose: Vec<SetId>,
}

impl Sets {
    /// The set of `paths`, and its recursive next hops when it is new.
    pub(super) fn intern(&mut self, table: TableId, paths: &[Path]) -> (SetId, Vec<IpAddr>) {
        let recursive: Vec<IpAddr> = recursive(paths).collect();
        // Sets that need no lookup are the same in all tables.
        let table = if recursive.is_empty() { TableId::GLOBAL } else { table };
        let key = (table, Arc::from(paths));
        if let Some(&set) = self.by_paths.get(&key) {
            return (set, Vec::new());
        }
        let set = Set {
            table,
            paths: Arc::clone(&key.1),
            routes: 0,
            selected: 0,
            members: Members::default(),
            resolved: false,
        };
        let id = match self.free.pop() {
            Some(id) => id,
            None => {
                self.slots.push(None);
                SetId(u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX))
            }
        };
        for address in &recursive {
            *self.hop_users.entry((table, *address)).or_insert(0) += 1;
        }
        self.slots[id.0 as usize] = Some(set);
        self.by_paths.insert(key, id);
        self.new.push(id);
        self.loose.push(id);
        (id, recursive)
    }

    fn get(&self, id: SetId) -> Option<&Set> {
        self.slots.get(id.0 as usize)?.as_ref()
    }

    fn get_mut(&mut self, id: SetId) -> Option<&mut Set> {
        self.slots.get_mut(id.0 as usize)?.as_mut()
    }

    /// Table and paths of a set.
    pub(super) fn paths(&self, id: SetId) -> (TableId, &[Path]) {
        self.get(id).map_or((TableId::GLOBAL, &[]), |set| (set.table, &set.paths))
    }

    pub(super) fn members(&self, id: SetId) -> &Members {
        static NOWHERE: Members = Members::new();
        self.get(id).map_or(&NOWHERE, |set| &set.members)
    }

    /// Sets the members and returns those before; `None` for the first time.
    pub(super) fn set_members(&mut self, id: SetId, members: Members) -> Option<Members> {
        let set = self.get_mut(id)?;
        let before = std::mem::replace(&mut set.members, members);
        std::mem::replace(&mut set.resolved, true).then_some(before)
    }

    pub(super) fn use_one(&mut self, id: SetId) {
        if let Some(set) = self.get_mut(id) {
            set.routes += 1;
        }
    }

    pub(super) fn release(&mut self, id: SetId) {
        if let Some(set) = self.get_mut(id) {
            set.routes -= 1;
            if set.routes == 0 {
                self.loose.push(id);
            }
        }
    }

    /// A prefix has selected `new` instead of `old`.
    pub(super) fn installed(&mut self, new: SetId, old: SetId) {
        if let Some(set) = self.get_mut(new) {
            set.selected += 1;
        }
        if let Some(set) = self.get_mut(old) {
            set.selected -= 1;
            if set.selected == 0 {
                self.loose.push(old);
            }
        }
    }

    /// The sets made since the last call.
    pub(super) fn take_new(&mut self) -> Vec<SetId> {
        std::mem::take(&mut self.new)
    }

    /// Gives back what [`Sets::take_new`] took.
    pub(super) fn requeue(&mut self, new: Vec<SetId>) {
        self.new = new;
    }

    /// All sets.
    pub(super) fn all(&self) -> impl Iterator<Item = SetId> {
        let used = self.slots.iter().enumerate().filter(|(_, slot)| slot.is_some());
        used.map(|(n, _)| SetId(u32::try_from(n).unwrap_or(u32::MAX)))
    }

    /// Forgets sets without routes. Returns the sets that no prefix has selected any more, and
    /// the recursive next hops that no set has any more.
    pub(super) fn tidy(&mut self) -> (Vec<SetId>, Vec<(TableId, IpAddr)>) {
        let (mut unselected, mut hops) = (Vec::new(), Vec::new());
        self.new.clear();
        for id in std::mem::take(&mut self.loose) {
            let Some(set) = self.get(id) else { continue };
            if set.selected == 0 {
                unselected.push(id);
            }
            if set.routes > 0 || set.selected > 0 {
                continue;
            }
            let Some(set) = self.slots[id.0 as usize].take() else { continue };
            for address in recursive(&set.paths) {
                let hop = (set.table, address);
                if let Some(users) = self.hop_users.get_mut(&hop) {
                    *users -= 1;
                    if *users == 0 {
                        self.hop_users.remove(&hop);
                        hops.push(hop);
                    }
                }
            }
            self.by_paths.remove(&(set.table, set.paths));
            self.free.push(id);
        }
        (unselected, hops)
    }
}

/// The next hops of `paths` that have to be looked up.
pub(super) fn recursive(paths: &[Path]) -> impl Iterator<Item = IpAddr> {
    paths.iter().filter_map(|path| match path.hop {
        NextHop::Via { address, interface: None } => Some(address),
        _ => None,
    })
}
