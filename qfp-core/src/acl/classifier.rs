//! A classifier: the rules of a bind point, and the object that lcores look packets up in.

use std::collections::{BTreeMap, BTreeSet};

use pal::pool::{Full, Span};

use crate::acl::build::{Builder, Forest};
use crate::acl::draft::{Draft, Mark, Written};
use crate::acl::edit::{Edit, Editor, Nodes};
use crate::acl::image::{Entry, LEAF_MAX, Line, TREES};
use crate::acl::leaf::Filter;
use crate::acl::pattern::Pattern;
use crate::acl::shadow::{Shadows, Uncovered};
use crate::acl::space::Space;

/// Features that one lookup can answer.
pub const FEATURES: usize = 4;
/// Ranks that a feature has.
const RANKS: u32 = 1 << 30;
/// Most changes that are made in place; more, and the object is built anew.
const EDITS: usize = 64;
/// Most leaves that one change may rewrite.
const LEAVES: usize = 1024;
/// Leaves from which on a rule is rather put into a tree of wide rules.
const WIDE: usize = 64;

/// Why rules cannot be compiled. The object is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClassifierError {
    /// No room.
    #[error(transparent)]
    Full(#[from] Full),
    /// So many rules that nothing but ranges tells apart.
    #[error("{0} rules differ in nothing that a lookup can divide them by")]
    Indivisible(usize),
    /// More features than a lookup answers.
    #[error("feature {0} does not exist: there are 4")]
    NoFeature(u8),
    /// A rule is to be removed that is not there.
    #[error("feature {0} has no rule {1}")]
    NoRule(u8, u64),
    /// A rule is to be added whose place is taken.
    #[error("feature {0} has a rule {1} already")]
    RuleExists(u8, u64),
}

/// Which rule: its feature, and its place among the rules of that feature. The lowest place that
/// matches wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// 0 to 3.
    pub feature: u8,
    /// Gaps are welcome.
    pub sequence: u64,
}

/// A rule: it matches keys that any of its patterns matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule<const W: usize> {
    /// What a lookup returns for it.
    pub result: u32,
    /// Its patterns.
    pub patterns: Vec<Pattern<W>>,
}

/// One change of a classifier's rules.
#[derive(Clone, Debug)]
pub enum Change<const W: usize> {
    /// A rule comes.
    Add(Place, Rule<W>),
    /// A rule goes.
    Remove(Place),
}

/// Where images lie: lines that lcores read too, and which of them are in use.
#[derive(Debug)]
pub struct Memory<'a> {
    /// The lines.
    pub lines: &'a [Line],
    /// Who has which.
    pub space: &'a mut Space,
}

#[derive(Clone, Debug)]
struct Ranked<const W: usize> {
    rank: u32,
    rule: Rule<W>,
}

/// Trees and the line that names them.
#[derive(Clone, Debug)]
struct Object {
    trees: Vec<Entry>,
    columns: u32,
    line: u32,
}

/// The rules of a bind point, compiled.
///
/// [`Classifier::object`] is what lcores need to know. A change leaves the old object intact and
/// makes a new one, or is a store in each node above the leaves that it concerns; either way, a
/// packet's lookup sees all of it or nothing.
#[derive(Debug)]
pub struct Classifier<const W: usize> {
    rules: BTreeMap<Place, Ranked<W>>,
    object: Object,
    /// Patterns that are not in the object.
    shadows: Shadows<W>,
    /// The tree of rules that would touch too many leaves of the others.
    wide: Option<usize>,
    /// Changes since it was built.
    edits: usize,
    /// Free lines that were too few to build it anew.
    too_few: Option<u32>,
}

/// Changes of a classifier that are written, and that lcores do not see.
#[derive(Debug)]
pub struct Prepared<const W: usize> {
    /// The rules before, first to last.
    undo: Vec<(Place, Option<Ranked<W>>)>,
    compiled: Compiled<W>,
}

#[derive(Debug)]
enum Compiled<const W: usize> {
    Built(Built<W>),
    /// Carried into the trees; without an object where the old one can stay.
    Edited {
        written: Written,
        object: Option<Object>,
        uncovered: Uncovered<W>,
        wide: Option<usize>,
        edits: usize,
    },
}

/// An object that was built anew, and the ranks that rules have in it.
#[derive(Debug)]
struct Built<const W: usize> {
    object: Object,
    shadows: Shadows<W>,
    ranks: Vec<u32>,
}

impl<const W: usize> Classifier<W> {
    /// Compiles rules; about 1 us a rule.
    ///
    /// # Errors
    /// No room, two rules in one place, or rules that cannot be divided; nothing is written.
    pub fn build(
        memory: &mut Memory<'_>,
        rules: impl IntoIterator<Item = (Place, Rule<W>)>,
    ) -> Result<Self, ClassifierError> {
        let mut ranked = BTreeMap::new();
        for (place, rule) in rules {
            check(place)?;
            if ranked.insert(place, Ranked { rank: 0, rule }).is_some() {
                return Err(ClassifierError::RuleExists(place.feature, place.sequence));
            }
        }
        let Built { object, shadows, ranks } = compile(memory, &ranked)?;
        set_ranks(&mut ranked, ranks);
        Ok(Self { rules: ranked, object, shadows, wide: None, edits: 0, too_few: None })
    }

    /// The object's line: what lcores look up in.
    #[must_use]
    pub fn object(&self) -> u32 {
        self.object.line
    }

    /// How many rules it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Its rules, by feature and place.
    pub fn rules(&self) -> impl Iterator<Item = (Place, &Rule<W>)> {
        self.rules.iter().map(|(place, ranked)| (*place, &ranked.rule))
    }

    /// The rule in a place.
    #[must_use]
    pub fn rule(&self, place: Place) -> Option<&Rule<W>> {
        self.rules.get(&place).map(|ranked| &ranked.rule)
    }

    /// The rule of a feature that `key` meets first, found one by one.
    #[must_use]
    pub fn first_match(&self, feature: u8, key: &[u64; W]) -> Option<(Place, &Rule<W>)> {
        let first = Place { feature, sequence: 0 };
        let last = Place { feature, sequence: u64::MAX };
        self.rules
            .range(first..=last)
            .find(|(_, ranked)| ranked.rule.patterns.iter().any(|pattern| pattern.matches(key)))
            .map(|(place, ranked)| (*place, &ranked.rule))
    }

    /// Whether so much has been changed in place that building anew would pay. It is not tried again
    /// after it was refused before more lines are free or something has changed.
    #[must_use]
    pub fn wants_rebuild(&self, memory: &Memory<'_>) -> bool {
        self.edits > 8 * self.rules.len() + 8192
            && self.too_few.is_none_or(|free| memory.space.lines().free() > free)
    }

    /// Makes changes, all of them or none: [`Classifier::prepare`], then [`Classifier::publish`].
    ///
    /// # Errors
    /// As [`Classifier::prepare`].
    pub fn apply(
        &mut self,
        memory: &mut Memory<'_>,
        changes: &[Change<W>],
        nodes: Nodes,
    ) -> Result<(), ClassifierError> {
        let prepared = self.prepare(memory, changes, nodes)?;
        self.publish(memory, prepared);
        Ok(())
    }

    /// Writes what changes take, all of them or none: a rule removed and added again in one call is
    /// replaced. Some microseconds each when they are few; when they are many, the cost of building.
    ///
    /// Lcores see nothing of it. The rules are changed already; what is prepared is to be published
    /// or aborted before anything else is done.
    ///
    /// # Errors
    /// As [`Classifier::build`], or a rule that is to go and is not there; nothing has changed.
    pub fn prepare(
        &mut self,
        memory: &mut Memory<'_>,
        changes: &[Change<W>],
        nodes: Nodes,
    ) -> Result<Prepared<W>, ClassifierError> {
        let mut undo = Vec::with_capacity(changes.len());
        let compiled = self.change_rules(changes, &mut undo);
        let compiled = compiled.and_then(|()| {
            let few = changes.len() <= EDITS;
            let edited = if few { self.edit(memory, &undo, nodes)? } else { None };
            edited.map_or_else(|| compile(memory, &self.rules).map(Compiled::Built), Ok)
        });
        match compiled {
            Ok(compiled) => Ok(Prepared { undo, compiled }),
            Err(error) => {
                self.restore(undo);
                Err(error)
            }
        }
    }

    /// Makes what was prepared the object. Lcores go on in the old one until they are pointed to
    /// [`Classifier::object`]. With [`Nodes::InPlace`], it may also stay where it is, and they see
    /// the changes before this returns, each packet all of them or none.
    pub fn publish(&mut self, memory: &mut Memory<'_>, prepared: Prepared<W>) {
        self.too_few = None;
        match prepared.compiled {
            Compiled::Built(Built { object, shadows, ranks }) => {
                set_ranks(&mut self.rules, ranks);
                std::mem::replace(&mut self.object, object).retire(memory);
                self.shadows = shadows;
                (self.wide, self.edits) = (None, 0);
            }
            Compiled::Edited { written, object, uncovered, wide, edits } => {
                let old = object.map(|new| std::mem::replace(&mut self.object, new));
                let draft = Draft::new(memory.lines, memory.space, written);
                draft.replace(old.as_ref().map(|old| (old.trees.as_slice(), old.line)));
                self.shadows.forget(uncovered);
                (self.wide, self.edits) = (wide, self.edits + edits);
            }
        }
    }

    /// Gives up what was prepared.
    pub fn abort(&mut self, memory: &mut Memory<'_>, prepared: Prepared<W>) {
        match prepared.compiled {
            Compiled::Built(built) => built.object.retire(memory),
            Compiled::Edited { written, .. } => {
                Draft::new(memory.lines, memory.space, written).abandon(Mark::START);
            }
        }
        self.restore(prepared.undo);
    }

    fn restore(&mut self, undo: Vec<(Place, Option<Ranked<W>>)>) {
        for (place, before) in undo.into_iter().rev() {
            match before {
                Some(ranked) => self.rules.insert(place, ranked),
                None => self.rules.remove(&place),
            };
        }
    }

    /// Compiles the rules anew.
    ///
    /// # Errors
    /// No room; the object is as it was.
    pub fn rebuild(&mut self, memory: &mut Memory<'_>) -> Result<(), ClassifierError> {
        match compile(memory, &self.rules) {
            Ok(built) => {
                let compiled = Compiled::Built(built);
                self.publish(memory, Prepared { undo: Vec::new(), compiled });
                Ok(())
            }
            Err(error) => {
                self.too_few = Some(memory.space.lines().free());
                Err(error)
            }
        }
    }

    /// Gives the object's memory back, once lcores have left it.
    pub fn retire(self, memory: &mut Memory<'_>) {
        self.object.retire(memory);
    }

    /// Changes the rules alone, and notes what was in each place before.
    fn change_rules(
        &mut self,
        changes: &[Change<W>],
        undo: &mut Vec<(Place, Option<Ranked<W>>)>,
    ) -> Result<(), ClassifierError> {
        for change in changes {
            match change {
                Change::Add(place, rule) => {
                    check(*place)?;
                    if self.rules.contains_key(place) {
                        return Err(ClassifierError::RuleExists(place.feature, place.sequence));
                    }
                    let rank = self.rank_between(*place);
                    self.rules.insert(*place, Ranked { rank, rule: rule.clone() });
                    undo.push((*place, None));
                }
                Change::Remove(place) => match self.rules.remove(place) {
                    Some(before) => undo.push((*place, Some(before))),
                    None => return Err(ClassifierError::NoRule(place.feature, place.sequence)),
                },
            }
        }
        Ok(())
    }

    /// A rank between those of the neighbours of `place`; 0 when there is none left.
    fn rank_between(&self, place: Place) -> u32 {
        let (low, high) = ranks(place.feature);
        let same = |other: &(&Place, &Ranked<W>)| other.0.feature == place.feature;
        let before = self.rules.range(..place).next_back().filter(same);
        let after = self.rules.range(place..).next().filter(same);
        let neighbours = [before, after].into_iter().flatten();
        if neighbours.map(|(_, ranked)| ranked.rank).any(|rank| rank == 0) {
            return 0;
        }
        let low = before.map_or(low, |(_, ranked)| ranked.rank);
        let high = after.map_or(high, |(_, ranked)| ranked.rank);
        let rank = low + high.saturating_sub(low) / 2;
        if rank == low { 0 } else { rank }
    }

    /// Carries the changes into the trees; none when they are better built anew.
    fn edit(
        &self,
        memory: &mut Memory<'_>,
        undo: &[(Place, Option<Ranked<W>>)],
        nodes: Nodes,
    ) -> Result<Option<Compiled<W>>, ClassifierError> {
        let mut edits: Vec<Edit<W>> = Vec::new();
        let gone = || undo.iter().filter_map(|(place, old)| Some((*place, old.as_ref()?)));
        for (_, before) in gone() {
            edits.extend(before.rule.patterns.iter().map(|p| Edit::remove(*p, before.rank)));
        }
        let removed = edits.len();
        let added: BTreeSet<&Place> =
            undo.iter().filter(|(_, before)| before.is_none()).map(|(place, _)| place).collect();
        let come = || added.iter().filter_map(|place| Some((**place, self.rules.get(place)?)));
        let uncovered = self.shadows.without(
            gone().map(|(place, old)| (place, &old.rule)),
            come().map(|(place, new)| (place, &new.rule)),
        );
        for (pattern, place) in &uncovered.bare {
            if let Some(Ranked { rank, rule }) = self.rules.get(place) {
                edits.push(Edit::add(*pattern, *rank, rule.result));
            }
        }
        for (_, after) in come() {
            if after.rank == 0 {
                return Ok(None);
            }
            let add = |p: &Pattern<W>| Edit::add(*p, after.rank, after.rule.result);
            edits.extend(after.rule.patterns.iter().map(add));
        }
        if edits.len() > EDITS {
            return Ok(None);
        }
        let mut trees = self.object.trees.clone();
        let mut wide = self.wide;
        let mut own = vec![0_u64; TREES];
        for (number, edit) in edits.iter().enumerate() {
            if number < removed {
                for (own, tree) in own.iter_mut().zip(&trees) {
                    *own |= u64::from(edit.is_in(memory.lines, *tree)) << number;
                }
                continue;
            }
            let enough = if wide.is_some() || trees.len() < TREES { WIDE } else { LEAVES };
            let touched = |tree: &Entry| edit.leaves(memory.lines, *tree, enough);
            let best = trees.iter().map(touched).enumerate().min_by_key(|(_, leaves)| *leaves);
            let tree = match (best, wide) {
                (Some((tree, leaves)), _) if leaves <= WIDE => tree,
                (_, Some(wide)) => wide,
                (_, None) if trees.len() < TREES => {
                    trees.push(Entry::EMPTY);
                    *wide.insert(trees.len() - 1)
                }
                (Some((tree, leaves)), None) if leaves < LEAVES => tree,
                _ => return Ok(None),
            };
            own[tree] |= 1 << number;
        }
        let columns = edits.iter().fold(self.object.columns, |columns, e| columns | e.columns());
        // A packet goes through every tree, but only one way through each; and it brings the columns
        // that the object had when its key was made.
        let one = own.iter().filter(|own| **own != 0).count() <= 1;
        let nodes = if one && columns == self.object.columns { nodes } else { Nodes::Copied };
        let mut draft = Draft::new(memory.lines, memory.space, Written::default());
        let mut editor = Editor::new(&mut draft, &edits, nodes);
        let edited = trees.iter().zip(own).map(|(tree, own)| editor.edit(*tree, own));
        let edited: Result<Vec<Entry>, Full> = edited.collect();
        let edited = edited.and_then(|trees| match nodes {
            Nodes::InPlace if trees == self.object.trees => Ok(None),
            _ => Object::new(&mut draft, trees, columns).map(Some),
        });
        match edited {
            Ok(object) => {
                let (written, edits) = (draft.written(), edits.len());
                Ok(Some(Compiled::Edited { written, object, uncovered, wide, edits }))
            }
            Err(error) => {
                draft.abandon(Mark::START);
                Err(error.into())
            }
        }
    }
}

impl Object {
    fn new(draft: &mut Draft<'_>, trees: Vec<Entry>, columns: u32) -> Result<Self, Full> {
        let line = draft.object(&trees, columns)?;
        Ok(Self { trees, columns, line })
    }

    fn retire(self, memory: &mut Memory<'_>) {
        for tree in self.trees {
            memory.space.release(memory.lines, tree);
        }
        memory.space.retire(Span { first: self.line, count: 1 });
    }
}

/// Builds an object of `rules`.
fn compile<const W: usize>(
    memory: &mut Memory<'_>,
    rules: &BTreeMap<Place, Ranked<W>>,
) -> Result<Built<W>, ClassifierError> {
    let ranks = spread(rules);
    let ranked = rules.iter().zip(&ranks);
    let (filters, shadows) =
        Shadows::of(ranked.map(|((place, ranked), rank)| (*place, *rank, &ranked.rule)));
    let columns = filters.iter().fold(0, |columns, filter| columns | filter.pattern.columns());
    let mut draft = Draft::new(memory.lines, memory.space, Written::default());
    let trees = build_trees(&mut draft, &filters);
    match trees.and_then(|trees| Ok(Object::new(&mut draft, trees, columns)?)) {
        Ok(object) => Ok(Built { object, shadows, ranks }),
        Err(error) => {
            draft.abandon(Mark::START);
            Err(error)
        }
    }
}

fn set_ranks<const W: usize>(rules: &mut BTreeMap<Place, Ranked<W>>, ranks: Vec<u32>) {
    rules.values_mut().zip(ranks).for_each(|(ranked, rank)| ranked.rank = rank);
}

/// The trees of `filters`.
fn build_trees<const W: usize>(
    draft: &mut Draft<'_>,
    filters: &[Filter<W>],
) -> Result<Vec<Entry>, ClassifierError> {
    let all = (0..).take(filters.len()).collect();
    let Forest { mut trees, mut stubborn } = Builder::new(draft, filters).trees(all)?;
    // Rules that no bit divides are looked through one after the other.
    stubborn.sort_unstable();
    for chunk in stubborn.chunks(LEAF_MAX) {
        if trees.len() == TREES {
            return Err(ClassifierError::Indivisible(stubborn.len()));
        }
        let filters: Vec<&Filter<W>> = chunk.iter().map(|rule| &filters[*rule as usize]).collect();
        trees.push(draft.leaf(0, &filters)?);
    }
    Ok(trees)
}

/// Ranks for rules, with gaps between them.
fn spread<const W: usize>(rules: &BTreeMap<Place, Ranked<W>>) -> Vec<u32> {
    let mut count = [0_u32; FEATURES];
    for place in rules.keys() {
        count[usize::from(place.feature)] += 1;
    }
    let mut next = [0_u32; FEATURES];
    let rank = |place: &Place| {
        let feature = usize::from(place.feature);
        next[feature] += 1;
        let step = (RANKS - 2) / (count[feature] + 1);
        ranks(place.feature).0 + next[feature] * step
    };
    rules.keys().map(rank).collect()
}

/// The ranks below and above all those of a feature.
fn ranks(feature: u8) -> (u32, u32) {
    let first = u32::from(feature) * RANKS;
    (first, first + (RANKS - 1))
}

fn check(place: Place) -> Result<(), ClassifierError> {
    if usize::from(place.feature) < FEATURES {
        Ok(())
    } else {
        Err(ClassifierError::NoFeature(place.feature))
    }
}
