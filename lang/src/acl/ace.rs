use super::{Address, Compare, Name, TcpMatch};

/// What becomes of a packet that an ace matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// It goes on.
    Permit,
    /// It is dropped.
    Deny,
}

/// Protocol of an ace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Every protocol: `ip`, `ipv6`.
    Any,
    /// The protocol of this number: for IPv6, that of the header behind the extension headers.
    Number(u8),
    /// Protocols and ports of the service group of this name.
    Group(Name),
}

impl Protocol {
    /// ICMP of IPv4.
    pub const ICMP: Self = Self::Number(1);
    /// TCP.
    pub const TCP: Self = Self::Number(6);
    /// UDP.
    pub const UDP: Self = Self::Number(17);
    /// ICMP of IPv6.
    pub const ICMPV6: Self = Self::Number(58);
    /// SCTP.
    pub const SCTP: Self = Self::Number(132);

    pub(super) fn has_ports(&self) -> bool {
        [Self::TCP, Self::UDP, Self::SCTP].contains(self)
    }
}

/// Ports of an ace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Ports {
    /// Ports.
    Are(Compare),
    /// The port group of this name.
    Group(Name),
}

impl From<Compare> for Ports {
    fn from(compare: Compare) -> Self {
        Self::Are(compare)
    }
}

/// ICMP message of an ace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Icmp {
    /// Type.
    pub kind: u8,
    /// Code; none means all.
    pub code: Option<u8>,
}

/// Whether matches are logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Log {
    /// Not logged.
    #[default]
    Off,
    /// Logged.
    On,
    /// Logged with the interface and the MAC address the packet came from.
    WithInput,
}

/// What an ace may match and do besides protocol, addresses and ports.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Options {
    /// ICMP message, where the protocol is the family's ICMP.
    pub icmp: Option<Icmp>,
    /// TCP flags, where the protocol is TCP.
    pub tcp: Option<TcpMatch>,
    /// DSCP: the upper six bits of the traffic class.
    pub dscp: Option<Compare>,
    /// Precedence: the upper three bits of the traffic class.
    pub precedence: Option<Compare>,
    /// The four bits behind the precedence, IPv4 alone: 8 is minimum delay.
    pub tos: Option<u8>,
    /// TTL or hop limit.
    pub ttl: Option<Compare>,
    /// Length of the packet from its network header, in bytes.
    pub packet_length: Option<Compare>,
    /// Flow label, IPv6 alone.
    pub flow_label: Option<u32>,
    /// Matches only packets of which nobody can say what they carry, because the extension headers
    /// or the header behind them are not all there, or of a kind that is not known. Later fragments
    /// are not among them. In entries that deny all of IPv6 alone.
    pub undetermined_transport: bool,
    /// Whether matches are logged.
    pub log: Log,
    /// Whether packets are also taken by a SPAN session that asks for those.
    pub capture: bool,
}

/// Access control entry: which packets, and what becomes of them.
///
/// Its builder methods check nothing; a list does when the ace is added.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ace {
    /// What becomes of the packets.
    pub action: Action,
    /// Protocol.
    pub protocol: Protocol,
    /// Source address.
    pub source: Address,
    /// Destination address.
    pub destination: Address,
    /// Source port; none means all, and packets without ports.
    pub source_port: Option<Ports>,
    /// Destination port; none means all, and packets without ports.
    pub destination_port: Option<Ports>,
    /// Matches only fragments that are not the first of their packet.
    pub fragments: bool,
    /// Everything else.
    pub options: Options,
}

impl Ace {
    /// Whether it names a group of objects.
    #[must_use]
    pub fn names_group(&self) -> bool {
        let ports = [&self.source_port, &self.destination_port];
        matches!(self.protocol, Protocol::Group(_))
            || matches!(self.source, Address::Group(_))
            || matches!(self.destination, Address::Group(_))
            || ports.into_iter().flatten().any(|ports| matches!(ports, Ports::Group(_)))
    }

    /// An ace for all packets of a protocol.
    #[must_use]
    pub fn new(action: Action, protocol: Protocol) -> Self {
        Self {
            action,
            protocol,
            source: Address::ANY,
            destination: Address::ANY,
            source_port: None,
            destination_port: None,
            fragments: false,
            options: Options::default(),
        }
    }

    /// Permits all packets of a protocol.
    #[must_use]
    pub fn permit(protocol: Protocol) -> Self {
        Self::new(Action::Permit, protocol)
    }

    /// Denies all packets of a protocol.
    #[must_use]
    pub fn deny(protocol: Protocol) -> Self {
        Self::new(Action::Deny, protocol)
    }

    /// With this source address.
    #[must_use]
    pub fn source(self, source: impl Into<Address>) -> Self {
        Self { source: source.into(), ..self }
    }

    /// With this destination address.
    #[must_use]
    pub fn destination(self, destination: impl Into<Address>) -> Self {
        Self { destination: destination.into(), ..self }
    }

    /// With these source ports.
    #[must_use]
    pub fn source_port(self, ports: impl Into<Ports>) -> Self {
        Self { source_port: Some(ports.into()), ..self }
    }

    /// With these destination ports.
    #[must_use]
    pub fn destination_port(self, ports: impl Into<Ports>) -> Self {
        Self { destination_port: Some(ports.into()), ..self }
    }

    /// Of these ICMP messages.
    #[must_use]
    pub fn icmp(mut self, kind: u8, code: Option<u8>) -> Self {
        self.options.icmp = Some(Icmp { kind, code });
        self
    }

    /// With these TCP flags.
    #[must_use]
    pub fn tcp(mut self, flags: TcpMatch) -> Self {
        self.options.tcp = Some(flags);
        self
    }

    /// None but fragments that are not the first.
    #[must_use]
    pub fn fragments(self) -> Self {
        Self { fragments: true, ..self }
    }

    /// With everything else that these options say.
    #[must_use]
    pub fn options(self, options: Options) -> Self {
        Self { options, ..self }
    }

    /// Whether it looks at what only the first fragment of a packet has.
    #[must_use]
    pub fn is_layer4(&self) -> bool {
        let ports = self.source_port.is_some() || self.destination_port.is_some();
        ports || self.options.icmp.is_some() || self.options.tcp.is_some()
    }
}
