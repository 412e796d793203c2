//! Which leaves an address resolves to in the course of a stream of updates.

use qfp::core::fib::{Leaf, Prefix};

use crate::family::Family;
use crate::input::{Rib, Update};

/// For each of a list of keys, every leaf that is right at some moment.
pub(crate) struct Allowed {
    /// Where the leaves of a key begin; one more than keys.
    starts: Vec<u32>,
    leaves: Vec<u16>,
}

impl Allowed {
    /// Whether `leaf` is ever right for the key at that place of the list.
    pub(crate) fn holds(&self, key: usize, leaf: u32) -> bool {
        let range = self.starts[key] as usize..self.starts[key + 1] as usize;
        self.leaves[range].iter().any(|&right| u32::from(right) == leaf)
    }

    /// Follows `updates` for each of `keys`, beginning with `rib`.
    pub(crate) fn new<A: Family>(keys: &[A], rib: &Rib<A>, updates: &[Update<A>]) -> Self {
        let mut order: Vec<u32> = (0..).take(keys.len()).collect();
        order.sort_unstable_by_key(|&i| keys[i as usize]);
        let sorted: Vec<A> = order.iter().map(|&i| keys[i as usize]).collect();
        let mut lives: Vec<Life> = sorted.iter().map(|_| Life::default()).collect();
        let inside = |prefix: Prefix<A>| {
            let from = sorted.partition_point(|key| *key < prefix.first());
            from..from + sorted[from..].partition_point(|key| *key <= prefix.last())
        };
        for (&prefix, &leaf) in rib {
            for life in &mut lives[inside(prefix)] {
                life.set(prefix.len(), Some(leaf));
            }
        }
        for life in &mut lives {
            // What came up while the table was being filled was never in force.
            life.seen.clear();
            life.note();
        }
        for &(prefix, leaf) in updates {
            for life in &mut lives[inside(prefix)] {
                life.set(prefix.len(), leaf);
                life.note();
            }
        }
        let mut places = vec![0usize; keys.len()];
        for (place, &key) in order.iter().enumerate() {
            places[key as usize] = place;
        }
        let (mut starts, mut leaves) = (vec![0], Vec::new());
        for place in places {
            leaves.extend(&lives[place].seen);
            starts.push(u32::try_from(leaves.len()).unwrap_or(u32::MAX));
        }
        Self { starts, leaves }
    }
}

/// The routes over one key, shortest first, and the leaves they have led to.
#[derive(Default)]
struct Life {
    routes: Vec<(u8, Leaf)>,
    seen: Vec<u16>,
}

impl Life {
    fn set(&mut self, len: u8, leaf: Option<Leaf>) {
        let place = self.routes.binary_search_by_key(&len, |route| route.0);
        match (place, leaf) {
            (Ok(place), Some(leaf)) => self.routes[place].1 = leaf,
            (Ok(place), None) => drop(self.routes.remove(place)),
            (Err(place), Some(leaf)) => self.routes.insert(place, (len, leaf)),
            (Err(_), None) => {}
        }
    }

    fn note(&mut self) {
        let leaf = self.routes.last().map_or(Leaf::NONE, |route| route.1).0;
        if !self.seen.contains(&leaf) {
            self.seen.push(leaf);
        }
    }
}
