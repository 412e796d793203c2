//! The tables of VRFs, and which packets are routed in which.
//!
//! All VRFs share one array a kind: roots, lines, spans. A row for each table says which part is
//! its own, so that a generation names a thousand tables with six entries of its root block.

use std::sync::atomic::AtomicU32;

use hal::{PacketMask, VECTOR};

use super::{Fib4, Fib6, Isa, v4, v6};
use crate::packet::Vector;
use crate::simd::same_interface;
use crate::tables::{Tables, table_kind};
use crate::uidb::{TableId, UidbTable};

/// Elements of one root.
const ROOT: usize = 1 << 16;

pal::plain_struct! {
    /// One routing table: where its images lie. All zeroes is a table without routes.
    ///
    /// Row 0 stands for the global table, whose images have kinds of their own: only its default
    /// routes are read.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Vrf {
        /// IPv4: number of its root; root `n` is the elements from `n * 65536` on.
        pub root4: u32,
        /// IPv4: first line.
        pub first_line4: u32,
        /// IPv4: lines; 0 for no IPv4 routes.
        pub lines4: u32,
        /// IPv6: number of its root.
        pub root6: u32,
        /// IPv6: first line.
        pub first_line6: u32,
        /// IPv6: lines; 0 for no IPv6 routes.
        pub lines6: u32,
        /// IPv6: first span below a /48.
        pub first_deep6: u32,
        /// IPv6: spans below a /48.
        pub deep6: u32,
        /// Leaf that 0.0.0.0/0 has, and no other IPv4 prefix of this table; 0 when there is none.
        pub default4: u16,
        /// Leaf that ::/0 has, and no other IPv6 prefix of this table; 0 when there is none.
        pub default6: u16,
    }
}

impl Vrf {
    /// The row of `table`; one without routes when there is none.
    #[inline]
    #[must_use]
    pub fn of(tables: &Tables<'_>, table: TableId) -> Self {
        let rows = tables.view(table_kind::VRF);
        rows.get(usize::from(table.0)).copied().unwrap_or_default()
    }

    /// Its IPv4 image.
    pub(super) fn ipv4<'a>(&self, tables: &Tables<'a>, isa: Isa) -> Fib4<'a> {
        let root = root(tables.view(table_kind::FIB4_VRF_ROOTS), self.root4);
        let lines = tables.view(table_kind::FIB4_VRF_LINES);
        let lines = part(lines, self.first_line4, self.lines4);
        v4::Compact::new(root, lines, isa).map_or(Fib4::None, Fib4::Compact)
    }

    /// Its IPv6 image.
    pub(super) fn ipv6<'a>(&self, tables: &Tables<'a>, isa: Isa) -> Fib6<'a> {
        let root = root(tables.view(table_kind::FIB6_VRF_ROOTS), self.root6);
        let lines = tables.view(table_kind::FIB6_VRF_LINES);
        let lines = part(lines, self.first_line6, self.lines6);
        let deep = part(tables.view(table_kind::FIB6_VRF_DEEP), self.first_deep6, self.deep6);
        Fib6::new(v6::Trie::new(root, lines, deep, isa))
    }
}

/// Root number `number`; empty when there is none.
fn root(roots: &[AtomicU32], number: u32) -> &[AtomicU32] {
    roots.chunks_exact(ROOT).nth(number as usize).unwrap_or(&[])
}

/// `count` elements from `first` on; empty when they do not lie inside.
fn part<T>(all: &[T], first: u32, count: u32) -> &[T] {
    let first = first as usize;
    all.get(first..first + count as usize).unwrap_or(&[])
}

/// The packets of a selection, one routing table after the other.
pub(super) struct ByTable {
    /// By slot; nothing when all packets are of the same table, `first`.
    of: Option<[TableId; VECTOR]>,
    first: TableId,
    rest: PacketMask,
}

impl ByTable {
    /// Reads the tables of `select`: one interface row for packets that all came in through the
    /// same, else one a packet.
    pub(super) fn new(tables: &Tables<'_>, vector: &Vector, select: PacketMask) -> Self {
        let uidbs = UidbTable::open(tables);
        let mut all = Self { of: None, first: TableId::GLOBAL, rest: select };
        let Some(slot) = select.into_iter().next() else { return all };
        if vector.is_global() {
            return all;
        }
        all.first = vector.table(uidbs, slot);
        let same = same_interface(&vector.route.input, vector.input(slot)) - vector.is.redirected;
        if !(select - same).is_empty() {
            let mut of = [TableId::GLOBAL; VECTOR];
            for slot in select {
                of[slot & 63] = vector.table(uidbs, slot);
            }
            all.of = Some(of);
        }
        all
    }
}

impl Iterator for ByTable {
    type Item = (TableId, PacketMask);

    fn next(&mut self) -> Option<Self::Item> {
        let slot = self.rest.into_iter().next()?;
        let (table, same) = match &self.of {
            None => (self.first, self.rest),
            Some(of) => {
                let table = of[slot & 63];
                let mut same = PacketMask::EMPTY;
                for slot in self.rest.into_iter().filter(|slot| of[slot & 63] == table) {
                    same.insert(slot);
                }
                (table, same)
            }
        };
        self.rest -= same;
        Some((table, same))
    }
}
