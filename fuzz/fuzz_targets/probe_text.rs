//! Any text as a packet to be explained: refused with one line, or a packet.
#![no_main]

use libfuzzer_sys::fuzz_target;
use qfp::explain::Probe;

fuzz_target!(|text: &str| {
    match text.parse::<Probe>() {
        Err(error) => assert!(!error.to_string().contains('\n'), "{error}"),
        Ok(probe) => assert_eq!(probe.src.is_ipv4(), probe.dst.is_ipv4()),
    }
});
