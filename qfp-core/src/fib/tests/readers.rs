//! Readers look up while the writer changes what they look at.

use super::tables::{CompactTable, Dir24Table, Table, TrieTable, isas, zeroed};
use crate::fib::{Address, LANES, Leaf, Line, Prefix};
use pal::publication::Grace;
use std::sync::atomic::{
    AtomicBool, AtomicU16, AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};

/// Two readers ask for one address all the time. The writer keeps changing everything around it,
/// in no part more specific than its route, so that the blocks on its path come and go, and moves its route between two leaves.
fn readers_see_old_or_new<A: Address + Sync, T: Table<A>>(
    target: A,
    noise: &[Prefix<A>],
    mut writer: T,
    reader: impl Fn() -> T + Sync,
) {
    let (generation, stop) = (AtomicU64::new(1), AtomicBool::new(false));
    let passed = [AtomicU64::new(0), AtomicU64::new(0)];
    let route = Prefix::of(target, A::BITS - 7);
    writer.set(route, Some(Leaf(1))).unwrap();
    std::thread::scope(|scope| {
        for passed in &passed {
            scope.spawn(|| {
                let (table, mut out) = (reader(), [0; LANES]);
                while !stop.load(Acquire) {
                    let now = generation.load(Acquire);
                    for isa in isas() {
                        table.batch(isa, &[target; LANES], u64::MAX, &mut out);
                        assert!(out.iter().all(|&leaf| leaf == 1 || leaf == 2), "{isa:?} {out:?}");
                    }
                    passed.store(now, Release);
                }
            });
        }
        for round in 1..200_u64 {
            let old = passed.iter().map(|passed| passed.load(Acquire)).min().unwrap_or(0);
            generation.store(round + 1, Release);
            // A reader that has passed generation g began after everything stamped g - 1.
            writer.grace(Grace(old.saturating_sub(1)));
            for (i, &p) in noise.iter().enumerate() {
                let leaf = (round + i as u64) % 3;
                let leaf = (leaf > 0).then_some(Leaf(7 + leaf as u16));
                // Refused now and then, when readers are slow to let go of memory.
                let _ = writer.set(p, leaf);
            }
            let _ = writer.set(route, Some(Leaf(1 + (round % 2) as u16)));
        }
        stop.store(true, Release);
    });
    assert!(generation.load(Relaxed) > 1);
}

#[test]
fn dir24_readers_see_the_old_leaf_or_the_new() {
    let (tbl24, tbl8) = (zeroed::<AtomicU16>(1 << 24), zeroed::<AtomicU16>(256 * 16));
    let target = 0x0a01_0203_u32;
    let noise: Vec<_> =
        (0..40).map(|i| Prefix::of(target ^ (0x80 << (i % 9)), 18 + i % 15)).collect();
    let make = || Dir24Table::new(&tbl24, &tbl8);
    readers_see_old_or_new(target, &noise, make(), make);
}

#[test]
fn compact_readers_see_the_old_leaf_or_the_new() {
    let (root, lines) = (zeroed::<AtomicU32>(1 << 16), zeroed::<Line>(1 << 10));
    let target = 0x0a01_0203_u32;
    let noise: Vec<_> =
        (0..600_u32).map(|i| Prefix::of(0x0a01_8000 + (i << 5), 20 + (i % 13) as u8)).collect();
    let make = || CompactTable::new(&root, &lines);
    readers_see_old_or_new(target, &noise, make(), make);
}

#[test]
fn trie_readers_see_the_old_leaf_or_the_new() {
    let (root, lines) = (zeroed::<AtomicU32>(1 << 16), zeroed::<Line>(1 << 12));
    let deep = zeroed::<AtomicU32>(1 << 8);
    let target = 0x2001_0db8_0001_0002_0003_0004_0005_0006_u128;
    let noise: Vec<_> = (0..120_u32)
        .map(|i| Prefix::of(target ^ (1 << (8 + i % 96)), 26 + (i % 103) as u8))
        .collect();
    let make = || TrieTable::new(&root, &lines, &deep);
    readers_see_old_or_new(target, &noise, make(), make);
}
