//! Where images are written: lines, which of them are free, and how often each is referred to.

use std::sync::atomic::Ordering::{Relaxed, Release};

use pal::pool::{Full, Pool, Span};
use pal::publication::GraceClock;

use crate::acl::image::{Choice, Entry, LINE_WORDS, Line, NODE_CHILDREN, node_lines};

/// Lines that one writer fills and lcores read.
///
/// What was once linked into a published object is set aside when it is no longer part of it, until
/// every reader has moved on ([`Space::reclaim`]).
#[derive(Debug)]
pub struct Space {
    lines: Pool,
    /// By first line: slots of nodes and objects that refer to a node or to the leaves of a block.
    references: Vec<u32>,
}

impl Space {
    /// All of `lines` lines, free; `clock` is that of their readers.
    #[must_use]
    pub fn new(lines: u32, clock: &GraceClock) -> Self {
        let references = vec![0; lines as usize];
        Self { lines: Pool::new("lines of the classifier", 0..lines, clock), references }
    }

    /// Which lines are free.
    #[must_use]
    pub const fn lines(&self) -> &Pool {
        &self.lines
    }

    /// Frees what was set aside and no reader has any more.
    pub fn reclaim(&mut self) {
        self.lines.reclaim(|_| ());
    }

    pub(super) fn alloc(&mut self, count: u32) -> Result<u32, Full> {
        Ok(self.lines.alloc_span(count)?.first)
    }

    /// Sets lines aside that readers may still see.
    pub(super) fn retire(&mut self, lines: Span) {
        self.lines.retire_span(lines);
    }

    /// One more slot refers to `entry`.
    pub(super) fn refer(&mut self, entry: Entry) {
        if entry != Entry::EMPTY {
            self.references[entry.line() as usize] += 1;
        }
    }

    /// One slot less refers to `entry`; what nothing refers to is set aside, with all below it, a
    /// block when nothing refers to any of its leaves.
    pub(super) fn release(&mut self, lines: &[Line], entry: Entry) {
        if self.unrefer(entry) {
            if entry.is_node() {
                for child in read_node(lines, entry).1 {
                    self.release(lines, child);
                }
            }
            self.retire(extent(lines, entry));
        }
    }

    /// Whether one slot alone refers to `entry`.
    pub(super) fn is_sole(&self, entry: Entry) -> bool {
        self.references[entry.line() as usize] == 1
    }

    /// Sets a node aside whose one reference, and its own to its children, have passed to another.
    pub(super) fn retire_replaced(&mut self, lines: &[Line], node: Entry) {
        self.references[node.line() as usize] = 0;
        self.retire(extent(lines, node));
    }

    /// Gives back lines that nothing refers to and no reader has seen.
    pub(super) fn give_back(&mut self, lines: Span) {
        debug_assert_eq!(self.references[lines.first as usize], 0);
        self.lines.give_back_span(lines);
    }

    /// Takes one reference away; true when it was the last.
    pub(super) fn unrefer(&mut self, entry: Entry) -> bool {
        if entry == Entry::EMPTY {
            return false;
        }
        let references = &mut self.references[entry.line() as usize];
        *references = references.saturating_sub(1);
        *references == 0
    }
}

/// The lines of a node or of the blocks that a leaf is in.
fn extent(lines: &[Line], entry: Entry) -> Span {
    let count = if entry.is_node() {
        node_lines(1 << read_choice(lines, entry).count())
    } else {
        entry.lines()
    };
    Span { first: entry.line(), count }
}

/// What a node asks for, and its children.
pub(super) fn read_node(lines: &[Line], node: Entry) -> (Choice, Vec<Entry>) {
    let choice = read_choice(lines, node);
    let end = NODE_CHILDREN + (1 << choice.count());
    let mut children = Vec::with_capacity(end + LINE_WORDS);
    for line in &lines[node.line() as usize..][..end.div_ceil(LINE_WORDS)] {
        let word = |word: usize| Entry(line.words[word].load(Relaxed));
        children.extend_from_slice(&std::array::from_fn::<_, LINE_WORDS, _>(word));
    }
    children.truncate(end);
    children.drain(..NODE_CHILDREN);
    (choice, children)
}

/// A child of a node.
pub(super) fn read_child(lines: &[Line], node: Entry, place: usize) -> Entry {
    Entry(read(lines, node.line(), NODE_CHILDREN + place))
}

/// What a node asks for.
pub(super) fn read_choice(lines: &[Line], node: Entry) -> Choice {
    Choice { words: node.words(), bits: [0, 1].map(|word| read(lines, node.line(), word)) }
}

/// Writes words from the start of a line on.
pub(super) fn write(lines: &[Line], first: u32, words: impl IntoIterator<Item = u64>) {
    let at = lines[first as usize..].iter().flat_map(|line| &line.words);
    for (to, word) in at.zip(words) {
        pal::faults::store();
        to.store(word, Relaxed);
    }
}

/// Copies `count` lines.
pub(super) fn copy(lines: &[Line], from: u32, to: u32, count: u32) {
    let extent = |first: u32| &lines[first as usize..][..count as usize];
    for (from, to) in extent(from).iter().zip(extent(to)) {
        for (from, to) in from.words.iter().zip(&to.words) {
            to.store(from.load(Relaxed), Relaxed);
        }
    }
}

/// Writes a word, counted from the start of a line.
pub(super) fn store(lines: &[Line], first: u32, word: usize, value: u64) {
    pal::faults::store();
    lines[first as usize + word / LINE_WORDS].words[word % LINE_WORDS].store(value, Relaxed);
}

/// Writes a word that readers follow at once: what it refers to comes before it.
pub(super) fn publish(lines: &[Line], first: u32, word: usize, value: u64) {
    pal::faults::store();
    lines[first as usize + word / LINE_WORDS].words[word % LINE_WORDS].store(value, Release);
}

/// A word, counted from the start of a line.
pub(super) fn read(lines: &[Line], first: u32, word: usize) -> u64 {
    lines[first as usize + word / LINE_WORDS].words[word % LINE_WORDS].load(Relaxed)
}
