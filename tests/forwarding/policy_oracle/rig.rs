//! The router itself without its ports: frames in, frames out, and the slow path in between.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex};

use aes_gcm::Aes128Gcm;
use aes_gcm::aead::{Aead, KeyInit, Payload};
use qfp::client::config::{Config, RouteTable};
use qfp::client::{Capacity, Client, PortFacts};
use qfp::core::counters::{CounterLayout, CounterTotals};
use qfp::core::fia::{FiaBuilder, Kit};
use qfp::core::isa::Isa;
use qfp::core::lpts::{FlowType, LptsGroup, LptsRates};
use qfp::core::packet::DropReason;
use qfp::core::ppe::{Injected, PolledQueue, Ppe, PpeParts, SlowWork};
use qfp::core::punt::{Action, Limits, Rate, SlowPath};
use qfp::hal::pool::NativePool;
use qfp::hal::{Burst, PacketMask, Pool, PoolCache, RxQueue, TxQueue};
use qfp::pal::clock::Nanos;

use super::scene::{Scene, key, spi_in};

/// Rounds between slow path and walk, at most: what goes round longer goes round for ever.
const ROUNDS: usize = 12;

type Wire = Arc<Mutex<VecDeque<Vec<u8>>>>;

struct Coming(Wire);
struct Gone(Wire);

impl RxQueue for Coming {
    fn rx_burst(&mut self, burst: &mut Burst, pool: &mut PoolCache) -> usize {
        let frames = std::mem::take(&mut *self.0.lock().unwrap());
        for frame in &frames {
            assert!(pool.append(burst, frame));
        }
        frames.len()
    }
}

impl TxQueue for Gone {
    fn tx_burst(
        &mut self,
        burst: &mut Burst,
        select: PacketMask,
        pool: &mut PoolCache,
        _: Nanos,
    ) -> PacketMask {
        let mut frames = self.0.lock().unwrap();
        frames.extend(select.into_iter().map(|slot| burst.frame(slot).to_vec()));
        pool.free(burst, select);
        select
    }
}

/// A router, and time.
pub(super) struct Router {
    client: Client,
    ppe: Ppe,
    slow: SlowPath,
    totals: CounterTotals,
    coming: [Wire; 3],
    gone: [Wire; 3],
    cache: PoolCache,
    now: Nanos,
}

/// What a vector has come to in the walk, and what the slow path made of the rest.
pub(super) struct Outcome {
    pub(super) sent: [Vec<Vec<u8>>; 3],
    /// Reasons, as often as they occurred.
    pub(super) drops: Vec<DropReason>,
    pub(super) work: Vec<SlowWork>,
}

/// Every event that the slow path limits happens, so that whatever can leak does.
fn generous() -> (Limits, LptsRates) {
    let rate = Rate { per_second: 1_000_000, burst: 100_000 };
    let mut limits = Limits { resend: rate, ..Limits::default() };
    limits.icmp = limits.icmp.map(|_| rate);
    let mut rates = LptsRates::default();
    for flow in FlowType::ALL.iter().copied() {
        rates.set(flow, LptsRates::MAX_RATE, LptsRates::MAX_BURST).unwrap();
    }
    rates.set_floor(LptsRates::MAX_RATE, LptsRates::MAX_BURST).unwrap();
    (limits, rates)
}

impl Router {
    pub(super) fn new(scene: &Scene, pool: NativePool) -> Self {
        let text = scene.toml();
        let load = |path: &Path| {
            let spi = path.file_name().unwrap().to_str().unwrap().parse().unwrap();
            Ok(key(spi).iter().map(|byte| format!("{byte:02x}")).collect::<String>().into_bytes())
        };
        let config = Config::parse_with(&text, "scene.toml", load)
            .unwrap_or_else(|error| panic!("{error}\n{text}"));
        let capacity = Capacity {
            adjacencies: 256,
            long_prefixes: 64,
            ipv6_lines: 1 << 12,
            ..Capacity::fitting(&config, &RouteTable::default())
        };
        let mut client = Client::new(&capacity).unwrap();
        let facts: Vec<PortFacts> =
            (0..3).map(|n| PortFacts { mac: [2, 0, 0, 0, n, 1], filter_mac: false }).collect();
        client
            .commit(&config, &RouteTable::default(), &facts)
            .unwrap_or_else(|error| panic!("{error}\n{text}"));
        let (limits, rates) = generous();
        let mut slow = SlowPath::new(client.slow_path_interfaces(&config, &facts), limits);
        for (uidb, address, mac) in client.static_neighbours(&config) {
            slow.add_static_neighbour(uidb, address, mac);
        }
        slow.set_sides(client.slow_path_sides(&config));
        let tables = client.attach("oracle").unwrap();
        let fia = FiaBuilder::router();
        let layout = CounterLayout::new(fia.names().len(), 3, client.uidb_limit());
        let mut totals = CounterTotals::new(layout);
        let lpts =
            LptsGroup::new(&rates, client.lpts(&config), slow.acquaintance(), client.uidb_limit());
        let kit = Kit { isa: Isa::detect(), lpts: Arc::new(lpts), ..Kit::default() };
        let (coming, gone) = <([Wire; 3], [Wire; 3])>::default();
        let pool = Pool::Native(pool);
        let ppe = Ppe::new(PpeParts {
            lcore: 0,
            fia: fia.build_with(&kit),
            rx: (0..)
                .zip(&coming)
                .map(|(n, wire)| PolledQueue::new(n, Box::new(Coming(Arc::clone(wire)))))
                .collect(),
            tx: gone
                .iter()
                .map(|wire| Box::new(Gone(Arc::clone(wire))) as Box<dyn TxQueue>)
                .collect(),
            pool: pool.cache(0),
            tables,
            counters: totals.add_lcore(),
        });
        let (cache, now) = (pool.cache(0), Nanos::from_secs(10));
        let mut router = Self { client, ppe, slow, totals, coming, gone, cache, now };
        router.answer(Vec::new());
        router
    }

    fn taken(&self) -> [Vec<Vec<u8>>; 3] {
        [0, 1, 2].map(|n| std::mem::take(&mut *self.gone[n].lock().unwrap()).into())
    }

    /// Takes a vector that comes in by a link through its walks.
    pub(super) fn walk(&mut self, link: usize, frames: Vec<Vec<u8>>) -> Outcome {
        self.now = self.now.saturating_add(20 * Nanos::PER_MILLI);
        // The numbers that may be used.
        self.client.watch_sas(self.now.0, &mut Vec::new());
        self.coming[link].lock().unwrap().extend(frames);
        let before = self.drops();
        let mut work = Vec::new();
        self.ppe.poll(self.now, &mut work);
        let after = self.drops();
        let times = before.iter().zip(&after).map(|(before, after)| after - before);
        let drops = DropReason::ALL.iter().copied().zip(times);
        let drops = drops.flat_map(|(reason, times)| std::iter::repeat_n(reason, times));
        Outcome { sent: self.taken(), drops: drops.collect(), work }
    }

    fn drops(&self) -> Vec<usize> {
        let count = |reason: &DropReason| usize::try_from(self.totals.drops(*reason)).unwrap();
        DropReason::ALL.iter().map(count).collect()
    }

    /// Lets the slow path answer; what leaves then.
    pub(super) fn answer(&mut self, mut work: Vec<SlowWork>) -> [Vec<Vec<u8>>; 3] {
        let mut actions = Vec::new();
        self.slow.poll(self.now, &mut self.cache, &mut actions);
        for round in 0.. {
            assert!(round < ROUNDS, "something goes round for ever");
            for work in work.drain(..) {
                let slow = &mut self.slow;
                match work {
                    SlowWork::Punt(packet) => {
                        slow.punt(self.now, packet, &mut self.cache, &mut actions)
                    }
                    SlowWork::Unreachable(packet, reason) => {
                        slow.unreachable(self.now, &packet, reason, &mut self.cache, &mut actions);
                    }
                }
            }
            let mut injected = Vec::new();
            for action in actions.drain(..) {
                injected.extend(injection(&mut self.client, action));
            }
            if injected.is_empty() {
                break;
            }
            self.ppe.inject(injected, self.now, &mut work);
        }
        assert!(self.totals.conserved(0) && self.slow.counters().conserved());
        self.taken()
    }

    /// Ends it: every buffer is back.
    pub(super) fn end(mut self) {
        self.slow.drain();
    }
}

/// What an lcore is given for an action.
fn injection(client: &mut Client, action: Action) -> Option<Injected> {
    Some(match action {
        Action::Inject { table, origin, within, packet, .. } => {
            Injected::Route { table, origin, within, packet }
        }
        Action::Forward { table, next_hop, origin, packet, .. } => {
            Injected::Forward { table, next_hop, origin, packet }
        }
        Action::Transmit { uidb, packet, .. } => Injected::Transmit(uidb, packet),
        Action::TransmitPart { uidb, packet, .. } => Injected::TransmitPart(uidb, packet),
        Action::Neighbour { uidb, address, mac } => {
            client.neighbour(uidb, address, mac).unwrap();
            return None;
        }
        Action::PathMtu { .. } => return None,
    })
}

fn cipher(spi: u32) -> (Aes128Gcm, [u8; 4]) {
    let key = key(spi);
    (Aes128Gcm::new_from_slice(&key[..16]).unwrap(), key[16..].try_into().unwrap())
}

/// ESP of RFC 4303 and 4106 around an inner packet, as the peer of an entry's SA sends it; by a library
/// that the project does not use for it.
pub(super) fn seal(entry: usize, sequence: u32, inner: &[u8]) -> Vec<u8> {
    let spi = spi_in(entry);
    let (cipher, salt) = cipher(spi);
    let mut plain = inner.to_vec();
    let pad = [2, 1, 0, 3][plain.len() % 4];
    plain.extend(1..=pad);
    plain.extend([pad, if inner[0] >> 4 == 4 { 4 } else { 41 }]);
    let header = [spi.to_be_bytes(), sequence.to_be_bytes()].concat();
    let iv = u64::from(sequence).to_be_bytes();
    let nonce: [u8; 12] = [&salt[..], &iv].concat().try_into().unwrap();
    let sealed = cipher.encrypt(&nonce.into(), Payload { msg: &plain, aad: &header }).unwrap();
    [&header[..], &iv, &sealed].concat()
}

/// SPI and inner packet of ESP that the router has sent.
pub(super) fn open(esp: &[u8]) -> (u32, Vec<u8>) {
    let spi = u32::from_be_bytes(esp[..4].try_into().unwrap());
    let (cipher, salt) = cipher(spi);
    let nonce: [u8; 12] = [&salt[..], &esp[8..16]].concat().try_into().unwrap();
    let plain = cipher.decrypt(&nonce.into(), Payload { msg: &esp[16..], aad: &esp[..8] }).unwrap();
    let pad = usize::from(plain[plain.len() - 2]);
    (spi, plain[..plain.len() - 2 - pad].to_vec())
}
