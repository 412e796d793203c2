//! Steps without a line of unsafe code cannot reach memory that is not their packets'. The fuzz
//! target `meddle` does the same under the address sanitizer.
#![forbid(unsafe_code)]

#[expect(clippy::expect_used, reason = "a rig that cannot be built is a failed test")]
#[path = "../fuzz/fuzz_targets/meddle/router.rs"]
mod router;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use router::Router;

#[test]
fn steps_may_do_anything_to_packets_and_every_buffer_comes_back() {
    let mut router = Router::new();
    for seed in 0..2_000 {
        let mut random = SmallRng::seed_from_u64(seed);
        let mut script = vec![0; random.random_range(10..600)];
        random.fill(script.as_mut_slice());
        eprintln!("seed {seed}");
        router.run(&script);
    }
}
