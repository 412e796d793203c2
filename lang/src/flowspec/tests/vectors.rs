//! Examples of the RFCs and of the acceptance vectors.

use super::*;

const MAIL: &str = "0b 0118c00002 038106 048119";

#[test]
fn mail_to_one_network_is_dropped_and_other_traffic_passes() {
    let spec = FlowSpec {
        components: rule(Family::V4, MAIL),
        actions: Actions::from_communities(&[[0x80, 6, 0, 0, 0, 0, 0, 0]]).unwrap(),
    };
    assert_eq!(spec.components.list().len(), 3);
    assert!(spec.actions.drops());
    assert_eq!(spec.components.encode(), octets(MAIL));

    let mut table = FlowTable::new(16);
    let id = table.announce(spec).unwrap();
    let dropped = |header: &Header| {
        table.applying(header).any(|(rule, actions)| rule == id && actions.drops())
    };
    let mail = segment("198.51.100.1", "192.0.2.7", (1024, 25));
    assert!(dropped(&mail));
    assert!(dropped(&segment("198.51.100.1", "192.0.2.7", (25, 1024))), "either port");
    assert!(!dropped(&segment("198.51.100.1", "192.0.3.7", (1024, 25))));
    assert!(!dropped(&segment("198.51.100.1", "192.0.2.7", (1024, 26))));
    let udp = Transport::Udp { source: 1024, destination: 25 };
    assert!(!dropped(&Header { protocol: 17, transport: udp, ..mail }));
    assert!(!dropped(&Header { fragment_offset: 1, ..mail }), "ports are in the first fragment");
}

#[test]
fn mail_compiles_to_two_entries_of_tcp() {
    let alternatives = rule(Family::V4, MAIL).matches().unwrap();
    let [from, to] = &alternatives[..] else { unreachable!("{alternatives:?}") };
    assert_eq!(from.source_ports, Some(vec![25..=25]));
    assert_eq!(to.destination_ports, Some(vec![25..=25]));
    assert_eq!((&from.destination_ports, &to.source_ports), (&None, &None));
    for one in [from, to] {
        assert_eq!(one.protocols, Some(vec![Ternary::new(6, 0xff)]));
        let network: ipnet::IpNet = "192.0.2.0/24".parse().unwrap();
        assert_eq!((one.source, one.destination), (IpMatch::Any, network.into()));
        assert_eq!(one.fragments, Some(vec![Ternary::new(0, Header::IS_F)]));
        assert_eq!(one.entries(), 1);
    }
}

#[test]
fn ports_may_be_a_range_or_one_more() {
    let hex = "12 0118c00002 0218cb0071 04 0389 458b 911f90";
    let rule = rule(Family::V4, hex);
    assert_eq!(rule.encode(), octets(hex));
    let alternatives = rule.matches().unwrap();
    assert_eq!(alternatives[0].source_ports, Some(vec![137..=139, 8080..=8080]));
    for (port, wanted) in [(136, false), (137, true), (139, true), (140, false), (8080, true)] {
        let header = segment("203.0.113.9", "192.0.2.1", (port, 9));
        assert_eq!(matched(&rule, &header), wanted, "{port}");
    }
}

#[test]
fn fragment_bits_are_alternatives() {
    let hex = "09 0120c0000201 0c8005";
    let rule = rule(Family::V4, hex);
    assert_eq!(rule.encode(), octets(hex));
    let header = segment("203.0.113.9", "192.0.2.1", (1, 2));
    assert!(!matched(&rule, &header));
    assert!(matched(&rule, &Header { dont_fragment: true, ..header }));
    assert!(matched(&rule, &Header { more_fragments: true, ..header }));
    let later = Header { more_fragments: true, fragment_offset: 4, ..header };
    assert!(!matched(&rule, &later));
}

#[test]
fn ipv6_patterns_start_at_their_offset() {
    for (hex, address, offset) in [
        ("12 0120 0020010db8 026840 123456789a 038106", "::1234:5678:9a00:0", 64),
        ("12 0120 0020010db8 026841 2468acf134 038106", "::1234:5678:9a00:0", 65),
        ("13 0120 0020010db8 02683c 112345678980 038106", "::1:1234:5678:9800:0", 60),
    ] {
        let rule = rule(Family::V6, hex);
        assert_eq!(rule.encode(), octets(hex), "{address}");
        let pattern = Ipv6Pattern::new(address.parse().unwrap(), offset, 104).unwrap();
        assert_eq!(rule.list()[1], Component::Source(Prefix::V6(pattern)));
        assert_eq!(pattern.address().to_string(), address.parse::<IpAddr>().unwrap().to_string());
        let from = |source: &str| matched(&rule, &segment(source, "2001:db8::5", (1, 2)));
        let high = if offset == 60 { "ffff:ffff:ffff:fff1" } else { "ffff:ffff:ffff:ffff" };
        let low = if offset == 60 { "1234:5678:98ff:ffff" } else { "1234:5678:9aff:ffff" };
        assert!(from(&format!("{high}:{low}")));
        assert!(!from(&format!("{high}:1234:5678:9bff:ffff")));
    }
}

#[test]
fn flow_labels_become_values_and_masks() {
    let low = Term::or(Comparison::GreaterOrEqual, 0x100);
    let high = Term::and(Comparison::Less, 0x300);
    let labels = Component::FlowLabel(Terms::new(vec![low, high]).unwrap());
    let rule = Components::new(Family::V6, vec![labels]).unwrap();
    let [one] = &rule.matches().unwrap()[..] else { unreachable!() };
    let expected = [0x100, 0x200].map(|value| Ternary::new(value, 0xf_ff00));
    assert_eq!(one.flow_labels.as_deref(), Some(&expected[..]));
}

#[test]
fn operator_000_matches_never_and_111_always() {
    let value = |op| Components::new(Family::V4, vec![Component::Length(Terms::one(op, 40))]);
    let header = segment("203.0.113.9", "192.0.2.1", (1, 2));
    let never = value(Comparison::False).unwrap();
    assert_eq!(never.encode(), [3, 10, 0x80, 40]);
    assert!(never.matches().unwrap().is_empty());
    let always = value(Comparison::True).unwrap();
    assert_eq!(always.encode(), [3, 10, 0x87, 40]);
    for length in [0, 39, 40, 41, 65_535] {
        assert!(!matched(&never, &Header { length, ..header }));
        assert!(matched(&always, &Header { length, ..header }));
    }
}

#[test]
fn a_port_that_is_always_right_still_asks_for_a_port() {
    let any = vec![Component::Port(Terms::one(Comparison::True, 0))];
    let rule = Components::new(Family::V4, any).unwrap();
    let header = segment("203.0.113.9", "192.0.2.1", (1, 2));
    assert!(matched(&rule, &header));
    assert!(!matched(&rule, &Header { transport: Transport::None, ..header }));
    assert!(!matched(&rule, &Header { fragment_offset: 9, ..header }));
    assert!(!matched(&rule, &Header { protocol: 132, ..header }));
}

#[test]
fn icmp_type_and_code_are_one_number() {
    let message = |family| {
        let kind = Component::IcmpType(Terms::one(Comparison::Equal, 3));
        let code = Component::IcmpCode(Terms::one(Comparison::LessOrEqual, 1));
        Components::new(family, vec![kind, code]).unwrap()
    };
    for (family, protocol) in [(Family::V4, 1), (Family::V6, 58)] {
        let [one] = &message(family).matches().unwrap()[..] else { unreachable!() };
        assert_eq!(one.icmp, Some(vec![0x300..=0x301]));
        assert_eq!(one.protocols, Some(vec![Ternary::new(protocol, 0xff)]));
    }
    let transport = Transport::Icmp { kind: 3, code: 1 };
    let header = Header { protocol: 1, transport, ..segment("203.0.113.9", "192.0.2.1", (1, 2)) };
    assert!(matched(&message(Family::V4), &header));
    let transport = Transport::Icmp { kind: 3, code: 2 };
    assert!(!matched(&message(Family::V4), &Header { transport, ..header }));
    assert!(!matched(&message(Family::V4), &Header { protocol: 58, ..header }));
}

#[test]
fn what_cannot_hold_together_compiles_to_nothing() {
    let port = Component::DestinationPort(Terms::one(Comparison::Equal, 53));
    let kind = Component::IcmpType(Terms::one(Comparison::Equal, 8));
    let rule = Components::new(Family::V4, vec![port.clone(), kind]).unwrap();
    assert_eq!(rule.matches().unwrap(), []);
    let later = Component::Fragment(Terms::one(BitTest { not: false, all: true }, 2));
    let rule = Components::new(Family::V4, vec![port, later]).unwrap();
    assert_eq!(rule.matches().unwrap(), []);
}

#[test]
fn rules_that_would_fill_the_classifier_are_refused() {
    let odd = |count| {
        let terms = (0..count).map(|n| Term::or(Comparison::Equal, 2 * n)).collect();
        Terms::new(terms).unwrap()
    };
    let pair = |count| {
        let list = vec![Component::DestinationPort(odd(count)), Component::SourcePort(odd(count))];
        Components::new(Family::V4, list).unwrap().matches()
    };
    // Twice 64 x 64, as TCP and UDP are two spans of protocols.
    assert_eq!(pair(64), Err(TooComplex { entries: 2 * 64 * 64 }));
    assert_eq!(pair(45).unwrap()[0].entries(), 4050);
    let error = pair(64).unwrap_err().to_string();
    assert_eq!(error, "a flow specification takes 8192 entries, and 4096 is the most");
}
