//! DIR-24-8: one leaf for each /24, and a block of 256 leaves for each /24 with longer routes.
//!
//! One memory access resolves a key, two where the /24 holds longer routes. The table is 32 MB
//! whatever the routes, so it suits the one big table of a router. A /24 with longer routes holds
//! the number of a block instead of a leaf: numbers from `65536 - blocks` up. So leaves and blocks
//! share the 16 bits of an element: 65,535 groups without a block, or 57,343 with 8,192 blocks.
//!
//! Source: P. Gupta, S. Lin, N. McKeown, "Routing lookups in hardware at memory access speeds",
//! INFOCOM 1998.

use super::simd;
use crate::fib::{Isa, LANES, ShapeError};
use std::sync::atomic::{AtomicU16, Ordering::Acquire};

/// Elements of the first array: one for each /24.
pub(super) const TBL24: usize = 1 << 24;
/// Leaves of one block.
pub(super) const BLOCK: usize = 256;

/// Reads a DIR-24-8 image.
#[derive(Clone, Copy, Debug)]
pub struct Dir24<'a> {
    pub(super) tbl24: &'a [AtomicU16],
    pub(super) tbl8: &'a [AtomicU16],
    isa: Isa,
}

impl<'a> Dir24<'a> {
    /// Returns the view of an image; all zero is the empty table.
    ///
    /// # Errors
    /// `tbl24` must have 2^24 elements, `tbl8` 256 for each block and at most 65,535 blocks, and
    /// both begin at a multiple of 4 bytes.
    pub fn new(
        tbl24: &'a [AtomicU16],
        tbl8: &'a [AtomicU16],
        isa: Isa,
    ) -> Result<Self, ShapeError> {
        let shape = |array, len, expected| ShapeError { array, len, expected };
        if tbl24.len() != TBL24 {
            return Err(shape("tbl24", tbl24.len(), "2^24"));
        }
        for (name, array) in [("tbl24", tbl24), ("tbl8", tbl8)] {
            if !array.is_empty() && !array.as_ptr().cast::<u32>().is_aligned() {
                return Err(shape(name, array.len(), "a start at a multiple of 4 bytes"));
            }
        }
        if !tbl8.len().is_multiple_of(BLOCK) || tbl8.len() / BLOCK > usize::from(u16::MAX) {
            return Err(shape("tbl8", tbl8.len(), "a multiple of 256, at most 65,535 * 256"));
        }
        Ok(Self { tbl24, tbl8, isa: isa.or_lower() })
    }

    /// The first element of `tbl24` that is the number of a block.
    pub(super) fn blocks_from(&self) -> usize {
        (1 << 16) - self.tbl8.len() / BLOCK
    }

    /// Returns the leaf of one address.
    #[must_use]
    pub fn lookup(&self, key: u32) -> u32 {
        let leaf = self.tbl24[key as usize >> 8].load(Acquire);
        match usize::from(leaf).checked_sub(self.blocks_from()) {
            None => leaf.into(),
            Some(block) => self.tbl8[block * BLOCK + (key as usize & 0xff)].load(Acquire).into(),
        }
    }

    /// Asks the memory for what [`Dir24::lookup_ready`] will read for the selected keys.
    ///
    /// Worth its cost when other work stands between the two, and about free when not.
    pub fn prefetch(&self, keys: &[u32; LANES], select: u64) {
        simd::dir24_prefetch(self, self.isa, keys, select);
    }

    /// Sets `out[i]` to the leaf of `keys[i]` for each bit `i` of `select`.
    ///
    /// The other lanes keep their value.
    pub fn lookup_batch(&self, keys: &[u32; LANES], select: u64, out: &mut [u32; LANES]) {
        self.prefetch(keys, select);
        self.lookup_ready(keys, select, out);
    }

    /// As [`Dir24::lookup_batch`] for keys that were given to [`Dir24::prefetch`] before.
    pub fn lookup_ready(&self, keys: &[u32; LANES], select: u64, out: &mut [u32; LANES]) {
        simd::dir24_batch(self, self.isa, keys, select, out);
    }

    /// Sets each element of `out` to the leaf of the key at its place.
    ///
    /// Looks ahead by one vector. Stops at the end of the shorter slice.
    pub fn lookup_many(&self, keys: &[u32], out: &mut [u32]) {
        let (vectors, rest) = keys.as_chunks::<LANES>();
        let (outs, rest_out) = out.as_chunks_mut::<LANES>();
        for (i, (keys, out)) in vectors.iter().zip(outs).enumerate() {
            if let Some(next) = vectors.get(i + 1) {
                self.prefetch(next, u64::MAX);
            }
            self.lookup_ready(keys, u64::MAX, out);
        }
        for (key, out) in rest.iter().zip(rest_out) {
            *out = self.lookup(*key);
        }
    }
}
