//! Whole ESP in the walk: TSC cycles a packet of a tunnel, one lcore, full vectors.
//!
//! Two gateways: what the west encapsulates, the east decapsulates. A packet is timed from where
//! its vector has been received to where it would be transmitted, both of its walks with it:
//! parse, route to the tunnel, `esp-encap`, parse the outer packet, route it, rewrite; and back.
//! The row alone is beside it, sampled as in a router's reports, which leave out what takes longer
//! than an interruption, as CBC does. Inner packets have the named size; receive and transmit queues
//! are not timed.
//!
//! Each round takes the median of its vectors, so what interrupts some of them does not count;
//! printed are the median round and the 10 to 90 % of them. Writes `target/qfp-bench/esp.json`.
//!
//! `cargo bench --bench esp [-- quick] [-- WORD...]`: the cases whose name holds all words.

#![deny(unsafe_code)]

mod gateway;
#[path = "../common/pinned.rs"]
mod pinned;
mod queues;
#[path = "../common/results.rs"]
mod results;
#[path = "../common/spread.rs"]
mod spread;

use std::process::ExitCode;

use qfp::core::crypto::Algorithm;
use qfp::hal::VECTOR;
use qfp::pal::clock::{Clock, TscClock, rdtsc};
use serde_json::{Map, Value, json};

use gateway::{BenchError, Gateway, Side};
use pinned::{conclude, pinned};
use results::round;
use spread::Spread;

/// Inner packets, bytes.
const SIZES: [usize; 3] = [64, 512, 1400];
const ALGORITHMS: [Algorithm; 4] = [
    Algorithm::Aes128Gcm,
    Algorithm::Aes256Gcm,
    Algorithm::ChaCha20Poly1305,
    Algorithm::Aes128CbcSha256,
];
/// Vectors that one side takes before it is the other's turn, and turns of a round.
const VECTORS: usize = 16;
const TURNS: usize = 128;

fn main() -> ExitCode {
    let mut words: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let all = words.len();
    words.retain(|word| word != "quick");
    let rounds = if words.len() < all { 7 } else { 31 };
    conclude(pinned(move |_| Ok(run(rounds, &words)?)).map(|()| 0))
}

fn run(rounds: usize, words: &[String]) -> Result<(), BenchError> {
    let hz = tsc_hz();
    let mut entries = Vec::new();
    println!(
        "{:32} {:>7} {:>15} {:>7} {:>7} {:>7}",
        "", "cycles", "10-90 %", "row", "Mpps", "Gb/s"
    );
    for algorithm in ALGORITHMS {
        for size in SIZES {
            let names = ["encap", "decap"].map(|way| format!("{}/{way}/{size}", algorithm.name()));
            let wanted = |name: &str| words.iter().all(|word| name.contains(word.as_str()));
            if !names.iter().any(|name| wanted(name)) {
                continue;
            }
            let samples = case(algorithm, size, rounds)?;
            for (name, samples) in names.iter().zip(samples).filter(|(name, _)| wanted(name)) {
                entries.push(samples.report(name, size, hz));
            }
        }
    }
    println!("TSC cycles a packet, medians of rounds");
    Ok(results::write("esp", &entries)?)
}

/// Cycles a packet, one element a round.
#[derive(Default)]
struct Samples {
    walk: Vec<f64>,
    /// The row that does ESP.
    row: Vec<f64>,
    /// All rows, in the last round.
    rows: Vec<(&'static str, f64)>,
}

impl Samples {
    /// Adds a round: the cycles of each vector, and the counters of the gateway.
    fn add(&mut self, vectors: &mut [u64], gateway: &Gateway, row: &str) {
        vectors.sort_unstable();
        self.walk.push(vectors[vectors.len() / 2] as f64 / VECTOR as f64);
        self.rows = gateway.rows().filter(|(_, cycles)| *cycles > 0.0).collect();
        self.row.extend(self.rows.iter().find(|(name, _)| *name == row).map(|(_, cycles)| cycles));
    }

    /// Prints a line and returns what stands in the file.
    fn report(self, name: &str, size: usize, hz: f64) -> Value {
        let Spread { median: cycles, low, high } = Spread::of(self.walk);
        // A row that always takes longer than an interruption has no samples.
        let row = if self.row.is_empty() { 0.0 } else { Spread::of(self.row).median };
        let mpps = hz / cycles / 1e6;
        let gbits = mpps * size as f64 * 8.0 / 1e3;
        let range = format!("{low:.1}-{high:.1}");
        let shown = if row > 1.0 { format!("{row:.1}") } else { "-".to_owned() };
        println!("{name:32} {cycles:7.1} {range:>15} {shown:>7} {mpps:7.2} {gbits:7.2}");
        let rows: Map<_, _> =
            self.rows.iter().map(|(row, cycles)| ((*row).to_owned(), round(*cycles))).collect();
        json!({
            "case": name, "cycles": round(cycles), "low": round(low), "high": round(high),
            "row": round(row), "mpps": round(mpps), "gbits": round(gbits), "rows": rows,
        })
    }
}

/// Measures encapsulation and decapsulation of one size.
fn case(algorithm: Algorithm, size: usize, rounds: usize) -> Result<[Samples; 2], BenchError> {
    let mut west = Gateway::new(Side::West, algorithm)?;
    let mut east = Gateway::new(Side::East, algorithm)?;
    let clear = gateway::clear_frames(size);
    check(&mut west, &mut east, &clear)?;
    let mut samples = [Samples::default(), Samples::default()];
    // The first round warms caches and predictors.
    for round in 0..=rounds {
        let mut vectors = [const { Vec::new() }; 2];
        west.clear_counters();
        east.clear_counters();
        for _ in 0..TURNS {
            let mut sealed = Vec::with_capacity(VECTORS * VECTOR);
            for _ in 0..VECTORS {
                vectors[0].push(west.walk(&clear)?);
                sealed.append(&mut west.take_sent());
            }
            for vector in sealed.chunks(VECTOR) {
                vectors[1].push(east.walk(vector)?);
                east.take_sent().clear();
            }
        }
        if round > 0 {
            samples[0].add(&mut vectors[0], &west, "esp-encap");
            samples[1].add(&mut vectors[1], &east, "esp-decap");
        }
    }
    Ok(samples)
}

/// What went in at the west comes out at the east, two hops older.
fn check(west: &mut Gateway, east: &mut Gateway, clear: &[Vec<u8>]) -> Result<(), BenchError> {
    west.walk(clear)?;
    east.walk(&west.take_sent())?;
    let same = |(sent, came): (&Vec<u8>, &Vec<u8>)| {
        sent.len() == came.len() && sent[34..] == came[34..] && sent[22] == came[22] + 2
    };
    if clear.iter().zip(&east.take_sent()).all(same) { Ok(()) } else { Err(BenchError::Wrong) }
}

fn tsc_hz() -> f64 {
    let clock = TscClock::calibrate();
    let (start, from) = (clock.now(), rdtsc());
    std::thread::sleep(std::time::Duration::from_millis(100));
    let cycles = rdtsc() - from;
    cycles as f64 * 1e9 / clock.now().saturating_since(start) as f64
}
