//! The writer's own list of routes, and the intervals it cuts the address space into.

use super::{Address, Leaf, Prefix};
use prefix_trie::PrefixMap;

/// Where an interval begins and what it resolves to; it ends where the next one begins.
pub(crate) type Run<A> = (A, Leaf);

/// All routes of one table by prefix.
#[derive(Debug)]
pub(crate) struct Routes<A: Address> {
    map: PrefixMap<(A, u8), Leaf>,
    open: Vec<(A, Leaf)>,
}

impl<A: Address> Routes<A> {
    pub(crate) fn new() -> Self {
        Self { map: PrefixMap::new(), open: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }

    pub(crate) fn get(&self, p: Prefix<A>) -> Option<Leaf> {
        self.map.get(&key(p)).copied()
    }

    /// Sets or removes a route and returns what was there.
    fn set(&mut self, p: Prefix<A>, leaf: Option<Leaf>) -> Option<Leaf> {
        match leaf {
            Some(leaf) => self.map.insert(key(p), leaf),
            None => self.map.remove(&key(p)),
        }
    }

    /// Returns what an address resolves to where nothing inside `region` matches.
    pub(crate) fn cover(&self, region: Prefix<A>) -> Leaf {
        self.map.get_lpm(&key(region)).map_or(Leaf::NONE, |(_, leaf)| *leaf)
    }

    /// Tells whether at least `count` routes are strictly more specific than `region`.
    pub(crate) fn holds(&self, region: Prefix<A>, count: usize) -> bool {
        self.map.children(&key(region)).filter(|(p, _)| p.1 > region.len()).nth(count - 1).is_some()
    }

    /// Cuts `region` into its intervals, in address order, no two neighbours alike.
    ///
    /// The first run begins at the first address of the region. O(routes inside).
    pub(crate) fn sweep(&mut self, region: Prefix<A>, runs: &mut Vec<Run<A>>) {
        runs.clear();
        self.open.clear();
        let base = self.cover(region);
        runs.push((region.first(), base));
        for ((first, len), &leaf) in self.map.children(&key(region)) {
            if len <= region.len() {
                continue;
            }
            while let Some(&(last, _)) = self.open.last()
                && last < first
            {
                self.open.pop();
                begin(runs, last + A::one(), self.open.last().map_or(base, |o| o.1));
            }
            begin(runs, first, leaf);
            self.open.push((first | A::host_mask(len), leaf));
        }
        while let Some((last, _)) = self.open.pop()
            && last < region.last()
        {
            begin(runs, last + A::one(), self.open.last().map_or(base, |o| o.1));
        }
    }
}

/// Changes of routes that an image does not show yet, and what undoes them.
#[derive(Debug)]
pub(crate) struct Changes<A> {
    /// In order, each with the leaf before.
    undo: Vec<(Prefix<A>, Option<Leaf>)>,
    /// Whether a route goes, so that what is made for some may go too.
    pub(crate) shrinking: bool,
}

impl<A> Default for Changes<A> {
    fn default() -> Self {
        Self { undo: Vec::new(), shrinking: false }
    }
}

impl<A: Address> Changes<A> {
    /// Sets or removes a route.
    pub(crate) fn set(&mut self, routes: &mut Routes<A>, p: Prefix<A>, leaf: Option<Leaf>) {
        let before = routes.set(p, leaf);
        if before != leaf {
            self.shrinking |= leaf.is_none();
            self.undo.push((p, before));
        }
    }

    /// Takes all of them back.
    pub(crate) fn undo(&mut self, routes: &mut Routes<A>) {
        for (p, before) in std::mem::take(self).undo.into_iter().rev() {
            routes.set(p, before);
        }
    }

    pub(crate) fn prefixes(&self) -> impl Iterator<Item = Prefix<A>> {
        self.undo.iter().map(|(p, _)| *p)
    }

    /// The prefixes in order, without those that another covers.
    pub(crate) fn outermost(&self) -> Vec<Prefix<A>> {
        let mut all: Vec<Prefix<A>> = self.prefixes().collect();
        all.sort_unstable();
        all.dedup_by(|next, last| next.last() <= last.last());
        all
    }
}

fn key<A: Address>(p: Prefix<A>) -> (A, u8) {
    (p.first(), p.len())
}

/// Begins a run; one that begins where the last began replaces it, one that is alike continues it.
fn begin<A: Address>(runs: &mut Vec<Run<A>>, first: A, leaf: Leaf) {
    if runs.last().is_some_and(|last| last.0 == first) {
        runs.pop();
    }
    if runs.last().is_none_or(|last| last.1 != leaf) {
        runs.push((first, leaf));
    }
}
