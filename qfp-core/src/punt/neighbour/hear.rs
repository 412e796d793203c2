//! What messages say about neighbours, and how far they are believed.
//!
//! Who is not known and wanted is believed at once. Against what is known nobody is believed:
//! the MAC address that is known is asked first, three times in a second, and only when it does
//! not answer the other one takes its place, to be asked itself soon. This is stricter than RFC
//! 4861 7.2.5, where an advertisement with the override flag replaces at once, and than RFC 826,
//! where every message does; a station that really changes its address is believed a second later.

use super::{Event, Key, Mac, Neighbours, State, Step};
use crate::punt::counters::SlowDrop;

/// What a message says about a neighbour.
#[derive(Clone, Copy, Debug)]
pub(in crate::punt) struct Heard {
    /// The neighbour's MAC address, if the message has one.
    pub(in crate::punt) mac: Option<Mac>,
    /// Whether to remember a neighbour that no packet has been for.
    pub(in crate::punt) create: bool,
    /// Whether the message may replace another MAC address.
    pub(in crate::punt) replace: bool,
    /// Whether the message shows that the neighbour hears us.
    pub(in crate::punt) confirms: bool,
}

impl Neighbours {
    /// Takes in what a message says; true when the neighbour is in the table afterwards.
    pub(in crate::punt) fn hear(&mut self, step: &mut Step<'_>, key: Key, heard: Heard) -> bool {
        let Some(old) = self.entries.get(&key).map(|entry| entry.state) else {
            let Some(mac) = heard.mac.filter(|_| heard.create) else { return false };
            self.set(step, key, State::Heard(mac), step.after(step.limits.reachable_ns));
            return self.entries.contains_key(&key);
        };
        match (old, heard.mac) {
            (State::Fixed(_) | State::Refused(_), _) => {}
            (State::Incomplete { .. } | State::Absent { .. }, Some(mac)) => {
                self.learn(step, key, mac, heard.confirms);
            }
            (State::Incomplete { .. } | State::Absent { .. } | State::Heard(_), None) => {}
            (State::Heard(known), Some(mac)) if mac == known => {
                self.set(step, key, old, step.after(step.limits.reachable_ns));
            }
            // Two strangers, and neither has been asked: whoever needs the address asks for it.
            (State::Heard(_), Some(_)) => {
                step.counters.neighbours_contested += 1;
                self.forget(key);
                return false;
            }
            (
                State::Reachable(known) | State::Stale(known) | State::Probing { mac: known, .. },
                _,
            ) => {
                match heard.mac.filter(|mac| *mac != known) {
                    Some(mac) if heard.replace => self.contest(step, key, known, mac),
                    Some(_) if matches!(old, State::Reachable(_)) => {
                        // RFC 4861 7.2.5: doubt what we have, but do not believe the other one.
                        self.set(step, key, State::Stale(known), step.after(step.limits.delay_ns));
                    }
                    None if heard.confirms => {
                        let deadline = step.after(step.limits.reachable_ns);
                        self.set(step, key, State::Reachable(known), deadline);
                    }
                    _ => {}
                }
            }
        }
        true
    }

    /// The MAC address of a neighbour that packets were for. When there is no room for it, it
    /// counts as absent.
    fn learn(&mut self, step: &mut Step<'_>, key: Key, mac: Mac, confirmed: bool) {
        if !self.has_room(key.0, step.limits) {
            let packets = super::CONFIGURED;
            let held = self.release(key);
            step.counters.neighbours_over_limit += 1;
            step.events.push(Event::Discarded(held, SlowDrop::NeighboursFull));
            self.set(step, key, State::Absent { packets }, step.after(step.limits.negative_ns));
            return;
        }
        let (state, ns) = if confirmed {
            (State::Reachable(mac), step.limits.reachable_ns)
        } else {
            (State::Stale(mac), step.limits.delay_ns)
        };
        self.set(step, key, state, step.after(ns));
        let held = self.release(key);
        step.events.push(Event::Resolved(key, mac, held));
    }

    /// Somebody claims the address of a neighbour that is known: that one is asked, no more than
    /// once in a second however often it is claimed.
    fn contest(&mut self, step: &mut Step<'_>, key: Key, known: Mac, rival: Mac) {
        let Some(entry) = self.entries.get_mut(&key) else { return };
        let pause = step.limits.retransmit_ns;
        if entry.contested.is_some_and(|at| step.now < at.saturating_add(pause)) {
            return;
        }
        step.counters.neighbours_contested += 1;
        entry.contested = Some(step.now);
        match (entry.state, entry.deadline) {
            (State::Probing { mac, asked, rival: None }, deadline) => {
                self.set(step, key, State::Probing { mac, asked, rival: Some(rival) }, deadline);
            }
            (State::Probing { .. }, _) => {}
            _ => self.probe(step, key, known, 0, Some(rival)),
        }
    }
}
