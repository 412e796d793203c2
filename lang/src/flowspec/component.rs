//! What a rule matches: conditions on fields, all of which must hold (RFC 8955 §4.2.2).

use super::{Bitmask, Family, Header, Numeric, Operator, Prefix, Terms, Width};

/// The most octets that the components of one rule take.
pub const MAX_NLRI: usize = 4095;

/// A condition on one field.
///
/// Ports, ICMP types and TCP flags pass only where the packet has them: in its protocol, and not
/// in a fragment that is not the first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Component {
    /// Type 1: the destination address.
    Destination(Prefix),
    /// Type 2: the source address.
    Source(Prefix),
    /// Type 3: the IP protocol; in IPv6 the first header that is no extension.
    Protocol(Numeric),
    /// Type 4: the source or the destination port of TCP or UDP.
    Port(Numeric),
    /// Type 5: the destination port of TCP or UDP.
    DestinationPort(Numeric),
    /// Type 6: the source port of TCP or UDP.
    SourcePort(Numeric),
    /// Type 7: the type of an ICMP or ICMPv6 message.
    IcmpType(Numeric),
    /// Type 8: the code of an ICMP or ICMPv6 message.
    IcmpCode(Numeric),
    /// Type 9: octet 14 of the TCP header, the flags; the bits of octet 13 above it.
    TcpFlags(Bitmask),
    /// Type 10: length of the packet from its IP header on, in octets.
    Length(Numeric),
    /// Type 11: the differentiated services code point.
    Dscp(Numeric),
    /// Type 12: which fragment it is. See [`Header::fragment_bits`].
    Fragment(Bitmask),
    /// Type 13: the flow label of IPv6.
    FlowLabel(Numeric),
}

impl Component {
    /// Its number in NLRI.
    #[must_use]
    pub fn number(&self) -> u8 {
        match self {
            Self::Destination(_) => 1,
            Self::Source(_) => 2,
            Self::Protocol(_) => 3,
            Self::Port(_) => 4,
            Self::DestinationPort(_) => 5,
            Self::SourcePort(_) => 6,
            Self::IcmpType(_) => 7,
            Self::IcmpCode(_) => 8,
            Self::TcpFlags(_) => 9,
            Self::Length(_) => 10,
            Self::Dscp(_) => 11,
            Self::Fragment(_) => 12,
            Self::FlowLabel(_) => 13,
        }
    }

    /// Whether `header` passes.
    #[must_use]
    pub fn eval(&self, header: &Header) -> bool {
        match self {
            Self::Destination(prefix) => header.address_in(header.destination, prefix),
            Self::Source(prefix) => header.address_in(header.source, prefix),
            Self::Protocol(list) => list.eval(header.protocol.into()),
            Self::Port(list) => header
                .ports()
                .is_some_and(|(from, to)| list.eval(from.into()) || list.eval(to.into())),
            Self::DestinationPort(list) => {
                header.ports().is_some_and(|(_, to)| list.eval(to.into()))
            }
            Self::SourcePort(list) => {
                header.ports().is_some_and(|(from, _)| list.eval(from.into()))
            }
            Self::IcmpType(list) => header.icmp().is_some_and(|(kind, _)| list.eval(kind.into())),
            Self::IcmpCode(list) => header.icmp().is_some_and(|(_, code)| list.eval(code.into())),
            Self::TcpFlags(list) => header.tcp_flags().is_some_and(|flags| list.eval(flags.into())),
            Self::Length(list) => list.eval(header.length.into()),
            Self::Dscp(list) => list.eval(header.dscp.into()),
            Self::Fragment(list) => list.eval(header.fragment_bits().into()),
            Self::FlowLabel(list) => list.eval(header.flow_label.into()),
        }
    }

    /// The component without bits that must be ignored, if its values have a fitting width.
    fn checked(self, family: Family) -> Result<Self, ComponentsError> {
        let number = self.number();
        let family_is = |good| if good { Ok(()) } else { Err(ComponentsError::Family { number }) };
        match self {
            Self::Destination(Prefix::V4(net)) => {
                family_is(family == Family::V4)?;
                Ok(Self::Destination(Prefix::V4(net.trunc())))
            }
            Self::Source(Prefix::V4(net)) => {
                family_is(family == Family::V4)?;
                Ok(Self::Source(Prefix::V4(net.trunc())))
            }
            Self::Destination(Prefix::V6(_)) | Self::Source(Prefix::V6(_)) | Self::FlowLabel(_) => {
                family_is(family == Family::V6)?;
                Ok(self)
            }
            Self::TcpFlags(list) => Ok(Self::TcpFlags(limited(number, list, Width::Two, 0xffff)?)),
            Self::Dscp(list) => Ok(Self::Dscp(limited(number, list, Width::One, 0x3f)?)),
            Self::Fragment(list) => {
                let bits = if family == Family::V4 { 0x0f } else { 0x0e };
                Ok(Self::Fragment(limited(number, list, Width::One, bits)?))
            }
            other => Ok(other),
        }
    }

    /// The octets in NLRI behind the type.
    pub(super) fn octets(&self) -> Box<dyn Iterator<Item = u8> + '_> {
        match self {
            Self::Destination(prefix) | Self::Source(prefix) => match prefix {
                Prefix::V4(net) => {
                    let octets = usize::from(net.prefix_len().div_ceil(8));
                    let address = net.network().octets().into_iter().take(octets);
                    Box::new(std::iter::once(net.prefix_len()).chain(address))
                }
                Prefix::V6(pattern) => {
                    let bounds = [pattern.length(), pattern.offset()];
                    Box::new(bounds.into_iter().chain(pattern.octets()))
                }
            },
            Self::Protocol(list)
            | Self::Port(list)
            | Self::DestinationPort(list)
            | Self::SourcePort(list)
            | Self::IcmpType(list)
            | Self::IcmpCode(list)
            | Self::Length(list)
            | Self::Dscp(list)
            | Self::FlowLabel(list) => Box::new(list.octets()),
            Self::TcpFlags(list) | Self::Fragment(list) => Box::new(list.octets()),
        }
    }
}

/// `list` with values of at most `width`, and only the bits of `mask`.
fn limited<O: Operator>(
    number: u8,
    list: Terms<O>,
    width: Width,
    mask: u64,
) -> Result<Terms<O>, ComponentsError> {
    match list.terms().iter().find(|term| term.width() > width) {
        Some(term) => Err(ComponentsError::Width { number, octets: term.width().octets() }),
        None => Ok(list.masked(mask)),
    }
}

/// What a rule matches: at least one component, in ascending order, each at most once.
///
/// Two that differ only in bits without a meaning are equal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Components {
    family: Family,
    list: Vec<Component>,
}

/// Components that make no rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ComponentsError {
    /// A rule for all packets.
    #[error("a flow specification has no component")]
    Empty,
    /// The same type again.
    #[error("component {number} is given twice")]
    Duplicate {
        /// Its type.
        number: u8,
    },
    /// A lower type behind a higher one.
    #[error("component {number} comes behind component {after}")]
    Order {
        /// The lower type.
        number: u8,
        /// The higher one.
        after: u8,
    },
    /// A component of the other family.
    #[error("component {number} is not for this address family")]
    Family {
        /// Its type.
        number: u8,
    },
    /// A value that is wider than the field's may be.
    #[error("component {number} has a value of {octets} octets")]
    Width {
        /// Its type.
        number: u8,
        /// What the value takes.
        octets: usize,
    },
    /// More than NLRI has room for.
    #[error("the components take {0} octets, and {MAX_NLRI} is the most")]
    TooLong(usize),
}

impl Components {
    /// A rule of `list`.
    ///
    /// # Errors
    /// See [`ComponentsError`].
    pub fn new(family: Family, list: Vec<Component>) -> Result<Self, ComponentsError> {
        if list.is_empty() {
            return Err(ComponentsError::Empty);
        }
        for pair in list.windows(2) {
            let (after, number) = (pair[0].number(), pair[1].number());
            if number == after {
                return Err(ComponentsError::Duplicate { number });
            }
            if number < after {
                return Err(ComponentsError::Order { number, after });
            }
        }
        let list: Result<_, _> = list.into_iter().map(|part| part.checked(family)).collect();
        let rule = Self { family, list: list? };
        match rule.octets().count() {
            0..=MAX_NLRI => Ok(rule),
            octets => Err(ComponentsError::TooLong(octets)),
        }
    }

    /// The kind of packets it is for.
    #[must_use]
    pub fn family(&self) -> Family {
        self.family
    }

    /// The components, ascending by type.
    #[must_use]
    pub fn list(&self) -> &[Component] {
        &self.list
    }

    /// Whether `header` passes every component: what the rule means, field by field.
    #[must_use]
    pub fn eval(&self, header: &Header) -> bool {
        header.family() == Some(self.family) && self.list.iter().all(|part| part.eval(header))
    }

    /// The octets in NLRI, without the length.
    pub(super) fn octets(&self) -> impl Iterator<Item = u8> {
        self.list.iter().flat_map(|part| std::iter::once(part.number()).chain(part.octets()))
    }
}
