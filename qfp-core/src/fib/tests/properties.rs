//! Random lives of tables, step by step and loaded at once.

use super::oracle::{Oracle, Step, life, v4_addr, v6_addr};
use super::tables::{CompactTable, Dir24Table, MASKS, Table, TrieTable, isas, zeroed};
use crate::fib::{Address, LANES, Line};
use pal::publication::Grace;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering::Relaxed};

/// Lives through `steps`, asks for every interesting address, and takes all routes away again.
fn agrees<A: Address>(table: &mut impl Table<A>, steps: &[Step<A>], at_once: bool) {
    let empty = table.bytes_used();
    let mut oracle = Oracle::new();
    let mut graces = (1..).map(Grace);
    let mut all_pass =
        |table: &mut _| graces.next().into_iter().for_each(|grace| Table::grace(table, grace));
    for step in steps {
        for (p, leaf) in step.changes(&oracle) {
            oracle.set(p, leaf);
            if !at_once {
                table.set(p, leaf).unwrap();
                all_pass(table);
            }
        }
    }
    if at_once {
        table.load(oracle.routes()).unwrap();
    }
    for keys in oracle.probes().as_chunks::<LANES>().0 {
        let want = keys.map(|key| oracle.lookup(key));
        assert_eq!(keys.map(|key| table.lookup(key)), want, "keys {keys:x?}");
        for (isa, mask) in isas().flat_map(|isa| MASKS.map(|mask| (isa, mask))) {
            let mut got = [77_777; LANES];
            table.batch(isa, keys, mask, &mut got);
            for i in 0..LANES {
                let want = if mask >> i & 1 == 1 { want[i] } else { 77_777 };
                assert_eq!(got[i], want, "{isa:?} mask {mask:x} lane {i} key {:x?}", keys[i]);
            }
        }
    }
    for (p, _) in oracle.routes() {
        table.set(p, None).unwrap();
        all_pass(table);
    }
    assert_eq!(table.bytes_used(), empty, "all routes are gone but not all memory is free");
}

fn run<A: Address>(
    life: impl Strategy<Value = Vec<Step<A>>>,
    mut check: impl FnMut(Vec<Step<A>>, bool),
) {
    let mut runner = TestRunner::new(ProptestConfig::with_cases(40));
    let check = std::cell::RefCell::new(&mut check);
    let outcome = runner.run(&(life, any::<bool>()), |(steps, at_once)| {
        check.borrow_mut()(steps, at_once);
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn dir24_agrees_with_the_oracle() {
    let (tbl24, tbl8) = (zeroed::<AtomicU16>(1 << 24), zeroed::<AtomicU16>(256 * 4096));
    // Short prefixes are rare: each costs up to 2^24 stores.
    let len = prop_oneof![20 => 13_u8..=32, 1 => 0_u8..=12];
    run(life(v4_addr(), len, 22_u8..=28), |steps, at_once| {
        agrees(&mut Dir24Table::new(&tbl24, &tbl8), &steps, at_once);
    });
    assert!(tbl24.iter().all(|leaf| leaf.load(Relaxed) == 0), "routes are left behind");
}

#[test]
fn compact_agrees_with_the_oracle() {
    let (root, lines) = (zeroed::<AtomicU32>(1 << 16), zeroed::<Line>(1 << 13));
    run(life(v4_addr(), 0_u8..=32, 24_u8..=32), |steps, at_once| {
        agrees(&mut CompactTable::new(&root, &lines), &steps, at_once);
    });
    assert!(root.iter().all(|entry| entry.load(Relaxed) == 0), "routes are left behind");
}

#[test]
fn trie_agrees_with_the_oracle() {
    let (root, lines) = (zeroed::<AtomicU32>(1 << 16), zeroed::<Line>(1 << 15));
    let deep = zeroed::<AtomicU32>(1 << 13);
    run(life(v6_addr(), 0_u8..=128, 40_u8..=128), |steps, at_once| {
        agrees(&mut TrieTable::new(&root, &lines, &deep), &steps, at_once);
    });
    assert!(root.iter().all(|entry| entry.load(Relaxed) == 0), "routes are left behind");
}
