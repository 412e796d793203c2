//! The packet-processing engine of one lcore: receive, walk, hand over.
//!
//! A [`Ppe`] owns its receive queues, one transmit queue a port, its FIA, one vector and its share
//! of the buffers. It does not know where time comes from: every call takes `now`. The loop around
//! it (one per lcore) belongs to the program.

mod hand_over;
mod queues;
mod recirculation;
mod work;

use std::net::IpAddr;
use std::os::fd::RawFd;

use hal::{Arrival, PoolCache, PortError, RxQueue, TxQueue, VECTOR};
use pal::clock::{Nanos, rdtsc};

use crate::counters::{LcoreCounters, LoopEvent, PortEvent};
use crate::fia::{Fia, Gate, Trace, TracedPacket};
use crate::packet::{Origin, Source, Vector};
use crate::step::Lcore;
use crate::tables::TableReader;
use crate::uidb::{NO_PORT, TableId, UidbIndex, UidbTable};

pub use queues::{MOST_PORTS, PortQueues};
pub use work::{Injected, SlowPathSink, SlowWork};

use hand_over::hand_over;
use recirculation::Recirculation;

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
    /// Its number: what the slow path gives back for a packet of this lcore comes here.
    pub lcore: u16,
    /// The order of operations.
    pub fia: Fia,
    /// Receive queues this lcore polls.
    pub rx: Vec<PolledQueue>,
    /// Transmit queues by port number.
    pub tx: Vec<Box<dyn TxQueue>>,
    /// Buffers.
    pub pool: PoolCache,
    /// Tables.
    pub tables: TableReader,
    /// Counters.
    pub counters: LcoreCounters,
}

/// Every how many vectors the rows' cycles are sampled, and halfway between those of the whole walk:
/// reading the TSC after each row costs about as much as two packets. Odd: packets of a tunnel walk
/// twice, and both walks are to be met.
const SAMPLE_EVERY: u32 = 61;
const HALFWAY: u32 = SAMPLE_EVERY / 2;

/// How a vector begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// It walks, from there.
    From(Source),
    /// It comes from the slow path.
    Injected(Injection),
}

/// How something of the slow path goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// It is routed.
    Walk(Injection),
    /// A frame of the router's own meets the security policy.
    Own,
    /// A frame is sent.
    Part,
}

/// How packets of the slow path walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Injection {
    uidb: UidbIndex,
    table: TableId,
    via: Option<IpAddr>,
    origin: Option<Origin>,
    within: Option<UidbIndex>,
}

impl Injection {
    const fn new(uidb: UidbIndex, table: TableId) -> Self {
        Self { uidb, table, via: None, origin: None, within: None }
    }
}

/// The engine of one lcore.
pub struct Ppe {
    lcore: u16,
    fia: Fia,
    vector: Box<Vector>,
    rx: Vec<PolledQueue>,
    tx: Vec<Box<dyn TxQueue>>,
    pool: PoolCache,
    tables: TableReader,
    counters: LcoreCounters,
    recirculation: Recirculation,
    /// Where the packets that stayed in the vector come in next.
    stays: Option<Source>,
    /// Work of the slow path has been taken and not all of it has been walked.
    injecting: bool,
    countdown: u32,
    trace: Trace,
}

impl Ppe {
    /// An engine over `parts`.
    #[must_use]
    pub fn new(mut parts: PpeParts) -> Self {
        let vector = Box::new(Vector::new(parts.pool.origin()));
        parts.rx.reserve(MOST_PORTS);
        Self {
            lcore: parts.lcore,
            fia: parts.fia,
            vector,
            rx: parts.rx,
            tx: queues::with_room(parts.tx),
            pool: parts.pool,
            tables: parts.tables,
            counters: parts.counters,
            recirculation: Recirculation::new(),
            stays: None,
            injecting: false,
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

    /// Puts descriptors of all receive queues into `fds`; true when each of them has one to sleep on.
    pub fn pollable_fds(&self, fds: &mut Vec<RawFd>) -> bool {
        fds.clear();
        fds.extend(self.rx.iter().filter_map(|rx| rx.queue.pollable_fd()));
        fds.len() == self.rx.len()
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
        // With the rows of the same vector.
        let sampled = self.countdown == 1;
        let start = if sampled { rdtsc() } else { 0 };
        let received = rx.queue.rx_burst(&mut self.vector.burst, &mut self.pool);
        if received == 0 {
            return 0;
        }
        if sampled {
            self.counters.receive_sample(received as u64, rdtsc().wrapping_sub(start));
        }
        let port = rx.port;
        self.counters.event(LoopEvent::Received, received as u64);
        self.counters.port(port, PortEvent::RxPackets, received as u64);
        self.process(Start::From(Source::Port(port)), now, sink);
        self.counters.port(port, PortEvent::RxBytes, self.vector.walk.bytes);
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
        self.vector.held
    }

    /// Takes on what steps have held and give back now.
    #[inline]
    pub fn resume(&mut self, now: Nanos, sink: &mut impl SlowPathSink) {
        // What a step takes anew meanwhile waits for the next time.
        let mut held = self.held();
        while held > 0 {
            let (fia, mut lcore, vector) = self.apart();
            let given = fia.resume(&mut lcore, vector, now);
            if given == 0 {
                return;
            }
            held = held.saturating_sub(given);
            self.end(sink);
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
        self.injecting = true;
        // All kinds in the order they come: one vector as long as their way stays the same.
        let mut gathered = Way::Part;
        for item in work {
            let (way, uidb, packet) = match item {
                Injected::Route { table, origin, within, packet } => {
                    let how = Injection::new(UidbIndex::RP, table);
                    (Way::Walk(Injection { origin, within, ..how }), UidbIndex::RP, packet)
                }
                Injected::Forward { table, next_hop, origin, packet } => {
                    let how = Injection::new(UidbIndex::RECYCLE, table);
                    let (via, origin) = (next_hop, Some(origin));
                    let way = Way::Walk(Injection { via, origin, ..how });
                    (way, UidbIndex::RECYCLE, packet)
                }
                Injected::Transmit(uidb, packet) => (Way::Own, uidb, packet),
                Injected::TransmitPart(uidb, packet) => match self.tunnel(uidb) {
                    // It has no port: its way begins with the tunnel's headers.
                    Some(table) => {
                        let way = Way::Walk(Injection::new(UidbIndex::RECYCLE, table));
                        (way, UidbIndex::RECYCLE, packet)
                    }
                    None => (Way::Part, uidb, packet),
                },
            };
            if way != gathered || self.vector.burst.count() == VECTOR {
                self.inject_vector(gathered, now, sink);
                gathered = way;
            }
            if let Ok(slot) = self.vector.burst.push(packet) {
                self.vector.route.output[slot & 63] = uidb;
            }
        }
        self.inject_vector(gathered, now, sink);
        self.injecting = false;
        self.quiescent();
    }

    /// The table of a tunnel interface, through which its packets are reached; none for others.
    fn tunnel(&mut self, uidb: UidbIndex) -> Option<TableId> {
        let row = UidbTable::open(&self.tables.tables()).get(uidb);
        let is_tunnel = row.port == NO_PORT && row.features_out & Gate::ESP_OUT.mask() != 0;
        is_tunnel.then(|| row.routing_table())
    }

    /// Lets what was gathered in the vector go that way.
    fn inject_vector(&mut self, way: Way, now: Nanos, sink: &mut impl SlowPathSink) {
        let count = self.vector.burst.count() as u64;
        if count == 0 {
            return;
        }
        self.counters.event(LoopEvent::Injected, count);
        match way {
            Way::Walk(how) => self.process(Start::Injected(how), now, sink),
            Way::Own | Way::Part => self.send_frames(way, now, sink),
        }
        self.recirculate(now, sink);
    }

    /// Sends complete frames: the router's own past all rows but the security policy.
    fn send_frames(&mut self, way: Way, now: Nanos, sink: &mut impl SlowPathSink) {
        let source = Source::Internal { uidb: UidbIndex::RP, table: TableId::GLOBAL };
        self.vector.begin(source, now);
        self.vector.route.input = [UidbIndex::RP; VECTOR];
        let (fia, mut lcore, vector) = self.apart();
        match way {
            Way::Own => fia.walk_own(&mut lcore, vector),
            Way::Part | Way::Walk(_) => fia.send(&mut lcore, vector),
        }
        self.end(sink);
    }

    /// Says that no table is in use, but for rows that held packets name: between vectors, and
    /// once an idle round. Not while packets of the slow path wait for their walk: they are of its
    /// tables.
    #[inline]
    pub fn quiescent(&mut self) {
        let held = self.vector.held;
        self.counters.held(held as u64);
        if self.injecting {
            return;
        }
        let pinned = if held == 0 { None } else { self.fia.pins() };
        match pinned {
            None => self.tables.quiescent(),
            Some(since) => self.tables.quiescent_since(since),
        }
    }

    /// Reads `tables` from now on, and leaves what it has read so far there. Between two vectors, and
    /// not while packets are [`held`](Self::held): what they keep is of the tables that they met.
    pub fn exchange_tables(&mut self, tables: &mut TableReader) {
        std::mem::swap(&mut self.tables, tables);
    }

    /// Runs `sleep` without holding up grace periods.
    pub fn offline<R>(&mut self, sleep: impl FnOnce() -> R) -> R {
        self.tables.offline(sleep)
    }

    /// Walks and ends what the burst holds.
    #[inline]
    fn process(&mut self, start: Start, now: Nanos, sink: &mut impl SlowPathSink) {
        begin(&mut self.vector, start, now);
        self.counters.event(LoopEvent::Vectors, 1);
        self.countdown -= 1;
        let (countdown, traced) = (self.countdown, self.trace.is_on());
        if countdown == 0 || traced {
            self.countdown = SAMPLE_EVERY;
        }
        if traced {
            self.walk_traced();
        } else {
            let (fia, mut lcore, vector) = self.apart();
            match countdown {
                0 => fia.walk_sampled(&mut lcore, vector),
                HALFWAY => walk_timed(fia, &mut lcore, vector),
                _ => fia.walk(&mut lcore, vector),
            }
        }
        self.end(sink);
    }

    #[cold]
    fn walk_traced(&mut self) {
        let mut trace = std::mem::take(&mut self.trace);
        let (fia, mut lcore, vector) = self.apart();
        fia.walk_traced(&mut lcore, vector, &mut trace);
        self.trace = trace;
    }

    /// The order of operations, what its steps may use, and the vector.
    #[inline]
    fn apart(&mut self) -> (&mut Fia, Lcore<'_>, &mut Vector) {
        let lcore = Lcore {
            tables: self.tables.tables(),
            counters: &self.counters,
            tx: &mut self.tx,
            pool: &mut self.pool,
        };
        (&mut self.fia, lcore, &mut self.vector)
    }

    /// Ends the walk of what is in the vector: it walks again, is handed over or freed.
    #[inline]
    fn end(&mut self, sink: &mut impl SlowPathSink) {
        {
            if !self.vector.ends.recirculated.is_empty() {
                self.stays = self.recirculation.collect(&mut self.vector, &self.counters);
                if self.trace.is_on() {
                    self.trace.settle(&self.vector);
                }
            }
            let ended =
                self.vector.ends.dropped | self.vector.ends.punted | self.vector.ends.consumed;
            if !ended.is_empty() {
                self.counters
                    .event(LoopEvent::Consumed, u64::from(self.vector.ends.consumed.count()));
                let tables = self.tables.tables();
                if let Some(punt) = self.fia.punt_row() {
                    self.counters.row(punt, u64::from(self.vector.leaving().count()));
                }
                hand_over(&mut self.vector, self.lcore, &self.counters, tables, sink);
                self.pool.free(&mut self.vector.burst, ended);
            }
        }
        if self.stays.is_none() {
            self.vector.burst.clear();
        }
        self.quiescent();
    }

    /// Walks what the last vector has sent into walks of their own, and what these send, until
    /// nothing is left.
    #[inline]
    fn recirculate(&mut self, now: Nanos, sink: &mut impl SlowPathSink) {
        while let Some(source) =
            self.stays.take().or_else(|| self.recirculation.next_vector(&mut self.vector))
        {
            self.process(Start::From(source), now, sink);
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

/// A walk whose cycles are counted as a whole, without the clock in between.
#[inline]
fn walk_timed(fia: &mut Fia, lcore: &mut Lcore<'_>, vector: &mut Vector) {
    let packets = u64::from(vector.live.count());
    let start = rdtsc();
    fia.walk(lcore, vector);
    let cycles = rdtsc().wrapping_sub(start);
    // Longer walks were interrupted.
    if cycles < 1 << 18 {
        lcore.counters.event(LoopEvent::WalkCycles, cycles);
        lcore.counters.event(LoopEvent::WalkPackets, packets);
    }
}

/// A walk begins.
#[inline]
fn begin(vector: &mut Vector, start: Start, now: Nanos) {
    match start {
        Start::From(source) => vector.begin(source, now),
        Start::Injected(how) => {
            vector.begin(Source::Internal { uidb: how.uidb, table: how.table }, now);
            (vector.walk.via, vector.walk.origin, vector.walk.within) =
                (how.via, how.origin, how.within);
        }
    }
}

#[cfg(test)]
mod tests;
