//! Row `esp-encap`.

use hal::{PacketMask, VECTOR};
use pal::clock::Nanos;
use pal::publication::Seen;

use super::{Batch, fail, refusal};
use crate::crypto::{Iv, Outcome, Outcomes};
use crate::ipsec::encap::{self, Clear, Number};
use crate::ipsec::engine::{self, Shared};
use crate::ipsec::header::LINK;
use crate::ipsec::lane::{Lane, LaneEnds};
use crate::ipsec::sa::{OutboundSa, SaFlags};
use crate::ipsec::state::{SaEvents, SaState};
use crate::ipsec::table::EspTables;
use crate::packet::{DropReason, PuntCause, Vector};
use crate::simd::same_interface;
use crate::step::{Lcore, Step};
use crate::uidb::{TableId, UidbIndex, UidbTable};

/// Row `esp-encap`: protects what leaves through an interface with the SA that is bound to it.
///
/// In tunnel mode the outer packet begins a walk of its own; in transport mode the packet goes on
/// to `mtu`. Packets of one interface take their numbers together, and the whole vector goes
/// through the engine in one batch: here, or in tunnel mode on a crypto-engine lcore.
pub struct EspEncap {
    shared: Option<&'static Shared>,
    batch: Batch,
    placed: [Sent; VECTOR],
    lane: Option<Lane<Sent>>,
}

/// What is needed of a packet once it is sealed.
#[derive(Clone, Copy, Default)]
struct Sent {
    flags: u32,
    state: u32,
    table: u16,
    ip_len: u16,
}

impl EspEncap {
    /// The row, with the engine of the process; starts the engine if need be.
    #[must_use]
    pub fn new() -> Self {
        Self {
            shared: engine::shared().ok(),
            batch: Batch::new(),
            placed: [Sent::default(); VECTOR],
            lane: None,
        }
    }

    /// The row, whose packets go to crypto-engine lcores.
    #[must_use]
    pub fn with_engines(lanes: LaneEnds) -> Self {
        Self { lane: Some(Lane::new(lanes, true, Sent::default())), ..Self::new() }
    }
}

impl Default for EspEncap {
    fn default() -> Self {
        Self::new()
    }
}

impl Step for EspEncap {
    fn process(&mut self, lcore: &mut Lcore<'_>, vector: &mut Vector, select: PacketMask) {
        let Some(shared) = self.shared else {
            return vector.drop_all(select, DropReason::EspNoEngine);
        };
        let tables = EspTables::open(&lcore.tables);
        let uidbs = UidbTable::open(&lcore.tables);
        self.batch.clear();
        let mut rest = select;
        while let Some(first) = rest.into_iter().next() {
            let output = vector.route.output[first & 63];
            let same = rest & same_interface(&vector.route.output, output);
            rest -= same;
            let Some((sa, state)) = tables.protecting(output) else {
                tables.wants_sa(output, u64::from(same.count()));
                vector.drop_all(same, DropReason::EspNoSa);
                continue;
            };
            let transport = sa.is(SaFlags::TRANSPORT);
            if self.lane.is_some() && self.batch_is_transport().is_some_and(|is| is != transport) {
                // The one goes to an engine, the other stays.
                self.seal(shared, &tables, lcore, vector);
            }
            let same = if transport {
                same
            } else {
                fitting(vector, same, uidbs.get(output).mtu.min(tables.path_mtu(output)))
            };
            let (packets, bytes) = self.place(shared, vector, same, sa, state);
            if !transport {
                lcore.counters.interface_out(output, packets, bytes + packets * LINK as u64);
            }
        }
        self.seal(shared, &tables, lcore, vector);
    }

    fn pins(&self) -> Option<Seen> {
        self.lane.as_ref()?.pins()
    }

    fn resume(&mut self, lcore: &mut Lcore<'_>, vector: &mut Vector, now: Nanos) -> bool {
        let Some(lane) = &mut self.lane else { return false };
        let back = lane.take_back((&mut self.batch, &mut self.placed), vector, now);
        let Some(outcomes) = back else { return false };
        self.finish(&EspTables::open(&lcore.tables), &outcomes, vector);
        true
    }
}

/// The packets of `select` that the tunnel takes; others go to be fragmented or reported.
fn fitting(vector: &mut Vector, select: PacketMask, mtu: u16) -> PacketMask {
    for slot in select {
        if vector.l3.ip_len[slot & 63] > mtu {
            vector.punt(slot, PuntCause::IpMtuExceeded);
        }
    }
    select & vector.live
}

impl EspEncap {
    /// Puts the packets of `select` into their place; returns how many, and their bytes.
    fn place(
        &mut self,
        shared: &Shared,
        vector: &mut Vector,
        select: PacketMask,
        sa: &OutboundSa,
        state: &SaState,
    ) -> (u64, u64) {
        let select = unexpired(vector, select, sa, state);
        let (first, granted) = state.take_numbers(u64::from(select.count()), sa.last_number());
        let random = sa.is(SaFlags::RANDOM_IV);
        let ivs = random.then(|| shared.ivs().all(sa.key, sa.spi, first));
        let (mut packets, mut bytes) = (0, 0);
        for (n, slot) in (0..).zip(select) {
            if n >= granted {
                fail(vector, slot, state, DropReason::EspSequenceOverflow);
                continue;
            }
            let sequence = first + n;
            let iv = match (&ivs, usize::try_from(n)) {
                (Some(ivs), Ok(n)) => ivs[n & 63],
                _ => Iv::counter(sequence),
            };
            let clear = Clear {
                l3_offset: usize::from(vector.l3.offset[slot & 63]),
                ip_len: usize::from(vector.l3.ip_len[slot & 63]),
                v6: vector.is.ipv6.contains(slot),
            };
            let number = Number { sequence, iv };
            let placed = if sa.is(SaFlags::TRANSPORT) {
                encap::transport(&mut vector.burst, slot, clear, sa, number)
            } else {
                encap::tunnel(&mut vector.burst, slot, clear, sa, number)
            };
            match placed {
                Ok(placed) => {
                    packets += 1;
                    bytes += u64::from(vector.l3.ip_len[slot & 63]);
                    self.placed[self.batch.jobs.len() & 63] = Sent {
                        flags: sa.flags,
                        state: sa.state,
                        table: sa.table,
                        ip_len: placed.ip_len,
                    };
                    self.batch.push(slot, placed.job);
                }
                Err(reason) => fail(vector, slot, state, reason),
            }
        }
        if packets > 0 {
            state.count(packets, bytes, vector.walk.now.0);
        }
        (packets, bytes)
    }

    /// Whether the batch's packets are in transport mode; none if there are none.
    fn batch_is_transport(&self) -> Option<bool> {
        self.batch.jobs.first().map(|_| self.placed[0].flags & SaFlags::TRANSPORT != 0)
    }

    /// Seals what is in its place, and sends it on its way.
    fn seal(
        &mut self,
        shared: &Shared,
        tables: &EspTables<'_>,
        lcore: &Lcore<'_>,
        vector: &mut Vector,
    ) {
        if self.batch.jobs.is_empty() {
            return;
        }
        let is_transport = self.batch_is_transport() == Some(true);
        if let Some(lane) = &mut self.lane
            && !is_transport
        {
            let ours = (&mut self.batch, &mut self.placed);
            let seen = (lcore.tables.seen(), lcore.counters);
            if lane.hand_over(ours, (shared, tables.keys), seen, vector) {
                self.batch.clear();
                return;
            }
        }
        let outcomes = self.batch.run::<true>(shared, tables.keys, vector);
        self.finish(tables, &outcomes, vector);
        self.batch.clear();
    }

    /// Sends what is sealed on its way.
    fn finish(&self, tables: &EspTables<'_>, outcomes: &Outcomes, vector: &mut Vector) {
        // Packets for one table begin their next walk together.
        let (mut ready, mut table) = (PacketMask::EMPTY, 0);
        for (n, slot, _) in self.batch.iter() {
            let outcome = outcomes.get(n);
            let sent = self.placed[n & 63];
            if outcome != Outcome::Done {
                // It is still in the clear.
                match tables.states.get(sent.state as usize) {
                    Some(state) => fail(vector, slot, state, refusal(outcome)),
                    None => vector.drop(slot, refusal(outcome)),
                }
                continue;
            }
            let is = |flag| sent.flags & flag != 0;
            if is(SaFlags::TRANSPORT) {
                vector.l3.ip_len[slot & 63] = sent.ip_len;
                if is(SaFlags::UDP) && vector.is.ipv6.contains(slot) {
                    encap::udp_checksum(vector.network_mut(slot));
                }
                continue;
            }
            if is(SaFlags::UDP) && is(SaFlags::V6) {
                let frame = vector.burst.frame_mut(slot);
                encap::udp_checksum(frame.get_mut(LINK..).unwrap_or_default());
            }
            if sent.table != table {
                vector.recirculate_all(ready, UidbIndex::CRYPTO, TableId(table));
                (ready, table) = (PacketMask::EMPTY, sent.table);
            }
            ready.insert(slot);
        }
        vector.recirculate_all(ready, UidbIndex::CRYPTO, TableId(table));
    }
}

/// The packets of `select` that the lifetimes leave; exact on one lcore, and within a vector of it
/// when several share the SA.
fn unexpired(
    vector: &mut Vector,
    select: PacketMask,
    sa: &OutboundSa,
    state: &SaState,
) -> PacketMask {
    let (mut packets, mut bytes) = state.used();
    let now = vector.walk.now.0;
    for slot in select {
        if sa.hard.is_over(packets, bytes, now) {
            state.raise(SaEvents::HARD_EXPIRED);
            fail(vector, slot, state, DropReason::EspSaExpired);
            continue;
        }
        packets += 1;
        bytes = bytes.saturating_add(u64::from(vector.l3.ip_len[slot & 63]));
    }
    if sa.soft.is_over(packets, bytes, now) {
        state.raise(SaEvents::SOFT_EXPIRED);
    }
    select & vector.live
}
