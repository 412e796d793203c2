use super::{Pool, PoolUsage, Span};
use crate::publication::{Publisher, Reader, Seen};
use proptest::prelude::*;

#[test]
fn neighbours_that_come_back_are_one_piece_again() {
    let mut pool = Pool::<u32>::new("lines", 1..101, Publisher::new().clock());
    let (a, b) = (pool.alloc_span(40).unwrap(), pool.alloc_span(60).unwrap());
    assert_eq!((a.first, b.first), (1, 41));
    let full = pool.alloc_span(1).unwrap_err();
    assert_eq!(full.to_string(), "lines: 1 wanted, 0 of 100 free, 0 waiting for readers");
    pool.give_back_span(a);
    pool.give_back_span(b);
    assert_eq!(pool.alloc_span(60), Ok(Span { first: 1, count: 60 }));
    let usage = PoolUsage { what: "lines", in_use: 60, capacity: 100, peak: 100 };
    assert_eq!(pool.usage(), usage);
    assert_eq!(pool.alloc_span(40), Ok(Span { first: 61, count: 40 }));
}

#[test]
fn a_number_that_its_type_cannot_hold_is_not_handed_out() {
    let mut pool = Pool::<u16>::new("leaves", 0xffff..0x1_0001, Publisher::new().clock());
    assert_eq!(pool.alloc(), Ok(0xffff));
    assert!(pool.alloc().is_err());
}

/// What is done to a pool, and by whom it is read.
#[derive(Clone, Debug)]
enum Act {
    Alloc(u32),
    /// One of those in use goes; readers may have seen it, or not.
    Drop(usize, bool),
    /// A reader moves on to what there is now, keeping what it sees from now on if asked.
    Pass(usize, bool),
    Housekeep,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => (1_u32..6).prop_map(Act::Alloc),
        3 => (any::<usize>(), prop::bool::weighted(0.8)).prop_map(|(n, seen)| Act::Drop(n, seen)),
        3 => (0..3_usize, prop::bool::weighted(0.3)).prop_map(|(n, keep)| Act::Pass(n, keep)),
        2 => Just(Act::Housekeep),
    ];
    prop::collection::vec(act, 0..200)
}

/// A reader, and since when it keeps what it sees.
struct Lagging {
    reader: Reader,
    kept: Option<Seen>,
    /// Steps of the oracle that it may still have seen something of.
    since: usize,
}

proptest! {
    /// The oracle knows of each unit until when it was in use, and of each reader since when it has
    /// not moved on.
    #[test]
    fn nothing_is_handed_out_that_a_reader_may_see_and_nothing_is_lost(acts in acts()) {
        const UNITS: u32 = 24;
        let mut publisher = Publisher::new();
        let mut readers: Vec<Lagging> = (0..3)
            .map(|n| publisher.register_reader(format!("r{n}")).unwrap())
            .map(|reader| Lagging { reader, kept: None, since: 0 })
            .collect();
        let mut pool = Pool::<u32>::new("units", 0..UNITS, publisher.clock());
        let mut used: Vec<Span> = Vec::new();
        // When each unit was unlinked, in steps, if readers could have seen it.
        let mut left = [None::<usize>; UNITS as usize];
        for (step, act) in (1..).zip(acts) {
            match act {
                Act::Alloc(count) => {
                    let Ok(span) = pool.alloc_span(count) else {
                        prop_assert!(pool.free() < UNITS);
                        continue;
                    };
                    for unit in span.first..span.first + span.count {
                        let overlaps = |used: &Span| (used.first..used.first + used.count).contains(&unit);
                        prop_assert!(!used.iter().any(overlaps), "{unit} is in use");
                        let left = left[unit as usize].take();
                        let seen = left.is_some_and(|left| readers.iter().any(|r| r.since < left));
                        prop_assert!(!seen, "a reader may still see {unit}");
                    }
                    used.push(span);
                }
                Act::Drop(which, was_seen) if !used.is_empty() => {
                    let span = used.swap_remove(which % used.len());
                    if was_seen {
                        left[span.first as usize..][..span.count as usize].fill(Some(step));
                        pool.retire_span(span);
                    } else {
                        pool.give_back_span(span);
                    }
                }
                Act::Drop(..) => {}
                Act::Pass(which, keeps) => {
                    let one = &mut readers[which];
                    match one.kept.filter(|_| keeps) {
                        Some(kept) => one.reader.quiescent_since(kept),
                        None => {
                            one.reader.quiescent();
                            one.since = step;
                            one.kept = keeps.then(|| one.reader.root().seen());
                        }
                    }
                }
                Act::Housekeep => {
                    publisher.reclaim();
                    pool.reclaim(|_| ());
                }
            }
            let in_use: u32 = used.iter().map(|span| span.count).sum();
            prop_assert_eq!(in_use + pool.free() + pool.waiting(), UNITS);
        }
        // Everybody moves on: all of it comes back, in one piece.
        used.into_iter().for_each(|span| pool.retire_span(span));
        for _ in 0..2 {
            publisher.reclaim();
            readers.iter_mut().for_each(|one| one.reader.quiescent());
        }
        publisher.reclaim();
        pool.reclaim(|_| ());
        prop_assert_eq!((pool.waiting(), pool.alloc_span(UNITS).is_ok()), (0, true));
    }
}
