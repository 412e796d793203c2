//! The obvious table, random lives of tables, and the addresses worth asking for.

use crate::fib::{Address, LANES, Leaf, Prefix};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Routes by prefix; a lookup tries every length from the longest.
pub(super) struct Oracle<A>(BTreeMap<(A, u8), Leaf>);

impl<A: Address> Oracle<A> {
    pub(super) fn new() -> Self {
        Self(BTreeMap::new())
    }

    pub(super) fn lookup(&self, key: A) -> u32 {
        let hit = (0..=A::BITS).rev().find_map(|len| self.0.get(&(key & !A::host_mask(len), len)));
        hit.map_or(0, |leaf| leaf.0.into())
    }

    pub(super) fn set(&mut self, p: Prefix<A>, leaf: Option<Leaf>) {
        match leaf {
            Some(leaf) => self.0.insert((p.first(), p.len()), leaf),
            None => self.0.remove(&(p.first(), p.len())),
        };
    }

    pub(super) fn routes(&self) -> Vec<(Prefix<A>, Leaf)> {
        self.0.iter().map(|(&(addr, len), &leaf)| (Prefix::of(addr, len), leaf)).collect()
    }

    /// Addresses at, in and beside every route, in whole vectors.
    pub(super) fn probes(&self) -> Vec<A> {
        let mut probes = vec![A::zero(), A::max_value(), A::max_value() >> 1_usize];
        for (p, _) in self.routes() {
            let (one, first, last) = (A::one(), p.first(), p.last());
            probes.extend([first, last, first | (last - first) >> 1_usize]);
            probes.extend(first.checked_sub(&one));
            probes.extend(last.checked_add(&one));
        }
        probes.sort_unstable();
        probes.dedup();
        // Strides spread a crowded region over many vectors and mix it with the rest.
        let count = probes.len().next_multiple_of(LANES);
        (0..count).map(|i| probes[i * 7919 % probes.len()]).collect()
    }
}

/// One step of a random life of a table.
#[derive(Clone, Debug)]
pub(super) enum Step<A> {
    Insert(Prefix<A>, Leaf),
    /// Removes one of the routes there are, by its place.
    Remove(usize),
    /// Inserts this many routes of one length, one after the other.
    Fill(Prefix<A>, u16),
}

impl<A: Address> Step<A> {
    /// The routes this step sets or removes.
    pub(super) fn changes(&self, oracle: &Oracle<A>) -> Vec<(Prefix<A>, Option<Leaf>)> {
        match *self {
            Self::Insert(p, leaf) => vec![(p, Some(leaf))],
            Self::Remove(place) => {
                let key = oracle.0.keys().nth(place % oracle.0.len().max(1));
                key.map(|&(addr, len)| (Prefix::of(addr, len), None)).into_iter().collect()
            }
            Self::Fill(first, count) => {
                let wide = first.last() - first.first() + A::one();
                let mut p = first;
                let mut changes = Vec::new();
                for i in 0..count {
                    changes.push((p, Some(Leaf(i % 3))));
                    let Some(next) = p.first().checked_add(&wide) else { break };
                    p = Prefix::of(next, p.len());
                }
                changes
            }
        }
    }
}

/// Mostly single routes, removals among them, and now and then a crowd.
pub(super) fn life<A: Address>(
    addr: impl Strategy<Value = A> + Clone + 'static,
    len: impl Strategy<Value = u8> + Clone + 'static,
    crowd: impl Strategy<Value = u8> + Clone + 'static,
) -> impl Strategy<Value = Vec<Step<A>>> {
    // Few leaves, so that neighbours are often alike.
    let insert = (addr.clone(), len, 0_u16..5)
        .prop_map(|(addr, len, leaf)| Step::Insert(Prefix::of(addr, len), Leaf(leaf)));
    let fill = (addr, crowd, 1_u16..800)
        .prop_map(|(addr, len, count)| Step::Fill(Prefix::of(addr, len), count));
    let remove = any::<usize>().prop_map(Step::Remove);
    proptest::collection::vec(prop_oneof![30 => insert, 15 => remove, 1 => fill], 1..60)
}

/// Addresses that crowd under two /16 and three /24, and some anywhere.
pub(super) fn v4_addr() -> impl Strategy<Value = u32> + Clone {
    prop_oneof![
        (0_u32..2, any::<u16>()).prop_map(|(a, b)| 0x0a00_0000 | a << 16 | u32::from(b)),
        (0_u32..3, any::<u8>()).prop_map(|(a, b)| 0x0a00_ff00 + (a << 8) + u32::from(b)),
        any::<u32>(),
    ]
}

/// Addresses that crowd in every span under one /32, and some anywhere.
pub(super) fn v6_addr() -> impl Strategy<Value = u128> + Clone {
    let base = 0x2001_0db8_u128 << 96;
    let byte = || any::<u8>().prop_map(u128::from);
    prop_oneof![
        any::<u128>().prop_map(move |a| base | a >> 32),
        (byte(), byte()).prop_map(move |(a, b)| base | a << 80 | b << 60),
        (byte(), byte()).prop_map(move |(a, b)| base | a << 60 | b),
        (byte(), byte()).prop_map(move |(a, b)| (base + (a << 94)) | b << 88),
        any::<u128>(),
    ]
}
