//! Changes of a tree: the leaves that a rule is in are written anew, and the nodes above them are
//! copied or pointed to them.

use ahash::{AHashMap, AHashSet};
use pal::pool::Full;

use crate::acl::build::{Builder, LEAF, Stop};
use crate::acl::divide::Cut;
use crate::acl::draft::Draft;
use crate::acl::image::{Choice, Entry, LEAF_MAX, Line};
use crate::acl::leaf::{Filter, has_rank, read_leaf};
use crate::acl::pattern::Pattern;
use crate::acl::space::{read_child, read_choice};

/// One pattern that comes or goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edit<const W: usize> {
    filter: Filter<W>,
    comes: bool,
    cut: Cut<W>,
}

impl<const W: usize> Edit<W> {
    pub(super) fn add(pattern: Pattern<W>, rank: u32, result: u32) -> Self {
        let cut = Cut::of(&pattern);
        Self { filter: Filter { rank, result, pattern }, comes: true, cut }
    }

    pub(super) fn remove(pattern: Pattern<W>, rank: u32) -> Self {
        Self { comes: false, ..Self::add(pattern, rank, 0) }
    }

    pub(super) fn columns(&self) -> u32 {
        if self.comes { self.filter.pattern.columns() } else { 0 }
    }

    /// Whether its rule is in a tree: if so, it is in every leaf that a key which it matches leads to.
    pub(super) fn is_in(&self, lines: &[Line], tree: Entry) -> bool {
        let mut entry = tree;
        while entry.is_node() {
            let mut places = self.cut.places(read_choice(lines, entry));
            let Some(place) = places.next() else { return false };
            entry = read_child(lines, entry, place);
        }
        has_rank(lines, entry, |rank| rank == self.filter.rank)
    }

    /// How many leaves of a tree it is or would be in, up to about `limit`.
    pub(super) fn leaves(&self, lines: &[Line], tree: Entry, limit: usize) -> usize {
        let (mut met, mut left) = (AHashSet::new(), vec![tree]);
        let mut count = 0;
        while let Some(entry) = left.pop() {
            if !entry.is_node() {
                count += 1;
                continue;
            }
            let mut last = None;
            for place in self.cut.places(read_choice(lines, entry)) {
                if count + left.len() > limit {
                    return count + left.len();
                }
                let child = read_child(lines, entry, place);
                if last != Some(child) && met.insert(child) {
                    left.push(child);
                }
                last = Some(child);
            }
        }
        count
    }
}

/// What becomes of the nodes above a leaf that changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nodes {
    /// They are copied, so that readers of the old tree see none of it.
    Copied,
    /// Where there is only one way to a node, it stays and gets another child, as long as a key comes
    /// by at most one child that is another: if one tree changes alone.
    InPlace,
}

/// Carries edits into trees.
pub(super) struct Editor<'a, 'b, const W: usize> {
    draft: &'a mut Draft<'b>,
    /// At most 64.
    edits: &'a [Edit<W>],
    nodes: Nodes,
    /// What has taken the place of an entry that some edits concern, wherever it is met again.
    known: AHashMap<(Entry, u64), Entry>,
}

impl<'a, 'b, const W: usize> Editor<'a, 'b, W> {
    pub(super) fn new(draft: &'a mut Draft<'b>, edits: &'a [Edit<W>], nodes: Nodes) -> Self {
        Self { draft, edits, nodes, known: AHashMap::new() }
    }

    /// A tree that is `tree` with the edits of `own` (a bit each) made.
    pub(super) fn edit(&mut self, tree: Entry, own: u64) -> Result<Entry, Full> {
        self.changed(tree, own, [0; W], true)
    }

    /// The entry that takes the place of `entry`, itself if it can stay. `alone` says that the nodes
    /// above it are met once.
    fn changed(
        &mut self,
        entry: Entry,
        own: u64,
        asked: [u64; W],
        alone: bool,
    ) -> Result<Entry, Full> {
        if own == 0 {
            return Ok(entry);
        }
        if let Some(new) = self.known.get(&(entry, own)) {
            return Ok(*new);
        }
        let new = if entry.is_node() {
            self.node(entry, own, asked, alone)?
        } else {
            self.leaf(entry, own, &asked)?.unwrap_or(entry)
        };
        self.known.insert((entry, own), new);
        Ok(new)
    }

    fn node(
        &mut self,
        node: Entry,
        own: u64,
        mut asked: [u64; W],
        alone: bool,
    ) -> Result<Entry, Full> {
        let alone = alone && self.draft.space().is_sole(node);
        let lines = self.draft.lines();
        let choice = read_choice(lines, node);
        for (word, bits) in choice.words.into_iter().zip(choice.bits) {
            asked[word] |= bits;
        }
        let mut changes = Vec::new();
        for (place, own) in self.places(choice, own) {
            let child = read_child(lines, node, place);
            let new = self.changed(child, own, asked, alone)?;
            if new != child {
                changes.push((place, new));
            }
        }
        if changes.is_empty() {
            return Ok(node);
        }
        if alone && self.nodes == Nodes::InPlace {
            self.draft.change_in_place(node, &changes);
            return Ok(node);
        }
        self.draft.changed_node(node, &changes, alone)
    }

    /// The children that any of the edits `own` concern, and which of them.
    fn places(&self, choice: Choice, own: u64) -> Vec<(usize, u64)> {
        let of_edit = |number: usize| {
            self.edits[number].cut.places(choice).map(move |place| (place, 1 << number))
        };
        let mut places: Vec<(usize, u64)> = ones(own).flat_map(of_edit).collect();
        if own.count_ones() > 1 {
            places.sort_unstable();
            places.dedup_by(|next, kept| {
                let same = next.0 == kept.0;
                kept.1 |= if same { next.1 } else { 0 };
                same
            });
        }
        places
    }

    fn leaf(&mut self, leaf: Entry, own: u64, asked: &[u64; W]) -> Result<Option<Entry>, Full> {
        let lines = self.draft.lines();
        let edits: Vec<&Edit<W>> = ones(own).map(|number| &self.edits[number]).collect();
        let leaves = |rank| edits.iter().any(|edit| !edit.comes && edit.filter.rank == rank);
        let before = read_leaf::<W>(lines, leaf);
        let mut filters: Vec<Filter<W>> =
            before.iter().filter(|filter| !leaves(filter.rank)).copied().collect();
        let stayed = filters.len();
        filters.extend(edits.iter().filter(|edit| edit.comes).map(|edit| edit.filter));
        if stayed == before.len() && filters.len() == stayed {
            return Ok(None);
        }
        filters.sort_by_key(|filter| filter.rank);
        if filters.len() > 2 * LEAF {
            let all: Vec<u32> = (0..).take(filters.len()).collect();
            let mark = self.draft.mark();
            match Builder::new(self.draft, &filters).tree(&all, asked) {
                Ok(tree) => return Ok(Some(tree)),
                Err(Stop::Space(error)) => return Err(error),
                Err(Stop::Copies) => self.draft.abandon(mark),
            }
        }
        if filters.len() > LEAF_MAX {
            return Err(self.draft.space().lines().full(u32::MAX));
        }
        let filters: Vec<&Filter<W>> = filters.iter().collect();
        self.draft.leaf(leaf.columns(), &filters).map(Some)
    }
}

fn ones(mut mask: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = mask.trailing_zeros();
        mask &= mask.wrapping_sub(1);
        (bit < 64).then_some(bit as usize)
    })
}
