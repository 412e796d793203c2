//! Which datagrams wait, and which one gives way when there is no room.
//!
//! Each source, a prefix on one interface, has a share of the datagrams and of the bytes. Within
//! it the oldest of its own gives way; when all together have too much, the oldest of the interface
//! that has most. The datagram whose fragment has just come never does.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use pal::clock::Nanos;

use super::partial::{OVERHEAD, Partial};
use super::{First, Key, Piece};
use crate::punt::counters::SlowDrop;
use crate::punt::limit::Limits;
use crate::punt::shares::prefix;
use crate::uidb::{TableId, UidbIndex};

/// How long a datagram waits for its fragments (RFC 8200 §4.5; RFC 1122 3.3.2 for IPv4).
const PATIENCE: u64 = 60 * Nanos::PER_SECOND;

/// On whose account a datagram is: where its first fragment to come came in, and of whom.
pub(super) type Source = (UidbIndex, u128);

/// What is on one account.
#[derive(Debug, Default)]
struct Account {
    /// Numbers of the datagrams, the oldest first.
    datagrams: BTreeSet<u64>,
    /// What they take, bytes.
    cost: usize,
}

impl Account {
    /// The oldest that is not `served`.
    fn oldest(&self, served: u64) -> Option<u64> {
        self.datagrams.iter().copied().find(|number| *number != served)
    }
}

/// All datagrams that wait.
#[derive(Debug, Default)]
pub(in crate::punt) struct Reassembly {
    partial: HashMap<Key, Partial>,
    /// When each ends, by number.
    order: BTreeMap<u64, (Nanos, Key)>,
    sources: HashMap<Source, Account>,
    interfaces: HashMap<UidbIndex, Account>,
    cost: usize,
    begun: u64,
}

impl Reassembly {
    /// Adds a fragment; the datagram, if it was the one that was missing. Counts in `given_up` those
    /// that gave way.
    pub(super) fn add(
        &mut self,
        now: Nanos,
        piece: Piece<'_>,
        limits: &Limits,
        given_up: &mut u64,
    ) -> Result<Option<Vec<u8>>, SlowDrop> {
        let end = piece.offset + piece.data.len();
        let longest = usize::from(u16::MAX) - piece.header.len();
        let is_odd = piece.more && !piece.data.len().is_multiple_of(8);
        if piece.data.is_empty() || is_odd || end > longest {
            return Err(SlowDrop::Malformed);
        }
        let key = piece.key;
        let (number, source) = match self.partial.get(&key) {
            // It needs no room, and so makes nobody give way.
            Some(partial) if partial.has(&piece) => return Ok(None),
            Some(partial) => (partial.number, partial.source),
            None => self.begin(now, key, (piece.origin.input, prefix(key.ends.0))),
        };
        let more = piece.data.len() + OVERHEAD + piece.origin.frame.len();
        while let Some(fits) = self.over(source, more, limits) {
            let Some(oldest) = self.yielding(source, number, fits) else {
                self.remove(&key);
                return Err(SlowDrop::ReassemblyFull);
            };
            if let Some((_, key)) = self.order.get(&oldest).copied() {
                self.remove(&key);
                *given_up += 1;
            }
        }
        let Some(partial) = self.partial.get_mut(&key) else {
            return Err(SlowDrop::ReassemblyFull);
        };
        let before = partial.cost();
        if let Err(reason) = partial.add(piece) {
            self.remove(&key);
            return Err(reason);
        }
        let grown = partial.cost() - before;
        if partial.is_whole() {
            // Not grown on its accounts yet: taken off them as it was.
            let whole = self.remove_at(&key, before);
            return whole.map_or(Ok(None), |partial| partial.datagram().map(Some));
        }
        self.cost += grown;
        self.accounts(source).into_iter().for_each(|account| account.cost += grown);
        Ok(None)
    }

    /// What `source` has too much of with `more` bytes: nothing if they fit.
    fn over(&self, source: Source, more: usize, limits: &Limits) -> Option<Over> {
        let own = self.sources.get(&source);
        let (datagrams, cost) = own.map_or((0, 0), |own| (own.datagrams.len(), own.cost));
        if datagrams > limits.reassemblies_per_source.max(1)
            || cost + more > limits.reassembly_bytes_per_source
        {
            Some(Over::Share)
        } else if self.order.len() > limits.reassemblies.max(1) {
            Some(Over::Datagrams)
        } else if self.cost + more > limits.reassembly_bytes {
            Some(Over::Bytes)
        } else {
            None
        }
    }

    /// Who gives way, other than the datagram `served`.
    fn yielding(&self, source: Source, served: u64, over: Over) -> Option<u64> {
        if over == Over::Share {
            return self.sources.get(&source)?.oldest(served);
        }
        let candidates = self.interfaces.values().filter_map(|account| {
            let has = match over {
                Over::Bytes => account.cost,
                _ => account.datagrams.len(),
            };
            Some((has, account.oldest(served)?))
        });
        // Of as many, the oldest.
        candidates.max_by_key(|(has, oldest)| (*has, std::cmp::Reverse(*oldest))).map(|most| most.1)
    }

    fn begin(&mut self, now: Nanos, key: Key, source: Source) -> (u64, Source) {
        self.begun += 1;
        let number = self.begun;
        self.partial.insert(key, Partial::new(number, source));
        self.order.insert(number, (now.saturating_add(PATIENCE), key));
        self.accounts(source).into_iter().for_each(|account| {
            account.datagrams.insert(number);
        });
        (number, source)
    }

    fn accounts(&mut self, source: Source) -> [&mut Account; 2] {
        let own = self.sources.entry(source).or_default();
        [own, self.interfaces.entry(source.0).or_default()]
    }

    fn remove(&mut self, key: &Key) -> Option<Partial> {
        let cost = self.partial.get(key)?.cost();
        self.remove_at(key, cost)
    }

    /// Takes a datagram out that is on its accounts with `cost`.
    fn remove_at(&mut self, key: &Key, cost: usize) -> Option<Partial> {
        let partial = self.partial.remove(key)?;
        let (number, source) = (partial.number, partial.source);
        self.order.remove(&number);
        self.cost -= cost;
        for account in self.accounts(source) {
            account.datagrams.remove(&number);
            account.cost -= cost;
        }
        if self.sources.get(&source).is_some_and(|own| own.datagrams.is_empty()) {
            self.sources.remove(&source);
        }
        if self.interfaces.get(&source.0).is_some_and(|own| own.datagrams.is_empty()) {
            self.interfaces.remove(&source.0);
        }
        Some(partial)
    }

    /// Forgets what has waited too long; the first fragment of each, if that has come.
    pub(super) fn expire(&mut self, now: Nanos) -> Vec<Option<First>> {
        let mut late = Vec::new();
        while let Some((_, (end, key))) = self.order.first_key_value()
            && *end <= now
        {
            let key = *key;
            late.push(self.remove(&key).and_then(|partial| partial.first));
        }
        late
    }

    /// Gives up the datagrams of other tables than `keep` says; how many.
    pub(in crate::punt) fn retain_tables(&mut self, keep: impl Fn(TableId) -> bool) -> u64 {
        let gone: Vec<Key> = self.partial.keys().copied().filter(|key| !keep(key.table)).collect();
        gone.iter().filter_map(|key| self.remove(key)).count() as u64
    }

    /// When something will have waited too long.
    pub(in crate::punt) fn next_deadline(&self) -> Option<Nanos> {
        self.order.first_key_value().map(|(_, (end, _))| *end)
    }
}

/// What there is too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    /// Datagrams or bytes of one source.
    Share,
    /// Datagrams in all.
    Datagrams,
    /// Bytes in all.
    Bytes,
}
