//! Addresses that a rule is for: prefixes, and in IPv6 any run of bits.

use std::net::Ipv6Addr;

use ipnet::Ipv4Net;

use super::{Family, IpMatch, Ternary};

/// The source or destination addresses of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Prefix {
    /// An IPv4 prefix. Bits behind it count for nothing.
    V4(Ipv4Net),
    /// A run of bits of an IPv6 address.
    V6(Ipv6Pattern),
}

impl Prefix {
    /// The family of its addresses.
    #[must_use]
    pub fn family(&self) -> Family {
        match self {
            Self::V4(_) => Family::V4,
            Self::V6(_) => Family::V6,
        }
    }

    /// The same addresses by value and mask.
    #[must_use]
    pub fn addresses(&self) -> IpMatch {
        match self {
            Self::V4(net) if net.prefix_len() == 0 => IpMatch::Any,
            Self::V6(pattern) if pattern.length == 0 => IpMatch::Any,
            Self::V4(net) => {
                IpMatch::V4(Ternary::new(net.addr().to_bits(), net.netmask().to_bits()))
            }
            Self::V6(pattern) => IpMatch::V6(pattern.ternary()),
        }
    }
}

/// Bits `offset..length` of an IPv6 address, counted from the most significant (RFC 8956 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ipv6Pattern {
    /// Zero outside of the bits that count.
    address: u128,
    offset: u8,
    length: u8,
}

/// Bounds that leave no bits, or go past the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bits from {offset} up to {length} are no part of an IPv6 address")]
pub struct BadPattern {
    /// The first bit.
    pub offset: u8,
    /// The one behind the last bit.
    pub length: u8,
}

impl Ipv6Pattern {
    /// Bits `offset..length` of `address`; every address if both are 0.
    ///
    /// # Errors
    /// `offset` is not below `length`, or `length` is above 128.
    pub fn new(address: Ipv6Addr, offset: u8, length: u8) -> Result<Self, BadPattern> {
        if length > 128 || (offset >= length && length > 0) || (length == 0 && offset > 0) {
            return Err(BadPattern { offset, length });
        }
        let pattern = Self { address: 0, offset, length };
        Ok(Self { address: address.to_bits() & pattern.mask(), ..pattern })
    }

    /// The address, zero outside of the bits that count.
    #[must_use]
    pub fn address(&self) -> Ipv6Addr {
        Ipv6Addr::from_bits(self.address)
    }

    /// The first bit that counts.
    #[must_use]
    pub fn offset(&self) -> u8 {
        self.offset
    }

    /// The bit behind the last that counts.
    #[must_use]
    pub fn length(&self) -> u8 {
        self.length
    }

    /// The bits and where they are.
    #[must_use]
    pub fn ternary(&self) -> Ternary<u128> {
        Ternary::new(self.address, self.mask())
    }

    fn mask(&self) -> u128 {
        let first = |bits: u8| !u128::MAX.checked_shr(bits.into()).unwrap_or(0);
        first(self.length) & !first(self.offset)
    }

    /// The bits in NLRI: they start at once, and zeros fill the last octet.
    pub(super) fn octets(&self) -> impl Iterator<Item = u8> + use<> {
        let pattern = self.address.checked_shl(self.offset.into()).unwrap_or(0);
        pattern.to_be_bytes().into_iter().take((self.length - self.offset).div_ceil(8).into())
    }
}
