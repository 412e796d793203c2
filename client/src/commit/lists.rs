//! Edits of one access list while packets flow.

use std::collections::BTreeMap;

use crate::acl::{AccessList, Ace, Body, Document, EditError, Family, Name};
use crate::commit::transaction::{Agent, Prepare};
use crate::commit::{Client, CommitError};
use crate::ea::{ClassificationError, CounterName, EditPlan, RuleName, TcamUsage, Touched};
use crate::flowspec::{FlowTable, RouteTarget, TooComplex};
use crate::pbr::Rule;

/// One edit of an access list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListEdit {
    /// A new ace; at the end of the list without a sequence number.
    Add(Option<u32>, Ace),
    /// An entry goes.
    Delete(u32),
    /// Another ace in place of the one with this sequence number, at once.
    Replace(u32, Ace),
    /// An entry gets another sequence number, at once.
    Move(u32, u32),
}

/// Why a list is not edited. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// There is no such list.
    #[error("there is no access list {0}")]
    NoList(String),
    /// The edit itself.
    #[error("access list {list}: {error}")]
    Edit {
        /// The list.
        list: String,
        /// What is wrong.
        error: EditError,
    },
    /// It cannot be carried out.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// Which ace each entry was before a series of edits.
#[derive(Default)]
struct Origins(BTreeMap<u32, Option<u32>>);

impl Origins {
    /// What the entry `sequence` was; itself unless it has been touched.
    fn of(&self, sequence: u32) -> Option<u32> {
        self.0.get(&sequence).copied().unwrap_or(Some(sequence))
    }

    fn set(&mut self, sequence: u32, was: Option<u32>) {
        self.0.insert(sequence, was);
    }

    fn touched(&self) -> Vec<Touched> {
        let touched = |(sequence, was): (&u32, &Option<u32>)| Touched {
            rule: RuleName::of_ace(*sequence),
            was: was.map(RuleName::of_ace),
        };
        self.0.iter().map(touched).collect()
    }
}

/// Makes one edit. Returns what was in the places that it changed.
fn apply(
    list: &mut AccessList,
    edit: &ListEdit,
    origins: &mut Origins,
) -> Result<Vec<(u32, Option<Body>)>, EditError> {
    match edit {
        ListEdit::Add(sequence, ace) => {
            let sequence = list.put(*sequence, Body::Ace(Box::new(ace.clone())))?;
            origins.set(sequence, None);
            Ok(vec![(sequence, None)])
        }
        ListEdit::Delete(sequence) => {
            let body = list.delete(*sequence)?;
            origins.set(*sequence, None);
            Ok(vec![(*sequence, Some(body))])
        }
        ListEdit::Replace(sequence, ace) => {
            let body = list.replace(*sequence, Body::Ace(Box::new(ace.clone())))?;
            origins.set(*sequence, origins.of(*sequence));
            Ok(vec![(*sequence, Some(body))])
        }
        ListEdit::Move(from, to) => {
            let before = |n: u32| (n, list.entry(n).cloned());
            let before = vec![before(*from), before(*to)];
            list.move_entry(*from, *to)?;
            let was = origins.of(*from);
            origins.set(*from, None);
            origins.set(*to, was);
            Ok(before)
        }
    }
}

/// Edits of single lists, in the objects that have them.
struct ListEdits;

/// A list as it is after an edit, and the rules that differ.
#[derive(Clone, Copy)]
struct Edited<'a> {
    lists: &'a Document,
    what: (Family, &'a str),
    touched: &'a [Touched],
}

impl Agent for ListEdits {
    type Plan = EditPlan;

    fn publish(client: &mut Client, plan: &mut EditPlan) {
        client.classification.publish_edit(&client.driver, std::mem::take(plan));
    }

    fn keep(_: &mut Client, _: EditPlan) {}

    fn abort(client: &mut Client, plan: EditPlan) {
        client.classification.abort_edit(&client.driver, plan);
    }
}

impl Prepare<Edited<'_>> for ListEdits {
    type Error = ClassificationError;

    fn prepare(
        client: &mut Client,
        edited: Edited<'_>,
        plan: &mut EditPlan,
    ) -> Result<(), ClassificationError> {
        let Edited { lists, what, touched } = edited;
        client.classification.prepare_edit(&client.driver, lists, what, touched, plan)
    }
}

impl Client {
    /// Edits a list that `lists`, as of the last commit, has, and the rules that lcores look up in:
    /// all edits or none. Lcores see nothing before it is ready in all objects that have the list;
    /// then these follow one after the other. A packet meets the list as it was before the call or
    /// as it is after it, in each interface's direction. Counters go with an ace that is moved and stay with the number
    /// of one that is replaced; an ace that is added begins with new ones.
    ///
    /// Some ten microseconds for a few edits, unless lcores are slow to leave what earlier edits
    /// replaced and there is no room beside it: then up to 20 ms. More than 64 rebuild the list's
    /// objects. Route maps that name the list see the change with the next commit.
    ///
    /// # Errors
    /// No such list or entry, or no room.
    pub fn edit_list(
        &mut self,
        lists: &mut Document,
        family: Family,
        name: &str,
        edits: &[ListEdit],
    ) -> Result<(), ListError> {
        let no_list = || ListError::NoList(name.to_owned());
        let list = lists.list_mut(family, name).ok_or_else(no_list)?;
        self.driver.reclaim();
        self.classification.reclaim();
        let was_empty = list.aces().next().is_none();
        let mut origins = Origins::default();
        // What was in each place before, to be put back last to first.
        let mut undo: Vec<(u32, Option<Body>)> = Vec::with_capacity(edits.len());
        let mut outcome = Ok(());
        for edit in edits {
            match apply(list, edit, &mut origins) {
                Ok(changed) => undo.extend(changed),
                Err(error) => {
                    outcome = Err(ListError::Edit { list: name.to_owned(), error });
                    break;
                }
            }
        }
        let mut touched = origins.touched();
        if was_empty != list.aces().next().is_none() {
            // What follows the last ace depends on whether there is one.
            let implicit = (1..=RuleName::IMPLICIT_RULES).map(RuleName::implicit);
            touched.extend(implicit.map(|rule| Touched { rule, was: None }));
        }
        let outcome = outcome.and_then(|()| {
            let edited = Edited { lists, what: (family, name), touched: &touched };
            let edited = self.transact::<ListEdits, _>(edited);
            edited.map_err(|error| ListError::Commit(error.into()))
        });
        if outcome.is_err()
            && let Some(list) = lists.list_mut(family, name)
        {
            for (sequence, before) in undo.into_iter().rev() {
                // Each step back is to a state that the list has just had.
                drop(list.delete(sequence));
                if let Some(body) = before {
                    drop(list.put(Some(sequence), body));
                }
            }
        }
        outcome
    }

    /// Takes flow specifications, which the next commit applies to what comes in through any
    /// interface, before route maps. `vrf_of` gives the VRF that imports a route target.
    ///
    /// # Errors
    /// A specification takes too many rules; the earlier ones stay.
    pub fn set_flow_specs(
        &mut self,
        table: &FlowTable,
        vrf_of: impl Fn(RouteTarget) -> Option<Name>,
    ) -> Result<(), TooComplex> {
        let rules = |family| -> Result<Vec<Rule>, TooComplex> {
            let rule = |(id, components, actions)| Rule::of_flow(id, components, actions, &vrf_of);
            table.rules(family).map(rule).collect()
        };
        let (four, six) = (rules(Family::V4)?, rules(Family::V6)?);
        self.classification.set_flows(four, six);
        Ok(())
    }

    /// Builds one classification object anew that edits have made worse. Returns whether there was
    /// one: to be called when there is time, some milliseconds for ten thousand rules.
    pub fn tidy_lists(&mut self) -> bool {
        self.classification.tidy(&self.driver)
    }

    /// Rules that have counters, and the numbers of these.
    pub fn rule_counters(&self) -> impl Iterator<Item = (&CounterName, u32)> {
        self.classification.counters()
    }

    /// Numbers of counters that rules have left, that no lcore counts by any more, and that new
    /// rules get from now on: what they have counted so far will not be theirs. To be asked before
    /// each commit and edit by whoever reads counters; without, numbers are used again when there
    /// are no others.
    pub fn take_idle_counters(&mut self) -> Vec<u32> {
        self.classification.take_idle_counters()
    }

    /// What of the classifier is in use, and by whom (ARC-21).
    #[must_use]
    pub fn tcam_usage(&self) -> TcamUsage {
        self.classification.usage()
    }
}
