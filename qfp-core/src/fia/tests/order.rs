//! Names, insertion, and what a trace lists.

use super::bench::{Hop, Plan, Router, Seen, Walker, to};
use crate::adjacency::AdjacencyKind;
use crate::fia::{FiaBuilder, FiaError, Gate, TraceOutcome};
use crate::isa::Isa;
use crate::packet::{DropReason, PuntCause};
use crate::uidb::UidbIndex;

#[test]
fn a_feature_stands_behind_the_row_it_names() {
    let seen = Seen::default();
    let step = move || seen.step();
    let plain = FiaBuilder::router().names();
    for (after, row) in plain.iter().zip(1..) {
        let fia = FiaBuilder::router().insert_after(after, "mine", Gate::Always, step.clone());
        let fia = fia.unwrap();
        let mut names = fia.names();
        assert_eq!(names, fia.build(Isa::Portable).names());
        assert_eq!(names.remove(row), "mine");
        assert_eq!(names, plain);
    }
}

#[test]
fn a_row_that_does_not_exist_and_a_name_that_is_taken_are_errors() {
    let seen = Seen::default();
    let step = move || seen.step();
    let insert =
        |fia: FiaBuilder, after, name| fia.insert_after(after, name, Gate::Always, step.clone());
    let error = insert(FiaBuilder::router(), "no-such", "mine").err().unwrap();
    assert_eq!(error, FiaError::NoSuchRow("no-such".to_owned()));
    assert_eq!(error.to_string(), "no row is called no-such");
    let error = insert(FiaBuilder::router(), "ttl", "mtu").err().unwrap();
    assert_eq!(error, FiaError::NameTaken("mtu"));
    let fia = insert(FiaBuilder::router(), "ttl", "mine").unwrap();
    let error = insert(fia, "mtu", "mine").err().unwrap();
    assert_eq!(error.to_string(), "a row is called mine already");
}

/// A feature behind each of the rows that classify and act.
const CLASSIFY_AND_ACT: [(&str, &str, Gate); 14] = [
    ("acl-classify-in", "acl-in?", Gate::ACL_IN),
    ("pbr-classify-in", "pbr-in?", Gate::PBR_IN),
    ("qos-classify-in", "qos-in?", Gate::QOS_IN),
    ("urpf", "urpf!", Gate::URPF),
    ("acl-act-in", "acl-in!", Gate::ACL_IN),
    ("qos-act-in", "qos-in!", Gate::QOS_IN),
    ("qos-queue-in", "queue-in!", Gate::QUEUE_IN),
    ("acl-classify-out", "acl-out?", Gate::ACL_OUT),
    ("qos-classify-out", "qos-out?", Gate::QOS_OUT),
    ("acl-act-out", "acl-out!", Gate::ACL_OUT),
    ("qos-act-out", "qos-out!", Gate::QOS_OUT),
    ("if-classify", "first", Gate::Always),
    ("next-hop", "routed", Gate::Always),
    ("adjacency", "out", Gate::Always),
];

/// ING-24 and EGR-11: interface, then all that is classified, then the route, then what acts.
#[test]
fn a_trace_lists_classification_before_action_in_the_order_of_the_seed() {
    let mut plan = Plan::with_ports(2);
    plan.route("192.0.2.0/24", Hop::new(AdjacencyKind::Featured, 4, 14));
    plan.uidbs[3].features_in |= 0x5e;
    plan.uidbs[3].features_in |= Gate::MAC_FILTER.mask();
    plan.uidbs[4].features_out = 0x3;
    let mut fia = FiaBuilder::router();
    for (after, name, gate) in CLASSIFY_AND_ACT {
        let seen = Seen::default();
        fia = fia.insert_after(after, name, gate, move || seen.step()).unwrap();
    }
    let mut router = Router::new(&plan);
    let mut walker = Walker::new(&mut router, fia.build(Isa::detect()));
    let traced = walker.trace(&[to("192.0.2.1")]).remove(0);
    let listing: Vec<_> = traced.steps.iter().map(|step| step.row).collect();
    assert_eq!(
        listing,
        [
            "if-classify",
            "first",
            "mac-filter",
            "l3-parse",
            "acl-classify-in",
            "acl-in?",
            "pbr-classify-in",
            "pbr-in?",
            "qos-classify-in",
            "qos-in?",
            "urpf",
            "urpf!",
            "fib4-lookup",
            "pbr-act-in",
            "next-hop",
            "routed",
            "acl-act-in",
            "acl-in!",
            "qos-act-in",
            "qos-in!",
            "ttl",
            "queue-in!",
            "ifib-act",
            "adjacency",
            "out",
            "l2-rewrite",
            "acl-classify-out",
            "acl-out?",
            "qos-classify-out",
            "qos-out?",
            "acl-act-out",
            "acl-out!",
            "qos-act-out",
            "qos-out!",
            "mtu",
            "tx",
        ]
    );
    assert_eq!((traced.input, traced.output), (UidbIndex(3), UidbIndex(4)));
    assert_eq!(traced.outcome, TraceOutcome::Sent);
}

/// ARC-23: what is switched off for an interface is not in the trace of its packets.
// rows: ARC-23
#[test]
fn a_trace_shows_interfaces_and_only_the_rows_that_are_on() {
    let mut plan = Plan::with_ports(2);
    plan.route("192.0.2.0/24", Hop::new(AdjacencyKind::Plain, 4, 14));
    plan.route("2001:db8::/32", Hop::new(AdjacencyKind::Plain, 4, 14));
    let mut router = Router::new(&plan);
    let listing = |walker: &mut Walker, dst| {
        let traced = walker.trace(&[to(dst)]).remove(0);
        assert_eq!((traced.input, traced.output), (UidbIndex(3), UidbIndex(4)));
        traced.steps.iter().map(|step| step.row).collect::<Vec<_>>()
    };
    let by_row = ["next-hop", "ttl", "ifib-act", "adjacency", "l2-rewrite", "mtu", "tx"];
    let fast = ["next-hop", "egress-fast", "tx"];
    let row_by_row = FiaBuilder::router().row_by_row();
    for (fia, egress) in [(FiaBuilder::router(), &fast[..]), (row_by_row, &by_row)] {
        let mut walker = Walker::new(&mut router, fia.build(Isa::detect()));
        let ingress = ["if-classify", "l3-parse", "fib4-lookup"];
        assert_eq!(listing(&mut walker, "192.0.2.1"), [&ingress[..], egress].concat());
        let ingress = ["if-classify", "l3-parse", "fib6-lookup"];
        assert_eq!(listing(&mut walker, "2001:db8::1"), [&ingress[..], egress].concat());
    }
}

#[test]
fn a_trace_ends_where_the_walk_ends_and_says_how() {
    let mut plan = Plan::with_ports(2);
    plan.route("192.0.2.0/24", Hop::new(AdjacencyKind::Glean, 4, 0));
    plan.route("203.0.113.0/24", Hop::new(AdjacencyKind::Receive, 0, 0));
    let mut router = Router::new(&plan);
    let mut walker = Walker::new(&mut router, FiaBuilder::router().build(Isa::detect()));
    let traced = walker.trace(&[to("192.0.2.1"), to("203.0.113.1"), to("10.0.0.1"), vec![0; 9]]);
    let ends: Vec<_> = traced
        .iter()
        .map(|packet| (packet.steps.last().map_or("", |step| step.row), packet.outcome))
        .collect();
    assert_eq!(
        ends,
        [
            ("punt", TraceOutcome::Punted(PuntCause::Glean)),
            ("punt", TraceOutcome::Punted(PuntCause::Ipv4ForUs)),
            ("next-hop", TraceOutcome::Dropped(DropReason::Ipv4NoRoute)),
            ("l3-parse", TraceOutcome::Dropped(DropReason::Truncated)),
        ]
    );
    assert!(traced.iter().all(|packet| packet.output == UidbIndex::NONE));
    assert_eq!(traced[0].before, to("192.0.2.1"));
}
