//! Whom the router knows, and whom it waits for, as lcores can ask for every message they meter.
//!
//! A set of fingerprints: two buckets of four words for each, so that a question reads two cache
//! lines. The slow path is the only writer. A fingerprint is 64 bits of a keyed hash, so nobody
//! outside can make one that is taken for another; what does not fit, one in 10^9 when as much is
//! in it as it was made for, is taken for a stranger.

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use ahash::RandomState;

use crate::uidb::UidbIndex;

/// Fingerprints in a bucket: half a cache line.
const BUCKET: usize = 4;
/// Words for each fingerprint that has to fit.
const SPARE: usize = 4;

/// One of the two places of a fingerprint; 0 is empty.
#[derive(Default)]
#[repr(align(32))]
struct Bucket([AtomicU64; BUCKET]);

/// The neighbours that the router knows or waits for.
///
/// Of fixed size: nothing is allocated after [`Acquaintance::new`]. Questions take no lock and may
/// come from any thread; they see each change of the slow path soon after it is made.
pub struct Acquaintance {
    buckets: Box<[Bucket]>,
    hasher: RandomState,
}

/// What a fingerprint is of: one word each, so that the two questions never meet.
#[derive(Hash)]
enum Fact {
    Awaited(UidbIndex, IpAddr),
    Known(UidbIndex, IpAddr, [u8; 6]),
}

impl Acquaintance {
    /// An empty set with room for `capacity` facts; 32 bytes for each, up to the next power of two.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let buckets = (capacity.saturating_mul(SPARE) / BUCKET).clamp(2, 1 << 30);
        let buckets = buckets.next_power_of_two();
        Self {
            buckets: (0..buckets).map(|_| Bucket::default()).collect(),
            hasher: RandomState::new(),
        }
    }

    /// Whether the router has asked for `address` on the link of `uidb`, and has no answer yet.
    #[must_use]
    pub fn awaits(&self, uidb: UidbIndex, address: IpAddr) -> bool {
        self.contains(&Fact::Awaited(uidb, address))
    }

    /// Whether `address` on the link of `uidb` is a neighbour that the router sends to, or is
    /// configured, and has this MAC address. Those that have only spoken to it are strangers.
    #[must_use]
    pub fn knows(&self, uidb: UidbIndex, address: IpAddr, mac: [u8; 6]) -> bool {
        self.contains(&Fact::Known(uidb, address, mac))
    }

    pub(super) fn set_awaited(&self, uidb: UidbIndex, address: IpAddr, awaited: bool) {
        self.set(&Fact::Awaited(uidb, address), awaited);
    }

    pub(super) fn set_known(&self, uidb: UidbIndex, address: IpAddr, mac: [u8; 6], known: bool) {
        self.set(&Fact::Known(uidb, address, mac), known);
    }

    fn places(&self, fact: &Fact) -> (u64, [&Bucket; 2]) {
        let print = self.hasher.hash_one(fact).max(1);
        let mask = self.buckets.len() - 1;
        #[expect(clippy::cast_possible_truncation, reason = "the two halves, masked")]
        let places = [print as u32, (print >> 32) as u32];
        (print, places.map(|place| &self.buckets[place as usize & mask]))
    }

    #[inline]
    fn contains(&self, fact: &Fact) -> bool {
        let (print, buckets) = self.places(fact);
        buckets.iter().any(|bucket| bucket.0.iter().any(|word| word.load(Relaxed) == print))
    }

    fn set(&self, fact: &Fact, present: bool) {
        let (print, buckets) = self.places(fact);
        let find =
            |bucket: &Bucket, wanted| bucket.0.iter().position(|w| w.load(Relaxed) == wanted);
        let there = buckets.into_iter().find_map(|bucket| Some((bucket, find(bucket, print)?)));
        match there {
            Some((bucket, at)) if !present => bucket.0[at].store(0, Relaxed),
            None if present => {
                // The emptier of the two: that is what keeps both from filling up.
                let free = |bucket: &&Bucket| {
                    bucket.0.iter().filter(|word| word.load(Relaxed) == 0).count()
                };
                let [one, other] = buckets;
                let bucket = if free(&other) > free(&one) { other } else { one };
                if let Some(at) = find(bucket, 0) {
                    bucket.0[at].store(print, Relaxed);
                }
            }
            _ => {}
        }
    }
}

impl fmt::Debug for Acquaintance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acquaintance").field("buckets", &self.buckets.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(n: u32) -> IpAddr {
        IpAddr::from((0x0a00_0000 + n).to_be_bytes())
    }

    #[test]
    fn as_many_facts_as_it_was_made_for_fit_and_no_others_are_seen() {
        let set = Acquaintance::new(50_000);
        let mac = [2, 0, 0, 0, 0, 7];
        for n in 0..25_000 {
            set.set_awaited(UidbIndex(3), host(n), true);
            set.set_known(UidbIndex(3), host(n), mac, true);
        }
        for n in 0..25_000 {
            assert!(set.awaits(UidbIndex(3), host(n)) && set.knows(UidbIndex(3), host(n), mac));
            assert!(!set.awaits(UidbIndex(4), host(n)) && !set.knows(UidbIndex(4), host(n), mac));
            assert!(!set.knows(UidbIndex(3), host(n), [2, 0, 0, 0, 0, 8]));
            assert!(!set.awaits(UidbIndex(3), host(n + 25_000)));
        }
        for n in 0..25_000 {
            set.set_awaited(UidbIndex(3), host(n), false);
        }
        assert!((0..25_000).all(|n| !set.awaits(UidbIndex(3), host(n))));
        assert!((0..25_000).all(|n| set.knows(UidbIndex(3), host(n), mac)));
    }

    #[test]
    fn more_than_fits_is_taken_for_strangers_and_can_still_be_removed() {
        let set = Acquaintance::new(1);
        for n in 0..100 {
            set.set_awaited(UidbIndex(3), host(n), true);
            // Twice is once.
            set.set_awaited(UidbIndex(3), host(n), true);
        }
        let seen = (0..100).filter(|n| set.awaits(UidbIndex(3), host(*n))).count();
        assert!((4..=8).contains(&seen), "{seen}");
        for n in 0..100 {
            set.set_awaited(UidbIndex(3), host(n), false);
        }
        assert!((0..100).all(|n| !set.awaits(UidbIndex(3), host(n))));
    }

    #[test]
    fn both_families_are_told_apart() {
        let set = Acquaintance::new(8);
        let address: IpAddr = "2001:db8::1".parse().unwrap();
        set.set_known(UidbIndex(3), address, [2; 6], true);
        assert!(set.knows(UidbIndex(3), address, [2; 6]) && !set.awaits(UidbIndex(3), address));
        assert!(!set.knows(UidbIndex(3), "32.1.13.184".parse().unwrap(), [2; 6]));
    }
}
