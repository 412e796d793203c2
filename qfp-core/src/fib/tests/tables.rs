//! The three views behind one face.

use crate::fib::v4::{Compact, CompactWriter, Dir24, Dir24Writer};
use crate::fib::v6::{Trie, TrieWriter};
use crate::fib::{FibError, Isa, LANES, Leaf, Line, Prefix};
use pal::publication::{Grace, Timekeeper};
use std::sync::atomic::{AtomicU16, AtomicU32};

/// Masks that take the dense and the sparse ways through a kernel.
pub(super) const MASKS: [u64; 5] =
    [u64::MAX, 0, 1 << 63, 0x0000_ffff_0000_0001, 0x8421_1248_f00f_a5a5];

/// A view with its writer.
pub(super) trait Table<A> {
    fn set(&mut self, p: Prefix<A>, leaf: Option<Leaf>) -> Result<Option<Leaf>, FibError>;
    fn load(&mut self, routes: Vec<(Prefix<A>, Leaf)>) -> Result<(), FibError>;
    fn bytes_used(&self) -> usize;
    /// Begins the next grace period and takes back what `passed` has left free.
    fn grace(&mut self, passed: Grace);
    fn lookup(&self, key: A) -> u32;
    fn batch(&self, isa: Isa, keys: &[A; LANES], select: u64, out: &mut [u32; LANES]);
}

pub(super) fn isas() -> impl Iterator<Item = Isa> {
    [Isa::Portable, Isa::Avx2, Isa::Avx512].into_iter().filter(|isa| isa.available())
}

pub(super) fn zeroed<T: Default>(len: usize) -> Vec<T> {
    std::iter::repeat_with(T::default).take(len).collect()
}

pub(super) struct Dir24Table<'a>(&'a [AtomicU16], &'a [AtomicU16], Dir24Writer, Timekeeper);

impl<'a> Dir24Table<'a> {
    pub(super) fn new(tbl24: &'a [AtomicU16], tbl8: &'a [AtomicU16]) -> Self {
        let (view, time) = (Dir24::new(tbl24, tbl8, Isa::Portable).unwrap(), Timekeeper::default());
        Self(tbl24, tbl8, Dir24Writer::new(&view, time.clock()), time)
    }

    fn view(&self, isa: Isa) -> Dir24<'a> {
        Dir24::new(self.0, self.1, isa).unwrap()
    }
}

impl Table<u32> for Dir24Table<'_> {
    fn set(&mut self, p: Prefix<u32>, leaf: Option<Leaf>) -> Result<Option<Leaf>, FibError> {
        let view = self.view(Isa::Portable);
        match leaf {
            Some(leaf) => self.2.insert(&view, p, leaf),
            None => Ok(self.2.remove(&view, p)),
        }
    }

    fn load(&mut self, routes: Vec<(Prefix<u32>, Leaf)>) -> Result<(), FibError> {
        let view = self.view(Isa::Portable);
        self.2.bulk_load(&view, routes)
    }

    fn bytes_used(&self) -> usize {
        self.2.bytes_used(&self.view(Isa::Portable))
    }

    fn grace(&mut self, passed: Grace) {
        self.3.begin();
        self.3.pass(passed);
        self.2.reclaim();
    }

    fn lookup(&self, key: u32) -> u32 {
        self.view(Isa::Portable).lookup(key)
    }

    fn batch(&self, isa: Isa, keys: &[u32; LANES], select: u64, out: &mut [u32; LANES]) {
        self.view(isa).lookup_batch(keys, select, out);
    }
}

pub(super) struct CompactTable<'a>(&'a [AtomicU32], &'a [Line], CompactWriter, Timekeeper);

impl<'a> CompactTable<'a> {
    pub(super) fn new(root: &'a [AtomicU32], lines: &'a [Line]) -> Self {
        let (view, time) =
            (Compact::new(root, lines, Isa::Portable).unwrap(), Timekeeper::default());
        Self(root, lines, CompactWriter::new(&view, time.clock()), time)
    }

    fn view(&self, isa: Isa) -> Compact<'a> {
        Compact::new(self.0, self.1, isa).unwrap()
    }
}

impl Table<u32> for CompactTable<'_> {
    fn set(&mut self, p: Prefix<u32>, leaf: Option<Leaf>) -> Result<Option<Leaf>, FibError> {
        let view = self.view(Isa::Portable);
        match leaf {
            Some(leaf) => self.2.insert(&view, p, leaf),
            None => self.2.remove(&view, p),
        }
    }

    fn load(&mut self, routes: Vec<(Prefix<u32>, Leaf)>) -> Result<(), FibError> {
        let view = self.view(Isa::Portable);
        self.2.bulk_load(&view, routes)
    }

    fn bytes_used(&self) -> usize {
        self.2.bytes_used(&self.view(Isa::Portable))
    }

    fn grace(&mut self, passed: Grace) {
        self.3.begin();
        self.3.pass(passed);
        self.2.reclaim();
    }

    fn lookup(&self, key: u32) -> u32 {
        self.view(Isa::Portable).lookup(key)
    }

    fn batch(&self, isa: Isa, keys: &[u32; LANES], select: u64, out: &mut [u32; LANES]) {
        self.view(isa).lookup_batch(keys, select, out);
    }
}

pub(super) struct TrieTable<'a>(
    &'a [AtomicU32],
    &'a [Line],
    &'a [AtomicU32],
    TrieWriter,
    Timekeeper,
);

impl<'a> TrieTable<'a> {
    pub(super) fn new(root: &'a [AtomicU32], lines: &'a [Line], deep: &'a [AtomicU32]) -> Self {
        let time = Timekeeper::default();
        let view = Trie::new(root, lines, deep, Isa::Portable).unwrap();
        Self(root, lines, deep, TrieWriter::new(&view, time.clock()), time)
    }

    fn view(&self, isa: Isa) -> Trie<'a> {
        Trie::new(self.0, self.1, self.2, isa).unwrap()
    }
}

impl Table<u128> for TrieTable<'_> {
    fn set(&mut self, p: Prefix<u128>, leaf: Option<Leaf>) -> Result<Option<Leaf>, FibError> {
        let view = self.view(Isa::Portable);
        match leaf {
            Some(leaf) => self.3.insert(&view, p, leaf),
            None => self.3.remove(&view, p),
        }
    }

    fn load(&mut self, routes: Vec<(Prefix<u128>, Leaf)>) -> Result<(), FibError> {
        let view = self.view(Isa::Portable);
        self.3.bulk_load(&view, routes)
    }

    fn bytes_used(&self) -> usize {
        self.3.bytes_used(&self.view(Isa::Portable))
    }

    fn grace(&mut self, passed: Grace) {
        self.4.begin();
        self.4.pass(passed);
        self.3.reclaim();
    }

    fn lookup(&self, key: u128) -> u32 {
        self.view(Isa::Portable).lookup(key)
    }

    fn batch(&self, isa: Isa, keys: &[u128; LANES], select: u64, out: &mut [u32; LANES]) {
        let (hi, lo) = (keys.map(|key| half(key >> 64)), keys.map(half));
        self.view(isa).lookup_batch(&hi, &lo, select, out);
    }
}

fn half(key: u128) -> u64 {
    u64::try_from(key & u128::from(u64::MAX)).unwrap()
}
