//! Actions, and the table of rules.

use super::*;

const ANY_BYTES: f32 = 125_000.0;

fn target(n: u8) -> [u8; 8] {
    [0x80, 8, 0xfd, 0xe8, 0, 0, 0, n]
}

#[test]
fn a_rate_in_bytes_is_a_policer_in_bits() {
    let [a, b, c, d] = ANY_BYTES.to_be_bytes();
    let actions = Actions::from_communities(&[[0x80, 6, 0xfd, 0xe8, a, b, c, d]]).unwrap();
    let [rate] = actions.rates() else { unreachable!() };
    assert_eq!(rate.bits_per_second(), Some(1_000_000));
    assert!(!actions.drops());
    assert_eq!(actions.communities(), [[0x80, 6, 0xfd, 0xe8, a, b, c, d]]);
}

#[test]
fn several_rates_apply_with_bytes_before_packets() {
    let packets = TrafficRate::new(RateUnit::Packets, 10.0).unwrap();
    let bytes = TrafficRate::new(RateUnit::Bytes, 9e9).unwrap();
    let actions = Actions::none().with_rate(packets).with_rate(bytes);
    assert_eq!(actions.rates(), [bytes, packets]);
    assert_eq!(packets.bits_per_second(), None);
    let again = Actions::from_communities(&actions.communities()).unwrap();
    assert_eq!(again, actions);
}

#[test]
fn rates_that_are_no_rates_are_refused() {
    for rate in [f32::NAN, f32::INFINITY] {
        let [a, b, c, d] = rate.to_be_bytes();
        let community = [0x80, 0x0c, 0, 0, a, b, c, d];
        let error = Actions::from_communities(&[community]).unwrap_err();
        assert!(matches!(error, ActionError::NotFinite { unit: RateUnit::Packets, .. }));
        assert!(TrafficRate::new(RateUnit::Bytes, rate).is_err());
    }
    let below = TrafficRate::new(RateUnit::Bytes, -1.0).unwrap_err();
    assert_eq!(below, ActionError::Negative { unit: RateUnit::Bytes, rate: -1.0 });
    assert_eq!(Actions::none().with_marking(64), Err(ActionError::Dscp(64)));
}

#[test]
fn a_negative_rate_from_a_peer_drops_all() {
    for rate in [-1.0, -0.0, f32::NEG_INFINITY] {
        let [a, b, c, d] = rate.to_be_bytes();
        let actions = Actions::from_communities(&[[0x80, 6, 0, 0, a, b, c, d]]).unwrap();
        assert!(actions.drops());
        assert_eq!(actions.communities(), [[0x80, 6, 0, 0, 0, 0, 0, 0]]);
    }
}

#[test]
fn two_redirections_cancel_each_other_and_one_said_twice_counts() {
    let redirect = |list: &[[u8; 8]]| Actions::from_communities(list).unwrap().redirect();
    let one = Some(RouteTarget::As2 { asn: 65000, value: 1 });
    assert_eq!(redirect(&[target(1)]), one);
    assert_eq!(redirect(&[target(1), target(1)]), one);
    assert_eq!(redirect(&[target(1), target(2)]), None);
    assert_eq!(redirect(&[target(1), [0x81, 8, 192, 0, 2, 1, 0, 7]]), None);
    assert_eq!(redirect(&[]), None);
}

#[test]
fn route_targets_have_three_forms() {
    let forms = [
        ([0x80, 8, 0xfd, 0xe8, 0, 1, 0, 2], RouteTarget::As2 { asn: 65000, value: 65538 }),
        (
            [0x81, 8, 192, 0, 2, 1, 0, 7],
            RouteTarget::Ipv4 { address: [192, 0, 2, 1].into(), value: 7 },
        ),
        ([0x82, 8, 0, 1, 0, 0, 0, 7], RouteTarget::As4 { asn: 65536, value: 7 }),
    ];
    for (community, target) in forms {
        let actions = Actions::from_communities(&[community]).unwrap();
        assert_eq!(actions.redirect(), Some(target));
        assert_eq!(actions.communities(), [community]);
    }
}

#[test]
fn marking_sampling_and_the_terminal_bit_are_read_without_their_neighbours() {
    let list = [[0x80, 9, 9, 9, 9, 9, 9, 0xc0 | 46], [0x80, 7, 1, 2, 3, 4, 5, 0xfe]];
    let actions = Actions::from_communities(&list).unwrap();
    assert_eq!(actions.marking(), Some(46));
    assert!(actions.samples() && !actions.goes_on());
    let made = Actions::none().with_marking(46).unwrap().with_sample();
    assert_eq!(actions, made);
    let written = [[0x80, 7, 0, 0, 0, 0, 0, 2], [0x80, 9, 0, 0, 0, 0, 0, 46]];
    assert_eq!(made.communities(), written);
}

#[test]
fn communities_that_ask_for_nothing_are_passed_over() {
    let others = [[0, 2, 0xfd, 0xe8, 0, 0, 0, 1], [0x80, 0x0a, 0, 0, 0, 0, 0, 0], [0xff; 8]];
    assert_eq!(Actions::from_communities(&others).unwrap(), Actions::none());
}

fn to(prefix: &str) -> Components {
    let prefix = Prefix::V4(prefix.parse().unwrap());
    Components::new(Family::V4, vec![Component::Destination(prefix)]).unwrap()
}

#[test]
fn a_rule_keeps_its_number_while_others_come_and_go() {
    let mut table = FlowTable::new(2);
    let spec = |prefix, actions| FlowSpec { components: to(prefix), actions };
    let wide = table.announce(spec("192.0.2.0/24", Actions::none())).unwrap();
    let narrow = table.announce(spec("192.0.2.0/25", Actions::none())).unwrap();
    let order: Vec<_> = table.rules(Family::V4).map(|(id, ..)| id).collect();
    assert_eq!(order, [narrow, wide], "the longer prefix first");
    assert_eq!(table.rules(Family::V6).count(), 0);

    let sampled = Actions::none().with_sample();
    assert_eq!(table.announce(spec("192.0.2.0/24", sampled.clone())), Ok(wide));
    let full = table.announce(spec("192.0.2.0/26", Actions::none())).unwrap_err();
    assert_eq!(full.to_string(), "all 2 flow specifications are in use");

    assert_eq!(table.withdraw(&to("192.0.2.0/25")), Some(narrow));
    assert_eq!(table.withdraw(&to("192.0.2.0/25")), None);
    assert!(table.announce(spec("10.0.0.0/8", Actions::none())).is_err(), "not yet free");
    table.release(narrow);
    assert_eq!(table.announce(spec("10.0.0.0/8", Actions::none())), Ok(narrow));
    let actions: Vec<_> = table.rules(Family::V4).map(|(id, _, actions)| (id, actions)).collect();
    assert_eq!(actions, [(narrow, &Actions::none()), (wide, &sampled)]);
    assert_eq!((table.len(), table.is_empty()), (2, false));
}

#[test]
fn later_rules_count_only_behind_rules_that_go_on() {
    let mut table = FlowTable::new(8);
    let mut add =
        |prefix, actions| table.announce(FlowSpec { components: to(prefix), actions }).unwrap();
    let wide = add("192.0.0.0/16", Actions::none());
    let middle = add("192.0.2.0/24", Actions::none());
    let narrow = add("192.0.2.128/25", Actions::none().with_going_on());
    let applying = |address: &str| -> Vec<RuleId> {
        let header = segment("198.51.100.1", address, (1, 2));
        table.applying(&header).map(|(id, _)| id).collect()
    };
    assert_eq!(applying("192.0.2.129"), [narrow, middle]);
    assert_eq!(applying("192.0.2.1"), [middle]);
    assert_eq!(applying("192.0.3.1"), [wide]);
    assert_eq!(applying("192.1.3.1"), []);
}
