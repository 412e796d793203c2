//! Row `fib6-lookup`: as `fib4-lookup`.

use std::net::IpAddr;

use hal::PacketMask;

use crate::fib::vrf::ByTable;
use crate::fib::{LANES, ShapeError, Vrf, v6};
use crate::isa::Isa;
use crate::packet::Vector;
use crate::step::{Lcore, Step};
use crate::tables::{Tables, table_kind};
use crate::uidb::TableId;

/// An IPv6 table of the generation.
pub struct Fib6<'a>(Option<v6::Trie<'a>>);

impl<'a> Fib6<'a> {
    pub(super) fn new(trie: Result<v6::Trie<'a>, ShapeError>) -> Self {
        Self(trie.ok())
    }

    /// The table number `table`.
    #[must_use]
    pub fn of(tables: &Tables<'a>, table: TableId, isa: Isa) -> Self {
        match table {
            TableId::GLOBAL => Self::open(tables, isa),
            _ => Vrf::of(tables, table).ipv6(tables, isa),
        }
    }

    /// The global table.
    #[inline]
    #[must_use]
    pub fn open(tables: &Tables<'a>, isa: Isa) -> Self {
        let root = tables.view(table_kind::FIB6_ROOT);
        let lines = tables.view(table_kind::FIB6_LINES);
        Self::new(v6::Trie::new(root, lines, tables.view(table_kind::FIB6_DEEP), isa))
    }

    /// The leaf of the address `hi:lo`.
    #[must_use]
    pub fn leaf(&self, hi: u64, lo: u64) -> u32 {
        self.0.map_or(0, |fib| fib.lookup(u128::from(hi) << 64 | u128::from(lo)))
    }

    /// Sets `out[i]` to the leaf of the address `hi[i]:lo[i]` for each slot `i` of `select`.
    #[inline]
    pub fn look_up(
        &self,
        hi: &[u64; LANES],
        lo: &[u64; LANES],
        select: PacketMask,
        out: &mut [u32; LANES],
    ) {
        match &self.0 {
            Some(fib) => fib.lookup_batch(hi, lo, select.0, out),
            None => select.into_iter().for_each(|slot| out[slot & 63] = 0),
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

    /// Packets of other tables than the global one are among them.
    #[inline(never)]
    fn by_table(&self, tables: &Tables<'_>, vector: &mut Vector, select: PacketMask) {
        for (table, same) in ByTable::new(tables, vector, select) {
            let fib = Fib6::of(tables, table, self.isa);
            fib.look_up(&vector.l3.dst6_hi, &vector.l3.dst6_lo, same, &mut vector.route.leaf);
        }
    }
}

impl Step for Fib6Lookup {
    fn process(&mut self, lcore: &mut Lcore<'_>, vector: &mut Vector, select: PacketMask) {
        if let Some(IpAddr::V6(via)) = vector.walk.via {
            #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
            let (hi, lo) = ((via.to_bits() >> 64) as u64, via.to_bits() as u64);
            for slot in select {
                (vector.l3.dst6_hi[slot & 63], vector.l3.dst6_lo[slot & 63]) = (hi, lo);
            }
        }
        if !vector.is_global() {
            return self.by_table(&lcore.tables, vector, select);
        }
        let fib = Fib6::open(&lcore.tables, self.isa);
        fib.look_up(&vector.l3.dst6_hi, &vector.l3.dst6_lo, select, &mut vector.route.leaf);
    }
}
