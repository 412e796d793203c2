//! Row `fib4-lookup`: the whole vector's addresses at once (ING-07), each routing table of the vector
//! once.

use std::net::IpAddr;
use std::sync::atomic::Ordering::Relaxed;

use hal::PacketMask;

use crate::fib::vrf::ByTable;
use crate::fib::{LANES, Vrf, v4};
use crate::isa::Isa;
use crate::packet::Vector;
use crate::step::{Lcore, Step};
use crate::tables::{Tables, table_kind};
use crate::uidb::TableId;

/// An IPv4 table of the generation: the global one is DIR-24-8, those of VRFs are compact.
pub enum Fib4<'a> {
    /// One leaf a /24.
    Dir24(v4::Dir24<'a>),
    /// Merged intervals.
    Compact(v4::Compact<'a>),
    /// No table.
    None,
}

impl<'a> Fib4<'a> {
    /// The table number `table`.
    #[must_use]
    pub fn of(tables: &Tables<'a>, table: TableId, isa: Isa) -> Self {
        match table {
            TableId::GLOBAL => Self::open(tables, isa),
            _ => Vrf::of(tables, table).ipv4(tables, isa),
        }
    }

    /// The global table.
    #[inline]
    #[must_use]
    pub fn open(tables: &Tables<'a>, isa: Isa) -> Self {
        let tbl24 = tables.view(table_kind::FIB4_TBL24);
        let tbl8 = tables.view(table_kind::FIB4_TBL8);
        v4::Dir24::new(tbl24, tbl8, isa).map_or(Self::None, Self::Dir24)
    }

    /// The leaf of one address.
    #[must_use]
    pub fn leaf(&self, key: u32) -> u32 {
        match self {
            Self::Dir24(fib) => fib.lookup(key),
            Self::Compact(fib) => fib.lookup(key),
            Self::None => 0,
        }
    }

    /// Sets `out[i]` to the leaf of `keys[i]` for each slot `i` of `select`.
    #[inline]
    pub fn look_up(&self, keys: &[u32; LANES], select: PacketMask, out: &mut [u32; LANES]) {
        match self {
            Self::Dir24(fib) => fib.lookup_batch(keys, select.0, out),
            Self::Compact(fib) => fib.lookup_batch(keys, select.0, out),
            Self::None => select.into_iter().for_each(|slot| out[slot & 63] = 0),
        }
    }
}

/// /24s whose leaves fit into half of a small level-2 cache.
const CACHED: u64 = 1 << 17;

/// True when routes cover so little that their leaves stay in the cache: then a prefetch pass is
/// work for nothing.
fn is_cached(tables: &Tables<'_>) -> bool {
    let cover = tables.view(table_kind::FIB4_COVER);
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

    /// Packets of other tables than the global one are among them.
    #[inline(never)]
    fn by_table(&self, tables: &Tables<'_>, vector: &mut Vector, select: PacketMask) {
        for (table, same) in ByTable::new(tables, vector, select) {
            let fib = Fib4::of(tables, table, self.isa);
            fib.look_up(&vector.l3.dst4, same, &mut vector.route.leaf);
        }
    }
}

impl Step for Fib4Lookup {
    fn process(&mut self, lcore: &mut Lcore<'_>, vector: &mut Vector, select: PacketMask) {
        if let Some(IpAddr::V4(via)) = vector.walk.via {
            select.into_iter().for_each(|slot| vector.l3.dst4[slot & 63] = via.to_bits());
        }
        if !vector.is_global() {
            return self.by_table(&lcore.tables, vector, select);
        }
        // The dense kernel is faster than one with holes, and it runs first: what it writes for
        // other packets is overwritten by their own row, or never read.
        let select = if select.count() >= DENSE { PacketMask::FULL } else { select };
        match Fib4::open(&lcore.tables, self.isa) {
            Fib4::Dir24(fib) if is_cached(&lcore.tables) => {
                fib.lookup_ready(&vector.l3.dst4, select.0, &mut vector.route.leaf);
            }
            fib => fib.look_up(&vector.l3.dst4, select, &mut vector.route.leaf),
        }
    }
}
