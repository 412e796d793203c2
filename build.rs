//! With feature `dpdk`: stops with one line when DPDK is not installed.

use std::process::{Command, exit};

/// Oldest DPDK that is supported.
const DPDK: &str = "libdpdk >= 22.11";

fn main() {
    // Nothing is printed before DPDK is found: Cargo would repeat it with the error.
    if std::env::var_os("CARGO_FEATURE_DPDK").is_some() && !dpdk_is_installed() {
        eprintln!(
            "DPDK 22.11 or newer not found: install libdpdk-dev and pkg-config (Debian, Ubuntu) \
             or dpdk-devel (Fedora), or build without feature `dpdk`"
        );
        exit(1);
    }
    println!("cargo:rerun-if-changed=build.rs");
    for variable in ["PKG_CONFIG", "PKG_CONFIG_PATH", "PKG_CONFIG_LIBDIR"] {
        println!("cargo:rerun-if-env-changed={variable}");
    }
}

fn dpdk_is_installed() -> bool {
    let tool = std::env::var_os("PKG_CONFIG").unwrap_or_else(|| "pkg-config".into());
    let found = Command::new(tool).args(["--exists", DPDK]).status();
    found.is_ok_and(|status| status.success())
}
