//! Marks of inbound SAs, written ahead of what lcores accept, and the last marks of SAs that go.

use driver::Driver;
use qfp_core::ipsec::SaState;
use qfp_core::packet::DropReason;

use super::ahead::{Next, Seen};
use super::{IpsecAgent, Leaving};
use crate::ipsec::{KeyId, Mark, MarkId, MarksError, SaEvent};

/// Between two looks at the same SA, nanoseconds: at least, and for each SA that there is.
const LOOK_AGAIN: u64 = 200_000;
const LOOK_AGAIN_EACH: u64 = 300;

/// What lcores say of an SA.
fn seen(state: &SaState) -> Seen {
    Seen {
        highest: state.sequence(),
        wanted: state.wanted(),
        packets: state.used().0.saturating_add(state.failures(DropReason::EspBeyondMark)),
    }
}

impl IpsecAgent {
    /// Whether there is an inbound SA of a lasting key.
    pub(crate) fn keeps_ahead(&self) -> bool {
        !self.ahead.is_empty()
    }

    /// Keeps the limits of inbound SAs ahead of what they accept, at `now` of the vectors' clock:
    /// writes marks, and has what is written be limits. With `wait` the disk is waited for; without,
    /// a thread does that, and most calls do nothing.
    pub(crate) fn keep_ahead(
        &mut self,
        driver: &mut Driver,
        now: u64,
        wait: bool,
        events: &mut Vec<SaEvent>,
    ) {
        if let Some(outcome) = self.marks.outcome() {
            self.synced(driver, outcome, events);
        }
        let pause = LOOK_AGAIN.max(LOOK_AGAIN_EACH.saturating_mul(self.ahead.len() as u64));
        let is_early = !wait && now.saturating_sub(self.looked) < pause;
        if self.ahead.is_empty() || is_early {
            return;
        }
        self.looked = now;
        let marks = self.look_ahead(driver, now);
        let marks: Vec<_> = marks
            .into_iter()
            .map(|(row, id, number)| (row, (id, Mark::reserved(number))))
            .collect();
        let noted: Vec<_> = marks.iter().map(|(_, mark)| *mark).collect();
        if let Err(error) = self.marks.note(&noted) {
            return self.complain(&error, events);
        }
        for (row, (_, mark)) in marks {
            if let Some(ahead) = self.ahead.get_mut(&row) {
                let limit = ahead.wrote(mark.number);
                self.raise(driver, row, limit);
            }
        }
        if self.marks.is_busy() {
            return;
        }
        let unsynced = self.ahead.iter().filter(|(_, ahead)| ahead.is_unsynced());
        self.syncing = unsynced.map(|(row, ahead)| (*row, ahead.written)).collect();
        if self.syncing.is_empty() {
            return;
        }
        let under_way =
            if wait { self.marks.sync().map(|()| false) } else { self.marks.begin_sync() };
        match under_way {
            Ok(true) => {}
            Ok(false) => self.synced(driver, Ok(()), events),
            Err(error) => self.synced(driver, Err(error), events),
        }
    }

    /// Looks at all inbound SAs; returns the numbers that are to be written for their marks now.
    fn look_ahead(&mut self, driver: &mut Driver, now: u64) -> Vec<(u32, MarkId, u64)> {
        let mut marks = Vec::new();
        let mut lowered = Vec::new();
        let Self { tables, ahead, .. } = self;
        for (row, ahead) in ahead {
            let Some(state) = tables.state(driver, *row) else { continue };
            match ahead.look(now, seen(state)) {
                Next::Stay => {}
                Next::Raise(limit) => {
                    marks.push((*row, ahead.id, limit));
                    continue;
                }
                Next::Lower(limit) => {
                    state.lower(limit);
                    lowered.push(*row);
                    continue;
                }
            }
            if ahead.grace.is_some_and(|grace| driver.all_passed(grace)) {
                // Before they knew of it, lcores may have come further.
                marks.push((*row, ahead.id, ahead.limit.max(state.sequence())));
            }
        }
        if !lowered.is_empty() {
            let grace = driver.grace_period();
            for row in lowered {
                if let Some(ahead) = self.ahead.get_mut(&row) {
                    ahead.grace = Some(grace);
                }
            }
        }
        marks
    }

    /// Has lcores accept more.
    fn raise(&self, driver: &Driver, row: u32, limit: u64) {
        if let Some(state) = self.state(driver, row) {
            state.reserve(limit);
        }
    }

    /// What was written is on the disk, or cannot be.
    fn synced(
        &mut self,
        driver: &Driver,
        outcome: Result<(), MarksError>,
        events: &mut Vec<SaEvent>,
    ) {
        let syncing = std::mem::take(&mut self.syncing);
        if let Err(error) = outcome {
            return self.complain(&error, events);
        }
        self.complained = None;
        for (row, number) in syncing {
            if let Some(ahead) = self.ahead.get_mut(&row) {
                let limit = ahead.synced(number);
                self.raise(driver, row, limit);
            }
        }
    }

    /// Notes exact marks of how far keys have come that every lcore has left. False when it cannot
    /// now.
    pub(super) fn part(&mut self, driver: &Driver) -> bool {
        if self.marks.is_busy() {
            return false;
        }
        let gone: Vec<Leaving> = std::iter::from_fn(|| self.leaving.pop()).collect();
        let last = gone.iter().filter_map(|Leaving { state, key, id }| {
            // The key may have come back, with another state.
            let id = (*id).filter(|id| !self.has_mark(*key, *id))?;
            Some((id, self.last_mark(id, self.state(driver, *state)?)))
        });
        let last: Vec<_> = last.collect();
        // A mark that cannot be written says more than was used.
        let _ = self.marks.write(&last);
        last.iter().for_each(|(id, _)| self.marks.release(*id));
        true
    }

    /// The mark of what nobody uses any more.
    fn last_mark(&self, id: MarkId, state: &SaState) -> Mark {
        let mark = self.marks.get(id);
        // What has been taken of numbers that were not reserved was not used. Where a mark that a
        // killed process left has not been passed, it stays what it was.
        if state.sequence() < mark.number { Mark::exact(state.sequence()) } else { mark }
    }

    /// Whether an SA that is installed has this mark and its key.
    pub(super) fn has_mark(&self, key: KeyId, id: MarkId) -> bool {
        let found = self.by_key.get(&key).and_then(|name| self.sas.get(name));
        found.is_some_and(|found| found.id == Some(id))
    }

    /// Writes exact marks of all SAs: no lcore sends or accepts anything any more.
    pub(crate) fn close(&mut self, driver: &Driver, events: &mut Vec<SaEvent>) {
        while self.marks.is_busy() {
            if let Some(Err(error)) = self.marks.outcome() {
                self.complain(&error, events);
            }
            std::thread::yield_now();
        }
        self.syncing.clear();
        let exact = self.sas.values().filter_map(|found| {
            let state = self.state(driver, found.held.state)?;
            Some((found.id?, self.last_mark(found.id?, state)))
        });
        let exact: Vec<_> = exact.collect();
        if let Err(error) = self.marks.write(&exact) {
            self.complain(&error, events);
        }
    }
}
