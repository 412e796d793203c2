//! The crypto engine against other software, one core.
//!
//! `cargo bench --bench crypto [--features dpdk] [-- quick] [-- WORD...]`
//!
//! - Ours: `CryptoEngine`, each tier this processor runs, in batches of 64 packets.
//! - Peers: `aws-lc-rs`, the RustCrypto crates, and with feature `dpdk` the cryptodevs
//!   `crypto_aesni_gcm` and `crypto_aesni_mb` (Intel's multi-buffer library).
//! - Cases: `algorithm/seal or open/bytes/SAs/tier`; words select the cases whose name holds all
//!   of them. With more than one SA each packet is of a random one.
//!
//! Packets lie as in ESP: SPI, number, IV, payload, tag, at an odd place in their buffers. Only
//! the work itself is timed, by CPU time of the thread; jobs, operations and nonces are made
//! before. Contestants take turns on every batch, each with its own buffers. Every ciphertext is
//! compared with that of the portable tier. Writes `target/qfp-bench/crypto.json`.
//!
//! `OPENSSL_ia32cap=":~0x600d0230000"` takes AVX-512 and VAES from `aws-lc-rs`, for a comparison
//! with tier `aesni`.

#![deny(unsafe_code)]

mod aws_lc;
mod cases;
mod contest;
mod cpu_time;
#[cfg(feature = "dpdk")]
mod cryptodev;
mod ours;
mod packets;
mod report;
mod rust_crypto;

use std::process::ExitCode;

use qfp::pal::lcore::{CpuId, LaunchError, LcoreError, LcoreId, LcoreSpec, allowed_cpus, launch};

/// Why the bench ends early.
#[derive(Debug, thiserror::Error)]
enum BenchError {
    /// The thread cannot be pinned.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// The thread ended early.
    #[error(transparent)]
    Lcore(#[from] LcoreError),
    /// Our engine does not start.
    #[error(transparent)]
    Start(#[from] qfp::core::crypto::StartError),
    /// A key is refused.
    #[error(transparent)]
    Key(#[from] qfp::core::crypto::KeyError),
    /// The report cannot be written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// How much is measured.
#[derive(Clone, Debug)]
struct Effort {
    /// Batches of each case.
    rounds: usize,
    /// Whether few sizes and numbers of SAs are enough.
    quick: bool,
    /// What the names of cases must hold.
    words: Vec<String>,
}

fn main() -> ExitCode {
    let mut effort = Effort { rounds: 61, quick: false, words: Vec::new() };
    for arg in std::env::args().skip(1) {
        match arg.as_str() {
            "quick" => effort.quick = true,
            "--bench" => {}
            _ => effort.words.push(arg),
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
    let cpu: CpuId = cpus[cpus.len() - 1];
    let spec = LcoreSpec { id: LcoreId(0), cpu, name: "bench".to_owned() };
    let wrong = launch(vec![spec], move |_| cases::run(&effort))?.join()?;
    wrong.into_iter().sum()
}
