//! Forwarding tables: longest-prefix match from an address to a next-hop group.
//!
//! Every table is an *image*: flat arrays of plain data that the caller allocates (in resource
//! memory, or on the heap in a test) and that hold no pointers, only indices. Three views read
//! and write such images:
//!
//! | view | for | shape |
//! |---|---|---|
//! | [`v4::Dir24`] | the one big IPv4 table | 2^24 leaves, blocks of 256 below |
//! | [`v4::Compact`] | an IPv4 table per VRF | 2^16 roots, merged intervals of 16 bits below |
//! | [`v6::Trie`] | IPv6 to /128 | 2^16 roots, tables of 12 and 4 bits, intervals of 16 bits |
//!
//! Readers are wait-free: they look at a whole vector of 64 keys at once and are chosen at start
//! ([`Isa`]). One writer a table changes it in place: it prepares a block out of sight, publishes
//! it with one Release store and gives the old one back after a grace period (`reclaim`).
//!
//! A view trusts nothing it reads: every index is in range by construction or clamped, so a
//! damaged image gives wrong leaves and never a wild read.

mod prefix;
mod routes;
mod stage;
mod stage6;
mod tree;
mod urpf;
pub mod v4;
pub mod v6;
mod vrf;

#[cfg(test)]
mod tests;

use crate::isa::Isa;
use pal::pool::Full;
pub use prefix::{Address, Prefix};
pub use stage::{Fib4, Fib4Lookup};
pub use stage6::{Fib6, Fib6Lookup};
pub use tree::Line;
pub use urpf::Urpf;
pub use vrf::Vrf;

/// Lanes of one lookup vector.
pub const LANES: usize = 64;

/// What a prefix resolves to: an index into the table of next-hop groups. 0 means no route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Leaf(pub u16);

impl Leaf {
    /// No route.
    pub const NONE: Self = Self(0);
}

/// Why a route could not be written. The table is as it was before the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FibError {
    /// The image has no room; freed blocks may still be waiting for their grace period.
    #[error(transparent)]
    Full(#[from] Full),
    /// The leaf collides with the numbers this image uses for its inner blocks.
    #[error("leaf {leaf} is above {max}, the highest this table can hold")]
    LeafTooLarge {
        /// The leaf asked for.
        leaf: u16,
        /// The highest leaf allowed.
        max: u16,
    },
}

/// Why slices cannot be an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("array `{array}` of the image has {len} elements, expected {expected}")]
pub struct ShapeError {
    /// The array at fault.
    pub array: &'static str,
    /// Its length.
    pub len: usize,
    /// What it should have been.
    pub expected: &'static str,
}
