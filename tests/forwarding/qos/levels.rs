//! Policies within policies: the child's policer first, then the parent's.

use qfp::client::ea::Direction;

use super::{
    OneRate, SECOND, at_once, class, class_of, from_west, ip, packets, router, with_class,
};
use crate::capture::Timed;
use crate::router::{Run, route};

const BIND: [(&str, &str); 1] = [("west", "service_policy_in = \"P\"")];

const CLASSES: &str = "class-map A\n match dscp 1\nclass-map B\n match dscp 2\n\
                       class-map C\n match dscp 3\n";

/// Counted bytes of the frames here.
const BYTES: u64 = 1000;
/// Bytes of the IP packets in them.
const IP_BYTES: usize = 982;

/// `seconds` of three classes that offer 6 Mb/s each, in turn.
fn offered(seconds: u64) -> Vec<Timed> {
    let every = SECOND * BYTES * 8 / 6_000_000;
    let frame = |dscp: u8| from_west(&[], &with_class(ip(2, false, IP_BYTES), dscp << 2));
    let frames = [1, 2, 3].map(frame);
    let moment = |n: u64| (0..3).zip(&frames).map(move |(k, f)| (n * every + k, f.clone()));
    (0..seconds * SECOND / every).flat_map(moment).collect()
}

/// Frames of DSCP `dscp` sent.
fn sent(run: &Run, dscp: u8) -> u64 {
    run.frames(1).iter().filter(|frame| class_of(&frame[14..]) >> 2 == dscp).count() as u64
}

/// Frames in `seconds` at `rate` bits a second.
const fn frames_of(rate: u64, seconds: u64) -> u64 {
    rate * seconds / 8 / BYTES
}

#[test]
fn children_share_what_their_parent_allows() {
    let child = |class: &str| format!(" class {class}\n  police 6 mbps bc 10000\n");
    let text = format!(
        "{CLASSES}policy-map CHILD\n{}{}{}policy-map P\n class class-default\n  \
         police 10 mbps bc 12500\n  service-policy CHILD\n",
        child("A"),
        child("B"),
        child("C")
    );
    let frames = offered(2);
    let run = route(&router(&BIND, &text), &[&frames]);
    let all = run.sent[1].len() as u64;
    let mut parent = OneRate::new(10_000_000, 12_500);
    let passed = frames.iter().filter(|(time, _)| parent.conforms(*time, BYTES));
    assert_eq!(all, passed.count() as u64);
    assert!(all.abs_diff(frames_of(10_000_000, 2) + 12) <= 3, "{all}");
    let parent = class(&run, "west", Direction::In, "class-default");
    assert_eq!((parent.matched.packets, parent.conform.packets), (frames.len() as u64, all));
    // Nobody exceeds in the children, so that the parent drops everything that is dropped.
    assert_eq!(run.report.drops, [("Policer", parent.dropped.packets)]);
    for name in ["A", "B", "C"] {
        let child = class(&run, "west", Direction::In, &format!("class-default/{name}"));
        let n = frames.len() as u64 / 3;
        assert_eq!(packets(child), [n, n, 0, 0, 0]);
    }
}

/// What a child has dropped takes no tokens of its parent.
#[test]
fn the_child_polices_before_its_parent() {
    let text = format!(
        "{CLASSES}policy-map CHILD\n class A\n  police 1 mbps bc 2000\npolicy-map P\n \
         class class-default\n  police 8 mbps bc 4000\n  service-policy CHILD\n"
    );
    let of = |dscp: u8, n| vec![with_class(ip(2, false, IP_BYTES), dscp << 2); n];
    let run = route(&router(&BIND, &text), &[&at_once(&[of(1, 10), of(2, 10)].concat())]);
    assert_eq!([1, 2].map(|dscp| sent(&run, dscp)), [2, 2]);
    let of = |path| packets(class(&run, "west", Direction::In, path));
    assert_eq!(of("class-default/A"), [10, 2, 8, 0, 8]);
    assert_eq!(of("class-default/class-default"), [10, 0, 0, 0, 0]);
    assert_eq!(of("class-default")[1..], [4, 8, 0, 8]);
}

/// What the children find to conform, 9 Mb/s in all, passes whatever exceeds.
#[test]
fn a_parent_that_is_aware_loses_nothing_that_conformed_below() {
    let child = |class: &str| {
        format!(
            " class {class}\n  police 3 mbps bc 3000\n   conform-action set-dscp-transmit af11\n   \
             exceed-action set-dscp-transmit af12\n"
        )
    };
    let text = format!(
        "{CLASSES}policy-map CHILD\n{}{}{}policy-map P\n class class-default\n  \
         police cir 9 mbps bc 9000 pir 12 mbps be 9000\n   child-conform-aware\n   \
         conform-action transmit\n   exceed-action transmit\n   violate-action drop\n  \
         service-policy CHILD\n",
        child("A"),
        child("B"),
        child("C")
    );
    let frames = offered(4);
    let run = route(&router(&BIND, &text), &[&frames]);
    let green: u64 = ["A", "B", "C"]
        .map(|name| {
            let path = format!("class-default/{name}");
            class(&run, "west", Direction::In, &path).conform.packets
        })
        .iter()
        .sum();
    // The bursts at the start are nine frames of each colour.
    let rate = frames_of(9_000_000, 4);
    assert!((rate - 3..=rate + 9).contains(&green), "{green}");
    assert_eq!(sent(&run, 10), green, "every packet that conformed below");
    let yellow = sent(&run, 12);
    let rate = frames_of(3_000_000, 4);
    assert!((rate - 1..=rate + 9).contains(&yellow), "{yellow}");
    let lost = frames.len() as u64 - green - yellow;
    assert_eq!(run.report.drops, [("Policer", lost)]);
}

#[test]
fn three_levels_police_and_mark_from_the_child_up() {
    let text = format!(
        "{CLASSES}policy-map CHILD\n class A\n  police 8 mbps bc 5000\n  set qos-group 5\n\
         policy-map PARENT\n class B\n  set dscp 40\n class class-default\n  \
         police 8 mbps bc 4000\n  set dscp 41\n  service-policy CHILD\n\
         policy-map P\n class class-default\n  police 8 mbps bc 3000\n  service-policy PARENT\n"
    );
    let of = |dscp: u8, n| vec![with_class(ip(2, false, IP_BYTES), dscp << 2); n];
    let run = route(&router(&BIND, &text), &[&at_once(&[of(1, 9), of(2, 9)].concat())]);
    assert_eq!([40, 41].map(|dscp| sent(&run, dscp)), [0, 3]);
    let of = |path: &str| packets(class(&run, "west", Direction::In, path));
    assert_eq!(of("class-default/class-default/A"), [9, 5, 4, 0, 4]);
    assert_eq!(of("class-default/class-default")[1..], [4, 1, 0, 1]);
    assert_eq!(of("class-default/B"), [9, 0, 0, 0, 0]);
    assert_eq!(of("class-default")[1..], [3, 10, 0, 10]);
}
