//! Addresses as integers, and prefixes of them.

use num_traits::{CheckedShr, PrimInt, Unsigned};

/// An address as one integer in host byte order: `u32` for IPv4, `u128` for IPv6.
pub trait Address: PrimInt + Unsigned + CheckedShr + std::fmt::Debug + Send + 'static {
    /// Bits of an address.
    const BITS: u8;

    /// Returns bits `at..at + count`, counted from the most significant, as a number.
    #[must_use]
    fn field(self, at: u8, count: u8) -> u32;

    /// Returns `value` placed at bits `at..at + count`, all other bits zero.
    #[must_use]
    fn place(value: u32, at: u8, count: u8) -> Self;

    /// Returns ones in the bits after the first `len`.
    #[must_use]
    fn host_mask(len: u8) -> Self {
        if len >= Self::BITS { Self::zero() } else { Self::max_value() >> usize::from(len) }
    }
}

impl Address for u32 {
    const BITS: u8 = 32;

    fn field(self, at: u8, count: u8) -> u32 {
        (self << at) >> (32 - count)
    }

    fn place(value: u32, at: u8, count: u8) -> Self {
        value << (32 - at - count)
    }
}

impl Address for u128 {
    const BITS: u8 = 128;

    #[expect(clippy::cast_possible_truncation, reason = "count is at most 32")]
    fn field(self, at: u8, count: u8) -> u32 {
        ((self << at) >> (128 - count)) as u32
    }

    fn place(value: u32, at: u8, count: u8) -> Self {
        Self::from(value) << (128 - at - count)
    }
}

/// An address prefix, host bits zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix<A> {
    addr: A,
    len: u8,
}

impl<A: Address> Prefix<A> {
    /// Returns `addr/len` with the host bits cleared, or `None` if `len` exceeds the address.
    #[must_use]
    pub fn new(addr: A, len: u8) -> Option<Self> {
        (len <= A::BITS).then(|| Self::of(addr, len))
    }

    /// As [`Prefix::new`] for a length known to fit.
    pub(crate) fn of(addr: A, len: u8) -> Self {
        Self { addr: addr & !A::host_mask(len), len }
    }

    /// The first address of the prefix.
    #[must_use]
    pub fn first(self) -> A {
        self.addr
    }

    /// The last address of the prefix.
    #[must_use]
    pub fn last(self) -> A {
        self.addr | A::host_mask(self.len)
    }

    /// The number of leading bits that are fixed.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a prefix is never empty")]
    pub fn len(self) -> u8 {
        self.len
    }

    /// The part number `index` of this prefix cut into 2^`bits` equal ones.
    pub(crate) fn part(self, index: u32, bits: u8) -> Self {
        Self { addr: self.addr | A::place(index, self.len, bits), len: self.len + bits }
    }
}
