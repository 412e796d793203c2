//! What becomes of a policy's packets, wherever it is bound with the same limits.

use std::collections::HashMap;
use std::sync::Arc;

use qfp_core::qos::police::{Colour, Limits, NO_POLICER, PolicerConfig, PolicerWarning};
use qfp_core::qos::{Action, ClassEvent, ClassRow, LEVELS, Level};
use qfp_core::uidb::Direction;

use super::mark::{label, marks};
use super::{BoundClass, ClassPath, QosError};
use crate::mqc::{self, Outcome, Policies, Tree};

/// A class of the policy.
#[derive(Debug, PartialEq)]
struct Class {
    path: ClassPath,
    /// Its row, without its numbers.
    level: Level,
    policer: Option<PolicerConfig>,
    warnings: Vec<PolicerWarning>,
}

/// A policy with those below it, as rows without numbers.
#[derive(Debug, PartialEq)]
pub(super) struct Template {
    classes: Vec<Class>,
    /// Rows: classes and the colours that their packets come with, the lowest level first.
    leaves: Vec<Vec<(usize, u32)>>,
    /// Classes in the order of their paths.
    order: Vec<usize>,
}

/// Where a policy is bound matters for its rows by these.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    policy: String,
    direction: Direction,
    link: Option<u64>,
    largest_frame: u64,
}

/// Policies as they are bound.
#[derive(Default)]
pub(super) struct Templates(HashMap<Key, Arc<Template>>);

impl Templates {
    /// What `policy` of `policies` is for an interface. Where it is what it was `before`, it is the
    /// same.
    pub(super) fn get(
        (made, before): (&mut Self, &Self),
        policies: &Policies,
        (interface, direction, policy): (&str, Direction, &str),
        limits: &Limits,
        shared: bool,
    ) -> Result<Arc<Template>, QosError> {
        let key = Key {
            policy: policy.to_owned(),
            direction,
            link: limits.link.map(|link| link.get()),
            largest_frame: limits.largest_frame,
        };
        if let Some(known) = made.0.get(&key) {
            return Ok(Arc::clone(known));
        }
        let new = Template::new(policies, (interface, direction, policy), limits, shared)?;
        let old = before.0.get(&key).filter(|old| ***old == new).cloned();
        let template = old.unwrap_or_else(|| Arc::new(new));
        made.0.insert(key, Arc::clone(&template));
        Ok(template)
    }
}

impl Template {
    fn new(
        policies: &Policies,
        (interface, direction, policy): (&str, Direction, &str),
        limits: &Limits,
        shared: bool,
    ) -> Result<Self, QosError> {
        let name = || interface.to_owned();
        if policies.policy(policy).is_none() {
            return Err(QosError::NoPolicy { interface: name(), policy: policy.to_owned() });
        }
        if let Some(queueing) = policies.queueing(policy) {
            return Err(QosError::Queueing {
                interface: name(),
                policy: queueing.policy.to_owned(),
                class: queueing.class.to_owned(),
                action: queueing.action,
            });
        }
        let tree = policies.tree(policy);
        let tree = tree.map_err(|error| QosError::Tree { interface: name(), error })?;
        let classes = tree.nodes().iter().enumerate().map(|(node, found)| {
            let class = BoundClass { interface: name(), direction, path: path(&tree, node) };
            Class::new(found.actions, class, limits, shared)
        });
        let classes = classes.collect::<Result<Vec<_>, _>>()?;
        let leaves = tree.leaves().iter().map(|leaf| {
            let above: Vec<usize> = tree.path(leaf.node).map(|(node, _)| node).collect();
            let level = |(place, node): (usize, &usize)| {
                let police = tree.nodes()[*node].actions.police.as_ref();
                let own = police.is_some_and(|police| police.colours.is_some());
                // The topmost level is the first of the leaf's colours.
                let colour = leaf.colours[above.len() - 1 - place];
                (*node, if own || place == 0 { colour as u32 } else { Level::FROM_BELOW })
            };
            above.iter().enumerate().map(level).collect()
        });
        let leaves = leaves.collect();
        let mut order: Vec<usize> = (0..classes.len()).collect();
        order.sort_by(|a, b| classes[*a].path.cmp(&classes[*b].path));
        Ok(Self { classes, leaves, order })
    }

    /// How many rows it has.
    pub(super) fn leaves(&self) -> usize {
        self.leaves.len()
    }

    pub(super) fn policers(&self) -> usize {
        self.classes.iter().filter(|class| class.policer.is_some()).count()
    }

    /// Its classes, in the order of their numbers.
    pub(super) fn paths(&self) -> impl ExactSizeIterator<Item = &ClassPath> {
        self.classes.iter().map(|class| &class.path)
    }

    /// Its classes by their paths: which they are, and what is to be known of each.
    pub(super) fn facts(
        &self,
    ) -> impl Iterator<Item = (usize, ClassPath, bool, Vec<PolicerWarning>)> {
        self.order.iter().map(|node| {
            let class = &self.classes[*node];
            (*node, class.path.clone(), class.policer.is_some(), class.warnings.clone())
        })
    }

    /// Its policers, for classes with these numbers.
    pub(super) fn configs<'a>(
        &'a self,
        numbers: &'a [u32],
    ) -> impl Iterator<Item = (u32, &'a PolicerConfig)> {
        let both = self.classes.iter().zip(numbers);
        both.filter_map(|(class, number)| Some((*number, class.policer.as_ref()?)))
    }

    /// Writes its rows, for classes with these numbers.
    pub(super) fn rows<'r>(
        &self,
        numbers: &[u32],
        first_counter: u32,
        rows: &mut impl Iterator<Item = &'r mut ClassRow>,
    ) {
        for (leaf, row) in self.leaves.iter().zip(rows) {
            row.depth = u32::try_from(leaf.len().min(LEVELS)).unwrap_or(0);
            for (level, (node, colour)) in row.levels.iter_mut().zip(leaf) {
                let (class, number) = (&self.classes[*node], numbers[*node]);
                *level = class.level;
                level.colour = *colour;
                level.counters = first_counter + number * ClassEvent::COUNT;
                level.policer = if class.policer.is_some() { number } else { NO_POLICER };
            }
        }
    }
}

impl Class {
    fn new(
        actions: &mqc::Actions,
        class: BoundClass,
        limits: &Limits,
        shared: bool,
    ) -> Result<Self, QosError> {
        let mut level = Level { policer: NO_POLICER, ..Level::default() };
        level.mark = marks(&class, &actions.marks)?;
        let Some(police) = &actions.police else {
            return Ok(Self { path: class.path, level, policer: None, warnings: Vec::new() });
        };
        for (colour, action) in Colour::ALL.into_iter().zip(&mut level.actions) {
            *action = match police.outcome(colour) {
                Outcome::Drop => Action { drop: 1, ..Action::default() },
                Outcome::Transmit(set) => Action { mark: marks(&class, set)?, drop: 0 },
            };
        }
        let error = |error| QosError::Policer {
            interface: class.interface.clone(),
            class: label(&class),
            error,
        };
        let mut spec = police.spec(limits).map_err(error)?;
        spec.shared = shared;
        // A parent whose children have policers gets their colours.
        let programmed = spec.program(limits).map_err(error)?;
        let (policer, warnings) = (Some(programmed.config), programmed.warnings);
        Ok(Self { path: class.path, level, policer, warnings })
    }
}

/// Policies and classes from the top down to a node.
fn path(tree: &Tree<'_>, node: usize) -> ClassPath {
    let names = |node: &mqc::Node<'_>| (node.policy.to_owned(), node.class.to_owned());
    let mut path: Vec<_> = tree.path(node).map(|(_, node)| names(node)).collect();
    path.reverse();
    path.into()
}
