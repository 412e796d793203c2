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

use std::process::ExitCode;

use contest::BenchError;
use qfp::pal::lcore::CpuId;

use cases::Bench;
use report::Report;
use rivals::Peers;

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
    contest::bench(|words, cpus| {
        let names = words.others(&["quick"]);
        let large = names.iter().any(|name| name.contains("100k"));
        let rounds = if words.has("quick") { 7 } else { 31 };
        run(&Effort { rounds, large, names }, cpus[0])
    })
}

fn run(effort: &Effort, cpu: CpuId) -> Result<usize, BenchError> {
    let mut report = Report::default();
    let sets = set::sets(effort.large)?;
    let peers = Peers::start(effort.large);
    Bench { effort, peers: &peers, cpu }.run(&sets, &mut report)?;
    report.finish()?;
    Ok(report.wrong)
}
