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
#[cfg(feature = "dpdk")]
mod cryptodev;
mod ours;
mod packets;
mod race;
mod report;
mod rust_crypto;

use std::process::ExitCode;

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
    contest::bench(|words, _| {
        let quick = words.has("quick");
        cases::run(&Effort { rounds: 61, quick, words: words.others(&["quick"]) })
    })
}
