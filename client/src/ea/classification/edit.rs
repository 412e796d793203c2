//! Edits of one list in the objects that have it, while lcores look up in them.

use std::collections::HashMap;

use driver::Driver;
use pal::pool::Full;
use qfp_core::acl::key::{WORDS4, WORDS6};
use qfp_core::acl::{AclResult, Change, Memory, Pattern, Place, Rule};

use super::names::{CounterName, ObjectName, packed};
use super::object::{Changes, Compiled, Pending};
use super::rules::{self, RuleError, RuleName};
use super::{ClassificationAgent, ClassificationError};
use crate::acl::{Document, Family};

/// A rule of a list that an edit has touched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Touched {
    /// Which one.
    pub(crate) rule: RuleName,
    /// Which one it was before, if its counters are still its own.
    pub(crate) was: Option<RuleName>,
}

/// An edit of a list, prepared in all objects that have it.
#[derive(Default)]
pub(crate) struct EditPlan {
    pending: Vec<(ObjectName, Pending)>,
    /// Numbers for counters of the rules in question; none for one that goes.
    new: Vec<(CounterName, Option<u32>)>,
    /// Those that no rule had.
    taken: Vec<u32>,
    /// Those that no rule will have.
    gone: Vec<u32>,
}

impl ClassificationAgent {
    /// Prepares that the objects say of some rules of a list what `lists` says of them.
    ///
    /// A rule that is new gets counters, one that goes gives them back.
    pub(crate) fn prepare_edit(
        &mut self,
        driver: &Driver,
        lists: &Document,
        (family, name): (Family, &str),
        touched: &[Touched],
        plan: &mut EditPlan,
    ) -> Result<(), ClassificationError> {
        let list = lists.list(family, name).ok_or_else(|| RuleError::NoList(name.to_owned()))?;
        match family {
            Family::V4 => {
                let rule = |rule| rules::of_rule::<WORDS4>(list, &lists.objects, rule);
                self.edit_of(driver, (family, name), touched, rule, Changes::V4, plan)
            }
            Family::V6 => {
                let rule = |rule| rules::of_rule::<WORDS6>(list, &lists.objects, rule);
                self.edit_of(driver, (family, name), touched, rule, Changes::V6, plan)
            }
        }
    }

    fn edit_of<const W: usize>(
        &mut self,
        driver: &Driver,
        (family, name): (Family, &str),
        touched: &[Touched],
        rule: impl Fn(RuleName) -> Result<Option<(AclResult, Vec<Pattern<W>>)>, RuleError>,
        wrap: impl Fn(Vec<Change<W>>) -> Changes,
        plan: &mut EditPlan,
    ) -> Result<(), ClassificationError>
    where
        Compiled: Holds<W>,
    {
        let concerned =
            |object: &ObjectName| object.family == family && object.list.as_deref() == Some(name);
        if !self.objects.keys().any(concerned) {
            return Ok(());
        }
        let mut wanted = Vec::with_capacity(touched.len());
        for touched in touched {
            wanted.push((*touched, rule(touched.rule)?));
        }
        self.renumber(family, name, &wanted, plan)?;
        for (object_name, object) in self.objects.iter_mut().filter(|(name, _)| concerned(name)) {
            let mut changes = Vec::new();
            for ((touched, new), (_, number)) in wanted.iter().zip(&plan.new) {
                let place = packed(object_name, rules::place(touched.rule));
                if object.compiled.rule(place).is_some() {
                    changes.push(Change::Remove(place));
                }
                if let (Some((verdict, patterns)), Some(number)) = (new, number) {
                    let result = verdict.with_rule(*number).0;
                    changes.push(Change::Add(place, Rule { result, patterns: patterns.clone() }));
                }
            }
            let mut memory = Memory { lines: driver.view(self.lines), space: &mut self.space };
            let pending = object.compiled.prepare(&mut memory, &wrap(changes));
            let pending = pending.map_err(|error| ClassificationError::Classifier {
                what: object_name.to_string(),
                error,
            })?;
            plan.pending.extend(pending.map(|pending| (object_name.clone(), pending)));
        }
        Ok(())
    }

    /// Which counters each rule will have, without changing any.
    fn renumber<R>(
        &mut self,
        family: Family,
        name: &str,
        wanted: &[(Touched, Option<R>)],
        plan: &mut EditPlan,
    ) -> Result<(), Full> {
        let known = |rule| CounterName::Ace(family, name.to_owned(), rule);
        let numbers = wanted.iter().map(|(touched, _)| self.counters.get(&known(touched.rule)));
        let mut free: HashMap<RuleName, u32> = HashMap::new();
        for ((touched, _), number) in wanted.iter().zip(numbers) {
            free.extend(number.map(|number| (touched.rule, *number)));
        }
        for (touched, new) in wanted {
            let own = touched.was.filter(|_| new.is_some()).and_then(|was| free.remove(&was));
            let number = match own {
                None if new.is_some() => {
                    let (number, _) = self.take_counter(&known(touched.rule))?;
                    plan.taken.push(number);
                    Some(number)
                }
                own => own,
            };
            if let Some(number) = own {
                self.counter_numbers.note(format!("{:?}", known(touched.rule)), number);
            }
            plan.new.push((known(touched.rule), number));
        }
        plan.gone = free.into_values().collect();
        Ok(())
    }

    /// Has lcores see what was prepared, object by object, and gives back what it replaces.
    pub(crate) fn publish_edit(&mut self, driver: &Driver, plan: EditPlan) {
        for (name, pending) in plan.pending {
            let Some(object) = self.objects.get_mut(&name) else { continue };
            let mut memory = Memory { lines: driver.view(self.lines), space: &mut self.space };
            object.compiled.publish(&mut memory, pending);
            object.from = None;
            let (number, line) = (object.number, object.compiled.line());
            self.point(driver, number, line);
        }
        for (counter, number) in plan.new {
            match number {
                Some(number) => self.counters.insert(counter, number),
                None => self.counters.remove(&counter),
            };
        }
        for number in plan.gone {
            self.counter_numbers.retire(number);
        }
    }

    /// Gives up what was prepared.
    pub(crate) fn abort_edit(&mut self, driver: &Driver, plan: EditPlan) {
        for (name, pending) in plan.pending {
            if let Some(object) = self.objects.get_mut(&name) {
                let mut memory = Memory { lines: driver.view(self.lines), space: &mut self.space };
                object.compiled.abort(&mut memory, pending);
            }
        }
        for number in plan.taken {
            self.counter_numbers.give_back(number);
        }
    }
}

/// Reads rules of one family.
pub(super) trait Holds<const W: usize> {
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
