#![cfg(not(loom))]

use super::{
    Generation, MAX_READERS, MAX_ROOTS, PublishError, Publisher, Reader, RegisterError, TableError,
    TableKind, TableReader, TableShape,
};
use crate::region::{Block, HugePages, ReadWrite, Region, ViewError};
use std::cell::UnsafeCell;
use std::os::fd::AsFd;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

const TABLE: TableKind<u64> = TableKind::new(7);
const OTHER: TableKind<u64> = TableKind::new(31);
static SHAPES: [TableShape; 2] =
    [TableShape::of("TABLE", TABLE, 1), TableShape::of("OTHER", OTHER, 0).written()];
const PATIENCE: Duration = Duration::from_secs(60);

fn region() -> Region {
    Region::anonymous(1 << 20, HugePages::Never).unwrap()
}

/// A block by its numbers alone.
fn block(offset: u64, len: u64) -> Block<u64> {
    // SAFETY: never viewed through a region.
    unsafe { Block::from_raw_parts(offset, len) }
}

#[test]
fn a_root_carries_over_what_a_commit_does_not_change() {
    let mut publisher = Publisher::new();
    let reader = publisher.register_reader("r").unwrap();
    assert_eq!(reader.generation(), Generation(0));
    assert_eq!(reader.root().block(TABLE), None);
    let mut root = publisher.draft();
    root.set(TABLE, block(0, 0)).set(OTHER, block(128, 3));
    publisher.publish(&root).unwrap();
    let mut root = publisher.draft();
    root.clear(TABLE);
    assert_eq!(reader.root().block(TABLE), Some(block(0, 0)));
    assert_eq!(publisher.publish(&root), Ok(Generation(2)));
    assert_eq!(reader.root().block(TABLE), None);
    assert_eq!(reader.root().block(OTHER), Some(block(128, 3)));
}

#[test]
fn a_grace_period_ends_with_the_last_quiescent_state() {
    let mut publisher = Publisher::new();
    let mut a = publisher.register_reader("a").unwrap();
    let mut b = publisher.register_reader("b").unwrap();
    let grace = publisher.grace_period();
    a.quiescent();
    assert!(!publisher.all_passed(grace));
    assert_eq!(publisher.wait(grace, Duration::ZERO).unwrap_err().behind, ["b"]);
    b.offline(|| assert!(publisher.all_passed(grace)));
    assert!(publisher.all_passed(grace));
    let grace = publisher.grace_period();
    a.quiescent();
    drop(b);
    assert!(publisher.all_passed(grace));
}

#[test]
fn what_is_kept_beyond_a_vector_holds_up_the_grace_periods_that_came_after_it() {
    let mut publisher = Publisher::new();
    let mut reader = publisher.register_reader("r").unwrap();
    let kept = reader.root().seen();
    let first = publisher.grace_period();
    reader.quiescent_since(kept);
    assert!(!publisher.all_passed(first));
    let later = reader.root().seen();
    assert!(later > kept);
    let second = publisher.grace_period();
    // What was kept first is given back; what came after the first grace period holds up no more
    // than the second.
    reader.quiescent_since(later);
    assert!(publisher.all_passed(first));
    assert!(!publisher.all_passed(second));
    reader.quiescent();
    assert!(publisher.all_passed(second));
}

#[test]
fn retired_things_are_freed_once_and_not_early() {
    let mut publisher = Publisher::new();
    let mut reader = publisher.register_reader("r").unwrap();
    let freed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&freed);
    publisher.retire(move || {
        count.fetch_add(1, Ordering::Relaxed);
    });
    for _ in 0..3 {
        assert_eq!(publisher.reclaim(), 0);
    }
    assert_eq!((publisher.retired(), freed.load(Ordering::Relaxed)), (1, 0));
    reader.quiescent();
    assert_eq!((publisher.reclaim(), publisher.reclaim()), (1, 0));
    assert_eq!((publisher.retired(), freed.load(Ordering::Relaxed)), (0, 1));
}

#[test]
fn a_stuck_reader_stops_commits_and_is_named() {
    let mut publisher = Publisher::new();
    let mut reader = publisher.register_reader("stuck").unwrap();
    let root = publisher.draft();
    for _ in 1..MAX_ROOTS {
        publisher.publish(&root).unwrap();
    }
    let error = publisher.publish(&root).unwrap_err();
    assert_eq!(error, PublishError::ReadersBehind { behind: vec!["stuck".into()] });
    assert_eq!(publisher.generations()[0].generation, Some(Generation(0)));
    reader.quiescent();
    assert_eq!(publisher.publish(&root), Ok(Generation(MAX_ROOTS as u64)));
}

#[test]
fn slots_are_given_out_again() {
    let mut publisher = Publisher::new();
    let mut readers: Vec<Reader> =
        (0..MAX_READERS).map(|n| publisher.register_reader(format!("r{n}")).unwrap()).collect();
    let full = publisher.register_reader("late").unwrap_err();
    assert_eq!(full, RegisterError::Full { name: "late".into() });
    drop(readers.swap_remove(3));
    readers.push(publisher.register_reader("late").unwrap());
    assert_eq!(publisher.generations()[3].name, "late");
    assert_eq!(publisher.generations().len(), MAX_READERS);
}

/// Memory whose every access is checked by miri and ThreadSanitizer.
struct Memory([UnsafeCell<u64>; 8]);

// SAFETY: for the protocol under test to prove.
unsafe impl Sync for Memory {}

// rows: ARC-18, ARC-27
#[test]
fn no_reader_ever_sees_memory_that_is_reused() {
    let generations = if cfg!(miri) { 30 } else { 4_000 };
    let memory = Arc::new(Memory([const { UnsafeCell::new(0) }; 8]));
    let done = Arc::new(AtomicBool::new(false));
    let mut publisher = Publisher::new();
    let threads = ["a", "b"].map(|name| {
        let mut reader = publisher.register_reader(name).unwrap();
        let (memory, done) = (Arc::clone(&memory), Arc::clone(&done));
        std::thread::spawn(move || {
            let mut last = Generation(0);
            for vector in 0_u32.. {
                reader.quiescent();
                let root = reader.root();
                if let Some(table) = root.block(TABLE) {
                    let index = usize::try_from(table.offset()).unwrap();
                    // SAFETY: not reused before this reader is quiescent; that is the test.
                    let value = unsafe { *memory.0[index].get() };
                    assert_eq!(Generation(value), root.generation());
                    assert!(root.generation() >= last);
                    last = root.generation();
                }
                if done.load(Ordering::Acquire) {
                    break;
                }
                if vector % 16 == 0 {
                    reader.offline(std::thread::yield_now);
                }
            }
        })
    });
    let free: Arc<std::sync::Mutex<Vec<usize>>> = Arc::new(std::sync::Mutex::new((0..8).collect()));
    let mut old = None;
    for generation in 1..=generations {
        let index = loop {
            publisher.reclaim();
            if let Some(index) = free.lock().unwrap().pop() {
                break index;
            }
            std::thread::yield_now();
        };
        // SAFETY: the cell is free, so no reader has it; that is the test.
        unsafe { *memory.0[index].get() = generation };
        let mut root = publisher.draft();
        root.set(TABLE, block(index as u64, 1));
        while publisher.publish(&root).is_err() {
            std::thread::yield_now();
        }
        if let Some(old) = old.replace(index) {
            let free = Arc::clone(&free);
            publisher.retire(move || free.lock().unwrap().push(old));
        }
    }
    publisher.wait_for_readers(PATIENCE).unwrap();
    done.store(true, Ordering::Release);
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
#[cfg_attr(miri, ignore = "no memory files under miri")]
fn tables_in_a_region_are_swapped_whole_under_running_readers() {
    let region = region();
    let done = Arc::new(AtomicBool::new(false));
    let mut publisher = Publisher::new();
    let mut root = publisher.draft();
    let none = region.alloc::<u64>(1).unwrap().publish();
    root.set(TABLE, none).set(OTHER, none);
    publisher.publish(&root).unwrap();
    let threads = ["a", "b"].map(|name| {
        let reader = publisher.register_reader(name).unwrap();
        let tables = region.map_read_only().unwrap();
        let mut reader = TableReader::new(reader, tables, region.share(), &SHAPES).unwrap();
        let done = Arc::clone(&done);
        std::thread::spawn(move || {
            while !done.load(Ordering::Acquire) {
                reader.quiescent();
                let tables = reader.tables();
                for table in [TABLE, OTHER].map(|kind| tables.view(kind)) {
                    assert_eq!(table.len(), if tables.generation().0 == 1 { 1 } else { 200 });
                    assert!(table.iter().all(|&n| n + 1 == tables.generation().0));
                }
                // Lets the publisher run where there are fewer CPUs than threads.
                reader.offline(std::thread::yield_now);
            }
        })
    });
    let mut old: Vec<Block<u64>> = Vec::new();
    for generation in 1..=500_u64 {
        let mut root = publisher.draft();
        let mut new = Vec::new();
        for kind in [TABLE, OTHER] {
            let mut draft = region.alloc::<u64>(200).unwrap();
            draft.fill(generation);
            let block = draft.publish();
            root.set(kind, block);
            new.push(block);
        }
        publisher.publish(&root).unwrap();
        for block in std::mem::replace(&mut old, new) {
            publisher.retire_block(&region, block);
        }
        publisher.wait_for_readers(PATIENCE).unwrap();
        publisher.reclaim();
    }
    done.store(true, Ordering::Release);
    for thread in threads {
        thread.join().unwrap();
    }
    // Two tables in use, two waiting at most, and the first: everything else was given back.
    assert!(region.used() <= 64 + 4 * 1600_usize.next_multiple_of(64), "{}", region.used());
}

#[test]
#[cfg_attr(miri, ignore = "no memory files under miri")]
fn a_reader_attaches_through_descriptors_and_outlives_its_predecessor() {
    let (tables, slots, state) = (region(), region(), region());
    let mut publisher = Publisher::in_regions(&tables, &slots).unwrap();
    let mut draft = tables.alloc::<u64>(1).unwrap();
    draft[0] = 42;
    let mut root = publisher.draft();
    root.set(TABLE, draft.publish());
    publisher.publish(&root).unwrap();

    // What a process that gets descriptors and a site does; twice, the first one "crashes".
    for _ in 0..2 {
        let site = publisher.register_remote("qfp-ucode/0").unwrap();
        let seen = tables.read_only_fd().unwrap();
        assert!(ReadWrite::from_fd(&seen).is_err(), "tables are written by their owner alone");
        let written = [&slots, &state].map(|one| one.as_fd().try_clone_to_owned().unwrap());
        let reader = TableReader::attach([&seen, &written[0], &written[1]], site, &SHAPES[..1]);
        let mut reader = reader.unwrap();
        assert_eq!(reader.tables().view(TABLE), [42]);
        assert!(reader.tables().view(OTHER).is_empty(), "it was not asked for");
        let grace = publisher.grace_period();
        std::mem::forget(reader);
        assert!(!publisher.all_passed(grace));
        publisher.evict_ended(site.slot, &ExitStatus::default().into());
        assert!(publisher.all_passed(grace));
    }
    let local = Publisher::new().register_remote("x").unwrap_err();
    assert_eq!(local, RegisterError::NotShared { name: "x".into() });
}

/// A publisher whose root names both tables, and a reader of them.
fn two_tables(region: &Region) -> (Publisher, TableReader) {
    let mut publisher = Publisher::new();
    let mut root = publisher.draft();
    let [table, other] = [1, 0].map(|rows| region.alloc::<u64>(rows).unwrap().publish());
    root.set(TABLE, table).set(OTHER, other);
    publisher.publish(&root).unwrap();
    let reader = publisher.register_reader("r").unwrap();
    let tables = region.map_read_only().unwrap();
    let reader = TableReader::new(reader, tables, region.share(), &SHAPES).unwrap();
    (publisher, reader)
}

#[test]
#[cfg_attr(miri, ignore = "no memory files under miri")]
fn a_table_that_is_missing_or_has_another_shape_is_refused_by_its_name() {
    let region = region();
    let (mut publisher, _reader) = two_tables(&region);
    let present = publisher.draft();
    let capacity = region.capacity();
    let narrow = region.alloc::<u32>(8).unwrap().publish();
    let (name, wanted) = ("TABLE", size_of::<u64>());
    let mut refused = |change: &dyn Fn(&mut super::RootDraft)| {
        let mut root = present.clone();
        change(&mut root);
        publisher.publish(&root).unwrap();
        let reader = publisher.register_reader("late").unwrap();
        let tables = region.map_read_only().unwrap();
        TableReader::new(reader, tables, region.share(), &SHAPES).unwrap_err()
    };
    let error = ViewError::NoTable { kind: TABLE.index() };
    assert_eq!(refused(&|root| _ = root.clear(TABLE)), TableError::View { name, error });
    let other = TableKind::<u32>::new(7);
    let error = refused(&|root| _ = root.set(other, narrow));
    assert_eq!(error, TableError::RowSize { name, found: 4, wanted });
    let error = refused(&|root| _ = root.set(TABLE, block(64, 0)));
    assert_eq!(error, TableError::TooFew { name, found: 0, wanted: 1 });
    for len in [capacity as u64 / 8, u64::MAX / 8 + 2] {
        let error = refused(&|root| _ = root.set(TABLE, block(64, len)));
        let outside = |error| matches!(error, ViewError::OutOfBounds { .. });
        assert!(matches!(error, TableError::View { error, .. } if outside(error)), "{error}");
    }
    let error = ViewError::Misaligned { offset: 8, align: 64 };
    assert_eq!(refused(&|root| _ = root.set(TABLE, block(8, 1))), TableError::View { name, error });
}

#[test]
#[cfg_attr(miri, ignore = "no memory files under miri")]
fn a_generation_without_a_table_has_none_and_the_next_that_is_whole_has_all() {
    let region = region();
    let (mut publisher, mut reader) = two_tables(&region);
    assert!(reader.tables().are_whole());
    let (whole, mut lacking) = (publisher.draft(), publisher.draft());
    lacking.clear(OTHER);
    publisher.publish(&lacking).unwrap();
    reader.quiescent();
    assert!(!reader.tables().are_whole());
    assert!(reader.tables().view(TABLE).is_empty());
    publisher.publish(&whole).unwrap();
    assert!(reader.tables().are_whole());
    assert_eq!(reader.tables().view(TABLE), [0]);
    // Whatever type is asked for, no more than the table's bytes are shown.
    assert_eq!(reader.tables().view(TableKind::<u16>::new(7)), [0; 4]);
    assert!(reader.tables().view(TableKind::<u128>::new(7)).is_empty());
}
