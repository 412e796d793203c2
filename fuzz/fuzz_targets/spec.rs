//! Any text read as a SPEC: it is refused, or prints as a SPEC that means the same.
#![no_main]

use hal::Spec;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(spec) = Spec::parse(text) {
        assert_eq!(Spec::parse(&spec.to_string()).ok(), Some(spec));
    }
});
