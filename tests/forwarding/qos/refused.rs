//! Policies that cannot be carried out where they are bound: said by name, and nothing is applied.

use qfp::Forwarder;
use qfp::client::config::Config;

use super::{router_with, sinks};

/// What is said about a router with these keys for the west, this `[qos]`, and these policies.
fn refusal(keys: &str, qos: &str, text: &str) -> String {
    let config = router_with(&[("west", keys)], qos, text);
    if let Err(error) = Config::parse(&config, "sinks.toml") {
        return error.to_string();
    }
    let Err(error) = Forwarder::new(sinks(&config)).buffers(1024).start() else { panic!("{text}") };
    error.to_string()
}

const IN: &str = "service_policy_in = \"P\"";
const OUT: &str = "service_policy_out = \"P\"";

#[test]
fn queueing_is_refused_by_name_until_there_is_a_traffic_manager() {
    let queueing = [
        ("priority level 1", "priority"),
        ("bandwidth 1000", "bandwidth"),
        ("bandwidth remaining ratio 5", "bandwidth remaining"),
        ("shape average 1000000", "shape"),
        ("fair-queue", "fair-queue"),
        ("shape average 1000000\n  queue-limit 100 packets", "shape"),
        ("queue-limit 100 packets", "queue-limit"),
        ("random-detect dscp-based", "random-detect"),
    ];
    for (action, name) in queueing {
        let text = format!("policy-map P\n class class-default\n  {action}\n");
        let said = refusal(OUT, "", &text);
        let wanted = format!(
            "west: policy-map P, class class-default: {name} needs a traffic manager, which there \
             is not"
        );
        assert!(said.ends_with(&wanted), "{said}");
    }
    // A child's as well, which is the one that is named.
    let text = "class-map EF\n match dscp ef\npolicy-map CHILD\n class EF\n  priority\n\
                policy-map P\n class class-default\n  service-policy CHILD\n";
    let said = refusal(OUT, "", text);
    assert!(
        said.ends_with(
            "west: policy-map CHILD, class EF: priority needs a traffic manager, which there is not"
        ),
        "{said}"
    );
}

#[test]
fn a_policy_with_queueing_that_nobody_binds_does_no_harm() {
    let text = "policy-map P\n class class-default\n  set dscp ef\npolicy-map SHAPED\n \
                class class-default\n  shape average 1000000\n";
    let config = sinks(&router_with(&[("west", IN)], "", text));
    Forwarder::new(config).buffers(1024).start().unwrap().stop().unwrap();
}

/// What is wrong with a class where it is bound, `P` having one with these actions.
#[test]
fn what_a_direction_or_a_port_does_not_have_is_refused() {
    let cases = [
        (IN, "", "set cos 5", "class-default: cos cannot be set input"),
        (IN, "", "set cos inner 5", "class-default: inner cos cannot be set input"),
        (OUT, "", "set dei 1", "class-default: dei cannot be set output"),
        (
            IN,
            "",
            "set mpls experimental imposition 5",
            "class-default: imposed experimental bits cannot be set input",
        ),
        (
            OUT,
            "",
            "police 1000000\n   exceed-action set-mpls-exp-topmost-transmit 5",
            "class-default: topmost experimental bits cannot be set output",
        ),
        (
            IN,
            "",
            "police percent 10",
            "class-default: 10 percent of an interface whose rate is not known",
        ),
        (
            IN,
            "",
            "police 1000000 bc 1525",
            "class-default: Committed burst 1525 is below the largest frame of 1526 counted bytes",
        ),
        (
            IN,
            "granularity = \"trident\"",
            "police 63999",
            "class-default: 63999 bit/s is below the step of 64000 bit/s",
        ),
    ];
    for (key, qos, actions, wanted) in cases {
        let said = refusal(key, qos, &format!("policy-map P\n class class-default\n  {actions}\n"));
        assert!(said.ends_with(&format!("west: class {wanted}")), "{said}");
    }
}

#[test]
fn names_that_nothing_has_are_refused() {
    let said = refusal("service_policy_in = \"Q\"", "", "policy-map P\n");
    assert!(
        said.starts_with("sinks.toml:") && said.ends_with("there is no policy-map \"Q\""),
        "{said}"
    );
    let text =
        "class-map C\n match access-group name NONE\npolicy-map P\n class C\n  set dscp ef\n";
    let said = refusal(IN, "", text);
    assert!(said.ends_with("class-map C: there is no access list NONE"), "{said}");
}

/// Text errors have the line of the file and the column of the text.
#[test]
fn mistakes_in_the_text_are_at_their_place() {
    let lines = router_with(&[("west", IN)], "", "")
        .lines()
        .position(|line| line.starts_with("text"))
        .unwrap();
    let said = refusal(IN, "", "policy-map P\n class class-default\n  police 10 parsecs\n");
    assert!(said.starts_with(&format!("sinks.toml:{}:13: ", lines + 4)), "{said}");
}
