//! Whole ESP in the walk: TSC cycles a packet of a tunnel, one lcore, full vectors.
//!
//! Two gateways: what the west encapsulates, the east decapsulates. A packet is timed from where
//! its vector has been received to where it would be transmitted, both of its walks with it:
//! parse, route to the tunnel, `esp-encap`, parse the outer packet, route it, rewrite; and back.
//! Below each case stand its rows, sampled as in a router's reports, which leave out what takes longer
//! than an interruption, as CBC does. Inner packets have the named size; receive and transmit queues
//! are not timed.
//!
//! Each sample is the median of its vectors, so what interrupts some of them does not count.
//!
//! `cargo bench --bench esp [-- REGEX] [--save-baseline NAME | --baseline NAME]`

#![deny(unsafe_code)]

mod gateway;
mod queues;

use std::process::ExitCode;

use contest::{BenchError, Cycles};
use criterion::Criterion;
use qfp::core::crypto::Algorithm;
use qfp::hal::VECTOR;
use qfp::pal::clock::{Clock, TscClock, rdtsc};

use gateway::{Gateway, GatewayError, Side};

/// Inner packets, bytes.
const SIZES: [usize; 3] = [64, 512, 1400];
const ALGORITHMS: [Algorithm; 4] = [
    Algorithm::Aes128Gcm,
    Algorithm::Aes256Gcm,
    Algorithm::ChaCha20Poly1305,
    Algorithm::Aes128CbcSha256,
];
/// Vectors that the west seals before it is the east's turn.
const VECTORS: usize = 16;

fn main() -> ExitCode {
    contest::bench(|_, _| {
        let mut criterion = contest::criterion();
        let hz = tsc_hz();
        for algorithm in ALGORITHMS {
            for size in SIZES {
                measure(&mut criterion, Way::Encap, (algorithm, size), hz)?;
                measure(&mut criterion, Way::Decap, (algorithm, size), hz)?;
            }
        }
        criterion.final_summary();
        Ok(0)
    })
}

/// What is timed.
#[derive(Clone, Copy, Debug)]
enum Way {
    Encap,
    Decap,
}

/// Measures one way with packets of one size.
fn measure(
    criterion: &mut Criterion<Cycles>,
    way: Way,
    (algorithm, size): (Algorithm, usize),
    hz: f64,
) -> Result<(), BenchError> {
    let (of, row) = match way {
        Way::Encap => ("encap", "esp-encap"),
        Way::Decap => ("decap", "esp-decap"),
    };
    let mut tunnel = None;
    let mut failed = None;
    criterion.bench_function(&format!("{}/{of}/{size}", algorithm.name()), |bencher| {
        bencher.iter_custom(|packets| {
            if tunnel.is_none() {
                tunnel = Tunnel::new(algorithm, size).map_err(|error| failed = Some(error)).ok();
            }
            let cycles = tunnel.as_mut().map(|tunnel| tunnel.run(way, packets));
            match cycles {
                Some(Ok(cycles)) => cycles * packets as f64,
                Some(Err(error)) => {
                    failed = Some(error);
                    packets as f64
                }
                None => packets as f64,
            }
        });
    });
    if let Some(error) = failed {
        return Err(error.into());
    }
    if let Some(tunnel) = tunnel {
        tunnel.print(way, row, size, hz);
    }
    Ok(())
}

/// Two gateways, and packets that want to get through.
struct Tunnel {
    west: Gateway,
    east: Gateway,
    clear: Vec<Vec<u8>>,
    /// Cycles a packet of the last sample.
    cycles: f64,
}

impl Tunnel {
    fn new(algorithm: Algorithm, size: usize) -> Result<Self, GatewayError> {
        let mut west = Gateway::new(Side::West, algorithm)?;
        let mut east = Gateway::new(Side::East, algorithm)?;
        let clear = gateway::clear_frames(size);
        check(&mut west, &mut east, &clear)?;
        Ok(Self { west, east, clear, cycles: 0.0 })
    }

    /// Takes as many packets through; the median cycles a packet.
    fn run(&mut self, way: Way, packets: u64) -> Result<f64, GatewayError> {
        let turns = packets.div_ceil((VECTORS * VECTOR) as u64);
        let mut vectors = Vec::new();
        for _ in 0..turns {
            let mut sealed = Vec::with_capacity(VECTORS * VECTOR);
            for _ in 0..VECTORS {
                let cycles = self.west.walk(&self.clear)?;
                sealed.append(&mut self.west.take_sent());
                if let Way::Encap = way {
                    vectors.push(cycles);
                }
            }
            if let Way::Decap = way {
                for vector in sealed.chunks(VECTOR) {
                    vectors.push(self.east.walk(vector)?);
                    self.east.take_sent().clear();
                }
            }
        }
        vectors.sort_unstable();
        self.cycles = vectors[vectors.len() / 2] as f64 / VECTOR as f64;
        Ok(self.cycles)
    }

    /// Prints rates, and the sampled cycles of each row.
    fn print(&self, way: Way, row: &str, size: usize, hz: f64) {
        let mpps = hz / self.cycles / 1e6;
        let gbits = mpps * size as f64 * 8.0 / 1e3;
        println!("    {row} at {mpps:.2} Mpps, {gbits:.2} Gb/s");
        let gateway = match way {
            Way::Encap => &self.west,
            Way::Decap => &self.east,
        };
        for (name, cycles) in gateway.rows().filter(|(_, cycles)| *cycles > 0.0) {
            println!("    {name:14} {cycles:6.2}");
        }
    }
}

/// What went in at the west comes out at the east, two hops older.
fn check(west: &mut Gateway, east: &mut Gateway, clear: &[Vec<u8>]) -> Result<(), GatewayError> {
    west.walk(clear)?;
    east.walk(&west.take_sent())?;
    let same = |(sent, came): (&Vec<u8>, &Vec<u8>)| {
        sent.len() == came.len() && sent[34..] == came[34..] && sent[22] == came[22] + 2
    };
    if clear.iter().zip(&east.take_sent()).all(same) { Ok(()) } else { Err(GatewayError::Wrong) }
}

fn tsc_hz() -> f64 {
    let clock = TscClock::calibrate();
    let (start, from) = (clock.now(), rdtsc());
    std::thread::sleep(std::time::Duration::from_millis(100));
    let cycles = rdtsc() - from;
    cycles as f64 * 1e9 / clock.now().saturating_since(start) as f64
}
