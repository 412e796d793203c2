use super::{Ace, Action, Address, Compare, Family, Kind, Log, MAX_DSCP, MAX_FLOW_LABEL};
use super::{MAX_PRECEDENCE, MAX_TOS, MAX_TTL, Options, Ports, Protocol, TcpFlags, TcpMatch};

/// Why a list cannot have an ace.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AceError {
    /// More than a source address in a standard list.
    #[error("a standard list matches the source address alone")]
    NotStandard,
    /// An address of the other family.
    #[error("an IPv4 address cannot match in an IPv6 list, nor the reverse")]
    OtherFamily,
    /// Ports of a protocol that has none.
    #[error("ports need protocol tcp, udp or sctp")]
    NoPorts,
    /// ICMP type of another protocol.
    #[error("an ICMP type needs protocol icmp")]
    NotIcmp,
    /// TCP flags of another protocol.
    #[error("TCP flags need protocol tcp")]
    NotTcp,
    /// Fragments that would have to have ports.
    #[error("fragments have no ports, ICMP type or TCP flags to match")]
    FragmentsHaveNoPorts,
    /// A match of packets without a transport header in another entry than IOS XE has it in.
    #[error("undetermined-transport needs \"deny ipv6\", and no fragments")]
    UndeterminedTransport,
    /// A service group and something it says itself.
    #[error("a service group takes no ports, ICMP type, TCP flags or fragments beside it")]
    GroupSaysPorts,
    /// An option that the family's header has no field for.
    #[error("{0} needs a list of the other family")]
    NoSuchField(&'static str),
    /// A value the field cannot have.
    #[error("{field} is at most {max}, not {value}")]
    TooLarge {
        /// The field.
        field: &'static str,
        /// The value.
        value: u32,
        /// Most that it can be.
        max: u32,
    },
    /// A comparison that is never true.
    #[error("no {0} compares so")]
    MatchesNothing(&'static str),
    /// A match of no flag.
    #[error("a match of TCP flags names none")]
    NoFlags,
    /// A flag both set and clear.
    #[error("a TCP flag cannot be asked for both with + and with -")]
    FlagBothWays,
}

impl Ace {
    /// Makes sure that a list of this family and kind can have the ace, and that it means
    /// something. Groups are not looked up.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong.
    pub fn check(&self, family: Family, kind: Kind) -> Result<(), AceError> {
        for address in [&self.source, &self.destination] {
            if let Address::Is(addresses) = address
                && !addresses.is_of(family)
            {
                return Err(AceError::OtherFamily);
            }
        }
        self.check_layer4(family)?;
        self.options.check(family)?;
        let denies_all = self.action == Action::Deny && self.protocol == Protocol::Any;
        if self.options.undetermined_transport && (!denies_all || self.fragments) {
            return Err(AceError::UndeterminedTransport);
        }
        if kind == Kind::Standard && !self.is_standard(family) {
            return Err(AceError::NotStandard);
        }
        Ok(())
    }

    fn check_layer4(&self, family: Family) -> Result<(), AceError> {
        if matches!(self.protocol, Protocol::Group(_)) {
            let more = self.is_layer4() || self.fragments;
            return if more { Err(AceError::GroupSaysPorts) } else { Ok(()) };
        }
        for ports in [&self.source_port, &self.destination_port].into_iter().flatten() {
            if !self.protocol.has_ports() {
                return Err(AceError::NoPorts);
            }
            if let Ports::Are(ports) = ports {
                ports.check("port", u16::MAX)?;
            }
        }
        if self.options.icmp.is_some() && self.protocol != Protocol::Number(family.icmp()) {
            return Err(AceError::NotIcmp);
        }
        if let Some(flags) = self.options.tcp {
            if self.protocol != Protocol::TCP {
                return Err(AceError::NotTcp);
            }
            let (TcpMatch::All { set, clear } | TcpMatch::Any { set, clear }) = flags;
            if set | clear == TcpFlags::NONE {
                return Err(AceError::NoFlags);
            }
            if set.intersects(clear) {
                return Err(AceError::FlagBothWays);
            }
        }
        if self.fragments && self.is_layer4() {
            return Err(AceError::FragmentsHaveNoPorts);
        }
        Ok(())
    }

    /// Whether there is nothing in it but a source address and logging.
    fn is_standard(&self, family: Family) -> bool {
        let log = if self.options.log == Log::On { Log::On } else { Log::Off };
        let options = Options { log, ..Options::default() };
        let standard = Self::new(self.action, Protocol::Any).options(options);
        let source = matches!(self.source, Address::Is(_));
        let rest = Self { source: Address::ANY, ..self.clone() };
        family == Family::V4 && source && rest == standard
    }
}

impl Options {
    fn check(&self, family: Family) -> Result<(), AceError> {
        if self.undetermined_transport && family != Family::V6 {
            return Err(AceError::NoSuchField("undetermined-transport"));
        }
        let compared = [
            (&self.dscp, "DSCP", MAX_DSCP),
            (&self.precedence, "precedence", MAX_PRECEDENCE),
            (&self.ttl, "TTL", MAX_TTL),
            (&self.packet_length, "packet length", u16::MAX),
        ];
        for (compare, field, max) in compared {
            compare.as_ref().map_or(Ok(()), |compare| compare.check(field, max))?;
        }
        let numbers = [
            (self.tos.map(u32::from), "tos", u32::from(MAX_TOS), Family::V4),
            (self.flow_label, "flow-label", MAX_FLOW_LABEL, Family::V6),
        ];
        for (value, field, max, of) in numbers {
            let Some(value) = value else { continue };
            if family != of {
                return Err(AceError::NoSuchField(field));
            }
            if value > max {
                return Err(AceError::TooLarge { field, value, max });
            }
        }
        Ok(())
    }
}

impl Compare {
    /// Makes sure that the field can have every value named, and that some value matches.
    pub(super) fn check(&self, field: &'static str, max: u16) -> Result<(), AceError> {
        if let Some(value) = self.values().into_iter().find(|value| *value > max) {
            return Err(AceError::TooLarge { field, value: value.into(), max: max.into() });
        }
        let named = !self.values().is_empty();
        if named && !self.ranges(max).is_empty() {
            Ok(())
        } else {
            Err(AceError::MatchesNothing(field))
        }
    }
}
