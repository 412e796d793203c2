//! A packet generator: what `synth:` makes, out of any port, as fast as it goes or at a rate.
//!
//! `pktgen --from synth:size=64,flows=4096 --to dpdk:net_memif0 [--mpps 1.5] [--seconds 10] -- EAL args`
//!
//! No router in between: frames go from one port to the other as they are, so two processes can
//! load each other. What comes back on the second port is counted and discarded.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use qfp::hal::spec::Spec;
use qfp::hal::{Arrival, Burst, PacketMask, Pool, Port, PortConfig, Queues, VECTOR};
use qfp::pal::clock::{Clock, TscClock};

/// Buffers for queues and caches.
const BUFFERS: usize = 8192;

/// Sends generated frames out of a port.
#[derive(Parser)]
#[command(name = "pktgen", version)]
struct Args {
    /// Where frames come from: synth:... or pcap:rx=FILE,loop
    #[arg(long, value_name = "SPEC", default_value = "synth:size=64,flows=4096")]
    from: String,
    /// The port they leave through
    #[arg(long, value_name = "SPEC")]
    to: String,
    /// Millions of packets a second; as fast as it goes without it
    #[arg(long, value_parser = positive)]
    mpps: Option<f64>,
    /// Stop after this time
    #[arg(long, value_parser = positive)]
    seconds: Option<f64>,
    /// Largest IP packet, bytes
    #[arg(long, default_value_t = 1500)]
    mtu: u16,
    /// Arguments for DPDK's EAL
    #[arg(last = true)]
    eal: Vec<String>,
}

/// A number above 0 that a clock can count.
fn positive(text: &str) -> Result<f64, &'static str> {
    match text.parse() {
        Ok(number) if number > 0.0 && number <= 1e9 => Ok(number),
        _ => Err("not a number above 0, 1e9 at most"),
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pktgen: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Box<dyn std::error::Error>> {
    let specs = [Spec::parse(&args.from)?, Spec::parse(&args.to)?];
    #[cfg(feature = "dpdk")]
    let eal = match specs.iter().any(|spec| matches!(spec, Spec::Dpdk(_))) {
        true => Some(qfp::hal::dpdk::Eal::init(&args.eal)?),
        false => None,
    };
    let mut from = specs[0].open()?;
    let mut to = specs[1].open()?;
    let room = usize::from(args.mtu) + 38;
    #[cfg(feature = "dpdk")]
    let pool = match &eal {
        Some(eal) => {
            let frame_room = room.max(2048);
            let config = qfp::hal::dpdk::MbufPoolConfig { frame_room, ..Default::default() };
            Pool::Mbuf(qfp::hal::dpdk::MbufPool::create(eal, &config)?)
        }
        None => Pool::Native(qfp::hal::pool::NativePool::new(BUFFERS, room.max(2048))),
    };
    #[cfg(not(feature = "dpdk"))]
    let pool = Pool::Native(qfp::hal::pool::NativePool::new(BUFFERS, room.max(2048)));
    let config = PortConfig { mtu: args.mtu, ..PortConfig::default() };
    let source = from.start(&config)?;
    let target = to.start(&config)?;
    let sent = generate(args, &pool, source, target)?;
    report(&sent, to.as_ref());
    from.stop()?;
    to.stop()?;
    pool.check_complete()?;
    Ok(())
}

/// What was done, and in which time.
#[derive(Default)]
struct Sent {
    packets: u64,
    refused: u64,
    returned: u64,
    elapsed: Duration,
}

fn generate(
    args: &Args,
    pool: &Pool,
    mut source: Queues,
    mut target: Queues,
) -> Result<Sent, Box<dyn std::error::Error>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let (Some(rx), Some(tx)) = (source.rx.first_mut(), target.tx.first_mut()) else {
        return Err("a port has no queue".into());
    };
    let clock = TscClock::calibrate();
    let mut cache = pool.cache(0);
    let mut burst = Burst::new(cache.origin());
    let mut sent = Sent::default();
    let start = Instant::now();
    let end = args.seconds.map(|seconds| start + Duration::from_secs_f64(seconds));
    while !stop.load(Ordering::Relaxed) && end.is_none_or(|end| Instant::now() < end) {
        let due = args.mpps.map_or(f64::MAX, |mpps| start.elapsed().as_secs_f64() * mpps * 1e6);
        if sent.packets as f64 + VECTOR as f64 > due {
            std::hint::spin_loop();
            continue;
        }
        let count = rx.rx_burst(&mut burst, &mut cache);
        if count == 0 && rx.arrival() == Arrival::Ended {
            break;
        }
        let all = PacketMask::first(count);
        let out = tx.tx_burst(&mut burst, all, &mut cache, clock.now());
        sent.packets += u64::from(out.count());
        sent.refused += u64::from((all - out).count());
        burst.clear();
        if let Some(back) = target.rx.first_mut() {
            sent.returned += back.rx_burst(&mut burst, &mut cache) as u64;
            cache.free(&mut burst, PacketMask::FULL);
            burst.clear();
        }
    }
    sent.elapsed = start.elapsed();
    tx.finish()?;
    Ok(sent)
}

fn report(sent: &Sent, port: &dyn Port) {
    let seconds = sent.elapsed.as_secs_f64();
    println!(
        "{}: sent {} in {seconds:.3} s ({:.3} Mpps), refused {}, came back {}",
        port.info().spec,
        sent.packets,
        sent.packets as f64 / seconds / 1e6,
        sent.refused,
        sent.returned,
    );
}
