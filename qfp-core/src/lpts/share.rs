//! The meter of one type: a total that all lcores and interfaces share, and what none of them can
//! take from another.
//!
//! Every meter here is a virtual schedule (GCRA, ITU-T I.371): one word that says when the bucket
//! will be full again. A packet moves it on by its own duration; it conforms while the word is at
//! most a burst ahead of now. So a bucket is one atomic word, a decision one compare and swap, and
//! the total is exact however many lcores meter it: nobody waits, and a failed attempt means that
//! another lcore has succeeded.
//!
//! A packet is admitted by the first of these that has room:
//!
//! 1. the share of its **interface**: rate / active interfaces, at least the floor;
//! 2. the share of its **sender**, for types in which senders have one and whose burst has room for
//!    theirs: half the interface's rate, divided by the buckets that senders are hashed into. It
//!    lets a lone sender through when others on the same interface flood;
//! 3. the **total**: what the others leave unused is lent to whoever asks.
//!
//! Whatever admits it, the total is charged, and may go into debt for a share; then nothing is lent
//! until the debt is paid. So a type has its rate in the long run, and a share is there when it is
//! needed. Shares may sum up to more than the rate where the floor is more than rate / interfaces.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use pal::clock::Nanos;

use crate::punt::Rate;

/// Buckets that the senders of a type are hashed into.
pub(super) const SENDERS: usize = 128;

/// Ticks of a nanosecond: rates that do not divide a second are off by a billionth at most.
const TICKS: u64 = 1 << 10;
/// Ticks of a second.
const SECOND: u64 = TICKS * Nanos::PER_SECOND;
/// What lcores' clocks may differ by, ticks; a word further ahead is one of long ago: the ticks
/// begin anew every 208 days.
const SLACK: u64 = SECOND;
/// Packets that a share may take from a total that is empty.
const DEBT: u64 = 1024;
/// Attempts to change a word. Beyond them, which takes hundreds of lcores, the packet is refused.
const ATTEMPTS: u32 = 256;
/// An interface counts as active in this and the next span of so many nanoseconds, as a power of
/// two: about a second.
const SPAN: u32 = 30;

/// When a bucket will be full again, in ticks, which wrap.
#[derive(Debug, Default)]
pub(super) struct Bucket(AtomicU64);

/// How fast a bucket fills, and how much it holds, in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shape {
    /// Of a packet.
    interval: u64,
    /// Of the burst.
    depth: u64,
}

impl Shape {
    const fn new(interval: u64, burst: u64) -> Self {
        Self { interval, depth: interval.saturating_mul(burst) }
    }

    /// Furthest that a word can be ahead of now and be of use.
    const fn horizon(self) -> u64 {
        self.depth.saturating_add(self.interval.saturating_mul(DEBT)).saturating_add(SLACK)
    }
}

impl Bucket {
    /// Takes a packet's worth if the bucket has it.
    fn take(&self, now: u64, shape: Shape) -> bool {
        self.change(now, shape, |ahead| {
            let next = ahead + shape.interval;
            (next <= shape.depth).then_some(next)
        })
    }

    /// Takes a packet's worth whether the bucket has it or not.
    fn charge(&self, now: u64, shape: Shape) {
        let deepest = shape.horizon() - SLACK;
        self.change(now, shape, |ahead| Some((ahead + shape.interval).min(deepest.max(ahead))));
    }

    /// Replaces how far the word is ahead of now, unless `next` says no.
    #[inline]
    fn change(&self, now: u64, shape: Shape, next: impl Fn(u64) -> Option<u64>) -> bool {
        let mut word = self.0.load(Relaxed);
        for _ in 0..ATTEMPTS {
            let ahead = word.wrapping_sub(now);
            // Behind now: it has been full since.
            let ahead = if ahead > shape.horizon() { 0 } else { ahead };
            let Some(next) = next(ahead) else { return false };
            match self.0.compare_exchange_weak(word, now.wrapping_add(next), Relaxed, Relaxed) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
        false
    }
}

/// What an interface has of a type.
#[derive(Debug, Default)]
pub(super) struct Share {
    bucket: Bucket,
    /// The last span in which it was active, counted from 1.
    seen: AtomicU64,
}

/// The meter of one type.
#[derive(Debug)]
pub(super) struct Meter {
    /// None for a type that nothing of passes.
    total: Option<Shape>,
    bucket: Bucket,
    burst: u64,
    /// An interface's share at least: ticks of a packet, and packets.
    floor: (u64, u64),
    /// Span (32 bits), interfaces active in the one before (16), and in it so far (16).
    active: AtomicU64,
    /// By hash; empty where senders have no shares.
    senders: Vec<Bucket>,
}

impl Meter {
    /// A meter that is full.
    pub(super) fn new(rate: Rate, floor: Rate, by_sender: bool) -> Self {
        let interval = |per_second: u32| SECOND.checked_div(per_second.into()).unwrap_or(u64::MAX);
        let burst = u64::from(rate.burst.max(1));
        let own = interval(rate.per_second);
        let total = (rate.per_second > 0).then(|| Shape::new(own, burst));
        let floor = (interval(floor.per_second).max(own), u64::from(floor.burst).min(burst).max(1));
        // The shares of all senders together fit the burst, or there are none.
        let senders = if by_sender && burst >= SENDERS as u64 { SENDERS } else { 0 };
        let senders = std::iter::repeat_with(Bucket::default).take(senders).collect();
        Self { total, bucket: Bucket::default(), burst, floor, active: AtomicU64::new(0), senders }
    }

    /// Whether one more packet passes that came in through the interface of `share`, of the sender
    /// that hashes to `sender`.
    pub(super) fn admit(&self, share: &Share, sender: Option<u32>, now: Nanos) -> bool {
        let Some(total) = self.total else { return false };
        let active = self.active(share, now);
        let now = now.0.wrapping_mul(TICKS);
        let interval = total.interval.saturating_mul(active).min(self.floor.0);
        let own = Shape::new(interval, (self.burst / active).max(self.floor.1));
        if share.bucket.take(now, own) {
            self.bucket.charge(now, total);
            return true;
        }
        let senders = self.senders.len() as u64;
        let sender = sender.and_then(|hash| self.senders.get(hash as usize % SENDERS));
        let least = Shape::new(interval.saturating_mul(2 * senders), 1);
        if sender.is_some_and(|bucket| bucket.take(now, least)) {
            share.bucket.charge(now, own);
            self.bucket.charge(now, total);
            return true;
        }
        self.bucket.take(now, total)
    }

    /// How many interfaces send packets of this type, that of `share` among them.
    fn active(&self, share: &Share, now: Nanos) -> u64 {
        let span = (now.0 >> SPAN) + 1;
        let seen = share.seen.load(Relaxed);
        let mut word = self.active.load(Relaxed);
        // Lcores' clocks differ a little: a span that is over stays over.
        if seen < span && share.seen.compare_exchange(seen, span, Relaxed, Relaxed).is_ok() {
            let count = |word| Some(counted(word, span));
            if self.active.fetch_update(Relaxed, Relaxed, count).is_ok() {
                word = self.active.load(Relaxed);
            }
        }
        (word >> 16 & 0xffff).max(word & 0xffff).max(1)
    }
}

/// The word of active interfaces with one more in `span`.
fn counted(word: u64, span: u64) -> u64 {
    let span = span & 0xffff_ffff;
    let (of, before, so_far) = (word >> 32, word >> 16 & 0xffff, word & 0xffff);
    match span.wrapping_sub(of) & 0xffff_ffff {
        0 => span << 32 | before << 16 | (so_far + 1).min(0xffff),
        1 => span << 32 | so_far << 16 | 1,
        // Another lcore's clock is ahead.
        late if late >> 31 != 0 => word,
        _ => span << 32 | 1,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RATE: Rate = Rate { per_second: 1000, burst: 100 };
    const WITH_SENDERS: Rate = Rate { per_second: 1000, burst: 128 };
    const FLOOR: Rate = Rate { per_second: 10, burst: 8 };
    const START: Nanos = Nanos::from_secs(1_700_000_000);

    fn at(ns: u64) -> Nanos {
        START.saturating_add(ns)
    }

    #[test]
    fn a_lone_flood_passes_its_rate_to_the_packet() {
        for (per_second, burst) in [(100, 8), (2500, 250), (2101, 2078), (1, 1), (99_991, 9)] {
            let meter = Meter::new(Rate { per_second, burst }, FLOOR, false);
            let share = Share::default();
            let (step, seconds) = (997, 3);
            let offered = seconds * 1_000_000_000 / step;
            let passed = (0..offered).filter(|n| meter.admit(&share, None, at(n * step))).count();
            let wanted = u64::from(per_second) * seconds + u64::from(burst);
            assert!(wanted.abs_diff(passed as u64) <= 1, "{passed} of {wanted}");
        }
    }

    #[test]
    fn what_one_interface_sends_within_its_share_is_never_lost_to_the_floods_of_others() {
        let meter = Meter::new(RATE, FLOOR, false);
        let [quiet, a, b] = [(); 3].map(|()| Share::default());
        let (mut lost, mut passed) = (0, 0u64);
        for n in 0..5_000_000u64 {
            let now = at(n * 1000);
            passed += u64::from(meter.admit(if n % 3 == 0 { &a } else { &b }, None, now));
            if n % 4000 == 1999 {
                // 250 a second: below a third of the rate.
                lost += u64::from(!meter.admit(&quiet, None, now));
            }
        }
        assert_eq!(lost, 0);
        let wanted = 5 * (1000 - 250) + 100;
        assert!(passed.abs_diff(wanted) <= 34, "{passed}, not {wanted}");
    }

    #[test]
    fn an_interface_that_has_been_silent_has_its_burst_at_once() {
        let meter = Meter::new(RATE, FLOOR, false);
        let [flood, late] = [(); 2].map(|()| Share::default());
        let flooded = (0..2_000_000u64).filter(|n| meter.admit(&flood, None, at(n * 1000))).count();
        assert!(flooded.abs_diff(2100) <= 1, "{flooded}");
        let now = at(2_000_000_000);
        assert_eq!((0..60).filter(|_| meter.admit(&late, None, now)).count(), 50);
    }

    #[test]
    fn the_floor_holds_where_interfaces_outnumber_the_rate() {
        let meter = Meter::new(Rate { per_second: 10, burst: 2 }, FLOOR, false);
        let shares: Vec<Share> = (0..50).map(|_| Share::default()).collect();
        let admitted: Vec<usize> = shares
            .iter()
            .map(|share| (0..4).filter(|n| meter.admit(share, None, at(n * 100_000_000))).count())
            .collect();
        assert!(admitted.iter().all(|count| *count >= 2), "{admitted:?}");
    }

    #[test]
    fn a_lone_sender_gets_through_the_flood_of_another_on_its_interface() {
        let meter = Meter::new(WITH_SENDERS, FLOOR, true);
        let share = Share::default();
        let mut lost = 0;
        for n in 0..3_000_000u64 {
            meter.admit(&share, Some(7), at(n * 1000));
            if n % 500_000 == 250_000 {
                lost += u64::from(!meter.admit(&share, Some(8), at(n * 1000)));
            }
        }
        assert_eq!(lost, 0);
    }

    #[test]
    fn a_rate_of_zero_passes_nothing_and_months_of_silence_fill_a_bucket_once() {
        let closed = Meter::new(Rate { per_second: 0, burst: 5 }, FLOOR, true);
        assert!(!closed.admit(&Share::default(), Some(1), START));
        let meter = Meter::new(RATE, FLOOR, false);
        let share = Share::default();
        for days in [0, 30, 110, 207, 209, 500] {
            let now = Nanos::from_secs(days * 86_400);
            let passed = (0..300).filter(|_| meter.admit(&share, None, now)).count();
            assert_eq!(passed, 100, "after {days} days");
        }
    }

    #[test]
    fn lcores_together_pass_what_one_passes() {
        let meter = Meter::new(RATE, FLOOR, false);
        let shares = [(); 4].map(|()| Share::default());
        // One clock for all, as lcores have it.
        let clock = AtomicU64::new(0);
        let passed: usize = std::thread::scope(|scope| {
            let lcore = |lcore: usize| {
                let (meter, clock) = (&meter, &clock);
                // Three queues of one interface, and another interface.
                let share = &shares[usize::from(lcore == 3)];
                scope.spawn(move || {
                    let times = (0..500_000).map(|_| at(clock.fetch_add(1000, Relaxed)));
                    times.filter(|now| meter.admit(share, None, *now)).count()
                })
            };
            let lcores: Vec<_> = (0..4).map(lcore).collect();
            lcores.into_iter().map(|lcore| lcore.join().unwrap()).sum()
        });
        // Two seconds, and what the second share may have brought along.
        assert!((2100 - 2..=2100 + 50).contains(&passed), "{passed}");
    }

    proptest! {
        #[test]
        fn no_order_of_arrivals_passes_more_than_rate_burst_and_shares(
            arrivals in prop::collection::vec((0..5usize, 0..3_000_000u64, any::<u32>()), 1..3000),
            per_second in 1..5000u32, burst in 1..200u32,
        ) {
            let rate = Rate { per_second, burst };
            let meter = Meter::new(rate, Rate { per_second: 1, burst: 1 }, true);
            let shares: Vec<Share> = (0..5).map(|_| Share::default()).collect();
            let (mut now, mut passed) = (0u64, 0u64);
            for (interface, gap, sender) in arrivals {
                now += gap;
                passed += u64::from(meter.admit(&shares[interface], Some(sender), at(now)));
            }
            let earned = now * u64::from(per_second) / 1_000_000_000;
            // Each share may have been full when it began, and so may each sender's.
            let bound = earned + 3 * u64::from(burst) + 5 + 1;
            prop_assert!(passed <= bound, "{passed} of {bound}");
        }
    }
}
