//! What a build or an update has written that no reader sees yet: all of it can be given back.

use std::collections::{BTreeMap, BTreeSet};

use pal::pool::{Full, Span};

use crate::acl::image::{
    BLOCK, Choice, Entry, Line, NODE_CHILDREN, TREES, block_lines, node_lines,
};
use crate::acl::leaf::{Filter, write_leaf};
use crate::acl::space::{Space, copy, publish, read_child, read_choice, read_node, store, write};

/// Nodes and leaves that are being written.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    lines: &'a [Line],
    space: &'a mut Space,
    written: Written,
    /// Blocks with lanes to spare, by columns and number of those lanes, which are the last.
    spare: BTreeMap<(u32, usize), Vec<u32>>,
}

/// What a draft has written, to be taken up again.
#[derive(Debug, Default)]
pub(super) struct Written {
    nodes: Vec<Entry>,
    extents: Vec<Span>,
    /// Lines of these.
    taken: usize,
    /// Nodes whose references to children have passed to a changed copy, the children that the copy
    /// has instead of some, and those that it has no more.
    replaced: BTreeSet<Entry>,
    new: Vec<Entry>,
    old: Vec<Entry>,
    /// Nodes that readers see, places in them, and the children that are to come there.
    in_place: Vec<(Entry, usize, Entry)>,
}

/// How much of a draft there was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    nodes: usize,
    extents: usize,
    new: usize,
}

impl Mark {
    /// Nothing.
    pub(super) const START: Self = Self { nodes: 0, extents: 0, new: 0 };
}

impl<'a> Draft<'a> {
    pub(super) fn new(lines: &'a [Line], space: &'a mut Space, written: Written) -> Self {
        Self { lines, space, written, spare: BTreeMap::new() }
    }

    pub(super) fn written(self) -> Written {
        self.written
    }

    pub(super) fn lines(&self) -> &'a [Line] {
        self.lines
    }

    pub(super) fn space(&mut self) -> &mut Space {
        self.space
    }

    /// Writes a node, which then refers to its children.
    pub(super) fn node(&mut self, choice: Choice, children: &[Entry]) -> Result<Entry, Full> {
        let line = self.alloc(node_lines(children.len()))?;
        let children_words = children.iter().map(|child| child.0);
        write(self.lines, line, choice.bits.into_iter().chain(children_words));
        for child in children {
            self.space.refer(*child);
        }
        let node = Entry::node(line, choice.words);
        self.written.nodes.push(node);
        Ok(node)
    }

    /// Writes a node that is `node` with other children in some places. When it alone takes the
    /// place of `node`, which one slot refers to, references to children that stay pass to it.
    pub(super) fn changed_node(
        &mut self,
        node: Entry,
        changes: &[(usize, Entry)],
        alone: bool,
    ) -> Result<Entry, Full> {
        let choice = read_choice(self.lines, node);
        let count = node_lines(1 << choice.count());
        let line = self.alloc(count)?;
        copy(self.lines, node.line(), line, count);
        for (place, child) in changes {
            store(self.lines, line, NODE_CHILDREN + place, child.0);
        }
        let changed = Entry::node(line, choice.words);
        if alone {
            self.exchange(node, changes);
            self.written.replaced.insert(node);
        } else {
            for child in read_node(self.lines, changed).1 {
                self.space.refer(child);
            }
            self.written.nodes.push(changed);
        }
        Ok(changed)
    }

    /// Has other children put into some places of a node that readers see, once all of the draft is
    /// written.
    pub(super) fn change_in_place(&mut self, node: Entry, changes: &[(usize, Entry)]) {
        self.exchange(node, changes);
        self.written.in_place.extend(changes.iter().map(|(place, child)| (node, *place, *child)));
    }

    /// References of `node` go over from the children in some places to others.
    fn exchange(&mut self, node: Entry, changes: &[(usize, Entry)]) {
        for (place, child) in changes {
            self.space.refer(*child);
            self.written.new.push(*child);
            self.written.old.push(read_child(self.lines, node, *place));
        }
    }

    /// Makes the changes in place, and sets aside what there was instead of what was written; so
    /// also the trees and the line of an object in whose place another was written.
    pub(super) fn replace(mut self, object: Option<(&[Entry], u32)>) {
        for (node, place, child) in self.written.in_place {
            publish(self.lines, node.line(), NODE_CHILDREN + place, child.0);
        }
        if let Some((trees, line)) = object {
            self.written.old.extend(trees);
            self.space.retire(Span { first: line, count: 1 });
        }
        for entry in self.written.old {
            if !self.written.replaced.contains(&entry) {
                self.space.release(self.lines, entry);
            }
        }
        for node in self.written.replaced {
            self.space.retire_replaced(self.lines, node);
        }
    }

    /// Writes `filters`, at most `LEAF_MAX` in order of rank, as a leaf that has at least the columns
    /// `columns`.
    pub(super) fn leaf<const W: usize>(
        &mut self,
        columns: u32,
        filters: &[&Filter<W>],
    ) -> Result<Entry, Full> {
        if filters.is_empty() {
            return Ok(Entry::EMPTY);
        }
        let columns = filters.iter().fold(columns, |all, filter| all | filter.pattern.columns());
        let leaf = |line, lane| Entry::leaf(line, lane, filters.len(), columns);
        let leaf = if filters.len() > BLOCK {
            leaf(self.alloc(leaf(0, 0).lines())?, 0)
        } else {
            let (line, lane) = self.lanes(columns, filters.len())?;
            leaf(line, lane)
        };
        write_leaf(self.lines, leaf, filters);
        Ok(leaf)
    }

    /// Writes an object of at most `TREES` trees, which then refers to them.
    pub(super) fn object(&mut self, trees: &[Entry], columns: u32) -> Result<u32, Full> {
        let line = self.alloc(1)?;
        let empty = std::iter::repeat(0);
        let words = trees.iter().map(|root| root.0).chain(empty).take(TREES);
        write(self.lines, line, words.chain([u64::from(columns)]));
        for tree in trees {
            self.space.refer(*tree);
        }
        self.written.new.extend(trees);
        Ok(line)
    }

    /// Takes `count` lanes of the fullest block that has them.
    fn lanes(&mut self, columns: u32, count: usize) -> Result<(u32, usize), Full> {
        let mut fitting = self.spare.range_mut((columns, count)..=(columns, BLOCK));
        let found = fitting.find_map(|((_, spare), blocks)| Some((*spare, blocks.pop()?)));
        let (spare, line) = match found {
            Some(found) => found,
            None => (BLOCK, self.alloc(block_lines(columns))?),
        };
        self.spare.entry((columns, spare - count)).or_default().push(line);
        Ok((line, BLOCK - spare))
    }

    fn alloc(&mut self, count: u32) -> Result<u32, Full> {
        let first = self.space.alloc(count)?;
        self.written.extents.push(Span { first, count });
        self.written.taken += count as usize;
        Ok(first)
    }

    /// Lines of what there is now.
    pub(super) fn taken(&self) -> usize {
        self.written.taken
    }

    /// How much there is now.
    pub(super) fn mark(&self) -> Mark {
        let Written { nodes, extents, new, .. } = &self.written;
        Mark { nodes: nodes.len(), extents: extents.len(), new: new.len() }
    }

    /// Gives back what was written since.
    pub(super) fn abandon(&mut self, mark: Mark) {
        for node in self.written.nodes.drain(mark.nodes..) {
            for child in read_node(self.lines, node).1 {
                self.space.unrefer(child);
            }
        }
        for child in self.written.new.drain(mark.new..) {
            self.space.unrefer(child);
        }
        for extent in self.written.extents.drain(mark.extents..) {
            self.written.taken -= extent.count as usize;
            self.space.give_back(extent);
        }
        self.spare.clear();
    }
}
