//! Marks.

use super::{Words, refusal};
use crate::ios::TextError;
use crate::ios::names::{DSCP, PRECEDENCE};
use crate::mqc::{Ip, MAX_QOS_GROUP, Mark};

/// What can be set elsewhere.
const OTHERS: &[&str] = &[
    "atm-clp",
    "destination-address",
    "flow-tag",
    "forward-class",
    "fr-de",
    "fr-fecn-becn",
    "source-address",
    "srp-priority",
    "traffic-class",
    "vlan",
];

/// What follows `set`.
pub(super) fn mark(words: &mut Words) -> Result<Mark, TextError> {
    let ip = match words {
        _ if words.take("ip") => Some(Ip::V4),
        _ if words.take("ipv6") => Some(Ip::V6),
        _ => None,
    };
    if words.take("dscp") {
        return dscp(words, ip.unwrap_or_default());
    }
    if words.take("precedence") || words.take("prec") {
        return precedence(words, ip.unwrap_or_default());
    }
    if ip.is_some() {
        return Err(refusal(words, &["df", "tos", "next-hop"], "dscp or precedence"));
    }
    if words.take("cos-inner") {
        return cos(words).map(Mark::InnerCos);
    }
    if words.take("cos") {
        return match words.take("inner") {
            true => cos(words).map(Mark::InnerCos),
            false => cos(words).map(Mark::Cos),
        };
    }
    if words.take("dei") {
        return Ok(Mark::Dei(words.number("a drop eligible indicator", 0..=1_u8)? == 1));
    }
    if words.take("mpls") {
        words.expect("experimental")?;
        let imposed =
            words.one_of("imposition or topmost", &[("imposition", true), ("topmost", false)])?;
        let exp = exp(words)?;
        return Ok(if imposed { Mark::ImposedExp(exp) } else { Mark::TopmostExp(exp) });
    }
    if words.take("qos-group") {
        return qos_group(words);
    }
    if words.take("discard-class") {
        return discard_class(words);
    }
    Err(refusal(words, OTHERS, "something to set"))
}

/// A mark of a policer in one word of IOS: `set-dscp-transmit`. None if the next word is none.
pub(super) fn transmit(words: &mut Words) -> Option<Result<Mark, TextError>> {
    type Read = fn(&mut Words) -> Result<Mark, TextError>;
    let actions: [(&'static str, Read); 11] = [
        ("set-dscp-transmit", |words| dscp(words, Ip::Both)),
        ("set-prec-transmit", |words| precedence(words, Ip::Both)),
        ("set-cos-transmit", |words| cos(words).map(Mark::Cos)),
        ("set-cos-inner-transmit", |words| cos(words).map(Mark::InnerCos)),
        ("set-mpls-exp-imposition-transmit", |words| exp(words).map(Mark::ImposedExp)),
        ("set-mpls-experimental-imposition-transmit", |words| exp(words).map(Mark::ImposedExp)),
        ("set-mpls-exp-transmit", |words| exp(words).map(Mark::ImposedExp)),
        ("set-mpls-exp-topmost-transmit", |words| exp(words).map(Mark::TopmostExp)),
        ("set-mpls-experimental-topmost-transmit", |words| exp(words).map(Mark::TopmostExp)),
        ("set-qos-transmit", qos_group),
        ("set-discard-class-transmit", discard_class),
    ];
    let read = words.take_of(&actions)?;
    Some(read(words))
}

fn dscp(words: &mut Words, ip: Ip) -> Result<Mark, TextError> {
    if words.sees("tunnel") {
        return Err(words.not_supported());
    }
    Ok(Mark::Dscp(ip, words.number_or_name("a DSCP", 0..=63, DSCP)?))
}

fn precedence(words: &mut Words, ip: Ip) -> Result<Mark, TextError> {
    if words.sees("tunnel") {
        return Err(words.not_supported());
    }
    Ok(Mark::Precedence(ip, words.number_or_name("a precedence", 0..=7, PRECEDENCE)?))
}

fn cos(words: &mut Words) -> Result<u8, TextError> {
    words.number("a class of service", 0..=7)
}

fn exp(words: &mut Words) -> Result<u8, TextError> {
    words.number("experimental bits", 0..=7)
}

fn qos_group(words: &mut Words) -> Result<Mark, TextError> {
    Ok(Mark::QosGroup(words.number("a QoS group", 0..=MAX_QOS_GROUP)?))
}

fn discard_class(words: &mut Words) -> Result<Mark, TextError> {
    Ok(Mark::DiscardClass(words.number("a discard class", 0..=7)?))
}
