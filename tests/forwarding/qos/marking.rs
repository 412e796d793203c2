//! Marks: fields of the IP header and of tags, with the checksums that belong to them.

use qfp::client::ea::Direction;
use qfp::core::fia::FiaBuilder;

use super::{EAST, at_once, class, class_of, ip, packets, router, with_class};
use crate::router::{Run, route, route_with};

const WEST_IN: (&str, &str) = ("west", "service_policy_in = \"P\"");

/// A policy that does this with every packet.
fn all(actions: &str) -> String {
    format!("policy-map P\n class class-default\n  {actions}\n")
}

/// The byte of DSCP and ECN of every frame sent in the east, untagged; headers must be right.
fn classes(run: &Run) -> Vec<u8> {
    run.frames(1).iter().map(|frame| class_of(&frame[14..])).collect()
}

/// Tag control information of a frame's tags.
fn tags(frame: &[u8]) -> Vec<u16> {
    let word = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
    let tagged = |at: usize| matches!(word(at), 0x8100 | 0x88a8);
    (12..).step_by(4).take_while(|at| tagged(*at)).map(|at| word(at + 2)).collect()
}

/// ECN is no part of what is set, and the checksum is right with the new TTL.
#[test]
fn code_points_and_precedences_are_set_in_both_versions_and_directions() {
    let cases = [
        ("set dscp ef", 0b0110_0111, 0b1011_1011),
        ("set dscp default", 0b1111_1101, 0b0000_0001),
        ("set precedence 5", 0b0101_1110, 0b1011_1110),
        ("set precedence routine", 0b1111_1100, 0b0001_1100),
        ("set qos-group 3", 0b1111_1100, 0b1111_1100),
    ];
    for (set, before, after) in cases {
        for (interface, key) in [WEST_IN, ("east", "service_policy_out = \"P\"")] {
            for fast in [true, false] {
                let fia = FiaBuilder::router();
                let fia = if fast { fia } else { fia.row_by_row() };
                let received = [false, true].map(|v6| with_class(ip(2, v6, 100), before));
                let config = router(&[(interface, key)], &all(set));
                let received = at_once(&received);
                let run = route_with(&config, &[&received], |forwarder| forwarder.fia(fia));
                assert_eq!(classes(&run), [after, after], "{set} {key}");
            }
        }
    }
}

#[test]
fn what_is_set_for_one_version_stays_in_the_other() {
    let cases: [(&str, [u8; 2]); 4] = [
        ("set ip dscp ef", [46, 10]),
        ("set ipv6 dscp ef", [10, 46]),
        ("set ip precedence 5", [0b10_1010, 10]),
        ("set ip dscp ef\n  set ipv6 dscp cs1", [46, 8]),
    ];
    for (set, after) in cases {
        let received = [false, true].map(|v6| with_class(ip(2, v6, 100), 10 << 2));
        let run = route(&router(&[WEST_IN], &all(set)), &[&at_once(&received)]);
        assert_eq!(classes(&run).iter().map(|byte| byte >> 2).collect::<Vec<_>>(), after, "{set}");
    }
}

/// Class of service is that of the tags that a frame leaves with; VLAN numbers stay.
#[test]
fn tags_are_marked_where_frames_leave_with_them() {
    let key = "service_policy_out = \"P\"";
    let keys = ["east", "east.30", "east.40.50"].map(|name| (name, key));
    let cases: [(&str, [Vec<u16>; 3]); 4] = [
        ("set cos 5", [vec![], vec![5 << 13 | 30], vec![5 << 13 | 40, 50]]),
        ("set cos inner 6", [vec![], vec![30], vec![40, 6 << 13 | 50]]),
        (
            "set cos 7\n  set cos inner 2",
            [vec![], vec![7 << 13 | 30], vec![7 << 13 | 40, 2 << 13 | 50]],
        ),
        ("set dscp ef\n  set cos 1", [vec![], vec![1 << 13 | 30], vec![1 << 13 | 40, 50]]),
    ];
    for (set, wanted) in cases {
        for v6 in [false, true] {
            let received = at_once(&EAST.map(|link| ip(link, v6, 100)));
            let run = route(&router(&keys, &all(set)), &[&received]);
            let mut found: Vec<Vec<u16>> = run.frames(1).iter().map(|frame| tags(frame)).collect();
            found.sort_by_key(Vec::len);
            assert_eq!(found, wanted, "{set}");
            for frame in run.frames(1) {
                let dscp = class_of(&frame[14 + 4 * tags(frame).len()..]) >> 2;
                assert_eq!(dscp, if set.starts_with("set dscp") { 46 } else { 0 });
            }
        }
    }
}

/// Police first, then mark; a class marks what its policer only transmits.
#[test]
fn a_class_marks_what_its_policer_transmits_without_a_mark_of_its_own() {
    let text = all("police 8000 bc 3000\n   conform-action transmit\n   exceed-action \
                    set-dscp-transmit af12\n  set dscp af11");
    let run = route(&router(&[WEST_IN], &text), &[&at_once(&vec![ip(2, false, 982); 5])]);
    let dscps: Vec<u8> = classes(&run).iter().map(|byte| byte >> 2).collect();
    assert_eq!(dscps, [10, 10, 10, 12, 12]);
    let class = class(&run, "west", Direction::In, "class-default");
    assert_eq!(packets(class), [5, 3, 2, 0, 0]);
    assert_eq!(run.report.drops, []);
}

#[test]
fn a_policer_may_make_two_marks_of_one_colour() {
    let text = all("police 8000 bc 3000\n   conform-action set-dscp-transmit af11\n   \
                    conform-action set-qos-transmit 7\n   exceed-action drop")
        + "class-map SEVEN\n match qos-group 7\npolicy-map OUT\n class SEVEN\n  set cos 4\n";
    let config = router(&[WEST_IN, ("east.30", "service_policy_out = \"OUT\"")], &text);
    let run = route(&config, &[&at_once(&vec![ip(21, false, 982); 5])]);
    assert_eq!(run.sent[1].len(), 3);
    for frame in run.frames(1) {
        assert_eq!((tags(frame), class_of(&frame[18..]) >> 2), (vec![4 << 13 | 30], 10));
    }
}
