use std::collections::BTreeMap;
use std::sync::Arc;

use super::{AccessList, Family, Name, Objects};
use crate::ios::TextError;

/// Access lists and object-groups: what a text says, or what is configured. Copies share lists.
///
/// Lists of the two families may have the same name, as in IOS XR.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// Object-groups.
    pub objects: Objects,
    v4: BTreeMap<Name, Arc<AccessList>>,
    v6: BTreeMap<Name, Arc<AccessList>>,
}

impl Document {
    /// What a text of IOS, IOS XE or IOS XR says: `access-list`, `ip access-list`,
    /// `ipv4 access-list`, `ipv6 access-list` and `object-group`, with the lines of their modes. A
    /// list or group that is given twice is added to.
    ///
    /// # Errors
    ///
    /// The first word that cannot be there.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let mut document = Self::default();
        super::parse::apply(&mut document, text)?;
        Ok(document)
    }

    /// Applies a text to what is here: it may add to lists, delete and resequence entries, and
    /// delete whole lists and groups (`no access-list 101`).
    ///
    /// # Errors
    ///
    /// The first word that cannot be there; then nothing is applied.
    pub fn apply(&mut self, text: &str) -> Result<(), TextError> {
        let mut next = self.clone();
        super::parse::apply(&mut next, text)?;
        *self = next;
        Ok(())
    }

    /// The list of this family and name.
    #[must_use]
    pub fn list(&self, family: Family, name: &str) -> Option<&AccessList> {
        self.of(family).get(name).map(Arc::as_ref)
    }

    /// As [`Document::list`]; what shares it is the same.
    #[must_use]
    pub fn shared(&self, family: Family, name: &str) -> Option<&Arc<AccessList>> {
        self.of(family).get(name)
    }

    /// The list of this family and name, to edit.
    pub fn list_mut(&mut self, family: Family, name: &str) -> Option<&mut AccessList> {
        self.of_mut(family).get_mut(name).map(Arc::make_mut)
    }

    /// All lists, those of IPv4 first, in order of their names.
    pub fn lists(&self) -> impl Iterator<Item = &AccessList> {
        self.v4.values().chain(self.v6.values()).map(Arc::as_ref)
    }

    /// Adds a list, or puts it in the place of the one of its family and name, which it gives.
    pub fn insert(&mut self, list: AccessList) -> Option<AccessList> {
        let name = list.name().clone();
        let before = self.of_mut(list.family()).insert(name, Arc::new(list));
        before.map(Arc::unwrap_or_clone)
    }

    /// Adds the lists of another document, which share their entries with it from then on. They take
    /// the places of those with their names.
    pub fn insert_all(&mut self, other: &Self) {
        for family in [Family::V4, Family::V6] {
            let lists =
                other.of(family).iter().map(|(name, list)| (name.clone(), Arc::clone(list)));
            self.of_mut(family).extend(lists);
        }
    }

    /// Takes a list out. Gives it.
    pub fn remove(&mut self, family: Family, name: &str) -> Option<AccessList> {
        self.of_mut(family).remove(name).map(Arc::unwrap_or_clone)
    }

    fn of(&self, family: Family) -> &BTreeMap<Name, Arc<AccessList>> {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }

    fn of_mut(&mut self, family: Family) -> &mut BTreeMap<Name, Arc<AccessList>> {
        match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        }
    }
}
