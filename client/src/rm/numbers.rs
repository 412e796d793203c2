//! Numbers that things have by their names, and keep when another client takes over.
//!
//! What lcores write and count lies in rows by these numbers. Another client that finds lcores at
//! work is told who had which, and gives each name its number again, with all that was counted by it.

use std::collections::HashMap;
use std::ops::{Deref, DerefMut};

use pal::pool::{Full, Pool, Span};
use serde::{Deserialize, Serialize};

/// What has a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    Interface,
    Vrf,
    /// A rule with counters.
    Rule,
    /// A class of a service policy where it is bound.
    Class,
    /// An SA: words of its replay window, the first and how many, and when it was installed.
    Sa {
        words: (u32, u32),
        since: Option<u64>,
    },
}

/// A name and the number that it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) number: u32,
}

/// Numbers of one kind of things.
pub(crate) struct Numbers<N = u32> {
    kind: Kind,
    pool: Pool<N>,
    /// Those of names that have not come back yet.
    kept: HashMap<String, u32>,
    /// What was given since it was asked last.
    given: Vec<Named>,
}

impl<N: Copy + Into<u32> + TryFrom<u32>> Numbers<N> {
    pub(crate) fn new(kind: Kind, pool: Pool<N>) -> Self {
        Self { kind, pool, kept: HashMap::new(), given: Vec::new() }
    }

    /// Gives a name its number again, or one that is free. True if it is the one that it had.
    pub(crate) fn give(&mut self, name: String) -> Result<(N, bool), Full> {
        let kept = self.kept.remove(&name).and_then(|number| N::try_from(number).ok());
        let number = kept.map_or_else(|| self.pool.alloc(), Ok)?;
        self.note(name, number);
        Ok((number, kept.is_some()))
    }

    /// A name has a number that another had.
    pub(crate) fn note(&mut self, name: String, number: N) {
        self.given.push(self.named(name, number));
    }

    pub(crate) fn named(&self, name: String, number: N) -> Named {
        Named { kind: self.kind, name, number: number.into() }
    }

    /// Names that were given numbers since this was asked last.
    pub(crate) fn take_given(&mut self) -> Vec<Named> {
        std::mem::take(&mut self.given)
    }

    /// Keeps the number of a name until the name comes. To be told the newest ones first: who had a
    /// number before, or which one a name had, is nobody's business any more.
    pub(crate) fn keep(&mut self, named: Named) {
        let is_known = self.kept.contains_key(&named.name);
        if !is_known && self.pool.claim(Span { first: named.number, count: 1 }) {
            self.kept.insert(named.name, named.number);
        }
    }

    /// A name that has had its number [given](Self::give) again is to have it the next time.
    pub(crate) fn keep_again(&mut self, name: String, number: u32) {
        self.kept.insert(name, number);
    }

    /// Names that have not come do not come any more.
    pub(crate) fn let_go(&mut self) {
        for number in std::mem::take(&mut self.kept).into_values() {
            // Packets under way may have it.
            self.pool.retire_span(Span { first: number, count: 1 });
        }
    }
}

impl<N> Deref for Numbers<N> {
    type Target = Pool<N>;

    fn deref(&self) -> &Pool<N> {
        &self.pool
    }
}

impl<N> DerefMut for Numbers<N> {
    fn deref_mut(&mut self) -> &mut Pool<N> {
        &mut self.pool
    }
}

#[cfg(test)]
mod tests {
    use pal::publication::Publisher;

    use super::*;

    fn numbers() -> Numbers {
        Numbers::new(Kind::Rule, Pool::new("rules", 0..8, Publisher::new().clock()))
    }

    #[test]
    fn names_have_the_numbers_again_that_they_had_last() {
        let mut first = numbers();
        let mut given = Vec::new();
        for name in ["a", "b", "c"] {
            first.give(name.to_owned()).unwrap();
        }
        // The first one goes, another has its number, and it comes back with the next.
        first.give_back(0);
        first.give("d".to_owned()).unwrap();
        first.give("a".to_owned()).unwrap();
        given.append(&mut first.take_given());
        let mut next = numbers();
        given.into_iter().rev().for_each(|named| next.keep(named));
        let mut number = |name: &str| next.give(name.to_owned()).unwrap();
        assert_eq!(["d", "b", "a"].map(&mut number), [(0, true), (1, true), (3, true)]);
        assert_eq!(number("new"), (4, false));
        next.let_go();
        assert_eq!((next.waiting(), next.free()), (1, 3), "the number of c");
    }
}
