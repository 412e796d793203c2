//! How far ahead of its peer an inbound SA may accept numbers.
//!
//! What may be accepted counts as seen after a restart. So there is little of it: as many numbers
//! as the peer sends packets in 100 ms, and about a thousand where those are fewer. A peer that
//! begins to send is given what it would send while the disk writes if it went on like this; where
//! it does not, or has become slower, what is too much is taken back.

use pal::publication::Grace;

use crate::ipsec::{MarkId, UNSYNCED};

/// Numbers that are let ahead at least. With a vector that comes before the next look, and what an
/// SA has to be woken with when a process was killed, they are 1024.
pub(super) const LEAST: u64 = 960;
/// How many more are not worth a write to the disk.
const SLACK: u64 = 64;
/// Most numbers that are let ahead: 100 ms of more packets than any lcore opens.
const MOST: u64 = 1 << 22;
/// The time that packets are counted over, nanoseconds.
const SPAN: u64 = 100_000_000;
/// The fastest of so many spans counts.
const SPANS: usize = 10;
/// The time that the beginning of a burst is judged by, nanoseconds, and how many of these it is
/// given.
const BURST: u64 = SPAN / 25;
const BURSTS: u64 = 4;

/// How many packets a peer sends in 100 ms, at its fastest of the last second.
#[derive(Clone, Debug, Default)]
struct Pace {
    /// When this span began, and packets up to then.
    since: u64,
    base: u64,
    /// Packets of this span, and of those before it.
    current: u64,
    before: [u64; SPANS],
    next: usize,
}

impl Pace {
    /// Packets in all up to `now`, nanoseconds. True when a span is over.
    fn look(&mut self, now: u64, packets: u64) -> bool {
        let spans = now.saturating_sub(self.since) / SPAN;
        self.current = packets.saturating_sub(self.base);
        if spans == 0 {
            return false;
        }
        // What came since the last look came some time in between: the first span has it.
        for n in 0..spans.min(SPANS as u64) {
            self.before[self.next] = if n == 0 { self.current } else { 0 };
            self.next = (self.next + 1) % SPANS;
        }
        self.since += spans * SPAN;
        (self.base, self.current) = (packets, 0);
        true
    }

    fn fastest(&self) -> u64 {
        self.before.iter().copied().fold(self.current, u64::max)
    }
}

/// How many packets a peer would send in 16 ms if it went on as in the last few.
#[derive(Clone, Debug, Default)]
struct Burst {
    since: u64,
    base: u64,
    current: u64,
    before: u64,
}

impl Burst {
    fn look(&mut self, now: u64, packets: u64) {
        let elapsed = now.saturating_sub(self.since);
        self.current = packets.saturating_sub(self.base);
        if elapsed >= BURST {
            self.before = self.current.saturating_mul(BURST / 1000) / (elapsed / 1000);
            (self.since, self.base, self.current) = (now, packets, 0);
        }
    }

    fn expected(&self) -> u64 {
        self.before.max(self.current).saturating_mul(BURSTS)
    }
}

/// What lcores say of an inbound SA.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// The highest number that was accepted.
    pub(super) highest: u64,
    /// The highest authentic number that was not accepted since it is beyond the limit.
    pub(super) wanted: u64,
    /// Authentic packets, whether accepted or beyond the limit.
    pub(super) packets: u64,
}

/// What is to be done about a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing.
    Stay,
    /// This number is to be written, then it is the limit.
    Raise(u64),
    /// This number is to be the limit for a grace period, then it is to be written.
    Lower(u64),
}

/// The numbers that an inbound SA may accept.
#[derive(Clone, Debug)]
pub(super) struct Ahead {
    pub(super) id: MarkId,
    /// Lcores accept up to this number.
    pub(super) limit: u64,
    /// What is in the file: never below the limit, for a process that is killed.
    pub(super) written: u64,
    /// What is on the disk at least: never further below than is made up for when the machine has
    /// been started anew.
    synced: u64,
    /// The highest number there is.
    last: u64,
    pace: Pace,
    burst: Burst,
    /// The limit has been lowered, and is written when no lcore goes by the one before it: those that
    /// do have moved on when this grace period is over.
    is_lowering: bool,
    pub(super) grace: Option<Grace>,
}

impl Ahead {
    pub(super) fn new(id: MarkId, limit: u64, last: u64) -> Self {
        let (written, synced) = (limit, limit);
        Self {
            id,
            limit,
            written,
            synced,
            last,
            pace: Pace::default(),
            burst: Burst::default(),
            is_lowering: false,
            grace: None,
        }
    }

    /// This number is in the file. Returns the limit.
    pub(super) fn wrote(&mut self, number: u64) -> u64 {
        self.synced = self.synced.min(number);
        (self.written, self.is_lowering, self.grace) = (number, false, None);
        self.limit = number.min(self.synced.saturating_add(UNSYNCED));
        self.limit
    }

    /// This number, which was in the file before, is on the disk. Returns the limit.
    pub(super) fn synced(&mut self, number: u64) -> u64 {
        self.synced = number.min(self.written);
        if !self.is_lowering {
            self.limit = self.written.min(self.synced.saturating_add(UNSYNCED));
        }
        self.limit
    }

    /// Whether the disk may not have what is in the file.
    pub(super) const fn is_unsynced(&self) -> bool {
        self.synced != self.written
    }

    /// What is to be done, `now` of the vectors' clock.
    pub(super) fn look(&mut self, now: u64, seen: Seen) -> Next {
        let has_new_pace = self.pace.look(now, seen.packets);
        self.burst.look(now, seen.packets);
        let [ahead, more] = [self.pace.fastest(), self.burst.expected()]
            .map(|packets| (packets / 8 * 7).clamp(LEAST, MOST));
        // A killed process leaves numbers that may have been accepted: the peer must get past them.
        let come = seen.highest.max(seen.wanted);
        let target = |ahead| come.saturating_add(ahead).min(self.last);
        let left = self.limit.saturating_sub(come);
        let is_used = seen.packets > 0 || seen.wanted > 0;
        if is_used && left < ahead / 2 && target(ahead) > self.written {
            Next::Raise(target(ahead.max(more)))
        } else if has_new_pace && left > ahead + SLACK && !self.is_lowering {
            self.is_lowering = true;
            self.limit = target(ahead);
            Next::Lower(self.limit)
        } else {
            Next::Stay
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ipsec::{Direction, Secret};

    fn id() -> MarkId {
        MarkId::of(Direction::In, &Secret::new(&[7; 20]))
    }

    const MS: u64 = 1_000_000;

    #[test]
    fn the_pace_is_that_of_the_fastest_tenth_of_a_second_and_is_forgotten_after_one() {
        let mut pace = Pace::default();
        let mut packets = 0;
        for ms in 0..100 {
            packets += 50;
            pace.look(ms * MS, packets);
        }
        assert_eq!(pace.fastest(), 5000);
        for ms in 100..1050 {
            packets += 1;
            pace.look(ms * MS, packets);
        }
        assert!((5000..5051).contains(&pace.fastest()), "{}", pace.fastest());
        for ms in 1050..2200 {
            packets += 1;
            pace.look(ms * MS, packets);
        }
        assert_eq!(pace.fastest(), 100);
        pace.look(60_000 * MS, packets + 7);
        assert_eq!(pace.fastest(), 106, "what came meanwhile came together, for all that is known");
    }

    #[test]
    fn a_limit_that_nothing_comes_near_is_not_written_again() {
        let mut ahead = Ahead::new(id(), LEAST, u64::MAX);
        for ms in 0..10_000 {
            assert_eq!(ahead.look(ms * MS, Seen::default()), Next::Stay);
        }
        let seen = |n| Seen { highest: n, wanted: 0, packets: n };
        assert_eq!(ahead.look(10_000 * MS, seen(400)), Next::Stay);
        assert_eq!(ahead.look(10_100 * MS, seen(481)), Next::Raise(481 + LEAST));
    }

    #[test]
    fn a_burst_is_given_what_it_would_come_to_and_loses_it_when_it_ends() {
        let mut ahead = Ahead::new(id(), LEAST, u64::MAX);
        let seen = |n| Seen { highest: n, wanted: 0, packets: n };
        let start = 10_000 * MS;
        assert_eq!(ahead.look(start, seen(0)), Next::Stay);
        assert_eq!(ahead.look(start + MS, seen(400)), Next::Stay);
        assert_eq!(ahead.look(start + 2 * MS, seen(800)), Next::Raise(800 + 3200 / 8 * 7));
        assert_eq!(ahead.wrote(800 + 3200 / 8 * 7), 3600);
        assert_eq!(ahead.look(start + 3 * MS, seen(801)), Next::Stay);
        assert_eq!(ahead.look(start + SPAN, seen(801)), Next::Lower(801 + LEAST));
    }

    #[test]
    fn numbers_end_where_they_must() {
        let last = u64::from(u32::MAX);
        let mut ahead = Ahead::new(id(), last - 10, last);
        let seen = |n| Seen { highest: n, wanted: 0, packets: 1 };
        assert_eq!(ahead.look(MS, seen(last - 20)), Next::Raise(last));
        assert_eq!((ahead.wrote(last), ahead.synced(last)), (last, last));
        assert_eq!(ahead.look(2 * MS, seen(last)), Next::Stay);
    }

    /// A router with one inbound SA: what it has accepted, what its disk says, what is under way.
    struct Router {
        ahead: Ahead,
        seen: Seen,
        /// What lcores go by: the limit, and the one before it for as long as they may.
        limits: Vec<u64>,
        /// What is on the disk, and what is on its way there.
        disk: u64,
        syncing: Option<u64>,
    }

    impl Router {
        fn start(mark: u64, exact: bool) -> Self {
            let limit = if exact || mark == 0 { mark + LEAST } else { mark };
            let ahead = Ahead::new(id(), limit, u64::MAX);
            let seen = Seen { highest: mark, ..Seen::default() };
            Self { ahead, seen, limits: vec![limit], disk: limit, syncing: None }
        }

        /// Whether an authentic packet that comes in order is accepted.
        fn receive(&mut self, number: u64, lcore: usize) -> bool {
            let limit = self.limits[lcore % self.limits.len()];
            let accepted = number > self.seen.highest && number <= limit;
            if accepted {
                self.seen.highest = number;
                self.seen.packets += 1;
            } else if number > limit {
                self.seen.wanted = self.seen.wanted.max(number);
                self.seen.packets += 1;
            }
            accepted
        }

        /// What `IpsecAgent::keep_ahead` does; `disk` says whether the disk is done.
        fn look(&mut self, now: u64, disk: bool) {
            if disk && let Some(number) = self.syncing.take() {
                self.disk = number;
                let limit = self.ahead.synced(number);
                self.limits[0] = limit;
            }
            match self.ahead.look(now, self.seen) {
                Next::Stay if self.limits.len() > 1 => {
                    // The grace period is over.
                    let limit = self.ahead.limit.max(self.seen.highest);
                    self.limits = vec![self.ahead.wrote(limit)];
                }
                Next::Stay => {}
                Next::Raise(number) => {
                    self.limits = vec![self.ahead.wrote(number)];
                }
                Next::Lower(limit) => {
                    self.limits = vec![limit, self.limits[0]];
                }
            }
            if self.syncing.is_none() && self.ahead.is_unsynced() {
                self.syncing = Some(self.ahead.written);
            }
        }
    }

    #[derive(Clone, Copy, Debug)]
    enum Event {
        /// So many packets, one each so many microseconds.
        Packets(u32, u32),
        /// The peer skips numbers, as it does when it was killed.
        Skip(u32),
        Quiet(u32),
        Look,
        Replay(u32),
        Kill,
        PowerLoss,
        End,
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            4 => (1..4000u32, 1..200u32).prop_map(|(n, gap)| Event::Packets(n, gap)),
            1 => (1..1u32 << 24).prop_map(Event::Skip),
            2 => (1..3000u32).prop_map(Event::Quiet),
            4 => Just(Event::Look),
            2 => any::<u32>().prop_map(Event::Replay),
            2 => Just(Event::Kill),
            1 => Just(Event::PowerLoss),
            1 => Just(Event::End),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        /// Whatever happens in whatever order, nothing is accepted twice, and restarts have an
        /// honest peer lose no more than 1024 packets or what it sends in 100 ms at its fastest.
        #[test]
        fn nothing_is_accepted_twice_and_a_restart_costs_little(
            events in prop::collection::vec(event(), 1..60),
            slow in 1..30u64,
        ) {
            let mut accepted = std::collections::BTreeSet::new();
            let mut router = Router::start(0, true);
            let (mut now, mut next) = (0u64, 1u64);
            // While the peer is not heard again after a restart: whether what it loses counts.
            let (mut lost, mut restarted) = (0u64, None);
            let mut times: std::collections::VecDeque<u64> = std::collections::VecDeque::new();
            let mut fastest = 0u64;
            for (n, event) in events.into_iter().enumerate() {
                match event {
                    Event::Packets(count, gap) => for _ in 0..count {
                        now += u64::from(gap) * 1000;
                        // The control thread looks each millisecond.
                        if now / MS != (now - u64::from(gap) * 1000) / MS {
                            router.look(now, (now / MS).is_multiple_of(slow));
                        }
                        times.push_back(now);
                        while times.front().is_some_and(|at| now - at > 4 * MS) {
                            times.pop_front();
                        }
                        fastest = fastest.max(25 * times.len() as u64);
                        if router.receive(next, n) {
                            prop_assert!(accepted.insert(next), "{} twice", next);
                            restarted = None;
                        } else if restarted == Some(true) {
                            lost += 1;
                            prop_assert!(lost <= fastest.max(1024), "{} lost of {}", lost, fastest);
                        }
                        next += 1;
                    },
                    // The peer's restart has a price of its own.
                    Event::Skip(count) => (next, lost) = (next + u64::from(count), 0),
                    Event::Quiet(ms) => for _ in 0..ms {
                        now += MS;
                        router.look(now, (now / MS).is_multiple_of(slow));
                    },
                    Event::Look => router.look(now, true),
                    Event::Replay(which) => {
                        let which = u64::from(which) % next;
                        let again = accepted.contains(&which) && router.receive(which, n);
                        prop_assert!(!again, "{} is accepted again", which);
                    }
                    Event::Kill => {
                        prop_assert!(accepted.last().is_none_or(|last| *last <= router.ahead.written));
                        router = Router::start(router.ahead.written, false);
                        // A peer that has not come as far as what was reserved catches up.
                        if restarted.is_none() {
                            (lost, restarted) = (0, Some(true));
                        }
                    }
                    Event::PowerLoss => {
                        // What was not waited for may be on the disk, or not.
                        let disk = if n % 2 == 0 { router.disk } else { router.ahead.written };
                        router = Router::start(disk + UNSYNCED, false);
                        restarted = Some(false);
                    }
                    Event::End => {
                        let (highest, mark) = (router.seen.highest, router.ahead.written);
                        router = Router::start(highest.min(mark), highest < mark);
                    }
                }
            }
        }
    }
}
