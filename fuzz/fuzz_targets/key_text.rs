//! Any bytes as the text of a key: refused in one line, or the key that the digits are.
#![no_main]

use client::ipsec::Secret;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Err(error) = Secret::from_hex(bytes) {
        assert!(!error.to_string().contains('\n'), "{error}");
    }
    let digits: String = bytes.iter().map(|byte| format!("{byte:02X} ")).collect();
    assert!(Secret::from_hex(digits.as_bytes()) == Ok(Secret::new(bytes)));
});
