//! Route maps as text, and what rules come from them.

mod properties;

use ipnet::IpNet;

use super::*;
use crate::acl::{Family, Name, Ternary};
use crate::flowspec::{
    Actions, Comparison, Component, Components, FlowSpec, FlowTable, Prefix, RateUnit, RouteTarget,
    Terms, TrafficRate,
};

const FULL: &str = "route-map EDGE permit 10
 description to the ! scrubber,  twice
 match ip address 101 WEB
 match ipv6 address WEB6
 match length 64 1500
 set ip dscp ef
 set ip next-hop 192.0.2.1 192.0.2.2
 set ipv6 next-hop 2001:db8::1
 set interface Null0
 set ip default next-hop 198.51.100.1
 set ipv6 default next-hop 2001:db8::2
route-map EDGE deny 20
route-map EDGE permit 30
 set ip precedence 6
 set vrf red
route-map OTHER permit 10
 set ip dscp 33
";

#[test]
fn all_that_can_be_said_prints_as_it_is_read() {
    let maps = RouteMaps::parse(FULL).unwrap();
    let printed = maps.to_string();
    assert_eq!(printed, FULL.replace("precedence 6", "precedence internet"));
    assert_eq!(RouteMaps::parse(&printed).unwrap(), maps);

    let edge = maps.get("EDGE").unwrap();
    let (sequence, entry) = edge.entries().next().unwrap();
    assert_eq!((sequence, entry.action), (10, Action::Permit));
    assert_eq!(entry.matches.length, Some(64..=1500));
    assert_eq!(entry.matches.ipv4.iter().map(Name::as_str).collect::<Vec<_>>(), ["101", "WEB"]);
    assert_eq!(entry.sets.mark, Some(Mark::Dscp(46)));
    assert!(entry.sets.null0);
    assert_eq!(edge.entries().map(|(sequence, _)| sequence).collect::<Vec<_>>(), [10, 20, 30]);
    assert_eq!(maps.iter().count(), 2);
}

#[test]
fn lines_add_to_lists_in_any_case_and_indentation() {
    let text = "ROUTE-MAP A Permit 5\nMATCH IP Address X\n!\n   match ip address Y ! and\n\
                set ip next-hop 192.0.2.1\n set ip next-hop 192.0.2.2\n SET INTERFACE NULL0";
    let maps = RouteMaps::parse(text).unwrap();
    let printed = "route-map A permit 5\n match ip address X Y\n\
                   \x20set ip next-hop 192.0.2.1 192.0.2.2\n set interface Null0\n";
    assert_eq!(maps.to_string(), printed);
    assert!(RouteMaps::parse("! nothing\n").unwrap().iter().next().is_none());
}

#[test]
fn each_refusal_says_where_and_why() {
    let in_entry = [
        ("match ip", "2, column 9: expected address, found the end of the line"),
        ("match ip address", "2, column 17: expected an access list, found the end of the line"),
        ("match ip address prefix-list X", "2, column 18: prefix-list is not supported"),
        ("match ip next-hop 5", "2, column 10: next-hop is not supported"),
        ("match ip addresses X", "2, column 10: expected address, found \"addresses\""),
        ("match ip address X X", "2, column 20: X is given twice"),
        ("match tag 5", "2, column 7: tag is not supported"),
        ("match colour", "2, column 7: expected ip, ipv6 or length, found \"colour\""),
        ("match length 5 4", "2, column 14: no length is at least 5 and at most 4"),
        (
            "match length 5",
            "2, column 15: expected the greatest length (0 to 2147483647), found the end of the line",
        ),
        ("match length 1 2 3", "2, column 18: expected the end of the line, found \"3\""),
        (
            "set ip next-hop",
            "2, column 16: expected the address of a next hop, found the end of the line",
        ),
        (
            "set ip next-hop 192.0.2.1 x",
            "2, column 27: expected the address of a next hop, found \"x\"",
        ),
        (
            "set ip next-hop 2001:db8::1",
            "2, column 17: expected the address of a next hop, found \"2001:db8::1\"",
        ),
        (
            "set ip next-hop 192.0.2.1 224.0.0.1",
            "2, column 27: 224.0.0.1 is not the address of one neighbour",
        ),
        ("set ip next-hop 0.0.0.1", "2, column 17: 0.0.0.1 is not the address of one neighbour"),
        ("set ipv6 next-hop fe80::1", "2, column 19: link-local fe80::1 could be on any link"),
        (
            "set ip next-hop verify-availability 192.0.2.1 1 track 1",
            "2, column 17: verify-availability is not supported",
        ),
        ("set ip default next-hop peer-address", "2, column 25: peer-address is not supported"),
        ("set ip df 0", "2, column 8: df is not supported"),
        ("set ip vrf red next-hop 192.0.2.1", "2, column 8: vrf is not supported"),
        ("set ip colour", "2, column 8: expected next-hop, found \"colour\""),
        ("set ip dscp 64", "2, column 13: expected a DSCP (0 to 63), found \"64\""),
        ("set ip precedence x", "2, column 19: expected a precedence, found \"x\""),
        ("set interface GigabitEthernet0/0", "2, column 15: GigabitEthernet0/0 is not supported"),
        ("set interface", "2, column 14: expected Null0, found the end of the line"),
        ("set default interface Null0", "2, column 5: default is not supported"),
        ("set community none", "2, column 5: community is not supported"),
        ("set colour", "2, column 5: expected ip, ipv6, vrf or interface, found \"colour\""),
        ("set vrf", "2, column 8: expected the name of a VRF, found the end of the line"),
        ("description", "2, column 12: expected a description, found the end of the line"),
        ("continue 20", "2, column 1: continue is not supported"),
        ("route-map A permit 10", "2, column 20: entry 10 of A is given twice"),
        ("no match", "2, column 1: \"no\" begins no command known here"),
    ];
    for (line, error) in in_entry {
        let text = format!("route-map A permit 10\n{line}");
        let found = RouteMaps::parse(&text).unwrap_err().to_string();
        assert_eq!(found, format!("line {error}"), "{line}");
    }
    let alone = [
        ("match ip address X", "1, column 1: \"match\" begins no command known here"),
        ("route-map", "1, column 10: expected the name of a route map, found the end of the line"),
        ("route-map A allow 10", "1, column 13: expected permit or deny, found \"allow\""),
        (
            "route-map A permit 65536",
            "1, column 20: expected a sequence number (0 to 65535), found \"65536\"",
        ),
        ("route-map A permit 5 5", "1, column 22: expected the end of the line, found \"5\""),
    ];
    for (text, error) in alone {
        let found = RouteMaps::parse(text).unwrap_err().to_string();
        assert_eq!(found, format!("line {error}"), "{text}");
    }
}

#[test]
fn what_is_said_twice_or_contradicts_is_refused_where_it_stands() {
    let cases = [
        (
            "set vrf red\n set ip next-hop 192.0.2.1",
            "line 3, column 6: a VRF cannot be set together with a next hop or an interface",
        ),
        (
            "set interface Null0\n set vrf red",
            "line 3, column 6: a VRF cannot be set together with a next hop or an interface",
        ),
        ("set vrf red\n set vrf blue", "line 3, column 6: vrf is given twice"),
        (
            "set ip dscp ef\n set ip precedence 1",
            "line 3, column 9: an entry sets one code point or precedence",
        ),
        ("match length 1 2\n match length 1 2", "line 3, column 8: length is given twice"),
        ("description a\n description b", "line 3, column 2: description is given twice"),
        (
            "set ip next-hop 192.0.2.1\n set ip next-hop 192.0.2.1",
            "line 3, column 18: 192.0.2.1 is given twice",
        ),
    ];
    for (lines, error) in cases {
        let text = format!("route-map A permit 10\n {lines}");
        assert_eq!(RouteMaps::parse(&text).unwrap_err().to_string(), error, "{lines}");
    }
    let many: String = (0..33).map(|n| format!(" L{n}")).collect();
    let text = format!("route-map A permit 10\n match ip address{many}");
    let error = RouteMaps::parse(&text).unwrap_err().to_string();
    assert_eq!(error, "line 2, column 137: an entry has at most 32 access lists");
}

#[test]
fn an_entry_that_is_built_is_checked_like_text() {
    let mut map = RouteMap::new("A".parse().unwrap());
    let entry = |change: fn(&mut Entry)| {
        let mut entry = Entry::new(Action::Permit);
        change(&mut entry);
        entry
    };
    let mark = entry(|entry| entry.sets.mark = Some(Mark::Precedence(8)));
    assert_eq!(map.insert(10, mark), Err(EntryError::TooLarge { value: 8, max: 7 }));
    let reserved = entry(|entry| entry.matches.ipv6 = vec!["Prefix-List".parse().unwrap()]);
    let name = "Prefix-List".parse().unwrap();
    assert_eq!(map.insert(10, reserved), Err(EntryError::Reserved(name)));
    let hop = entry(|entry| entry.sets.default_next_hops4 = vec!["127.0.0.1".parse().unwrap()]);
    let address = "127.0.0.1".parse().unwrap();
    assert_eq!(map.insert(10, hop), Err(EntryError::NotNeighbour(address)));
    assert_eq!(map.insert(10, Entry::new(Action::Deny)), Ok(None));
    let replaced = map.insert(10, Entry::new(Action::Permit)).unwrap();
    assert_eq!(replaced, Some(Entry::new(Action::Deny)));
    assert!(map.remove(10).is_some() && map.remove(10).is_none());
    for text in ["", " a", "a\nb", "a\t "] {
        assert!(text.parse::<crate::ios::Description>().is_err(), "{text:?}");
    }
}

#[test]
fn an_entry_is_a_rule_for_the_families_that_it_names() {
    let text = "route-map A permit 10\n match ip address X\n set ip next-hop 192.0.2.1
route-map A deny 20\n match ipv6 address Y\n set interface Null0
route-map A permit 30\n match length 1000 70000\n set interface Null0
route-map A permit 40\n match length 65536 70000\n set interface Null0
";
    let maps = RouteMaps::parse(text).unwrap();
    let rules = |family| maps.get("A").unwrap().rules(family).collect::<Vec<_>>();
    let keys = |family| rules(family).iter().map(|rule| rule.key).collect::<Vec<_>>();
    assert_eq!(keys(Family::V4), [RuleKey::Entry(10), RuleKey::Entry(30)]);
    assert_eq!(keys(Family::V6), [RuleKey::Entry(20), RuleKey::Entry(30)]);
    let denied = &rules(Family::V6)[0];
    assert_eq!(denied.outcome, Outcome::default(), "routed as usual");
    let lists = vec!["Y".parse().unwrap()];
    assert_eq!(denied.condition, Condition::Lists { lists, length: None });
    let long = &rules(Family::V4)[1];
    let condition = Condition::Lists { lists: Vec::new(), length: Some(1000..=u16::MAX) };
    assert_eq!(long.condition, condition);
    assert!(long.outcome.sets.null0);
}

#[test]
fn flow_specifications_become_rules_in_their_order() {
    let components = |prefix: &str| {
        let prefix = Prefix::V4(prefix.parse().unwrap());
        let protocol = Terms::one(Comparison::Equal, 6);
        let list = vec![Component::Destination(prefix), Component::Protocol(protocol)];
        Components::new(Family::V4, list).unwrap()
    };
    let rate = |per_second| TrafficRate::new(RateUnit::Bytes, per_second).unwrap();
    let red = RouteTarget::As2 { asn: 65000, value: 1 };
    let blue = RouteTarget::As2 { asn: 65000, value: 2 };
    let mut table = FlowTable::new(8);
    let mut add = |prefix, actions| {
        table.announce(FlowSpec { components: components(prefix), actions }).unwrap()
    };
    let police = Actions::none().with_rate(rate(125_000.0)).with_marking(46).unwrap();
    let wide = add("192.0.2.0/24", police.with_redirect(red).with_sample());
    let drop = Actions::none().with_rate(rate(0.0)).with_redirect(red).with_going_on();
    let narrow = add("192.0.2.0/25", drop);
    let lost = add("203.0.113.0/24", Actions::none().with_redirect(blue));
    let torn = add("203.0.114.0/24", Actions::none().with_redirect(blue).with_redirect(red));

    let vrf_of = |target| (target == red).then(|| "red".parse::<Name>().unwrap());
    let rules: Vec<Rule> = table
        .rules(Family::V4)
        .map(|(id, components, actions)| Rule::of_flow(id, components, actions, vrf_of).unwrap())
        .collect();
    let keys: Vec<_> = rules.iter().map(|rule| rule.key).collect();
    assert_eq!(keys, [narrow, wide, lost, torn].map(RuleKey::Flow));

    let outcome = &rules[0].outcome;
    assert_eq!(outcome.sets, Sets { null0: true, ..Sets::default() });
    assert!(outcome.rates.is_empty() && outcome.goes_on && !outcome.sample);
    let outcome = &rules[1].outcome;
    let (vrf, mark) = (Some("red".parse().unwrap()), Some(Mark::Dscp(46)));
    assert_eq!(outcome.sets, Sets { vrf, mark, ..Sets::default() });
    assert_eq!(outcome.rates[0].bits_per_second(), Some(1_000_000));
    assert!(outcome.sample && !outcome.goes_on);
    assert_eq!(rules[2].outcome, Outcome::default(), "no VRF imports the target");
    assert_eq!(rules[3].outcome, Outcome::default(), "two targets are none");

    let Condition::Flow(alternatives) = &rules[0].condition else { unreachable!() };
    let network: IpNet = "192.0.2.0/25".parse().unwrap();
    assert_eq!(alternatives[0].destination, network.into());
    assert_eq!(alternatives[0].protocols, Some(vec![Ternary::new(6, 0xff)]));
}
