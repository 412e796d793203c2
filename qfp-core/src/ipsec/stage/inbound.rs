//! Row `esp-decap`.

use hal::{PacketMask, VECTOR};
use pal::clock::Nanos;
use pal::publication::Seen;

use super::{Batch, fail, refusal};
use crate::crypto::Outcomes;
use crate::ipsec::decap::{self, Arrived, Located, Opened};
use crate::ipsec::engine::{self, Shared};
use crate::ipsec::lane::{Lane, LaneEnds};
use crate::ipsec::replay::Window;
use crate::ipsec::sa::{InboundSa, SaFlags};
use crate::ipsec::state::{SaEvents, SaState};
use crate::ipsec::table::EspTables;
use crate::packet::{DropReason, Vector};
use crate::step::{Lcore, Step};
use crate::uidb::{UidbIndex, UidbTable};

/// Row `esp-decap`: opens what is for this router and is ESP, with UDP around it or without.
///
/// In tunnel mode the inner packet begins a walk of its own, as one that came in through the
/// tunnel; in transport mode the packet goes on. Everything else for this router passes by. The
/// engine is here, or in tunnel mode on a lcore of its own.
pub struct EspDecap {
    shared: Option<&'static Shared>,
    batch: Batch,
    arrived: [Coming; VECTOR],
    lane: Option<Lane<Coming>>,
}

/// An SA with what belongs to it.
struct Found<'a> {
    row: u32,
    sa: &'a InboundSa,
    state: &'a SaState,
    window: Option<Window<'a>>,
    /// Its lifetime has ended.
    is_over: bool,
}

impl<'a> Found<'a> {
    fn of(
        tables: &EspTables<'a>,
        (spi, destination, v6): (u32, &[u8], bool),
        now: u64,
    ) -> Option<Self> {
        let row = tables.opening(spi, destination, v6)?;
        let (sa, state) = tables.inbound(row)?;
        let (packets, bytes) = state.used();
        let is_over = sa.hard.is_over(packets, bytes, now);
        Some(Self { row, sa, state, window: tables.window(sa, state), is_over })
    }
}

/// What is needed of a packet once it is opened.
#[derive(Clone, Copy)]
struct Coming {
    row: u32,
    sequence: u64,
    at: Located,
    /// Noted where it leaves its vector.
    l3_offset: u8,
}

const NOTHING: Coming = Coming {
    row: 0,
    sequence: 0,
    at: Located { spi: 0, sequence: 0, esp: 0, end: 0, udp: None },
    l3_offset: 0,
};

impl EspDecap {
    /// The row, with the engine of the process; starts the engine if need be.
    #[must_use]
    pub fn new() -> Self {
        let shared = engine::shared().ok();
        Self { shared, batch: Batch::new(), arrived: [NOTHING; VECTOR], lane: None }
    }

    /// The row, whose packets go to crypto-engine lcores.
    #[must_use]
    pub fn with_engines(lanes: LaneEnds) -> Self {
        Self { lane: Some(Lane::new(lanes, false, NOTHING)), ..Self::new() }
    }
}

impl Default for EspDecap {
    fn default() -> Self {
        Self::new()
    }
}

impl Step for EspDecap {
    fn process(&mut self, lcore: &mut Lcore<'_>, vector: &mut Vector, select: PacketMask) {
        let for_us = select & vector.is.for_us & (vector.is.ipv4 | vector.is.ipv6);
        if for_us.is_empty() {
            return;
        }
        let tables = EspTables::open(&lcore.tables);
        self.batch.clear();
        let mut found = None;
        for slot in for_us {
            self.prepare(&tables, &mut found, lcore, vector, slot);
        }
        self.open(&tables, lcore, vector);
    }

    fn pins(&self) -> Option<Seen> {
        self.lane.as_ref()?.pins()
    }

    fn resume(&mut self, lcore: &mut Lcore<'_>, vector: &mut Vector, now: Nanos) -> bool {
        let Some(lane) = &mut self.lane else { return false };
        let back = lane.take_back((&mut self.batch, &mut self.arrived), vector, now);
        let Some(outcomes) = back else { return false };
        for (n, slot, _) in self.batch.iter() {
            vector.l3.offset[slot & 63] = self.arrived[n & 63].l3_offset;
        }
        let tables = EspTables::open(&lcore.tables);
        self.take_on(&tables, &outcomes, UidbTable::open(&lcore.tables), vector);
        true
    }
}

impl EspDecap {
    /// Finds the SA of a packet and what the engine shall do.
    #[inline]
    fn prepare<'a>(
        &mut self,
        tables: &EspTables<'a>,
        found: &mut Option<Found<'a>>,
        lcore: &Lcore<'_>,
        vector: &mut Vector,
        slot: usize,
    ) {
        let v6 = vector.is.ipv6.contains(slot);
        let ip_len = usize::from(vector.l3.ip_len[slot & 63]);
        let packet = vector.network(slot).get(..ip_len).unwrap_or_default();
        let at = match decap::locate(packet, v6) {
            Arrived::Other => return,
            Arrived::Drop(reason) => return vector.drop(slot, reason),
            Arrived::Esp(at) => at,
        };
        let destination = packet.get(if v6 { 24..40 } else { 16..20 }).unwrap_or_default();
        // Most packets are of the same SA as the one before.
        if found.as_ref().is_none_or(|found| !found.sa.is_for(at.spi, destination, v6)) {
            *found = Found::of(tables, (at.spi, destination, v6), vector.walk.now.0);
        }
        let Some(Found { row, sa, state, window, is_over }) = found else {
            return vector.drop(slot, DropReason::EspNoSa);
        };
        if self.shared.is_none() {
            return fail(vector, slot, state, DropReason::EspNoEngine);
        }
        if *is_over {
            return expired(vector, slot, state);
        }
        if sa.window != 0 && window.is_none() {
            // Without its window the SA would take packets twice.
            return fail(vector, slot, state, DropReason::EspNoSa);
        }
        let l3_offset = usize::from(vector.l3.offset[slot & 63]);
        match decap::prepare(vector.burst.frame(slot), l3_offset, at, sa, window.as_ref()) {
            Ok(sealed) => {
                if self.lane.is_some() {
                    self.keep_apart(tables, lcore, vector, sa.is(SaFlags::TRANSPORT));
                }
                let coming = Coming { row: *row, sequence: sealed.sequence, at, l3_offset: 0 };
                self.arrived[self.batch.jobs.len() & 63] = coming;
                self.batch.push(slot, sealed.job);
            }
            Err(reason) => fail(vector, slot, state, reason),
        }
    }

    /// Whether the batch's packets are in transport mode; none if there are none.
    fn batch_is_transport(&self, tables: &EspTables<'_>) -> Option<bool> {
        self.batch.jobs.first()?;
        tables.inbound(self.arrived[0].row).map(|(sa, _)| sa.is(SaFlags::TRANSPORT))
    }

    /// Opens the batch before a packet of the other mode joins it: tunnels go to an engine,
    /// transport stays.
    #[cold]
    fn keep_apart(
        &mut self,
        tables: &EspTables<'_>,
        lcore: &Lcore<'_>,
        vector: &mut Vector,
        transport: bool,
    ) {
        if self.batch_is_transport(tables).is_some_and(|is| is != transport) {
            self.open(tables, lcore, vector);
        }
    }

    /// Hands the batch to an engine; false if it stays.
    #[cold]
    fn hand_over(
        &mut self,
        shared: &Shared,
        tables: &EspTables<'_>,
        lcore: &Lcore<'_>,
        vector: &mut Vector,
    ) -> bool {
        let is_transport = self.batch_is_transport(tables) == Some(true);
        let Some(lane) = self.lane.as_mut().filter(|_| !is_transport) else { return false };
        for (n, slot, _) in self.batch.iter() {
            self.arrived[n & 63].l3_offset = vector.l3.offset[slot & 63];
        }
        let ours = (&mut self.batch, &mut self.arrived);
        let seen = (lcore.tables.seen(), lcore.counters);
        lane.hand_over(ours, (shared, tables.keys), seen, vector)
    }

    /// Opens the batch, and sends what is right on its way.
    fn open(&mut self, tables: &EspTables<'_>, lcore: &Lcore<'_>, vector: &mut Vector) {
        let Some(shared) = self.shared.filter(|_| !self.batch.jobs.is_empty()) else { return };
        if self.lane.is_some() && self.hand_over(shared, tables, lcore, vector) {
            return self.batch.clear();
        }
        let outcomes = self.batch.run::<false>(shared, tables.keys, vector);
        self.take_on(tables, &outcomes, UidbTable::open(&lcore.tables), vector);
        self.batch.clear();
    }

    /// Takes the batch on, which the engine has had.
    fn take_on(
        &self,
        tables: &EspTables<'_>,
        outcomes: &Outcomes,
        uidbs: UidbTable<'_>,
        vector: &mut Vector,
    ) {
        let done = PacketMask(outcomes.done());
        let (mut start, mut rest) =
            (0, self.arrived.get(..self.batch.jobs.len()).unwrap_or_default());
        while let Some(first) = rest.first() {
            // Packets of one SA that follow each other.
            let count = rest.iter().take_while(|coming| coming.row == first.row).count();
            let coming;
            (coming, rest) = rest.split_at(count);
            let same = PacketMask::first(start + count) - PacketMask::first(start);
            match Run::of(tables, first.row) {
                Some(mut run) => {
                    for (n, slot) in self.batch.slots(same - done) {
                        fail(vector, slot, run.state, refusal(outcomes.get(n)));
                    }
                    let accepted = run.accept(start, coming, same & done);
                    for (n, slot) in self.batch.slots((same & done) - accepted) {
                        let reason = run.refusal(self.arrived[n & 63].sequence);
                        fail(vector, slot, run.state, reason);
                    }
                    self.finish(run, accepted, uidbs, vector);
                }
                None => self.batch.slots(same).for_each(|(_, slot)| {
                    vector.drop(slot, DropReason::EspNoSa);
                }),
            }
            start += count;
        }
    }

    /// Sends the packets of one SA that it has accepted on their way.
    fn finish(
        &self,
        mut run: Run<'_>,
        accepted: PacketMask,
        uidbs: UidbTable<'_>,
        vector: &mut Vector,
    ) {
        for (n, slot) in self.batch.slots(accepted) {
            if run.is_over(vector.walk.now.0) {
                expired(vector, slot, run.state);
                continue;
            }
            let (at, job) = (self.arrived[n & 63].at, &self.batch.jobs[n]);
            if at.udp.is_some() {
                note_peer(vector, slot, at, &run);
            }
            let l3_offset = usize::from(vector.l3.offset[slot & 63]);
            let burst = &mut vector.burst;
            let opened = if run.sa.is(SaFlags::TRANSPORT) {
                decap::transport(burst, slot, l3_offset, at, job, run.sa)
            } else {
                decap::tunnel(burst, slot, l3_offset, job, run.sa)
            };
            match opened {
                Ok(opened) => {
                    run.passed(opened.ip_len);
                    if run.sa.is(SaFlags::TRANSPORT) {
                        go_on(vector, slot, opened);
                    } else {
                        run.inner.insert(slot);
                    }
                }
                Err(reason) => fail(vector, slot, run.state, reason),
            }
        }
        run.settle(uidbs, vector);
    }
}

/// The packet stays in its walk, with another upper layer.
fn go_on(vector: &mut Vector, slot: usize, opened: Opened) {
    vector.l3.ip_len[slot & 63] = opened.ip_len;
    vector.is.opened.insert(slot);
    // What the rows before have found out about ports was about ESP.
    if vector.is.extended.contains(slot) {
        let upper = crate::wire::Ipv6::parse(vector.network(slot)).and_then(|ip| ip.upper());
        if let Ok(upper) = upper {
            let cold = &mut vector.cold[slot & 63];
            cold.protocol = upper.protocol;
            cold.l4_offset = u16::try_from(upper.offset).unwrap_or(u16::MAX);
        }
    }
}

/// Tells the client when the peer's NAT has given it another address or port (RFC 7296 §2.23).
#[inline]
fn note_peer(vector: &Vector, slot: usize, at: Located, run: &Run<'_>) {
    let v6 = run.sa.is(SaFlags::V6);
    let mut source = [0; 16];
    let (field, len) = if v6 { (8..24, 16) } else { (12..16, 4) };
    if let Some(bytes) = vector.network(slot).get(field) {
        source[..len].copy_from_slice(bytes);
    }
    let port = at.udp.unwrap_or(0);
    if source != run.sa.remote || port != run.sa.remote_port {
        run.state.moved(source, v6, port);
    }
}

#[cold]
fn expired(vector: &mut Vector, slot: usize, state: &SaState) {
    state.raise(SaEvents::HARD_EXPIRED);
    fail(vector, slot, state, DropReason::EspSaExpired);
}

/// Packets of one SA that follow each other: its shared words are written once for all of them.
struct Run<'a> {
    sa: &'a InboundSa,
    state: &'a SaState,
    window: Option<Window<'a>>,
    before: (u64, u64),
    packets: u64,
    bytes: u64,
    highest: u64,
    /// Inner packets that begin a walk.
    inner: PacketMask,
}

impl<'a> Run<'a> {
    fn of(tables: &EspTables<'a>, row: u32) -> Option<Self> {
        let (sa, state) = tables.inbound(row)?;
        Some(Self {
            sa,
            state,
            window: tables.window(sa, state),
            before: state.used(),
            packets: 0,
            bytes: 0,
            highest: 0,
            inner: PacketMask::EMPTY,
        })
    }

    /// Those of the authentic packets that are no repetition. `coming` are its packets from
    /// number `start` of the batch on.
    #[inline]
    fn accept(&mut self, start: usize, coming: &[Coming], authentic: PacketMask) -> PacketMask {
        let (Some(window), Some(first)) = (&self.window, coming.first()) else { return authentic };
        let number = |n: usize| coming.get(n.wrapping_sub(start)).map_or(0, |one| one.sequence);
        let slots = start..start + coming.len();
        // Most come as they were sent.
        let in_row = authentic.count() as usize == coming.len()
            && (0..).zip(coming).all(|(n, one)| one.sequence == first.sequence.wrapping_add(n));
        if in_row {
            let accepted = window.accept_row(slots, first.sequence);
            // The last one is the highest.
            self.highest = accepted.0.checked_ilog2().map_or(0, |n| number(n as usize));
            accepted
        } else {
            let accepted = window.accept_all(authentic.into_iter().map(|n| (n, number(n))));
            self.highest = accepted.into_iter().map(number).max().unwrap_or(0);
            accepted
        }
    }

    /// Why an authentic packet with this number was not accepted.
    #[cold]
    fn refusal(&self, sequence: u64) -> DropReason {
        if self.window.is_some_and(|window| window.is_beyond(sequence)) {
            self.state.want(sequence);
            return DropReason::EspBeyondMark;
        }
        DropReason::EspReplay
    }

    /// Whether its lifetime has ended.
    #[inline]
    fn is_over(&self, now: u64) -> bool {
        let (packets, bytes) = (self.before.0 + self.packets, self.before.1 + self.bytes);
        self.sa.hard.is_over(packets, bytes, now)
    }

    #[inline]
    fn passed(&mut self, ip_len: u16) {
        self.packets += 1;
        self.bytes += u64::from(ip_len);
    }

    /// Writes what the run has come to, and sends its inner packets on their way.
    #[inline]
    fn settle(self, uidbs: UidbTable<'_>, vector: &mut Vector) {
        let now = vector.walk.now.0;
        let interface = UidbIndex(self.sa.interface);
        vector.recirculate_all(self.inner, interface, uidbs.get(interface).routing_table());
        if let Some(window) = self.window {
            window.advance(self.highest);
        }
        if self.packets > 0 {
            self.state.count(self.packets, self.bytes, now);
        }
        let (packets, bytes) = (self.before.0 + self.packets, self.before.1 + self.bytes);
        if self.sa.soft.is_over(packets, bytes, now) {
            self.state.raise(SaEvents::SOFT_EXPIRED);
        }
    }
}
