//! Rules as octets: NLRI of SAFI 133 (RFC 8955 §4, RFC 8956 §3).

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::Ipv4Net;

use super::{
    BadPattern, Component, Components, ComponentsError, Family, Ipv6Pattern, MAX_NLRI, Operator,
    Prefix, Terms,
};

/// Octets that are no rule. BGP treats the update that had them as RFC 7606 says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NlriError {
    /// There is less than the length says.
    #[error("a flow specification needs {need} octets, and {have} are left")]
    Truncated {
        /// What the length says, with itself; 1 or 2 if the length is not complete.
        need: usize,
        /// What is there.
        have: usize,
    },
    /// A type that has no meaning in this family.
    #[error("component type {0} is unknown")]
    UnknownType(u8),
    /// A prefix that is longer than an address.
    #[error("component {number} has a prefix of {length} bits")]
    PrefixLength {
        /// Its type.
        number: u8,
        /// The length.
        length: u8,
    },
    /// A run of bits that an IPv6 address does not have.
    #[error("component {number}: {bounds}")]
    Pattern {
        /// Its type.
        number: u8,
        /// First bit and length.
        bounds: BadPattern,
    },
    /// A component that goes on behind the end of the rule.
    #[error("component {number} has no end")]
    Cut {
        /// Its type.
        number: u8,
    },
    /// Components that make no rule together.
    #[error(transparent)]
    Components(#[from] ComponentsError),
}

impl Components {
    /// The first rule in `bytes`, which are of `family`, and what is behind it.
    ///
    /// # Errors
    /// See [`NlriError`]. Nothing is known of what follows a rule that is refused.
    pub fn decode(family: Family, bytes: &[u8]) -> Result<(Self, &[u8]), NlriError> {
        let truncated = |need| NlriError::Truncated { need, have: bytes.len() };
        let (length, start) = match *bytes {
            [] => return Err(truncated(1)),
            [first, ..] if first < 0xf0 => (usize::from(first), 1),
            [first, second, ..] => (usize::from(first & 0x0f) << 8 | usize::from(second), 2),
            [_] => return Err(truncated(2)),
        };
        let (rule, rest) =
            bytes[start..].split_at_checked(length).ok_or(truncated(start + length))?;
        Ok((Self::decode_value(family, rule)?, rest))
    }

    /// The rule of `bytes`, which have no length in front.
    ///
    /// # Errors
    /// See [`NlriError`].
    pub fn decode_value(family: Family, mut bytes: &[u8]) -> Result<Self, NlriError> {
        let mut list: Vec<Component> = Vec::new();
        while let Some((number, rest)) = bytes.split_first() {
            bytes = rest;
            list.push(component(family, *number, &mut bytes)?);
        }
        Ok(Self::new(family, list)?)
    }

    /// The rule in NLRI, with its length of one octet, or of two from 240 octets on.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let value: Vec<u8> = self.octets().collect();
        debug_assert!(value.len() <= MAX_NLRI);
        let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
        let [high, low] = length.to_be_bytes();
        let head = if length < 0xf0 { vec![low] } else { vec![0xf0 | high, low] };
        [head, value].concat()
    }
}

/// The component of type `number` at the front of `bytes`, which move behind it.
fn component(family: Family, number: u8, bytes: &mut &[u8]) -> Result<Component, NlriError> {
    Ok(match number {
        1 => Component::Destination(prefix(family, number, bytes)?),
        2 => Component::Source(prefix(family, number, bytes)?),
        3 => Component::Protocol(terms(number, bytes)?),
        4 => Component::Port(terms(number, bytes)?),
        5 => Component::DestinationPort(terms(number, bytes)?),
        6 => Component::SourcePort(terms(number, bytes)?),
        7 => Component::IcmpType(terms(number, bytes)?),
        8 => Component::IcmpCode(terms(number, bytes)?),
        9 => Component::TcpFlags(terms(number, bytes)?),
        10 => Component::Length(terms(number, bytes)?),
        11 => Component::Dscp(terms(number, bytes)?),
        12 => Component::Fragment(terms(number, bytes)?),
        13 if family == Family::V6 => Component::FlowLabel(terms(number, bytes)?),
        _ => return Err(NlriError::UnknownType(number)),
    })
}

fn terms<O: Operator>(number: u8, bytes: &mut &[u8]) -> Result<Terms<O>, NlriError> {
    Terms::decode(bytes).ok_or(NlriError::Cut { number })
}

fn prefix(family: Family, number: u8, bytes: &mut &[u8]) -> Result<Prefix, NlriError> {
    let length = octet(number, bytes)?;
    match family {
        Family::V4 => {
            let bad = NlriError::PrefixLength { number, length };
            if length > 32 {
                return Err(bad);
            }
            let address = Ipv4Addr::from(padded(number, length, bytes)?);
            Ok(Prefix::V4(Ipv4Net::new(address, length).map_err(|_| bad)?.trunc()))
        }
        Family::V6 => {
            let offset = octet(number, bytes)?;
            let bad = |bounds| NlriError::Pattern { number, bounds };
            // Before the bits are read, so that their number is known to be one.
            Ipv6Pattern::new(Ipv6Addr::UNSPECIFIED, offset, length).map_err(bad)?;
            let bits = u128::from_be_bytes(padded(number, length - offset, bytes)?);
            let address = Ipv6Addr::from_bits(bits.checked_shr(offset.into()).unwrap_or(0));
            Ok(Prefix::V6(Ipv6Pattern::new(address, offset, length).map_err(bad)?))
        }
    }
}

fn octet(number: u8, bytes: &mut &[u8]) -> Result<u8, NlriError> {
    let (first, rest) = bytes.split_first().ok_or(NlriError::Cut { number })?;
    *bytes = rest;
    Ok(*first)
}

/// The octets that hold `bits`, and zeros behind them.
fn padded<const N: usize>(number: u8, bits: u8, bytes: &mut &[u8]) -> Result<[u8; N], NlriError> {
    let octets = usize::from(bits.div_ceil(8));
    let (head, rest) = bytes.split_at_checked(octets).ok_or(NlriError::Cut { number })?;
    *bytes = rest;
    let mut all = [0; N];
    all[..octets].copy_from_slice(head);
    Ok(all)
}
