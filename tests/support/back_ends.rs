//! The same forwarder twice: in one process, and with a data plane in a process of its own.

use std::path::PathBuf;

use qfp::Forwarder;

/// A forwarder for each of the driver's back-ends.
pub(crate) fn back_ends(forwarder: impl Fn() -> Forwarder) -> [Forwarder; 2] {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_qfp-ucode"));
    [forwarder(), forwarder().apart(program)]
}
