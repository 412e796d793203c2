//! Cycles of the whole walk and of each row, by vector size and kind of traffic.
//!
//! Frames lie in memory and vectors are as full as the case says; receive queues are not counted,
//! transmit queues give buffers back. Two routes, two ports. Criterion measures TSC cycles a
//! packet; below each case stand the sampled cycles of its rows.
//!
//! `out-1` and `out-64` leave through as many sub-interfaces of one port, by turns.
//!
//! The cases `full-4k`, `full-256k` and `full-uniform` route by a full Internet table: `QFP_RIB_V4`
//! (lines `PREFIX NUMBER`, plain or zstd), by default the one beside the repository; they are
//! skipped aloud without it. `full-acl1` and `full-fw1` add an access list of a thousand
//! rules, `bound-*` a service policy, that and the list of `full-acl1`, or nothing.
//!
//! `cargo bench --bench walk [-- REGEX] [--save-baseline NAME | --baseline NAME]`
//!
//! `cargo bench --bench walk -- share`: in turn, with the set of `full-acl1`, what a list and a
//! policy in one pass add of what they add each alone.
#![expect(clippy::cast_possible_truncation, reason = "bytes of small numbers")]
#![expect(clippy::panic, reason = "a bench that cannot start says why")]

mod internet;
mod lists;
mod share;

use std::process::ExitCode;

use criterion::Criterion;

use contest::Cycles;
use qfp::client::config::{Config, RouteTable};
use qfp::client::{Capacity, Client, PortFacts};
use qfp::core::counters::{CounterLayout, CounterTotals, LoopEvent};
use qfp::core::fia::FiaBuilder;
use qfp::core::isa::Isa;
use qfp::core::ppe::{PolledQueue, Ppe, PpeParts, SlowWork};
use qfp::hal::pool::NativePool;
use qfp::hal::{Burst, PacketMask, Pool, PoolCache, RxQueue, TxQueue};
use qfp::pal::clock::Nanos;

/// Two ports, a route of each family to each of them.
const PLAIN: &str = r#"
    [[port]]
    device = "sink"
    mac = "02:00:00:00:00:01"
    address = ["192.0.2.1/24", "2001:db8:1::1/64"]
    [[port]]
    device = "sink"
    mac = "02:00:00:00:00:02"
    address = ["198.51.100.1/24", "2001:db8:2::1/64"]
    [[route]]
    prefix = "198.18.0.0/24"
    via = "192.0.2.2"
    [[route]]
    prefix = "198.18.1.0/24"
    via = "198.51.100.2"
    [[route]]
    prefix = "2001:db8:100::/48"
    via = "2001:db8:1::2"
    [[route]]
    prefix = "2001:db8:200::/48"
    via = "2001:db8:2::2"
    [[neighbor]]
    address = "192.0.2.2"
    mac = "02:00:00:00:01:01"
    [[neighbor]]
    address = "198.51.100.2"
    mac = "02:00:00:00:01:02"
    [[neighbor]]
    address = "2001:db8:1::2"
    mac = "02:00:00:00:01:05"
    [[neighbor]]
    address = "2001:db8:2::2"
    mac = "02:00:00:00:01:06"
"#;

/// The same with a sub-interface on each port and the routes between them.
const VLAN: &str = r#"
    [[port]]
    device = "sink"
    mac = "02:00:00:00:00:01"
    address = ["192.0.2.1/24"]
    [[port.vlan]]
    id = 10
    address = ["192.0.3.1/24"]
    [[port]]
    device = "sink"
    mac = "02:00:00:00:00:02"
    address = ["198.51.100.1/24"]
    [[port.vlan]]
    id = 20
    address = ["198.51.101.1/24"]
    [[route]]
    prefix = "198.18.0.0/24"
    via = "192.0.3.2"
    [[route]]
    prefix = "198.18.1.0/24"
    via = "198.51.101.2"
    [[neighbor]]
    address = "192.0.3.2"
    mac = "02:00:00:00:01:03"
    [[neighbor]]
    address = "198.51.101.2"
    mac = "02:00:00:00:01:04"
"#;

/// Frames a case cycles through.
const FRAMES: usize = 4096;

fn main() -> ExitCode {
    contest::bench(|words, _| {
        if words.has("share") {
            return share::run().map(|()| 0);
        }
        let mut criterion = contest::criterion();
        cases().into_iter().for_each(|case| measure(&mut criterion, &case));
        criterion.final_summary();
        Ok(0)
    })
}

/// Measures a case at each of its sizes.
fn measure(criterion: &mut Criterion<Cycles>, case: &Case) {
    // Tables are built for what is wanted only, which criterion knows.
    let mut traffic = None;
    for &size in &case.sizes {
        let mut rig = None;
        criterion.bench_function(&format!("{}/{size}", case.name), |bencher| {
            let traffic = traffic.get_or_insert_with(|| (case.make)());
            let rig = rig.get_or_insert_with(|| Rig::new(traffic, size));
            bencher.iter_custom(|packets| rig.run(packets) * packets as f64);
        });
        if let Some(rig) = rig {
            rig.print_rows();
        }
    }
}

/// A kind of traffic and the tables it meets.
struct Case {
    name: &'static str,
    sizes: Vec<usize>,
    make: Box<dyn Fn() -> Traffic>,
}

/// Frames, and a client that has committed the tables.
struct Traffic {
    client: Client,
    frames: Vec<Vec<u8>>,
}

impl Traffic {
    fn new(config: &str, routes: &RouteTable, frames: Vec<Vec<u8>>) -> Self {
        Self { client: client(config, routes), frames }
    }
}

fn cases() -> Vec<Case> {
    let v4 = |n: usize| ipv4(n, [198, 18, (n % 2) as u8, (n * 7) as u8], &[]);
    let tagged = |n: usize| ipv4(n, [198, 18, (n % 2) as u8, (n * 7) as u8], &[0x81, 0, 0, 10]);
    let bad = move |n: usize| {
        let mut frame = v4(n);
        if n % 33 == 7 {
            frame[24] ^= 0x40;
        }
        frame
    };
    let mixed = move |n: usize| if n.is_multiple_of(2) { v4(n / 2) } else { ipv6(n / 2) };
    let mut cases = vec![
        small("ipv4", PLAIN.into(), v4),
        small("ipv6", PLAIN.into(), ipv6),
        small("vlan", VLAN.into(), tagged),
        small("bad3", PLAIN.into(), bad),
        small("mixed", PLAIN.into(), mixed),
        small("out-1", sub_interfaces(1), v4_to(1)),
        small("out-64", sub_interfaces(64), v4_to(64)),
    ];
    cases.extend(internet::cases());
    cases.extend(lists::cases());
    cases
}

/// A port that packets come from, and one with `count` sub-interfaces, each with a route.
fn sub_interfaces(count: u8) -> String {
    let port = |n| format!("[[port]]\ndevice = \"sink\"\nmac = \"02:00:00:00:00:0{n}\"\n");
    let mut config = port(1) + &port(2);
    for n in 0..count {
        config +=
            &format!("[[port.vlan]]\nid = {}\naddress = [\"10.9.{n}.1/24\"]\n", 100 + u16::from(n));
    }
    for n in 0..count {
        config += &format!(
            "[[route]]\nprefix = \"198.18.{n}.0/24\"\nvia = \"10.9.{n}.2\"\n\
             [[neighbor]]\naddress = \"10.9.{n}.2\"\nmac = \"02:00:00:00:01:{n:02x}\"\n"
        );
    }
    config
}

/// Packets to each of that many routes, by turns.
fn v4_to(routes: usize) -> impl Fn(usize) -> Vec<u8> {
    move |n| ipv4(n, [198, 18, (n % routes) as u8, (n * 7) as u8], &[])
}

/// A case with few routes.
fn small(name: &'static str, config: String, frame: impl Fn(usize) -> Vec<u8> + 'static) -> Case {
    let frames = move || (0..FRAMES).map(&frame).collect();
    Case {
        name,
        sizes: vec![1, 4, 16, 32, 64],
        make: Box::new(move || Traffic::new(&config, &RouteTable::default(), frames())),
    }
}

fn ethernet(tags: &[u8], ethertype: [u8; 2]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9];
    frame.extend(tags);
    frame.extend(ethertype);
    frame
}

fn ipv4(n: usize, dst: [u8; 4], tags: &[u8]) -> Vec<u8> {
    let mut frame = ethernet(tags, [8, 0]);
    let start = frame.len();
    frame.extend([0x45, 0, 0, 46, (n >> 8) as u8, n as u8, 0, 0, 64, 17, 0, 0]);
    frame.extend([10, 1, (n >> 8) as u8, n as u8]);
    frame.extend(dst);
    let sum: u32 = frame[start..]
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
        .sum();
    let sum = !(((sum & 0xffff) + (sum >> 16)) as u16);
    frame[start + 10..start + 12].copy_from_slice(&sum.to_be_bytes());
    frame.extend([0x30, 0x39, 0, 53, 0, 26, 0, 0]);
    frame.resize(start + 46, 0);
    frame
}

fn ipv6(n: usize) -> Vec<u8> {
    let mut frame = ethernet(&[], [0x86, 0xdd]);
    frame.extend([0x60, 0, 0, 0, 0, 8, 17, 64]);
    frame.extend([0x20, 1, 0x0d, 0xb8, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, (n >> 8) as u8, n as u8]);
    let network = if n.is_multiple_of(2) { 1 } else { 2 };
    frame.extend([
        0x20,
        1,
        0x0d,
        0xb8,
        network,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        (n >> 8) as u8,
        n as u8,
    ]);
    frame.extend([0x30, 0x39, 0, 53, 0, 8, 0, 0]);
    frame
}

/// A client that has committed the tables.
fn client(config: &str, routes: &RouteTable) -> Client {
    let config = Config::parse(config, "walk.toml").unwrap_or_else(|error| panic!("{error}"));
    let facts = [1u8, 2].map(|n| PortFacts { mac: [2, 0, 0, 0, 0, n], filter_mac: false });
    let capacity = Capacity::fitting(&config, routes);
    let mut client = Client::new(&capacity).unwrap_or_else(|error| panic!("{error}"));
    let committed = client.commit(&config, routes, &facts);
    committed.unwrap_or_else(|error| panic!("{error}"));
    client
}

/// An engine that walks the frames in vectors of one size.
struct Rig {
    ppe: Ppe,
    totals: CounterTotals,
    names: Vec<&'static str>,
    work: Vec<SlowWork>,
    size: usize,
    now: Nanos,
}

impl Rig {
    fn new(Traffic { client, frames }: &mut Traffic, size: usize) -> Self {
        let fia = FiaBuilder::router();
        let names = fia.names();
        let layout = CounterLayout::new(names.len(), 2, client.uidb_limit()).with_rules(1 << 17);
        let mut totals = CounterTotals::new(layout);
        let pool = Pool::Native(NativePool::new(1024, 2048));
        let ppe = Ppe::new(PpeParts {
            lcore: 0,
            fia: fia.build(Isa::detect()),
            rx: vec![PolledQueue::new(
                0,
                Box::new(Replay { frames: frames.clone(), next: 0, size }),
            )],
            tx: vec![Box::new(Discard), Box::new(Discard)],
            pool: pool.cache(0),
            tables: client.attach("bench").unwrap_or_else(|error| panic!("{error}")),
            counters: totals.add_lcore(),
        });
        Self { ppe, totals, names, work: Vec::new(), size, now: Nanos::ZERO }
    }

    /// Walks as many packets, and at least so many vectors that some are sampled; cycles a packet.
    fn run(&mut self, packets: u64) -> f64 {
        let [cycles, walked] = [LoopEvent::WalkCycles, LoopEvent::WalkPackets];
        let before = [self.totals.event(cycles), self.totals.event(walked)];
        for _ in 0..packets.div_ceil(self.size as u64).max(SAMPLED) {
            self.now = Nanos(self.now.0 + 1000);
            self.ppe.poll_queue(0, self.now, &mut self.work);
            self.work.clear();
        }
        let packets = (self.totals.event(walked) - before[1]).max(1);
        (self.totals.event(cycles) - before[0]) as f64 / packets as f64
    }

    /// Prints the sampled cycles of each row.
    fn print_rows(&self) {
        for (number, name) in self.names.iter().enumerate() {
            let row = self.totals.row(number);
            if row.sampled_cycles > 0 {
                let cycles = row.sampled_cycles as f64 / row.sampled_packets.max(1) as f64;
                println!("    {name:14} {cycles:6.2}");
            }
        }
    }
}

/// Vectors of which some are sampled for sure.
const SAMPLED: u64 = 128;

/// Copies frames from memory.
struct Replay {
    frames: Vec<Vec<u8>>,
    next: usize,
    size: usize,
}

impl RxQueue for Replay {
    fn rx_burst(&mut self, burst: &mut Burst, pool: &mut PoolCache) -> usize {
        for _ in 0..self.size {
            let frame = &self.frames[self.next];
            self.next = (self.next + 1) % self.frames.len();
            if !pool.append(burst, frame) {
                break;
            }
        }
        burst.count()
    }
}

/// Gives the buffers back.
struct Discard;

impl TxQueue for Discard {
    fn tx_burst(
        &mut self,
        burst: &mut Burst,
        select: PacketMask,
        pool: &mut PoolCache,
        _: Nanos,
    ) -> PacketMask {
        pool.free(burst, select);
        select
    }
}
