//! Compiled objects of either family.

use qfp_core::acl::key::{WORDS4, WORDS6};
use qfp_core::acl::{Change, Classifier, ClassifierError, Memory, Nodes, Place, Prepared, Rule};

/// A classifier of one family.
pub(super) enum Compiled {
    V4(Classifier<WORDS4>),
    V6(Classifier<WORDS6>),
}

/// Rules of one family, in no order.
#[derive(Clone)]
pub(super) enum Rules {
    V4(Vec<(Place, Rule<WORDS4>)>),
    V6(Vec<(Place, Rule<WORDS6>)>),
}

/// Changes of rules of one family.
pub(super) enum Changes {
    V4(Vec<Change<WORDS4>>),
    V6(Vec<Change<WORDS6>>),
}

/// Prepared changes of one family.
pub(super) enum Pending {
    V4(Prepared<WORDS4>),
    V6(Prepared<WORDS6>),
}

impl Compiled {
    pub(super) fn build(memory: &mut Memory<'_>, rules: Rules) -> Result<Self, ClassifierError> {
        match rules {
            Rules::V4(rules) => Classifier::build(memory, rules).map(Self::V4),
            Rules::V6(rules) => Classifier::build(memory, rules).map(Self::V6),
        }
    }

    /// Where lcores begin.
    pub(super) fn line(&self) -> u32 {
        match self {
            Self::V4(classifier) => classifier.object(),
            Self::V6(classifier) => classifier.object(),
        }
    }

    pub(super) fn rules(&self) -> usize {
        match self {
            Self::V4(classifier) => classifier.len(),
            Self::V6(classifier) => classifier.len(),
        }
    }

    /// Whether it has just these rules.
    pub(super) fn holds(&self, rules: &Rules) -> bool {
        match (self, rules) {
            (Self::V4(classifier), Rules::V4(rules)) => same(classifier, rules),
            (Self::V6(classifier), Rules::V6(rules)) => same(classifier, rules),
            _ => false,
        }
    }

    /// Prepares changes of its family where no lcore sees them; none of the other's.
    pub(super) fn prepare(
        &mut self,
        memory: &mut Memory<'_>,
        changes: &Changes,
    ) -> Result<Option<Pending>, ClassifierError> {
        Ok(match (self, changes) {
            (Self::V4(classifier), Changes::V4(changes)) => {
                Some(Pending::V4(classifier.prepare(memory, changes, Nodes::InPlace)?))
            }
            (Self::V6(classifier), Changes::V6(changes)) => {
                Some(Pending::V6(classifier.prepare(memory, changes, Nodes::InPlace)?))
            }
            _ => None,
        })
    }

    /// Makes the changes that were prepared of it.
    pub(super) fn publish(&mut self, memory: &mut Memory<'_>, pending: Pending) {
        match (self, pending) {
            (Self::V4(classifier), Pending::V4(pending)) => classifier.publish(memory, pending),
            (Self::V6(classifier), Pending::V6(pending)) => classifier.publish(memory, pending),
            _ => {}
        }
    }

    /// Gives up the changes that were prepared of it.
    pub(super) fn abort(&mut self, memory: &mut Memory<'_>, pending: Pending) {
        match (self, pending) {
            (Self::V4(classifier), Pending::V4(pending)) => classifier.abort(memory, pending),
            (Self::V6(classifier), Pending::V6(pending)) => classifier.abort(memory, pending),
            _ => {}
        }
    }

    /// Builds it anew if it has been changed in place too often.
    pub(super) fn tidy(&mut self, memory: &mut Memory<'_>) -> Result<bool, ClassifierError> {
        match self {
            Self::V4(classifier) if classifier.wants_rebuild(memory) => classifier.rebuild(memory),
            Self::V6(classifier) if classifier.wants_rebuild(memory) => classifier.rebuild(memory),
            _ => return Ok(false),
        }
        .map(|()| true)
    }

    pub(super) fn retire(self, memory: &mut Memory<'_>) {
        match self {
            Self::V4(classifier) => classifier.retire(memory),
            Self::V6(classifier) => classifier.retire(memory),
        }
    }
}

fn same<const W: usize>(classifier: &Classifier<W>, rules: &[(Place, Rule<W>)]) -> bool {
    let mut sorted: Vec<&(Place, Rule<W>)> = rules.iter().collect();
    sorted.sort_by_key(|(place, _)| *place);
    classifier.len() == rules.len()
        && classifier.rules().zip(sorted).all(|(own, other)| own.0 == other.0 && *own.1 == other.1)
}
