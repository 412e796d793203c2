//! Forwarding tables against DPDK's, on full Internet tables.
//!
//! `cargo bench --bench fib --features dpdk [-- quick] [-- lpm]`
//!
//! - Ours: `Dir24` as the pipeline uses it (a prefetch pass and a lookup pass for each vector of
//!   64), `Dir24` with the next vector prefetched, `Compact`, `Trie`.
//! - Peers, with feature `dpdk`: `rte_fib` (DIR-24-8, two bytes) and `rte_fib6` (trie, four bytes)
//!   with their AVX-512 lookups; with `lpm` also `rte_lpm`, which takes minutes to load a full
//!   table, and `rte_lpm6`.
//! - Tables: `QFP_RIB_V4`, `QFP_RIB_V6` (`prefix nexthop` lines, plain or zstd), updates:
//!   `QFP_UPDATES_V4`, `QFP_UPDATES_V6` (`A prefix nexthop`, `W prefix`); the default is the
//!   folder `../shared/data/rib`.
//!
//! Everything runs in one process on one pinned thread, contestants in turn; time is CPU time of
//! the thread. Every result is checked. Writes `target/qfp-bench/fib.json`.

#![deny(unsafe_code)]

mod allowed;
mod cases;
mod family;
mod input;
mod layout;
#[cfg(feature = "dpdk")]
mod peers;
mod race;
mod reference;
mod replay;
mod report;
mod rivals;
mod table;
mod traffic;

use std::process::ExitCode;

use contest::BenchError;
use qfp::pal::lcore::CpuId;

use cases::Bench;
use report::Report;
use rivals::Peers;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
struct Effort {
    /// Rounds of a race.
    rounds: usize,
    /// Loads of a table.
    loads: usize,
    /// Updates replayed at most.
    updates: usize,
    /// Addresses that readers look up during a replay.
    replay_keys: usize,
    /// Whether variants of a table are measured on one pattern only.
    quick: bool,
    /// Whether `rte_lpm` and `rte_lpm6` take part.
    lpm: bool,
}

impl Effort {
    const FULL: Self = Self {
        rounds: 31,
        loads: 3,
        updates: usize::MAX,
        replay_keys: 1 << 20,
        quick: false,
        lpm: false,
    };
    const QUICK: Self = Self {
        rounds: 9,
        loads: 1,
        updates: 200_000,
        replay_keys: 1 << 18,
        quick: true,
        lpm: false,
    };
}

fn main() -> ExitCode {
    contest::bench(|words, cpus| {
        words.only(&["quick", "lpm"])?;
        let effort = if words.has("quick") { Effort::QUICK } else { Effort::FULL };
        run(Effort { lpm: words.has("lpm"), ..effort }, cpus)
    })
}

fn run(effort: Effort, cpus: &[CpuId]) -> Result<usize, BenchError> {
    let mut report = Report::default();
    let peers = Peers::start(effort.lpm);
    let bench = Bench { effort, cpus, peers: &peers };
    bench.v4(&mut report)?;
    bench.v6(&mut report)?;
    report.finish()?;
    Ok(report.wrong)
}
