//! The rate that leaves a policer, exact to the packet in the time of a capture.

use qfp::client::ea::Direction;

use super::{
    EAST, MILLISECOND, OneRate, SECOND, at_once, class, each, from_west, ip, paced, packets,
    router, router_with,
};
use crate::packets::{DOT1AD, DOT1Q, Tag};
use crate::router::route;

/// The keys that bind `P` in each direction, where, and what reports call it.
const SIDES: [(&str, &str, Direction); 2] = [
    ("west", "service_policy_in = \"P\"", Direction::In),
    ("east", "service_policy_out = \"P\"", Direction::Out),
];

/// A policy with one policer.
fn one(police: &str) -> String {
    format!("policy-map P\n class class-default\n  police {police}\n")
}

/// 1 Mb/s and frames that count for 1500 bytes: policer, granularity, time between frames, frames,
/// how many conform, and the first that does not.
const CASES: [(&str, &str, u64, u64, usize, u64); 6] = [
    ("1000000", "native", 1_200_000, 8333, 958, 138),
    ("1000000 bc 31250", "native", 1_200_000, 8333, 854, 23),
    ("1000000", "native", 6_000_000, 1666, 957, 249),
    ("1000000 burst 31250", "typhoon", 6_000_000, 1666, 853, 40),
    ("1000000", "trident", 1_200_000, 8333, 919, 0),
    ("1 mbps", "trident", 6_000_000, 1666, 919, 0),
];

#[test]
fn a_policer_passes_what_rate_and_burst_allow_to_the_packet() {
    for (n, (police, granularity, every, count, conform, first)) in CASES.into_iter().enumerate() {
        let (interface, key, direction) = SIDES[n % 2];
        let qos = format!("granularity = \"{granularity}\"");
        let config = router_with(&[(interface, key)], &qos, &one(police));
        let frames = paced(&from_west(&[], &ip(2, false, 1482)), every, count);
        let run = route(&config, &[&frames]);
        let passed: Vec<u64> = run.sent[1].iter().map(|(time, _)| *time).collect();
        assert_eq!(passed.len(), conform, "{police} {granularity}");
        if first > 0 {
            let gap = passed.iter().zip(0..).find(|(time, n)| **time != n * every).unwrap();
            assert_eq!(gap.1, first, "{police}");
        }
        let class = class(&run, interface, direction, "class-default");
        let (passed, lost) = (conform as u64, count - conform as u64);
        assert_eq!(packets(class), [count, passed, lost, 0, lost]);
        assert_eq!((class.conform, class.dropped), (each(passed, 1500), each(lost, 1500)));
        assert_eq!(run.report.drops, [("Policer", lost)]);
    }
}

/// How many bytes a frame counts for is the profile's matter; the rate is that of counted bytes.
#[test]
fn a_frame_counts_as_the_accounting_says() {
    let profiles = [("asr9000", 1482), ("iosxe", 1486), ("user-defined 24", 1462)];
    for ((accounting, len), (interface, key, direction)) in
        profiles.into_iter().flat_map(|profile| SIDES.map(|side| (profile, side)))
    {
        let qos = format!("accounting = \"{accounting}\"");
        let config = router_with(&[(interface, key)], &qos, &one("1000000"));
        let frames = paced(&from_west(&[], &ip(2, false, len)), 6_000_000, 1666);
        let run = route(&config, &[&frames]);
        let class = class(&run, interface, direction, "class-default");
        assert_eq!(packets(class), [1666, 957, 709, 0, 709], "{accounting}");
        assert_eq!((class.matched, class.transmitted()), (each(1666, 1500), each(957, 1500)));
        assert_eq!(run.sent[1].len(), 957);
    }
}

/// Bytes of the IP packet, and frames a second at 1 Mb/s with no, one and two tags.
const THROUGHPUT: [(usize, [f64; 3]); 4] = [
    (46, [1953.125, 1838.235, 1736.111]),
    (100, [1059.322, 1024.590, 992.063]),
    (1000, [122.790, 122.309, 121.832]),
    (1500, [82.345, 82.129, 81.913]),
];

/// What counts is the frame as it came where the policy is inbound, and as it leaves where it is
/// outbound: with the tags of that side and not of the other.
#[test]
fn tags_count_on_the_side_that_has_them() {
    let tags: [&[Tag]; 3] = [&[], &[Tag(DOT1Q, 100)], &[Tag(DOT1AD, 200), Tag(DOT1Q, 7)]];
    let inbound = ["west", "west.100", "west.200.7"];
    let outbound = ["east", "east.30", "east.40.50"];
    for ((len, rates), direction) in THROUGHPUT
        .into_iter()
        .flat_map(|case| [Direction::In, Direction::Out].map(|direction| (case, direction)))
    {
        let (names, key) = match direction {
            Direction::In => (inbound, "service_policy_in = \"P\""),
            Direction::Out => (outbound, "service_policy_out = \"P\""),
        };
        let config = router(&names.map(|name| (name, key)), &one("1 mbps bc 5000"));
        // More than twice the rate, by three ways that have a policer each.
        let every = SECOND * (len as u64 + 18) * 8 / 2_100_000;
        let mut received = Vec::new();
        for n in 0..2 * SECOND / every {
            for way in 0..3 {
                let (tags, link) = match direction {
                    Direction::In => (tags[way], 2),
                    Direction::Out => (&[][..], EAST[way]),
                };
                received.push((n * every, from_west(tags, &ip(link, false, len))));
            }
        }
        let run = route(&config, &[&received]);
        let mut sent = 0;
        for (way, name) in names.into_iter().enumerate() {
            let counted = len as u64 + 18 + 4 * way as u64;
            let mut oracle = OneRate::new(1_000_000, 5000);
            let offered = 2 * SECOND / every;
            let wanted =
                (0..offered).filter(|n| oracle.conforms(n * every, counted)).count() as u64;
            let class = class(&run, name, direction, "class-default");
            assert_eq!(
                (class.matched, class.conform),
                (each(offered, counted), each(wanted, counted))
            );
            // Right to one packet, from the first to the last.
            let seconds = ((offered - 1) * every) as f64 / SECOND as f64;
            let beyond_burst = (wanted * counted - 5000) as f64 / counted as f64;
            assert!((beyond_burst - rates[way] * seconds).abs() <= 1.0, "{len} {name}");
            sent += wanted;
        }
        assert_eq!(run.report.forwarded(), sent);
    }
}

#[test]
fn packets_of_any_length_count_as_one_where_the_rate_is_in_packets() {
    let cases: [(&str, &[u64], &[u64]); 5] = [
        ("1 pps burst 1", &[0, 2000, 2500], &[0, 2000]),
        ("1 pps burst 2 packets", &[0, 2000, 2500], &[0, 2000, 2500]),
        ("1 pps burst 1", &[0, 1000, 2000, 3000], &[0, 1000, 2000, 3000]),
        ("1 pps burst 1", &[0, 500, 1000, 1500], &[0, 1000]),
        ("1 pps burst 2", &[0, 0, 0], &[0, 0]),
    ];
    for (rate, arrivals, passed) in cases {
        let config =
            router(&[("west", "service_policy_in = \"P\"")], &one(&format!("rate {rate}")));
        let frame = |n: usize| from_west(&[], &ip(2, n.is_multiple_of(2), 100 + 400 * n));
        let received: Vec<_> =
            arrivals.iter().enumerate().map(|(n, time)| (time * MILLISECOND, frame(n))).collect();
        let run = route(&config, &[&received]);
        let sent: Vec<u64> = run.sent[1].iter().map(|(time, _)| time / MILLISECOND).collect();
        assert_eq!(sent, passed, "{rate} {arrivals:?}");
    }
}

#[test]
fn a_share_is_one_of_the_port_s_speed() {
    let keys = "speed = \"10m\"\nservice_policy_in = \"P\"";
    let config = router(&[("west", keys)], &one("percent 10"));
    let frames = paced(&from_west(&[], &ip(2, false, 1482)), 6_000_000, 1666);
    assert_eq!(route(&config, &[&frames]).sent[1].len(), 957);
}

/// Bursts are there at the start, however late the capture begins, and after a pause.
#[test]
fn a_burst_passes_at_once_and_again_when_it_has_been_earned() {
    let config = router(&[("west", "service_policy_in = \"P\"")], &one("1000000"));
    let frame = from_west(&[], &ip(2, false, 1482));
    let start = 1_700_000_000 * SECOND;
    let mut received: Vec<_> = vec![(start, frame.clone()); 200];
    received.extend([(start + 12 * MILLISECOND - 1, frame.clone())]);
    received.extend([(start + 12 * MILLISECOND, frame.clone())]);
    received.extend(vec![(start + 10 * SECOND, frame); 200]);
    let run = route(&config, &[&received]);
    let at = |time| run.sent[1].iter().filter(|(sent, _)| *sent == start + time).count();
    assert_eq!([at(0), at(12 * MILLISECOND - 1), at(12 * MILLISECOND)], [125, 0, 1]);
    assert_eq!(at(10 * SECOND), 125);
}

#[test]
fn what_operators_ought_to_know_about_a_policer_is_in_the_report() {
    let config = router_with(
        &[("west", "service_policy_in = \"P\"")],
        "granularity = \"trident\"",
        &one("100000"),
    );
    let run = route(&config, &[&at_once(&[ip(2, false, 100)])]);
    let warnings = &class(&run, "west", Direction::In, "class-default").warnings;
    let [warning] = &warnings[..] else { panic!("{warnings:?}") };
    assert!(format!("{warning:?}").starts_with("Rounded"), "{warning:?}");
}
