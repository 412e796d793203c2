//! Trees: how rules are divided by bits of the key until few are left.
//!
//! A node asks for the bits that divide its rules best. A rule that does not care about a chosen
//! bit goes both ways, so rules that leave the source open, the destination, or both, are kept in
//! trees apart where they are many ([`Builder::trees`]).

use ahash::AHashMap;
use pal::pool::Full;

use crate::acl::divide::Divider;
use crate::acl::draft::Draft;
use crate::acl::image::{BLOCK, Entry, LEAF_MAX};
use crate::acl::leaf::Filter;

/// Rules of a leaf that are not divided further.
pub(super) const LEAF: usize = BLOCK;

/// Lines that a tree of a set of `rules` may take: 4 MB for 10,000.
fn room(rules: usize) -> usize {
    (20 * rules + 1000).min(5 * rules + 12_000)
}

/// Why a tree was given up. What it wrote is for its owner to abandon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// No room.
    Space(Full),
    /// Too many copies of rules, or rules that cannot be divided.
    Copies,
}

/// The trees of some rules, and rules that no bit divides.
#[derive(Debug)]
pub(super) struct Forest {
    pub(super) trees: Vec<Entry>,
    pub(super) stubborn: Vec<u32>,
}

/// Builds the trees of one set of rules.
pub(super) struct Builder<'a, 'b, const W: usize> {
    draft: &'a mut Draft<'b>,
    filters: &'a [Filter<W>],
    divider: Divider<W>,
    /// Columns that leaves have even if their rules do not ask for them, so that all leaves of a
    /// tree are read alike.
    columns: u32,
    /// Lines of the draft from which on the tree takes too many.
    limit: usize,
    /// Nodes and leaves of the tree, by their rules: whatever leads to them, they are the same.
    known: AHashMap<Vec<u32>, Entry>,
}

impl<'a, 'b, const W: usize> Builder<'a, 'b, W> {
    /// A builder over `filters`, which are in order of rank.
    pub(super) fn new(draft: &'a mut Draft<'b>, filters: &'a [Filter<W>]) -> Self {
        let divider = Divider::new(filters.iter().map(|filter| &filter.pattern), LEAF);
        Self { draft, filters, divider, columns: 0, limit: 0, known: AHashMap::new() }
    }

    /// Trees of the rules `list`, as few as take no more than their share of memory: rules are kept
    /// apart by whether they name a source, or a destination. Nothing refers to the trees yet.
    pub(super) fn trees(&mut self, list: Vec<u32>) -> Result<Forest, Full> {
        let parts = self.sides(&list);
        if parts.as_ref().is_none_or(|parts| self.mix(&list, parts)) {
            let mark = self.draft.mark();
            match self.tree(&list, &[0; W]) {
                Ok(tree) => return Ok(Forest { trees: vec![tree], stubborn: Vec::new() }),
                Err(Stop::Space(error)) if parts.is_none() => return Err(error),
                Err(_) => self.draft.abandon(mark),
            }
        }
        let Some([first, rest]) = parts else {
            return Ok(Forest { trees: Vec::new(), stubborn: list });
        };
        let (mut forest, rest) = (self.trees(first)?, self.trees(rest)?);
        forest.trees.extend(rest.trees);
        forest.stubborn.extend(rest.stubborn);
        Ok(forest)
    }

    /// Rules that name one side, and the others: the side that fewer rules leave open, but some.
    fn sides(&self, list: &[u32]) -> Option<[Vec<u32>; 2]> {
        let named = |side: usize| {
            let (first, rest): (Vec<u32>, Vec<u32>) =
                list.iter().partition(|rule| self.names(**rule)[side]);
            (!first.is_empty() && !rest.is_empty()).then_some([first, rest])
        };
        [0, 1].into_iter().filter_map(named).min_by_key(|[_, rest]| rest.len())
    }

    /// Whether one tree is worth trying for all of `list`: because all its rules name the same side,
    /// or few would have many copies, one for about every ten of the others.
    fn mix(&self, list: &[u32], [first, rest]: &[Vec<u32>; 2]) -> bool {
        let few = first.len().min(rest.len());
        [0, 1].into_iter().any(|side| list.iter().all(|rule| self.names(*rule)[side]))
            || few * list.len() / 10 <= (6 * list.len() + 8192).max(40_000)
    }

    /// Which sides a rule names.
    fn names(&self, rule: u32) -> [bool; 2] {
        self.filters[rule as usize].pattern.named()
    }

    /// A tree of the rules `list`, whose keys are known to agree in the bits `asked`. Nothing refers
    /// to it yet.
    pub(super) fn tree(&mut self, list: &[u32], asked: &[u64; W]) -> Result<Entry, Stop> {
        let patterns = list.iter().map(|rule| &self.filters[*rule as usize].pattern);
        self.columns = patterns.fold(0, |columns, pattern| columns | pattern.columns());
        self.limit = self.draft.taken() + room(self.filters.len());
        self.known.clear();
        self.node(list, *asked)
    }

    fn node(&mut self, list: &[u32], mut asked: [u64; W]) -> Result<Entry, Stop> {
        let Some(choice) = self.divider.choose(list, &asked) else { return self.leaf(list) };
        for (word, bits) in choice.words.into_iter().zip(choice.bits) {
            asked[word] |= bits;
        }
        let lists = self.divider.divide(list, choice);
        let mut children = Vec::with_capacity(lists.len());
        for below in lists {
            let child = match self.known.get(below.as_slice()) {
                Some(child) => *child,
                None => {
                    let child = self.node(&below, asked)?;
                    self.known.insert(below, child);
                    child
                }
            };
            children.push(child);
        }
        self.draft.node(choice, &children).map_err(Stop::Space)
    }

    fn leaf(&mut self, list: &[u32]) -> Result<Entry, Stop> {
        if list.len() > LEAF_MAX || self.draft.taken() > self.limit {
            return Err(Stop::Copies);
        }
        let filters: Vec<_> = list.iter().map(|rule| &self.filters[*rule as usize]).collect();
        self.draft.leaf(self.columns, &filters).map_err(Stop::Space)
    }
}
