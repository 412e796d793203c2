//! Pings of all lengths that padding depends on.

/// The script that sends them.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/interop/pings.sh");

/// How many pings the script sends.
pub(crate) const COUNT: u64 = 19;

/// How many bytes it lets the host repeat.
pub(crate) fn lengths() -> impl Iterator<Item = usize> {
    (0..=17).chain([1300])
}

/// The command that pings `host` from the address `source`; each must be answered.
pub(crate) fn command(host: &str, source: &str) -> String {
    format!("{SCRIPT} {host} -I {source}")
}
