//! Safe calls of bursts, packets and pools in any order: no frame is written by another's calls.
#![no_main]
#![forbid(unsafe_code)]

#[path = "../../hal/tests/safe_code/calls.rs"]
mod calls;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| calls::make(bytes));
