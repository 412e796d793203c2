//! The images of all routing tables, and their writers.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64};

use driver::Driver;
use ipnet::IpNet;
use pal::publication::RootDraft;
use pal::region::Block;
use qfp_core::fib::{Leaf, Line, Prefix, Vrf, v4, v6};
use qfp_core::isa::Isa;
use qfp_core::tables::table_kind;
use qfp_core::uidb::TableId;

use super::default_leaf;
use crate::commit::{Capacity, CommitError};

/// Elements of a root.
const ROOT: usize = 1 << 16;

/// Arrays of all tables. A VRF's number says which part of the VRFs' arrays is its own.
pub(super) struct Blocks {
    cover: Block<AtomicU64>,
    tbl24: Block<AtomicU16>,
    tbl8: Block<AtomicU16>,
    root6: Block<AtomicU32>,
    lines6: Block<Line>,
    deep6: Block<AtomicU32>,
    vrfs: Block<Vrf>,
    vrf_roots4: Block<AtomicU32>,
    vrf_lines4: Block<Line>,
    vrf_roots6: Block<AtomicU32>,
    vrf_lines6: Block<Line>,
    vrf_deep6: Block<AtomicU32>,
    /// Lines of each VRF.
    each_lines4: usize,
    each_lines6: usize,
    /// Spans below a /48 of each VRF.
    each_deep: usize,
}

impl Blocks {
    pub(super) fn new(driver: &Driver, capacity: &Capacity) -> Result<Self, CommitError> {
        let (vrfs, deep) = (usize::from(capacity.vrfs), usize::from(capacity.vrf_long_prefixes));
        let lines4 = capacity.vrf_ipv4_lines as usize;
        let lines6 = capacity.vrf_ipv6_lines as usize;
        let mut rows = driver.alloc::<Vrf>(vrfs + 1)?;
        for (table, row) in (0..).map(TableId).zip(rows.iter_mut()) {
            let at = |each: usize| {
                u32::try_from(usize::from(table.0).saturating_sub(1) * each).unwrap_or(u32::MAX)
            };
            let is_vrf = table != TableId::GLOBAL;
            let count = |lines: u32| if is_vrf { lines } else { 0 };
            *row = Vrf {
                root4: at(1),
                first_line4: at(lines4),
                lines4: count(capacity.vrf_ipv4_lines),
                root6: at(1),
                first_line6: at(lines6),
                lines6: count(capacity.vrf_ipv6_lines),
                first_deep6: at(deep),
                deep6: count(capacity.vrf_long_prefixes.into()),
                default4: default_leaf(table, false),
                default6: default_leaf(table, true),
            };
        }
        Ok(Self {
            cover: driver.alloc::<AtomicU64>(1)?.publish(),
            tbl24: driver.alloc::<AtomicU16>(1 << 24)?.publish(),
            tbl8: driver.alloc::<AtomicU16>(256 * capacity.long_prefixes as usize)?.publish(),
            root6: driver.alloc::<AtomicU32>(ROOT)?.publish(),
            lines6: driver.alloc::<Line>(capacity.ipv6_lines as usize)?.publish(),
            deep6: driver.alloc::<AtomicU32>(capacity.long_prefixes as usize)?.publish(),
            vrfs: rows.publish(),
            vrf_roots4: driver.alloc::<AtomicU32>((vrfs * ROOT).max(1))?.publish(),
            vrf_lines4: driver.alloc::<Line>((vrfs * lines4).max(1))?.publish(),
            vrf_roots6: driver.alloc::<AtomicU32>((vrfs * ROOT).max(1))?.publish(),
            vrf_lines6: driver.alloc::<Line>((vrfs * lines6).max(1))?.publish(),
            vrf_deep6: driver.alloc::<AtomicU32>((vrfs * deep).max(1))?.publish(),
            each_lines4: lines4,
            each_lines6: lines6,
            each_deep: deep,
        })
    }

    pub(super) fn name_in(&self, root: &mut RootDraft) {
        root.set(table_kind::FIB4_COVER, self.cover)
            .set(table_kind::FIB4_TBL24, self.tbl24)
            .set(table_kind::FIB4_TBL8, self.tbl8)
            .set(table_kind::FIB6_ROOT, self.root6)
            .set(table_kind::FIB6_LINES, self.lines6)
            .set(table_kind::FIB6_DEEP, self.deep6)
            .set(table_kind::VRF, self.vrfs)
            .set(table_kind::FIB4_VRF_ROOTS, self.vrf_roots4)
            .set(table_kind::FIB4_VRF_LINES, self.vrf_lines4)
            .set(table_kind::FIB6_VRF_ROOTS, self.vrf_roots6)
            .set(table_kind::FIB6_VRF_LINES, self.vrf_lines6)
            .set(table_kind::FIB6_VRF_DEEP, self.vrf_deep6);
    }

    /// Says how many /24s are covered.
    pub(super) fn set_cover(&self, driver: &Driver, cover: u64) {
        pal::faults::store();
        driver.view(self.cover).iter().for_each(|word| word.store(cover, Relaxed));
    }

    fn dir24<'d>(&self, driver: &'d Driver) -> Result<v4::Dir24<'d>, CommitError> {
        let (tbl24, tbl8) = (driver.view(self.tbl24), driver.view(self.tbl8));
        Ok(v4::Dir24::new(tbl24, tbl8, Isa::Portable)?)
    }

    fn compact<'d>(&self, d: &'d Driver, table: TableId) -> Result<v4::Compact<'d>, CommitError> {
        let root = part(d.view(self.vrf_roots4), table, ROOT);
        let lines = part(d.view(self.vrf_lines4), table, self.each_lines4);
        Ok(v4::Compact::new(root, lines, Isa::Portable)?)
    }

    fn trie<'d>(&self, d: &'d Driver, table: TableId) -> Result<v6::Trie<'d>, CommitError> {
        let (root, lines, deep) = match table {
            TableId::GLOBAL => (d.view(self.root6), d.view(self.lines6), d.view(self.deep6)),
            _ => (
                part(d.view(self.vrf_roots6), table, ROOT),
                part(d.view(self.vrf_lines6), table, self.each_lines6),
                part(d.view(self.vrf_deep6), table, self.each_deep),
            ),
        };
        Ok(v6::Trie::new(root, lines, deep, Isa::Portable)?)
    }
}

/// The part of an array with `each` elements a VRF.
fn part<T>(all: &[T], table: TableId, each: usize) -> &[T] {
    let first = usize::from(table.0).saturating_sub(1) * each;
    all.get(first..first + each).unwrap_or(&[])
}

enum Writer4 {
    Dir24(Box<v4::Dir24Writer>),
    Compact(Box<v4::CompactWriter>),
}

/// The writers of one routing table.
pub(super) struct Writers {
    table: TableId,
    v4: Writer4,
    v6: v6::TrieWriter,
}

impl Writers {
    pub(super) fn new(
        driver: &Driver,
        blocks: &Blocks,
        table: TableId,
    ) -> Result<Self, CommitError> {
        let clock = driver.clock();
        let v4 = match table {
            TableId::GLOBAL => {
                Writer4::Dir24(Box::new(v4::Dir24Writer::new(&blocks.dir24(driver)?, clock)))
            }
            _ => {
                let fib = blocks.compact(driver, table)?;
                Writer4::Compact(Box::new(v4::CompactWriter::new(&fib, clock)))
            }
        };
        let v6 = v6::TrieWriter::new(&blocks.trie(driver, table)?, clock);
        Ok(Self { table, v4, v6 })
    }

    /// Makes memory usable again whose last reader has passed. Does not wait.
    pub(super) fn reclaim(&mut self) {
        self.v6.reclaim();
        match &mut self.v4 {
            Writer4::Dir24(writer) => writer.reclaim(),
            Writer4::Compact(writer) => writer.reclaim(),
        }
    }

    /// Prepares new leaves of prefixes, none for those that go, beside what lcores see.
    pub(super) fn prepare(
        &mut self,
        driver: &Driver,
        blocks: &Blocks,
        changes: &[(IpNet, Option<Leaf>)],
    ) -> Result<(), CommitError> {
        let six = changes.iter().filter_map(|(prefix, leaf)| match prefix {
            IpNet::V6(net) => Some((Prefix::new(net.addr().to_bits(), net.prefix_len())?, *leaf)),
            IpNet::V4(_) => None,
        });
        let four = changes.iter().filter_map(|(prefix, leaf)| match prefix {
            IpNet::V4(net) => Some((Prefix::new(net.addr().to_bits(), net.prefix_len())?, *leaf)),
            IpNet::V6(_) => None,
        });
        self.v6.prepare(&blocks.trie(driver, self.table)?, six)?;
        match &mut self.v4 {
            Writer4::Dir24(writer) => writer.prepare(&blocks.dir24(driver)?, four)?,
            Writer4::Compact(writer) => {
                writer.prepare(&blocks.compact(driver, self.table)?, four)?;
            }
        }
        Ok(())
    }

    /// Bytes that hold routes.
    #[cfg(test)]
    pub(super) fn bytes_used(&self, driver: &Driver, blocks: &Blocks) -> usize {
        let trie = blocks.trie(driver, self.table).unwrap();
        let empty = v6::TrieWriter::new(&trie, driver.clock()).bytes_used(&trie);
        let six = self.v6.bytes_used(&trie) - empty;
        six + match &self.v4 {
            Writer4::Dir24(writer) => writer.bytes_used(&blocks.dir24(driver).unwrap()),
            Writer4::Compact(writer) => {
                let table = blocks.compact(driver, self.table).unwrap();
                let empty = v4::CompactWriter::new(&table, driver.clock());
                writer.bytes_used(&table) - empty.bytes_used(&table)
            }
        }
    }

    /// Takes back what was prepared.
    pub(super) fn abort(&mut self) {
        self.v6.abort();
        match &mut self.v4 {
            Writer4::Dir24(writer) => writer.abort(),
            Writer4::Compact(writer) => writer.abort(),
        }
    }

    /// Has lcores see what was prepared. The blocks have the shape that they had then.
    pub(super) fn publish(&mut self, driver: &Driver, blocks: &Blocks) {
        if let Ok(trie) = blocks.trie(driver, self.table) {
            self.v6.publish(&trie);
        }
        match &mut self.v4 {
            Writer4::Dir24(writer) => {
                if let Ok(table) = blocks.dir24(driver) {
                    writer.publish(&table);
                }
            }
            Writer4::Compact(writer) => {
                if let Ok(table) = blocks.compact(driver, self.table) {
                    writer.publish(&table);
                }
            }
        }
    }
}
