//! The replay window against a set that forgets nothing.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use proptest::prelude::*;

use crate::ipsec::{Window, WindowError, replay_words};

struct Memory {
    highest: AtomicU64,
    words: Vec<AtomicU64>,
    size: u32,
}

impl Memory {
    fn new(size: u32) -> Self {
        let words = (0..replay_words(size).unwrap()).map(|_| AtomicU64::new(0)).collect();
        Self { highest: AtomicU64::new(0), words, size }
    }

    fn window(&self) -> Window<'_> {
        Window::new(&self.highest, &self.words, self.size).unwrap()
    }
}

/// All numbers ever accepted.
#[derive(Default)]
struct Naive(BTreeSet<u64>);

impl Naive {
    fn accept(&mut self, sequence: u64, size: u32) -> bool {
        let highest = self.0.last().copied().unwrap_or(0);
        let covered = sequence > highest.saturating_sub(u64::from(size));
        sequence != 0 && covered && self.0.insert(sequence)
    }
}

/// Steps from the highest number: mostly small ones around the window, sometimes far ahead.
fn step(size: u32) -> impl Strategy<Value = i64> {
    let size = i64::from(size);
    prop_oneof![
        6 => -size - 40..40i64,
        2 => 0..3i64,
        1 => size..4 * size,
        1 => 1 << 20..1i64 << 31,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn the_window_agrees_with_a_set_of_all_numbers(
        size in prop::sample::select(&[64u32, 128, 256, 512, 1024, 2048, 4096][..]),
        start in prop_oneof![Just(0u64), 0..1u64 << 33, any::<u64>().prop_map(|n| n >> 2)],
        seed in prop::collection::vec(step(4096), 1..400),
        small in prop::collection::vec(step(64), 1..400),
    ) {
        let memory = Memory::new(size);
        let window = memory.window();
        let mut naive = Naive::default();
        let mut highest = start;
        for step in seed.into_iter().chain(small) {
            let sequence = highest.saturating_add_signed(step);
            let asked = window.may_accept(sequence);
            let accepted = window.accept(sequence);
            if accepted {
                window.advance(sequence);
            }
            prop_assert_eq!(accepted, naive.accept(sequence, size), "{} of {}", sequence, size);
            prop_assert_eq!(asked, accepted);
            prop_assert!(!window.accept(sequence), "twice");
            highest = highest.max(sequence);
        }
    }

    #[test]
    fn numbers_that_come_together_are_accepted_as_one_by_one(
        size in prop::sample::select(&[64u32, 1024][..]),
        before in prop::collection::vec(1..200u64, 0..20),
        numbers in prop::collection::vec(0..200u64, 0..64),
    ) {
        let (one, all) = (Memory::new(size), Memory::new(size));
        for number in before {
            prop_assert_eq!(one.window().accept(number), all.window().accept(number));
        }
        let accepted = all.window().accept_all(numbers.iter().copied().enumerate());
        for (slot, number) in numbers.into_iter().enumerate() {
            prop_assert_eq!(accepted.contains(slot), one.window().accept(number), "{}", number);
        }
    }

    #[test]
    fn numbers_in_a_row_are_accepted_as_one_by_one(
        size in prop::sample::select(&[64u32, 1024][..]),
        base in prop_oneof![Just(0u64), Just(u64::MAX - 150), 0..1u64 << 33],
        before in prop::collection::vec(0..150u64, 0..40),
        (first, start) in (0..200u64, 0..64usize),
        count in 0..64usize,
    ) {
        let (one, row) = (Memory::new(size), Memory::new(size));
        for number in before {
            for window in [one.window(), row.window()] {
                if window.accept(base + number) {
                    window.advance(base + number);
                }
            }
        }
        let slots = start..(start + count).min(64);
        let first = base.wrapping_add(first);
        let accepted = row.window().accept_row(slots.clone(), first);
        let mut number = first;
        for slot in 0..64 {
            let expected = slots.contains(&slot) && one.window().accept(number);
            prop_assert_eq!(accepted.contains(slot), expected, "{} at {}", number, slot);
            number = number.wrapping_add(u64::from(slots.contains(&slot)));
        }
    }

    /// Whatever lies in the window or less than half a lap ahead is told from its low half.
    #[test]
    fn extended_numbers_are_found_from_their_low_half(
        size in prop::sample::select(&[64u32, 1024, 4096][..]),
        highest in prop_oneof![0..10_000u64, (1u64 << 32) - 5000..(1 << 32) + 5000, 0..1u64 << 60],
        step in prop_oneof![-4096..4096i64, 0..1i64 << 31],
    ) {
        let memory = Memory::new(size);
        memory.highest.store(highest, Relaxed);
        let sequence = highest.saturating_add_signed(step.max(1 - i64::from(size)));
        let found = memory.window().extended(sequence as u32);
        prop_assert_eq!(found, Some(sequence));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    /// A window accepts up to its limit, and one that begins behind the limit of another accepts
    /// nothing that the other has, whatever order numbers come in and however they are handed over.
    #[test]
    fn windows_that_begin_behind_each_other_s_limit_accept_nothing_twice(
        size in prop::sample::select(&[64u32, 256, 4096][..]),
        start in prop_oneof![Just(0u64), (1u64 << 32) - 300..(1 << 32) + 300, 1u64 << 40..1 << 50],
        lives in prop::collection::vec(
            (1..600u64, prop::collection::vec((-700..700i64, 1..64usize), 1..60)),
            1..6,
        ),
    ) {
        let mut accepted = BTreeSet::new();
        let mut mark = start;
        for (ahead, numbers) in lives {
            let memory = Memory::new(size);
            memory.window().resume(mark);
            prop_assert_eq!(memory.highest.load(Relaxed), mark);
            let limit = mark + ahead;
            let window = memory.window().up_to(limit);
            for (step, count) in numbers {
                let first = mark.saturating_add_signed(step);
                let row = window.accept_row(0..count, first);
                for (slot, number) in (0..count).zip(first..) {
                    if row.contains(slot) {
                        prop_assert!(number > mark && number <= limit, "{} of {}", number, mark);
                        prop_assert!(accepted.insert(number), "{} twice", number);
                        window.advance(number);
                    }
                    prop_assert!(!window.accept(number) || accepted.insert(number), "{}", number);
                }
            }
            // What is new and within the limit passes.
            if accepted.insert(limit) {
                prop_assert!(window.accept(limit));
            }
            prop_assert!(!window.accept(limit + 1) && window.may_accept(limit + 1));
            mark = limit;
        }
    }
}

#[test]
fn what_lies_before_the_first_number_is_nothing() {
    let memory = Memory::new(64);
    assert_eq!(memory.window().extended(u32::MAX), None);
    assert!(!memory.window().accept(0));
}

#[test]
fn a_number_is_accepted_once_however_many_lcores_meet_it() {
    let memory = Memory::new(1024);
    let accepted: Vec<AtomicUsize> = (0..20_000).map(|_| AtomicUsize::new(0)).collect();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let window = memory.window();
                for (sequence, count) in (0..).zip(&accepted) {
                    if window.accept(sequence) {
                        count.fetch_add(1, Relaxed);
                    }
                    // As the row does: once for several packets.
                    if sequence % 64 == 0 {
                        window.advance(sequence);
                    }
                }
            });
        }
    });
    assert!(accepted.iter().all(|count| count.load(Relaxed) <= 1));
    assert!(accepted.iter().filter(|count| count.load(Relaxed) == 1).count() > 10_000);
}

#[test]
fn only_powers_of_two_from_64_to_4096_are_windows() {
    for size in [0, 1, 32, 63, 65, 96, 8192, u32::MAX] {
        assert_eq!(replay_words(size), Err(WindowError::Size(size)));
    }
    assert_eq!([64, 128, 4096].map(replay_words), [Ok(4), Ok(8), Ok(256)]);
}
