//! Cycles of the whole walk and of each row, by vector size and kind of traffic.
//!
//! Frames lie in memory and vectors are as full as the case says; receive and transmit queues
//! cost next to nothing and are not counted. Two routes, two ports. Prints a table of TSC cycles a
//! packet (median and range over the rounds) and writes `target/qfp-bench/walk.json`.
//!
//! The cases `full-4k`, `full-256k` and `full-uniform` route by a full Internet table: `QFP_RIB_V4`
//! (lines `PREFIX NUMBER`, plain or zstd), by default the one beside the repository; they are
//! skipped aloud without it. `full-acl1` and `full-fw1` add an access list of a thousand
//! rules, `bound-*` a service policy, that and the list of `full-acl1`, or nothing; with all of
//! these (`-- bound full-acl1`) the bench tells what the list and the policy save together.
//!
//! `cargo bench --bench walk [-- FILTER...]`
#![expect(clippy::cast_possible_truncation, reason = "bytes of small numbers")]
#![expect(clippy::panic, reason = "a bench that cannot start says why")]

mod internet;
mod lists;
#[path = "../common/results.rs"]
mod results;

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
/// Vectors of a round.
const VECTORS: usize = 1 << 15;
const ROUNDS: usize = 7;

fn main() {
    let filters: Vec<_> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let wanted = |name: &str| {
        filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()))
    };
    let mut rigs: Vec<Rig> =
        cases(&wanted).into_iter().filter_map(|case| Rig::new(case, &wanted)).collect();
    // In turn, so that the machine's moods meet all of them alike.
    for _ in 0..ROUNDS {
        rigs.iter_mut().for_each(Rig::round);
    }
    let share = both(&rigs);
    let measured = rigs.into_iter().flat_map(|rig| rig.measured);
    let json: Vec<_> = measured.map(|(name, rounds)| row(&name, rounds)).collect();
    if let Some(share) = share {
        println!("a list and a policy in one pass add {share:.2} of what they add each alone");
    }
    if let Err(error) = results::write("walk", &json) {
        eprintln!("{error}");
    }
}

/// A case that is ready to run, and its rounds by the names of its sizes.
struct Rig {
    client: Client,
    case: Case,
    measured: Vec<(String, Vec<Round>)>,
}

impl Rig {
    /// The case as far as it is wanted.
    fn new(mut case: Case, wanted: &dyn Fn(&str) -> bool) -> Option<Self> {
        let of = case.name;
        let name = |size: &usize| format!("{of}/{size}");
        case.sizes.retain(|size| wanted(&name(size)));
        if case.sizes.is_empty() {
            return None;
        }
        let measured = case.sizes.iter().map(|size| (name(size), Vec::new())).collect();
        Some(Self { client: client(&case.config, &case.routes), case, measured })
    }

    /// One round of each size.
    fn round(&mut self) {
        for (size, (_, rounds)) in self.case.sizes.iter().zip(&mut self.measured) {
            rounds.push(round(&mut self.client, &self.case.frames, *size));
        }
    }
}

/// What an access list and a policy add to a walk, as a share of what each of them adds alone
/// (ING-05): the median over the rounds. None if one of the cases was not wanted.
fn both(rigs: &[Rig]) -> Option<f64> {
    let cycles = |name: &str| {
        let mut all = rigs.iter().flat_map(|rig| &rig.measured);
        let (_, rounds) = all.find(|(of, _)| of == &format!("{name}/64"))?;
        Some(rounds.iter().map(|round| round.walk))
    };
    let [none, both] = [cycles("bound-none")?, cycles("bound-acl-qos")?];
    let alone = cycles("full-acl1")?.zip(cycles("bound-qos")?);
    let mut shares: Vec<f64> = none
        .zip(both)
        .zip(alone)
        .map(|((none, both), (list, policy))| (both - none) / (list + policy - 2.0 * none))
        .collect();
    shares.sort_by(f64::total_cmp);
    shares.get(ROUNDS / 2).copied()
}

/// Prints the rounds of a case; their line of the results.
fn row(name: &str, mut rounds: Vec<Round>) -> serde_json::Value {
    rounds.sort_by(|a, b| a.walk.total_cmp(&b.walk));
    let middle = &rounds[ROUNDS / 2];
    let (low, high) = (rounds[0].walk, rounds[ROUNDS - 1].walk);
    println!("{name:14} {:6.1}  ({low:.1} to {high:.1})", middle.walk);
    for (row, cycles) in middle.rows.iter().filter(|(_, cycles)| *cycles > 0.0) {
        println!("    {row:14} {cycles:6.2}");
    }
    let cycles = |(row, cycles): &(String, f64)| (row.clone(), results::round(*cycles));
    let rows: serde_json::Map<_, _> = middle.rows.iter().map(cycles).collect();
    serde_json::json!({
        "case": name, "cycles": results::round(middle.walk),
        "low": results::round(low), "high": results::round(high), "rows": rows,
    })
}

/// A kind of traffic and the tables it meets.
struct Case {
    name: &'static str,
    config: String,
    routes: RouteTable,
    frames: Vec<Vec<u8>>,
    sizes: Vec<usize>,
}

fn cases(wanted: &dyn Fn(&str) -> bool) -> Vec<Case> {
    let v4 = |n: usize| ipv4(n, [198, 18, (n % 2) as u8, (n * 7) as u8], &[]);
    let v6 = |n: usize| ipv6(n);
    let tagged = |n: usize| ipv4(n, [198, 18, (n % 2) as u8, (n * 7) as u8], &[0x81, 0, 0, 10]);
    let bad = |n: usize| {
        let mut frame = v4(n);
        if n % 33 == 7 {
            frame[24] ^= 0x40;
        }
        frame
    };
    let mixed = |n: usize| if n.is_multiple_of(2) { v4(n / 2) } else { v6(n / 2) };
    let small = |name, config: &str, frame: &dyn Fn(usize) -> Vec<u8>| Case {
        name,
        config: config.to_owned(),
        routes: RouteTable::default(),
        frames: (0..FRAMES).map(frame).collect(),
        sizes: vec![1, 4, 16, 32, 64],
    };
    let mut cases = vec![
        small("ipv4", PLAIN, &v4),
        small("ipv6", PLAIN, &v6),
        small("vlan", VLAN, &tagged),
        small("bad3", PLAIN, &bad),
        small("mixed", PLAIN, &mixed),
    ];
    cases.extend(internet::cases(wanted));
    cases.extend(lists::cases(wanted));
    cases
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

/// Cycles a packet.
struct Round {
    walk: f64,
    rows: Vec<(String, f64)>,
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

fn round(client: &mut Client, frames: &[Vec<u8>], size: usize) -> Round {
    let fia = FiaBuilder::router();
    let names = fia.names();
    let layout = CounterLayout::new(names.len(), 2, client.uidb_limit()).with_rules(1 << 17);
    let mut totals = CounterTotals::new(layout);
    let attached = client.attach("bench").unwrap_or_else(|error| panic!("{error}"));
    let pool = Pool::Native(NativePool::new(1024, 2048));
    let mut ppe = Ppe::new(PpeParts {
        lcore: 0,
        fia: fia.build(Isa::detect()),
        rx: vec![PolledQueue::new(0, Box::new(Replay { frames: frames.to_vec(), next: 0, size }))],
        tx: vec![Box::new(Discard), Box::new(Discard)],
        pool: pool.cache(0),
        region: attached.1,
        state: Some(client.state()),
        reader: attached.0,
        counters: totals.add_lcore(),
    });
    let mut work: Vec<SlowWork> = Vec::new();
    for vector in 0..VECTORS {
        if vector == VECTORS / 8 {
            // Caches and predictors are warm.
            totals.clear();
        }
        ppe.poll_queue(0, Nanos(vector as u64 * 1000), &mut work);
        work.clear();
    }
    let packets = totals.event(LoopEvent::WalkPackets).max(1) as f64;
    let rows = names.iter().enumerate().map(|(n, name)| {
        let row = totals.row(n);
        ((*name).to_owned(), row.sampled_cycles as f64 / row.sampled_packets.max(1) as f64)
    });
    Round { walk: totals.event(LoopEvent::WalkCycles) as f64 / packets, rows: rows.collect() }
}

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
        *burst.parts().resized = PacketMask::EMPTY;
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
