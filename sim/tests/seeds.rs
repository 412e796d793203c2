//! Lives of many seeds: none violates an invariant, and bugs that are planted are found.
//!
//! `QFP_SEEDS` is the number of lives; 100 000 of them are in `make nightly`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use pal::faults::Plant;

/// Seeds in which something was found that has been mended, and what.
const FOUND: [(u64, &str); 3] = [
    (1, "a report of a static neighbour that is older than a commit takes it back to where it was"),
    (3, "a neighbour that goes while the data plane is replaced stays for ever"),
    (89, "and so it does when the client dies before the next data plane has heard of it"),
];

/// A bug is found within so many seeds.
const WITHIN: u64 = 10_000;

/// The first of `0..count` that violates an invariant, and which; and how many were looked at.
fn first(count: u64, plant: Option<Plant>) -> Option<(u64, String)> {
    let threads = std::thread::available_parallelism().unwrap().get();
    let (next, found) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let look = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= count || !found.lock().unwrap().is_empty() {
                return;
            }
            if let Some(violation) = sim::run(seed, plant, false).violation {
                found.lock().unwrap().push((seed, violation));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(look);
        }
    });
    found.into_inner().unwrap().into_iter().min()
}

#[test]
fn no_seed_violates_an_invariant() {
    let seeds = std::env::var("QFP_SEEDS").map_or(2000, |count| count.parse().unwrap());
    assert_eq!(first(seeds, None), None);
}

#[test]
fn what_was_found_once_is_found_no_more() {
    for (seed, what) in FOUND {
        assert_eq!(sim::run(seed, None, false).violation, None, "seed {seed}: {what}");
    }
}

#[test]
fn every_planted_bug_is_found() {
    for plant in Plant::ALL {
        let found = first(WITHIN, Some(plant));
        let (seed, violation) = found.unwrap_or_else(|| (WITHIN, "nothing".to_owned()));
        println!("{plant:?}: seed {seed}: {violation}");
        assert!(seed < WITHIN, "{plant:?} is not found");
    }
}

#[test]
fn a_seed_is_the_same_life_every_time() {
    for seed in 0..20 {
        let lives = [0; 2].map(|_| sim::run(seed, None, true).story.to_string());
        assert_eq!(lives[0], lives[1], "seed {seed}");
    }
}
