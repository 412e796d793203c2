//! Validation: what the text and the platform allow, and that what is named exists.

mod class;
mod policy;
mod queueing;

use std::collections::{HashMap, HashSet};

pub(super) use self::queueing::{FAIR_QUEUES, MAX_PRIORITY, MAX_RATIO, MAX_SIZE, MAX_WEIGHT};
use super::{Fault, Limits, Policies, PolicyError, PolicyMap, PolicyPlace};
use crate::acl::Name;

/// How deep class maps may name each other.
pub(super) const MAX_NESTING: usize = 16;

impl Policies {
    /// Makes sure that the policies can be carried out within the limits, and that their text
    /// reads back. Access lists are not looked up.
    ///
    /// # Errors
    /// The first thing that is wrong, class maps before policies.
    pub fn check(&self, limits: &Limits) -> Result<(), PolicyError> {
        let mut depths = HashMap::new();
        for class in self.classes() {
            let place = || PolicyPlace::ClassMap(class.name.clone());
            class.check(limits).map_err(|fault| PolicyError { place: place(), fault })?;
            let nesting = self.nesting(&class.name, &mut Vec::new(), &mut depths);
            nesting.map_err(|fault| PolicyError { place: place(), fault })?;
        }
        if self.policies().len() > limits.policies {
            let fault = Fault::TooMany { what: "policy maps", max: limits.policies };
            return Err(PolicyError { place: PolicyPlace::All, fault });
        }
        let all = self.policies().flat_map(PolicyMap::all);
        let children: HashSet<&Name> =
            all.filter_map(|(_, actions)| actions.child.as_ref()).collect();
        let mut heights = HashMap::new();
        for policy in self.policies() {
            let child = children.contains(&policy.name);
            let classes = if child { limits.child_classes } else { limits.classes };
            let place = PolicyPlace::PolicyMap(policy.name.clone());
            let height = self.height(policy, limits, &mut Vec::new(), &mut heights);
            let height = height.map_err(|fault| PolicyError { place: place.clone(), fault })?;
            policy.check(limits, classes, height).map_err(|fault| PolicyError { place, fault })?;
            self.check_classes(policy, limits)?;
        }
        Ok(())
    }

    /// How many class maps deep a class map goes, itself included.
    fn nesting<'a>(
        &'a self,
        name: &'a Name,
        above: &mut Vec<&'a Name>,
        depths: &mut HashMap<&'a Name, usize>,
    ) -> Result<usize, Fault> {
        if let Some(depth) = depths.get(name) {
            return Ok(*depth);
        }
        if above.contains(&name) {
            return Err(Fault::ClassCycle(name.clone()));
        }
        if above.len() >= MAX_NESTING {
            return Err(Fault::NestedTooDeep(MAX_NESTING));
        }
        let class = self.class(name.as_str()).ok_or_else(|| Fault::NoClassMap(name.clone()))?;
        above.push(name);
        let mut depth = 0;
        for nested in class.nested() {
            depth = depth.max(self.nesting(nested, above, depths)?);
        }
        above.pop();
        if depth >= MAX_NESTING {
            return Err(Fault::NestedTooDeep(MAX_NESTING));
        }
        depths.insert(name, depth + 1);
        Ok(depth + 1)
    }

    /// How many levels of policies there are, this one included.
    fn height<'a>(
        &'a self,
        policy: &'a PolicyMap,
        limits: &Limits,
        above: &mut Vec<&'a Name>,
        heights: &mut HashMap<&'a Name, usize>,
    ) -> Result<usize, Fault> {
        if let Some(height) = heights.get(&policy.name) {
            return Ok(*height);
        }
        if above.contains(&&policy.name) {
            return Err(Fault::PolicyCycle(policy.name.clone()));
        }
        let levels = limits.levels.min(super::LEVELS);
        if above.len() >= levels {
            return Err(Fault::TooDeep(levels));
        }
        above.push(&policy.name);
        let mut height = 0;
        for child in policy.all().filter_map(|(_, actions)| actions.child.as_ref()) {
            let found = self.policy(child.as_str());
            let child = found.ok_or_else(|| Fault::NoPolicyMap(child.clone()))?;
            height = height.max(self.height(child, limits, above, heights)?);
        }
        above.pop();
        if height >= levels {
            return Err(Fault::TooDeep(levels));
        }
        heights.insert(&policy.name, height + 1);
        Ok(height + 1)
    }

    fn check_classes(&self, policy: &PolicyMap, limits: &Limits) -> Result<(), PolicyError> {
        for (class, actions) in policy.all() {
            let check = || {
                if class != super::CLASS_DEFAULT && self.class(class).is_none() {
                    return Err(Fault::NoSuchClass);
                }
                for colour in super::tree::colour_classes(actions.police.as_ref()) {
                    let found = self.class(colour.as_str());
                    found.ok_or_else(|| Fault::NoClassMap(colour.clone()))?;
                }
                actions.check(limits, class == super::CLASS_DEFAULT)
            };
            check().map_err(|fault| PolicyError {
                place: PolicyPlace::Class(policy.name.clone(), class.to_owned()),
                fault,
            })?;
        }
        Ok(())
    }
}

fn length(name: &Name, max: usize) -> Result<(), Fault> {
    let length = name.as_str().len();
    if length > max { Err(Fault::NameTooLong { length, max }) } else { Ok(()) }
}

/// Makes sure that a value is within the field's bounds.
fn within(field: &'static str, value: u64, min: u64, max: u64) -> Result<(), Fault> {
    let inside = (min..=max).contains(&value);
    if inside { Ok(()) } else { Err(Fault::OutOfRange { field, value, min, max }) }
}

/// Makes sure that there are at most `max`.
fn at_most(what: &'static str, count: usize, max: usize) -> Result<(), Fault> {
    if count > max { Err(Fault::TooMany { what, max }) } else { Ok(()) }
}
