//! With `QFP_APART` in the environment, the data plane of `l3fwd` runs in a process of its own.

/// Options of `l3fwd` for that.
pub(crate) fn options() -> &'static [&'static str] {
    match std::env::var_os("QFP_APART") {
        Some(_) => &["--ucode", env!("CARGO_BIN_EXE_qfp-ucode")],
        None => &[],
    }
}
