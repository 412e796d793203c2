//! Counters of one lcore: where each event is counted, and how reports find it again.
//!
//! One flat block of 64-bit words an lcore, written by that lcore alone. The layout is fixed when
//! the lcores start: it depends on the number of rows of the FIA, and has room for the ports and
//! interfaces that come later.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use pal::counters::{CounterBlock, Counters};

use crate::packet::{COUNTERS, DropReason, FeatureCounter, FlowType, PuntCause};
use crate::uidb::UidbIndex;

/// Words of one row of the FIA.
const ROW_WORDS: usize = 3;
/// Words of one interface.
const INTERFACE_WORDS: usize = 4;
/// Words of the types of flow of one interface.
const POLICED_WORDS: usize = FlowType::COUNT * 2;
/// Words of one rule.
const RULE_WORDS: usize = 2;
/// Words of one port.
const PORT_WORDS: usize = PortEvent::TxDropped as usize + 1;

/// What is counted at a port, before any row and after all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum PortEvent {
    /// Packets received.
    RxPackets,
    /// Bytes received: frames without FCS.
    RxBytes,
    /// Packets the back-end lost or refused before they were received.
    RxMissed,
    /// Packets sent.
    TxPackets,
    /// Bytes sent: frames without FCS.
    TxBytes,
    /// Packets the back-end did not take.
    TxDropped,
}

/// What row `punt-police` says about a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Policed {
    /// It goes to the slow path.
    Passed,
    /// Its type has had its rate.
    Dropped,
}

/// Which event of the loop as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum LoopEvent {
    /// Vectors that walked.
    Vectors,
    /// Packets received from ports.
    Received,
    /// Packets that the slow path put in, to be routed or sent.
    Injected,
    /// Packets sent by ports.
    Sent,
    /// Packets that a step took over.
    Consumed,
    /// Walks that packets have begun anew: around or out of a tunnel.
    Recirculated,
    /// Polls of all queues that found nothing.
    IdlePolls,
    /// Polls that found something.
    BusyPolls,
    /// Packets that were handed to crypto-engine lcores.
    EngineHanded,
    /// Those of them that their own lcore took back from a full queue and did itself.
    EngineFull,
    /// Packets that found too many on their way and were done by their own lcore at once.
    EngineOvertaken,
    /// Packets that this lcore has done as a crypto engine.
    EngineDone,
    /// TSC cycles of sampled walks, transmission included.
    WalkCycles,
    /// Packets of sampled walks.
    WalkPackets,
    /// TSC cycles of sampled bursts that were received.
    RxCycles,
    /// Packets of sampled bursts.
    RxSampled,
}

/// Packets that steps hold: a level, not a sum of events.
const HELD: usize = LoopEvent::RxSampled as usize + 1;
const LOOP_WORDS: usize = HELD + 1;

/// A sample that took longer was interrupted: its cycles say nothing about the code.
pub(crate) const INTERRUPTED: u64 = 1 << 16;

/// Which word means what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CounterLayout {
    rows: usize,
    ports: usize,
    interfaces: usize,
    rules: usize,
}

impl CounterLayout {
    /// A layout for a FIA of `rows` rows, `ports` ports and uIDBs below `interfaces`.
    #[must_use]
    pub const fn new(rows: usize, ports: usize, interfaces: usize) -> Self {
        Self { rows, ports, interfaces, rules: 0 }
    }

    /// The same, with counters for rules of access lists and policies below `rules`.
    #[must_use]
    pub const fn with_rules(self, rules: usize) -> Self {
        Self { rules, ..self }
    }

    /// Words of a block.
    #[must_use]
    pub const fn words(&self) -> usize {
        self.policed_base() + self.interfaces * POLICED_WORDS
    }

    const fn drop_base(&self) -> usize {
        LOOP_WORDS
    }

    const fn punt_base(&self) -> usize {
        self.drop_base() + DropReason::COUNT
    }

    const fn own_base(&self) -> usize {
        self.punt_base() + PuntCause::COUNT
    }

    const fn row_base(&self) -> usize {
        line(self.own_base() + COUNTERS)
    }

    const fn port_base(&self) -> usize {
        line(self.row_base() + self.rows * ROW_WORDS)
    }

    const fn interface_base(&self) -> usize {
        line(self.port_base() + self.ports * PORT_WORDS)
    }

    const fn rule_base(&self) -> usize {
        line(self.interface_base() + self.interfaces * INTERFACE_WORDS)
    }

    const fn policed_base(&self) -> usize {
        line(self.rule_base() + self.rules * RULE_WORDS)
    }
}

/// The next word that begins a cache line, so that no row of words is in two of them for nothing.
const fn line(word: usize) -> usize {
    word.next_multiple_of(8)
}

/// What has gone through one interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InterfaceCounters {
    /// Packets received.
    pub in_packets: u64,
    /// Bytes received: frames without FCS.
    pub in_bytes: u64,
    /// Packets sent.
    pub out_packets: u64,
    /// Bytes sent: frames without FCS.
    pub out_bytes: u64,
}

impl InterfaceCounters {
    /// What was counted after `earlier`.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self {
            in_packets: self.in_packets.saturating_sub(earlier.in_packets),
            in_bytes: self.in_bytes.saturating_sub(earlier.in_bytes),
            out_packets: self.out_packets.saturating_sub(earlier.out_packets),
            out_bytes: self.out_bytes.saturating_sub(earlier.out_bytes),
        }
    }

    /// Whether nothing has gone through it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.in_packets == 0 && self.out_packets == 0
    }
}

/// What one row of the FIA has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowCounters {
    /// Packets it has worked on.
    pub packets: u64,
    /// TSC cycles it took for the sampled ones.
    pub sampled_cycles: u64,
    /// How many were sampled.
    pub sampled_packets: u64,
}

/// One lcore's counters: the only writer is that lcore.
#[derive(Debug)]
pub struct LcoreCounters {
    block: CounterBlock,
    layout: CounterLayout,
    /// Of the layout; it is counted from for every packet where each has another interface.
    interface_base: usize,
}

impl LcoreCounters {
    /// Counters in `block`, which holds at least [`CounterLayout::words`] words.
    #[must_use]
    pub const fn new(block: CounterBlock, layout: CounterLayout) -> Self {
        Self { block, layout, interface_base: layout.interface_base() }
    }

    /// Counts `n` events of the loop.
    #[inline]
    pub fn event(&self, event: LoopEvent, n: u64) {
        self.block.add(event as usize, n);
    }

    /// Counts a sample of packets that were received.
    #[inline]
    pub fn receive_sample(&self, packets: u64, cycles: u64) {
        if cycles < INTERRUPTED {
            self.event(LoopEvent::RxCycles, cycles);
            self.event(LoopEvent::RxSampled, packets);
        }
    }

    /// Says how many packets steps hold now.
    #[inline]
    pub fn held(&self, packets: u64) {
        let before = self.block.get(HELD);
        if before != packets {
            self.block.add(HELD, packets.wrapping_sub(before));
        }
    }

    /// Counts a dropped packet.
    #[inline]
    pub fn drop(&self, reason: DropReason, n: u64) {
        self.block.add(self.layout.drop_base() + reason as usize, n);
    }

    /// Counts for a user's feature.
    #[inline]
    pub fn feature(&self, counter: FeatureCounter, n: u64) {
        self.block.add(self.layout.own_base() + counter.place(), n);
    }

    /// Counts a punted packet.
    #[inline]
    pub fn punt(&self, cause: PuntCause, n: u64) {
        self.block.add(self.layout.punt_base() + cause as usize, n);
    }

    /// Counts packets of row number `row`.
    #[inline]
    pub fn row(&self, row: usize, packets: u64) {
        self.block.add(self.layout.row_base() + row * ROW_WORDS, packets);
    }

    /// Counts a sample of row number `row`.
    #[inline]
    pub fn row_sample(&self, row: usize, packets: u64, cycles: u64) {
        let base = self.layout.row_base() + row * ROW_WORDS;
        self.block.add(base + 1, cycles);
        self.block.add(base + 2, packets);
    }

    /// Counts `n` events of a port.
    #[inline]
    pub fn port(&self, port: u16, event: PortEvent, n: u64) {
        if usize::from(port) < self.layout.ports {
            let base = self.layout.port_base() + usize::from(port) * PORT_WORDS;
            self.block.add(base + event as usize, n);
        }
    }

    /// Counts a packet of `bytes` bytes that a rule matched. Numbers beyond the layout's are not
    /// counted.
    #[inline]
    pub fn rule(&self, rule: u32, bytes: u64) {
        self.rules(rule, 1, bytes);
    }

    /// Counts packets that a rule matched, `bytes` in all.
    #[inline]
    pub fn rules(&self, rule: u32, packets: u64, bytes: u64) {
        let rule = rule as usize;
        if rule < self.layout.rules {
            let base = self.layout.rule_base() + rule * RULE_WORDS;
            self.block.add_pair(base, [packets, bytes]);
        }
    }

    /// Counts what came in through an interface.
    #[inline]
    pub fn interface_in(&self, uidb: UidbIndex, packets: u64, bytes: u64) {
        if let Some(base) = self.interface(uidb) {
            self.block.add_pair(base, [packets, bytes]);
        }
    }

    /// Counts what went out through an interface.
    #[inline]
    pub fn interface_out(&self, uidb: UidbIndex, packets: u64, bytes: u64) {
        if let Some(base) = self.interface(uidb) {
            self.block.add_pair(base + 2, [packets, bytes]);
        }
    }

    /// Counts packets for the slow path that came in through an interface, under their type.
    #[inline]
    pub fn policed(&self, uidb: UidbIndex, flow: FlowType, policed: Policed, count: u64) {
        if usize::from(uidb.0) < self.layout.interfaces {
            let base = self.layout.policed_base() + usize::from(uidb.0) * POLICED_WORDS;
            self.block.add(base + flow as usize * 2 + policed as usize, count);
        }
    }

    #[inline]
    fn interface(&self, uidb: UidbIndex) -> Option<usize> {
        let index = usize::from(uidb.0);
        (index < self.layout.interfaces).then(|| self.interface_base + index * INTERFACE_WORDS)
    }
}

/// Sums over all lcores.
#[derive(Debug)]
pub struct CounterTotals {
    counters: Counters,
    layout: CounterLayout,
    /// What words had counted when their numbers became another one's.
    before: RwLock<HashMap<usize, u64>>,
}

impl CounterTotals {
    /// Totals for lcores laid out by `layout`, without an lcore yet.
    #[must_use]
    pub fn new(layout: CounterLayout) -> Self {
        Self::of(layout, Counters::new(layout.words()))
    }

    /// Totals of `counters`, which are laid out by `layout`.
    #[must_use]
    pub fn of(layout: CounterLayout, counters: Counters) -> Self {
        Self { counters, layout, before: RwLock::default() }
    }

    /// The number of a port is another one's, which has counted nothing: nobody counts by it now.
    pub fn begin_port(&self, port: u16) {
        if usize::from(port) < self.layout.ports {
            self.begin(self.layout.port_base() + usize::from(port) * PORT_WORDS, PORT_WORDS);
        }
    }

    /// The number of an interface is another one's, likewise.
    pub fn begin_interface(&self, uidb: UidbIndex) {
        let index = usize::from(uidb.0);
        if index < self.layout.interfaces {
            self.begin(self.layout.interface_base() + index * INTERFACE_WORDS, INTERFACE_WORDS);
            self.begin(self.layout.policed_base() + index * POLICED_WORDS, POLICED_WORDS);
        }
    }

    fn begin(&self, first: usize, words: usize) {
        let mut before = self.before.write().unwrap_or_else(PoisonError::into_inner);
        for word in first..first + words {
            match self.counters.sum(word) {
                0 => drop(before.remove(&word)),
                sum => drop(before.insert(word, sum)),
            }
        }
    }

    /// What a word has counted that has begun with a number.
    fn begun(&self, word: usize) -> u64 {
        let before = self.before.read().unwrap_or_else(PoisonError::into_inner);
        self.counters.sum(word).wrapping_sub(before.get(&word).copied().unwrap_or(0))
    }

    /// Counters for one more lcore.
    #[must_use]
    pub fn add_lcore(&mut self) -> LcoreCounters {
        LcoreCounters::new(self.counters.add_block(), self.layout)
    }

    /// Counts from here on. The lcores do not notice.
    pub fn clear(&mut self) {
        self.counters.clear();
        self.before.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Events of the loop.
    #[must_use]
    pub fn event(&self, event: LoopEvent) -> u64 {
        self.counters.sum(event as usize)
    }

    /// Packets that steps of all lcores hold, each as of its last vector.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.counters.raw(HELD)
    }

    /// Packets dropped for `reason`.
    #[must_use]
    pub fn drops(&self, reason: DropReason) -> u64 {
        self.counters.sum(self.layout.drop_base() + reason as usize)
    }

    /// What users' features have counted.
    #[must_use]
    pub fn feature(&self, counter: FeatureCounter) -> u64 {
        self.counters.sum(self.layout.own_base() + counter.place())
    }

    /// Packets punted for `cause`.
    #[must_use]
    pub fn punts(&self, cause: PuntCause) -> u64 {
        self.counters.sum(self.layout.punt_base() + cause as usize)
    }

    /// All packets dropped.
    #[must_use]
    pub fn all_drops(&self) -> u64 {
        DropReason::ALL.iter().map(|&reason| self.drops(reason)).sum()
    }

    /// All packets punted.
    #[must_use]
    pub fn all_punts(&self) -> u64 {
        PuntCause::ALL.iter().map(|&cause| self.punts(cause)).sum()
    }

    /// What row number `row` has done.
    #[must_use]
    pub fn row(&self, row: usize) -> RowCounters {
        let base = self.layout.row_base() + row * ROW_WORDS;
        let [packets, sampled_cycles, sampled_packets] =
            [base, base + 1, base + 2].map(|index| self.counters.sum(index));
        RowCounters { packets, sampled_cycles, sampled_packets }
    }

    /// Events of a port.
    #[must_use]
    pub fn port(&self, port: usize, event: PortEvent) -> u64 {
        if port >= self.layout.ports {
            return 0;
        }
        self.begun(self.layout.port_base() + port * PORT_WORDS + event as usize)
    }

    /// Events of the loop, lcore by lcore.
    pub fn event_by_lcore(&self, event: LoopEvent) -> impl Iterator<Item = u64> {
        self.counters.per_block(event as usize)
    }

    /// Packets and bytes that a rule matched.
    #[must_use]
    pub fn rule(&self, rule: u32) -> (u64, u64) {
        let rule = rule as usize;
        if rule >= self.layout.rules {
            return (0, 0);
        }
        let base = self.layout.rule_base() + rule * RULE_WORDS;
        (self.counters.sum(base), self.counters.sum(base + 1))
    }

    /// Packets of a type for the slow path that came in through an interface.
    #[must_use]
    pub fn policed(&self, uidb: UidbIndex, flow: FlowType, policed: Policed) -> u64 {
        if usize::from(uidb.0) >= self.layout.interfaces {
            return 0;
        }
        let base = self.layout.policed_base() + usize::from(uidb.0) * POLICED_WORDS;
        self.begun(base + flow as usize * 2 + policed as usize)
    }

    /// What has gone through an interface.
    #[must_use]
    pub fn interface(&self, uidb: UidbIndex) -> InterfaceCounters {
        let index = usize::from(uidb.0);
        if index >= self.layout.interfaces {
            return InterfaceCounters::default();
        }
        let base = self.layout.interface_base() + index * INTERFACE_WORDS;
        let [in_packets, in_bytes, out_packets, out_bytes] =
            [base, base + 1, base + 2, base + 3].map(|word| self.begun(word));
        InterfaceCounters { in_packets, in_bytes, out_packets, out_bytes }
    }

    /// Packets that came in or were injected and of which nothing else is known: those inside walks,
    /// and those that steps hold.
    #[must_use]
    pub fn unaccounted(&self) -> u64 {
        let came = self.event(LoopEvent::Received) + self.event(LoopEvent::Injected);
        let went = self.event(LoopEvent::Sent) + self.event(LoopEvent::Consumed);
        came.saturating_sub(went + self.all_drops() + self.all_punts())
    }

    /// `rx + injected = tx + drops + punts + consumed + held`: holds whenever no packet is
    /// inside a walk (ING-19).
    #[must_use]
    pub fn conserved(&self, held: u64) -> bool {
        self.event(LoopEvent::Received) + self.event(LoopEvent::Injected)
            == self.event(LoopEvent::Sent)
                + self.all_drops()
                + self.all_punts()
                + self.event(LoopEvent::Consumed)
                + held
    }
}
