//! Every packet has exactly one end (ING-19), and every buffer comes back.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Sender, channel};

use hal::pool::NativePool;
use hal::{Burst, Packet, PacketMask, Pool, PoolCache, RxQueue, TxQueue};
use pal::clock::Nanos;
use proptest::prelude::*;

use super::{Injected, PolledQueue, Ppe, PpeParts, SlowPathSink, SlowWork};
use crate::adjacency::AdjacencyKind;
use crate::counters::{CounterLayout, CounterTotals, LoopEvent, Policed, PortEvent};
use crate::fia::tests::bench::{Hop, Plan, Router, frame, to};
use crate::fia::tests::fast;
use crate::fia::{FiaBuilder, Gate, Kit, TraceOutcome};
use crate::isa::Isa;
use crate::l3::scalar::tests::{ipv4, ipv6};
use crate::lpts::{FlowType, Lpts, LptsGroup, LptsRates};
use crate::packet::{DropReason, PuntCause, Source, Vector};
use crate::punt::Acquaintance;
use crate::step::{Lcore, Step};
use crate::uidb::{Rpf, RpfMode, TableId, Uidb, UidbIndex};

const PORTS: u16 = 4;

/// A receive queue that gives what it was fed, in bursts of up to `burst`.
struct Feed {
    frames: VecDeque<Vec<u8>>,
    burst: usize,
}

impl RxQueue for Feed {
    fn rx_burst(&mut self, burst: &mut Burst, pool: &mut PoolCache) -> usize {
        let mut count = 0;
        while count < self.burst
            && burst.count() < hal::VECTOR
            && let Some(frame) = self.frames.pop_front()
        {
            assert!(pool.append(burst, &frame), "the pool is large enough");
            count += 1;
        }
        // As a device hands them over: the frames lie where their buffers say.
        count
    }
}

/// A transmit queue that takes the slots of a pattern, which turns with every burst.
struct Picky {
    pattern: u64,
    sent: Arc<AtomicU64>,
}

impl TxQueue for Picky {
    fn tx_burst(
        &mut self,
        burst: &mut Burst,
        select: PacketMask,
        pool: &mut PoolCache,
        _: Nanos,
    ) -> PacketMask {
        assert_eq!(select - burst.owned(), PacketMask::EMPTY);
        let sent = select & PacketMask(self.pattern);
        self.pattern = self.pattern.rotate_left(7);
        self.sent.fetch_add(u64::from(sent.count()), Relaxed);
        pool.free(burst, select);
        sent
    }
}

/// A ring to the slow path with room for so much work.
struct Ring {
    room: usize,
    punts: Vec<SlowWork>,
    reports: Vec<SlowWork>,
    refused: u64,
}

impl Ring {
    fn new(room: usize) -> Self {
        Self { room, punts: Vec::new(), reports: Vec::new(), refused: 0 }
    }
}

impl SlowPathSink for Ring {
    fn push(&mut self, work: SlowWork) -> Result<(), SlowWork> {
        let full = self.punts.len() + self.reports.len() == self.room;
        match work {
            SlowWork::Punt(_) if full => self.refused += 1,
            SlowWork::Unreachable(..) if full => {}
            SlowWork::Punt(_) => {
                self.punts.push(work);
                return Ok(());
            }
            SlowWork::Unreachable(..) => {
                self.reports.push(work);
                return Ok(());
            }
        }
        Err(work)
    }
}

/// Takes every third packet over.
#[derive(Clone, Default)]
struct Taker(Arc<AtomicU64>);

impl Step for Taker {
    fn process(&mut self, _: &mut Lcore<'_>, vector: &mut Vector, select: PacketMask) {
        for slot in select.into_iter().filter(|slot| slot % 3 == 0) {
            let packet = vector.consume(slot);
            assert!(packet.is_some(), "a live packet has a buffer");
            self.0.fetch_add(1, Relaxed);
        }
    }
}

/// Holds what comes from ports at slots that are `odd` or even, and gives it back when it may.
struct Shelf {
    odd: bool,
    packets: VecDeque<Packet>,
    open: Arc<AtomicBool>,
}

impl Step for Shelf {
    fn process(&mut self, _: &mut Lcore<'_>, vector: &mut Vector, select: PacketMask) {
        if matches!(vector.source(), Source::Port(_)) {
            let mine = select.into_iter().filter(|slot| (slot % 2 == 1) == self.odd);
            self.packets.extend(mine.filter_map(|slot| vector.hold(slot)));
        }
    }

    fn resume(&mut self, _: &mut Lcore<'_>, vector: &mut Vector, now: Nanos) -> bool {
        if self.packets.is_empty() || !self.open.load(Relaxed) {
            return false;
        }
        let (uidb, table) = (UidbIndex::RP, TableId::GLOBAL);
        for packet in self.packets.drain(..self.packets.len().min(hal::VECTOR)) {
            assert!(vector.burst.push(packet).is_ok(), "the vector is empty");
        }
        vector.begin(Source::Internal { uidb, table }, now);
        vector.recirculate_all(vector.live(), uidb, table);
        true
    }
}

/// A router with two rows that hold `packets` packets, and what lets them go.
fn with_shelves(packets: usize) -> (Rig, Arc<AtomicBool>) {
    let mut plan = Plan::with_ports(2);
    plan.route("192.0.2.0/24", Hop::new(AdjacencyKind::Plain, 4, 14));
    let open = Arc::new(AtomicBool::new(false));
    let mut fia = FiaBuilder::router();
    for (after, name, odd) in [("l3-parse", "odd", true), ("qos-act-in", "even", false)] {
        let open = Arc::clone(&open);
        let shelf = move || {
            let (packets, open) = (VecDeque::new(), Arc::clone(&open));
            Box::new(Shelf { odd, packets, open }) as Box<dyn Step>
        };
        fia = fia.insert_after(after, name, Gate::Always, shelf).unwrap();
    }
    let feed = Feed { frames: vec![to("192.0.2.1"); packets].into(), burst: 64 };
    let rates = LptsRates::default();
    (Rig::new(&plan, &fia, vec![feed], u64::MAX, rates, 2048), open)
}

#[test]
fn packets_that_inserted_features_hold_are_given_back() {
    let (mut rig, open) = with_shelves(1000);
    let mut sink = Ring::new(0);
    rig.run(&mut sink);
    rig.ppe.resume(Nanos::from_secs(2), &mut sink);
    assert_eq!((rig.ppe.held(), rig.totals.held()), (1000, 1000));
    assert_eq!(rig.totals.event(LoopEvent::Sent), 0);
    assert!(rig.totals.conserved(rig.totals.held()));
    open.store(true, Relaxed);
    rig.ppe.poll(Nanos::from_secs(3), &mut sink);
    assert_eq!((rig.ppe.held(), rig.totals.held()), (0, 0));
    assert_eq!(rig.totals.port(1, PortEvent::TxPackets), 1000);
    rig.settle(sink, 0, 0);
}

#[test]
fn a_row_that_holds_for_ever_and_pins_nothing_blocks_no_grace_period() {
    let (mut rig, _) = with_shelves(10);
    let mut sink = Ring::new(0);
    rig.run(&mut sink);
    let grace = rig.router.publisher().grace_period();
    assert!(!rig.router.publisher().all_passed(grace));
    rig.ppe.poll(Nanos::from_secs(2), &mut sink);
    rig.ppe.quiescent();
    assert_eq!(rig.ppe.held(), 10);
    assert!(rig.router.publisher().all_passed(grace));
}

/// A transmit queue that notes its bursts, and takes the slots of a pattern.
struct Noting {
    pattern: PacketMask,
    bursts: Sender<Vec<u8>>,
}

impl TxQueue for Noting {
    fn tx_burst(
        &mut self,
        burst: &mut Burst,
        select: PacketMask,
        pool: &mut PoolCache,
        _: Nanos,
    ) -> PacketMask {
        // The last byte of the destination tells them apart.
        let notes = select.into_iter().map(|slot| burst.frame(slot)[33]);
        self.bursts.send(notes.collect()).unwrap();
        pool.free(burst, select);
        select & self.pattern
    }
}

/// Sends 64 packets, by turns through each of the interfaces of one port; returns its bursts.
fn bursts_of_one_port(pattern: u64, interfaces: u8) -> (Rig, Vec<Vec<u8>>) {
    let mut plan = Plan::with_ports(2);
    for (n, output) in (0..interfaces).zip(5..) {
        plan.uidbs.push(Uidb { port: 1, ..plan.uidbs[4] });
        plan.route(&format!("10.{n}.0.0/16"), Hop::new(AdjacencyKind::Plain, output, 14));
    }
    let dst = |host: u8| to(&format!("10.{}.0.{host}", host % interfaces));
    let mut rig = Rig::simple(&plan, (0..64).map(dst).collect());
    let (bursts, noted) = channel();
    rig.ppe.tx[1] = Box::new(Noting { pattern: PacketMask(pattern), bursts });
    rig.run(&mut Ring::new(0));
    (rig, noted.try_iter().collect())
}

#[test]
fn a_port_gets_one_burst_in_the_order_of_arrival_whatever_its_interfaces() {
    for interfaces in [1, 2, 3, 9, 10, 11, 64] {
        let (_, bursts) = bursts_of_one_port(u64::MAX, interfaces);
        assert_eq!(bursts, [(0..64).collect::<Vec<u8>>()], "{interfaces} interfaces");
    }
}

#[test]
fn interfaces_of_a_port_count_what_it_took_of_theirs() {
    let pattern = 0x00ff_1234_ffff_0f0f;
    for interfaces in [1, 2, 3, 9, 64] {
        let (rig, _) = bursts_of_one_port(pattern, interfaces);
        let len = to("10.0.0.0").len() as u64;
        for n in 0..interfaces {
            let mine = (0..64u8).filter(|host| host % interfaces == n);
            let sent = mine.filter(|host| pattern >> host & 1 == 1).count() as u64;
            let counted = rig.totals.interface(UidbIndex(5 + u16::from(n)));
            assert_eq!((counted.out_packets, counted.out_bytes), (sent, sent * len));
        }
        let sent = u64::from(pattern.count_ones());
        assert_eq!(rig.totals.event(LoopEvent::Sent), sent);
        assert_eq!(rig.totals.port(1, PortEvent::TxPackets), sent);
        assert_eq!(rig.totals.port(1, PortEvent::TxBytes), sent * len);
        assert_eq!(rig.totals.port(1, PortEvent::TxDropped), 64 - sent);
        assert_eq!(rig.totals.drops(DropReason::TxQueueFull), 64 - sent);
    }
}

#[test]
fn rows_and_receive_add_up_to_most_of_the_way_from_queue_to_queue() {
    let mut plan = Plan::with_ports(2);
    plan.route("192.0.2.0/24", Hop::new(AdjacencyKind::Plain, 4, 14));
    // Small vectors: without optimization, a row of a full one takes as long as an interruption.
    let feed = Feed { frames: vec![to("192.0.2.1"); 8 * 61 * 20].into(), burst: 8 };
    let rates = LptsRates::default();
    let mut rig = Rig::new(&plan, &FiaBuilder::router(), vec![feed], u64::MAX, rates, 64);
    rig.run(&mut Ring::new(0));
    let event = |event| rig.totals.event(event) as f64;
    let walk = event(LoopEvent::WalkCycles) / event(LoopEvent::WalkPackets);
    let receive = event(LoopEvent::RxCycles) / event(LoopEvent::RxSampled);
    let rows = (0..FiaBuilder::router().names().len()).map(|row| rig.totals.row(row));
    let rows: f64 =
        rows.map(|row| row.sampled_cycles as f64 / row.sampled_packets.max(1) as f64).sum();
    assert!(receive > 0.0 && rows + receive >= 0.9 * walk, "{rows} and {receive} of {walk}");
    let tx = FiaBuilder::router().names().iter().position(|name| *name == "tx").unwrap();
    assert!(rig.totals.row(tx).sampled_cycles > 0);
}

/// An engine, its counters, and what its fakes have counted.
struct Rig {
    ppe: Ppe,
    totals: CounterTotals,
    sent: Vec<Arc<AtomicU64>>,
    pool: Pool,
    router: Router,
    fed: u64,
}

impl Rig {
    fn new(
        plan: &Plan,
        fia: &FiaBuilder,
        feeds: Vec<Feed>,
        pattern: u64,
        rates: LptsRates,
        buffers: usize,
    ) -> Self {
        let mut router = Router::new(plan);
        let known = Arc::new(Acquaintance::new(1));
        let lpts = LptsGroup::new(&rates, Lpts::default(), known, plan.uidbs.len());
        let fia =
            fia.build_with(&Kit { isa: Isa::detect(), lpts: Arc::new(lpts), ..Kit::default() });
        let layout = CounterLayout::new(fia.names().len(), PORTS.into(), plan.uidbs.len());
        let mut totals = CounterTotals::new(layout);
        let sent: Vec<Arc<AtomicU64>> = (0..PORTS).map(|_| Arc::default()).collect();
        let pool = Pool::Native(NativePool::new(buffers, 2048));
        let fed = feeds.iter().map(|feed| feed.frames.len() as u64).sum();
        let tx = |sent: &Arc<AtomicU64>| {
            Box::new(Picky { pattern, sent: Arc::clone(sent) }) as Box<dyn TxQueue>
        };
        let rx = (0..PORTS).zip(feeds);
        let ppe = Ppe::new(PpeParts {
            lcore: 0,
            fia,
            rx: rx.map(|(port, feed)| PolledQueue::new(port, Box::new(feed))).collect(),
            tx: sent.iter().map(tx).collect(),
            pool: pool.cache(0),
            tables: router.attach(),
            counters: totals.add_lcore(),
        });
        Self { ppe, totals, sent, pool, router, fed }
    }

    fn simple(plan: &Plan, frames: Vec<Vec<u8>>) -> Self {
        let feed = Feed { frames: frames.into(), burst: 64 };
        Self::new(plan, &FiaBuilder::router(), vec![feed], u64::MAX, LptsRates::default(), 1024)
    }

    fn run(&mut self, sink: &mut Ring) {
        let mut now = Nanos::from_secs(1);
        while self.ppe.poll(now, sink) > 0 {
            now = now.saturating_add(50_000);
        }
    }

    /// Checks every sum that must hold when nothing is under way.
    fn settle(self, sink: Ring, injected: u64, consumed: u64) {
        let Self { ppe, totals, sent, pool, fed, .. } = self;
        let sent: Vec<u64> = sent.iter().map(|sent| sent.load(Relaxed)).collect();
        let event = |event| totals.event(event);
        assert_eq!(event(LoopEvent::Received), fed);
        assert_eq!(event(LoopEvent::Injected), injected);
        assert_eq!(event(LoopEvent::Sent), sent.iter().sum::<u64>());
        assert_eq!(event(LoopEvent::Consumed), consumed);
        assert_eq!(totals.all_punts(), sink.punts.len() as u64);
        assert_eq!(totals.drops(DropReason::PuntQueueFull), sink.refused);
        let ends = event(LoopEvent::Sent) + totals.all_drops() + totals.all_punts() + consumed;
        assert_eq!(fed + injected, ends, "each packet is counted once");
        assert!(totals.conserved(0));
        let port = |event| (0..PORTS).map(|port| totals.port(port.into(), event)).sum::<u64>();
        assert_eq!(port(PortEvent::RxPackets), fed);
        for (port, sent) in sent.iter().enumerate() {
            assert_eq!(totals.port(port, PortEvent::TxPackets), *sent);
        }
        assert_eq!(port(PortEvent::TxDropped), totals.drops(DropReason::TxQueueFull));
        drop((ppe, sink));
        pool.check_complete().unwrap();
    }
}

/// What the slow path puts in.
#[derive(Clone, Debug)]
enum Work {
    Route(Vec<u8>),
    Transmit(u16, Vec<u8>),
}

fn work() -> impl Strategy<Value = Work> {
    prop_oneof![
        2 => fast::packet().prop_map(Work::Route),
        // Interfaces that never were are among them.
        1 => (0..12u16, fast::packet()).prop_map(|(uidb, frame)| Work::Transmit(uidb, frame)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]
    #[test]
    fn every_packet_is_counted_once_and_every_buffer_comes_back(
        plan in fast::plan(),
        frames in prop::collection::vec(prop::collection::vec(fast::packet(), 0..80), 1..4),
        works in prop::collection::vec(work(), 0..100),
        burst in 1..=64usize,
        pattern in prop_oneof![Just(u64::MAX), Just(0), any::<u64>()],
        room in prop_oneof![Just(usize::MAX), 0..20usize],
        rate in prop_oneof![Just(1000u64), 0..10u64],
        take in prop::option::of(prop::sample::select(&["l3-parse", "next-hop", "l2-rewrite"][..])),
        trace in prop_oneof![2 => Just(0usize), 1 => 0..200usize],
    ) {
        let taker = Taker::default();
        let mut fia = FiaBuilder::router();
        if let Some(after) = take {
            let taker = taker.clone();
            fia = fia.insert_after(after, "taker", Gate::Always, move || Box::new(taker.clone())).unwrap();
        }
        let mut rates = LptsRates::default();
        for flow in FlowType::ALL {
            rates.set(*flow, rate, rate.max(1)).unwrap();
        }
        let feed = |frames: Vec<Vec<u8>>| Feed { frames: frames.into(), burst };
        let feeds: Vec<_> = frames.into_iter().map(feed).collect();
        let mut rig = Rig::new(&plan, &fia, feeds, pattern, rates, 1024);
        rig.ppe.trace(trace);
        let mut sink = Ring::new(room);
        let mut cache = rig.pool.cache(0);
        let injected = works.len() as u64;
        let works = works.into_iter().map(|work| match work {
            Work::Route(frame) => Injected::route(TableId::GLOBAL, cache.packet(&frame).unwrap()),
            Work::Transmit(uidb, frame) => {
                Injected::Transmit(UidbIndex(uidb), cache.packet(&frame).unwrap())
            }
        });
        rig.ppe.inject(works.collect::<Vec<_>>(), Nanos::from_secs(1), &mut sink);
        rig.run(&mut sink);
        drop(cache);
        let walked = rig.totals.event(LoopEvent::Received);
        prop_assert!(rig.ppe.take_traces().len() as u64 <= walked + injected);
        rig.settle(sink, injected, taker.0.load(Relaxed));
    }
}

#[test]
fn a_transmit_queue_that_takes_nothing_drops_everything_once() {
    let mut plan = Plan::with_ports(2);
    plan.route("192.0.2.0/24", Hop::new(AdjacencyKind::Plain, 4, 14));
    let feed = Feed { frames: vec![to("192.0.2.1"); 100].into(), burst: 64 };
    let mut rig = Rig::new(&plan, &FiaBuilder::router(), vec![feed], 0, LptsRates::default(), 1024);
    let mut sink = Ring::new(0);
    rig.run(&mut sink);
    assert_eq!(rig.totals.drops(DropReason::TxQueueFull), 100);
    assert_eq!(rig.totals.port(1, PortEvent::TxDropped), 100);
    assert_eq!(rig.totals.interface(UidbIndex(4)).out_packets, 0);
    assert_eq!(rig.totals.interface(UidbIndex(3)).in_packets, 100);
    rig.settle(sink, 0, 0);
}

#[test]
fn a_full_ring_to_the_slow_path_is_a_counted_drop() {
    let mut plan = Plan::with_ports(1);
    plan.route("192.0.2.0/24", Hop::new(AdjacencyKind::Receive, 0, 0));
    let mut rig = Rig::simple(&plan, vec![to("192.0.2.1"); 8]);
    let mut sink = Ring::new(4);
    rig.run(&mut sink);
    assert_eq!(rig.totals.punts(PuntCause::Ipv4ForUs), 4);
    assert_eq!(rig.totals.drops(DropReason::PuntQueueFull), 4);
    rig.settle(sink, 0, 0);
}

#[test]
fn the_policer_of_a_cause_leaves_other_causes_alone() {
    let mut plan = Plan::with_ports(1);
    plan.route("192.0.2.0/24", Hop::new(AdjacencyKind::Receive, 0, 0));
    plan.route("203.0.113.0/24", Hop::new(AdjacencyKind::Glean, 3, 0));
    let mut rates = LptsRates::default();
    rates.set(FlowType::UdpDefault, 10, 3).unwrap();
    let frames = [vec![to("192.0.2.1"); 10], vec![to("203.0.113.1"); 10]].concat();
    let feed = Feed { frames: frames.into(), burst: 64 };
    let mut rig = Rig::new(&plan, &FiaBuilder::router(), vec![feed], u64::MAX, rates, 1024);
    let mut sink = Ring::new(100);
    rig.run(&mut sink);
    assert_eq!(rig.totals.punts(PuntCause::Ipv4ForUs), 3);
    assert_eq!(rig.totals.drops(DropReason::Lpts), 7);
    let policed = |policed| rig.totals.policed(UidbIndex(3), FlowType::UdpDefault, policed);
    assert_eq!([Policed::Passed, Policed::Dropped].map(policed), [3, 7]);
    assert_eq!(rig.totals.punts(PuntCause::Glean), 10);
    let next_hops = sink.punts.iter().filter_map(|work| match work {
        SlowWork::Punt(punted) => punted.next_hop,
        SlowWork::Unreachable(..) => None,
    });
    assert_eq!(
        next_hops.collect::<Vec<_>>(),
        vec!["203.0.113.1".parse::<std::net::IpAddr>().unwrap(); 10]
    );
    rig.settle(sink, 0, 0);
}

/// A number that stands for no interface any more must not name port 0 (ARC-22).
#[test]
fn a_frame_for_an_interface_that_is_gone_is_dropped() {
    let mut plan = Plan::with_ports(2);
    plan.uidbs.push(Uidb::default());
    let mut rig = Rig::simple(&plan, Vec::new());
    let mut sink = Ring::new(10);
    let mut cache = rig.pool.cache(0);
    let work: Vec<_> = [5, 99, 0xffff, 4]
        .map(|uidb| Injected::Transmit(UidbIndex(uidb), cache.packet(&[7; 60]).unwrap()))
        .into();
    rig.ppe.inject(work, Nanos::ZERO, &mut sink);
    drop(cache);
    assert_eq!(rig.totals.drops(DropReason::NoAdjacency), 3);
    assert_eq!(rig.totals.port(0, PortEvent::TxPackets), 0);
    assert_eq!(rig.totals.port(1, PortEvent::TxPackets), 1);
    rig.settle(sink, 4, 0);
}

#[test]
fn a_route_whose_interface_is_gone_drops() {
    let mut plan = Plan::with_ports(2);
    plan.uidbs.push(Uidb::default());
    plan.route("192.0.2.0/24", Hop::new(AdjacencyKind::Plain, 5, 14));
    plan.route("203.0.113.0/24", Hop::new(AdjacencyKind::Featured, 5, 14));
    plan.route("198.51.100.0/24", Hop::new(AdjacencyKind::Plain, 77, 14));
    let mut rig = Rig::simple(&plan, ["192.0.2.1", "203.0.113.1", "198.51.100.1"].map(to).into());
    let mut sink = Ring::new(0);
    rig.run(&mut sink);
    assert_eq!(rig.totals.drops(DropReason::NoAdjacency), 3);
    rig.settle(sink, 0, 0);
}

/// Port 0 and port 1 in a VRF each, which both have the same prefixes.
fn two_vrfs() -> Plan {
    let mut plan = Plan::with_ports(4);
    for (uidb, table) in [(3, 1), (4, 2)] {
        plan.uidbs[uidb].features_in |= Gate::VRF.mask();
        plan.uidbs[uidb].table = table;
        let output = 4 + table;
        plan.vrf_route(table, "10.0.0.0/8", Hop::new(AdjacencyKind::Plain, output, 14));
        plan.vrf_route(table, "10.1.0.0/16", Hop::new(AdjacencyKind::Glean, output, 14));
    }
    plan
}

#[test]
fn packets_of_the_slow_path_hold_grace_up_until_all_of_them_have_been_walked() {
    let mut rig = Rig::simple(&two_vrfs(), Vec::new());
    let mut sink = Ring::new(10);
    let mut cache = rig.pool.cache(0);
    let work: Vec<_> = [(1, "10.0.0.1"), (2, "10.0.0.1"), (1, "10.1.0.1")]
        .map(|(table, dst)| Injected::route(TableId(table), cache.packet(&to(dst)).unwrap()))
        .into();
    let Rig { ppe, router, .. } = &mut rig;
    let publisher = router.publisher();
    let grace = publisher.grace_period();
    // Each is of another table than the one before it: it is walked alone.
    let work = work.into_iter().inspect(|_| assert!(!publisher.all_passed(grace)));
    ppe.inject(work, Nanos::from_secs(1), &mut sink);
    assert!(router.publisher().all_passed(grace));
    drop(cache);
    rig.settle(sink, 3, 0);
}

#[test]
fn injected_packets_are_routed_in_the_table_they_come_with() {
    let mut rig = Rig::simple(&two_vrfs(), Vec::new());
    let mut sink = Ring::new(10);
    let mut cache = rig.pool.cache(0);
    let work: Vec<_> = [(1, "10.0.0.1"), (2, "10.0.0.1"), (0, "10.0.0.1"), (2, "10.1.0.1")]
        .map(|(table, dst)| Injected::route(TableId(table), cache.packet(&to(dst)).unwrap()))
        .into();
    rig.ppe.inject(work, Nanos::from_secs(1), &mut sink);
    drop(cache);
    assert_eq!(rig.totals.port(2, PortEvent::TxPackets), 1);
    assert_eq!(rig.totals.port(3, PortEvent::TxPackets), 1);
    assert_eq!(rig.totals.drops(DropReason::Ipv4NoRoute), 1);
    let tables = sink.punts.iter().chain(&sink.reports).map(table_of);
    assert_eq!(tables.collect::<Vec<_>>(), [2, 0].map(TableId));
    rig.settle(sink, 4, 0);
}

#[test]
fn a_punted_packet_knows_its_table() {
    let feed = |dsts: &[&str]| Feed { frames: dsts.iter().map(|dst| to(dst)).collect(), burst: 64 };
    let feeds = vec![feed(&["10.1.0.1", "11.0.0.1"]), feed(&["10.1.0.1"]), feed(&["10.1.0.1"])];
    let fia = FiaBuilder::router();
    let mut rig = Rig::new(&two_vrfs(), &fia, feeds, u64::MAX, LptsRates::default(), 64);
    let mut sink = Ring::new(10);
    rig.run(&mut sink);
    let tables = |work: &[SlowWork]| work.iter().map(table_of).collect::<Vec<_>>();
    assert_eq!(tables(&sink.punts), [1, 2].map(TableId));
    assert_eq!(tables(&sink.reports), [1, 0].map(TableId));
    rig.settle(sink, 0, 0);
}

#[test]
fn options_do_not_take_a_forged_source_past_unicast_rpf() {
    let mut plan = Plan::with_ports(2);
    plan.route("10.1.0.0/16", Hop::new(AdjacencyKind::Plain, 3, 14));
    plan.route("2001:db8:1::/48", Hop::new(AdjacencyKind::Plain, 3, 14));
    plan.route("192.0.2.0/24", Hop::new(AdjacencyKind::Plain, 4, 14));
    plan.route("2001:db8:2::/48", Hop::new(AdjacencyKind::Plain, 4, 14));
    plan.uidbs[3].features_in |= Gate::URPF.mask();
    let loose = Rpf { mode: RpfMode::Loose, allow_default: false };
    plan.uidbs[3].urpf = Rpf::pack(loose, loose);
    let alert4 = |src| frame(&[], &ipv4(src, [192, 0, 2, 1], 9, &[148, 4, 0, 0], &[7; 26]));
    let header = [17, 0, 5, 2, 0, 0, 1, 0];
    let alert6 = |src| frame(&[], &ipv6(src, "2001:db8:2::1", 0, 9, &header));
    let frames = vec![
        alert4([10, 1, 0, 1]),
        alert4([10, 2, 0, 1]),
        alert6("2001:db8:1::1"),
        alert6("2001:db8:9::1"),
        alert6("fe80::1"),
    ];
    let mut rig = Rig::simple(&plan, frames);
    let mut sink = Ring::new(10);
    rig.run(&mut sink);
    assert_eq!(rig.totals.drops(DropReason::Ipv4UnicastRpf), 1);
    assert_eq!(rig.totals.drops(DropReason::Ipv6UnicastRpf), 1);
    assert_eq!(rig.totals.punts(PuntCause::Ipv4Options), 1);
    assert_eq!(rig.totals.punts(PuntCause::Ipv6HopByHop), 1);
    assert_eq!(rig.totals.drops(DropReason::LinkLocalScope), 1);
    rig.settle(sink, 0, 0);
}

fn table_of(work: &SlowWork) -> TableId {
    match work {
        SlowWork::Punt(packet) | SlowWork::Unreachable(packet, _) => packet.table,
    }
}

#[test]
fn injected_packets_keep_their_ttl_and_their_order() {
    let mut plan = Plan::with_ports(2);
    plan.route("192.0.2.0/24", Hop::new(AdjacencyKind::Plain, 4, 14));
    let mut rig = Rig::simple(&plan, Vec::new());
    rig.ppe.trace(10);
    let mut sink = Ring::new(0);
    let mut cache = rig.pool.cache(0);
    // With router alert: the slow path has looked at it already.
    let packet = ipv4([198, 51, 100, 9], [192, 0, 2, 1], 1, &[148, 4, 0, 0], &[7; 26]);
    let work = [Injected::route(TableId::GLOBAL, cache.packet(&frame(&[], &packet)).unwrap())];
    rig.ppe.inject(work, Nanos::ZERO, &mut sink);
    drop(cache);
    let traced = rig.ppe.take_traces().remove(0);
    assert_eq!(traced.outcome, TraceOutcome::Sent);
    assert_eq!(traced.input, UidbIndex::RP);
    assert_eq!(traced.after[14..], packet[..]);
    rig.settle(sink, 1, 0);
}

#[test]
fn egress_fast_takes_the_packets_of_native_buffers() {
    let mut plan = Plan::with_ports(1);
    plan.route("0.0.0.0/0", Hop::new(AdjacencyKind::Plain, 3, 14));
    let mut rig = Rig::simple(&plan, Vec::new());
    let mut port = hal::Spec::parse("synth:size=64,flows=64").unwrap().open().unwrap();
    let config = hal::PortConfig::default();
    let queue = port.start(&config).unwrap().rx.remove(0);
    rig.ppe.rx = vec![PolledQueue::new(0, queue)];
    assert_eq!(rig.ppe.poll_queue(0, Nanos::ZERO, &mut Ring::new(0)), 64);
    assert_eq!(rig.ppe.vector.is.rewritten, PacketMask::FULL);
}
