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
//! | heard | `reachable_ns` | forgotten |
//! | reachable | `reachable_ns` | probing |
//! | stale | `delay_ns` | probing |
//! | probing | `retransmit_ns`, `requests` times | forgotten, the fast path is told |
//! | fixed | for ever | |
//! | refused | `negative_ns` | fixed |
//!
//! Everybody may send whatever he likes, so there are four kinds of entries, each with bounds of
//! its own (RFC 6583): those that are not known and one packet was for (incomplete, absent), those
//! that several packets were for, those that have spoken to the router though no packet was for
//! them (heard; the fast path does not learn of them until one is), and those that are known and
//! used. Of the first three the oldest of the link gives way to a new one. Known neighbours never
//! give way, and fixed ones are not counted.
//!
//! A packet for somebody who is not known asks first, as far as the budget of requests goes, and
//! only then waits, if its request went out.

mod asking;
mod by_age;
mod hear;
mod table;
mod timers;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use pal::clock::Nanos;

use super::acquaintance::Acquaintance;
use super::counters::{SlowDrop, SlowPathCounters};
use super::limit::Limits;
use crate::packet::{PuntCause, PuntedPacket};
use crate::uidb::UidbIndex;

use asking::{Asking, Precedence};
use by_age::ByAge;
pub(super) use hear::Heard;

/// Which neighbour: its link and its address.
pub(super) type Key = (UidbIndex, IpAddr);

/// A MAC address.
pub(super) type Mac = [u8; 6];

/// What a packet to a next hop of a route, or to a neighbour that was known once, counts for: no
/// scan finds such addresses.
const CONFIGURED: u8 = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Incomplete { asked: u8, packets: u8 },
    Absent { packets: u8 },
    Heard(Mac),
    Reachable(Mac),
    Stale(Mac),
    Probing { mac: Mac, asked: u8, rival: Option<Mac> },
    Fixed(Mac),
    Refused(Mac),
}

impl State {
    fn mac(self) -> Option<Mac> {
        match self {
            Self::Incomplete { .. } | Self::Absent { .. } => None,
            Self::Heard(mac) | Self::Reachable(mac) | Self::Stale(mac) => Some(mac),
            Self::Fixed(mac) | Self::Refused(mac) | Self::Probing { mac, .. } => Some(mac),
        }
    }

    /// The MAC address, if the router sends to it.
    fn used(self) -> Option<Mac> {
        self.mac().filter(|_| !matches!(self, Self::Heard(_)))
    }

    fn awaits(self) -> bool {
        matches!(self, Self::Incomplete { asked: 1.., .. } | Self::Probing { .. })
    }

    /// Known, and counted as such.
    fn is_learnt(self) -> bool {
        matches!(self, Self::Reachable(_) | Self::Stale(_) | Self::Probing { .. })
    }
}

/// Entries that give way to others of the same kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Not known, one packet was for it.
    Once,
    /// Not known, several packets were for it.
    Repeated,
    /// Known, but no packet was for it.
    Unsolicited,
}

#[derive(Debug)]
struct Entry {
    state: State,
    deadline: Nanos,
    /// Where it is among those that can give way.
    place: Option<(Kind, u64)>,
    /// When another MAC address was last claimed for it.
    contested: Option<Nanos>,
    /// Numbers of the packets that wait, oldest first.
    held: VecDeque<u64>,
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

/// One call: when, within which limits, and what comes of it.
pub(super) struct Step<'a> {
    now: Nanos,
    limits: &'a Limits,
    counters: &'a mut SlowPathCounters,
    events: Vec<Event>,
}

impl<'a> Step<'a> {
    pub(super) fn new(now: Nanos, limits: &'a Limits, counters: &'a mut SlowPathCounters) -> Self {
        Self { now, limits, counters, events: Vec::new() }
    }

    /// What is to be done, in this order.
    pub(super) fn into_events(self) -> Vec<Event> {
        self.events
    }

    fn after(&self, ns: u64) -> Nanos {
        self.now.saturating_add(ns)
    }
}

/// The table.
#[derive(Debug)]
pub(super) struct Neighbours {
    entries: BTreeMap<Key, Entry>,
    timers: BTreeSet<(Nanos, Key)>,
    /// By [`Kind`].
    yielding: [ByAge<IpAddr>; 3],
    held: ByAge<(IpAddr, PuntedPacket)>,
    /// Known ones of each link that has any.
    learnt: HashMap<UidbIndex, usize>,
    learnt_total: usize,
    asking: Asking,
    acquaintance: Arc<Acquaintance>,
}

impl Neighbours {
    /// An empty table within `limits`.
    pub(super) fn new(limits: &Limits) -> Self {
        // Those that are known are awaited, too, while they are asked again.
        let facts = limits.neighbours.saturating_mul(2).saturating_add(limits.unresolved);
        Self {
            entries: BTreeMap::new(),
            timers: BTreeSet::new(),
            yielding: std::array::from_fn(|_| ByAge::default()),
            held: ByAge::default(),
            learnt: HashMap::new(),
            learnt_total: 0,
            asking: Asking::default(),
            acquaintance: Arc::new(Acquaintance::new(facts)),
        }
    }

    /// Requests are counted anew.
    pub(super) fn ask_anew(&mut self) {
        self.asking = Asking::default();
    }

    /// What the table says of whom it knows and waits for.
    pub(super) fn acquaintance(&self) -> &Arc<Acquaintance> {
        &self.acquaintance
    }

    /// Takes a packet for `key`: it goes at once, waits, or is refused.
    pub(super) fn resolve(
        &mut self,
        step: &mut Step<'_>,
        key: Key,
        packet: PuntedPacket,
    ) -> Resolution {
        let worth = if packet.cause == PuntCause::IncompleteAdjacency { CONFIGURED } else { 1 };
        let state = self.entries.get(&key).map(|entry| entry.state);
        match state {
            Some(State::Absent { .. }) => return Resolution::Refused(SlowDrop::NeighbourAbsent),
            Some(State::Refused(_)) => return Resolution::Refused(SlowDrop::NeighboursFull),
            Some(State::Heard(mac)) => {
                return if self.take_up(step, key, mac) {
                    Resolution::Known(mac, packet)
                } else {
                    Resolution::Refused(SlowDrop::NeighboursFull)
                };
            }
            _ => {}
        }
        if let Some(mac) = state.and_then(State::mac) {
            return Resolution::Known(mac, packet);
        }
        if !self.want(step, key, worth) {
            return Resolution::Refused(SlowDrop::RequestLimit);
        }
        self.hold(step, key, packet);
        Resolution::Held
    }

    /// Asks for a neighbour that nothing is known about and nobody waits for. While it does not
    /// answer, the table remembers that for as long as for any other.
    pub(super) fn look_for(&mut self, step: &mut Step<'_>, key: Key) {
        match self.entries.get(&key).map(|entry| entry.state) {
            None | Some(State::Incomplete { asked: 0, .. }) => {
                self.want(step, key, CONFIGURED);
            }
            Some(State::Heard(mac)) if self.take_up(step, key, mac) => {
                step.events.push(Event::Resolved(key, mac, VecDeque::new()));
            }
            _ => {}
        }
    }

    /// Enters a neighbour that lcores send to, and whose slow path is gone: it is asked soon, and the
    /// fast path is told if it does not answer, or there is no room to remember it.
    pub(super) fn adopt(&mut self, step: &mut Step<'_>, key: Key, mac: Mac) {
        if self.mac(key).is_some() {
            return;
        }
        let held = self.release(key);
        if self.take_up(step, key, mac) {
            if !held.is_empty() {
                step.events.push(Event::Resolved(key, mac, held));
            }
        } else {
            step.events.push(Event::Discarded(held, SlowDrop::NeighboursFull));
            step.events.push(Event::Lost(key));
        }
    }

    /// Counts packets for a neighbour that is not known, and asks for it unless it has been asked
    /// for; whether a request is on its way.
    fn want(&mut self, step: &mut Step<'_>, key: Key, worth: u8) -> bool {
        let known = self.entries.get(&key);
        let (asked, packets) = match known.map(|entry| entry.state) {
            Some(State::Incomplete { asked, packets }) => (asked, packets.saturating_add(worth)),
            _ => (0, worth),
        };
        let deadline = known.map(|entry| entry.deadline);
        let may = asked == 0
            && self.asking.may_ask(step.now, key.0, Precedence::of(packets), step.limits);
        let (asked, deadline) = match deadline {
            _ if may => (1, step.after(step.limits.retransmit_ns)),
            Some(deadline) => (asked, deadline),
            // Not asked yet: what speaks for it is remembered for a while.
            None => (0, step.after(step.limits.negative_ns)),
        };
        self.set(step, key, State::Incomplete { asked, packets }, deadline);
        if may {
            step.events.push(Event::Ask(key, None));
        } else if asked == 0 {
            step.counters.requests_limited += 1;
        }
        asked > 0
    }

    /// A packet needs a neighbour that has spoken to the router: from now on it is one that is
    /// used, to be asked soon (RFC 4861 7.3.3); false when there is no room for it.
    fn take_up(&mut self, step: &mut Step<'_>, key: Key, mac: Mac) -> bool {
        let room = self.has_room(key.0, step.limits);
        if room {
            self.set(step, key, State::Stale(mac), step.after(step.limits.delay_ns));
        }
        room
    }

    /// Enters a neighbour that is never asked and never ages; announced when time next goes on.
    pub(super) fn fix(&mut self, step: &mut Step<'_>, key: Key, mac: Mac) {
        self.set(step, key, State::Fixed(mac), Nanos::ZERO);
    }

    /// The fast path has no room for `key`: for a while its packets are not worth anything.
    pub(super) fn refuse(&mut self, step: &mut Step<'_>, key: Key) {
        let until = step.after(step.limits.negative_ns);
        let refused = match self.entries.get(&key).map(|entry| entry.state) {
            Some(State::Fixed(mac)) => State::Refused(mac),
            Some(state) if state.is_learnt() => State::Absent { packets: CONFIGURED },
            _ => return,
        };
        self.set(step, key, refused, until);
        let held = self.release(key);
        step.events.push(Event::Discarded(held, SlowDrop::NeighboursFull));
    }

    /// Forgets `key`; what waited is discarded for `reason`.
    pub(super) fn remove(&mut self, step: &mut Step<'_>, key: Key, reason: SlowDrop) {
        let held = self.release(key);
        let state = self.forget(key);
        step.events.push(Event::Discarded(held, reason));
        if state.and_then(State::used).is_some() {
            step.events.push(Event::Lost(key));
        }
    }

    /// Forgets how much has been asked on the links for which `keep` is false.
    pub(super) fn retain_links(&mut self, keep: impl Fn(UidbIndex) -> bool) {
        self.asking.retain(keep);
    }

    /// Every neighbour, in order of link and address.
    pub(super) fn keys(&self) -> Vec<Key> {
        self.entries.keys().copied().collect()
    }

    /// How many entries there are of all kinds.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// When [`Neighbours::expire`] next has something to do.
    pub(super) fn next_deadline(&self) -> Option<Nanos> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// The MAC address of `key`, as far as it is known.
    pub(super) fn mac(&self, key: Key) -> Option<Mac> {
        self.entries.get(&key).and_then(|entry| entry.state.mac())
    }
}

#[cfg(test)]
mod tests;
