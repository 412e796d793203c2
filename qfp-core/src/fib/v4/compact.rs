//! The compact IPv4 table: 256 KB of roots, and for each /16 its merged intervals.
//!
//! A few megabytes for the full Internet table, a few kilobytes for a small one beside its root,
//! and all 65,535 groups. Two or three memory accesses a key.

use crate::fib::tree::{self, Image, simd};
use crate::fib::{FibError, Isa, LANES, Leaf, Line, Prefix, ShapeError};
use pal::publication::GraceClock;
use std::sync::atomic::AtomicU32;

/// Reads a compact IPv4 image.
#[derive(Clone, Copy, Debug)]
pub struct Compact<'a> {
    image: Image<'a>,
    isa: Isa,
}

impl<'a> Compact<'a> {
    /// Returns the view of an image; all zero is the empty table.
    ///
    /// # Errors
    /// `root` must have 65,536 elements, `lines` 34 to 2^26.
    pub fn new(root: &'a [AtomicU32], lines: &'a [Line], isa: Isa) -> Result<Self, ShapeError> {
        Ok(Self { image: Image::new(root, lines, &[])?, isa: isa.or_lower() })
    }

    /// Returns the leaf of one address.
    #[must_use]
    pub fn lookup(&self, key: u32) -> u32 {
        self.image.lookup(key)
    }

    /// Sets `out[i]` to the leaf of `keys[i]` for each bit `i` of `select`.
    ///
    /// The other lanes keep their value.
    pub fn lookup_batch(&self, keys: &[u32; LANES], select: u64, out: &mut [u32; LANES]) {
        simd::v4_batch(&self.image, self.isa, keys, select, out);
    }

    /// Sets each element of `out` to the leaf of the key at its place.
    ///
    /// Stops at the end of the shorter slice.
    pub fn lookup_many(&self, keys: &[u32], out: &mut [u32]) {
        let (vectors, rest) = keys.as_chunks::<LANES>();
        let (outs, rest_out) = out.as_chunks_mut::<LANES>();
        for (keys, out) in vectors.iter().zip(outs) {
            self.lookup_batch(keys, u64::MAX, out);
        }
        for (key, out) in rest.iter().zip(rest_out) {
            *out = self.lookup(*key);
        }
    }
}

/// Writes one [`Compact`] image; holds its routes and its free lines.
///
/// Every call takes the view of the image this writer was made for.
#[derive(Debug)]
pub struct CompactWriter(tree::Writer<u32>);

impl CompactWriter {
    /// Returns the writer of an image that is all zero; `clock` is that of its readers.
    #[must_use]
    pub fn new(image: &Compact<'_>, clock: &GraceClock) -> Self {
        Self(tree::Writer::new(image.image, clock))
    }

    /// The number of routes.
    #[must_use]
    pub fn routes(&self) -> usize {
        self.0.routes()
    }

    /// Bytes of the image in use: root and lines, those that wait for readers not counted.
    #[must_use]
    pub fn bytes_used(&self, image: &Compact<'_>) -> usize {
        self.0.bytes_used(image.image)
    }

    /// Makes the lines usable again that no reader has any more. Does not wait.
    pub fn reclaim(&mut self) {
        self.0.reclaim();
    }

    /// Adds a route or replaces its leaf; returns the leaf it had.
    ///
    /// # Errors
    /// [`FibError::Full`]; the table is as before.
    pub fn insert(
        &mut self,
        image: &Compact<'_>,
        p: Prefix<u32>,
        leaf: Leaf,
    ) -> Result<Option<Leaf>, FibError> {
        self.0.set(image.image, p, Some(leaf))
    }

    /// Removes a route; returns the leaf it had, `None` if there was no such route.
    ///
    /// # Errors
    /// [`FibError::Full`], for what remains is built beside the old; the table is as before.
    pub fn remove(
        &mut self,
        image: &Compact<'_>,
        p: Prefix<u32>,
    ) -> Result<Option<Leaf>, FibError> {
        self.0.set(image.image, p, None)
    }

    /// Adds many routes, or replaces their leaves; the last of two equal prefixes counts.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare).
    pub fn bulk_load(
        &mut self,
        image: &Compact<'_>,
        routes: impl IntoIterator<Item = (Prefix<u32>, Leaf)>,
    ) -> Result<(), FibError> {
        self.prepare(image, routes.into_iter().map(|(p, leaf)| (p, Some(leaf))))?;
        self.publish(image);
        Ok(())
    }

    /// Prepares new leaves of routes, none where they go; the last for a prefix counts. Readers see
    /// nothing of it before [`publish`](Self::publish), and never with [`abort`](Self::abort).
    ///
    /// # Errors
    /// [`FibError::Full`], [`FibError::LeafTooLarge`]; nothing is prepared.
    pub fn prepare(
        &mut self,
        image: &Compact<'_>,
        changes: impl IntoIterator<Item = (Prefix<u32>, Option<Leaf>)>,
    ) -> Result<(), FibError> {
        self.0.prepare(image.image, changes)
    }

    /// Takes back what was prepared.
    pub fn abort(&mut self) {
        self.0.abort();
    }

    /// Writes what was prepared.
    pub fn publish(&mut self, image: &Compact<'_>) {
        self.0.publish(image.image);
    }
}
