//! Model check of the publication protocol: every interleaving and every permitted stale read.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p pal --release --test loom_publication`
#![cfg(loom)]

use loom::cell::UnsafeCell;
use loom::model::Builder;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;
use pal::publication::{Generation, Grace, Publisher, Reader, TableKind};
use pal::region::Block;

const TABLE: TableKind<u64> = TableKind::new(0);

/// Memory for tables; loom reports any access that races with another.
struct Memory([UnsafeCell<u64>; 2]);

// SAFETY: loom checks every access; that is the point of the tests.
unsafe impl Sync for Memory {}

fn memory() -> Arc<Memory> {
    Arc::new(Memory([UnsafeCell::new(10), UnsafeCell::new(11)]))
}

/// The memory cell at `index` as a block; only its numbers are used.
fn block(index: u64) -> Block<u64> {
    // SAFETY: never viewed through a region.
    unsafe { Block::from_raw_parts(index, 1) }
}

fn publish(publisher: &mut Publisher, index: u64) -> Generation {
    let mut root = publisher.draft();
    root.set(TABLE, block(index));
    loop {
        match publisher.publish(&root) {
            Ok(generation) => return generation,
            Err(_) => thread::yield_now(),
        }
    }
}

fn wait(publisher: &Publisher, grace: Grace) {
    while !publisher.all_passed(grace) {
        thread::yield_now();
    }
}

/// One vector: reads the table that the root names.
fn read_table(reader: &Reader, memory: &Memory) {
    let root = reader.root();
    let table = root.block(TABLE).unwrap();
    let index = usize::try_from(table.offset()).unwrap();
    // SAFETY: loom checks that nobody writes the cell meanwhile: that is the point of the test.
    assert_eq!(memory.0[index].with(|cell| unsafe { *cell }), 10 + table.offset());
}

/// Reuses a table's memory.
fn overwrite(memory: &Memory, index: usize) {
    // SAFETY: loom checks that nobody else has the cell: that is the point of the test.
    memory.0[index].with_mut(|cell| unsafe { *cell = 99 });
}

fn check(preemptions: Option<usize>, body: impl Fn() + Send + Sync + 'static) {
    let mut model = Builder::new();
    model.preemption_bound = preemptions;
    model.check(body);
}

// rows: ARC-27
#[test]
fn a_swapped_table_is_not_reused_under_a_reader() {
    check(None, || {
        let memory = memory();
        let mut publisher = Publisher::new();
        publish(&mut publisher, 0);
        let mut reader = publisher.register_reader("reader").unwrap();
        let seen = Arc::clone(&memory);
        let thread = thread::spawn(move || {
            read_table(&reader, &seen);
            reader.quiescent();
            read_table(&reader, &seen);
        });
        publish(&mut publisher, 1);
        let freed = Arc::clone(&memory);
        publisher.retire(move || overwrite(&freed, 0));
        while publisher.reclaim() == 0 {
            thread::yield_now();
        }
        thread.join().unwrap();
    });
}

#[test]
fn a_block_unlinked_in_place_is_not_reused_under_a_reader() {
    check(None, || {
        let memory = memory();
        let link = Arc::new(AtomicU64::new(0));
        let mut publisher = Publisher::new();
        let mut reader = publisher.register_reader("reader").unwrap();
        let (seen, followed) = (Arc::clone(&memory), Arc::clone(&link));
        let thread = thread::spawn(move || {
            for _ in 0..2 {
                reader.quiescent();
                let index = usize::try_from(followed.load(Ordering::Acquire)).unwrap();
                // SAFETY: loom checks that nobody writes the cell meanwhile.
                seen.0[index].with(|cell| unsafe { assert_ne!(*cell, 99) });
            }
        });
        link.store(1, Ordering::Release);
        let grace = publisher.grace_period();
        wait(&publisher, grace);
        overwrite(&memory, 0);
        thread.join().unwrap();
    });
}

#[test]
fn a_reader_that_comes_back_is_waited_for_or_sees_the_new_root() {
    check(Some(4), || {
        let memory = memory();
        let mut publisher = Publisher::new();
        publish(&mut publisher, 0);
        let mut reader = publisher.register_reader("reader").unwrap();
        let seen = Arc::clone(&memory);
        let thread = thread::spawn(move || {
            read_table(&reader, &seen);
            reader.offline(|| ());
            read_table(&reader, &seen);
        });
        publish(&mut publisher, 1);
        let grace = publisher.grace_period();
        wait(&publisher, grace);
        overwrite(&memory, 0);
        thread.join().unwrap();
    });
}

#[test]
fn an_offline_reader_holds_up_nobody() {
    check(None, || {
        let mut publisher = Publisher::new();
        let mut sleeper = publisher.register_reader("sleeper").unwrap();
        sleeper.offline(|| {
            publish(&mut publisher, 0);
            let grace = publisher.grace_period();
            assert!(publisher.all_passed(grace));
            assert_eq!(publisher.generations()[0].generation, None);
        });
        assert_eq!(sleeper.generation(), Generation(1));
    });
}

#[test]
fn generations_grow_and_each_root_is_whole_while_blocks_are_reused() {
    check(Some(3), || {
        let mut publisher = Publisher::new();
        publish(&mut publisher, 1);
        let mut reader = publisher.register_reader("reader").unwrap();
        let thread = thread::spawn(move || {
            let mut last = Generation(0);
            for _ in 0..2 {
                let root = reader.root();
                let table = root.block(TABLE).unwrap();
                // Every generation is published with its own number as the table.
                assert_eq!(table.offset(), root.generation().0);
                assert!(root.generation() >= last);
                last = root.generation();
                reader.quiescent();
            }
        });
        // Two root blocks exist in the model, so these write over ones that were read.
        publish(&mut publisher, 2);
        publish(&mut publisher, 3);
        thread.join().unwrap();
    });
}

#[test]
fn two_readers_are_both_waited_for() {
    check(Some(2), || {
        let memory = memory();
        let mut publisher = Publisher::new();
        publish(&mut publisher, 0);
        let threads = ["a", "b"].map(|name| {
            let mut reader = publisher.register_reader(name).unwrap();
            let seen = Arc::clone(&memory);
            thread::spawn(move || {
                read_table(&reader, &seen);
                reader.quiescent();
                read_table(&reader, &seen);
            })
        });
        publish(&mut publisher, 1);
        let grace = publisher.grace_period();
        wait(&publisher, grace);
        overwrite(&memory, 0);
        for thread in threads {
            thread.join().unwrap();
        }
    });
}
