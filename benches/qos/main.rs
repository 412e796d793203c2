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
#[path = "../common/cpu_time.rs"]
mod cpu_time;
mod kind;
mod ours;
#[cfg(feature = "dpdk")]
mod peers;
#[path = "../common/pinned.rs"]
mod pinned;
mod report;
#[path = "../common/results.rs"]
mod results;
mod rivals;
mod sharing;
#[path = "../common/spread.rs"]
mod spread;
mod traffic;

use std::process::ExitCode;

use qfp::pal::lcore::{CpuId, LcoreId, LcoreSpec};

use pinned::{BenchError, conclude, pinned};
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

fn main() -> ExitCode {
    let mut effort = Effort { rounds: 31, packets: 1 << 21, sharing_ms: 1000 };
    for arg in std::env::args().skip(1) {
        match arg.as_str() {
            "quick" => effort = Effort { rounds: 9, packets: 1 << 19, sharing_ms: 200 },
            "--bench" => {}
            _ => {
                eprintln!("{arg}: not known; there is `quick`");
                return ExitCode::from(2);
            }
        }
    }
    conclude(measure(effort))
}

/// Everything on one CPU, then what takes two. No result can be wrong.
fn measure(effort: Effort) -> Result<usize, BenchError> {
    let (mut report, cpus) = pinned(move |cpus| Ok((run(effort)?, cpus.to_vec())))?;
    sharing::run(effort.sharing_ms, &cpus, &mut report)?;
    report.finish()?;
    Ok(0)
}

fn run(effort: Effort) -> Result<Report, BenchError> {
    let mut report = Report::default();
    let peers = Peers::start();
    accuracy::run(effort.packets, &peers, &mut report)?;
    cost::run(effort, &peers, &mut report)?;
    Ok(report)
}

/// An lcore on `cpu`.
fn lcore(id: u16, cpu: CpuId) -> LcoreSpec {
    LcoreSpec { id: LcoreId(id), cpu, name: format!("bench-{id}") }
}
