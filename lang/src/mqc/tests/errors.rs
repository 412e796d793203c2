//! Refusals say where and why, and apply nothing.

use super::*;

#[test]
fn each_refusal_of_a_line_says_where_and_why() {
    let in_class = [
        ("mach any", "column 2: \"mach\" begins no command known here"),
        ("match", "column 7: expected something to match, found the end of the line"),
        ("match colour", "column 8: expected something to match, found \"colour\""),
        ("match not", "column 11: expected something to match, found the end of the line"),
        ("match input-interface X", "column 8: input-interface is not supported"),
        ("match traffic-class 3", "column 8: traffic-class is not supported"),
        ("match ip rtp 16384 1", "column 11: rtp is not supported"),
        ("match any other", "column 12: expected the end of the line, found \"other\""),
        ("match dscp 64", "column 13: expected a DSCP (0 to 63), found \"64\""),
        ("match dscp", "column 12: expected a DSCP (0 to 63), found the end of the line"),
        ("match dscp ef 9-8", "column 16: expected a DSCP (0 to 63), found \"9-8\""),
        ("match vlan 0", "column 13: expected a VLAN (1 to 4094), found \"0\""),
        ("match cos 1 8", "column 14: expected a class of service (0 to 7), found \"8\""),
        ("match access-group WEB", "expected name, ipv4, ipv6 or a number, found \"WEB\""),
        ("match protocol http", "column 17: expected a protocol (0 to 255), found \"http\""),
        ("match source-address 1.1.1", "column 23: expected mac, found \"1.1.1\""),
        ("match packet length min 9 max 8", "column 22: no value of packet length matches"),
        ("description", "column 13: expected a description, found the end of the line"),
        ("set dscp ef", "column 2: \"set\" begins no command known here"),
    ];
    for (line, why) in in_class {
        let error = refusal(&format!("class-map c\n {line}\n"));
        assert!(error.starts_with("line 2, ") && error.contains(why), "{line}: {error}");
    }
    let in_policy = [
        ("match any", "column 3: \"match\" begins no command known here"),
        ("police", "column 9: expected a rate (1 to 18446744073709551615), found the end"),
        ("police ten", "column 10: expected a rate (1 to"),
        ("police 0", "column 10: expected a rate (1 to"),
        ("police 900 gbps", "column 10: 900000000000 bit/s is not a rate from 1 to"),
        ("police 99999999999999999999", "column 10: expected a rate"),
        ("police 10 cps", "column 13: cps is not supported"),
        ("police 8000 1500 3000 4500", "column 25: 4500 is given twice"),
        ("police 8000 bc 1500 bc 1500", "column 23: bc is given twice"),
        ("police 8000 bc 1500 fast", "column 23: expected a burst, a peak rate or an action"),
        ("police 8000 exceed-action fly", "expected transmit, drop or a mark, found \"fly\""),
        ("police 8000 exceed-action set-frde-transmit", "set-frde-transmit is not supported"),
        ("police 8000 exceed-action drop exceed-action transmit", "both dropped and transmitted"),
        ("police 8000\npolice 9000", "line 6, column 1: police is given twice"),
        ("set dscp tunnel ef", "column 12: tunnel is not supported"),
        ("set dscp 64", "column 12: expected a DSCP (0 to 63), found \"64\""),
        ("set dscp 1\nset dscp 2", "line 6, column 5: set dscp is given twice"),
        ("set colour red", "column 7: expected something to set, found \"colour\""),
        ("set flow-tag 3", "column 7: flow-tag is not supported"),
        ("drop", "column 3: drop is not supported"),
        ("service-policy", "column 17: expected the name of a policy map, found the end"),
        ("service-policy a\nservice-policy b", "line 6, column 1: service-policy is given twice"),
        ("priority level 4", "column 18: expected a priority level (1 to 3), found \"4\""),
        ("bandwidth percent 101", "column 21: expected a percentage (1 to 100), found \"101\""),
        ("bandwidth remaining 5", "column 23: expected ratio or percent, found \"5\""),
        ("bandwidth remaining ratio 0", "expected a ratio (1 to 1000), found \"0\""),
        ("bandwidth 100 pps", "column 13: expected a rate in bits a second, found \"100\""),
        ("shape 1000", "column 9: expected average or peak, found \"1000\""),
        ("shape average 1m 1 2 3", "column 24: expected the end of the line, found \"3\""),
        ("shape average 1m account layer1", "column 20: account is not supported"),
        ("queue-limit", "column 14: expected a queue limit (0 to"),
        ("queue-limit 9999999999 ms", "column 15: expected a queue limit (0 to 4294967295)"),
        ("random-detect colour", "column 17: expected a field or thresholds, found \"colour\""),
        ("random-detect dscp-based\nrandom-detect cos 1 2 3", "random-detect goes by one field"),
        ("fair-queue 5", "column 14: expected a number of queues (16 to 4096), found \"5\""),
        ("encap-sequence random", "column 3: encap-sequence is not supported"),
    ];
    for (lines, why) in in_policy {
        let text = format!("class-map c\n match any\npolicy-map p\n class c\n  {lines}\n");
        let error = refusal(&text);
        assert!(error.contains(why), "{lines}: {error}");
        assert!(error.starts_with("line 5, ") || error.starts_with("line 6, "), "{error}");
    }
    for (text, why) in [
        ("hostname R1", "line 1, column 1: \"hostname\" begins no command known here"),
        ("no ip http server", "line 1, column 4: expected class-map or policy-map, found \"ip\""),
        ("class-map", "line 1, column 10: expected the name of a class map, found the end"),
        ("class-map type traffic X", "line 1, column 16: traffic is not supported"),
        ("policy-map a b", "line 1, column 14: expected the end of the line, found \"b\""),
        ("policy-map p\n police 8000", "line 2, column 2: \"police\" begins no command"),
        ("policy-map p\n class c\nend\n set cos 1", "line 4, column 2: \"set\" begins no command"),
        (
            "class-map match-any c\nclass-map match-all c",
            "line 2, column 21: class-map c is there, and is match-any",
        ),
    ] {
        let error = refusal(text);
        assert!(error.contains(why), "{text}: {error}");
    }
}

#[test]
fn what_cannot_be_is_said_of_its_class_and_policy() {
    let at_class = "line 4, column 2: policy-map p, class c: ";
    let cases = [
        ("police 8000 pir 4000", "the peak rate 4000 is below the committed rate 8000"),
        ("police 8000 pir 9 pps", "one rate is in bits, the other in packets"),
        ("police 8000 bc 9 packets", "a burst in packets beside a rate in bits a second"),
        ("police rate 9 pps burst 9 bytes", "a burst in bytes beside a rate in packets a second"),
        ("police 8000 bc 0", "a burst of 0 is not from 1 to 1099511627776"),
        ("police 8000\n child-conform-aware", "child-conform-aware needs a child policy"),
        ("police 8000\n conform-color gone", "there is no class-map gone"),
        ("set dscp ef\nset precedence 5", "precedence is set beside DSCP"),
        ("set ip dscp ef\nset dscp 5", "DSCP is set beside DSCP"),
        ("priority\nbandwidth 100", "bandwidth and priority exclude each other"),
        (
            "priority\nbandwidth remaining ratio 2",
            "bandwidth remaining and priority exclude each other",
        ),
        ("priority level 1\nshape average 1m", "priority level 1 cannot be shaped"),
        ("queue-limit 64", "queue-limit needs priority, bandwidth, shape or fair-queue"),
        ("random-detect", "random-detect needs priority, bandwidth, shape or fair-queue"),
        ("shape average 1m 9 packets", "a shaper's burst cannot be in this unit"),
        (
            "fair-queue\nqueue-limit 0",
            "queue-limit goes from 1 to 1099511627776, so it cannot be 0",
        ),
        ("fair-queue\nqueue-limit 9 bits", "queue-limit cannot be in this unit"),
        ("fair-queue\nrandom-detect dscp ef 9 8", "thresholds of random-detect are in two units"),
        (
            "fair-queue\nrandom-detect dscp ef 8 9 ms",
            "thresholds of random-detect are in two units",
        ),
    ];
    for (lines, why) in cases {
        let error = refusal(&format!("class-map c\n match any\npolicy-map p\n class c\n{lines}\n"));
        assert!(error.starts_with(at_class) && error.contains(why), "{lines}: {error}");
    }
    let text = "class-map c\n match any\npolicy-map p\n class c\n  service-policy q\n";
    assert_eq!(refusal(text), "line 3, column 1: policy-map p: there is no policy-map q");
    for (text, why) in [
        (
            "class-map class-default",
            "line 1, column 1: class-map class-default: class-default has no",
        ),
        ("class-map c\n match class-map class-default", "c: class-default has no class-map"),
        (
            "class-map c\n match class-map d",
            "line 1, column 1: class-map c: there is no class-map d",
        ),
        ("class-map c\n match not class-map c", "class-map c: class-map c matches itself"),
        (
            "class-map a\n match class-map b\nclass-map b\n match class-map a",
            "class-map a matches itself",
        ),
        ("policy-map p\n class class-default\n service-policy p", "policy-map p is below itself"),
        (
            "class-map a\nclass-map b\npolicy-map p\n class a\n bandwidth percent 60\n class b\n \
             bandwidth percent 41",
            "line 3, column 1: policy-map p: bandwidth adds up to 101 percent",
        ),
    ] {
        let error = refusal(text);
        assert!(error.contains(why), "{text}: {error}");
    }
    assert!(actions("priority level 2\nshape average 1m").queueing.shape.is_some());
}

#[test]
fn a_queue_limit_of_class_default_needs_no_queue() {
    parse("policy-map p\n class class-default\n  queue-limit 64\n  random-detect\n");
}

#[test]
fn a_refused_text_changes_nothing() {
    let mut policies = parse("class-map c\n match cos 1\npolicy-map p\n class c\n  set cos 2\n");
    let before = policies.clone();
    for text in [
        "policy-map p\n class c\n  set cos 3\n  mystery\n",
        "no policy-map p\nno class-map x y",
        "no class-map c",
    ] {
        policies.apply(text, &Limits::default()).expect_err(text);
        assert_eq!(policies, before, "{text}");
    }
    let error = policies.apply("no class-map c\n", &Limits::default()).unwrap_err().to_string();
    let why = "line 1, column 1: policy-map p, class c: there is no such class-map";
    assert_eq!(error, why);
}
