//! ESP exchanged with strangers, both ways, with counters that are equal on both ends: a Linux
//! kernel, scapy, strongSwan.
//!
//! `make interop` installs them on Debian and runs this; what is not there is skipped aloud. Linux
//! and strongSwan are given network namespaces, for which root is needed.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../support/apart.rs"]
mod apart;
#[path = "../support/capture.rs"]
mod capture;
#[expect(dead_code, reason = "only a part of it is needed here")]
#[path = "../support/l3fwd.rs"]
mod l3fwd;
#[path = "../support/marks.rs"]
mod marks;
#[expect(dead_code, reason = "only a part of it is needed here")]
#[path = "../support/namespaces.rs"]
mod namespaces;
#[expect(dead_code, reason = "only a part of it is needed here")]
#[path = "../support/packets.rs"]
mod packets;

mod agreement;
mod bench;
mod charon;
mod guest;
mod linux;
mod pings;
mod router;
mod scapy;
mod strongswan;
mod xfrm;

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One stranger after the other: they are measured by what they wait for.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a router between namespaces needs of the machine.
const NAMESPACES: [(&str, &str); 4] = [
    ("/usr/sbin/ip", "iproute2"),
    ("/usr/bin/ping", "iputils-ping"),
    ("/usr/bin/kill", "procps"),
    ("/dev/net/tun", "kernel module tun"),
];

/// True when all these files are there; else the first that is not is named aloud, with the package
/// that has it.
fn installed(files: &[(&str, &str)]) -> bool {
    let missing = files.iter().find(|(file, _)| !Path::new(file).exists());
    if let Some((file, package)) = missing {
        eprintln!("skipped: there is no {file} (in Debian: {package})");
    }
    missing.is_none()
}

/// Hexadecimal digits of bytes.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes of hexadecimal digits.
fn unhex(digits: &str) -> Vec<u8> {
    let pair = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(pair).collect()
}
