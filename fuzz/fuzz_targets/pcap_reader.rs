//! Any bytes read as a capture: the reader ends, without panic, after at most one packet for each
//! record header that fits the input, and time never goes backwards.
#![no_main]

use hal::pcap::Reader;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut reader) = Reader::new(bytes) else { return };
    let mut last = reader.time();
    while let Ok(true) = reader.advance() {
        assert!(reader.time() >= last);
        last = reader.time();
        assert!(reader.frame().len() <= bytes.len());
        assert!(reader.packets() <= bytes.len() as u64 / 16);
    }
    assert!(reader.frame().is_empty());
});
