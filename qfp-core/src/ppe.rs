//! The packet-processing engine of one lcore: receive, walk, transmit, hand over.
//!
//! A [`Ppe`] owns its receive queues, one transmit queue a port, its FIA, one vector and its share
//! of the buffers. It does not know where time comes from: every call takes `now`. The loop around
//! it (one per lcore) belongs to the program.

mod hand_over;
mod punt_gate;
mod recirculation;
mod transmit;
mod work;

use std::net::IpAddr;
use std::os::fd::RawFd;

use hal::{Arrival, PoolCache, PortError, RxQueue, TxQueue, VECTOR};
use pal::clock::{Nanos, rdtsc};
use pal::publication::Reader;
use pal::region::{ReadOnly, ReadWrite};

use crate::acl::LateFilter;
use crate::counters::{LcoreCounters, LoopEvent, PortEvent};
use crate::fia::{Fia, Gate, Trace, TracedPacket};
use crate::packet::{Source, Vector};
use crate::step::Lcore;
use crate::tables::Tables;
use crate::uidb::{NO_PORT, TableId, UidbIndex, UidbTable};

pub use punt_gate::{PuntGate, PuntRates};
pub use work::{Injected, SlowPathSink, SlowWork};

use hand_over::hand_over;
use recirculation::Recirculation;
use transmit::transmit;

/// One receive queue and the port it belongs to.
pub struct PolledQueue {
    port: u16,
    queue: Box<dyn RxQueue>,
    missed: u64,
}

impl PolledQueue {
    /// A receive queue of port number `port`.
    #[must_use]
    pub fn new(port: u16, queue: Box<dyn RxQueue>) -> Self {
        Self { port, queue, missed: 0 }
    }
}

/// What a [`Ppe`] is made of.
pub struct PpeParts {
    /// The order of operations.
    pub fia: Fia,
    /// Receive queues this lcore polls.
    pub rx: Vec<PolledQueue>,
    /// Transmit queues by port number.
    pub tx: Vec<Box<dyn TxQueue>>,
    /// Buffers.
    pub pool: PoolCache,
    /// Tables.
    pub region: ReadOnly,
    /// What lcores write; without it, policers pass everything.
    pub state: Option<ReadWrite>,
    /// Generations.
    pub reader: Reader,
    /// Counters.
    pub counters: LcoreCounters,
    /// Rates of the punt path.
    pub punt: PuntRates,
}

/// Every how many vectors the rows' cycles are sampled, and halfway between those of the whole walk:
/// reading the TSC after each row costs about as much as two packets. Odd: packets of a tunnel walk
/// twice, and both walks are to be met.
const SAMPLE_EVERY: u32 = 61;

/// How a vector begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// It walks, from there and perhaps to that next hop.
    From(Source, Option<IpAddr>),
    /// A step gives it back.
    Held,
}

/// The engine of one lcore.
pub struct Ppe {
    fia: Fia,
    vector: Box<Vector>,
    rx: Vec<PolledQueue>,
    tx: Vec<Box<dyn TxQueue>>,
    pool: PoolCache,
    region: ReadOnly,
    state: Option<ReadWrite>,
    reader: Reader,
    counters: LcoreCounters,
    gate: PuntGate,
    filter: LateFilter,
    recirculation: Recirculation,
    /// Where the packets that stayed in the vector come in next.
    stays: Option<Source>,
    countdown: u32,
    trace: Trace,
}

impl Ppe {
    /// An engine over `parts`.
    #[must_use]
    pub fn new(parts: PpeParts) -> Self {
        let vector = Box::new(Vector::new(parts.pool.origin()));
        Self {
            fia: parts.fia,
            vector,
            rx: parts.rx,
            tx: parts.tx,
            pool: parts.pool,
            region: parts.region,
            state: parts.state,
            reader: parts.reader,
            counters: parts.counters,
            gate: PuntGate::new(&parts.punt),
            filter: LateFilter::new(),
            recirculation: Recirculation::new(),
            stays: None,
            countdown: 1,
            trace: Trace::default(),
        }
    }

    /// Traces the next `packets` packets, through all of their walks.
    pub fn trace(&mut self, packets: usize) {
        self.trace.start(packets);
    }

    /// Walks traced so far, in the order in which they ended, and forgets them.
    pub fn take_traces(&mut self) -> Vec<TracedPacket> {
        self.trace.take()
    }

    /// Number of receive queues.
    #[must_use]
    pub fn queues(&self) -> usize {
        self.rx.len()
    }

    /// When queue number `queue` has its next packet.
    pub fn arrival(&mut self, queue: usize) -> Arrival {
        self.rx.get_mut(queue).map_or(Arrival::Ended, |rx| rx.queue.arrival())
    }

    /// Descriptors of all receive queues, when each of them has one to sleep on.
    #[must_use]
    pub fn pollable_fds(&self) -> Option<Vec<RawFd>> {
        self.rx.iter().map(|rx| rx.queue.pollable_fd()).collect()
    }

    /// Counts what the receive queues have lost since the last call.
    pub fn count_missed(&mut self) {
        for rx in &mut self.rx {
            let missed = rx.queue.missed();
            self.counters.port(rx.port, PortEvent::RxMissed, missed - rx.missed);
            rx.missed = missed;
        }
    }

    /// Receives one vector from queue number `queue`, and takes it through walk and transmission.
    ///
    /// Returns the number of packets received.
    #[inline]
    pub fn poll_queue(&mut self, queue: usize, now: Nanos, sink: &mut impl SlowPathSink) -> usize {
        let Some(rx) = self.rx.get_mut(queue) else { return 0 };
        let received = rx.queue.rx_burst(&mut self.vector.burst, &mut self.pool);
        if received == 0 {
            return 0;
        }
        let port = rx.port;
        self.counters.event(LoopEvent::Received, received as u64);
        self.counters.port(port, PortEvent::RxPackets, received as u64);
        self.process(Start::From(Source::Port(port), None), now, sink);
        self.counters.port(port, PortEvent::RxBytes, self.vector.bytes);
        self.recirculate(now, sink);
        received
    }

    /// Polls every queue once. Returns the number of packets received.
    #[inline]
    pub fn poll(&mut self, now: Nanos, sink: &mut impl SlowPathSink) -> usize {
        self.resume(now, sink);
        let mut received = 0;
        for queue in 0..self.rx.len() {
            received += self.poll_queue(queue, now, sink);
        }
        let event = if received == 0 { LoopEvent::IdlePolls } else { LoopEvent::BusyPolls };
        self.counters.event(event, 1);
        received
    }

    /// Packets that steps hold and will give back: an lcore that holds some goes on polling.
    #[inline]
    #[must_use]
    pub fn held(&self) -> usize {
        self.fia.held().map_or(0, |held| held.packets)
    }

    /// Takes on what steps have held and give back now.
    #[inline]
    pub fn resume(&mut self, now: Nanos, sink: &mut impl SlowPathSink) {
        while self.fia.held().is_some() && self.process(Start::Held, now, sink) {
            self.recirculate(now, sink);
        }
    }

    /// Puts work of the slow path in: routed packets walk, complete frames go to their port.
    pub fn inject(
        &mut self,
        work: impl IntoIterator<Item = Injected>,
        now: Nanos,
        sink: &mut impl SlowPathSink,
    ) {
        // All kinds in the order they come: one vector as long as kind, table and next hop stay.
        let mut routing = None;
        for item in work {
            let (way, uidb, packet) = match item {
                Injected::Route(table, packet) => {
                    (Some((UidbIndex::RP, table, None)), UidbIndex::RP, packet)
                }
                Injected::Forward { table, next_hop, packet } => {
                    (Some((UidbIndex::RECYCLE, table, next_hop)), UidbIndex::RECYCLE, packet)
                }
                Injected::Transmit(uidb, packet) => match self.tunnel(uidb) {
                    // It has no port: its way begins with the tunnel's headers.
                    Some(table) => {
                        (Some((UidbIndex::RECYCLE, table, None)), UidbIndex::RECYCLE, packet)
                    }
                    None => (None, uidb, packet),
                },
            };
            if way != routing || self.vector.burst.count() == VECTOR {
                self.inject_vector(routing, now, sink);
                routing = way;
            }
            if let Ok(slot) = self.vector.burst.push(packet) {
                self.vector.output[slot & 63] = uidb;
            }
        }
        self.inject_vector(routing, now, sink);
    }

    /// The table of a tunnel interface, through which its packets are reached; none for others.
    fn tunnel(&self, uidb: UidbIndex) -> Option<TableId> {
        let tables = tables(&self.reader, &self.region, self.state.as_ref());
        let row = UidbTable::open(&tables).get(uidb);
        let is_tunnel = row.port == NO_PORT && row.features_out & Gate::ESP_OUT.mask() != 0;
        is_tunnel.then(|| row.routing_table())
    }

    /// Routes what was gathered in the vector from that interface, in that table and perhaps to
    /// that next hop; without them, sends it.
    fn inject_vector(
        &mut self,
        routing: Option<(UidbIndex, TableId, Option<IpAddr>)>,
        now: Nanos,
        sink: &mut impl SlowPathSink,
    ) {
        let count = self.vector.burst.count() as u64;
        if count == 0 {
            return;
        }
        self.counters.event(LoopEvent::Injected, count);
        match routing {
            Some((uidb, table, via)) => {
                let source = Source::Internal { uidb, table };
                self.process(Start::From(source, via), now, sink);
                self.recirculate(now, sink);
            }
            None => self.send_frames(now),
        }
    }

    /// Sends complete frames, past all rows.
    fn send_frames(&mut self, now: Nanos) {
        let source = Source::Internal { uidb: UidbIndex::RP, table: TableId::GLOBAL };
        self.vector.begin(source, now);
        let tables = tables(&self.reader, &self.region, self.state.as_ref());
        transmit(&mut self.vector, &mut self.tx, &mut self.pool, &self.counters, tables);
        self.vector.burst.clear();
    }

    /// Says that no table is in use, but for rows that held packets name: between vectors, and
    /// once an idle round.
    #[inline]
    pub fn quiescent(&mut self) {
        match self.fia.held() {
            None => self.reader.quiescent(),
            Some(held) => self.reader.quiescent_since(held.since),
        }
    }

    /// Runs `sleep` without holding up grace periods.
    pub fn offline<R>(&mut self, sleep: impl FnOnce() -> R) -> R {
        self.reader.offline(sleep)
    }

    /// Walks and ends what the burst holds, or what a step gives back; false if it does not.
    #[inline]
    fn process(&mut self, start: Start, now: Nanos, sink: &mut impl SlowPathSink) -> bool {
        {
            let tables = tables(&self.reader, &self.region, self.state.as_ref());
            let mut lcore = Lcore { tables, counters: &self.counters };
            match start {
                Start::Held if self.fia.resume(&mut lcore, &mut self.vector, now) => {}
                Start::Held => return false,
                Start::From(source, via) => {
                    self.vector.begin(source, now);
                    self.vector.via = via;
                    let packets = u64::from(self.vector.live.count());
                    self.counters.event(LoopEvent::Vectors, 1);
                    self.countdown -= 1;
                    if self.trace.is_on() {
                        self.countdown = SAMPLE_EVERY;
                        self.fia.walk_traced(&mut lcore, &mut self.vector, &mut self.trace);
                    } else if self.countdown == 0 {
                        self.countdown = SAMPLE_EVERY;
                        self.fia.walk_sampled(&mut lcore, &mut self.vector);
                    } else if self.countdown == SAMPLE_EVERY / 2 {
                        // The whole walk, without the clock in between.
                        let start = rdtsc();
                        self.fia.walk(&mut lcore, &mut self.vector);
                        let cycles = rdtsc().wrapping_sub(start);
                        // Longer walks were interrupted.
                        if cycles < 1 << 18 {
                            self.counters.event(LoopEvent::WalkCycles, cycles);
                            self.counters.event(LoopEvent::WalkPackets, packets);
                        }
                    } else {
                        self.fia.walk(&mut lcore, &mut self.vector);
                    }
                }
            }
            if let Some(tx) = self.fia.tx_row() {
                self.counters.row(tx, u64::from(self.vector.live.count()));
            }
            transmit(&mut self.vector, &mut self.tx, &mut self.pool, &self.counters, tables);
            if !self.vector.recirculated.is_empty() {
                self.stays = self.recirculation.collect(&mut self.vector, &self.counters);
                if self.trace.is_on() {
                    self.trace.settle(&self.vector);
                }
            }
            let ended = self.vector.dropped | self.vector.punted | self.vector.consumed;
            if !ended.is_empty() {
                self.counters.event(LoopEvent::Consumed, u64::from(self.vector.consumed.count()));
                let gates = (&mut self.gate, &mut self.filter);
                hand_over(&mut self.vector, gates, &self.counters, tables, sink);
                self.pool.free(&mut self.vector.burst, ended);
            }
        }
        if self.stays.is_none() {
            self.vector.burst.clear();
        }
        self.quiescent();
        true
    }

    /// Walks what the last vector has sent into walks of their own, and what these send, until
    /// nothing is left.
    #[inline]
    fn recirculate(&mut self, now: Nanos, sink: &mut impl SlowPathSink) {
        while let Some(source) =
            self.stays.take().or_else(|| self.recirculation.next_vector(&mut self.vector))
        {
            self.process(Start::From(source, None), now, sink);
        }
    }

    /// Completes what was sent.
    ///
    /// # Errors
    /// The first transmit queue that could not.
    pub fn finish(&mut self) -> Result<(), PortError> {
        let mut result = Ok(());
        for tx in &mut self.tx {
            // All of them are completed, whatever becomes of the first.
            result = result.and(tx.finish());
        }
        result
    }

    /// The counters, for the loop around this engine.
    #[must_use]
    pub fn counters(&self) -> &LcoreCounters {
        &self.counters
    }
}

/// The tables of the present generation.
#[inline]
fn tables<'a>(
    reader: &'a Reader,
    region: &'a ReadOnly,
    state: Option<&'a ReadWrite>,
) -> Tables<'a> {
    let tables = Tables::new(reader.root(), region);
    match state {
        Some(state) => tables.with_state(state),
        None => tables,
    }
}

#[cfg(test)]
mod tests;
