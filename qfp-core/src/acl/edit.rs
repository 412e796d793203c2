//! Changes of a tree: the leaves that a rule is in are written anew, and the nodes above them.

use ahash::AHashMap;

use crate::acl::build::{Builder, LEAF, Stop};
use crate::acl::divide::Cut;
use crate::acl::draft::Draft;
use crate::acl::image::{Entry, LEAF_MAX, Line};
use crate::acl::leaf::{Filter, has_rank, read_leaf};
use crate::acl::pattern::Pattern;
use crate::acl::space::{SpaceError, read_node};

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

    /// How many leaves of a tree it is in, up to about `limit`.
    pub(super) fn leaves(&self, lines: &[Line], tree: Entry, limit: usize) -> usize {
        if !tree.is_node() {
            return 1;
        }
        let (choice, children) = read_node(lines, tree);
        let mut below: Vec<Entry> =
            self.cut.places(choice).take(4 * limit).map(|place| children[place]).collect();
        below.sort_unstable_by_key(|child| child.0);
        below.dedup();
        let mut count = 0;
        for child in below {
            count += self.leaves(lines, child, limit);
            if count > limit {
                break;
            }
        }
        count
    }
}

/// Carries edits into trees.
pub(super) struct Editor<'a, 'b, const W: usize> {
    pub(super) draft: &'a mut Draft<'b>,
    /// At most 64.
    pub(super) edits: &'a [Edit<W>],
}

impl<const W: usize> Editor<'_, '_, W> {
    /// A tree that is `tree` with the edits of `own` (a bit each) made.
    pub(super) fn edit(&mut self, tree: Entry, own: u64) -> Result<Entry, SpaceError> {
        Ok(self.changed(tree, own, [0; W])?.unwrap_or(tree))
    }

    /// The entry that takes the place of `entry`; none when it can stay.
    fn changed(
        &mut self,
        entry: Entry,
        own: u64,
        asked: [u64; W],
    ) -> Result<Option<Entry>, SpaceError> {
        if own == 0 {
            return Ok(None);
        }
        if entry.is_node() { self.node(entry, own, asked) } else { self.leaf(entry, own, &asked) }
    }

    fn node(
        &mut self,
        node: Entry,
        own: u64,
        mut asked: [u64; W],
    ) -> Result<Option<Entry>, SpaceError> {
        let (choice, mut children) = read_node(self.draft.lines(), node);
        for (word, bits) in choice.words.into_iter().zip(choice.bits) {
            asked[word] |= bits;
        }
        let mut wanted = vec![0_u64; children.len()];
        for number in ones(own) {
            for place in self.edits[number].cut.places(choice) {
                wanted[place] |= 1 << number;
            }
        }
        let mut known: AHashMap<(Entry, u64), Entry> = AHashMap::new();
        let mut fresh = false;
        for (child, own) in children.iter_mut().zip(wanted) {
            if own == 0 {
                continue;
            }
            let new = match known.get(&(*child, own)) {
                Some(new) => *new,
                None => self.changed(*child, own, asked)?.unwrap_or(*child),
            };
            known.insert((*child, own), new);
            fresh |= new != *child;
            *child = new;
        }
        Ok(if fresh { Some(self.draft.node(choice, &children)?) } else { None })
    }

    fn leaf(
        &mut self,
        leaf: Entry,
        own: u64,
        asked: &[u64; W],
    ) -> Result<Option<Entry>, SpaceError> {
        let lines = self.draft.lines();
        let edits: Vec<&Edit<W>> = ones(own).map(|number| &self.edits[number]).collect();
        let leaves = |rank| edits.iter().any(|edit| !edit.comes && edit.filter.rank == rank);
        if edits.iter().all(|edit| !edit.comes) && !has_rank(lines, leaf, leaves) {
            return Ok(None);
        }
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
            let free = self.draft.space().free();
            return Err(SpaceError { wanted: u32::MAX, free: free.0, waiting: free.1 });
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
