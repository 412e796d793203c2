//! Changes of SAs, prepared where no lcore sees them, then applied or given up.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;

use driver::Driver;
use qfp_core::ipsec::{SaEvents, SaState};
use qfp_core::uidb::{TableId, UidbIndex};

use super::ahead::{Ahead, LEAST};
use super::{Installed, IpsecAgent, IpsecError, Leaving, RESERVE};
use crate::config::Config;
use crate::ipsec::{Direction, KeyId, Mark, MarkId, RowNumbers, Sa};

/// One SA that comes, in place of one of its name if there is one, or that goes.
#[derive(Debug)]
pub(crate) enum Change {
    Put(Box<Sa>),
    Delete(String),
}

/// SAs that nobody uses yet.
#[derive(Default)]
pub(crate) struct IpsecPlan {
    fresh: Vec<Installed>,
    gone: Vec<String>,
    configured: Option<BTreeMap<String, Sa>>,
    /// By row of the state.
    ahead: BTreeMap<u32, Ahead>,
    /// Those that nobody uses any more, once the others are published.
    left: Vec<Installed>,
}

/// What names mean.
pub(crate) struct Names<'a> {
    pub(crate) interface: &'a dyn Fn(&str) -> Option<UidbIndex>,
    pub(crate) table: &'a dyn Fn(&str) -> Option<TableId>,
}

impl IpsecAgent {
    /// Prepares what `config` has that the configuration before had not, and the reverse. SAs that
    /// it says nothing new about stay as they are, whatever has been done to them since; those
    /// that were added otherwise stay too.
    pub(crate) fn prepare_configured(
        &mut self,
        driver: &mut Driver,
        config: &Config,
        names: &Names<'_>,
        plan: &mut IpsecPlan,
    ) -> Result<(), IpsecError> {
        let wanted: BTreeMap<String, Sa> =
            config.ipsec.bound().into_iter().map(|sa| (sa.name.clone(), sa)).collect();
        let gone = self.configured.keys().filter(|name| !wanted.contains_key(*name));
        let gone = gone.filter(|name| self.sas.contains_key(*name));
        // What a program has added goes with the interface or the table that it needs.
        let lost = self.sas.values().map(|found| &found.sa).filter(|sa| {
            let known =
                |sa: &Sa| wanted.contains_key(&sa.name) || self.configured.contains_key(&sa.name);
            let has =
                |name: &Option<String>, is: &dyn Fn(&str) -> bool| name.as_deref().is_none_or(is);
            let interface = has(&sa.interface, &|name| (names.interface)(name).is_some());
            let table = has(&sa.vrf, &|name| (names.table)(name).is_some());
            !(known(sa) || interface && table)
        });
        let gone = gone.chain(lost.map(|sa| &sa.name));
        let mut changes: Vec<Change> = gone.cloned().map(Change::Delete).collect();
        let new = wanted.values().filter(|sa| self.configured.get(&sa.name) != Some(*sa));
        changes.extend(new.cloned().map(|sa| Change::Put(Box::new(sa))));
        plan.configured = Some(wanted);
        self.prepare(driver, &changes, names, plan)
    }

    /// Prepares changes: SAs are written where no lcore comes, sequence numbers are reserved.
    pub(crate) fn prepare(
        &mut self,
        driver: &mut Driver,
        changes: &[Change],
        names: &Names<'_>,
        plan: &mut IpsecPlan,
    ) -> Result<(), IpsecError> {
        self.fill(driver, changes, names, plan)?;
        let mut opened = plan.fresh.iter().filter(|new| new.is_opened());
        opened.try_for_each(|new| self.tables.reserve(driver, new.sa.spi, new.held.row))?;
        self.reserve(driver, plan)
    }

    fn fill(
        &mut self,
        driver: &mut Driver,
        changes: &[Change],
        names: &Names<'_>,
        plan: &mut IpsecPlan,
    ) -> Result<(), IpsecError> {
        if !changes.is_empty() {
            qfp_core::ipsec::engine().map_err(IpsecError::Engine)?;
        }
        let mut replaced: HashSet<&String> = HashSet::new();
        let mut puts = Vec::new();
        for change in changes {
            match change {
                Change::Delete(name) if !self.sas.contains_key(name) => {
                    return Err(IpsecError::Unknown(name.clone()));
                }
                Change::Delete(name) => {
                    replaced.insert(name);
                    plan.gone.push(name.clone());
                }
                Change::Put(sa) => {
                    replaced.insert(&sa.name);
                    puts.push(Sa::clone(sa));
                }
            }
        }
        let mut keys: HashMap<KeyId, String> = HashMap::new();
        let mut spis: HashMap<(u32, IpAddr), String> = HashMap::new();
        for sa in puts {
            let name = || sa.name.clone();
            sa.check().map_err(|problem| IpsecError::Sa { sa: name(), problem })?;
            let key = sa.key_id();
            let known = self.by_key.get(&key).filter(|other| !replaced.contains(*other));
            if let Some(other) = known.or(keys.get(&key)) {
                return Err(IpsecError::SameKey { sa: name(), other: other.clone() });
            }
            keys.insert(key, name());
            if sa.direction == Direction::In {
                let (spi, local) = (sa.spi, sa.endpoints.local);
                let known = self.by_spi.get(&(spi, local));
                let known = known.filter(|other| !replaced.contains(*other));
                if let Some(other) = known.or(spis.get(&(spi, local))) {
                    return Err(IpsecError::DuplicateSpi { spi, local, other: other.clone() });
                }
                spis.insert((spi, local), name());
            }
            let fresh = self.write(driver, sa, names)?;
            plan.fresh.push(fresh);
        }
        Ok(())
    }

    /// Writes the rows of one SA.
    fn write(
        &mut self,
        driver: &mut Driver,
        sa: Sa,
        names: &Names<'_>,
    ) -> Result<Installed, IpsecError> {
        let uidb = match &sa.interface {
            None => UidbIndex::NONE,
            Some(interface) => (names.interface)(interface).ok_or_else(|| {
                IpsecError::NoInterface { sa: sa.name.clone(), interface: interface.clone() }
            })?,
        };
        let table = match &sa.vrf {
            None => TableId::GLOBAL,
            Some(vrf) => (names.table)(vrf)
                .ok_or_else(|| IpsecError::NoVrf { sa: sa.name.clone(), vrf: vrf.clone() })?,
        };
        // What has its key is what it was, whatever its name. A key that was noted stays so.
        let before = self.by_key.get(&sa.key_id()).and_then(|name| self.sas.get(name));
        let lasting = sa.lasting || before.is_some_and(|before| before.sa.lasting);
        let sa = Sa { lasting, ..sa };
        let same = before.filter(|before| keeps_state(&before.sa, &sa));
        if same.is_some_and(|before| before.sa.replay_window != sa.replay_window) {
            return Err(IpsecError::WindowChange(sa.name));
        }
        let kept = match same {
            Some(_) => None,
            None => self.tables.take_kept(&sa)?,
        };
        let (since, order) = match (same, kept) {
            (Some(same), _) => (same.since, same.order),
            (None, Some((_, since))) => (since, self.order),
            (None, None) => (self.now, self.order),
        };
        let numbers =
            RowNumbers { table, interface: uidb, installed: since, ..RowNumbers::default() };
        let (told, moved_to, mark) = match same {
            // What was told of it is still so, but for lifetimes that are others now.
            Some(same) if (same.sa.soft, same.sa.hard) == (sa.soft, sa.hard) => {
                (same.told, None, same.mark)
            }
            Some(same) => (SaEvents::default(), None, same.mark),
            None => (SaEvents::default(), None, 0),
        };
        let like = same.map(|same| same.held);
        let held = self.tables.write(driver, &sa, numbers, like.or(kept.map(|kept| kept.0)));
        let held = held.inspect_err(|_| {
            if let Some((held, _)) = kept {
                self.tables.drop_key(held);
            }
        })?;
        if like.is_none() {
            self.order += 1;
        }
        let (id, is_kept) = (MarkId::of_sa(&sa), kept.is_some());
        let new = Installed { sa, held, id, is_kept, uidb, order, since, told, moved_to, mark };
        self.given.push(new.named());
        Ok(new)
    }

    /// The SA that has the key of another.
    fn with_key(&self, sa: &Sa) -> Option<&Installed> {
        self.by_key.get(&sa.key_id()).and_then(|name| self.sas.get(name))
    }

    /// Reserves sequence numbers for SAs whose state is new, and notes those of lasting keys first.
    fn reserve(&mut self, driver: &Driver, plan: &mut IpsecPlan) -> Result<(), IpsecError> {
        let is_new = |new: &&mut Installed| !self.by_state.contains_key(&new.held.state);
        let mut fresh: Vec<&mut Installed> = plan.fresh.iter_mut().filter(is_new).collect();
        let named = fresh.iter().filter_map(|new| Some((new.id?, &*new.sa.name)));
        let named: Vec<(MarkId, &str)> = named.collect();
        let mut found = self.marks.claim(&named)?.into_iter();
        let mut noted = Vec::new();
        for new in &mut fresh {
            let id = new.id;
            let mark = id.and_then(|_| found.next()).unwrap_or(Mark::UNUSED);
            let (row, last) = (new.held.state, new.sa.last_number());
            self.fresh_keys.extend(self.marks.lasting(new));
            if new.is_kept {
                // Lcores are at it: what they may use has been noted.
                new.mark = self.state(driver, row).map_or(0, SaState::reserved);
                if let Some(id) = id.filter(|_| new.sa.direction == Direction::In) {
                    plan.ahead.insert(row, Ahead::new(id, new.mark, last));
                }
                continue;
            }
            // With another SPI it is another SA, whose numbers go on behind those of the one before.
            let before =
                self.with_key(&new.sa).map_or(0, |before| self.may_be_used(driver, before));
            let mut used = mark.number.max(before);
            if id.is_some() && new.sa.direction == Direction::Out {
                // Whoever has sent with it to this machine has used its numbers.
                let other = MarkId::of(Direction::In, &new.sa.key);
                used = used.max(self.marks.peek(other).number);
            }
            new.mark = match (new.sa.direction, id) {
                (Direction::Out, _) if used >= last => {
                    return Err(IpsecError::UsedUp(new.sa.name.clone()));
                }
                (Direction::Out, _) => used.saturating_add(RESERVE).min(last),
                (Direction::In, None) => u64::MAX,
                // Of what was reserved when a process was killed the peer has used little or
                // nothing. It is not made more before the peer is past it.
                (Direction::In, Some(_)) if !mark.exact && used > 0 => used,
                (Direction::In, Some(_)) => used.saturating_add(LEAST).min(last),
            };
            if let Some(id) = id {
                noted.push((id, Mark::reserved(new.mark)));
                if new.sa.direction == Direction::In {
                    plan.ahead.insert(row, Ahead::new(id, new.mark, last));
                }
            }
            // Nobody can send with it before there is an interface that it protects, and nothing
            // comes in before its SPI is known.
            self.tables.resume(driver, &new.sa, new.held, used);
        }
        self.marks.write(&noted)?;
        for new in fresh {
            if let Some(state) = self.state(driver, new.held.state) {
                state.reserve(new.mark);
            }
        }
        Ok(())
    }

    /// The highest number that an SA may have used, or may still use.
    fn may_be_used(&self, driver: &Driver, sa: &Installed) -> u64 {
        match (sa.sa.direction, self.ahead.get(&sa.held.state)) {
            (Direction::Out, _) => sa.mark,
            (Direction::In, Some(ahead)) => ahead.limit,
            // Nothing limits it before it is gone, which is soon.
            (Direction::In, None) => {
                let state = self.state(driver, sa.held.state);
                state.map_or(0, |state| state.sequence().saturating_add(RESERVE))
            }
        }
    }

    /// Gives up what was prepared.
    pub(crate) fn abort(&mut self, driver: &Driver, plan: IpsecPlan) {
        let tables = &mut self.tables;
        for new in &plan.fresh {
            if new.sa.direction == Direction::In {
                tables.leave(driver, new.sa.spi, new.held.row);
            }
        }
        for new in &plan.fresh {
            tables.drop_row(new.sa.direction, new.held);
            if !self.by_state.contains_key(&new.held.state) {
                tables.drop_key(new.held);
            }
        }
        for new in plan.fresh {
            if self.by_state.contains_key(&new.held.state) {
                continue;
            }
            let (key, is_begun) = (new.sa.key_id(), new.mark > 0);
            let id = new.id.filter(|_| is_begun);
            self.leaving.push(Leaving { state: new.held.state, key, id });
            if let Some(id) = new.id.filter(|id| !is_begun && !self.has_mark(key, *id)) {
                self.marks.release(id);
            }
        }
    }

    /// Lets lcores see what was prepared. Packets for an inbound SA that is replaced find either.
    pub(crate) fn publish(&mut self, driver: &Driver, plan: &mut IpsecPlan) {
        if let Some(configured) = plan.configured.take() {
            self.configured = configured;
        }
        for new in plan.fresh.iter().filter(|new| new.is_opened()) {
            self.tables.enter(driver, new.sa.spi, new.held.row);
        }
        // All of them first: names may have changed hands.
        let names = plan.gone.iter().chain(plan.fresh.iter().map(|new| &new.sa.name));
        plan.left = names.filter_map(|name| self.forget(name)).collect();
        let mut touched: BTreeSet<UidbIndex> = plan.left.iter().map(|old| old.uidb).collect();
        for new in std::mem::take(&mut plan.fresh) {
            touched.insert(new.uidb);
            self.remember(new);
        }
        self.ahead.append(&mut plan.ahead);
        for uidb in touched {
            self.protect(driver, uidb);
        }
    }

    /// Gives back what was replaced.
    pub(crate) fn keep(&mut self, driver: &Driver, plan: IpsecPlan) {
        let tables = &mut self.tables;
        for old in plan.left.iter().filter(|old| old.sa.direction == Direction::In) {
            tables.leave(driver, old.sa.spi, old.held.row);
        }
        for old in plan.left {
            tables.drop_row(old.sa.direction, old.held);
            if !self.by_state.contains_key(&old.held.state) {
                self.ahead.remove(&old.held.state);
                tables.drop_key(old.held);
                let (state, key) = (old.held.state, old.sa.key_id());
                self.leaving.push(Leaving { state, key, id: old.id });
            }
        }
    }

    /// Enters an SA in all indices.
    fn remember(&mut self, new: Installed) {
        let name = new.sa.name.clone();
        self.by_state.insert(new.held.state, name.clone());
        self.by_key.insert(new.sa.key_id(), name.clone());
        match new.sa.direction {
            Direction::In => {
                self.allocated.remove(&new.sa.spi);
                self.by_spi.insert((new.sa.spi, new.sa.endpoints.local), name.clone());
            }
            Direction::Out => {
                self.by_peer.insert((new.sa.spi, new.sa.endpoints.remote, name.clone()));
                if new.uidb != UidbIndex::NONE {
                    let order = (new.order, name.clone());
                    self.of_interface.entry(new.uidb).or_default().insert(order);
                }
            }
        }
        match new.since {
            Some(since) => self.date(&new.sa, since),
            None => self.undated.push(name.clone()),
        }
        self.sas.insert(name, new);
    }

    /// Enters when the lifetimes of an SA end.
    pub(super) fn date(&mut self, sa: &Sa, since: u64) {
        for (lifetime, hard) in [(sa.soft, false), (sa.hard, true)] {
            self.deadlines.extend(lifetime.end(since).map(|end| (end, sa.name.clone(), hard)));
        }
    }

    /// Removes an SA from all indices.
    fn forget(&mut self, name: &str) -> Option<Installed> {
        let old = self.sas.remove(name)?;
        self.by_state.remove(&old.held.state);
        self.by_key.remove(&old.sa.key_id());
        match old.sa.direction {
            Direction::In => drop(self.by_spi.remove(&(old.sa.spi, old.sa.endpoints.local))),
            Direction::Out => {
                self.by_peer.remove(&(old.sa.spi, old.sa.endpoints.remote, name.to_owned()));
            }
        }
        if let Some(all) = self.of_interface.get_mut(&old.uidb) {
            all.remove(&(old.order, name.to_owned()));
        }
        for (lifetime, hard) in [(old.sa.soft, false), (old.sa.hard, true)] {
            if let Some(end) = old.since.and_then(|since| lifetime.end(since)) {
                self.deadlines.remove(&(end, name.to_owned(), hard));
            }
        }
        Some(old)
    }
}

/// Whether what is known of the one is so of the other: it is the same SA, with other settings. An
/// inbound one whose SPI has changed still is, since its peer's numbers need not have begun anew.
fn keeps_state(before: &Sa, after: &Sa) -> bool {
    let identity = |sa: &Sa| {
        let spi = (sa.direction == Direction::Out).then_some(sa.spi);
        (sa.direction, spi, sa.algorithm, sa.lasting)
    };
    identity(before) == identity(after) && before.key == after.key
}
