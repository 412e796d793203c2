//! Octets that are no rule, each with its error.

use super::*;

fn refused(family: Family, hex: &str) -> NlriError {
    Components::decode(family, &octets(hex)).unwrap_err()
}

#[test]
fn each_malformed_rule_has_its_error() {
    use ComponentsError::{Duplicate, Empty, Order, Width};
    let v4 = |hex| refused(Family::V4, hex);
    assert_eq!(v4(""), NlriError::Truncated { need: 1, have: 0 });
    assert_eq!(v4("f0"), NlriError::Truncated { need: 2, have: 1 });
    assert_eq!(v4("0b 0118c00002"), NlriError::Truncated { need: 12, have: 6 });
    assert_eq!(v4("ffff 00"), NlriError::Truncated { need: 4097, have: 3 });
    assert_eq!(v4("00"), Empty.into());
    assert_eq!(v4("06 038106 038111"), Duplicate { number: 3 }.into());
    assert_eq!(v4("06 058119 038106"), Order { number: 3, after: 5 }.into());
    assert_eq!(v4("03 008106"), NlriError::UnknownType(0));
    assert_eq!(v4("03 0d8106"), NlriError::UnknownType(13));
    assert_eq!(v4("03 0e8106"), NlriError::UnknownType(14));
    assert_eq!(v4("06 0121c0000201"), NlriError::PrefixLength { number: 1, length: 33 });
    assert_eq!(v4("04 0218c000"), NlriError::Cut { number: 2 });
    assert_eq!(v4("01 01"), NlriError::Cut { number: 1 });
    assert_eq!(v4("01 03"), NlriError::Cut { number: 3 });
    assert_eq!(v4("02 0381"), NlriError::Cut { number: 3 });
    assert_eq!(v4("03 030106"), NlriError::Cut { number: 3 });
    assert_eq!(v4("04 05b10000"), NlriError::Cut { number: 5 });
    assert_eq!(v4("06 09a100000001"), Width { number: 9, octets: 4 }.into());
    assert_eq!(v4("04 0b910001"), Width { number: 11, octets: 2 }.into());
    assert_eq!(v4("04 0c910001"), Width { number: 12, octets: 2 }.into());
}

#[test]
fn each_malformed_pattern_of_ipv6_has_its_error() {
    let v6 = |hex| refused(Family::V6, hex);
    let pattern =
        |offset, length| NlriError::Pattern { number: 1, bounds: BadPattern { offset, length } };
    assert_eq!(v6("03 018100"), pattern(0, 0x81));
    assert_eq!(v6("03 012020"), pattern(0x20, 0x20));
    assert_eq!(v6("03 010001"), pattern(1, 0));
    assert_eq!(v6("04 011002ff"), NlriError::Cut { number: 1 });
    assert_eq!(v6("02 0110"), NlriError::Cut { number: 1 });
    let error = v6("03 012020").to_string();
    assert_eq!(error, "component 1: bits from 32 up to 32 are no part of an IPv6 address");
}

#[test]
fn components_of_the_other_family_are_refused() {
    let v4 = Component::Source(Prefix::V4("192.0.2.0/24".parse().unwrap()));
    let any = Ipv6Pattern::new(std::net::Ipv6Addr::UNSPECIFIED, 0, 0).unwrap();
    let v6 = Component::Destination(Prefix::V6(any));
    let label = Component::FlowLabel(Terms::one(Comparison::Equal, 1));
    let family = |number| Err(ComponentsError::Family { number });
    assert_eq!(Components::new(Family::V6, vec![v4]), family(2));
    assert_eq!(Components::new(Family::V4, vec![v6]), family(1));
    assert_eq!(Components::new(Family::V4, vec![label]), family(13));
    assert_eq!(Numeric::new(Vec::new()), Err(NoTerms));
}

#[test]
fn lengths_take_two_octets_from_240_on_and_end_at_4095() {
    let ports = |count: usize, width| {
        let terms = vec![Term::or(Comparison::Equal, 0).at_least(width); count];
        Components::new(Family::V4, vec![Component::Port(Terms::new(terms).unwrap())])
    };
    let short = ports(119, Width::One).unwrap().encode();
    assert_eq!((short.len(), short[0]), (240, 239));
    let long = ports(120, Width::One).unwrap().encode();
    assert_eq!((long.len(), &long[..2]), (243, &[0xf0, 241][..]));
    let longest = ports(2047, Width::One).unwrap();
    let bytes = longest.encode();
    assert_eq!((bytes.len(), &bytes[..2]), (4097, &[0xff, 0xff][..]));
    assert_eq!(Components::decode(Family::V4, &bytes), Ok((longest, &[][..])));
    assert_eq!(ports(2048, Width::One), Err(ComponentsError::TooLong(4097)));
    assert_eq!(ports(456, Width::Eight), Err(ComponentsError::TooLong(4105)));
}

#[test]
fn bits_without_a_meaning_are_ignored_and_not_written() {
    // Host bits, the AND bit of a first term, reserved bits of operators, of DSCP and fragments.
    let noisy = rule(Family::V4, "0e 0117c000ff 03c906 0b81f8 0c8df1");
    assert_eq!(noisy.encode(), octets("0e 0117c000fe 038106 0b8138 0c8101"));
}

#[test]
fn short_rules_may_have_a_long_length_and_are_followed_by_the_next() {
    let bytes = octets("f003 038106 03038111");
    let (first, rest) = Components::decode(Family::V4, &bytes).unwrap();
    assert_eq!(first.encode(), octets("03 038106"));
    let (second, rest) = Components::decode(Family::V4, rest).unwrap();
    assert_eq!((second.encode(), rest), (octets("03 038111"), &[][..]));
}
