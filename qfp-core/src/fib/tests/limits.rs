//! What does not fit is refused whole.

use super::oracle::Oracle;
use super::tables::{CompactTable, Dir24Table, Table, TrieTable, zeroed};
use crate::fib::v4::{Compact, Dir24};
use crate::fib::v6::Trie;
use crate::fib::{Address, FibError, Isa, LANES, Leaf, Line, Prefix};
use std::sync::atomic::{AtomicU16, AtomicU32};

/// Sets routes until one is refused; the table must then still be what it was.
fn fills_up<A: Address>(table: &mut impl Table<A>, routes: impl Iterator<Item = Prefix<A>>) {
    let mut oracle = Oracle::new();
    for (i, p) in routes.enumerate() {
        let leaf = Leaf([1, 2, 3, 4, 5][i % 5]);
        match table.set(p, Some(leaf)) {
            Ok(_) => oracle.set(p, Some(leaf)),
            Err(error) => {
                assert!(matches!(error, FibError::Full(_)), "{error}");
                for key in oracle.probes().into_iter().chain([p.first(), p.last()]) {
                    assert_eq!(table.lookup(key), oracle.lookup(key), "after {error}");
                }
                return;
            }
        }
    }
    panic!("never full");
}

#[test]
fn a_dir24_without_blocks_left_keeps_its_routes() {
    let (tbl24, tbl8) = (zeroed::<AtomicU16>(1 << 24), zeroed::<AtomicU16>(256 * 3));
    let mut table = Dir24Table::new(&tbl24, &tbl8);
    fills_up(&mut table, (0..9).map(|i| Prefix::of(0x0a00_0000 + (i << 8), 30)));
}

#[test]
fn a_compact_table_without_lines_left_keeps_its_routes() {
    let (root, lines) = (zeroed::<AtomicU32>(1 << 16), zeroed::<Line>(100));
    let mut table = CompactTable::new(&root, &lines);
    fills_up(&mut table, (0..900).map(|i| Prefix::of(0x0a00_0000 + (i << 7), 25)));
    // A short prefix would rebuild much: it is refused, or fits.
    let _ = table.set(Prefix::of(0, 0), Some(Leaf(9)));
}

#[test]
fn a_trie_without_lines_left_keeps_its_routes() {
    let (root, lines) = (zeroed::<AtomicU32>(1 << 16), zeroed::<Line>(700));
    let deep = zeroed::<AtomicU32>(64);
    let base = 0x2001_0db8_u128 << 96;
    let routes = |shift: u32, len| (0..900).map(move |i| Prefix::of(base + (i << shift), len));
    fills_up(&mut TrieTable::new(&root, &lines, &deep), routes(80, 48));
    let root = zeroed::<AtomicU32>(1 << 16);
    fills_up(&mut TrieTable::new(&root, &lines, &deep), routes(80, 64));
}

#[test]
fn a_load_that_does_not_fit_leaves_the_table_empty() {
    let (root, lines) = (zeroed::<AtomicU32>(1 << 16), zeroed::<Line>(100));
    let mut table = CompactTable::new(&root, &lines);
    let empty = table.bytes_used();
    let routes = (0..4000).map(|i| (Prefix::of(i << 20, 24), Leaf(3))).collect();
    let error = table.load(routes).unwrap_err();
    assert!(error.to_string().starts_with("lines of forwarding tables: "), "{error}");
    assert_eq!((table.lookup(0), table.bytes_used()), (0, empty));
}

#[test]
fn leaves_reach_to_the_numbers_of_blocks_and_no_further() {
    let (tbl24, tbl8) = (zeroed::<AtomicU16>(1 << 24), zeroed::<AtomicU16>(256 * 2));
    let mut table = Dir24Table::new(&tbl24, &tbl8);
    let p = Prefix::of(0x0a00_0000, 32);
    assert_eq!(table.set(p, Some(Leaf(65_533))), Ok(None));
    assert_eq!(table.lookup(p.first()), 65_533);
    let refused = FibError::LeafTooLarge { leaf: 65_534, max: 65_533 };
    assert_eq!(table.set(p, Some(Leaf(65_534))), Err(refused));

    let mut without_blocks = Dir24Table::new(&tbl24, &[]);
    let p = Prefix::of(0x0b00_0000, 24);
    assert_eq!(without_blocks.set(p, Some(Leaf(u16::MAX))), Ok(None));
    assert_eq!(without_blocks.lookup(p.first()), 65_535);

    let (root, lines) = (zeroed::<AtomicU32>(1 << 16), zeroed::<Line>(100));
    let mut compact = CompactTable::new(&root, &lines);
    let p = Prefix::of(0x0a00_0001, 32);
    assert_eq!(compact.set(p, Some(Leaf(u16::MAX))), Ok(None));
    assert_eq!(compact.lookup(p.first()), 65_535);
}

#[test]
fn arrays_of_the_wrong_shape_are_refused() {
    let (small, root) = (zeroed::<AtomicU32>(100), zeroed::<AtomicU32>(1 << 16));
    let (few, lines) = (zeroed::<Line>(33), zeroed::<Line>(34));
    assert!(Compact::new(&small, &lines, Isa::Portable).is_err());
    assert!(Compact::new(&root, &few, Isa::Portable).is_err());
    assert!(Compact::new(&root, &lines, Isa::Portable).is_ok());
    assert!(Trie::new(&root, &lines, &root, Isa::Portable).is_err());
    assert!(Dir24::new(&zeroed(100), &zeroed(256), Isa::Portable).is_err());
    assert!(Dir24::new(&zeroed(1 << 24), &zeroed(255), Isa::Portable).is_err());
}

#[test]
fn a_damaged_image_gives_wrong_leaves_and_nothing_worse() {
    let noise = |i: u32| i.wrapping_mul(0x9e37_79b9) ^ 0xc000_0000;
    let root: Vec<_> = (0..1 << 16).map(|i| AtomicU32::new(noise(i))).collect();
    let deep: Vec<_> = (0..64).map(|i| AtomicU32::new(noise(i))).collect();
    let lines: Vec<Line> = zeroed(50);
    for (i, word) in (77..).zip(lines.iter().flat_map(|line| &line.0)) {
        word.store(noise(i), std::sync::atomic::Ordering::Relaxed);
    }
    for isa in super::tables::isas() {
        let compact = Compact::new(&root, &lines, isa).unwrap();
        let trie = Trie::new(&root, &lines, &deep, isa).unwrap();
        for i in 0..1000 {
            let mut keys = [0; LANES];
            (i * 64..).zip(&mut keys).for_each(|(i, key)| *key = noise(i));
            let (hi, mut out) = (keys.map(|key| u64::from(key) << 32 | 0x1234_5678), [0; 64]);
            compact.lookup_batch(&keys, u64::MAX, &mut out);
            trie.lookup_batch(&hi, &hi, u64::MAX, &mut out);
            assert!(out.iter().all(|&leaf| leaf <= 0xffff));
        }
    }
}
