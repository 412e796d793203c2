//! With `QFP_APART` in the environment, the data plane of a forwarder runs in a process of its own.

use std::path::PathBuf;

use qfp::Forwarder;

/// The forwarder with the back-end of its driver that the environment says.
pub(crate) fn back_end(forwarder: Forwarder) -> Forwarder {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_qfp-ucode"));
    match std::env::var_os("QFP_APART") {
        Some(_) => forwarder.apart(program),
        None => forwarder,
    }
}
