//! Policers against DPDK's `rte_meter`: what a packet costs, and how far the rate is off.
//!
//! `cargo bench --bench qos --features dpdk [-- quick]`
//!
//! - Cost: vectors of 64 packets meet 4 096, 65 536 and 524 288 policers at random, all colours
//!   mixed, offered twice the rate. `rte_meter` is measured with and without its meters asked for
//!   a vector ahead; the faster one counts. Policers have one configuration, as the meters have one
//!   profile; `own-rows` is with a configuration for each. There is nothing of DPDK's for one rate
//!   and two colours, whose measure is srTCM; nor is RFC 4115 measured, which is all inline code.
//! - Error: in virtual time, over two million packets at twice the rate, at rates that operators
//!   configure and where `rte_meter` is farthest off.
//! - Sharing: one policer on one and two lcores, in real time.
//!
//! Contestants take turns on one pinned thread; time is CPU time of the thread. Writes
//! `target/qfp-bench/qos.json`.

#![deny(unsafe_code)]

mod accuracy;
mod cost;
mod kind;
mod ours;
#[cfg(feature = "dpdk")]
mod peers;
mod report;
mod rivals;
mod sharing;
mod traffic;

use std::process::ExitCode;

use contest::BenchError;
use qfp::pal::lcore::{CpuId, LcoreId, LcoreSpec};

use report::Report;
use rivals::Peers;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
struct Effort {
    /// Rounds of a race.
    rounds: usize,
    /// Packets from which the error is computed.
    packets: u64,
    /// Milliseconds that lcores share a policer.
    sharing_ms: u64,
}

impl Effort {
    const FULL: Self = Self { rounds: 31, packets: 1 << 21, sharing_ms: 1000 };
    const QUICK: Self = Self { rounds: 9, packets: 1 << 19, sharing_ms: 200 };
}

fn main() -> ExitCode {
    contest::bench(|words, cpus| {
        words.only(&["quick"])?;
        run(if words.has("quick") { Effort::QUICK } else { Effort::FULL }, cpus)
    })
}

/// No result can be wrong.
fn run(effort: Effort, cpus: &[CpuId]) -> Result<usize, BenchError> {
    let mut report = Report::default();
    let peers = Peers::start();
    accuracy::run(effort.packets, &peers, &mut report)?;
    cost::run(effort, &peers, &mut report)?;
    sharing::run(effort.sharing_ms, cpus, &mut report)?;
    report.finish()?;
    Ok(0)
}

/// An lcore on `cpu`.
fn lcore(id: u16, cpu: CpuId) -> LcoreSpec {
    LcoreSpec { id: LcoreId(id), cpu, name: format!("bench-{id}") }
}
