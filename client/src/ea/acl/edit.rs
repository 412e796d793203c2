//! Edits of one list in the objects that have it, while lcores look up in them.

use std::collections::HashMap;

use driver::Driver;
use qfp_core::acl::key::{WORDS4, WORDS6};
use qfp_core::acl::{Change, Memory, Nodes, Pattern, Place, Rule};

use super::names::{CounterName, ObjectName, packed};
use super::object::{Changes, Compiled};
use super::patterns::Addresses;
use super::rules::{self, RuleError, RuleName};
use super::{AclAgent, AclError};
use crate::acl::{Document, Family};
use crate::rm::Exhausted;

/// A rule of a list that an edit has touched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Touched {
    /// Which one.
    pub(crate) rule: RuleName,
    /// Which one it was before, if its counters are still its own.
    pub(crate) was: Option<RuleName>,
}

/// Numbers of counters that an edit wants changed.
struct Renumbered {
    /// For each rule in question; none for one that goes.
    new: Vec<Option<u32>>,
    /// Those that no rule had.
    taken: Vec<u32>,
    /// Those that no rule will have.
    gone: Vec<u32>,
}

impl AclAgent {
    /// Makes the objects say of some rules of a list what `lists` says of them. All objects or none.
    ///
    /// A rule that is new gets counters, one that goes gives them back.
    pub(crate) fn edit(
        &mut self,
        driver: &mut Driver,
        lists: &Document,
        (family, name): (Family, &str),
        touched: &[Touched],
    ) -> Result<(), AclError> {
        match family {
            Family::V4 => self.edit_of::<WORDS4>(driver, lists, family, name, touched, Changes::V4),
            Family::V6 => self.edit_of::<WORDS6>(driver, lists, family, name, touched, Changes::V6),
        }
    }

    fn edit_of<const W: usize>(
        &mut self,
        driver: &mut Driver,
        lists: &Document,
        family: Family,
        name: &str,
        touched: &[Touched],
        wrap: impl Fn(Vec<Change<W>>) -> Changes,
    ) -> Result<(), AclError>
    where
        Pattern<W>: Addresses,
        Compiled: Holds<W>,
    {
        let concerned =
            |object: &ObjectName| object.family == family && object.list.as_deref() == Some(name);
        let objects = self.objects.keys().filter(|object| concerned(object)).count();
        if objects == 0 {
            return Ok(());
        }
        let list = lists.list(family, name).ok_or_else(|| RuleError::NoList(name.to_owned()))?;
        let mut wanted = Vec::with_capacity(touched.len());
        for touched in touched {
            wanted.push((*touched, rules::of_rule::<W>(list, &lists.objects, touched.rule)?));
        }
        let numbers = self.renumber(family, name, &wanted)?;
        // When the only one is done, nothing can fail any more: lcores may see it at once.
        let nodes = if objects == 1 { Nodes::InPlace } else { Nodes::Copied };
        let mut undo: Vec<(ObjectName, Changes)> = Vec::new();
        let mut outcome = Ok(());
        for (object_name, object) in &mut self.objects {
            if !concerned(object_name) {
                continue;
            }
            let mut changes = Vec::new();
            for ((touched, new), number) in wanted.iter().zip(&numbers.new) {
                let place = packed(object_name, rules::place(touched.rule));
                if object.compiled.rule(place).is_some() {
                    changes.push(Change::Remove(place));
                }
                if let (Some((verdict, patterns)), Some(number)) = (new, number) {
                    let result = verdict.with_rule(*number).0;
                    changes.push(Change::Add(place, Rule { result, patterns: patterns.clone() }));
                }
            }
            let changes = wrap(changes);
            let inverse = object.compiled.inverse(&changes);
            let mut memory = Memory { lines: driver.view(self.lines), space: &mut self.space };
            if let Err(error) = object.compiled.apply(&mut memory, &changes, nodes) {
                outcome = Err(AclError::Classifier { what: object_name.to_string(), error });
                break;
            }
            undo.push((object_name.clone(), inverse));
        }
        if outcome.is_err() {
            for (object_name, inverse) in &undo {
                if let Some(object) = self.objects.get_mut(object_name) {
                    let mut memory =
                        Memory { lines: driver.view(self.lines), space: &mut self.space };
                    // Should there be no room even for this, lcores go on with what it is now.
                    let _ = object.compiled.apply(&mut memory, inverse, Nodes::Copied);
                }
            }
            for number in numbers.taken {
                self.counter_numbers.give(number);
            }
        } else {
            for (touched, number) in touched.iter().zip(numbers.new) {
                let counter = CounterName::Ace(family, name.to_owned(), touched.rule);
                match number {
                    Some(number) => self.counters.insert(counter, number),
                    None => self.counters.remove(&counter),
                };
            }
            for number in numbers.gone {
                self.cease(number);
            }
        }
        for (object_name, _) in &undo {
            if let Some(object) = self.objects.get(object_name) {
                self.point(driver, object.number, object.compiled.line());
            }
        }
        self.seal(driver);
        outcome
    }

    /// Which counters each rule will have, without changing any.
    fn renumber<R>(
        &mut self,
        family: Family,
        name: &str,
        wanted: &[(Touched, Option<R>)],
    ) -> Result<Renumbered, Exhausted> {
        let known = |rule| CounterName::Ace(family, name.to_owned(), rule);
        let numbers = wanted.iter().map(|(touched, _)| self.counters.get(&known(touched.rule)));
        let mut free: HashMap<RuleName, u32> = HashMap::new();
        for ((touched, _), number) in wanted.iter().zip(numbers) {
            free.extend(number.map(|number| (touched.rule, *number)));
        }
        let mut plan = Renumbered { new: Vec::new(), taken: Vec::new(), gone: Vec::new() };
        for (touched, new) in wanted {
            let own = touched.was.filter(|_| new.is_some()).and_then(|was| free.remove(&was));
            if own.is_some() || new.is_none() {
                plan.new.push(own);
                continue;
            }
            match self.take_counter() {
                Ok(number) => {
                    plan.new.push(Some(number));
                    plan.taken.push(number);
                }
                Err(error) => {
                    for number in plan.taken {
                        self.counter_numbers.give(number);
                    }
                    return Err(error);
                }
            }
        }
        plan.gone = free.into_values().collect();
        Ok(plan)
    }
}

/// Reads rules of one family.
trait Holds<const W: usize> {
    fn rule(&self, place: Place) -> Option<&Rule<W>>;
}

impl Holds<WORDS4> for Compiled {
    fn rule(&self, place: Place) -> Option<&Rule<WORDS4>> {
        match self {
            Self::V4(classifier) => classifier.rule(place),
            Self::V6(_) => None,
        }
    }
}

impl Holds<WORDS6> for Compiled {
    fn rule(&self, place: Place) -> Option<&Rule<WORDS6>> {
        match self {
            Self::V6(classifier) => classifier.rule(place),
            Self::V4(_) => None,
        }
    }
}
