//! Random rules and headers: what is compiled says what the rule says.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::Ipv4Net;
use proptest::option::weighted as some;
use proptest::prelude::*;

use super::*;
use crate::flowspec::ranges::Ranges;
use crate::flowspec::ternary::{cover, has};

fn family() -> impl Strategy<Value = Family> {
    prop_oneof![Just(Family::V4), Just(Family::V6)]
}

fn width() -> impl Strategy<Value = Width> {
    prop::sample::select(vec![Width::One, Width::Two, Width::Four, Width::Eight])
}

/// Numbers near the ends of fields, and a few in between that headers have too.
fn value() -> impl Strategy<Value = u64> {
    prop_oneof![
        8 => 0..12u64,
        2 => prop::sample::select(vec![6, 17, 58, 63, 64, 255, 256]),
        2 => prop::sample::select(vec![65_535, 65_536, 65_575, 0xf_ffff, 0x10_0000]),
        1 => prop::sample::select(vec![0xffff_ffff, 0x1_0000_0000, u64::MAX]),
    ]
}

fn numeric() -> impl Strategy<Value = Numeric> {
    let term = (any::<bool>(), 0..8u8, value(), width()).prop_map(|(and, op, value, width)| {
        let op = Comparison::from_bits(op);
        let term = if and { Term::and(op, value) } else { Term::or(op, value) };
        term.at_least(width)
    });
    prop::collection::vec(term, 1..6).prop_map(|terms| Terms::new(terms).unwrap())
}

fn bits(values: impl Strategy<Value = u64>) -> impl Strategy<Value = Bitmask> {
    let term = (any::<bool>(), 0..4u8, values).prop_map(|(and, op, value)| {
        let op = BitTest::from_bits(op);
        if and { Term::and(op, value) } else { Term::or(op, value) }
    });
    prop::collection::vec(term, 1..5).prop_map(|terms| Terms::new(terms).unwrap())
}

fn dscp() -> impl Strategy<Value = Numeric> {
    let term = (any::<bool>(), 0..8u8, 0..64u64).prop_map(|(and, op, value)| {
        let op = Comparison::from_bits(op);
        if and { Term::and(op, value) } else { Term::or(op, value) }
    });
    prop::collection::vec(term, 1..4).prop_map(|terms| Terms::new(terms).unwrap())
}

/// Few addresses, so that prefixes and packets meet.
fn address(family: Family) -> impl Strategy<Value = IpAddr> {
    (0..4u32, 0..4u32).prop_map(move |(high, low)| match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::from_bits(0xc000_0200 ^ high << 8 ^ low << 6)),
        Family::V6 => {
            let (high, low) = (u128::from(high), u128::from(low));
            IpAddr::V6(Ipv6Addr::from_bits(0x2001_0db8 << 96 ^ high << 64 ^ low << 60 ^ high))
        }
    })
}

fn prefix(family: Family) -> impl Strategy<Value = Prefix> {
    (address(family), 0..=128u8, 0..=128u8).prop_map(|(address, a, b)| match address {
        IpAddr::V4(address) => Prefix::V4(Ipv4Net::new(address, a % 33).unwrap()),
        IpAddr::V6(address) => {
            let (offset, length) = if a == b { (0, 0) } else { (a.min(b), a.max(b)) };
            Prefix::V6(Ipv6Pattern::new(address, offset, length).unwrap())
        }
    })
}

fn components(family: Family) -> impl Strategy<Value = Components> {
    let list = (
        (
            some(0.4, prefix(family).prop_map(Component::Destination)),
            some(0.4, prefix(family).prop_map(Component::Source)),
            some(0.4, numeric().prop_map(Component::Protocol)),
            some(0.3, numeric().prop_map(Component::Port)),
            some(0.3, numeric().prop_map(Component::DestinationPort)),
            some(0.3, numeric().prop_map(Component::SourcePort)),
            some(0.1, numeric().prop_map(Component::IcmpType)),
        ),
        (
            some(0.1, numeric().prop_map(Component::IcmpCode)),
            some(0.3, bits(0..=0xffffu64).prop_map(Component::TcpFlags)),
            some(0.3, numeric().prop_map(Component::Length)),
            some(0.3, dscp().prop_map(Component::Dscp)),
            some(0.3, bits(0..16u64).prop_map(Component::Fragment)),
            some(0.3, numeric().prop_map(Component::FlowLabel)),
        ),
    );
    list.prop_filter_map("empty", move |((a, b, c, d, e, f, g), (h, i, j, k, l, m))| {
        let m = m.filter(|_| family == Family::V6);
        let list: Vec<_> = [a, b, c, d, e, f, g, h, i, j, k, l, m].into_iter().flatten().collect();
        Components::new(family, list).ok()
    })
}

fn transport() -> impl Strategy<Value = Transport> {
    let port = || prop_oneof![3 => 0..12u16, 1 => any::<u16>()];
    prop_oneof![
        3 => (port(), port(), any::<u16>()).prop_map(|(source, destination, flags)| {
            Transport::Tcp { source, destination, flags }
        }),
        2 => (port(), port()).prop_map(|(source, destination)| {
            Transport::Udp { source, destination }
        }),
        2 => (0..12u8, 0..12u8).prop_map(|(kind, code)| Transport::Icmp { kind, code }),
        1 => Just(Transport::None),
    ]
}

fn header(family: Family) -> impl Strategy<Value = Header> {
    let fields = (
        prop_oneof![6 => Just(None), 1 => (0..=255u8).prop_map(Some)],
        transport(),
        prop_oneof![2 => 0..12u16, 1 => any::<u16>(), 1 => Just(u16::MAX)],
        0..64u8,
        prop_oneof![2 => 0..12u32, 1 => 0..=0xf_ffffu32],
    );
    let fragment =
        (any::<bool>(), any::<bool>(), prop_oneof![3 => Just(0), 1 => Just(1), 1 => 0..0x500u16]);
    (address(family), address(family), fields, fragment).prop_map(
        move |(source, destination, fields, (df, more_fragments, fragment_offset))| {
            let (protocol, transport, length, dscp, flow_label) = fields;
            let usual = match transport {
                Transport::Tcp { .. } => 6,
                Transport::Udp { .. } => 17,
                Transport::Icmp { .. } if family == Family::V4 => 1,
                Transport::Icmp { .. } => 58,
                Transport::None => 47,
            };
            Header {
                source,
                destination,
                protocol: protocol.unwrap_or(usual),
                transport,
                length,
                dscp,
                flow_label: if family == Family::V6 { flow_label } else { 0 },
                dont_fragment: df && family == Family::V4,
                more_fragments,
                fragment_offset,
            }
        },
    )
}

/// A rule, and headers of which some are of its family only.
fn case() -> impl Strategy<Value = (Components, Vec<Header>)> {
    family().prop_flat_map(|family| {
        let headers = prop::collection::vec(header(family), 1..24);
        (components(family), headers)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn alternatives_match_what_the_rule_says((rule, headers) in case()) {
        let Ok(alternatives) = rule.matches() else { return Ok(()) };
        for header in &headers {
            let literal = rule.eval(header);
            let compiled = alternatives.iter().any(|one| one.contains(header));
            prop_assert_eq!(literal, compiled, "{:?}", header);
        }
    }

    #[test]
    fn singles_match_what_the_alternatives_do((rule, headers) in case()) {
        let Ok(alternatives) = rule.matches() else { return Ok(()) };
        for one in &alternatives {
            let singles = one.singles();
            prop_assert_eq!(singles.len() as u64, one.entries());
            prop_assert!(singles.iter().all(|single| single.entries() == 1));
            for header in &headers {
                let any = singles.iter().any(|single| single.contains(header));
                prop_assert_eq!(any, one.contains(header));
            }
        }
    }

    #[test]
    fn what_is_written_reads_back((rule, _) in case()) {
        let mut bytes = rule.encode();
        bytes.push(0xaa);
        prop_assert_eq!(Components::decode(rule.family(), &bytes), Ok((rule, &[0xaa][..])));
    }

    #[test]
    fn any_octets_are_refused_or_mean_what_is_written_again(
        family in family(),
        bytes in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        if let Ok(rule) = Components::decode_value(family, &bytes) {
            let again = rule.encode();
            prop_assert_eq!(again.len(), bytes.len() + 1);
            prop_assert_eq!(Components::decode(family, &again), Ok((rule, &[][..])));
        }
    }

    #[test]
    fn the_order_is_total(
        a in family().prop_flat_map(components),
        b in family().prop_flat_map(components),
        c in family().prop_flat_map(components),
    ) {
        let mut rules = [&a, &b, &c];
        rules.sort();
        prop_assert!(rules[0] <= rules[1] && rules[1] <= rules[2] && rules[0] <= rules[2]);
        prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
        prop_assert_eq!(a == b, a.cmp(&b).is_eq());
    }

    #[test]
    fn a_rule_inside_the_prefix_of_another_goes_first(
        (outer, longer) in family().prop_flat_map(|family| (prefix(family), 1..32u8)),
    ) {
        let inner = match outer {
            Prefix::V4(net) => {
                let length = net.prefix_len().saturating_add(longer).min(32);
                Prefix::V4(Ipv4Net::new(net.broadcast(), length).unwrap())
            }
            Prefix::V6(pattern) => {
                let length = pattern.length().saturating_add(longer).min(128);
                let last = u128::from(pattern.length() < 128);
                let address = Ipv6Addr::from_bits(pattern.address().to_bits() | last);
                Prefix::V6(Ipv6Pattern::new(address, pattern.offset(), length).unwrap())
            }
        };
        let rule = |prefix: Prefix| {
            Components::new(prefix.family(), vec![Component::Destination(prefix)]).unwrap()
        };
        let (inner, outer) = (rule(inner), rule(outer));
        prop_assert!(inner <= outer);
    }

    #[test]
    fn ranges_agree_with_the_operators(
        list in numeric(),
        max in prop::sample::select(vec![0x3f, 0xff, 0xffff, 0xf_ffff, u32::MAX]),
    ) {
        let ranges = Ranges::passing(&list, max);
        let near = |term: &Term<Comparison>| {
            let value = u32::try_from(term.value()).unwrap_or(max);
            [value.saturating_sub(1), value, value.saturating_add(1)]
        };
        let mut numbers: Vec<u32> = list.terms().iter().flat_map(near).collect();
        numbers.extend([0, max, max / 2]);
        for number in numbers {
            let wanted = number <= max && list.eval(number.into());
            prop_assert_eq!(ranges.contains(number), wanted, "{}", number);
            let ternaries = ranges.ternaries().filter(|one| has(*one, number)).count();
            prop_assert_eq!(ternaries, usize::from(wanted));
        }
    }

    #[test]
    fn a_cover_is_exact(table in prop::collection::vec(any::<Option<bool>>(), 16)) {
        let cover = cover(4, |field| table[usize::from(field)]);
        for (field, wanted) in (0..16).zip(&table) {
            let covered = cover.iter().any(|one| has(*one, field));
            prop_assert!(wanted.is_none_or(|wanted| wanted == covered));
        }
    }
}
