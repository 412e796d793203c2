//! IOS text of the model: named lists with sequence numbers.

use std::fmt::{self, Display, Formatter};
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::compare::{DSCP_NAMES, PRECEDENCE_NAMES};
use super::{AccessList, Ace, Action, Address, Addresses, Body, Compare, Document, Family, Icmp};
use super::{IpMatch, Kind, Log, Member, Members, Objects, Options, Ports, Protocol, Service};
use super::{ServiceProtocol, TcpFlags, TcpMatch};
use crate::ios::names::{self, name_of};

type Numbers = &'static [(&'static str, u16)];

impl Display for Document {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.objects.fmt(f)?;
        self.lists().try_for_each(|list| list.fmt(f))
    }
}

impl Display for AccessList {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let name = self.name();
        match (self.family(), self.kind()) {
            (Family::V4, Kind::Standard) => writeln!(f, "ip access-list standard {name}")?,
            (Family::V4, Kind::Extended) => writeln!(f, "ip access-list extended {name}")?,
            (Family::V6, _) => writeln!(f, "ipv6 access-list {name}")?,
        }
        self.entries().try_for_each(|(sequence, body)| {
            writeln!(f, " {}", Entry { list: self, sequence, body })
        })
    }
}

impl AccessList {
    /// The line of an entry, with its sequence number, as the list prints it.
    #[must_use]
    pub fn line_of(&self, sequence: u32) -> Option<impl Display> {
        self.entry(sequence).map(|body| Entry { list: self, sequence, body })
    }
}

struct Entry<'a> {
    list: &'a AccessList,
    sequence: u32,
    body: &'a Body,
}

impl Display for Entry<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.list.family() == Family::V6 {
            f.write_str("sequence ")?;
        }
        write!(f, "{} ", self.sequence)?;
        match (self.body, self.list.kind()) {
            (Body::Remark(text), _) => write!(f, "remark {text}"),
            (Body::Ace(ace), Kind::Standard) => standard(f, ace),
            (Body::Ace(ace), Kind::Extended) => extended(f, ace, self.list.family()),
        }
    }
}

fn standard(f: &mut Formatter<'_>, ace: &Ace) -> fmt::Result {
    action(f, ace.action)?;
    address(f, &ace.source)?;
    options(f, &ace.options, Family::V4)
}

fn extended(f: &mut Formatter<'_>, ace: &Ace, family: Family) -> fmt::Result {
    action(f, ace.action)?;
    match &ace.protocol {
        Protocol::Any if family == Family::V4 => f.write_str(" ip")?,
        Protocol::Any => f.write_str(" ipv6")?,
        Protocol::Number(number) => protocol(f, *number, family)?,
        Protocol::Group(name) => write!(f, " object-group {name}")?,
    }
    let named = port_names(&ace.protocol);
    for (addresses, port) in
        [(&ace.source, &ace.source_port), (&ace.destination, &ace.destination_port)]
    {
        address(f, addresses)?;
        match port {
            None => {}
            Some(Ports::Are(ports)) => compare(f, ports, named)?,
            Some(Ports::Group(name)) => write!(f, " portgroup {name}")?,
        }
    }
    options(f, &ace.options, family)?;
    if ace.fragments { f.write_str(" fragments") } else { Ok(()) }
}

fn action(f: &mut Formatter<'_>, action: Action) -> fmt::Result {
    f.write_str(match action {
        Action::Permit => "permit",
        Action::Deny => "deny",
    })
}

fn protocol(f: &mut Formatter<'_>, number: u8, family: Family) -> fmt::Result {
    let icmp = (number == family.icmp()).then_some("icmp");
    match icmp.or_else(|| name_of(names::PROTOCOLS, number)) {
        Some(name) => write!(f, " {name}"),
        None => write!(f, " {number}"),
    }
}

fn address(f: &mut Formatter<'_>, address: &Address) -> fmt::Result {
    match address {
        Address::Group(name) => write!(f, " object-group {name}"),
        Address::Is(IpMatch::Any) => f.write_str(" any"),
        Address::Is(IpMatch::V4(bits)) => {
            let (value, wildcard) = (Ipv4Addr::from(bits.value()), bits.wildcard());
            match wildcard {
                0 => write!(f, " host {value}"),
                _ => write!(f, " {value} {}", Ipv4Addr::from(wildcard)),
            }
        }
        Address::Is(IpMatch::V6(bits)) => {
            let (value, mask) = (Ipv6Addr::from(bits.value()), bits.mask());
            match mask.leading_ones() {
                128 => write!(f, " host {value}"),
                ones if ones + mask.trailing_zeros() >= 128 => write!(f, " {value}/{ones}"),
                _ => write!(f, " {value} {}", Ipv6Addr::from(bits.wildcard())),
            }
        }
    }
}

/// Names of the ports of a protocol. None for those that differ from one member to the next.
fn port_names(protocol: &Protocol) -> Numbers {
    match *protocol {
        Protocol::TCP => names::TCP_PORTS,
        Protocol::UDP => names::UDP_PORTS,
        _ => &[],
    }
}

fn compare(f: &mut Formatter<'_>, compare: &Compare, names: Numbers) -> fmt::Result {
    f.write_str(match compare {
        Compare::Eq(_) => " eq",
        Compare::Neq(_) => " neq",
        Compare::Lt(_) => " lt",
        Compare::Gt(_) => " gt",
        Compare::Range(..) => " range",
    })?;
    compare.values().into_iter().try_for_each(|value| number(f, value, names))
}

fn number<T: Display + PartialEq + Copy>(
    f: &mut Formatter<'_>,
    value: T,
    names: &[(&'static str, T)],
) -> fmt::Result {
    match name_of(names, value) {
        Some(name) => write!(f, " {name}"),
        None => write!(f, " {value}"),
    }
}

fn options(f: &mut Formatter<'_>, options: &Options, family: Family) -> fmt::Result {
    options.icmp.map_or(Ok(()), |message| icmp(f, message, family))?;
    options.tcp.map_or(Ok(()), |flags| tcp(f, flags))?;
    let compared = [
        (&options.dscp, "dscp", &DSCP_NAMES[..]),
        (&options.precedence, "precedence", &PRECEDENCE_NAMES[..]),
        (&options.ttl, "ttl", &[]),
        (&options.packet_length, "packet-length", &[]),
    ];
    for (field, keyword, names) in compared {
        let Some(field) = field else { continue };
        write!(f, " {keyword}")?;
        match field {
            // One value of these two is written without an operator.
            Compare::Eq(values) if !names.is_empty() && values.len() == 1 => {
                values.iter().try_for_each(|value| number(f, *value, names))?;
            }
            _ => compare(f, field, names)?,
        }
    }
    if let Some(tos) = options.tos {
        f.write_str(" tos")?;
        number(f, tos, names::TOS)?;
    }
    options.flow_label.map_or(Ok(()), |label| write!(f, " flow-label {label}"))?;
    if options.undetermined_transport {
        f.write_str(" undetermined-transport")?;
    }
    f.write_str(match options.log {
        Log::Off => "",
        Log::On => " log",
        Log::WithInput => " log-input",
    })?;
    if options.capture { f.write_str(" capture") } else { Ok(()) }
}

fn icmp(f: &mut Formatter<'_>, message: Icmp, family: Family) -> fmt::Result {
    let named = names::icmp(family);
    match (name_of(named, (message.kind, message.code)), message.code) {
        (Some(name), _) => write!(f, " {name}"),
        (None, Some(code)) => write!(f, " {} {code}", message.kind),
        (None, None) => write!(f, " {}", message.kind),
    }
}

fn tcp(f: &mut Formatter<'_>, flags: TcpMatch) -> fmt::Result {
    let (keyword, set, clear) = match flags {
        TcpMatch::ESTABLISHED => return f.write_str(" established"),
        TcpMatch::All { set, clear } => ("match-all", set, clear),
        TcpMatch::Any { set, clear } => ("match-any", set, clear),
    };
    write!(f, " {keyword}")?;
    for (sign, flags) in [('+', set), ('-', clear)] {
        for (name, _) in TcpFlags::NAMES.iter().filter(|(_, flag)| flags.intersects(*flag)) {
            write!(f, " {sign}{name}")?;
        }
    }
    Ok(())
}

impl Display for Objects {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (name, group) in self.iter() {
            let sort = match &group.members {
                Members::Network(Family::V4, _) => "network",
                Members::Network(Family::V6, _) => "v6-network",
                Members::Service(Family::V4, _) => "service",
                Members::Service(Family::V6, _) => "v6-service",
                Members::Ports(_) => "port",
            };
            writeln!(f, "object-group {sort} {name}")?;
            if let Some(description) = &group.description {
                writeln!(f, " description {description}")?;
            }
            match &group.members {
                Members::Network(_, list) => members(f, list, addresses)?,
                Members::Service(family, list) => {
                    members(f, list, |f, member| service(f, member, *family))?;
                }
                Members::Ports(list) => members(f, list, |f, ports| compare(f, ports, &[]))?,
            }
        }
        Ok(())
    }
}

fn members<T>(
    f: &mut Formatter<'_>,
    members: &[Member<T>],
    own: impl Fn(&mut Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for member in members {
        match member {
            Member::Is(member) => own(f, member)?,
            Member::Group(name) => write!(f, " group-object {name}")?,
        }
        writeln!(f)?;
    }
    Ok(())
}

fn addresses(f: &mut Formatter<'_>, addresses: &Addresses) -> fmt::Result {
    match addresses {
        Addresses::Range(low, high) => write!(f, " range {low} {high}"),
        Addresses::Net(net) if net.prefix_len() == 0 => f.write_str(" any"),
        Addresses::Net(net) if net.prefix_len() == net.max_prefix_len() => {
            write!(f, " host {}", net.addr())
        }
        Addresses::Net(IpNet::V4(net)) => write!(f, " {} {}", net.addr(), net.netmask()),
        Addresses::Net(IpNet::V6(net)) => write!(f, " {net}"),
    }
}

fn service(f: &mut Formatter<'_>, service: &Service, family: Family) -> fmt::Result {
    let named = match service.protocol {
        ServiceProtocol::Any => {
            f.write_str(" ip")?;
            &[]
        }
        ServiceProtocol::TcpUdp => {
            f.write_str(" tcp-udp")?;
            &[]
        }
        ServiceProtocol::Number(number) => {
            protocol(f, number, family)?;
            port_names(&Protocol::Number(number))
        }
    };
    if let Some(ports) = &service.source_port {
        f.write_str(" source")?;
        compare(f, ports, named)?;
    }
    service.destination_port.as_ref().map_or(Ok(()), |ports| compare(f, ports, named))?;
    service.icmp.map_or(Ok(()), |message| icmp(f, message, family))
}
