//! Trees: how rules are divided by bits of the key until few are left.
//!
//! A node asks for the bits that divide its rules best. A rule that does not care about a chosen
//! bit goes both ways, so rules that leave the source open, the destination, or both, are kept in
//! trees apart where they are many ([`split`]).

use std::collections::BTreeMap;

use ahash::AHashMap;

use crate::acl::divide::Divider;
use crate::acl::draft::Draft;
use crate::acl::image::{BLOCK, Entry, LEAF_MAX};
use crate::acl::leaf::Filter;
use crate::acl::space::SpaceError;

/// Rules of a leaf that are not divided further.
pub(super) const LEAF: usize = BLOCK;
/// Copies of rules that a tree of a set of `rules` may have.
fn copies(rules: usize) -> usize {
    (16 * rules + 512).min(6 * rules + 16384)
}

/// Why a tree was given up. What it wrote is for its owner to abandon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// No room.
    Space(SpaceError),
    /// Too many copies of rules, or rules that cannot be divided.
    Copies,
}

/// Builds the trees of one set of rules.
pub(super) struct Builder<'a, 'b, const W: usize> {
    draft: &'a mut Draft<'b>,
    filters: &'a [Filter<W>],
    divider: Divider<W>,
    /// Columns that leaves have even if their rules do not ask for them, so that all leaves of a
    /// tree are read alike.
    columns: u32,
    copies: usize,
}

impl<'a, 'b, const W: usize> Builder<'a, 'b, W> {
    /// A builder over `filters`, which are in order of rank.
    pub(super) fn new(draft: &'a mut Draft<'b>, filters: &'a [Filter<W>]) -> Self {
        let divider = Divider::new(filters.iter().map(|filter| &filter.pattern), LEAF);
        Self { draft, filters, divider, columns: 0, copies: 0 }
    }

    /// A tree of the rules `list`, whose keys are known to agree in the bits `asked`. Nothing refers
    /// to it yet.
    pub(super) fn tree(&mut self, list: &[u32], asked: &[u64; W]) -> Result<Entry, Stop> {
        self.columns = list
            .iter()
            .fold(0, |columns, rule| columns | self.filters[*rule as usize].pattern.columns());
        self.copies = copies(self.filters.len());
        self.node(list, *asked)
    }

    fn node(&mut self, list: &[u32], mut asked: [u64; W]) -> Result<Entry, Stop> {
        let Some(choice) = self.divider.choose(list, &asked) else { return self.leaf(list) };
        asked[choice.word] |= choice.bits;
        let lists = self.divider.divide(list, choice);
        let mut known: AHashMap<&[u32], Entry> = AHashMap::new();
        let mut children = Vec::with_capacity(lists.len());
        for below in &lists {
            let child = match known.get(below.as_slice()) {
                Some(child) => *child,
                None => self.node(below, asked)?,
            };
            known.insert(below, child);
            children.push(child);
        }
        self.draft.node(choice.word, choice.bits, &children).map_err(Stop::Space)
    }

    fn leaf(&mut self, list: &[u32]) -> Result<Entry, Stop> {
        match self.copies.checked_sub(list.len()) {
            Some(copies) if list.len() <= LEAF_MAX => self.copies = copies,
            _ => return Err(Stop::Copies),
        }
        let filters: Vec<_> = list.iter().map(|rule| &self.filters[*rule as usize]).collect();
        self.draft.leaf(self.columns, &filters).map_err(Stop::Space)
    }
}

/// Ways to divide rules among trees, so that no tree has many rules that leave open what divides
/// its others: the fewest trees first, the last for when all others take too many copies. Each list
/// is in order.
pub(super) fn ways<const W: usize>(filters: &[Filter<W>]) -> Vec<Vec<Vec<u32>>> {
    let all: Vec<u32> = (0..).take(filters.len()).collect();
    let of = |rule: &u32| filters[*rule as usize].pattern.named();
    let without_source = all.iter().filter(|rule| !of(rule).0).count();
    let without_destination = all.iter().filter(|rule| !of(rule).1).count();
    let mut ways = Vec::new();
    if mix(without_source.min(without_destination), all.len()) {
        ways.push(vec![all.clone()]);
    }
    let by_source = without_source <= without_destination;
    let (first, rest): (Vec<u32>, Vec<u32>) =
        all.into_iter().partition(|rule| if by_source { of(rule).0 } else { of(rule).1 });
    let open = rest.iter().filter(|rule| of(rule) == (false, false)).count();
    if mix(open.min(rest.len() - open), rest.len()) {
        ways.push(vec![first.clone(), rest.clone()]);
    }
    let (open, rest): (Vec<u32>, Vec<u32>) =
        rest.into_iter().partition(|rule| of(rule) == (false, false));
    ways.push(vec![first, rest, open]);
    for lists in &mut ways {
        lists.retain(|list| !list.is_empty());
    }
    ways
}

/// The lists of the rules of `list` that leave the same sides open; none when that is all of them.
pub(super) fn split_further<const W: usize>(filters: &[Filter<W>], list: &[u32]) -> Vec<Vec<u32>> {
    let mut by_class: BTreeMap<(bool, bool), Vec<u32>> = BTreeMap::new();
    for rule in list {
        by_class.entry(filters[*rule as usize].pattern.named()).or_default().push(*rule);
    }
    if by_class.len() > 1 { by_class.into_values().collect() } else { Vec::new() }
}

/// Whether it is worth trying to have `few` rules that leave a side open in a tree with `all`: each
/// has a copy for about every ten of the others.
fn mix(few: usize, all: usize) -> bool {
    few * all / 10 <= (6 * all + 8192).max(40_000)
}
