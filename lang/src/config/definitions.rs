use std::collections::HashMap;
use std::fmt;

use super::Place;
use crate::acl::{Family, Name};

/// What a text of the configuration defines, once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Definition {
    /// An access list of a family.
    AccessList(Family, Name),
    /// An object-group.
    ObjectGroup(Name),
    /// A route map.
    RouteMap(Name),
}

impl fmt::Display for Definition {
    /// What it is and its name: `IPv4 access list EDGE`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AccessList(family, name) => write!(f, "{} access list {name}", family.name()),
            Self::ObjectGroup(name) => write!(f, "object-group {name}"),
            Self::RouteMap(name) => write!(f, "route map {name}"),
        }
    }
}

/// Where access lists, object-groups and route maps were written: the line of the key that holds
/// or names their text.
///
/// Any two compare equal: where something was said is no part of what was said.
#[derive(Clone, Debug, Default)]
pub struct Definitions(HashMap<Definition, Place>);

impl Definitions {
    /// Remembers where `what` was written. Gives the place where it was written before, which it
    /// keeps.
    pub(super) fn note(&mut self, what: Definition, place: &Place) -> Option<Place> {
        let mut first = None;
        let known = |known: &mut Place| first = Some(known.clone());
        self.0.entry(what).and_modify(known).or_insert_with(|| place.clone());
        first
    }

    /// Where `what` was written; nowhere in particular if no file says so.
    #[must_use]
    pub fn place(&self, what: &Definition) -> Place {
        self.0.get(what).cloned().unwrap_or_default()
    }
}

impl PartialEq for Definitions {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Definitions {}
