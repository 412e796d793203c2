use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::{BitAnd, Not};

use ipnet::IpNet;
use qfp_core::wire::Family;

use super::Name;

/// Numbers equal to `value` in every bit that `mask` has. The mask may have holes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ternary<T> {
    value: T,
    mask: T,
}

impl<T: Copy + BitAnd<Output = T> + Not<Output = T>> Ternary<T> {
    /// The bits of `mask` as `value` has them; other bits of `value` do not count.
    pub fn new(value: T, mask: T) -> Self {
        Self { value: value & mask, mask }
    }

    /// Bits to compare with. Zero where the mask is.
    pub fn value(self) -> T {
        self.value
    }

    /// Bits that are compared: the reverse of an IOS wildcard.
    pub fn mask(self) -> T {
        self.mask
    }

    /// Bits that are not compared: the IOS wildcard.
    pub fn wildcard(self) -> T {
        !self.mask
    }
}

/// Addresses that match, as a host-order number: the first octet is the highest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IpMatch {
    /// Every address of the list's family.
    Any,
    /// IPv4 addresses.
    V4(Ternary<u32>),
    /// IPv6 addresses.
    V6(Ternary<u128>),
}

impl IpMatch {
    /// One address.
    #[must_use]
    pub fn host(address: IpAddr) -> Self {
        IpNet::from(address).into()
    }

    /// IPv4 addresses equal to `address` where `wildcard` has no bit.
    #[must_use]
    pub fn wildcard(address: Ipv4Addr, wildcard: Ipv4Addr) -> Self {
        Self::V4(Ternary::new(address.to_bits(), !wildcard.to_bits()))
    }

    /// IPv6 addresses equal to `address` where `wildcard` has no bit.
    #[must_use]
    pub fn wildcard6(address: Ipv6Addr, wildcard: Ipv6Addr) -> Self {
        Self::V6(Ternary::new(address.to_bits(), !wildcard.to_bits()))
    }

    /// What is compared in an IPv4 packet; None if these are IPv6 addresses.
    #[must_use]
    pub fn v4(self) -> Option<Ternary<u32>> {
        match self {
            Self::Any => Some(Ternary::new(0, 0)),
            Self::V4(bits) => Some(bits),
            Self::V6(_) => None,
        }
    }

    /// What is compared in an IPv6 packet; None if these are IPv4 addresses.
    #[must_use]
    pub fn v6(self) -> Option<Ternary<u128>> {
        match self {
            Self::Any => Some(Ternary::new(0, 0)),
            Self::V4(_) => None,
            Self::V6(bits) => Some(bits),
        }
    }

    /// Whether packets of the family have such addresses.
    #[must_use]
    pub fn is_of(self, family: Family) -> bool {
        match family {
            Family::V4 => self.v4().is_some(),
            Family::V6 => self.v6().is_some(),
        }
    }
}

impl From<IpNet> for IpMatch {
    fn from(net: IpNet) -> Self {
        match net {
            IpNet::V4(net) => Self::wildcard(net.addr(), net.hostmask()),
            IpNet::V6(net) => Self::wildcard6(net.addr(), net.hostmask()),
        }
    }
}

/// Source or destination of an ace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// Addresses.
    Is(IpMatch),
    /// The network group of this name.
    Group(Name),
}

impl Address {
    /// Every address.
    pub const ANY: Self = Self::Is(IpMatch::Any);
}

impl From<IpMatch> for Address {
    fn from(addresses: IpMatch) -> Self {
        Self::Is(addresses)
    }
}

impl From<IpNet> for Address {
    fn from(net: IpNet) -> Self {
        Self::Is(net.into())
    }
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        Self::Is(IpMatch::host(address))
    }
}
