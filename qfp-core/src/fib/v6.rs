//! The IPv6 table, to /128. Keys are the two halves of an address in host byte order.
//!
//! Global unicast routes are dense in their first 32 bits: two tables of 12 and 4 bits follow the
//! root. What is longer stands in spans of 16 bits as merged intervals, one span for the /48 of
//! the public table and up to five more where a network has longer routes.

use super::tree::{self, Image, simd};
use super::{FibError, Isa, LANES, Leaf, Line, Prefix, ShapeError};
use pal::publication::GraceClock;
use std::sync::atomic::AtomicU32;

/// Reads an IPv6 image.
#[derive(Clone, Copy, Debug)]
pub struct Trie<'a> {
    image: Image<'a>,
    isa: Isa,
}

impl<'a> Trie<'a> {
    /// Returns the view of an image; all zero is the empty table.
    ///
    /// Each span below a /48 takes one element of `deep`. Leaves and these elements share 16
    /// bits: the highest leaf is `65535 - deep.len()`.
    ///
    /// # Errors
    /// `root` must have 65,536 elements, `lines` 34 to 2^26, `deep` at most 65,535.
    pub fn new(
        root: &'a [AtomicU32],
        lines: &'a [Line],
        deep: &'a [AtomicU32],
        isa: Isa,
    ) -> Result<Self, ShapeError> {
        Ok(Self { image: Image::new(root, lines, deep)?, isa: isa.or_lower() })
    }

    /// Returns the leaf of one address.
    #[must_use]
    pub fn lookup(&self, key: u128) -> u32 {
        self.image.lookup(key)
    }

    /// Sets `out[i]` to the leaf of the address `hi[i]:lo[i]` for each bit `i` of `select`.
    ///
    /// The other lanes keep their value.
    pub fn lookup_batch(
        &self,
        hi: &[u64; LANES],
        lo: &[u64; LANES],
        select: u64,
        out: &mut [u32; LANES],
    ) {
        simd::v6_batch(&self.image, self.isa, hi, lo, select, out);
    }

    /// Sets each element of `out` to the leaf of the address at its place.
    ///
    /// Stops at the end of the shortest slice.
    pub fn lookup_many(&self, hi: &[u64], lo: &[u64], out: &mut [u32]) {
        let ((his, rest_hi), (los, rest_lo)) = (hi.as_chunks::<LANES>(), lo.as_chunks::<LANES>());
        let (outs, rest_out) = out.as_chunks_mut::<LANES>();
        for ((hi, lo), out) in his.iter().zip(los).zip(outs) {
            self.lookup_batch(hi, lo, u64::MAX, out);
        }
        for ((hi, lo), out) in rest_hi.iter().zip(rest_lo).zip(rest_out) {
            *out = self.lookup(u128::from(*hi) << 64 | u128::from(*lo));
        }
    }
}

/// Writes one [`Trie`] image; holds its routes, its free lines and its free deep elements.
///
/// Every call takes the view of the image this writer was made for.
#[derive(Debug)]
pub struct TrieWriter(tree::Writer<u128>);

impl TrieWriter {
    /// Returns the writer of an image that is all zero; `clock` is that of its readers.
    #[must_use]
    pub fn new(image: &Trie<'_>, clock: &GraceClock) -> Self {
        Self(tree::Writer::new(image.image, clock))
    }

    /// The number of routes.
    #[must_use]
    pub fn routes(&self) -> usize {
        self.0.routes()
    }

    /// Bytes of the image in use: root, deep elements and lines, those that wait not counted.
    #[must_use]
    pub fn bytes_used(&self, image: &Trie<'_>) -> usize {
        self.0.bytes_used(image.image)
    }

    /// Makes the lines usable again that no reader has any more. Does not wait.
    pub fn reclaim(&mut self) {
        self.0.reclaim();
    }

    /// Adds a route or replaces its leaf; returns the leaf it had.
    ///
    /// # Errors
    /// [`FibError::Full`], [`FibError::LeafTooLarge`]; the table is as before.
    pub fn insert(
        &mut self,
        image: &Trie<'_>,
        p: Prefix<u128>,
        leaf: Leaf,
    ) -> Result<Option<Leaf>, FibError> {
        self.0.set(image.image, p, Some(leaf))
    }

    /// Removes a route; returns the leaf it had, `None` if there was no such route.
    ///
    /// # Errors
    /// [`FibError::Full`], for what remains is built beside the old; the table is as before.
    pub fn remove(&mut self, image: &Trie<'_>, p: Prefix<u128>) -> Result<Option<Leaf>, FibError> {
        self.0.set(image.image, p, None)
    }

    /// Adds many routes, or replaces their leaves; the last of two equal prefixes counts.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare).
    pub fn bulk_load(
        &mut self,
        image: &Trie<'_>,
        routes: impl IntoIterator<Item = (Prefix<u128>, Leaf)>,
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
        image: &Trie<'_>,
        changes: impl IntoIterator<Item = (Prefix<u128>, Option<Leaf>)>,
    ) -> Result<(), FibError> {
        self.0.prepare(image.image, changes)
    }

    /// Takes back what was prepared.
    pub fn abort(&mut self) {
        self.0.abort();
    }

    /// Writes what was prepared.
    pub fn publish(&mut self, image: &Trie<'_>) {
        self.0.publish(image.image);
    }
}
