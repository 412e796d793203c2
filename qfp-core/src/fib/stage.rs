//! Rows `fib4-lookup` and `fib6-lookup`: the whole vector's addresses at once (ING-07).

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use hal::PacketMask;

use crate::fib::{v4, v6};
use crate::isa::Isa;
use crate::packet::Vector;
use crate::step::{Lcore, Step};
use crate::tables::{Tables, table_kind};

/// Opens the generation's IPv4 table, DIR-24-8 or compact, whichever was built.
pub enum Fib4<'a> {
    /// One leaf a /24.
    Dir24(v4::Dir24<'a>),
    /// Merged intervals.
    Compact(v4::Compact<'a>),
    /// No table.
    None,
}

impl<'a> Fib4<'a> {
    /// The generation's table.
    #[inline]
    #[must_use]
    pub fn open(tables: &Tables<'a>, isa: Isa) -> Self {
        let tbl24 = tables.view(table_kind::FIB4_TBL24);
        if !tbl24.is_empty() {
            let tbl8 = tables.view(table_kind::FIB4_TBL8);
            return v4::Dir24::new(tbl24, tbl8, isa).map_or(Self::None, Self::Dir24);
        }
        let root = tables.view(table_kind::FIB4_ROOT);
        let lines = tables.view(table_kind::FIB4_LINES);
        v4::Compact::new(root, lines, isa).map_or(Self::None, Self::Compact)
    }
}

/// /24s whose leaves fit into half of a small level-2 cache.
const CACHED: u64 = 1 << 17;

/// True when routes cover so little that their leaves stay in the cache: then a prefetch pass is
/// work for nothing.
fn is_cached(tables: &Tables<'_>) -> bool {
    let cover = tables.view::<AtomicU64>(table_kind::FIB4_COVER);
    cover.first().is_some_and(|cover| cover.load(Relaxed) <= CACHED)
}

/// From how many packets on the dense kernel is taken.
const DENSE: u32 = 48;

/// Row `fib4-lookup`.
#[derive(Debug)]
pub struct Fib4Lookup {
    isa: Isa,
}

impl Fib4Lookup {
    /// The row with the kernels of `isa`.
    #[must_use]
    pub fn new(isa: Isa) -> Self {
        Self { isa: isa.or_lower() }
    }
}

impl Step for Fib4Lookup {
    fn process(&mut self, lcore: &mut Lcore<'_>, vector: &mut Vector, select: PacketMask) {
        // The dense kernel is faster than one with holes, and it runs first: what it writes for
        // other packets is overwritten by their own row, or never read.
        let select = if select.count() >= DENSE { PacketMask::FULL } else { select };
        match Fib4::open(&lcore.tables, self.isa) {
            Fib4::Dir24(fib) if is_cached(&lcore.tables) => {
                fib.lookup_ready(&vector.dst4, select.0, &mut vector.leaf);
            }
            Fib4::Dir24(fib) => fib.lookup_batch(&vector.dst4, select.0, &mut vector.leaf),
            Fib4::Compact(fib) => fib.lookup_batch(&vector.dst4, select.0, &mut vector.leaf),
            Fib4::None => select.into_iter().for_each(|slot| vector.leaf[slot & 63] = 0),
        }
    }
}

/// Row `fib6-lookup`.
#[derive(Debug)]
pub struct Fib6Lookup {
    isa: Isa,
}

impl Fib6Lookup {
    /// The row with the kernels of `isa`.
    #[must_use]
    pub fn new(isa: Isa) -> Self {
        Self { isa: isa.or_lower() }
    }
}

impl Step for Fib6Lookup {
    fn process(&mut self, lcore: &mut Lcore<'_>, vector: &mut Vector, select: PacketMask) {
        let root = lcore.tables.view(table_kind::FIB6_ROOT);
        let lines = lcore.tables.view(table_kind::FIB6_LINES);
        let deep = lcore.tables.view(table_kind::FIB6_DEEP);
        match v6::Trie::new(root, lines, deep, self.isa) {
            Ok(fib) => {
                fib.lookup_batch(&vector.dst6_hi, &vector.dst6_lo, select.0, &mut vector.leaf);
            }
            Err(_) => select.into_iter().for_each(|slot| vector.leaf[slot & 63] = 0),
        }
    }
}
