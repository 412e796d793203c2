//! Things of links in the order in which they came, so that the oldest can give way.

use std::collections::BTreeMap;

use crate::uidb::UidbIndex;

/// How many there may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    pub(super) per_link: usize,
    pub(super) total: usize,
}

/// Things of links, each with a number that says where it is in the order.
///
/// When a link has too many, its own oldest gives way; when all have too many together, that of
/// the link that has most. So nobody on one link can push out what is on a link with fewer.
#[derive(Debug)]
pub(super) struct ByAge<T> {
    links: BTreeMap<UidbIndex, BTreeMap<u64, T>>,
    len: usize,
    next: u64,
}

impl<T> Default for ByAge<T> {
    fn default() -> Self {
        Self { links: BTreeMap::new(), len: 0, next: 0 }
    }
}

impl<T> ByAge<T> {
    /// Adds the youngest thing of a link; its number.
    pub(super) fn push(&mut self, link: UidbIndex, thing: T) -> u64 {
        let number = self.next;
        self.next += 1;
        self.len += 1;
        self.links.entry(link).or_default().insert(number, thing);
        number
    }

    /// Takes out one thing.
    pub(super) fn remove(&mut self, link: UidbIndex, number: u64) -> Option<T> {
        let things = self.links.get_mut(&link)?;
        let thing = things.remove(&number)?;
        if things.is_empty() {
            self.links.remove(&link);
        }
        self.len -= 1;
        Some(thing)
    }

    /// Takes out what has to give way, one at a time: none while `bound` is kept. `link` is where
    /// something was added last. O(log n), and O(links) when there are too many in all.
    pub(super) fn give_way(&mut self, link: UidbIndex, bound: Bound) -> Option<(UidbIndex, T)> {
        let from = if self.count(link) > bound.per_link {
            link
        } else if self.len > bound.total {
            let most = self.links.iter().max_by_key(|(of, things)| (things.len(), **of != link));
            *most?.0
        } else {
            return None;
        };
        let number = *self.links.get(&from)?.first_key_value()?.0;
        Some((from, self.remove(from, number)?))
    }

    /// How many are of one link.
    pub(super) fn count(&self, link: UidbIndex) -> usize {
        self.links.get(&link).map_or(0, BTreeMap::len)
    }

    /// Takes out what `gone` says, each thing with its link and number. O(n).
    pub(super) fn extract(&mut self, gone: impl Fn(&T) -> bool) -> Vec<(UidbIndex, u64, T)> {
        let mut out = Vec::new();
        for (link, things) in &mut self.links {
            let of_link = things.extract_if(.., |_, thing| gone(thing));
            out.extend(of_link.map(|(number, thing)| (*link, number, thing)));
        }
        self.links.retain(|_, things| !things.is_empty());
        self.len -= out.len();
        out
    }

    /// Takes out everything.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = T> {
        self.len = 0;
        std::mem::take(&mut self.links).into_values().flat_map(BTreeMap::into_values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: UidbIndex = UidbIndex(3);
    const B: UidbIndex = UidbIndex(4);

    #[test]
    fn the_oldest_of_the_own_link_gives_way_first_then_that_of_the_link_with_most() {
        let bound = Bound { per_link: 3, total: 4 };
        let mut things = ByAge::default();
        let first = things.push(B, 0);
        for n in 1..=3 {
            things.push(A, n);
            assert_eq!(things.give_way(A, bound), None);
        }
        things.push(A, 4);
        assert_eq!(things.give_way(A, bound), Some((A, 1)));
        assert_eq!(things.give_way(A, bound), None);
        things.push(B, 5);
        assert_eq!(things.give_way(B, bound), Some((A, 2)));
        assert_eq!((things.count(A), things.count(B)), (2, 2));
        assert_eq!((things.remove(B, first), things.remove(B, first)), (Some(0), None));
        assert_eq!(things.drain().collect::<Vec<_>>(), [3, 4, 5]);
        assert_eq!(things.give_way(A, bound), None);
    }

    #[test]
    fn a_bound_of_none_leaves_none() {
        let mut things = ByAge::default();
        things.push(A, 1);
        assert_eq!(things.give_way(A, Bound { per_link: 0, total: 9 }), Some((A, 1)));
        assert_eq!(things.give_way(A, Bound { per_link: 0, total: 0 }), None);
    }
}
