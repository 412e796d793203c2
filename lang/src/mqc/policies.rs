//! All class maps and policy maps.

use std::collections::BTreeMap;

use super::{ClassMap, Limits, PolicyMap};
use crate::acl::Name;
use crate::ios::TextError;

/// Class maps and policy maps: what a text says, or what is configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policies {
    classes: BTreeMap<Name, ClassMap>,
    policies: BTreeMap<Name, PolicyMap>,
}

/// A queueing action, and where it is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueingAction<'a> {
    /// Policy that has it: the one asked about, or one below.
    pub policy: &'a str,
    /// Its class.
    pub class: &'a str,
    /// How the command begins.
    pub action: &'static str,
}

impl Policies {
    /// What a text of IOS, IOS XE or IOS XR says: `class-map` and `policy-map`, with the lines of
    /// their modes.
    ///
    /// # Errors
    /// The first word that cannot be there; else the class or policy that
    /// [`check`](Self::check) finds.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let mut policies = Self::default();
        policies.apply(text, &Limits::default())?;
        Ok(policies)
    }

    /// Applies a text to what is here: it adds, changes classes of policies, and deletes class maps
    /// and policy maps (`no policy-map EDGE`).
    ///
    /// # Errors
    /// As [`parse`](Self::parse); then nothing is applied.
    pub fn apply(&mut self, text: &str, limits: &Limits) -> Result<(), TextError> {
        *self = super::parse::applied(self, text, limits)?;
        Ok(())
    }

    /// The class map of this name.
    #[must_use]
    pub fn class(&self, name: &str) -> Option<&ClassMap> {
        self.classes.get(name)
    }

    /// All class maps in order of their names.
    pub fn classes(&self) -> impl ExactSizeIterator<Item = &ClassMap> {
        self.classes.values()
    }

    /// The policy map of this name.
    #[must_use]
    pub fn policy(&self, name: &str) -> Option<&PolicyMap> {
        self.policies.get(name)
    }

    /// All policy maps in order of their names.
    pub fn policies(&self) -> impl ExactSizeIterator<Item = &PolicyMap> {
        self.policies.values()
    }

    /// Adds a class map, or puts it in the place of the one of its name, which it gives. Nothing is
    /// checked.
    pub fn insert_class(&mut self, class: ClassMap) -> Option<ClassMap> {
        self.classes.insert(class.name.clone(), class)
    }

    /// Adds a policy map, or puts it in the place of the one of its name, which it gives. Nothing
    /// is checked.
    pub fn insert_policy(&mut self, policy: PolicyMap) -> Option<PolicyMap> {
        self.policies.insert(policy.name.clone(), policy)
    }

    /// Takes a class map out. Gives it.
    pub fn remove_class(&mut self, name: &str) -> Option<ClassMap> {
        self.classes.remove(name)
    }

    /// Takes a policy map out. Gives it.
    pub fn remove_policy(&mut self, name: &str) -> Option<PolicyMap> {
        self.policies.remove(name)
    }

    pub(super) fn class_mut(&mut self, name: &Name) -> Option<&mut ClassMap> {
        self.classes.get_mut(name)
    }

    pub(super) fn policy_mut(&mut self, name: &Name) -> Option<&mut PolicyMap> {
        self.policies.get_mut(name)
    }

    /// The first queueing action of a policy or of those below it, for somebody without a traffic
    /// manager to refuse. None if there is none, or no such policy.
    #[must_use]
    pub fn queueing(&self, policy: &str) -> Option<QueueingAction<'_>> {
        self.queueing_below(self.policy(policy)?, super::LEVELS)
    }

    fn queueing_below<'a>(
        &'a self,
        map: &'a PolicyMap,
        levels: usize,
    ) -> Option<QueueingAction<'a>> {
        if let Some((class, action)) = map.queueing() {
            return Some(QueueingAction { policy: map.name.as_str(), class, action });
        }
        let levels = levels.checked_sub(1)?;
        let children =
            map.all().filter_map(|(_, actions)| self.policy(actions.child.as_ref()?.as_str()));
        children.into_iter().find_map(|child| self.queueing_below(child, levels))
    }
}
