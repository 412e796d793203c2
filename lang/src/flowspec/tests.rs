//! Rules against the text of the RFCs, and compiled rules against rules read literally.

mod cases;
mod malformed;
mod order;
mod properties;
mod vectors;

use std::net::IpAddr;

use super::*;

/// Reads digits of octets, with or without spaces.
fn octets(hex: &str) -> Vec<u8> {
    let digits: Vec<char> = hex.chars().filter(|digit| !digit.is_whitespace()).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap())
        .collect()
}

/// The one rule in NLRI written as digits.
fn rule(family: Family, hex: &str) -> Components {
    let bytes = octets(hex);
    let (rule, rest) = Components::decode(family, &bytes).unwrap();
    assert!(rest.is_empty());
    rule
}

/// A TCP segment of 40 octets that is no fragment.
fn segment(source: &str, destination: &str, ports: (u16, u16)) -> Header {
    let source_address: IpAddr = source.parse().unwrap();
    Header {
        source: source_address,
        destination: destination.parse().unwrap(),
        protocol: 6,
        transport: Transport::Tcp { source: ports.0, destination: ports.1, flags: 0x010 },
        length: 40,
        dscp: 0,
        flow_label: 0,
        dont_fragment: false,
        more_fragments: false,
        fragment_offset: 0,
    }
}

/// Checks the compiled form on `header` too, whole and taken apart.
fn matched(rule: &Components, header: &Header) -> bool {
    let literal = rule.eval(header);
    let alternatives = rule.matches().unwrap();
    assert_eq!(literal, alternatives.iter().any(|one| one.contains(header)), "{rule:?}");
    let singles = alternatives.iter().flat_map(Match::singles);
    assert_eq!(literal, singles.into_iter().any(|one| one.contains(header)), "{rule:?}");
    literal
}
