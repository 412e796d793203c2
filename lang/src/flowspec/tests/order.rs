//! Which rule is looked at first.

use super::*;

/// Checks that rules, written as NLRI without lengths, are in the order of evaluation.
fn ascending(family: Family, rules: &[&str]) {
    let rules: Vec<_> =
        rules.iter().map(|hex| Components::decode_value(family, &octets(hex)).unwrap()).collect();
    for (n, rule) in rules.iter().enumerate() {
        for (m, other) in rules.iter().enumerate() {
            assert_eq!(rule.cmp(other), n.cmp(&m), "{rule:?} and {other:?}");
        }
    }
}

#[test]
fn longer_prefixes_go_first_and_then_lower_addresses() {
    let prefixes = ["0119c0000200", "0118c00002", "0110c000", "0110c001", "0108c1", "0100"];
    ascending(Family::V4, &prefixes);
}

#[test]
fn a_rule_with_a_component_goes_before_one_without() {
    let rules = [
        "0118c00002 038106 058119",
        "0118c00002 038106",
        "0118c00002 058119",
        "0118c00002",
        "0218c00002",
        "038106",
    ];
    ascending(Family::V4, &rules);
}

#[test]
fn other_components_compare_as_octets() {
    // The operator at the end of a list has a bit set, so a list that goes on is lower.
    ascending(Family::V4, &["03 0105 8106", "03 8105", "03 8106", "03 910005"]);
}

#[test]
fn in_ipv6_the_lower_offset_goes_before_the_longer_prefix() {
    let rules = [
        "01 40 00 20010db800000000",
        "01 20 00 20010db8",
        "01 00 00",
        "01 68 40 123456789a",
        "01 60 40 12345678",
        "01 68 41 2468acf134",
    ];
    ascending(Family::V6, &rules);
}

#[test]
fn rules_of_ipv4_stand_before_those_of_ipv6() {
    let v4 = rule(Family::V4, "03 038106");
    let v6 = rule(Family::V6, "03 038106");
    assert!(v4 < v6);
    assert_ne!(v4, v6);
}
