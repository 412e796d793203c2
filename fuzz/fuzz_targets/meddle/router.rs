//! A router with steps of a user's that call everything public on vectors, bursts and packets, in
//! any order, as a script of bytes says. What they do to packets makes no sense; what it may not do
//! is to reach memory that is not the packet's, or to lose a buffer.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use client::config::{Config, RouteTable};
use client::{Capacity, Client, PortFacts};
use hal::pool::NativePool;
use hal::{Burst, Packet, PacketMask, Pool, PoolCache, RxQueue, TxQueue};
use pal::clock::Nanos;
use qfp_core::counters::{CounterLayout, CounterTotals};
use qfp_core::fia::{FiaBuilder, Gate};
use qfp_core::isa::Isa;
use qfp_core::packet::{DropReason, PuntCause, Source, Vector};
use qfp_core::ppe::{PolledQueue, Ppe, PpeParts, SlowWork};
use qfp_core::step::{Lcore, Step};
use qfp_core::uidb::{TableId, UidbIndex};

/// Sub-interfaces, so that headers get longer and shorter on their way.
const CONFIG: &str = r#"
[[port]]
device = "sink"
address = ["192.0.2.1/24", "2001:db8::1/64"]
[[port.vlan]]
id = 5
address = ["198.51.100.1/24"]
[[port.vlan]]
id = 5
inner = 7
address = ["203.0.113.1/30"]
[[route]]
prefix = "10.0.0.0/8"
via = "192.0.2.2"
[[route]]
prefix = "11.0.0.0/8"
via = "198.51.100.2"
[[route]]
prefix = "12.0.0.0/8"
via = "203.0.113.2"
[[route]]
prefix = "::/0"
via = "2001:db8::2"
[[neighbor]]
address = "192.0.2.2"
mac = "02:00:00:00:00:02"
[[neighbor]]
address = "198.51.100.2"
mac = "02:00:00:00:00:03"
[[neighbor]]
address = "203.0.113.2"
mac = "02:00:00:00:00:04"
[[neighbor]]
address = "2001:db8::2"
mac = "02:00:00:00:00:02"
"#;

/// Rows that a meddler stands behind, and its name.
const BEHIND: [(&str, &str); 5] = [
    ("if-classify", "meddle-classify"),
    ("l3-parse", "meddle-parse"),
    ("next-hop", "meddle-next-hop"),
    ("ttl", "meddle-ttl"),
    ("mtu", "meddle-mtu"),
];

/// What the meddlers do, byte by byte.
type Script = Arc<Mutex<VecDeque<u8>>>;

fn next(script: &Script) -> Option<u8> {
    script.lock().ok()?.pop_front()
}

fn word(script: &Script) -> u16 {
    let [high, low] = [next(script), next(script)].map(|byte| byte.unwrap_or(0));
    u16::from_be_bytes([high, low])
}

fn mask(script: &Script) -> PacketMask {
    PacketMask((0..4).fold(0, |mask, _| mask << 16 | u64::from(word(script))))
}

/// A step that keeps none of the rules.
struct Meddler {
    script: Script,
    /// A pool of its own.
    stock: PoolCache,
    kept: Vec<Packet>,
    other: Burst,
    spare: Box<Vector>,
}

impl Step for Meddler {
    fn process(&mut self, _: &mut Lcore<'_>, vector: &mut Vector, _: PacketMask) {
        for _ in 0..next(&self.script).unwrap_or(0) % 8 {
            let Some(what) = next(&self.script) else { return };
            self.meddle(what % 26, vector);
        }
    }
}

impl Meddler {
    fn meddle(&mut self, what: u8, vector: &mut Vector) {
        let slot = usize::from(next(&self.script).unwrap_or(0)) % 72;
        let [a, b] = [word(&self.script), word(&self.script)].map(|word| word % 2600);
        let (x, y) = (usize::from(a), usize::from(b));
        match what {
            0 | 1 => drop(vector.move_start(slot, isize::from(a.cast_signed()) % 300 - 150)),
            2 | 3 => drop(vector.narrow(slot, x, y)),
            4 => vector.truncate(slot, x % 100),
            5 => drop(vector.extend(slot, x)),
            6 | 7 => vector.frame_mut(slot).fill(what),
            8 => vector.network_mut(slot).fill(what),
            9 => self.kept.extend(vector.consume(slot)),
            10 => {
                if let Some(packet) = self.kept.pop() {
                    drop(vector.put(packet));
                }
            }
            11 => drop(self.stock.append(&mut self.other, &[7; 60][..x % 60])),
            12 => self.stock.free(&mut self.other, mask(&self.script)),
            13 => self.kept.extend(self.other.take(slot)),
            14 => self.other.clear(),
            15 => std::mem::swap(vector, &mut self.spare),
            16 => vector.begin(Source::Port(a % 3), Nanos(b.into())),
            17 => vector.drop(slot, DropReason::Ipv4NoRoute),
            18 => vector.punt(slot, PuntCause::Glean),
            19 => vector.refuse(slot, DropReason::Lpts),
            20 => drop(vector.consume(slot)),
            21 => self.kept.extend(vector.hold(slot)),
            22 => vector.recirculate(slot, UidbIndex(a % 8), TableId(b % 3)),
            23 => {
                let select = mask(&self.script);
                vector.recirculate_all(select, UidbIndex(a % 8), TableId::GLOBAL);
            }
            24 => {
                if let Some(packet) = self.kept.last_mut() {
                    let _ = packet.set_frame(&[what; 2600][..x]);
                    packet.frame_mut().fill(what);
                }
            }
            _ => {
                let select = mask(&self.script);
                vector.drop_all(select, DropReason::Ipv4NoRoute);
                vector.punt_all(!select, PuntCause::Glean);
            }
        }
        let longest = hal::packet::HEADROOM + ROOM;
        let seen: usize = (0..64).map(|n| vector.frame(n).len()).sum();
        assert!(seen <= 64 * longest);
    }
}

/// Frames of a case, in vectors.
struct Feed(VecDeque<Vec<u8>>);

impl RxQueue for Feed {
    fn rx_burst(&mut self, burst: &mut Burst, pool: &mut PoolCache) -> usize {
        let count = self.0.len().min(1 + self.0.len() % 64);
        for frame in self.0.drain(..count) {
            if !pool.append(burst, &frame) {
                break;
            }
        }
        count
    }
}

/// Reads what it sends.
struct Reader;

impl TxQueue for Reader {
    fn tx_burst(
        &mut self,
        burst: &mut Burst,
        select: PacketMask,
        pool: &mut PoolCache,
        _: Nanos,
    ) -> PacketMask {
        let sum = |slot| burst.frame(slot).iter().map(|byte| u64::from(*byte)).sum::<u64>();
        std::hint::black_box(select.into_iter().map(sum).sum::<u64>());
        pool.free(burst, select);
        select
    }
}

const BUFFERS: usize = 512;
const ROOM: usize = 2048;

/// The router, which lives through many cases.
pub(crate) struct Router {
    client: Client,
    ports: usize,
}

impl Router {
    pub(crate) fn new() -> Self {
        let small = Capacity {
            adjacencies: 256,
            long_prefixes: 64,
            ipv6_lines: 1 << 12,
            ..Capacity::SMALL
        };
        let mut client = Client::new(&small).expect("memory");
        let config = Config::parse(CONFIG, "meddle.toml").expect("a good configuration");
        let facts = [PortFacts { mac: [2, 0, 0, 0, 1, 0], filter_mac: false }];
        client.commit(&config, &RouteTable::default(), &facts).expect("it fits");
        Self { client, ports: config.ports.len() }
    }

    /// Routes some packets while meddlers follow `script`; then every buffer is back.
    pub(crate) fn run(&mut self, script: &[u8]) {
        let pools = [0, 1].map(|_| Pool::Native(NativePool::new(BUFFERS, ROOM)));
        let Some((&knobs, script)) = script.split_first() else { return };
        let script: Script = Arc::new(Mutex::new(script.iter().copied().collect()));
        let mut fia = FiaBuilder::router();
        for (after, name) in BEHIND {
            let (script, stock) = (Arc::clone(&script), Mutex::new(Some(pools[1].cache(0))));
            let make = move || {
                let stock = stock.lock().expect("no other thread").take().expect("one lcore");
                let origin = stock.origin();
                Box::new(Meddler {
                    script: Arc::clone(&script),
                    stock,
                    kept: Vec::new(),
                    other: Burst::new(origin),
                    spare: Box::new(Vector::new(origin)),
                }) as Box<dyn Step>
            };
            fia = fia.insert_after(after, name, Gate::Always, make).expect("a row");
        }
        let isa = [Isa::Portable, Isa::Avx2, Isa::Avx512][usize::from(knobs) % 3].or_lower();
        let fia = fia.build(isa);
        let tables = self.client.attach("meddle").expect("a place for a reader");
        let layout = CounterLayout::new(fia.names().len(), self.ports, self.client.uidb_limit());
        let mut totals = CounterTotals::new(layout);
        let mut ppe = Ppe::new(PpeParts {
            lcore: 0,
            fia,
            rx: vec![PolledQueue::new(0, Box::new(Feed(frames())))],
            tx: vec![Box::new(Reader)],
            pool: pools[0].cache(0),
            tables,
            counters: totals.add_lcore(),
        });
        let mut sink: Vec<SlowWork> = Vec::new();
        for round in 0..8 {
            ppe.poll(Nanos::from_secs(round), &mut sink);
        }
        drop((ppe, sink));
        for pool in &pools {
            pool.check_complete().expect("every buffer comes back");
        }
    }
}

/// Packets to all next hops, of both families, tagged and not.
fn frames() -> VecDeque<Vec<u8>> {
    (0..96u8)
        .map(|n| {
            let mut frame = vec![2, 0, 0, 0, 1, 0, 2, 0, 0, 0, 0, 9];
            if n % 3 == 1 {
                frame.extend([0x81, 0, 0, 5]);
            }
            if n % 5 == 4 {
                frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 8, 17, 64]);
                frame.extend([0x20, 1, 0x0d, 0xb8, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, n]);
                frame.extend([0x20, 1, 0x0d, 0xb9, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, n]);
                frame.extend([0x30, 0x39, 0, 53, 0, 8, 0, 0]);
            } else {
                frame.extend([8, 0]);
                let start = frame.len();
                frame.extend([0x45, 0, 0, 46, 0, n, 0, 0, 64, 17, 0, 0, 9, 1, 1, n]);
                frame.extend([10 + n % 3, 1, 1, n]);
                let words = frame[start..].as_chunks::<2>().0;
                let sum: u32 = words.iter().map(|word| u32::from(u16::from_be_bytes(*word))).sum();
                let [.., high, low] = (!((sum & 0xffff) + (sum >> 16))).to_be_bytes();
                frame[start + 10..start + 12].copy_from_slice(&[high, low]);
                frame.resize(start + 46, n);
            }
            frame
        })
        .collect()
}
