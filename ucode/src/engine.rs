//! The loops of an lcore: in the machine's time, or in that of a capture.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use hal::Arrival;
use pal::clock::{Clock, Nanos, TscClock};
use pal::doorbell::Doorbell;
use pal::lcore::StopFlag;
use pal::ring::{Consumer, Producer};
use qfp_core::ipsec::EngineLcore;
use qfp_core::packet::PuntCause;
use qfp_core::ppe::{Injected, Ppe, SlowPathSink, SlowWork};

use crate::idle::Idle;
use crate::mailbox::{Letterbox, Mail};
use crate::slow_side::{SlowSide, Work};

/// Packets taken from the slow path in one go.
const INJECT_BURST: usize = 64;

/// How long an lcore waits at its end for engines, nanoseconds: only one that hangs takes longer.
const ENGINE_PATIENCE: u64 = 1_000_000_000;

/// Empty polls of a crypto engine before it naps between them, and how long a nap is.
const CRYPTO_ROUNDS: u32 = 1 << 18;
const CRYPTO_NAP: Duration = Duration::from_micros(50);

/// Polls between two looks at what the receive queues have lost.
const MISSED_EVERY: u32 = 1 << 14;

/// The ring to the slow path, as an engine sees it.
pub(crate) struct SlowRing {
    pub(crate) ring: Producer<SlowWork>,
    /// The slow path's.
    pub(crate) bell: Arc<Doorbell>,
    /// Something went in since it was rung.
    pub(crate) filled: bool,
}

impl SlowRing {
    /// Between vectors: lets the slow path know, should it sleep.
    #[inline]
    fn ring(&mut self) {
        if self.filled {
            self.filled = false;
            self.bell.ring();
        }
    }
}

impl SlowPathSink for SlowRing {
    /// Floods of what passes through the router, or is dropped, get half of the ring at most: a
    /// slow path that is behind has room for what is meant for this router all the same.
    fn push(&mut self, work: SlowWork) -> Result<(), SlowWork> {
        let in_transit = match &work {
            SlowWork::Punt(punted) => {
                use PuntCause::{Glean, IncompleteAdjacency, IpMtuExceeded, IpTtlExceeded};
                matches!(punted.cause, Glean | IncompleteAdjacency | IpTtlExceeded | IpMtuExceeded)
            }
            SlowWork::Unreachable(..) => true,
        };
        if in_transit && self.ring.len() >= self.ring.capacity() / 2 {
            return Err(work);
        }
        self.filled = true;
        self.ring.push(work)
    }
}

/// What an lcore in the machine's time needs beside its engine.
pub(crate) struct LiveLoop {
    pub(crate) ppe: Ppe,
    pub(crate) punts: SlowRing,
    pub(crate) injected: Consumer<Injected>,
    pub(crate) mail: Letterbox,
    /// This lcore's.
    pub(crate) bell: Arc<Doorbell>,
    pub(crate) clock: TscClock,
    /// Lcores whose inputs have ended.
    pub(crate) ended: Arc<AtomicUsize>,
    /// Crypto engines run as long as somebody has this.
    pub(crate) forwards: Arc<()>,
}

impl LiveLoop {
    /// Polls until `stop`. Run to completion: every packet is sent, dropped or handed over before
    /// the next vector is received.
    pub(crate) fn run(mut self, stop: &StopFlag) -> Ppe {
        let mut batch = Vec::with_capacity(INJECT_BURST);
        let mut idle = Idle::new(&self.ppe);
        let mut countdown = MISSED_EVERY;
        let mut has_ended = false;
        while !stop.is_stopped() {
            let now = self.clock.now();
            if !self.mail.is_empty() {
                if self.take_mail(now, &mut idle) && has_ended {
                    has_ended = false;
                    self.ended.fetch_sub(1, Ordering::Release);
                }
                continue;
            }
            let busy = self.turn(now, &mut batch);
            countdown -= 1;
            if countdown == 0 {
                countdown = MISSED_EVERY;
                self.ppe.count_missed();
            }
            // Who holds packets polls until they are back.
            if busy > 0 || self.ppe.held() > 0 {
                idle.reset();
                continue;
            }
            self.ppe.quiescent();
            if !has_ended && self.all_ended() {
                has_ended = true;
                self.ended.fetch_add(1, Ordering::Release);
                self.punts.bell.wake();
            }
            idle.rest(&mut self.ppe, &self.bell, || {
                !self.injected.is_empty() || !self.mail.is_empty()
            });
        }
        // What the slow path has put in up to here is still sent.
        let now = self.clock.now();
        while self.injected.pop_burst(INJECT_BURST, |work| batch.push(work)) > 0 {
            self.ppe.inject(batch.drain(..), now, &mut self.punts);
        }
        // And so is what is with engines, which run until this lcore has ended.
        let patience = now.saturating_add(ENGINE_PATIENCE);
        while self.ppe.held() > 0 && self.clock.now() < patience {
            self.ppe.resume(self.clock.now(), &mut self.punts);
        }
        drop(self.forwards);
        self.ppe
    }

    /// One round: what has come walks, and so does what the slow path has put in. `batch` is empty.
    #[inline]
    pub(crate) fn turn(&mut self, now: Nanos, batch: &mut Vec<Injected>) -> usize {
        let mut busy = self.ppe.poll(now, &mut self.punts);
        if !self.injected.is_empty() {
            busy += self.injected.pop_burst(INJECT_BURST, |work| batch.push(work));
            self.ppe.inject(batch.drain(..), now, &mut self.punts);
        }
        self.punts.ring();
        busy
    }

    /// Takes what it is handed, once packets that it holds are back: nothing is received meanwhile.
    /// True if it has other queues then.
    #[cold]
    fn take_mail(&mut self, now: Nanos, idle: &mut Idle) -> bool {
        if self.ppe.held() > 0 {
            self.ppe.resume(now, &mut self.punts);
            self.punts.ring();
            return false;
        }
        let mut has_other_queues = false;
        self.mail.open(|mail| match mail {
            Mail::Tables(tables) => self.ppe.exchange_tables(tables),
            Mail::Queues(queues) => {
                self.ppe.exchange_queues(queues);
                has_other_queues = true;
            }
        });
        self.ppe.quiescent();
        idle.look_again(&self.ppe);
        has_other_queues
    }

    fn all_ended(&mut self) -> bool {
        self.ppe.queues() > 0
            && (0..self.ppe.queues()).all(|queue| self.ppe.arrival(queue) == Arrival::Ended)
    }
}

/// A crypto engine on an lcore of its own.
pub(crate) struct CryptoLoop {
    pub(crate) engine: EngineLcore,
    pub(crate) mail: Letterbox,
    /// The lcores that it serves.
    pub(crate) served: Weak<()>,
}

impl CryptoLoop {
    /// Works until `stop`, and then as long as an lcore is there that may wait for its packets.
    pub(crate) fn run(mut self, stop: &StopFlag) {
        let mut empty = 0u32;
        while !stop.is_stopped() || self.served.strong_count() > 0 {
            if !self.mail.is_empty() {
                self.mail.open(|mail| match mail {
                    Mail::Tables(tables) => self.engine.exchange_tables(tables),
                    // It has none.
                    Mail::Queues(_) => {}
                });
            }
            if self.engine.poll() > 0 {
                empty = 0;
                continue;
            }
            empty = empty.saturating_add(1);
            if empty > CRYPTO_ROUNDS {
                self.engine.offline(|| std::thread::sleep(CRYPTO_NAP));
            } else {
                std::hint::spin_loop();
            }
        }
    }
}

/// The client of a run in the time of captures, which has its turn between two vectors.
pub trait Beside: Send + 'static {
    /// Does what others have asked for. Returns how much that was.
    fn obey(&mut self, now: Nanos) -> usize;

    /// Does what is due by itself.
    fn turn(&mut self, now: Nanos);

    /// From here on nobody is listened to.
    fn turn_away(&mut self);
}

/// One lcore in the time of its captures: the slow path runs between vectors, so that a run is
/// the same every time.
pub(crate) struct VirtualLoop<C> {
    pub(crate) ppe: Ppe,
    pub(crate) slow: SlowSide,
    pub(crate) client: C,
    /// Time of queues that have none of their own, until the first capture speaks.
    pub(crate) start: Nanos,
}

impl<C: Beside> VirtualLoop<C> {
    /// Runs until the last capture has ended, or `stop`.
    pub(crate) fn run(mut self, stop: &StopFlag) -> Self {
        let mut now = self.start;
        let mut work: Vec<SlowWork> = Vec::new();
        let mut injected = Work::new();
        while !stop.is_stopped() {
            let Some((queue, at)) = self.next(now) else { break };
            // What the slow path has to do before the next packet comes is done in its own time.
            while let Some(due) = self.slow.next_deadline().filter(|due| *due <= at) {
                now = now.max(due);
                self.slow.poll(now, &mut injected);
                self.settle(now, &mut work, &mut injected);
                if self.slow.next_deadline() == Some(due) {
                    break;
                }
            }
            now = now.max(at);
            self.client.turn(now);
            self.slow.housekeeping(now);
            self.settle(now, &mut work, &mut injected);
            let received = self.ppe.poll_queue(queue, now, &mut work);
            self.settle(now, &mut work, &mut injected);
            if received == 0 && self.ppe.arrival(queue) == Arrival::At(at) {
                // Nothing came although it was due: no buffer. Held packets must not block the end.
                break;
            }
        }
        self.ppe.count_missed();
        self.client.turn_away();
        self
    }

    /// After it has run: counts what still waits, and ends.
    pub(crate) fn finish(self) -> (Ppe, C) {
        self.slow.finish();
        (self.ppe, self.client)
    }

    /// The queue with the earliest packet. Queues without a time of their own are polled as long
    /// as a capture still has packets.
    fn next(&mut self, now: Nanos) -> Option<(usize, Nanos)> {
        let mut first: Option<(usize, Nanos)> = None;
        let mut live = None;
        for queue in 0..self.ppe.queues() {
            match self.ppe.arrival(queue) {
                Arrival::At(at) if first.is_none_or(|(_, earliest)| at < earliest) => {
                    first = Some((queue, at));
                }
                Arrival::Live => live = Some(queue),
                Arrival::At(_) | Arrival::Ended => {}
            }
        }
        let first = first?;
        if let Some(queue) = live {
            let mut work = Vec::new();
            let mut injected = Work::new();
            self.ppe.poll_queue(queue, now, &mut work);
            self.settle(now, &mut work, &mut injected);
        }
        Some(first)
    }

    /// Passes work to and from the slow path, and messages between it and the client, until there
    /// are none.
    fn settle(&mut self, now: Nanos, work: &mut Vec<SlowWork>, injected: &mut Work) {
        loop {
            let mut items = work.drain(..);
            loop {
                while self.client.obey(now) + self.slow.obey(now, injected) > 0 {}
                let Some(item) = items.next() else { break };
                self.slow.handle(now, item, injected);
            }
            drop(items);
            if injected.is_empty() {
                return self.slow.rings_cleared();
            }
            self.ppe.inject(injected.drain(..).map(|(_, item)| item), now, work);
        }
    }
}
