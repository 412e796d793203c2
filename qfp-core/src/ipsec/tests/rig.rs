//! Two gateways, west (1) and east (2), with a tunnel between them: each is an engine of its own
//! with tables, ports and counters.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::sync::mpsc::{Receiver, Sender, channel};

use hal::pool::NativePool;
use hal::{Burst, PacketMask, Pool, PoolCache, RxQueue, TxQueue};
use pal::clock::Nanos;
use pal::publication::{RootDraft, Timekeeper};
use pal::region::{Block, Plain, Region};

use crate::acl::{
    Binding, Bindings, Classifier, Feature, Line, Memory, Pattern4, Place, Rule, Space,
};
use crate::adjacency::AdjacencyKind;
use crate::counters::{CounterLayout, CounterTotals};
use crate::crypto::{Algorithm, SaKey};
use crate::fia::tests::bench::{Hop, Plan, Router, frame};
use crate::fia::{FiaBuilder, Gate};
use crate::ipsec::{
    DontFragment, Dscp, Endpoints, EngineLcore, EspDecap, EspEncap, InboundConfig, InboundSa,
    Limit, Mode, OutboundConfig, OutboundSa, SaState, Selector, SpdAction, SpdEntry, SpiBucket,
    SpiTable, Tunnel, TunnelState, engine_lanes, replay_words,
};
use crate::isa::Isa;
use crate::packet::DropReason;
use crate::ppe::{Injected, PolledQueue, Ppe, PpeParts, SlowWork};
use crate::tables::table_kind;
use crate::uidb::{NO_PORT, TableId, Uidb, UidbIndex};

pub(super) const LAN: u16 = 0;
pub(super) const WAN: u16 = 1;
pub(super) const WAN_UIDB: u16 = 4;
pub(super) const TUNNEL: u16 = 5;
pub(super) const TUNNEL_MTU: u16 = 1400;

/// What is agreed about the SAs of both directions.
#[derive(Clone, Debug)]
pub(super) struct Agreement {
    pub(super) algorithm: Algorithm,
    pub(super) mode: Mode,
    pub(super) outer_v6: bool,
    pub(super) udp: bool,
    pub(super) esn: bool,
    pub(super) window: Option<u32>,
    pub(super) ecn: bool,
    pub(super) df: DontFragment,
    pub(super) dscp: Dscp,
    pub(super) selector: Option<Selector>,
    pub(super) soft: Limit,
    pub(super) hard: Limit,
}

impl Default for Agreement {
    fn default() -> Self {
        Self {
            algorithm: Algorithm::Aes128Gcm,
            mode: Mode::Tunnel,
            outer_v6: false,
            udp: false,
            esn: false,
            window: Some(64),
            ecn: true,
            df: DontFragment::Copy,
            dscp: Dscp::Copy,
            selector: None,
            soft: Limit::NONE,
            hard: Limit::NONE,
        }
    }
}

/// The WAN address of a side.
pub(super) fn wan(side: u8, v6: bool) -> IpAddr {
    let text = if v6 { format!("2001:db8:ff::{side}") } else { format!("192.0.2.{side}") };
    text.parse().unwrap()
}

/// The key of what `from` sends: 0, 1, 2 and so on, another start for the other side.
pub(super) fn key(algorithm: Algorithm, from: u8) -> SaKey {
    let bytes = |n: usize, first: u8| -> Vec<u8> { (first..).take(n).collect() };
    let cipher = bytes(algorithm.cipher_key_len(), (from - 1) * 100);
    let auth = bytes(algorithm.auth_key_len(), 100);
    let mut key = SaKey::empty();
    if cipher.is_empty() {
        key.set_null_encryption(algorithm, &auth).unwrap();
    } else {
        key.set(algorithm, &cipher, &auth).unwrap();
    }
    key
}

/// SPI of what `from` sends.
pub(super) fn spi(from: u8) -> u32 {
    0x1000 + u32::from(from)
}

impl Agreement {
    pub(super) fn outbound(&self, side: u8) -> OutboundConfig {
        let other = 3 - side;
        let (local, remote) = (wan(side, self.outer_v6), wan(other, self.outer_v6));
        OutboundConfig {
            spi: spi(side),
            mode: self.mode,
            endpoints: Endpoints { local, remote },
            algorithm: self.algorithm,
            key: 0,
            state: 0,
            udp: self.udp.then_some((4500, 4500)),
            esn: self.esn,
            ttl: 64,
            dscp: self.dscp,
            df: self.df,
            ecn: self.ecn,
            table: TableId::GLOBAL,
            soft: self.soft,
            hard: self.hard,
        }
    }

    pub(super) fn inbound(&self, side: u8) -> InboundConfig {
        let other = 3 - side;
        let (local, remote) = (wan(side, self.outer_v6), wan(other, self.outer_v6));
        InboundConfig {
            spi: spi(other),
            mode: self.mode,
            endpoints: Endpoints { local, remote },
            algorithm: self.algorithm,
            key: 1,
            state: 1,
            udp: self.udp.then_some(4500),
            esn: self.esn,
            replay: self.window.map(|size| (0, size)),
            interface: UidbIndex(TUNNEL),
            selector: self.selector,
            soft: self.soft,
            hard: self.hard,
        }
    }
}

/// Interfaces and routes of a side.
pub(super) fn plan(side: u8, mode: Mode) -> Plan {
    let mut plan = Plan::with_ports(2);
    for uidb in &mut plan.uidbs {
        uidb.features_in |= Gate::ESP_IN.mask();
    }
    plan.uidbs.push(Uidb {
        features_in: Gate::TTL.mask() | Gate::ESP_IN.mask(),
        features_out: Gate::ESP_OUT.mask(),
        port: NO_PORT,
        mtu: TUNNEL_MTU,
        state: Uidb::UP,
        ..Uidb::default()
    });
    let other = 3 - side;
    let kind = match mode {
        Mode::Tunnel => AdjacencyKind::Plain,
        Mode::Transport => {
            plan.uidbs[4].features_out = Gate::ESP_OUT.mask();
            AdjacencyKind::Featured
        }
    };
    let hop = |kind, output| Hop::new(kind, output, 14);
    let tunnel = || hop(AdjacencyKind::Featured, TUNNEL).mtu(TUNNEL_MTU);
    plan.route(&format!("10.{side}.0.0/16"), hop(AdjacencyKind::Plain, 3));
    plan.route(&format!("2001:db8:{side}::/48"), hop(AdjacencyKind::Plain, 3));
    plan.route(&format!("10.{other}.0.0/16"), tunnel());
    plan.route(&format!("2001:db8:{other}::/48"), tunnel());
    for v6 in [false, true] {
        let len = if v6 { 128 } else { 32 };
        plan.route(&format!("{}/{len}", wan(side, v6)), hop(AdjacencyKind::Receive, 0));
        plan.route(&format!("{}/{len}", wan(other, v6)), hop(kind, 4));
    }
    plan
}

struct Feed(Receiver<Vec<u8>>);

impl RxQueue for Feed {
    fn rx_burst(&mut self, burst: &mut Burst, pool: &mut PoolCache) -> usize {
        let mut count = 0;
        while burst.count() < hal::VECTOR
            && let Ok(frame) = self.0.try_recv()
        {
            assert!(pool.append(burst, &frame), "the pool is large enough");
            count += 1;
        }
        count
    }
}

struct Out(u16, Sender<(u16, Vec<u8>)>);

impl TxQueue for Out {
    fn tx_burst(
        &mut self,
        burst: &mut Burst,
        select: PacketMask,
        pool: &mut PoolCache,
        _: Nanos,
    ) -> PacketMask {
        for slot in select {
            self.1.send((self.0, burst.frame(slot).to_vec())).unwrap();
        }
        pool.free(burst, select);
        select
    }
}

/// One side.
pub(super) struct Gateway {
    router: Router,
    pub(super) ppe: Ppe,
    feeds: Vec<Sender<Vec<u8>>>,
    sent: Receiver<(u16, Vec<u8>)>,
    pool: Pool,
    states: Block<SaState>,
    tunnels: Block<Tunnel>,
    tunnel_states: Block<TunnelState>,
    pub(super) totals: CounterTotals,
    pub(super) slow: Vec<SlowWork>,
    pub(super) now: Nanos,
    pub(super) engines: Vec<EngineLcore>,
}

fn rows<T: Plain>(region: &Region, values: Vec<T>) -> Block<T> {
    let mut draft = region.alloc::<T>(values.len()).unwrap();
    for (row, value) in draft.iter_mut().zip(values) {
        *row = value;
    }
    draft.publish()
}

/// A side that differs from the usual one in something.
pub(super) struct Build<'a> {
    pub(super) plan: Plan,
    pub(super) side: u8,
    pub(super) agreed: &'a Agreement,
    /// Bytes of a buffer.
    pub(super) room: usize,
    /// Another key of what comes in.
    pub(super) key: Option<SaKey>,
    /// SPI of what comes in.
    pub(super) spi: u32,
    /// Crypto-engine lcores, which [`Gateway::walk`] runs; none for an engine in the walk.
    pub(super) engines: usize,
    /// Security policies of the WAN: what leaves, what comes in, and what becomes of it.
    pub(super) spd: Vec<(Pattern4, Pattern4, SpdAction)>,
}

impl<'a> Build<'a> {
    pub(super) fn of(side: u8, agreed: &'a Agreement) -> Self {
        let plan = plan(side, agreed.mode);
        let spi = spi(3 - side);
        let spd = Vec::new();
        Self { plan, side, agreed, room: 2048, key: None, spi, engines: 0, spd }
    }

    pub(super) fn gateway(self) -> Gateway {
        let Self { plan, side, agreed, room, key: other_key, spi, engines, spd } = self;
        let mut router = Router::new(&plan);
        let region = router.region().clone();
        let outbound = OutboundSa::new(&agreed.outbound(side)).unwrap();
        let inbound = InboundSa::new(&InboundConfig { spi, ..agreed.inbound(side) }).unwrap();
        let peer_key = other_key.unwrap_or_else(|| key(agreed.algorithm, 3 - side));
        let keys = vec![key(agreed.algorithm, side), peer_key];
        let spis = rows(&region, (0..4).map(|_| SpiBucket::default()).collect());
        SpiTable::new(region.view(spis).unwrap()).insert(spi, 0).unwrap();
        let states = rows(&region, vec![SaState::default(), SaState::default()]);
        region.view(states).unwrap().iter().for_each(|state| state.reserve(u64::MAX));
        let tunnels = rows(&region, (0..16).map(|_| Tunnel::default()).collect::<Vec<_>>());
        let hidden = agreed.mode == Mode::Tunnel || !spd.is_empty();
        let out = if hidden { usize::from(TUNNEL) } else { 4 };
        region.view(tunnels).unwrap()[out].set(Some(0));
        let words = agreed.window.map_or(0, |size| replay_words(size).unwrap());
        let replay = rows(&region, (0..words).map(|_| AtomicU64::new(0)).collect());
        let tunnel_states: Vec<_> = (0..16).map(|_| TunnelState::default()).collect();
        let tunnel_states = rows(&region, tunnel_states);
        let lines = rows(&region, (0..256).map(|_| Line::default()).collect());
        let mut space = Space::new(256, Timekeeper::default().clock());
        let mut object = |inbound: bool| {
            let rules = spd.iter().zip(0..).map(|((out, within, _), row)| {
                let patterns = vec![if inbound { *within } else { *out }];
                let place = Place { feature: 0, sequence: u64::from(row) };
                (place, Rule { result: row, patterns })
            });
            let mut memory = Memory { lines: region.view(lines).unwrap(), space: &mut space };
            Classifier::build(&mut memory, rules).unwrap().object()
        };
        let objects = [object(false), object(true)].map(AtomicU32::new);
        let binding = |object| Binding { object, features: 1 << Feature::Spd as u8 };
        let mut bindings = vec![Bindings::default(); 16];
        bindings[usize::from(WAN_UIDB)].out4 = binding(1);
        bindings[usize::from(WAN_UIDB)].in4 = binding(2);
        let entries = spd.iter().zip(0..).map(|((.., action), row)| SpdEntry::new(row, *action));
        let entries: Vec<SpdEntry> = entries.collect();
        router.publish_with(&plan, |root| {
            root.set(table_kind::ESP_TUNNELS, tunnels)
                .set(table_kind::ESP_OUTBOUND, rows(&region, vec![outbound]))
                .set(table_kind::ESP_INBOUND, rows(&region, vec![inbound]))
                .set(table_kind::ESP_SPIS, spis)
                .set(table_kind::ESP_KEYS, rows(&region, keys))
                .set(table_kind::ESP_STATES, states)
                .set(table_kind::ESP_REPLAY, replay)
                .set(table_kind::ESP_TUNNEL_STATES, tunnel_states)
                .set(table_kind::ESP_POLICIES, rows(&region, entries))
                .set(table_kind::ACL_LINES, lines)
                .set(table_kind::ACL_OBJECTS, rows(&region, objects.into()))
                .set(table_kind::ACL_BINDINGS, rows(&region, bindings));
        });
        let mut fia = FiaBuilder::router().build(Isa::detect());
        let layout = CounterLayout::new(fia.names().len(), 4, 16).with_rules(8);
        let mut totals = CounterTotals::new(layout);
        let (lanes, queues) = engine_lanes(1, engines);
        for lanes in lanes.into_iter().filter(|_| engines > 0) {
            fia.replace("esp-encap", Box::new(EspEncap::with_engines(lanes.seal))).unwrap();
            fia.replace("esp-decap", Box::new(EspDecap::with_engines(lanes.open))).unwrap();
        }
        let engine = |queues| EngineLcore::new(queues, router.attach(), totals.add_lcore());
        let engines: Vec<_> = queues.into_iter().map(engine).collect();
        let buffers = if engines.is_empty() { 256 } else { 4096 };
        let pool = Pool::Native(NativePool::new(buffers, room));
        let (out, sent) = channel();
        let (feeds, rx): (Vec<_>, Vec<_>) = (0..2)
            .map(|port| {
                let (feed, queue) = channel();
                (feed, PolledQueue::new(port, Box::new(Feed(queue))))
            })
            .unzip();
        let tx = (0..2).map(|port| Box::new(Out(port, out.clone())) as Box<dyn TxQueue>);
        let ppe = Ppe::new(PpeParts {
            lcore: 0,
            fia,
            rx,
            tx: tx.collect(),
            pool: pool.cache(0),
            tables: router.attach(),
            counters: totals.add_lcore(),
        });
        let now = Nanos::from_secs(1);
        let slow = Vec::new();
        Gateway {
            router,
            ppe,
            feeds,
            sent,
            pool,
            states,
            tunnels,
            tunnel_states,
            totals,
            slow,
            now,
            engines,
        }
    }
}

impl Gateway {
    pub(super) fn new(side: u8, agreed: &Agreement) -> Self {
        Build::of(side, agreed).gateway()
    }

    /// Gives IP packets to a port, a vector of them at a time, and returns what comes out: ports
    /// and IP packets.
    pub(super) fn walk(&mut self, port: u16, packets: &[Vec<u8>]) -> Vec<(u16, Vec<u8>)> {
        for packet in packets {
            self.feeds[usize::from(port)].send(frame(&[], packet)).unwrap();
        }
        self.poll();
        while self.held() > 0 {
            // The last one first, so that bundles come back in another order.
            self.engines.iter_mut().rev().for_each(|engine| while engine.poll() > 0 {});
            self.poll();
        }
        self.take_sent()
    }

    /// Gives IP packets to a port and has the lcore see to them, but no engine.
    pub(super) fn receive(&mut self, port: u16, packets: &[Vec<u8>]) {
        for packet in packets {
            self.feeds[usize::from(port)].send(frame(&[], packet)).unwrap();
        }
        self.poll();
    }

    pub(super) fn poll(&mut self) {
        while self.ppe.poll(self.now, &mut self.slow) > 0 {}
    }

    /// Packets that are with engines.
    pub(super) fn held(&self) -> usize {
        self.ppe.held()
    }

    /// Whether the tables' readers have all seen what was changed before this call.
    pub(super) fn everybody_has_moved_on(&mut self) -> bool {
        let grace = self.router.publisher().grace_period();
        self.engines.iter_mut().for_each(|engine| _ = engine.poll());
        self.ppe.quiescent();
        self.router.publisher().all_passed(grace)
    }

    /// Publishes a generation that `change` makes of the present one.
    pub(super) fn publish(&mut self, change: impl FnOnce(&Region, &mut RootDraft)) {
        let mut root = self.router.publisher().draft();
        change(self.router.region(), &mut root);
        self.router.publisher().publish(&root).unwrap();
        self.ppe.quiescent();
    }

    /// Ports and IP packets that have left since the last call.
    pub(super) fn take_sent(&mut self) -> Vec<(u16, Vec<u8>)> {
        let out = self.sent.try_iter().map(|(port, frame)| (port, frame[14..].to_vec()));
        let out = out.collect();
        assert!(self.totals.conserved(self.held() as u64), "each packet is counted once");
        out
    }

    /// What leaves by the WAN when the slow path sends these IP packets through an interface.
    pub(super) fn transmit(&mut self, uidb: u16, packets: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let mut cache = self.pool.cache(0);
        let work = packets.iter().map(|packet| {
            Injected::Transmit(UidbIndex(uidb), cache.packet(&frame(&[], packet)).unwrap())
        });
        let work: Vec<_> = work.collect();
        self.ppe.inject(work, self.now, &mut self.slow);
        self.through(LAN, WAN, &[])
    }

    /// As [`walk`](Self::walk), where all that comes out leaves by one port.
    pub(super) fn through(&mut self, from: u16, to: u16, packets: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let out = self.walk(from, packets);
        out.into_iter()
            .map(|(port, packet)| {
                assert_eq!(port, to);
                packet
            })
            .collect()
    }

    /// The state of the outbound (0) or inbound (1) SA.
    pub(super) fn state(&self, row: usize) -> &SaState {
        &self.router.region().view(self.states).unwrap()[row]
    }

    pub(super) fn tunnel(&self, uidb: u16) -> &Tunnel {
        &self.router.region().view(self.tunnels).unwrap()[usize::from(uidb)]
    }

    /// Packets that an interface had no SA for, since the last call.
    pub(super) fn take_unprotected(&self, uidb: u16) -> u64 {
        let states = self.router.region().view(self.tunnel_states).unwrap();
        states[usize::from(uidb)].take_unprotected()
    }

    /// Reasons with packets, and how many.
    pub(super) fn drops(&self) -> Vec<(DropReason, u64)> {
        let counts = DropReason::ALL.iter().map(|&reason| (reason, self.totals.drops(reason)));
        counts.filter(|(_, count)| *count > 0).collect()
    }

    /// IP packets that went to the slow path since the last call.
    pub(super) fn punted(&mut self) -> Vec<Vec<u8>> {
        let work = self.slow.drain(..).filter_map(|work| match work {
            SlowWork::Punt(punted) => {
                let l3_offset = usize::from(punted.l3_offset);
                Some(punted.packet.frame()[l3_offset..].to_vec())
            }
            SlowWork::Unreachable(..) => None,
        });
        work.collect()
    }
}

/// Both sides.
pub(super) fn pair(agreed: &Agreement) -> (Gateway, Gateway) {
    (Gateway::new(1, agreed), Gateway::new(2, agreed))
}
