//! The memory of SAs: rows that come and go.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use driver::{Driver, DriverError};
use pal::pool::{Pool, PoolUsage, Span};
use pal::publication::{RootDraft, Rows};
use pal::region::Block;
use qfp_core::crypto::SaKey;
use qfp_core::ipsec::{
    InboundSa, OutboundSa, SaError, SaState, SpiBucket, SpiTable, Tunnel, TunnelState, replay_words,
};
use qfp_core::tables::table_kind;
use qfp_core::uidb::UidbIndex;

use super::IpsecError;
use crate::commit::Capacity;
use crate::ipsec::{Direction, RowNumbers, Sa, SaProblem};
use crate::rm::{Kind, Named};

/// Rows of an SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    /// Among the SAs of its direction.
    pub(super) row: u32,
    /// Among keys and states: it stays with the key.
    pub(super) state: u32,
    /// Words of its replay window.
    pub(super) words: Span,
}

/// The state and the window of an SA that lcores had with a client before.
#[derive(Clone, Copy, Debug)]
struct Kept {
    state: u32,
    words: Span,
    since: Option<u64>,
}

/// Who an SA is, for those that its state is kept for: what has another of these is another SA.
pub(super) fn identity(sa: &Sa) -> String {
    let spi = (sa.direction == Direction::Out).then_some(sa.spi);
    let (key, way, window) = (sa.key_id(), sa.direction.name(), sa.replay_window);
    format!("{key:?} {way} {spi:?} {:?} {} {window}", sa.algorithm, sa.lasting)
}

/// All tables of ESP. They are named once, and stay.
pub(super) struct Tables {
    tunnels: Block<Tunnel>,
    outbound: Rows<OutboundSa>,
    inbound: Rows<InboundSa>,
    spis: Block<SpiBucket>,
    keys: Rows<SaKey>,
    states: Block<SaState>,
    replay: Block<AtomicU64>,
    tunnel_states: Block<TunnelState>,
    words: Pool,
    /// Those that have not come back yet.
    kept: HashMap<String, Kept>,
}

fn problem(sa: &Sa, problem: impl Into<SaProblem>) -> IpsecError {
    IpsecError::Sa { sa: sa.name.clone(), problem: problem.into() }
}

impl Tables {
    pub(super) fn new(driver: &mut Driver, capacity: &Capacity) -> Result<Self, DriverError> {
        let sas = capacity.sas as usize;
        let words = capacity.replay_words.max(1);
        let interfaces = if sas > 0 { usize::from(UidbIndex::NONE.0) } else { 0 };
        let tables = Self {
            tunnels: driver.alloc::<Tunnel>(interfaces)?.publish(),
            outbound: driver.alloc_rows("outbound SAs", sas)?,
            inbound: driver.alloc_rows("inbound SAs", sas)?,
            spis: driver.alloc::<SpiBucket>(SpiTable::buckets(sas))?.publish(),
            keys: driver.alloc_rows("SAs", sas)?,
            states: driver.alloc_state::<SaState>(sas)?,
            replay: driver.alloc_state::<AtomicU64>(words as usize)?,
            tunnel_states: driver.alloc_state::<TunnelState>(interfaces)?,
            words: Pool::new("words of replay windows", 0..words, driver.clock()),
            kept: HashMap::new(),
        };
        driver.commit(|root| tables.name_in(root))?;
        Ok(tables)
    }

    fn name_in(&self, root: &mut RootDraft) {
        root.set(table_kind::ESP_TUNNELS, self.tunnels)
            .set(table_kind::ESP_OUTBOUND, self.outbound.block())
            .set(table_kind::ESP_INBOUND, self.inbound.block())
            .set(table_kind::ESP_SPIS, self.spis)
            .set(table_kind::ESP_KEYS, self.keys.block())
            .set(table_kind::ESP_STATES, self.states)
            .set(table_kind::ESP_REPLAY, self.replay)
            .set(table_kind::ESP_TUNNEL_STATES, self.tunnel_states);
    }

    #[cfg(test)]
    pub(super) const fn states(&self) -> Block<SaState> {
        self.states
    }

    pub(super) const fn places_of_states(&self) -> (u64, u64) {
        (self.states.offset(), self.states.len())
    }

    pub(super) fn state<'a>(&self, driver: &'a Driver, row: u32) -> Option<&'a SaState> {
        driver.state_view(self.states).get(row as usize)
    }

    /// Writes an SA where no lcore comes: with a key and a state of its own, or with those of
    /// `like`. They are to be given back with [`drop_row`](Self::drop_row) and
    /// [`drop_key`](Self::drop_key).
    pub(super) fn write(
        &mut self,
        driver: &Driver,
        sa: &Sa,
        numbers: RowNumbers,
        like: Option<Held>,
    ) -> Result<Held, IpsecError> {
        let held = match like {
            Some(like) => like,
            None => self.write_key(driver, sa)?,
        };
        let numbers = RowNumbers { state: held.state, replay: held.words.first, ..numbers };
        let row = match sa.direction {
            Direction::Out => match sa.outbound(numbers) {
                Ok(new) => self.outbound.take(|row| *row = new).map_err(IpsecError::from),
                Err(error) => Err(problem(sa, error)),
            },
            Direction::In => match sa.inbound(numbers) {
                Ok(new) => self.inbound.take(|row| *row = new).map_err(IpsecError::from),
                Err(error) => Err(problem(sa, error)),
            },
        };
        if row.is_err() && like.is_none() {
            self.drop_key(held);
        }
        Ok(Held { row: row?, ..held })
    }

    /// Keeps the state of an SA until it comes; see [`Numbers::keep`](crate::rm::Numbers::keep).
    pub(super) fn keep(&mut self, named: Named) {
        let Kind::Sa { words: (first, count), since } = named.kind else { return };
        let words = Span { first, count };
        if self.kept.contains_key(&named.name) || !self.keys.claim(named.number) {
            return;
        }
        if count == 0 || self.words.claim(words) {
            self.kept.insert(named.name, Kept { state: named.number, words, since });
        } else {
            self.keys.retire(named.number);
        }
    }

    /// SAs that have not come do not come any more.
    pub(super) fn let_go(&mut self) {
        for kept in std::mem::take(&mut self.kept).into_values() {
            self.drop_key(Held { row: 0, state: kept.state, words: kept.words });
        }
    }

    /// Writes the key of an SA whose state was kept; and when it was installed.
    pub(super) fn take_kept(&mut self, sa: &Sa) -> Result<Option<(Held, Option<u64>)>, IpsecError> {
        let Some(kept) = self.kept.remove(&identity(sa)) else { return Ok(None) };
        let held = Held { row: 0, state: kept.state, words: kept.words };
        let mut filled = Ok(());
        self.keys.write(held.state, |row| filled = sa.key.fill(sa.algorithm, row));
        if let Err(error) = filled {
            self.drop_key(held);
            return Err(problem(sa, error));
        }
        Ok(Some((held, kept.since)))
    }

    /// Writes a key, with a state and a window that have seen nothing.
    fn write_key(&mut self, driver: &Driver, sa: &Sa) -> Result<Held, IpsecError> {
        let count = match (sa.direction, sa.replay_window) {
            (Direction::Out, _) | (_, 0) => 0,
            (_, size) => replay_words(size).map_err(|error| problem(sa, SaError::from(error)))?,
        };
        let none = Span { first: 0, count };
        let words = if count == 0 { none } else { self.words.alloc_span(count)? };
        let mut filled = Ok(());
        let state = self.keys.take(|row| filled = sa.key.fill(sa.algorithm, row));
        let state = state.inspect_err(|_| self.drop_words(words))?;
        let held = Held { row: 0, state, words };
        if let Err(error) = filled {
            self.drop_key(held);
            return Err(problem(sa, error));
        }
        if let Some(state) = self.state(driver, state) {
            state.reset();
        }
        let words = driver.state_view(self.replay).iter().skip(held.words.first as usize);
        words.take(count as usize).for_each(|word| word.store(0, Ordering::Relaxed));
        Ok(held)
    }

    /// Has everything up to `mark` count as sent or seen. No lcore may have the SA yet.
    pub(super) fn resume(&self, driver: &Driver, sa: &Sa, held: Held, mark: u64) {
        let Some(state) = self.state(driver, held.state) else { return };
        if sa.direction == Direction::Out {
            return state.resume(mark);
        }
        let (first, count) = (held.words.first as usize, held.words.count as usize);
        let words = driver.state_view(self.replay).get(first..first + count).unwrap_or_default();
        if let Some(window) = state.window(words, sa.replay_window) {
            window.resume(mark);
        }
    }

    /// Gives the row of an SA back, which nothing names any more.
    pub(super) fn drop_row(&mut self, direction: Direction, held: Held) {
        match direction {
            Direction::Out => self.outbound.retire(held.row),
            Direction::In => self.inbound.retire(held.row),
        }
    }

    /// Gives a key, its state and its window back, likewise.
    pub(super) fn drop_key(&mut self, held: Held) {
        self.keys.retire(held.state);
        self.drop_words(held.words);
    }

    fn drop_words(&mut self, words: Span) {
        if words.count > 0 {
            self.words.retire_span(words);
        }
    }

    #[cfg(test)]
    pub(super) fn rows_used(&self) -> [usize; 3] {
        let pools = [self.outbound.numbers(), self.inbound.numbers(), &self.words];
        pools.map(|pool| pool.in_use() as usize)
    }

    /// Frees what every lcore has left. Does not wait.
    pub(super) fn reclaim(&mut self) {
        self.outbound.reclaim(|row| *row = OutboundSa::none());
        self.inbound.reclaim(|row| *row = InboundSa::none());
        self.keys.reclaim(SaKey::wipe);
        self.words.reclaim(|_| ());
    }

    /// Keeps a place for the SPI of an inbound SA.
    pub(super) fn reserve(&self, driver: &Driver, spi: u32, row: u32) -> Result<(), IpsecError> {
        Ok(SpiTable::new(driver.view(self.spis)).reserve(spi, row)?)
    }

    /// Lets packets with its SPI find an inbound SA, for which there is a place.
    pub(super) fn enter(&self, driver: &Driver, spi: u32, row: u32) {
        SpiTable::new(driver.view(self.spis)).enter(spi, row);
    }

    pub(super) fn leave(&self, driver: &Driver, spi: u32, row: u32) {
        SpiTable::new(driver.view(self.spis)).remove(spi, row);
    }

    /// Names the SA that protects what leaves through an interface: one store.
    pub(super) fn protect(&self, driver: &Driver, uidb: UidbIndex, row: Option<u32>) {
        if let Some(tunnel) = driver.view(self.tunnels).get(usize::from(uidb.0))
            && tunnel.outbound() != row
        {
            tunnel.set(row);
        }
    }

    pub(super) fn set_path_mtu(&self, driver: &Driver, uidb: UidbIndex, mtu: Option<u16>) {
        if let Some(tunnel) = driver.view(self.tunnels).get(usize::from(uidb.0)) {
            tunnel.set_path_mtu(mtu);
        }
    }

    /// Whether packets wanted to leave through an interface without an SA since this was asked last.
    pub(super) fn wants_sa(&self, driver: &Driver, uidb: UidbIndex) -> bool {
        let state = driver.state_view(self.tunnel_states).get(usize::from(uidb.0));
        state.is_some_and(|state| state.take_unprotected() > 0)
    }

    /// What it takes of.
    pub(super) fn pools(&self) -> [PoolUsage; 2] {
        [self.keys.numbers().usage(), self.words.usage()]
    }

    /// SAs there is room for, and how many are in use, those that wait for lcores included.
    pub(super) fn usage(&self) -> (u32, u32) {
        (self.keys.numbers().capacity(), self.keys.numbers().in_use())
    }
}
