//! Policy maps: what happens to the packets of each class.

use super::class::is_default;
use super::{CLASS_DEFAULT, Mark, Police, Queueing};
use crate::acl::Name;
use crate::ios::Description;

/// A policy: the first class that a packet is in takes it, and `class-default` what is left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyMap {
    /// Its name.
    pub name: Name,
    /// What the operator notes about it.
    pub description: Option<Description>,
    /// The classes that have a class map, in the order in which they are looked at.
    pub classes: Vec<PolicyClass>,
    /// What happens to packets of no other class.
    pub default: Actions,
}

/// A class of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyClass {
    /// Name of its class map.
    pub class: Name,
    /// What happens to its packets.
    pub actions: Actions,
}

/// What happens to the packets of a class: they are policed, then marked, then queued. With a child
/// policy they are first treated as that says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actions {
    /// Policer.
    pub police: Option<Police>,
    /// Marks of the packets that the policer transmits without marks of its own.
    pub marks: Vec<Mark>,
    /// Queueing.
    pub queueing: Queueing,
    /// The policy that divides the class further.
    pub child: Option<Name>,
}

impl PolicyMap {
    /// A policy that does nothing.
    #[must_use]
    pub fn new(name: Name) -> Self {
        Self { name, description: None, classes: Vec::new(), default: Actions::default() }
    }

    /// All classes by name in the order in which they are looked at, `class-default` last.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Actions)> {
        let named = self.classes.iter().map(|class| (class.class.as_str(), &class.actions));
        named.chain([(CLASS_DEFAULT, &self.default)])
    }

    /// What happens to the packets of a class; none if the policy does not have it.
    #[must_use]
    pub fn actions(&self, class: &str) -> Option<&Actions> {
        self.all().find(|(name, _)| *name == class).map(|(_, actions)| actions)
    }

    /// The class of this name, added behind the others if there is none.
    pub(super) fn open(&mut self, class: &Name) -> &mut Actions {
        if is_default(class) {
            return &mut self.default;
        }
        let place = self.classes.iter().position(|own| own.class == *class);
        let place = place.unwrap_or_else(|| {
            self.classes.push(PolicyClass { class: class.clone(), actions: Actions::default() });
            self.classes.len() - 1
        });
        &mut self.classes[place].actions
    }

    /// The first class that asks for queueing, and what it asks for; child policies aside.
    #[must_use]
    pub fn queueing(&self) -> Option<(&str, &'static str)> {
        self.all().find_map(|(class, actions)| Some((class, actions.queueing.first()?)))
    }
}
