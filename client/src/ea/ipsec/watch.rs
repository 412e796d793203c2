//! What becomes of SAs: events, lifetimes by time, sequence numbers to be reserved.

use std::collections::BTreeMap;

use driver::Driver;
use qfp_core::ipsec::SaEvents;

use super::{Change, IpsecAgent, RESERVE};
use crate::commit::Protected;
use crate::ipsec::{Mark, MarksError, SaEvent};

/// Between two times that it is told of an interface that it wants an SA, or that numbers cannot be
/// reserved, nanoseconds: whoever does something about it has this long.
const ASK_AGAIN: u64 = 30_000_000_000;

impl IpsecAgent {
    /// Tells which of `interfaces` have packets to send and no SA.
    pub(crate) fn watch_interfaces(
        &mut self,
        driver: &Driver,
        now: u64,
        interfaces: &BTreeMap<String, Protected>,
        events: &mut Vec<SaEvent>,
    ) {
        for (name, Protected { uidb, .. }) in interfaces {
            if !self.tables.wants_sa(driver, *uidb) {
                continue;
            }
            let asked = self.asked.get(uidb);
            if asked.is_none_or(|asked| now.saturating_sub(*asked) >= ASK_AGAIN) {
                self.asked.insert(*uidb, now);
                events.push(SaEvent::Acquire { interface: name.clone() });
            }
        }
    }

    /// Looks at all SAs at `now` of the vectors' clock: tells what has become of them, and reserves
    /// numbers where they run low. Returns those whose hard lifetime is over, to be deleted.
    ///
    /// One load an SA of which nothing is new; the file of marks is written once, if need be.
    pub(crate) fn watch(
        &mut self,
        driver: &Driver,
        now: u64,
        events: &mut Vec<SaEvent>,
    ) -> Vec<Change> {
        self.now = Some(now);
        for name in std::mem::take(&mut self.undated) {
            let Some(found) = self.sas.get_mut(&name).filter(|found| found.since.is_none()) else {
                continue;
            };
            found.since = Some(now);
            self.given.push(found.named());
            let sa = found.sa.clone();
            self.date(&sa, now);
        }
        let mut raised: Vec<(String, SaEvents)> = Vec::new();
        for (row, name) in &self.by_state {
            let Some(state) = self.state(driver, *row) else { continue };
            if state.events() != SaEvents::default() {
                raised.push((name.clone(), state.take_events()));
            }
        }
        while self.deadlines.first().is_some_and(|(end, ..)| *end <= now) {
            let Some((_, name, hard)) = self.deadlines.pop_first() else { break };
            let event = if hard { SaEvents::HARD_EXPIRED } else { SaEvents::SOFT_EXPIRED };
            raised.push((name, event));
        }
        let mut low = Vec::new();
        let mut over = Vec::new();
        for (name, new) in raised {
            self.tell(driver, &name, new, events);
            if new.contains(SaEvents::HARD_EXPIRED) && !over.contains(&name) {
                over.push(name);
            } else if new.contains(SaEvents::RESERVE_LOW) {
                low.push(name);
            }
        }
        if !low.is_empty() {
            self.extend(driver, &low, events);
        }
        over.into_iter().map(Change::Delete).collect()
    }

    /// Tells what has not been told yet.
    fn tell(&mut self, driver: &Driver, name: &str, new: SaEvents, events: &mut Vec<SaEvent>) {
        let peer = self.sas.get(name).and_then(|found| self.state(driver, found.held.state));
        let peer = peer.map(qfp_core::ipsec::SaState::peer);
        let Some(found) = self.sas.get_mut(name) else { return };
        let sa = || name.to_owned();
        let fresh = |event| new.contains(event) && !found.told.contains(event);
        let hard = fresh(SaEvents::HARD_EXPIRED);
        if hard {
            events.push(SaEvent::HardExpired { sa: sa() });
        } else if fresh(SaEvents::SOFT_EXPIRED) {
            events.push(SaEvent::SoftExpired { sa: sa() });
        }
        if fresh(SaEvents::SEQUENCE_OVERFLOW) {
            events.push(SaEvent::SequenceOverflow { sa: sa() });
        }
        let once =
            SaEvents::HARD_EXPIRED.0 | SaEvents::SOFT_EXPIRED.0 | SaEvents::SEQUENCE_OVERFLOW.0;
        found.told = SaEvents(found.told.0 | new.0 & once);
        if let Some((address, port)) = peer.filter(|_| new.contains(SaEvents::PEER_MOVED))
            && found.moved_to != Some((address, port))
        {
            found.moved_to = Some((address, port));
            events.push(SaEvent::PeerMoved { sa: sa(), address, port });
        }
    }

    /// Reserves more numbers for outbound SAs.
    fn extend(&mut self, driver: &Driver, names: &[String], events: &mut Vec<SaEvent>) {
        let mut wanted = Vec::new();
        for name in names {
            let Some(found) = self.sas.get(name) else { continue };
            let Some(state) = self.state(driver, found.held.state) else { continue };
            let mark = state.sequence().max(found.mark).saturating_add(RESERVE);
            let mark = mark.min(found.sa.last_number());
            if mark > found.mark {
                wanted.push((name, found.id, mark));
            }
        }
        let noted = wanted.iter().filter_map(|(_, id, mark)| Some(((*id)?, Mark::reserved(*mark))));
        let noted: Vec<_> = noted.collect();
        if let Err(error) = self.marks.write(&noted) {
            return self.complain(&error, events);
        }
        self.complained = None;
        for (name, _, mark) in wanted {
            let Some(found) = self.sas.get_mut(name) else { continue };
            found.mark = mark;
            let row = found.held.state;
            if let Some(state) = self.state(driver, row) {
                state.reserve(mark);
            }
        }
    }

    /// Tells that numbers cannot be reserved, now and then.
    pub(super) fn complain(&mut self, error: &MarksError, events: &mut Vec<SaEvent>) {
        let now = self.now.unwrap_or_default();
        if self.complained.is_none_or(|told| now.saturating_sub(told) >= ASK_AGAIN) {
            self.complained = Some(now);
            events.push(SaEvent::MarksNotKept { error: error.to_string() });
        }
    }
}
