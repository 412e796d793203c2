//! What time does to neighbours.

use super::asking::Precedence;
use super::{Event, Key, Mac, Neighbours, State, Step};
use crate::punt::counters::SlowDrop;

impl Neighbours {
    /// Handles every timer that is due, each once.
    pub(in crate::punt) fn expire(&mut self, step: &mut Step<'_>) {
        let due = self.timers.iter().take_while(|(at, _)| *at <= step.now);
        let due: Vec<Key> = due.map(|(_, key)| *key).collect();
        for key in due {
            self.expire_one(step, key);
        }
    }

    fn expire_one(&mut self, step: &mut Step<'_>, key: Key) {
        let Some(entry) = self.entries.get(&key) else { return };
        match entry.state {
            State::Incomplete { asked, packets } if asked < step.limits.requests.max(1) => {
                self.ask_again(step, key, asked, packets);
            }
            State::Incomplete { packets, .. } => {
                let held = self.release(key);
                self.set(step, key, State::Absent { packets }, step.after(step.limits.negative_ns));
                step.events.push(Event::Absent(held));
            }
            State::Absent { .. } | State::Heard(_) => {
                self.forget(key);
            }
            State::Reachable(mac) | State::Stale(mac) => self.probe(step, key, mac, 0, None),
            State::Probing { mac, asked, rival } if asked < step.limits.requests => {
                self.probe(step, key, mac, asked, rival);
            }
            // The old one has had its chance (see `hear`).
            State::Probing { rival: Some(mac), .. } => {
                self.set(step, key, State::Stale(mac), step.after(step.limits.delay_ns));
                let held = self.release(key);
                step.events.push(Event::Resolved(key, mac, held));
            }
            State::Probing { .. } => {
                self.forget(key);
                step.events.push(Event::Lost(key));
            }
            State::Fixed(mac) => self.announce(step, key, mac),
            State::Refused(mac) => {
                self.set(step, key, State::Fixed(mac), step.now);
                self.announce(step, key, mac);
            }
        }
    }

    /// Asks for somebody who has not answered. A request that the budget does not allow counts as
    /// sent, lest a scan fills the table for longer than it has to; but who has never been asked
    /// is not absent.
    fn ask_again(&mut self, step: &mut Step<'_>, key: Key, asked: u8, packets: u8) {
        let precedence = Precedence::of(packets).again();
        let may = self.asking.may_ask(step.now, key.0, precedence, step.limits);
        if may {
            step.events.push(Event::Ask(key, None));
        } else {
            step.counters.requests_limited += 1;
        }
        if may || asked > 0 {
            let deadline = step.after(step.limits.retransmit_ns);
            self.set(step, key, State::Incomplete { asked: asked + 1, packets }, deadline);
        } else {
            let held = self.release(key);
            self.forget(key);
            step.events.push(Event::Discarded(held, SlowDrop::RequestLimit));
        }
    }

    /// Asks a neighbour that is known. A request that the budget does not allow is sent later: it
    /// does not count against the neighbour.
    pub(super) fn probe(
        &mut self,
        step: &mut Step<'_>,
        key: Key,
        mac: Mac,
        asked: u8,
        rival: Option<Mac>,
    ) {
        let may = self.asking.may_refresh(step.now, key.0, step.limits);
        if may {
            step.events.push(Event::Ask(key, Some(mac)));
        } else {
            step.counters.refreshes_limited += 1;
        }
        // Who is to give way to another has a second in all to object.
        let requests = if rival.is_some() { step.limits.requests.max(1) } else { 1 };
        let deadline = step.after(step.limits.retransmit_ns / u64::from(requests));
        self.set(step, key, State::Probing { mac, asked: asked + u8::from(may), rival }, deadline);
    }

    /// Tells of a fixed neighbour, for which nothing is due from then on.
    fn announce(&mut self, step: &mut Step<'_>, key: Key, mac: Mac) {
        if let Some(entry) = self.entries.get(&key) {
            self.timers.remove(&(entry.deadline, key));
        }
        let held = self.release(key);
        step.events.push(Event::Resolved(key, mac, held));
    }
}
