//! Between the ESP rows of an lcore and lcores that only encipher: bundles of packets go there and
//! come back, and are taken on in the order in which they went.
//!
//! The row that hands a bundle over has given its packets their numbers and places, and sees to
//! windows and trailers when they are back; an engine only runs the kernels. Nobody waits: where
//! all queues are full the lcore takes the oldest bundle of one back and does it itself.

use std::mem::swap;

use hal::{Packet, VECTOR};
use pal::clock::Nanos;
use pal::publication::Seen;
use pal::ring::{Consumer, Producer, Ring};

use super::engine::{self, Shared};
use super::stage::Batch;
use crate::counters::{LcoreCounters, LoopEvent};
use crate::crypto::{Outcomes, SaKey};
use crate::packet::{Source, Vector};
use crate::tables::{TableReader, table_kind};
use crate::uidb::{TableId, UidbIndex};

/// Bundles of one row that may be on their way.
const BUNDLES: usize = 32;
/// Of them in the queue of one engine: enough to keep it busy, few enough to keep the cache.
const QUEUE: usize = 4;

/// Packets of one vector that go through an engine together.
struct Bundle {
    ticket: usize,
    seal: bool,
    batch: Batch,
    /// As many as there are jobs, in their order.
    packets: Vec<Packet>,
    outcomes: Outcomes,
}

impl Bundle {
    fn new(seal: bool) -> Box<Self> {
        let packets = Vec::with_capacity(VECTOR);
        Box::new(Self { ticket: 0, seal, batch: Batch::new(), packets, outcomes: Outcomes::NONE })
    }

    fn run(&mut self, shared: &Shared, keys: &[SaKey]) {
        let mut frames: [&mut [u8]; VECTOR] = std::array::from_fn(|_| Default::default());
        let count = self.packets.len();
        for (frame, packet) in frames.iter_mut().zip(&mut self.packets) {
            *frame = packet.frame_mut();
        }
        let frames = frames.get_mut(..count).unwrap_or_default();
        self.outcomes = if self.seal {
            shared.engine().seal(keys, &self.batch.jobs, frames)
        } else {
            shared.engine().open(keys, &self.batch.jobs, frames)
        };
    }
}

/// The queues from a row to one engine and back.
struct Queues {
    to: Producer<Box<Bundle>>,
    from: Consumer<Box<Bundle>>,
}

/// What a row keeps of a bundle that is on its way.
struct Place<C> {
    back: Option<Box<Bundle>>,
    seen: Option<Seen>,
    walks: u8,
    /// What is needed of each packet once it is back.
    kept: [C; VECTOR],
}

/// The way from one row to the engines and back.
pub(super) struct Lane<C> {
    queues: Vec<Queues>,
    #[expect(clippy::vec_box, reason = "they cross the rings in the boxes they were made in")]
    free: Vec<Box<Bundle>>,
    /// By ticket.
    places: Vec<Place<C>>,
    /// Ticket of the next bundle, and of the oldest that is on its way.
    next: usize,
    oldest: usize,
    /// The engine that is asked first.
    turn: usize,
}

/// The ends of a lane, before the row that it belongs to is made.
pub struct LaneEnds {
    queues: Vec<Queues>,
}

impl<C: Copy> Lane<C> {
    pub(super) fn new(ends: LaneEnds, seal: bool, nothing: C) -> Self {
        let place = |_| Place { back: None, seen: None, walks: 0, kept: [nothing; VECTOR] };
        Self {
            queues: ends.queues,
            free: (0..BUNDLES).map(|_| Bundle::new(seal)).collect(),
            places: (0..BUNDLES).map(place).collect(),
            next: 0,
            oldest: 0,
            turn: 0,
        }
    }

    /// Hands the packets of `batch` over, with what is kept of them; false, and no change, if too
    /// many are on their way already. The batch is another one afterwards.
    pub(super) fn hand_over(
        &mut self,
        (batch, kept): (&mut Batch, &mut [C; VECTOR]),
        (shared, keys): (&Shared, &[SaKey]),
        (seen, counters): (Seen, &LcoreCounters),
        vector: &mut Vector,
    ) -> bool {
        let Some(mut bundle) = self.free.pop() else {
            let packets = batch.jobs.len() as u64;
            counters.event(LoopEvent::EngineOvertaken, packets);
            return false;
        };
        let place = &mut self.places[self.next % BUNDLES];
        swap(&mut bundle.batch, batch);
        swap(&mut place.kept, kept);
        bundle.packets.clear();
        bundle.packets.extend(bundle.batch.iter().filter_map(|(_, slot, _)| vector.hold(slot)));
        debug_assert_eq!(bundle.packets.len(), bundle.batch.jobs.len(), "all of them walk");
        bundle.ticket = self.next;
        (place.seen, place.walks) = (Some(seen), vector.walks());
        self.next = self.next.wrapping_add(1);
        let packets = bundle.packets.len() as u64;
        counters.event(LoopEvent::EngineHanded, packets);
        for _ in 0..self.queues.len() {
            self.turn = (self.turn + 1) % self.queues.len();
            match self.queues[self.turn].to.push(bundle) {
                Ok(()) => return true,
                Err(refused) => bundle = refused,
            }
        }
        // The oldest is what all others wait for.
        while let Some(mut oldest) = self.queues.get(self.turn).and_then(|q| q.to.take_back()) {
            counters.event(LoopEvent::EngineFull, oldest.packets.len() as u64);
            oldest.run(shared, keys);
            let ticket = oldest.ticket;
            self.places[ticket % BUNDLES].back = Some(oldest);
            match self.queues[self.turn].to.push(bundle) {
                Ok(()) => return true,
                Err(refused) => bundle = refused,
            }
        }
        // The engine has emptied its queue meanwhile, or there is none.
        counters.event(LoopEvent::EngineFull, packets);
        bundle.run(shared, keys);
        let ticket = bundle.ticket;
        self.places[ticket % BUNDLES].back = Some(bundle);
        true
    }

    /// When the oldest of what is on its way met its tables.
    #[inline]
    pub(super) fn pins(&self) -> Option<Seen> {
        self.places[self.oldest % BUNDLES].seen
    }

    /// The oldest bundle on its way, if it is back: its packets are put into the empty vector,
    /// which begins, and batch and what was kept are as they were.
    pub(super) fn take_back(
        &mut self,
        (batch, kept): (&mut Batch, &mut [C; VECTOR]),
        vector: &mut Vector,
        now: Nanos,
    ) -> Option<Outcomes> {
        for queues in &mut self.queues {
            while let Some(bundle) = queues.from.pop() {
                let ticket = bundle.ticket;
                self.places[ticket % BUNDLES].back = Some(bundle);
            }
        }
        let place = &mut self.places[self.oldest % BUNDLES];
        let mut bundle = place.back.take()?;
        place.seen = None;
        self.oldest = self.oldest.wrapping_add(1);
        swap(&mut bundle.batch, batch);
        swap(&mut place.kept, kept);
        vector.set_walks(place.walks);
        batch.renumber();
        for packet in bundle.packets.drain(..) {
            // The vector is empty, and they came from its burst.
            drop(vector.burst.push(packet));
        }
        let (uidb, table) = (UidbIndex::CRYPTO, TableId::GLOBAL);
        vector.begin(Source::Internal { uidb, table }, now);
        let outcomes = bundle.outcomes;
        self.free.push(bundle);
        Some(outcomes)
    }
}

/// The ends of the lanes of an lcore that forwards.
pub struct EngineLanes {
    /// For the row `esp-encap`.
    pub seal: LaneEnds,
    /// For the row `esp-decap`.
    pub open: LaneEnds,
}

/// What one engine takes bundles from, and where it puts them.
pub struct EngineQueues(Vec<Served>);

/// The queues of one row, as the engine sees them.
struct Served {
    taken: Consumer<Box<Bundle>>,
    done: Producer<Box<Bundle>>,
}

/// Lanes between `forwarding` lcores and `engines`, each with each.
#[must_use]
pub fn engine_lanes(forwarding: usize, engines: usize) -> (Vec<EngineLanes>, Vec<EngineQueues>) {
    let mut all: Vec<_> = (0..engines).map(|_| EngineQueues(Vec::new())).collect();
    let mut lane = || {
        let queues = all.iter_mut().map(|engine| {
            let (to, taken) = Ring::new(QUEUE).split();
            let (done, from) = Ring::new(BUNDLES).split();
            engine.0.push(Served { taken, done });
            Queues { to, from }
        });
        LaneEnds { queues: queues.collect() }
    };
    let lanes = (0..forwarding).map(|_| EngineLanes { seal: lane(), open: lane() }).collect();
    (lanes, all)
}

/// Bundles that an engine has in its hands.
#[cfg(test)]
pub(super) struct Interrupted(Vec<Option<Box<Bundle>>>);

/// A crypto engine on an lcore of its own.
pub struct EngineLcore {
    queues: EngineQueues,
    shared: Option<&'static Shared>,
    tables: TableReader,
    counters: LcoreCounters,
}

impl EngineLcore {
    /// An engine that serves `queues`; starts the kernels if need be.
    #[must_use]
    pub fn new(queues: EngineQueues, tables: TableReader, counters: LcoreCounters) -> Self {
        Self { queues, shared: engine::shared().ok(), tables, counters }
    }

    /// Does one bundle of each queue; returns the number of packets.
    pub fn poll(&mut self) -> usize {
        let mut packets = 0;
        {
            let keys = self.tables.tables().view(table_kind::ESP_KEYS);
            for Served { taken, done } in &mut self.queues.0 {
                let Some(mut bundle) = taken.pop() else { continue };
                packets += bundle.packets.len();
                match self.shared {
                    Some(shared) => bundle.run(shared, keys),
                    None => bundle.outcomes = Outcomes::NONE,
                }
                // There is room for all bundles that there are.
                drop(done.push(bundle));
            }
        }
        self.tables.quiescent();
        self.counters.event(LoopEvent::EngineDone, packets as u64);
        let event = if packets == 0 { LoopEvent::IdlePolls } else { LoopEvent::BusyPolls };
        self.counters.event(event, 1);
        packets
    }

    /// Takes a bundle of each queue and stops there, as a thread does that loses its CPU.
    #[cfg(test)]
    pub(super) fn interrupt(&mut self) -> Interrupted {
        let queues = self.queues.0.iter_mut();
        Interrupted(queues.map(|queue| queue.taken.pop()).collect())
    }

    /// Does what [`interrupt`](Self::interrupt) has left.
    #[cfg(test)]
    pub(super) fn go_on(&mut self, interrupted: Interrupted) {
        let keys = self.tables.tables().view(table_kind::ESP_KEYS);
        for (queue, bundle) in self.queues.0.iter().zip(interrupted.0) {
            if let (Some(mut bundle), Some(shared)) = (bundle, self.shared) {
                bundle.run(shared, keys);
                drop(queue.done.push(bundle));
            }
        }
    }

    /// Reads `tables` from now on, and leaves what it has read so far there. Both must have the same
    /// keys as long as lcores hand over what has met either.
    pub fn exchange_tables(&mut self, tables: &mut TableReader) {
        std::mem::swap(&mut self.tables, tables);
    }

    /// Runs `rest` without holding up changes of the tables.
    pub fn offline<R>(&mut self, rest: impl FnOnce() -> R) -> R {
        self.tables.offline(rest)
    }
}
