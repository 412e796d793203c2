//! Remarks and aces.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};

use super::fields::{Field, icmp, protocol, refuse};
use super::{Words, name};
use crate::acl::compare::{DSCP_NAMES, PRECEDENCE_NAMES};
use crate::acl::{AccessList, Ace, Action, Address, Body, Family, IpMatch, Kind, Log};
use crate::acl::{MAX_DSCP, MAX_FLOW_LABEL, MAX_PRECEDENCE, MAX_TOS, MAX_TTL, Ports, Protocol};
use crate::acl::{TcpFlags, TcpMatch};
use crate::ios::{TextError, What, names};

/// Entries, protocols and options that IOS or XR have and this has not.
const REFUSED_ENTRIES: &[&str] = &["evaluate", "dynamic", "include", "inherit", "redirect"];
const REFUSED_PROTOCOLS: &[&str] = &["hbh", "object", "net-group"];
const REFUSED_OPTIONS: &[&str] = &[
    "time-range",
    "reflect",
    "timeout",
    "dynamic",
    "evaluate",
    "option",
    "routing",
    "routing-type",
    "dest-option",
    "dest-option-type",
    "destopts",
    "mobility",
    "mobility-type",
    "hop-by-hop",
    "hbh",
    "auth",
    "authen",
    "fragment-type",
    "header",
    "counter",
    "default",
    "nexthop",
    "nexthop1",
    "nexthop2",
    "nexthop3",
    "set",
    "police",
    "icmp-off",
    "smartlog",
    "sgt",
    "dgt",
    "fqdn",
    "vlan",
    "urg-pointer",
];

/// An entry of the list behind its sequence number. `xr` if it may be a source address alone.
pub(super) fn body(words: &mut Words, list: &AccessList, xr: bool) -> Result<Body, TextError> {
    if words.take("remark") {
        return Ok(Body::Remark(words.rest().into()));
    }
    refuse(words, REFUSED_ENTRIES)?;
    let actions = [("permit", Action::Permit), ("deny", Action::Deny)];
    let action = words.one_of("permit, deny or remark", &actions)?;
    refuse(words, REFUSED_PROTOCOLS)?;
    let mut ace = Ace::new(action, Protocol::Any);
    let family = list.family();
    if list.kind() == Kind::Standard || (xr && family == Family::V4 && is_source(words)) {
        ace.source = source(words)?.into();
    } else {
        tuple(words, &mut ace, list)?;
    }
    while !words.is_at_end() && !words.sees("sequence") {
        let start = words.clone();
        option(words, &mut ace)?;
        check(&start, &ace, list)?;
    }
    Ok(Body::Ace(Box::new(ace)))
}

/// Refuses what cannot be, at the words that say so.
fn check(start: &Words, ace: &Ace, list: &AccessList) -> Result<(), TextError> {
    ace.check(list.family(), list.kind()).map_err(|error| start.error(What::refused(error)))
}

/// Protocol, source, destination and what hangs on them.
fn tuple(words: &mut Words, ace: &mut Ace, list: &AccessList) -> Result<(), TextError> {
    let family = list.family();
    ace.protocol = any_protocol(words, family)?;
    ace.source = address(words, family)?;
    let start = words.clone();
    ace.source_port = ports(words, &ace.protocol)?;
    check(&start, ace, list)?;
    ace.destination = address(words, family)?;
    let start = words.clone();
    ace.destination_port = ports(words, &ace.protocol)?;
    check(&start, ace, list)?;
    if ace.protocol == Protocol::Number(family.icmp()) {
        ace.options.icmp = icmp(words, family)?;
    }
    Ok(())
}

fn any_protocol(words: &mut Words, family: Family) -> Result<Protocol, TextError> {
    let all = match family {
        Family::V4 => words.take("ip") || words.take("ipv4"),
        Family::V6 => words.take("ipv6"),
    };
    if all {
        return Ok(Protocol::Any);
    }
    if words.take("object-group") {
        return name(words).map(Protocol::Group);
    }
    protocol(words, family)?.map(Protocol::Number).ok_or_else(|| words.expected("a protocol"))
}

fn address(words: &mut Words, family: Family) -> Result<Address, TextError> {
    if words.take("any") {
        return Ok(Address::ANY);
    }
    if words.take("object-group") || words.take("addrgroup") || words.take("net-group") {
        return name(words).map(Address::Group);
    }
    let host = words.take("host");
    let prefix = words.peek().is_some_and(|word| word.text.contains('/'));
    let addresses = match (family, host, prefix) {
        (Family::V4, true, _) => IpMatch::host(IpAddr::V4(words.parsed("an IPv4 address")?)),
        (Family::V6, true, _) => IpMatch::host(IpAddr::V6(words.parsed("an IPv6 address")?)),
        (Family::V4, _, true) => IpMatch::from(IpNet::V4(words.parsed("an IPv4 prefix")?)),
        (Family::V6, _, true) => IpMatch::from(IpNet::V6(words.parsed("an IPv6 prefix")?)),
        (Family::V4, ..) => {
            let address = words.parsed("any, host, object-group, an IPv4 address or prefix")?;
            IpMatch::wildcard(address, words.parsed("a wildcard mask")?)
        }
        (Family::V6, ..) => {
            let address = words.parsed("any, host, object-group, an IPv6 address or prefix")?;
            IpMatch::wildcard6(address, words.parsed("a wildcard mask")?)
        }
    };
    Ok(Address::Is(addresses))
}

/// A source address that is all an entry matches: the wildcard may be missing.
fn source(words: &mut Words) -> Result<IpMatch, TextError> {
    if words.take("any") {
        return Ok(IpMatch::Any);
    }
    if words.take("host") {
        return Ok(IpMatch::host(IpAddr::V4(words.parsed("an IPv4 address")?)));
    }
    if words.peek().is_some_and(|word| word.text.contains('/')) {
        return Ok(IpMatch::from(IpNet::V4(words.parsed("an IPv4 prefix")?)));
    }
    let address = words.parsed("any, host, an IPv4 address or prefix")?;
    let wildcard = words.parsed("a wildcard mask").unwrap_or(Ipv4Addr::UNSPECIFIED);
    Ok(IpMatch::wildcard(address, wildcard))
}

fn is_source(words: &Words) -> bool {
    let address = words.peek().is_some_and(|word| {
        word.text.parse::<Ipv4Addr>().is_ok() || word.text.parse::<Ipv4Net>().is_ok()
    });
    address || words.sees("any") || words.sees("host")
}

fn ports(words: &mut Words, protocol: &Protocol) -> Result<Option<Ports>, TextError> {
    if words.take("portgroup") || words.take("port-group") {
        return name(words).map(|name| Some(Ports::Group(name)));
    }
    let number = if let Protocol::Number(number) = protocol { Some(*number) } else { None };
    Ok(Field::ports(number).compare(words)?.map(Ports::Are))
}

fn option(words: &mut Words, ace: &mut Ace) -> Result<(), TextError> {
    refuse(words, REFUSED_OPTIONS)?;
    let start = words.clone();
    if let Some(flags) = tcp(words)? {
        return once(&start, &mut ace.options.tcp, flags);
    }
    let options = &mut ace.options;
    let keyword = start.peek().map_or("", |word| word.text).to_ascii_lowercase();
    let compared = match keyword.as_str() {
        "dscp" => Some((&mut options.dscp, DSCP)),
        "precedence" => Some((&mut options.precedence, PRECEDENCE)),
        "ttl" => Some((&mut options.ttl, TTL)),
        "packet-length" => Some((&mut options.packet_length, PACKET_LENGTH)),
        _ => None,
    };
    if let Some((place, field)) = compared {
        words.word(field.wants)?;
        let compare = field.compare_or_value(words)?;
        return once(&start, place, compare);
    }
    let flag = if words.take("fragments") {
        Some(&mut ace.fragments)
    } else if words.take("undetermined-transport") {
        Some(&mut options.undetermined_transport)
    } else if words.take("capture") {
        Some(&mut options.capture)
    } else {
        None
    };
    if let Some(flag) = flag {
        return if std::mem::replace(flag, true) { Err(twice(&start)) } else { Ok(()) };
    }
    if words.take("tos") {
        let tos = words.number_or_name("a type of service", 0..=MAX_TOS, names::TOS)?;
        return once(&start, &mut options.tos, tos);
    }
    if words.take("flow-label") {
        let label = words.number("a flow label", 0..=MAX_FLOW_LABEL)?;
        return once(&start, &mut options.flow_label, label);
    }
    let log = words.take_of(&[("log", Log::On), ("log-input", Log::WithInput)]);
    let log = log.ok_or_else(|| words.expected("an option or the end of the line"))?;
    if std::mem::replace(&mut options.log, log) != Log::Off { Err(twice(&start)) } else { Ok(()) }
}

const DSCP: Field = Field { wants: "a DSCP", max: MAX_DSCP, names: &[&DSCP_NAMES] };
const PRECEDENCE: Field =
    Field { wants: "a precedence", max: MAX_PRECEDENCE, names: &[&PRECEDENCE_NAMES] };
const TTL: Field = Field { wants: "a TTL", max: MAX_TTL, names: &[] };
const PACKET_LENGTH: Field = Field { wants: "a length", max: u16::MAX, names: &[] };

fn once<T>(start: &Words, place: &mut Option<T>, value: T) -> Result<(), TextError> {
    if place.replace(value).is_some() { Err(twice(start)) } else { Ok(()) }
}

fn twice(start: &Words) -> TextError {
    start.error(What::Twice(start.peek().map_or("", |word| word.text).into()))
}

/// A match of TCP flags, if the next word begins one. Bare names are a match of any of them.
fn tcp(words: &mut Words) -> Result<Option<TcpMatch>, TextError> {
    if words.take("established") {
        return Ok(Some(TcpMatch::ESTABLISHED));
    }
    let all = words.take("match-all");
    if all || words.take("match-any") {
        let (mut set, mut clear) = (TcpFlags::NONE, TcpFlags::NONE);
        while let Some((sign, flag)) = signed(words)? {
            let flags = if sign == '+' { &mut set } else { &mut clear };
            *flags = *flags | flag;
        }
        if set | clear == TcpFlags::NONE {
            return Err(words.expected("a TCP flag with + or -"));
        }
        return Ok(Some(if all {
            TcpMatch::All { set, clear }
        } else {
            TcpMatch::Any { set, clear }
        }));
    }
    let mut set = TcpFlags::NONE;
    while let Some(flag) = words.take_of(TcpFlags::NAMES) {
        set = set | flag;
    }
    Ok((set != TcpFlags::NONE).then_some(TcpMatch::Any { set, clear: TcpFlags::NONE }))
}

/// `+ack` or `-ack`, if the next word has a sign.
fn signed(words: &mut Words) -> Result<Option<(char, TcpFlags)>, TextError> {
    let Some(word) = words.peek() else { return Ok(None) };
    let Some(sign) = word.text.chars().next().filter(|c| ['+', '-'].contains(c)) else {
        return Ok(None);
    };
    let flag = TcpFlags::NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(&word.text[1..]));
    let (_, flag) = flag.ok_or_else(|| words.expected("a TCP flag with + or -"))?;
    words.word("a TCP flag")?;
    Ok(Some((sign, *flag)))
}
