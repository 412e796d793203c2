//! Classification against DPDK's classifier.
//!
//! `cargo bench --bench acl --features dpdk [-- quick] [-- 100k] [-- NAME ...]`
//!
//! - Peers, with feature `dpdk`: `rte_acl` with AVX-512 (32 headers at a time), with AVX2, which
//!   is what DPDK takes unless told otherwise, and with AVX-512 on a table that was allowed more
//!   memory. Each gets the burst size that suits it best.
//! - Rule sets: all pairs of `*.rules.zst` and `*.trace.zst` under `QFP_ACL_DIR`, by default
//!   `../shared/data/acl`. `NAME` chooses cases whose name contains it; `100k` is such a name, and
//!   without it the sets of 100,000 rules do not take part.
//! - Further cases: short lists; three lists in one pass (`features`) against a call for each and
//!   against DPDK's categories; counters on and off; rules that come and go during lookups.
//! - Headers: the set's trace; random ones; "cross", whose fields come from a random rule each.
//!
//! Everything runs in one process on one pinned thread, contestants in turn; time is CPU time of
//! the thread. Every result is checked. Writes `target/qfp-bench/acl.json`.

#![deny(unsafe_code)]

mod cases;
#[path = "../fib/cpu_time.rs"]
mod cpu_time;
mod keys;
mod memory;
mod oracle;
mod ours;
mod packed;
#[cfg(feature = "dpdk")]
mod peers;
mod race;
mod report;
mod rivals;
mod set;
mod traffic;
mod updates;

use std::error::Error;
use std::process::ExitCode;

use qfp::pal::lcore::{CpuId, LcoreId, LcoreSpec, allowed_cpus, launch};

use cases::Bench;
use report::Report;
use rivals::Peers;

/// Any error of the bench.
pub(crate) type BenchError = Box<dyn Error + Send + Sync>;

/// How much is measured.
#[derive(Clone, Debug)]
struct Effort {
    /// Rounds of a race.
    rounds: usize,
    /// Whether sets of 100,000 rules take part.
    large: bool,
    /// Parts of names of cases; none means all.
    names: Vec<String>,
}

impl Effort {
    fn wants(&self, case: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|name| case.contains(name))
    }
}

fn main() -> ExitCode {
    let mut effort = Effort { rounds: 31, large: false, names: Vec::new() };
    for arg in std::env::args().skip(1) {
        match arg.as_str() {
            "quick" => effort.rounds = 7,
            "--bench" => {}
            name if name.starts_with('-') => {
                eprintln!("{name}: not known; there are `quick`, `100k` and names of cases");
                return ExitCode::from(2);
            }
            name => {
                effort.large |= name.contains("100k");
                effort.names.push(name.to_owned());
            }
        }
    }
    match pinned(effort) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(wrong) => {
            eprintln!("{wrong} wrong results");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the bench on the last CPU there is and returns how many results were wrong.
fn pinned(effort: Effort) -> Result<usize, BenchError> {
    let cpus = allowed_cpus()?.cpus().to_vec();
    let cpu = cpus[cpus.len() - 1];
    let spec = LcoreSpec { id: LcoreId(0), cpu, name: "bench".to_owned() };
    let wrong = launch(vec![spec], move |_| run(&effort, cpus[0]))?.join()?;
    wrong.into_iter().sum()
}

fn run(effort: &Effort, cpu: CpuId) -> Result<usize, BenchError> {
    let mut report = Report::default();
    let sets = set::sets(effort.large)?;
    let peers = Peers::start(effort.large);
    Bench { effort, peers: &peers, cpu }.run(&sets, &mut report)?;
    report.finish()?;
    Ok(report.wrong)
}
