//! Trust: what tags say that the router puts in front of packets, with and without policies.

use qfp::core::fia::FiaBuilder;

use super::{EAST, class_of, from_west, ip, router, with_class};
use crate::packets::{DOT1AD, DOT1Q, Tag};
use crate::router::{route, route_with};

/// Priorities of a frame's tags, and the DSCP behind them.
fn marks(frame: &[u8]) -> (Vec<u8>, u8) {
    let tagged = |at: &usize| matches!(frame[*at..at + 2], [0x81, 0] | [0x88, 0xa8]);
    let priorities: Vec<u8> =
        (12..).step_by(4).take_while(tagged).map(|at| frame[at + 2] >> 5).collect();
    let dscp = class_of(&frame[14 + 4 * priorities.len()..]) >> 2;
    (priorities, dscp)
}

/// Marks of the frames that leave by each of the east's interfaces, for a packet that comes with
/// these tags and this DSCP.
fn out(config: &str, tags: &[Tag], v6: bool, dscp: u8, fast: bool) -> [(Vec<u8>, u8); 3] {
    let packet = |link| from_west(tags, &with_class(ip(link, v6, 100), dscp << 2));
    let received = EAST.map(|link| (0, packet(link)));
    let fia = FiaBuilder::router();
    let fia = if fast { fia } else { fia.row_by_row() };
    let run = route_with(config, &[&received], |forwarder| forwarder.fia(fia));
    let mut found: Vec<_> = run.frames(1).into_iter().map(marks).collect();
    found.sort_by_key(|(priorities, _)| priorities.len());
    found.try_into().unwrap()
}

/// Without a policy a routed packet's precedence, and never the tags that it came with, is what its
/// new tags say. Its DSCP stays.
#[test]
fn tags_that_are_put_on_say_the_precedence_and_the_code_point_stays() {
    let cases: [(&[Tag], bool, u8, u8); 6] = [
        (&[], false, 26, 3),
        (&[Tag(DOT1Q, 5 << 13 | 100)], false, 26, 3),
        (&[Tag(DOT1AD, 5 << 13 | 200), Tag(DOT1Q, 1 << 13 | 7)], false, 26, 3),
        (&[], true, 46, 5),
        (&[Tag(DOT1Q, 2 << 13)], false, 0, 0),
        (&[], true, 63, 7),
    ];
    for (tags, v6, dscp, cos) in cases {
        for fast in [true, false] {
            let found = out(&router(&[], ""), tags, v6, dscp, fast);
            assert_eq!(found, [(vec![], dscp), (vec![cos], dscp), (vec![cos, cos], dscp)]);
        }
    }
}

/// The class of service inside the router is that of the packet as it came (VOQ-10).
#[test]
fn new_tags_say_the_precedence_that_a_packet_had_before_it_was_marked() {
    let text = "policy-map IN\n class class-default\n  set precedence 1\npolicy-map OUT\n \
                class class-default\n  set cos 2\n";
    let inbound = ("west", "service_policy_in = \"IN\"");
    let outbound = ["east.30", "east.40.50"].map(|name| (name, "service_policy_out = \"OUT\""));
    for v6 in [false, true] {
        for fast in [true, false] {
            let found = out(&router(&[inbound], text), &[], v6, 40, fast);
            assert_eq!(found, [(vec![], 8), (vec![5], 8), (vec![5, 5], 8)]);
            let keys = [inbound, outbound[0], outbound[1]];
            let found = out(&router(&keys, text), &[], v6, 40, fast);
            assert_eq!(found, [(vec![], 8), (vec![2], 8), (vec![2, 5], 8)]);
        }
    }
}

/// What a policy does to the IP header on the way out is too late for tags.
#[test]
fn a_code_point_that_is_set_on_the_way_out_leaves_the_tags_alone() {
    let text = "policy-map OUT\n class class-default\n  set dscp ef\n";
    let keys = ["east", "east.30", "east.40.50"].map(|name| (name, "service_policy_out = \"OUT\""));
    let found = out(&router(&keys, text), &[], false, 8, true);
    assert_eq!(found, [(vec![], 46), (vec![1], 46), (vec![1, 1], 46)]);
}

/// A route map marks, too.
#[test]
fn a_route_map_s_mark_does_not_change_the_class_of_service_either() {
    let more = "[[route_map]]\ntext = '''\nroute-map M permit 10\n set ip dscp ef\n'''\n";
    let found = out(&(router(&[("west", "policy_route = \"M\"")], "") + more), &[], false, 8, true);
    assert_eq!(found, [(vec![], 46), (vec![1], 46), (vec![1, 1], 46)]);
}

/// A tag that no policy marks is whole but for its priority.
#[test]
fn vlan_numbers_and_types_are_those_of_the_interface() {
    let run = route(&router(&[], ""), &[&[(0, from_west(&[], &ip(22, false, 100)))]]);
    assert_eq!(run.frames(1)[0][12..20], [0x88, 0xa8, 0, 40, 0x81, 0, 0, 50]);
}
