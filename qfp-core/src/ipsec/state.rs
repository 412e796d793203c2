//! What lcores write of an SA: sequence numbers, counters, events.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use super::replay::Window;
use crate::packet::DropReason;

/// Reasons of this feature: they are next to each other among all reasons.
const FIRST_REASON: usize = DropReason::EspNoSa as usize;
const LAST_REASON: usize = DropReason::EspNoEngine as usize;
/// Counters of failures.
const FAILURES: usize = 15;
const _: () = assert!(LAST_REASON - FIRST_REASON < FAILURES);

pal::plain_struct! {
    /// The state of one SA, three cache lines in the region that lcores write. All zeroes is an SA
    /// that has seen nothing, and may neither send nor accept by its window yet.
    #[derive(Debug, Default)]
    #[repr(align(64))]
    pub struct SaState {
        /// Outbound: the last sequence number taken. Inbound: the highest accepted.
        sequence: AtomicU64,
        /// Sequence numbers may be taken, or accepted by a window, up to this one.
        reserved: AtomicU64,
        packets: AtomicU64,
        bytes: AtomicU64,
        events: AtomicU32,
        /// Inbound, with UDP encapsulation: where the peer's packets come from, if that is news.
        peer_port: AtomicU32,
        peer: [AtomicU64; 2],
        /// When it was last used, nanoseconds.
        last_used: AtomicU64,
        /// Inbound: the highest authentic number that was refused for being above `reserved`.
        wanted: AtomicU64,
        failures: [AtomicU64; FAILURES],
    }
}

const _: () = assert!(size_of::<SaState>() == 192);

/// What the client should know of an SA. Bits stay set until they are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SaEvents(pub u32);

impl SaEvents {
    /// A soft lifetime is over: a new SA should be made.
    pub const SOFT_EXPIRED: Self = Self(1 << 0);
    /// A hard lifetime is over: the SA passes nothing any more.
    pub const HARD_EXPIRED: Self = Self(1 << 1);
    /// Half of the reserved sequence numbers are used.
    pub const RESERVE_LOW: Self = Self(1 << 2);
    /// There are no sequence numbers left; the SA sends nothing any more.
    pub const SEQUENCE_OVERFLOW: Self = Self(1 << 3);
    /// The peer's packets come from another address or port ([`SaState::peer`]).
    pub const PEER_MOVED: Self = Self(1 << 4);

    /// True when all of `other` have happened.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl SaState {
    /// Lets an SA take sequence numbers, or accept them by its window, up to `mark`; never takes
    /// back any.
    ///
    /// `mark` must have been noted where a restart does not lose it.
    pub fn reserve(&self, mark: u64) {
        self.reserved.fetch_max(mark, Relaxed);
    }

    /// Starts an outbound SA behind `mark`, the highest number that was ever reserved for its key.
    pub fn resume(&self, mark: u64) {
        self.sequence.fetch_max(mark, Relaxed);
        self.reserve(mark);
    }

    /// Lets an inbound SA accept numbers up to `mark` alone, fewer than before. Lcores may go by
    /// the mark before for a grace period.
    pub fn lower(&self, mark: u64) {
        self.reserved.store(mark, Relaxed);
    }

    /// The number that may be taken or accepted last.
    #[must_use]
    pub fn reserved(&self) -> u64 {
        self.reserved.load(Relaxed)
    }

    /// The highest authentic number that an inbound SA was not let accept yet; 0 for none.
    #[must_use]
    pub fn wanted(&self) -> u64 {
        self.wanted.load(Relaxed)
    }

    /// The window of an inbound SA over `words`, which are its own; see [`Window::new`].
    #[inline]
    #[must_use]
    pub fn window<'a>(&'a self, words: &'a [AtomicU64], size: u32) -> Option<Window<'a>> {
        Some(Window::new(&self.sequence, words, size)?.up_to(self.reserved.load(Relaxed)))
    }

    /// Makes it a state that has seen nothing. No lcore may have it: the SA that had it is gone
    /// for a grace period, and its key is never used again.
    pub fn reset(&self) {
        let own = [&self.sequence, &self.reserved, &self.wanted];
        let counts = [&self.packets, &self.bytes, &self.last_used];
        own.into_iter().chain(counts).for_each(|word| word.store(0, Relaxed));
        self.events.store(0, Relaxed);
        self.peer_port.store(0, Relaxed);
        self.peer.iter().chain(&self.failures).for_each(|word| word.store(0, Relaxed));
    }

    /// The last sequence number taken, or the highest accepted.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence.load(Relaxed)
    }

    /// Packets and bytes of inner packets that were protected or accepted.
    #[must_use]
    pub fn used(&self) -> (u64, u64) {
        (self.packets.load(Relaxed), self.bytes.load(Relaxed))
    }

    /// When the SA was last used, nanoseconds of the vectors' clock; 0 for never.
    #[must_use]
    pub fn last_used(&self) -> u64 {
        self.last_used.load(Relaxed)
    }

    /// The reasons that packets fail for, each with how many did; those without any are left out.
    pub fn all_failures(&self) -> impl Iterator<Item = (DropReason, u64)> {
        let reasons = DropReason::ALL.get(FIRST_REASON..=LAST_REASON).unwrap_or_default();
        reasons.iter().map(|reason| (*reason, self.failures(*reason))).filter(|(_, n)| *n > 0)
    }

    /// Packets that failed for `reason`; 0 for reasons of other features.
    #[must_use]
    pub fn failures(&self, reason: DropReason) -> u64 {
        let counter = (reason as usize).checked_sub(FIRST_REASON);
        counter.and_then(|n| self.failures.get(n)).map_or(0, |count| count.load(Relaxed))
    }

    /// What has happened; nothing is forgotten.
    #[must_use]
    pub fn events(&self) -> SaEvents {
        SaEvents(self.events.load(Relaxed))
    }

    /// What has happened, and forgets it.
    #[must_use]
    pub fn take_events(&self) -> SaEvents {
        SaEvents(self.events.swap(0, Relaxed))
    }

    /// Where the peer's packets come from since [`SaEvents::PEER_MOVED`]; torn if it just moves.
    #[must_use]
    pub fn peer(&self) -> (IpAddr, u16) {
        let word = self.peer_port.load(Relaxed);
        let [high, low] = [0, 1].map(|i: usize| self.peer[i].load(Relaxed));
        let address = u128::from(high) << 64 | u128::from(low);
        #[expect(clippy::cast_possible_truncation, reason = "port and address in parts of words")]
        let (port, v4) = (word as u16, Ipv4Addr::from_bits(low as u32));
        let is_v6 = word >> 16 != 0;
        (if is_v6 { Ipv6Addr::from_bits(address).into() } else { v4.into() }, port)
    }

    /// Notes an authentic number that the limit has not let in.
    #[cold]
    pub fn want(&self, sequence: u64) {
        self.wanted.fetch_max(sequence, Relaxed);
    }

    /// Takes up to `count` numbers, none above `last`; returns the first and how many there are.
    #[inline]
    pub(super) fn take_numbers(&self, count: u64, last: u64) -> (u64, u64) {
        let reserved = self.reserved.load(Relaxed);
        let limit = last.min(reserved);
        // Asked before it is added to: the counter stays where it is once it is at its end.
        let seen = self.sequence.load(Relaxed);
        if seen >= limit {
            let overflow =
                if seen >= last { SaEvents::SEQUENCE_OVERFLOW } else { SaEvents::RESERVE_LOW };
            self.raise(overflow);
            return (0, 0);
        }
        let before = self.sequence.fetch_add(count, Relaxed);
        let granted = limit.saturating_sub(before).min(count);
        if granted < count && limit == last {
            self.raise(SaEvents::SEQUENCE_OVERFLOW);
        }
        if reserved < last && before.saturating_add(RESERVE_WARNING) > reserved {
            self.raise(SaEvents::RESERVE_LOW);
        }
        (before + 1, granted)
    }

    /// Counts packets that passed. Once a run of packets of one SA.
    #[inline]
    pub fn count(&self, packets: u64, bytes: u64, now: u64) {
        self.packets.fetch_add(packets, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
        self.last_used.store(now, Relaxed);
    }

    /// Counts a packet that failed.
    #[cold]
    pub(super) fn fail(&self, reason: DropReason) {
        let counter = (reason as usize).checked_sub(FIRST_REASON);
        if let Some(count) = counter.and_then(|n| self.failures.get(n)) {
            count.fetch_add(1, Relaxed);
        }
    }

    /// Sets bits of the events.
    #[cold]
    pub(super) fn raise(&self, events: SaEvents) {
        if !self.events().contains(events) {
            self.events.fetch_or(events.0, Relaxed);
        }
    }

    /// Notes that the peer's packets come from somewhere else.
    #[cold]
    pub(super) fn moved(&self, address: [u8; 16], v6: bool, port: u16) {
        let address = u128::from_be_bytes(address);
        #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
        let halves =
            if v6 { [(address >> 64) as u64, address as u64] } else { [0, (address >> 96) as u64] };
        for (word, half) in self.peer.iter().zip(halves) {
            word.store(half, Relaxed);
        }
        self.peer_port.store(u32::from(port) | u32::from(v6) << 16, Relaxed);
        self.raise(SaEvents::PEER_MOVED);
    }
}

/// The client is told when fewer reserved numbers than these are left: most of a second at ten
/// million packets a second, in which it writes to a disk.
const RESERVE_WARNING: u64 = 1 << 23;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_sa_that_nothing_is_reserved_for_sends_nothing() {
        let state = SaState::default();
        assert_eq!(state.take_numbers(4, u64::MAX), (0, 0));
        assert_eq!(state.take_events(), SaEvents::RESERVE_LOW);
        state.reserve(10);
        assert_eq!(state.take_numbers(4, u64::MAX), (1, 4));
        assert_eq!(state.take_numbers(64, u64::MAX), (5, 6));
        assert_eq!(state.take_numbers(1, u64::MAX), (0, 0));
        assert!(!state.events().contains(SaEvents::SEQUENCE_OVERFLOW));
    }

    #[test]
    fn numbers_end_where_they_must_and_do_not_begin_again() {
        let state = SaState::default();
        let last = u64::from(u32::MAX);
        state.resume(last - 3);
        state.reserve(u64::MAX);
        assert_eq!(state.take_numbers(2, last), (last - 2, 2));
        assert_eq!(state.events(), SaEvents::default());
        assert_eq!(state.take_numbers(2, last), (last, 1));
        assert_eq!(state.take_events(), SaEvents::SEQUENCE_OVERFLOW);
        assert_eq!(state.take_numbers(2, last), (0, 0));
        assert_eq!(state.take_events(), SaEvents::SEQUENCE_OVERFLOW);
    }

    #[test]
    fn a_restart_begins_behind_what_was_reserved_before() {
        let state = SaState::default();
        state.reserve(1000);
        assert_eq!(state.take_numbers(8, u64::MAX), (1, 8));
        // The process ends here; what it knew is lost but for the mark.
        let state = SaState::default();
        state.resume(1000);
        state.reserve(2000);
        assert_eq!(state.take_numbers(8, u64::MAX), (1001, 8));
    }

    #[test]
    fn lcores_that_share_an_sa_never_take_the_same_number() {
        let state = SaState::default();
        state.reserve(100_000);
        let taken = std::thread::scope(|scope| {
            let take = || {
                let mut mine = Vec::new();
                loop {
                    let (first, count) = state.take_numbers(7, u64::MAX);
                    if count == 0 {
                        return mine;
                    }
                    mine.extend(first..first + count);
                }
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<u64>>()
        });
        let mut sorted = taken;
        sorted.sort_unstable();
        assert_eq!(sorted, (1..=100_000).collect::<Vec<_>>());
    }

    #[test]
    fn a_peer_that_moves_is_reported_with_its_address() {
        let state = SaState::default();
        let mut address = [0; 16];
        address[..4].copy_from_slice(&[192, 0, 2, 7]);
        state.moved(address, false, 4501);
        assert_eq!(state.take_events(), SaEvents::PEER_MOVED);
        assert_eq!(state.peer(), ("192.0.2.7".parse().unwrap(), 4501));
        let v6: Ipv6Addr = "2001:db8::7".parse().unwrap();
        state.moved(v6.octets(), true, 4500);
        assert_eq!(state.peer(), (v6.into(), 4500));
    }
}
