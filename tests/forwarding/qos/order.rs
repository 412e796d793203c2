//! Where policies stand among the other features.

use qfp::client::ea::Direction;

use super::{at_once, class, class_of, ip, packets, router, station, with_class};
use crate::packets::{arp, echo, link, mac, payload, udp};
use crate::router::{Run, route};

/// A policer that a burst of three frames of 1000 counted bytes fills, as `P`.
const THREE: &str = "policy-map P\n class class-default\n  police 8000 bc 3000\n";

fn lists(text: &str) -> String {
    format!("[[acl]]\ntext = '''\n{text}\n'''\n")
}

fn to(port: u16) -> Vec<u8> {
    udp(&station(1, false), &station(2, false), 64, (9, port), &payload(982 - 28))
}

fn default(run: &Run, interface: &str, direction: Direction) -> [u64; 5] {
    packets(class(run, interface, direction, "class-default"))
}

/// A packet that a list denies takes no tokens and is in no class.
#[test]
fn a_list_denies_before_a_policer_looks() {
    let lists = lists("access-list 101 deny udp any any eq 53\naccess-list 101 permit ip any any");
    let received = at_once(&[53, 54, 53, 54, 53, 54, 54, 53].map(to));
    for (interface, direction, keys) in [
        ("west", Direction::In, "acl_in = \"101\"\nservice_policy_in = \"P\""),
        ("east", Direction::Out, "acl_out = \"101\"\nservice_policy_out = \"P\""),
    ] {
        let run = route(&(router(&[(interface, keys)], THREE) + &lists), &[&received]);
        assert_eq!(run.report.drops, [("Ipv4Acl", 4), ("Policer", 1)], "{keys}");
        assert_eq!(default(&run, interface, direction), [4, 3, 1, 0, 1]);
        assert_eq!(run.sent[1].len(), 3);
    }
}

/// Classification precedes marking (EGR-04 to EGR-06): lists see what the packet came out with.
#[test]
fn a_list_sees_the_fields_that_a_policy_of_its_side_sets_as_they_were() {
    let lists =
        lists("access-list 101 deny ip any any precedence 5\naccess-list 101 permit ip any any");
    let text = "policy-map P\n class class-default\n  set precedence 1\n";
    let keys = "acl_out = \"101\"\nservice_policy_out = \"P\"";
    let received = at_once(&[5, 1, 4].map(|p| with_class(ip(2, false, 100), p << 5)));
    let run = route(&(router(&[("east", keys)], text) + &lists), &[&received]);
    assert_eq!(run.report.drops, [("Ipv4Acl", 1)]);
    let found: Vec<u8> = run.frames(1).iter().map(|frame| class_of(&frame[14..]) >> 5).collect();
    assert_eq!(found, [1, 1]);
}

/// What a policer drops is lost without a word to its source (RFC 1812 4.3.2.7).
#[test]
fn nobody_is_told_of_a_packet_that_a_policer_drops() {
    let received = at_once(&vec![to(53); 9]);
    let run = route(&router(&[("west", "service_policy_in = \"P\"")], THREE), &[&received]);
    assert_eq!((run.report.drops.clone(), run.sent[0].len()), (vec![("Policer", 6)], 0));
    assert_eq!(run.report.punted(), 0);
}

/// Policy routing marks before the class is looked up.
#[test]
fn a_class_matches_what_a_route_map_has_marked() {
    let more = lists("access-list 110 permit udp any any eq 53")
        + "[[route_map]]\ntext = '''\nroute-map M permit 10\n match ip address 110\n \
           set ip dscp 46\n'''\n";
    let text = "class-map EF\n match dscp ef\npolicy-map P\n class EF\n  police 8000 bc 2000\n \
                class class-default\n  set dscp cs1\n";
    let keys = "policy_route = \"M\"\nservice_policy_in = \"P\"";
    let received = at_once(&[53, 54, 53, 54, 53].map(to));
    let run = route(&(router(&[("west", keys)], text) + &more), &[&received]);
    let found: Vec<u8> = run.frames(1).iter().map(|frame| class_of(&frame[14..]) >> 2).collect();
    assert_eq!(found, [46, 8, 46, 8]);
    assert_eq!(packets(class(&run, "west", Direction::In, "EF")), [3, 2, 1, 0, 1]);
    assert_eq!(default(&run, "west", Direction::In), [2, 0, 0, 0, 0]);
    assert_eq!(run.report.route_maps[0].entries[0].packets, 3);
}

/// Lists, a route map and a policy of one interface are looked up at once, and each has its own say.
#[test]
fn a_list_a_route_map_and_a_policy_share_an_interface() {
    let more = lists(
        "access-list 101 deny udp any any eq 52\naccess-list 101 permit ip any any\n\
         access-list 110 permit udp any any eq 53",
    ) + "[[route_map]]\ntext = '''\nroute-map M permit 10\n match ip address 110\n \
         set interface Null0\n'''\n";
    let text = "class-map P54\n match access-group 154\npolicy-map P\n class P54\n  set dscp ef\n";
    let more = more
        .replace("access-list 110", "access-list 154 permit udp any any eq 54\naccess-list 110");
    let keys = "acl_in = \"101\"\npolicy_route = \"M\"\nservice_policy_in = \"P\"";
    let run =
        route(&(router(&[("west", keys)], text) + &more), &[&at_once(&[52, 53, 54, 55].map(to))]);
    assert_eq!(run.report.drops, [("Ipv4Acl", 1), ("PbrNull0", 1)]);
    let found: Vec<u8> = run.frames(1).iter().map(|frame| class_of(&frame[14..]) >> 2).collect();
    assert_eq!(found, [46, 0]);
    let matched = |name| packets(class(&run, "west", Direction::In, name))[0];
    assert_eq!(["P54", "class-default"].map(matched), [1, 1]);
}

/// What is for the router itself is policed as it comes in, and its answers as they leave.
#[test]
fn the_router_s_own_packets_are_policed_like_others() {
    let ask = echo(&station(1, false), "10.1.0.1", 64, false, &payload(982 - 28));
    for (key, direction) in
        [("service_policy_in", Direction::In), ("service_policy_out", Direction::Out)]
    {
        let config = router(&[("west", &format!("{key} = \"P\""))], THREE);
        let run = route(&config, &[&at_once(&vec![ask.clone(); 5])]);
        assert_eq!(run.sent[0].len(), 3, "{key}");
        assert_eq!(default(&run, "west", direction), [5, 3, 2, 0, 2], "{key}");
        assert_eq!(run.report.drops, [("Policer", 2)]);
    }
}

/// A packet that waits for its neighbour's address is one packet, before and behind.
#[test]
fn what_the_slow_path_sends_on_is_counted_once() {
    let keys = [("west", "service_policy_in = \"P\""), ("east", "service_policy_out = \"P\"")];
    let unknown = udp(&station(1, false), "10.2.0.77", 64, (9, 53), &payload(982 - 28));
    let answer = arp(true, (mac(2, 77), "10.2.0.77"), (mac(2, 1), "10.2.0.1"));
    let answer = link(mac(2, 1), mac(2, 77), &[], 0x0806, &answer);
    let received = at_once(&[unknown]);
    let run = route(&router(&keys, THREE), &[&received, &[(1_000_000, answer)]]);
    assert_eq!(run.sent[1].len(), 2, "the question and the packet");
    assert_eq!(default(&run, "west", Direction::In), [1, 1, 0, 0, 0]);
    assert_eq!(default(&run, "east", Direction::Out), [1, 1, 0, 0, 0]);
}

/// What has to be cut in pieces is one packet for the policy, of the length that it came with.
#[test]
fn a_packet_that_is_fragmented_is_counted_once() {
    let config = router(&[("east", "mtu = 1280\nservice_policy_out = \"P\"")], THREE);
    let run = route(&config, &[&at_once(&vec![ip(2, false, 1482); 5])]);
    assert_eq!(run.sent[1].len(), 4);
    assert_eq!(default(&run, "east", Direction::Out), [5, 2, 3, 0, 3]);
    assert_eq!(run.report.drops, [("Policer", 3)]);
}

#[test]
fn packets_of_a_family_that_no_class_names_are_in_the_default_one() {
    let text = "class-map FOUR\n match protocol ip\npolicy-map P\n class FOUR\n  set dscp ef\n";
    let received = at_once(&[ip(2, false, 100), ip(2, true, 100)]);
    let run = route(&router(&[("west", "service_policy_in = \"P\"")], text), &[&received]);
    let matched = |name| packets(class(&run, "west", Direction::In, name))[0];
    assert_eq!(["FOUR", "class-default"].map(matched), [1, 1]);
}
