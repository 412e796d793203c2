//! The neighbour table: who has which MAC address, who is being asked, and what waits for them.
//!
//! One state machine serves ARP and ND (RFC 4861 7.3); it knows no formats and sends nothing, but
//! says what is to be done. There is no traffic feedback from the fast path, so neighbours that
//! are known are asked again when their answer has aged, whether they are used or not.
//!
//! | state | until | then |
//! |---|---|---|
//! | incomplete | `retransmit_ns`, `requests` times | absent, what waited is reported |
//! | absent | `negative_ns` | forgotten |
//! | reachable | `reachable_ns` | probing |
//! | stale | `delay_ns` | probing |
//! | probing | `retransmit_ns`, `requests` times | forgotten, the fast path is told |
//! | fixed | for ever | |

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use pal::clock::Nanos;

use super::acquaintance::Acquaintance;
use super::counters::SlowDrop;
use super::limit::Limits;
use crate::packet::PuntedPacket;
use crate::uidb::UidbIndex;

/// Which neighbour: its link and its address.
pub(super) type Key = (UidbIndex, IpAddr);

/// A MAC address.
pub(super) type Mac = [u8; 6];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Incomplete { asked: u8 },
    Absent,
    Reachable(Mac),
    Stale(Mac),
    Probing { mac: Mac, asked: u8 },
    Fixed(Mac),
}

impl State {
    fn mac(self) -> Option<Mac> {
        match self {
            Self::Incomplete { .. } | Self::Absent => None,
            Self::Reachable(mac) | Self::Stale(mac) | Self::Fixed(mac) => Some(mac),
            Self::Probing { mac, .. } => Some(mac),
        }
    }

    fn awaits(self) -> bool {
        matches!(self, Self::Incomplete { .. } | Self::Probing { .. })
    }
}

#[derive(Debug)]
struct Entry {
    state: State,
    deadline: Nanos,
    held: VecDeque<PuntedPacket>,
}

/// What is to be done about a neighbour.
#[derive(Debug)]
pub(super) enum Event {
    /// Send a request; to `Some` MAC address alone, or to everybody.
    Ask(Key, Option<Mac>),
    /// The MAC address is known, or another one: tell the fast path and send what waited.
    Resolved(Key, Mac, VecDeque<PuntedPacket>),
    /// Nobody answered: report what waited.
    Absent(VecDeque<PuntedPacket>),
    /// A known neighbour is gone: tell the fast path.
    Lost(Key),
    /// Packets that gave way.
    Discarded(VecDeque<PuntedPacket>, SlowDrop),
}

/// What a message says about a neighbour.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    /// The neighbour's MAC address, if the message has one.
    pub(super) mac: Option<Mac>,
    /// Whether to remember a neighbour that nobody asked for.
    pub(super) create: bool,
    /// Whether a MAC address replaces another one.
    pub(super) replace: bool,
    /// Whether the message shows that the neighbour hears us.
    pub(super) confirms: bool,
}

/// What becomes of a packet that needs a neighbour's MAC address.
#[derive(Debug)]
pub(super) enum Resolution {
    /// It waits.
    Held,
    /// The address is known.
    Known(Mac, PuntedPacket),
    /// It cannot wait.
    Refused(SlowDrop),
}

/// The table.
#[derive(Debug)]
pub(super) struct Neighbours {
    entries: BTreeMap<Key, Entry>,
    timers: BTreeSet<(Nanos, Key)>,
    held: usize,
    acquaintance: Arc<Acquaintance>,
}

impl Neighbours {
    /// An empty table for `capacity` neighbours.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            entries: BTreeMap::new(),
            timers: BTreeSet::new(),
            held: 0,
            acquaintance: Arc::new(Acquaintance::new(2 * capacity)),
        }
    }

    /// What the table says of whom it knows and waits for.
    pub(super) fn acquaintance(&self) -> &Arc<Acquaintance> {
        &self.acquaintance
    }

    /// Takes a packet for `key`: it goes at once, waits, or is refused.
    pub(super) fn resolve(
        &mut self,
        now: Nanos,
        key: Key,
        packet: PuntedPacket,
        limits: &Limits,
        events: &mut Vec<Event>,
    ) -> Resolution {
        if !self.entries.contains_key(&key) {
            if self.entries.len() >= limits.neighbours {
                return Resolution::Refused(SlowDrop::NeighboursFull);
            }
            if self.held >= limits.held_total {
                return Resolution::Refused(SlowDrop::HoldFull);
            }
            let deadline = now.saturating_add(limits.retransmit_ns);
            self.set(key, State::Incomplete { asked: 1 }, deadline);
            events.push(Event::Ask(key, None));
        }
        let Some(entry) = self.entries.get_mut(&key) else {
            return Resolution::Refused(SlowDrop::NeighboursFull);
        };
        if let Some(mac) = entry.state.mac() {
            return Resolution::Known(mac, packet);
        }
        if entry.state == State::Absent {
            return Resolution::Refused(SlowDrop::NeighbourAbsent);
        }
        if entry.held.len() >= limits.held_per_neighbour.max(1) {
            let oldest: VecDeque<_> = entry.held.pop_front().into_iter().collect();
            self.held -= oldest.len();
            events.push(Event::Discarded(oldest, SlowDrop::HoldQueueFull));
        } else if self.held >= limits.held_total {
            return Resolution::Refused(SlowDrop::HoldFull);
        }
        entry.held.push_back(packet);
        self.held += 1;
        Resolution::Held
    }

    /// Asks for a neighbour that nothing is known about and nobody waits for. While it does not
    /// answer, the table remembers that for as long as for any other.
    pub(super) fn look_for(
        &mut self,
        now: Nanos,
        key: Key,
        limits: &Limits,
        events: &mut Vec<Event>,
    ) {
        if !self.entries.contains_key(&key) && self.entries.len() < limits.neighbours {
            let deadline = now.saturating_add(limits.retransmit_ns);
            self.set(key, State::Incomplete { asked: 1 }, deadline);
            events.push(Event::Ask(key, None));
        }
    }

    /// Takes in what a message says; true when the neighbour is in the table afterwards.
    pub(super) fn hear(
        &mut self,
        now: Nanos,
        key: Key,
        heard: Heard,
        limits: &Limits,
        events: &mut Vec<Event>,
    ) -> bool {
        let old = self.entries.get(&key).map(|entry| entry.state);
        if old.is_none() && (!heard.create || self.entries.len() >= limits.neighbours) {
            return false;
        }
        let known = old.and_then(State::mac);
        let Some(mac) = heard.mac.or(known) else { return old.is_some() };
        let differs = known != Some(mac);
        let stale_at = now.saturating_add(limits.delay_ns);
        match old {
            Some(State::Fixed(_)) => return true,
            // RFC 4861 7.2.5: doubt what we have, but do not believe the other one either.
            Some(State::Reachable(known)) if differs && !heard.replace => {
                self.set(key, State::Stale(known), stale_at);
                return true;
            }
            _ if known.is_some() && differs && !heard.replace => return true,
            _ => {}
        }
        if heard.confirms {
            let deadline = now.saturating_add(limits.reachable_ns);
            self.set(key, State::Reachable(mac), deadline);
        } else if differs {
            self.set(key, State::Stale(mac), stale_at);
        }
        if differs {
            let held = self.release(key);
            events.push(Event::Resolved(key, mac, held));
        }
        true
    }

    /// Enters a neighbour that is never asked and never ages; announced when time next goes on.
    pub(super) fn fix(&mut self, key: Key, mac: Mac) {
        self.set(key, State::Fixed(mac), Nanos::ZERO);
    }

    /// Handles every timer that is due at `now`, each once.
    pub(super) fn expire(&mut self, now: Nanos, limits: &Limits, events: &mut Vec<Event>) {
        let due: Vec<Key> =
            self.timers.iter().take_while(|(at, _)| *at <= now).map(|(_, key)| *key).collect();
        for key in due {
            self.expire_one(now, key, limits, events);
        }
    }

    fn expire_one(&mut self, now: Nanos, key: Key, limits: &Limits, events: &mut Vec<Event>) {
        let Some(entry) = self.entries.get(&key) else { return };
        let again = now.saturating_add(limits.retransmit_ns);
        match entry.state {
            State::Incomplete { asked } if asked < limits.requests => {
                self.set(key, State::Incomplete { asked: asked + 1 }, again);
                events.push(Event::Ask(key, None));
            }
            State::Incomplete { .. } => {
                self.set(key, State::Absent, now.saturating_add(limits.negative_ns));
                let held = self.release(key);
                events.push(Event::Absent(held));
            }
            State::Absent => {
                self.forget(key);
            }
            State::Reachable(mac) | State::Stale(mac) => {
                self.set(key, State::Probing { mac, asked: 1 }, again);
                events.push(Event::Ask(key, Some(mac)));
            }
            State::Probing { mac, asked } if asked < limits.requests => {
                self.set(key, State::Probing { mac, asked: asked + 1 }, again);
                events.push(Event::Ask(key, Some(mac)));
            }
            State::Probing { .. } => {
                self.forget(key);
                events.push(Event::Lost(key));
            }
            State::Fixed(mac) => {
                self.timers.remove(&(entry.deadline, key));
                let held = self.release(key);
                events.push(Event::Resolved(key, mac, held));
            }
        }
    }

    /// Forgets `key`; what waited is discarded for `reason`.
    pub(super) fn remove(&mut self, key: Key, reason: SlowDrop, events: &mut Vec<Event>) {
        let held = self.release(key);
        let state = self.forget(key);
        events.push(Event::Discarded(held, reason));
        if state.and_then(State::mac).is_some() {
            events.push(Event::Lost(key));
        }
    }

    /// Every neighbour, in order of link and address.
    pub(super) fn keys(&self) -> Vec<Key> {
        self.entries.keys().copied().collect()
    }

    /// When [`Neighbours::expire`] next has something to do.
    pub(super) fn next_deadline(&self) -> Option<Nanos> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// The MAC address of `key`, as far as it is known.
    pub(super) fn mac(&self, key: Key) -> Option<Mac> {
        self.entries.get(&key).and_then(|entry| entry.state.mac())
    }

    /// Everything that waits, taken out.
    pub(super) fn release_all(&mut self) -> VecDeque<PuntedPacket> {
        self.held = 0;
        self.entries.values_mut().flat_map(|entry| std::mem::take(&mut entry.held)).collect()
    }

    fn set(&mut self, key: Key, state: State, deadline: Nanos) {
        self.tell(key, self.entries.get(&key).map(|entry| entry.state), Some(state));
        let fresh = || Entry { state, deadline, held: VecDeque::new() };
        let entry = self.entries.entry(key).or_insert_with(fresh);
        self.timers.remove(&(entry.deadline, key));
        entry.state = state;
        entry.deadline = deadline;
        self.timers.insert((deadline, key));
    }

    /// Keeps what the fast path can ask in step.
    fn tell(&self, (uidb, address): Key, old: Option<State>, new: Option<State>) {
        let (was, is) = (old.and_then(State::mac), new.and_then(State::mac));
        if let Some(mac) = was.filter(|_| was != is) {
            self.acquaintance.set_known(uidb, address, mac, false);
        }
        if let Some(mac) = is.filter(|_| was != is) {
            self.acquaintance.set_known(uidb, address, mac, true);
        }
        let (was, is) = (old.is_some_and(State::awaits), new.is_some_and(State::awaits));
        if was != is {
            self.acquaintance.set_awaited(uidb, address, is);
        }
    }

    fn release(&mut self, key: Key) -> VecDeque<PuntedPacket> {
        let held = self.entries.get_mut(&key).map(|entry| std::mem::take(&mut entry.held));
        let held = held.unwrap_or_default();
        self.held -= held.len();
        held
    }

    fn forget(&mut self, key: Key) -> Option<State> {
        let entry = self.entries.remove(&key)?;
        self.tell(key, Some(entry.state), None);
        self.timers.remove(&(entry.deadline, key));
        self.held -= entry.held.len();
        Some(entry.state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_neighbour_that_nobody_waits_for_is_asked_for_once_until_it_answers_or_is_absent() {
        let limits = Limits::default();
        let key = (UidbIndex(3), IpAddr::from([192, 0, 2, 2]));
        let mut neighbours = Neighbours::new(8);
        let mut asked = |now| {
            let mut events = Vec::new();
            neighbours.expire(now, &limits, &mut events);
            neighbours.look_for(now, key, &limits, &mut events);
            events.iter().filter(|event| matches!(event, Event::Ask(..))).count()
        };
        assert_eq!(asked(Nanos::ZERO), 1);
        assert_eq!(asked(Nanos::from_millis(500)), 0);
        let seconds: Vec<usize> = (1..8).map(|second| asked(Nanos::from_secs(second))).collect();
        // Two more requests, three seconds of silence, and then anew.
        assert_eq!(seconds, [1, 1, 0, 0, 0, 1, 1]);
    }
}
