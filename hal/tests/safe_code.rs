//! No safe call breaks a frame, whatever is called in whatever order. The fuzz target `bursts` makes
//! the same calls under the address sanitizer.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "what must not fail in a test")]
#![expect(clippy::cast_possible_truncation, reason = "parts of numbers will do")]

#[path = "safe_code/calls.rs"]
mod calls;

use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn frames_keep_their_bytes_whatever_is_called(
        bytes in prop::collection::vec(any::<u8>(), 0..1000),
    ) {
        calls::make(&bytes);
    }
}
