//! Any bytes as frames on the ports of a router: every packet is counted once, every buffer comes
//! back, and nothing leaves that should not. Two bytes in front of each frame are its length; its
//! upper bits say which port it comes in on, and how many are polled at once.
#![no_main]

use std::collections::VecDeque;

use client::config::{Config, RouteTable};
use client::{Capacity, Client, Features, PortFacts};
use hal::pool::NativePool;
use hal::{Burst, PacketMask, Pool, PoolCache, RxQueue, TxQueue};
use libfuzzer_sys::fuzz_target;
use pal::clock::Nanos;
use qfp_core::counters::{CounterLayout, CounterTotals};
use qfp_core::fia::FiaBuilder;
use qfp_core::isa::Isa;
use qfp_core::ppe::{Injected, PolledQueue, Ppe, PpeParts, SlowWork};
use qfp_core::uidb::TableId;

const BUFFERS: usize = 1024;
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
[[port]]
device = "sink"
mac_filter = true
mtu = 1280
address = ["10.1.0.1/16", "2001:db8:1::1/64"]
[[port]]
device = "sink"
shutdown = true
[[route]]
prefix = "0.0.0.0/0"
via = "192.0.2.2"
[[route]]
prefix = "0.0.0.0/0"
via = "198.51.100.2"
weight = 2
[[route]]
prefix = "172.16.0.0/12"
drop = true
[[route]]
prefix = "::/0"
via = "2001:db8::2"
[[neighbor]]
address = "192.0.2.2"
mac = "02:00:00:00:00:02"
[[neighbor]]
address = "2001:db8::2"
mac = "02:00:00:00:00:02"
[[neighbor]]
address = "10.1.0.2"
mac = "02:00:00:00:00:03"
"#;

/// Gives the frames it holds; as many at once as the next one says.
#[derive(Default)]
struct Feed(VecDeque<(usize, Vec<u8>)>);

impl RxQueue for Feed {
    fn rx_burst(&mut self, burst: &mut Burst, pool: &mut PoolCache) -> usize {
        let count = self.0.front().map_or(0, |(count, _)| *count).min(self.0.len());
        for (_, frame) in self.0.drain(..count) {
            assert!(pool.append(burst, &frame));
        }
        count
    }
}

/// Takes all but every fifth slot.
struct Picky;

impl TxQueue for Picky {
    fn tx_burst(
        &mut self,
        burst: &mut Burst,
        select: PacketMask,
        pool: &mut PoolCache,
        _: Nanos,
    ) -> PacketMask {
        for slot in select {
            assert!(burst.len(slot) >= 14);
        }
        pool.free(burst, select);
        select & PacketMask(!0x1084_2108_4210_8421)
    }
}

struct Router {
    client: Client,
    config: Config,
    pool: NativePool,
}

impl Router {
    fn new() -> Self {
        let small = Capacity {
            adjacencies: 256,
            long_prefixes: 64,
            ipv6_lines: 1 << 12,
            ..Capacity::SMALL
        };
        let mut client = Client::new(&small).expect("memory");
        let config = Config::parse(CONFIG, "fuzz.toml").expect("a good configuration");
        // Egress features on one interface: its packets are taken to `l2-rewrite` only.
        client.set_features("port1", Features { ingress: 0, egress: 1 << 40 });
        let facts: Vec<_> =
            (0..3).map(|n| PortFacts { mac: [2, 0, 0, 0, 1, n], filter_mac: false }).collect();
        client.commit(&config, &RouteTable::default(), &facts).expect("it fits");
        Self { client, config, pool: NativePool::new(BUFFERS, 2048) }
    }

    fn run(&mut self, bytes: &[u8]) {
        let Some((&knobs, mut rest)) = bytes.split_first() else { return };
        let ports = self.config.ports.len();
        let mut feeds: Vec<Feed> = (0..ports).map(|_| Feed::default()).collect();
        let mut fed = 0;
        let pool = Pool::Native(self.pool.clone());
        let mut work = Vec::new();
        let mut cache = pool.cache(0);
        while let Some((head, tail)) = rest.split_first_chunk::<2>()
            && fed < 300
        {
            let head = u16::from_le_bytes(*head);
            let (frame, tail) = tail.split_at(usize::from(head & 0x7ff).min(tail.len()));
            rest = tail;
            fed += 1;
            match usize::from(head >> 14) {
                3 => {
                    let packet = cache.packet(frame);
                    work.extend(packet.map(|packet| Injected::route(TableId::GLOBAL, packet)));
                }
                port => {
                    let count = 1 + 5 * usize::from(head >> 11 & 7);
                    feeds[port].0.push_back((count, frame.to_vec()));
                }
            }
        }
        let tables = self.client.attach("fuzz").expect("a place for a reader");
        let fia = FiaBuilder::router();
        let fia = if knobs & 1 == 0 { fia } else { fia.row_by_row() };
        let isa =
            [Isa::Portable, Isa::Avx2, Isa::Avx512, Isa::detect()][usize::from(knobs >> 1 & 3)];
        let fia = fia.build(isa.or_lower());
        let layout = CounterLayout::new(fia.names().len(), ports, self.client.uidb_limit());
        let mut totals = CounterTotals::new(layout);
        let mut ppe = Ppe::new(PpeParts {
            lcore: 0,
            fia,
            rx: (0..).zip(feeds).map(|(n, feed)| PolledQueue::new(n, Box::new(feed))).collect(),
            tx: (0..ports).map(|_| Box::new(Picky) as Box<dyn TxQueue>).collect(),
            pool: pool.cache(0),
            tables,
            counters: totals.add_lcore(),
        });
        if knobs & 8 != 0 {
            ppe.trace(20);
        }
        let mut sink: Vec<SlowWork> = Vec::new();
        let now = Nanos::from_secs(1);
        ppe.inject(work, now, &mut sink);
        while ppe.poll(now, &mut sink) > 0 {}
        let punted = sink.iter().filter(|work| matches!(work, SlowWork::Punt(_))).count();
        assert_eq!(totals.all_punts(), punted as u64);
        assert!(totals.conserved(0));
        for traced in ppe.take_traces() {
            assert!(!traced.steps.is_empty());
        }
        drop((ppe, sink, cache));
        pool.check_complete().expect("every buffer comes back");
    }
}

thread_local! {
    static ROUTER: std::cell::RefCell<Router> = std::cell::RefCell::new(Router::new());
}

fuzz_target!(|bytes: &[u8]| ROUTER.with(|router| router.borrow_mut().run(bytes)));
