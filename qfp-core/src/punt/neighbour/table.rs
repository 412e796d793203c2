//! The one place where entries change: with them change their timers, their places among those
//! that can give way, and what the fast path can ask.

use std::collections::VecDeque;

use pal::clock::Nanos;

use super::by_age::Bound;
use super::{Entry, Event, Key, Kind, Neighbours, State, Step};
use crate::packet::PuntedPacket;
use crate::punt::counters::SlowDrop;
use crate::punt::limit::Limits;
use crate::uidb::{TableId, UidbIndex};

impl Kind {
    fn of(state: State) -> Option<Self> {
        match state {
            State::Incomplete { packets, .. } | State::Absent { packets } => {
                Some(if packets > 1 { Self::Repeated } else { Self::Once })
            }
            State::Heard(_) => Some(Self::Unsolicited),
            _ => None,
        }
    }

    /// Those that one packet was for have half of the places, whatever happens, and so have the
    /// others: neither can push the other kind out.
    fn bound(self, limits: &Limits) -> Bound {
        match self {
            Self::Once | Self::Repeated => Bound {
                per_link: (limits.unresolved_per_interface / 2).max(1),
                total: (limits.unresolved / 2).max(1),
            },
            Self::Unsolicited => {
                Bound { per_link: limits.unsolicited_per_interface, total: limits.unsolicited }
            }
        }
    }
}

impl Neighbours {
    /// Sets the state of `key`; the oldest of its kind gives way if they are too many now.
    pub(super) fn set(&mut self, step: &mut Step<'_>, key: Key, state: State, deadline: Nanos) {
        let old = self.entries.get(&key).map(|entry| entry.state);
        self.tell(key, old, Some(state));
        let entry = self.entries.entry(key).or_insert_with(|| Entry {
            state,
            deadline,
            place: None,
            contested: None,
            held: VecDeque::new(),
        });
        self.timers.remove(&(entry.deadline, key));
        self.timers.insert((deadline, key));
        (entry.state, entry.deadline) = (state, deadline);
        let kind = Kind::of(state);
        // Who speaks again is young again; who is only wanted is not.
        if entry.place.map(|(kind, _)| kind) != kind || kind == Some(Kind::Unsolicited) {
            let yielding = &mut self.yielding;
            let new = kind.map(|kind| (kind, yielding[kind as usize].push(key.0, key.1)));
            let old = std::mem::replace(&mut entry.place, new);
            self.leave(key.0, old);
            if let Some(kind) = kind {
                self.make_room(step, key.0, kind);
            }
        }
    }

    fn leave(&mut self, link: UidbIndex, place: Option<(Kind, u64)>) {
        if let Some((kind, number)) = place {
            self.yielding[kind as usize].remove(link, number);
        }
    }

    fn make_room(&mut self, step: &mut Step<'_>, link: UidbIndex, kind: Kind) {
        let bound = kind.bound(step.limits);
        while let Some(key) = self.yielding[kind as usize].give_way(link, bound) {
            let held = self.release(key);
            self.forget(key);
            match kind {
                Kind::Unsolicited => step.counters.unsolicited_gave_way += 1,
                Kind::Once | Kind::Repeated => step.counters.unresolved_gave_way += 1,
            }
            step.events.push(Event::Discarded(held, SlowDrop::NeighbourGaveWay));
        }
    }

    /// Whether one more neighbour of `link` can be known.
    pub(super) fn has_room(&self, link: UidbIndex, limits: &Limits) -> bool {
        let of_link = self.learnt.get(&link).copied().unwrap_or(0);
        self.learnt_total < limits.neighbours && of_link < limits.neighbours_per_interface
    }

    /// Keeps count of those that are known, and what the fast path can ask, in step.
    fn tell(&mut self, (uidb, address): Key, old: Option<State>, new: Option<State>) {
        let learnt = |state: Option<State>| state.is_some_and(State::is_learnt);
        match (learnt(old), learnt(new)) {
            (false, true) => {
                *self.learnt.entry(uidb).or_default() += 1;
                self.learnt_total += 1;
            }
            (true, false) => {
                let of_link = self.learnt.entry(uidb).or_default();
                *of_link -= 1;
                if *of_link == 0 {
                    self.learnt.remove(&uidb);
                }
                self.learnt_total -= 1;
            }
            _ => {}
        }
        let (was, is) = (old.and_then(State::used), new.and_then(State::used));
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

    /// Lets a packet wait for `key`. When its neighbour, its link or all have too many, the oldest
    /// of the neighbour or of the link gives way.
    pub(super) fn hold(&mut self, step: &mut Step<'_>, key: Key, packet: PuntedPacket) {
        let limits = step.limits;
        let bound =
            Bound { per_link: limits.held_per_interface.max(1), total: limits.held_total.max(1) };
        let Some(entry) = self.entries.get_mut(&key) else { return };
        entry.held.push_back(self.held.push(key.0, (key.1, packet)));
        let many = entry.held.len() > limits.held_per_neighbour.max(1);
        if let Some(oldest) = entry.held.pop_front_if(|_| many)
            && let Some((_, packet)) = self.held.remove(key.0, oldest)
        {
            step.events.push(Event::Discarded([packet].into(), SlowDrop::HoldQueueFull));
        }
        while let Some((link, (address, packet))) = self.held.give_way(key.0, bound) {
            // The oldest of a link is the oldest of its neighbour.
            if let Some(entry) = self.entries.get_mut(&(link, address)) {
                entry.held.pop_front();
            }
            step.events.push(Event::Discarded([packet].into(), SlowDrop::HoldFull));
        }
    }

    /// What waits for `key`, taken out.
    pub(super) fn release(&mut self, key: Key) -> VecDeque<PuntedPacket> {
        let numbers = self.entries.get_mut(&key).map(|entry| std::mem::take(&mut entry.held));
        let numbers = numbers.unwrap_or_default().into_iter();
        numbers.filter_map(|number| Some(self.held.remove(key.0, number)?.1)).collect()
    }

    /// Discards the packets that wait in another table than `keep` says.
    pub(in crate::punt) fn retain_tables(
        &mut self,
        step: &mut Step<'_>,
        keep: impl Fn(TableId) -> bool,
    ) {
        let gone = self.held.extract(|(_, packet)| !keep(packet.table));
        for (link, gone, (address, packet)) in gone {
            if let Some(entry) = self.entries.get_mut(&(link, address)) {
                entry.held.retain(|number| *number != gone);
            }
            step.events.push(Event::Discarded([packet].into(), SlowDrop::TableRemoved));
        }
    }

    /// Everything that waits, taken out.
    pub(in crate::punt) fn release_all(&mut self) -> VecDeque<PuntedPacket> {
        for entry in self.entries.values_mut() {
            entry.held.clear();
        }
        self.held.drain().map(|(_, packet)| packet).collect()
    }

    /// Forgets `key`, for which nothing waits any more.
    pub(super) fn forget(&mut self, key: Key) -> Option<State> {
        let entry = self.entries.remove(&key)?;
        self.tell(key, Some(entry.state), None);
        self.timers.remove(&(entry.deadline, key));
        self.leave(key.0, entry.place);
        Some(entry.state)
    }
}
