//! `sim`: replays a seed and tells its story, or looks through many.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program")]

use std::ops::Range;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use clap::Parser;
use pal::faults::Plant;

/// Simulates a router with all its faults, from one seed.
#[derive(Parser)]
struct Args {
    /// The seed whose story is told.
    #[arg(required_unless_present = "seeds", conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Seeds A..B to look through: prints those with a violated invariant.
    #[arg(long, value_parser = range, value_name = "A..B")]
    seeds: Option<Range<u64>>,
    /// Threads that look through seeds.
    #[arg(long, default_value_t = 1, value_name = "N")]
    threads: usize,
    /// A bug to be planted.
    #[arg(long, value_parser = plant, value_name = "NAME")]
    plant: Option<Plant>,
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let ends = text.split_once("..").and_then(|(a, b)| Some(a.parse().ok()?..b.parse().ok()?));
    ends.ok_or_else(|| "wanted: A..B".to_owned())
}

fn plant(text: &str) -> Result<Plant, String> {
    let named = |plant: &&Plant| format!("{plant:?}") == text;
    let found = Plant::ALL.iter().find(named).copied();
    found.ok_or_else(|| format!("the bugs are {:?}", Plant::ALL))
}

fn main() -> ExitCode {
    let args = Args::parse();
    // What panics in a simulated router is told as a violation.
    std::panic::set_hook(Box::new(|_| ()));
    let failed = match (args.seed, args.seeds) {
        (Some(seed), _) => {
            let life = sim::run(seed, args.plant, true);
            print!("{}", life.story);
            tell(seed, life.violation)
        }
        (None, seeds) => look_through(seeds.unwrap_or_default(), args.threads, args.plant),
    };
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Says what was violated, if anything was; whether it was.
fn tell(seed: u64, violation: Option<String>) -> bool {
    violation.is_some_and(|violation| {
        eprintln!("seed {seed}: {violation}");
        true
    })
}

/// Tells of seeds with violated invariants; whether there are any.
fn look_through(seeds: Range<u64>, threads: usize, plant: Option<Plant>) -> bool {
    let (next, failed) = (AtomicU64::new(seeds.start), AtomicBool::new(false));
    let look = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            let violated = tell(seed, sim::run(seed, plant, false).violation);
            failed.fetch_or(violated, Ordering::Relaxed);
        }
    };
    std::thread::scope(|scope| (0..threads.max(1)).for_each(|_| drop(scope.spawn(look))));
    failed.into_inner()
}
