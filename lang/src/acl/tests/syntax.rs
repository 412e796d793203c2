use super::*;
use crate::ios::names;

fn any() -> Ace {
    Ace::permit(Protocol::Any)
}

fn tcp() -> Ace {
    Ace::permit(Protocol::TCP)
}

fn with(options: Options) -> Ace {
    any().options(options)
}

#[test]
fn actions_and_protocols_have_names_and_numbers() {
    assert_eq!(v4("permit ip any any"), any());
    assert_eq!(v4("DENY IP Any ANY"), Ace::deny(Protocol::Any));
    assert_eq!(v4("permit 6 any any"), tcp());
    for (word, number) in names::PROTOCOLS {
        let ace = Ace::permit(Protocol::Number(*number));
        assert_eq!(v4(&format!("permit {word} any any")), ace);
        assert_eq!(v6(&format!("permit {word} any any")), ace);
    }
    assert_eq!(v4("permit icmp any any").protocol, Protocol::ICMP);
    assert_eq!(v6("permit icmp any any").protocol, Protocol::ICMPV6);
    assert_eq!(v6("permit icmpv6 any any").protocol, Protocol::ICMPV6);
    assert_eq!(v6("permit ipv6 any any"), any());
}

#[test]
fn addresses_are_any_host_prefix_wildcard_or_group() {
    let source = |text: &str| v4(&format!("permit ip {text} any")).source;
    assert_eq!(source("any"), Address::ANY);
    assert_eq!(source("host 10.0.0.1"), net("10.0.0.1/32").into());
    assert_eq!(source("10.1.2.3/8"), net("10.0.0.0/8").into());
    assert_eq!(source("10.1.2.3 0.255.255.255"), net("10.0.0.0/8").into());
    assert_eq!(source("10.0.0.1 0.0.0.0"), net("10.0.0.1/32").into());
    assert_eq!(source("object-group NET"), Address::Group(name("NET")));
    assert_eq!(source("addrgroup NET"), Address::Group(name("NET")));
    assert_eq!(source("net-group NET"), Address::Group(name("NET")));
    let holes = IpMatch::V4(Ternary::new(0xab40_fa00, 0xffff_ff80));
    assert_eq!(source("171.64.250.0 0.0.0.127"), holes.into());
    let holes = IpMatch::V4(Ternary::new(0x0a00_0001, 0xff00_ff01));
    assert_eq!(source("10.77.0.55 0.255.0.254"), holes.into());
}

#[test]
fn ipv6_addresses_likewise() {
    let source = |text: &str| v6(&format!("permit ipv6 {text} any")).source;
    assert_eq!(source("2001:db8::1/32"), net("2001:db8::/32").into());
    assert_eq!(source("host 2001:db8::1"), net("2001:db8::1/128").into());
    let holes = Ternary::new(0x2001_0db8 << 96 | 1, u128::MAX << 96 | 0xffff);
    assert_eq!(source("2001:db8::1 ::ffff:ffff:ffff:ffff:ffff:0"), IpMatch::V6(holes).into());
}

#[test]
fn ports_compare_in_five_ways() {
    let ace = v4("permit tcp any gt 1023 any eq www 443 bgp");
    assert_eq!(ace.source_port, Some(Compare::Gt(1023).into()));
    assert_eq!(ace.destination_port, Some(Compare::Eq(vec![80, 443, 179]).into()));
    let port = |text: &str| v4(&format!("permit udp any any {text}")).destination_port;
    assert_eq!(port("neq 53"), Some(Compare::Neq(vec![53]).into()));
    assert_eq!(port("lt ntp"), Some(Compare::Lt(123).into()));
    assert_eq!(port("range 16384 32767"), Some(Compare::Range(16384, 32767).into()));
    assert_eq!(port("range snmp snmptrap"), Some(Compare::Range(161, 162).into()));
    assert_eq!(port("portgroup P"), Some(Ports::Group(name("P"))));
    assert_eq!(port("port-group P"), Some(Ports::Group(name("P"))));
    let sctp = v4("permit sctp any any eq 2905").destination_port;
    assert_eq!(sctp, Some(Compare::eq(2905).into()));
}

#[test]
fn every_port_name_is_its_number() {
    for (protocol, table) in [("tcp", names::TCP_PORTS), ("udp", names::UDP_PORTS)] {
        for (word, port) in table {
            let ace = v4(&format!("permit {protocol} any any eq {word}"));
            assert_eq!(ace.destination_port, Some(Compare::eq(*port).into()), "{word}");
        }
        for (word, port) in names::OTHER_PORTS {
            let ace = v4(&format!("permit {protocol} any any eq {word}"));
            assert_eq!(ace.destination_port, Some(Compare::eq(*port).into()), "{word}");
        }
    }
}

#[test]
fn every_icmp_name_is_its_type_and_code() {
    for (word, (kind, code)) in names::icmp(Family::V4) {
        let ace = v4(&format!("permit icmp any any {word}"));
        assert_eq!(ace.options.icmp, Some(Icmp { kind: *kind, code: *code }), "{word}");
    }
    for (word, (kind, code)) in names::icmp(Family::V6) {
        let ace = v6(&format!("permit icmp any any {word}"));
        assert_eq!(ace.options.icmp, Some(Icmp { kind: *kind, code: *code }), "{word}");
    }
    assert_eq!(v4("permit icmp any any 3"), Ace::permit(Protocol::ICMP).icmp(3, None));
    assert_eq!(v4("permit icmp any any 3 4 log").options.icmp.unwrap().code, Some(4));
}

#[test]
fn tcp_flags_are_asked_for_in_three_ways() {
    let flags = |text: &str| v4(&format!("permit tcp any any {text}")).options.tcp.unwrap();
    let (none, ack, syn) = (TcpFlags::NONE, TcpFlags::ACK, TcpFlags::SYN);
    assert_eq!(flags("established"), TcpMatch::ESTABLISHED);
    assert_eq!(flags("match-any +ack +rst"), TcpMatch::ESTABLISHED);
    assert_eq!(flags("match-all +syn -ack"), TcpMatch::All { set: syn, clear: ack });
    assert_eq!(flags("syn"), TcpMatch::Any { set: syn, clear: none });
    assert_eq!(flags("syn ack log"), TcpMatch::Any { set: syn | ack, clear: none });
    assert_eq!(flags("match-any -FIN").ternaries(), [(0, 1)]);
    assert_eq!(flags("match-all +syn -ack").ternaries(), [(0x02, 0x12)]);
    assert_eq!(flags("established").ternaries(), [(0x04, 0x04), (0x10, 0x10)]);
}

#[test]
fn header_fields_have_names_and_numbers() {
    let dscp = |value| with(Options { dscp: Some(Compare::eq(value)), ..Options::default() });
    for (word, value) in names::DSCP {
        assert_eq!(v4(&format!("permit ip any any dscp {word}")), dscp((*value).into()));
        assert_eq!(v6(&format!("permit ipv6 any any dscp {value}")), dscp((*value).into()));
    }
    for (word, value) in names::PRECEDENCE {
        let precedence = v4(&format!("permit ip any any precedence {word}")).options.precedence;
        assert_eq!(precedence, Some(Compare::eq((*value).into())));
    }
    for (word, value) in names::TOS {
        assert_eq!(v4(&format!("permit ip any any tos {word}")).options.tos, Some(*value));
    }
    assert_eq!(v4("permit ip any any tos 15").options.tos, Some(15));
    let ace = v4("permit ip any any ttl lt 2 packet-length range 64 128 dscp gt cs6");
    assert_eq!(ace.options.ttl, Some(Compare::Lt(2)));
    assert_eq!(ace.options.packet_length, Some(Compare::Range(64, 128)));
    assert_eq!(ace.options.dscp, Some(Compare::Gt(48)));
    assert_eq!(v4("permit ip any any ttl 255").options.ttl, Some(Compare::eq(255)));
    let undetermined = v6("deny ipv6 any host 2001:db8::1 undetermined-transport log");
    assert!(undetermined.options.undetermined_transport);
    let label = v6("permit ipv6 any any flow-label 1048575").options.flow_label;
    assert_eq!(label, Some(MAX_FLOW_LABEL));
}

#[test]
fn flags_of_the_entry_come_in_any_order() {
    let options = Options { log: Log::WithInput, capture: true, ..Options::default() };
    let ace = with(options).fragments();
    assert_eq!(v4("permit ip any any log-input capture fragments"), ace);
    assert_eq!(v4("permit ip any any fragments capture log-input"), ace);
    assert_eq!(v4("permit ip any any log").options.log, Log::On);
}

#[test]
fn remarks_are_kept_as_written() {
    let text = "access-list 101 remark  two  words ! and more\n";
    let document = parse(text);
    let body = document.list(Family::V4, "101").unwrap().entry(10);
    assert_eq!(body, Some(&Body::Remark("two  words ! and more".into())));
}

#[test]
fn compare_gives_the_ranges_that_match() {
    let values = [0, 1, 2, 5, 6, 62, 63];
    let mut all = vec![Compare::Eq(vec![]), Compare::Neq(vec![])];
    for a in values {
        all.extend([Compare::Lt(a), Compare::Gt(a)]);
        for b in values {
            all.push(Compare::Range(a, b));
            for c in values {
                all.extend([Compare::Eq(vec![a, b, c]), Compare::Neq(vec![a, b, c])]);
            }
        }
    }
    for compare in all {
        let matches = |value: u16| match &compare {
            Compare::Eq(values) => values.contains(&value),
            Compare::Neq(values) => !values.contains(&value),
            Compare::Lt(than) => value < *than,
            Compare::Gt(than) => value > *than,
            Compare::Range(low, high) => *low <= value && value <= *high,
        };
        let ranges = compare.ranges(63);
        for value in 0..=63 {
            let found = ranges.iter().any(|range| range.contains(&value));
            assert_eq!(found, matches(value), "{compare:?} {value}");
        }
        assert!(ranges.is_sorted_by(|a, b| a.end() + 1 < *b.start()), "{ranges:?}");
        assert!(ranges.iter().all(|range| range.start() <= range.end() && *range.end() <= 63));
    }
    assert_eq!(Compare::Neq(vec![65535]).ranges(u16::MAX), [0..=65534]);
    assert_eq!(Compare::Gt(65535).ranges(u16::MAX), []);
    assert_eq!(Compare::Neq(vec![]).ranges(u16::MAX), [0..=65535]);
}

#[test]
fn ternaries_of_tcp_flags_match_as_the_flags_do() {
    let flags = |bits: u8| {
        let named = TcpFlags::NAMES.iter().filter(|(_, flag)| bits & flag.bits() != 0);
        named.fold(TcpFlags::NONE, |all, (_, flag)| all | *flag)
    };
    for set in 0..64_u8 {
        for clear in (0..64_u8).filter(|clear| clear & set == 0) {
            let all = TcpMatch::All { set: flags(set), clear: flags(clear) }.ternaries();
            let any = TcpMatch::Any { set: flags(set), clear: flags(clear) }.ternaries();
            for byte in 0..64_u8 {
                let found = |ternaries: &[(u8, u8)]| {
                    ternaries.iter().any(|(value, mask)| byte & mask == *value)
                };
                assert_eq!(found(&all), byte & set == set && byte & clear == 0);
                assert_eq!(found(&any), byte & set != 0 || !byte & clear != 0);
            }
        }
    }
}
