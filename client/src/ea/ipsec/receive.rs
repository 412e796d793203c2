//! Marks of inbound SAs, written ahead of what lcores accept, and the last marks of SAs that go.

use driver::Driver;
use qfp_core::ipsec::SaState;
use qfp_core::packet::DropReason;

use super::ahead::{Next, Seen};
use super::{IpsecAgent, Leaving};
use crate::ipsec::{KeyId, Mark, MarkId, SaEvent};

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
    /// Keeps the limits of inbound SAs ahead of what they accept, at `now` of the vectors' clock:
    /// writes marks, and has those that are written be limits. With `wait` all of it is done at
    /// once; without, the disk is not waited for, and most calls do nothing.
    pub(crate) fn keep_ahead(
        &mut self,
        driver: &mut Driver,
        now: u64,
        wait: bool,
        events: &mut Vec<SaEvent>,
    ) {
        if let Some(outcome) = self.marks.outcome() {
            match outcome {
                Ok(()) => self.raise(driver),
                Err(error) => {
                    self.raising.clear();
                    self.complain(&error, events);
                }
            }
        }
        let pause = LOOK_AGAIN.max(LOOK_AGAIN_EACH.saturating_mul(self.ahead.len() as u64));
        let is_early = !wait && now.saturating_sub(self.looked) < pause;
        if self.ahead.is_empty() || is_early || self.marks.is_busy() {
            return;
        }
        self.looked = now;
        let marks = self.look_ahead(driver, now);
        if marks.is_empty() {
            return;
        }
        let written =
            if wait { self.marks.write(&marks).map(|()| false) } else { self.marks.begin(marks) };
        match written {
            Ok(true) => {}
            Ok(false) => self.raise(driver),
            Err(error) => {
                self.raising.clear();
                self.complain(&error, events);
            }
        }
    }

    /// Looks at all inbound SAs; returns the marks that are to be written now.
    fn look_ahead(&mut self, driver: &mut Driver, now: u64) -> Vec<(MarkId, Mark)> {
        let mut marks = Vec::new();
        let mut lowered = Vec::new();
        let Self { tables, ahead, raising, .. } = self;
        let Some(tables) = tables else { return marks };
        for (row, ahead) in ahead {
            let Some(state) = tables.state(driver, *row) else { continue };
            let seen = seen(state);
            match ahead.look(now, seen) {
                Next::Stay => {}
                Next::Raise(limit) => {
                    // What was written for it before is no less than what it may accept now.
                    ahead.lowering = None;
                    marks.push((ahead.id, Mark::reserved(limit)));
                    raising.push((*row, limit));
                    continue;
                }
                Next::Lower(limit) => {
                    state.lower(limit);
                    ahead.limit = limit;
                    lowered.push(*row);
                    continue;
                }
            }
            if ahead.lowering.is_some_and(|grace| driver.all_passed(grace)) {
                ahead.lowering = None;
                // Before they knew of it, lcores may have come further.
                let limit = ahead.limit.max(state.sequence());
                marks.push((ahead.id, Mark::reserved(limit)));
                raising.push((*row, limit));
            }
        }
        if !lowered.is_empty() {
            let grace = driver.grace_period();
            for row in lowered {
                if let Some(ahead) = self.ahead.get_mut(&row) {
                    ahead.lowering = Some(grace);
                }
            }
        }
        marks
    }

    /// Has lcores accept what is written.
    fn raise(&mut self, driver: &Driver) {
        self.complained = None;
        for (row, limit) in std::mem::take(&mut self.raising) {
            if let Some(ahead) = self.ahead.get_mut(&row) {
                ahead.limit = limit;
                if let Some(state) = self.state(driver, row) {
                    state.reserve(limit);
                }
            }
        }
    }

    /// Gives back keys that every lcore has left, with exact marks of how far they have come.
    pub(super) fn part(&mut self, driver: &Driver) {
        if self.leaving.is_empty() || self.marks.is_busy() {
            return;
        }
        let passed = |leaving: &Leaving| driver.all_passed(leaving.grace);
        let (gone, leaving) = std::mem::take(&mut self.leaving).into_iter().partition(passed);
        self.leaving = leaving;
        let last = gone.iter().filter_map(|Leaving { held, key, id, .. }| {
            // The key may have come back, with another state.
            let id = (*id).filter(|id| !self.has_mark(*key, *id))?;
            Some((id, self.last_mark(id, self.state(driver, held.state)?)))
        });
        let last: Vec<_> = last.collect();
        // A mark that cannot be written says more than was used.
        let _ = self.marks.write(&last);
        last.iter().for_each(|(id, _)| self.marks.release(*id));
        for Leaving { grace, held, .. } in gone {
            if let Some(tables) = &mut self.tables {
                tables.drop_key(held, grace);
            }
        }
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
        self.raising.clear();
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
