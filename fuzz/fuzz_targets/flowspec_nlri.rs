//! Any octets read as flow specifications: each is refused with one line, or is read again as it
//! is written, keeps its place in the order, and compiles to alternatives that say what it says.
#![no_main]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use client::flowspec::{Actions, Components, Family, Header, Match, Transport};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (bool, [u8; 8], [u8; 44], &[u8])| {
    let (v6, community, fields, mut bytes) = input;
    let family = if v6 { Family::V6 } else { Family::V4 };
    if let Ok(actions) = Actions::from_communities(&[community]) {
        assert_eq!(Actions::from_communities(&actions.communities()), Ok(actions));
    }
    let header = header(family, &fields);
    let mut last: Option<Components> = None;
    while !bytes.is_empty() {
        let (rule, rest) = match Components::decode(family, bytes) {
            Ok(read) => read,
            Err(error) => {
                assert!(!error.to_string().contains('\n'), "{error}");
                return;
            }
        };
        bytes = rest;
        let written = rule.encode();
        let (again, behind) = Components::decode(family, &written).expect("what was written");
        assert!(again == rule && behind.is_empty());
        if let Some(last) = &last {
            assert_eq!(last.cmp(&rule), rule.cmp(last).reverse());
            assert_eq!(last == &rule, last.encode() == written);
        }
        if let Ok(alternatives) = rule.matches() {
            let literal = rule.eval(&header);
            assert_eq!(literal, alternatives.iter().any(|one| one.contains(&header)));
            let mut singles = alternatives.iter().flat_map(Match::singles);
            assert_eq!(literal, singles.any(|one| one.contains(&header)));
        }
        last = Some(rule);
    }
});

/// A packet of the octets. Its protocol and its transport header need not agree.
fn header(family: Family, octets: &[u8; 44]) -> Header {
    let pair = |at: usize| u16::from_be_bytes([octets[at], octets[at + 1]]);
    let address = |at: usize| match family {
        Family::V4 => {
            let octets: [u8; 4] = octets[at..at + 4].try_into().expect("four octets");
            IpAddr::V4(Ipv4Addr::from(octets))
        }
        Family::V6 => {
            let octets: [u8; 16] = octets[at..at + 16].try_into().expect("sixteen octets");
            IpAddr::V6(Ipv6Addr::from(octets))
        }
    };
    let v4 = family == Family::V4;
    let (source, destination) = (pair(32), pair(34));
    Header {
        source: address(0),
        destination: address(16),
        protocol: octets[36],
        transport: match octets[37] & 3 {
            0 => Transport::None,
            1 => Transport::Tcp { source, destination, flags: pair(38) },
            2 => Transport::Udp { source, destination },
            _ => Transport::Icmp { kind: octets[32], code: octets[34] },
        },
        length: pair(40),
        dscp: octets[37] >> 2,
        flow_label: if v4 { 0 } else { u32::from(octets[42]) << 12 | u32::from(pair(38)) },
        dont_fragment: v4 && octets[42] & 1 != 0,
        more_fragments: octets[42] & 2 != 0,
        fragment_offset: u16::from(octets[43] >> 4),
    }
}
