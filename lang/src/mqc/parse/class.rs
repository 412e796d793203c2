//! Matches of a class map.

use super::units::numbers;
use super::{Words, refusal};
use crate::acl::{Family, Name};
use crate::ios::names::{DSCP, PRECEDENCE, PROTOCOLS};
use crate::ios::{TextError, What};
use crate::mac::MacAddr;
use crate::mqc::print::ICMP;
use crate::mqc::{Criterion, Ip, MAX_QOS_GROUP, MAX_VLAN, Match};

/// What can be matched elsewhere.
const OTHERS: &[&str] = &[
    "application",
    "atm",
    "atm-clp",
    "cac",
    "cgroup",
    "ethertype",
    "field",
    "flow",
    "flow-tag",
    "fr-de",
    "fr-dlci",
    "input-interface",
    "ipv4",
    "l2-protocol",
    "metadata",
    "non-client-nrt",
    "start",
    "tcp-flag",
    "traffic-class",
    "ttl",
    "vpls",
];

/// What follows `match`.
pub(super) fn criterion(words: &mut Words) -> Result<Criterion, TextError> {
    let not = words.take("not");
    Ok(Criterion { not, is: one(words)? })
}

fn one(words: &mut Words) -> Result<Match, TextError> {
    let ip = match words {
        _ if words.take("ip") => Some(Ip::V4),
        _ if words.take("ipv6") => Some(Ip::V6),
        _ => None,
    };
    if words.take("dscp") {
        let ip = version(words, ip);
        return Ok(Match::Dscp(ip, numbers(words, "a DSCP", 0..=63, DSCP)?));
    }
    if words.take("precedence") {
        let ip = version(words, ip);
        return Ok(Match::Precedence(ip, numbers(words, "a precedence", 0..=7, PRECEDENCE)?));
    }
    if ip.is_some() {
        return Err(refusal(words, &["rtp"], "dscp or precedence"));
    }
    if words.take("any") {
        return Ok(Match::Any);
    }
    if words.take("access-group") {
        return access_group(words);
    }
    if words.take("cos") {
        if words.take("inner") {
            return Ok(Match::InnerCos(numbers(words, "a class of service", 0..=7, &[])?));
        }
        return Ok(Match::Cos(numbers(words, "a class of service", 0..=7, &[])?));
    }
    if words.take("dei") {
        return Ok(Match::Dei(words.number("a drop eligible indicator", 0..=1_u8)? == 1));
    }
    if words.take("vlan") {
        if words.take("inner") {
            return Ok(Match::InnerVlan(numbers(words, "a VLAN", 1..=MAX_VLAN, &[])?));
        }
        return Ok(Match::Vlan(numbers(words, "a VLAN", 1..=MAX_VLAN, &[])?));
    }
    if words.take("mpls") {
        words.expect("experimental")?;
        words.expect("topmost")?;
        return Ok(Match::TopmostExp(numbers(words, "experimental bits", 0..=7, &[])?));
    }
    if words.take("qos-group") {
        return Ok(Match::QosGroup(numbers(words, "a QoS group", 0..=MAX_QOS_GROUP, &[])?));
    }
    if words.take("discard-class") {
        return Ok(Match::DiscardClass(numbers(words, "a discard class", 0..=7, &[])?));
    }
    if words.take("protocol") {
        return protocol(words);
    }
    if words.take("source-address") {
        return mac(words).map(Match::SourceMac);
    }
    if words.take("destination-address") {
        return mac(words).map(Match::DestinationMac);
    }
    if words.take("packet") {
        words.expect("length")?;
        return length(words);
    }
    if words.take("class-map") {
        return words.parsed("the name of a class map").map(Match::Class);
    }
    Err(refusal(words, OTHERS, "something to match"))
}

/// The version said before the field, or behind it as in IOS XR.
fn version(words: &mut Words, before: Option<Ip>) -> Ip {
    let behind = || words.take_of(&[("ipv4", Ip::V4), ("ipv6", Ip::V6)]);
    before.or_else(behind).unwrap_or_default()
}

/// `name LIST`, a number, or `ipv4 LIST` and `ipv6 LIST` as in IOS XR.
fn access_group(words: &mut Words) -> Result<Match, TextError> {
    if words.sees_number() {
        let before = words.clone();
        let number: u16 = words.number("the number of an access list", 1..=2699)?;
        let name: Result<Name, _> = number.to_string().parse();
        let name = name.map_err(|error| before.error(What::refused(error)))?;
        return Ok(Match::AccessGroup(Ip::Both, name));
    }
    let sorts = [("name", Ip::Both), ("ipv4", Ip::V4), ("ipv6", Ip::V6)];
    let ip = words.one_of("name, ipv4, ipv6 or a number", &sorts)?;
    Ok(Match::AccessGroup(ip, words.parsed("the name of an access list")?))
}

fn protocol(words: &mut Words) -> Result<Match, TextError> {
    let versions = [("ip", Family::V4), ("ipv4", Family::V4), ("ipv6", Family::V6)];
    if let Some(version) = words.take_of(&versions) {
        return Ok(Match::Version(version));
    }
    let names: Vec<_> = PROTOCOLS.iter().chain(ICMP).copied().collect();
    Ok(Match::Protocol(numbers(words, "a protocol", 0..=u8::MAX.into(), &names)?))
}

fn mac(words: &mut Words) -> Result<MacAddr, TextError> {
    words.expect("mac")?;
    words.parsed("a MAC address")
}

/// `[min N] [max N]`, or `N[-N]` as in IOS XR.
fn length(words: &mut Words) -> Result<Match, TextError> {
    const WANTS: &str = "the length of a packet";
    let before = words.clone();
    let range = if words.sees("min") || words.sees("max") {
        let min = if words.take("min") { words.number(WANTS, 0..=u16::MAX)? } else { 0 };
        let max = if words.take("max") { words.number(WANTS, 0..=u16::MAX)? } else { u16::MAX };
        min..=max
    } else {
        let lengths = numbers(words, WANTS, 0..=u16::MAX, &[])?;
        match lengths.ranges() {
            [range] => range.clone(),
            _ => return Err(before.expected("one range of lengths")),
        }
    };
    if range.is_empty() {
        return Err(before.error(What::refused(crate::mqc::Fault::NoValue("packet length"))));
    }
    Ok(Match::PacketLength(range))
}
