//! Tags: which interface a frame belongs to, and what it is sent with.

use crate::packets::{DOT1AD, DOT1Q, Tag, frame, mac, payload, udp};
use crate::router::route;

/// A port with an interface for each way to tag, and the same on the other side.
const TAGGED: &str = r#"
[[port]]
name = "a"
mac = "02:00:00:00:01:01"
address = ["10.1.0.1/24"]
[[port.vlan]]
id = 100
address = ["10.1.100.1/24", "2001:db8:100::1/64"]
[[port.vlan]]
id = 200
inner = 7
address = ["10.1.207.1/24"]
[[port]]
name = "b"
mac = "02:00:00:00:02:01"
address = ["10.2.0.1/24"]
[[port.vlan]]
id = 30
address = ["10.2.30.1/24", "2001:db8:30::1/64"]
[[port.vlan]]
id = 40
inner = 50
address = ["10.2.40.1/24"]
[[port.vlan]]
id = 60
inner = 70
tpid = "dot1q"
address = ["10.2.60.1/24"]
[[neighbor]]
address = "10.1.0.2"
mac = "02:00:00:00:01:02"
[[neighbor]]
address = "10.2.0.2"
mac = "02:00:00:00:02:02"
[[neighbor]]
address = "10.2.30.2"
mac = "02:00:00:00:02:30"
[[neighbor]]
address = "2001:db8:30::2"
mac = "02:00:00:00:02:30"
[[neighbor]]
address = "10.2.40.2"
mac = "02:00:00:00:02:40"
[[neighbor]]
address = "10.2.60.2"
mac = "02:00:00:00:02:60"
[[neighbor]]
address = "10.1.207.2"
mac = "02:00:00:00:01:07"
"#;

const NONE: &[Tag] = &[];

/// Every tagging in to every tagging out, byte for byte.
#[test]
fn tags_of_the_input_are_taken_off_and_those_of_the_output_put_on() {
    let ins: [&[Tag]; 8] = [
        NONE,
        // A priority tag names no VLAN.
        &[Tag(DOT1Q, 0)],
        &[Tag(DOT1Q, 0xe000)],
        &[Tag(DOT1Q, 100)],
        // Priority and drop eligibility are not part of the VLAN's number.
        &[Tag(DOT1Q, 0xb000 | 100)],
        &[Tag(DOT1AD, 100)],
        &[Tag(DOT1AD, 200), Tag(DOT1Q, 7)],
        &[Tag(DOT1Q, 200), Tag(DOT1Q, 7)],
    ];
    let outs: [(&str, u8, &[Tag]); 4] = [
        ("10.2.0.2", 0x02, NONE),
        ("10.2.30.2", 0x30, &[Tag(DOT1Q, 30)]),
        ("10.2.40.2", 0x40, &[Tag(DOT1AD, 40), Tag(DOT1Q, 50)]),
        ("10.2.60.2", 0x60, &[Tag(DOT1Q, 60), Tag(DOT1Q, 70)]),
    ];
    let mut received = Vec::new();
    let mut wanted = Vec::new();
    for (n, tags) in ins.into_iter().enumerate() {
        for (dst, host, out_tags) in outs {
            let packet = |ttl| udp("10.1.0.2", dst, ttl, (1, 2), &payload(40 + n));
            // All at one moment: a vector holds a mixture of interfaces.
            received.push((9, frame(mac(1, 1), mac(1, 9), tags, &packet(64))));
            wanted.push(frame(mac(2, host), mac(2, 1), out_tags, &packet(63)));
        }
    }
    let run = route(TAGGED, &[&received]);
    let mut sent = run.frames(1);
    sent.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(sent, wanted);
    assert_eq!(run.report.drops, []);
    let interfaces = &run.report.interfaces;
    let packets = |name: &str| {
        let one = interfaces.iter().find(|one| &*one.name == name).unwrap();
        (one.counters.in_packets, one.counters.out_packets)
    };
    assert_eq!(["a", "a.100", "a.200.7"].map(packets), [(12, 0), (12, 0), (8, 0)]);
    assert_eq!(["b", "b.30", "b.40.50", "b.60.70"].map(packets), [(0, 8); 4]);
    let (into, out) = interfaces.iter().fold((0, 0), |(into, out), one| {
        (into + one.counters.in_bytes, out + one.counters.out_bytes)
    });
    assert_eq!((into, out), (run.report.ports[0].rx_bytes, run.report.ports[1].tx_bytes));
}

#[test]
fn ipv6_is_tagged_as_ipv4_is() {
    let packet = |ttl| udp("2001:db8:100::2", "2001:db8:30::2", ttl, (1, 2), &payload(40));
    let input = frame(mac(1, 1), mac(1, 9), &[Tag(DOT1Q, 100)], &packet(64));
    let wanted = frame(mac(2, 0x30), mac(2, 1), &[Tag(DOT1Q, 30)], &packet(63));
    assert_eq!(route(TAGGED, &[&[(0, input)]]).frames(1), [wanted]);
}

#[test]
fn tags_that_no_interface_has_are_counted_as_such() {
    let ip = udp("10.1.0.2", "10.2.0.2", 64, (1, 2), &payload(40));
    let strange: [&[Tag]; 6] = [
        &[Tag(DOT1Q, 101)],
        &[Tag(DOT1Q, 4095)],
        // The outer tag alone is not the interface of both.
        &[Tag(DOT1AD, 200)],
        &[Tag(DOT1AD, 200), Tag(DOT1Q, 8)],
        &[Tag(DOT1AD, 7), Tag(DOT1Q, 200)],
        &[Tag(DOT1Q, 100), Tag(DOT1Q, 100)],
    ];
    for tags in strange {
        let run = route(TAGGED, &[&[(0, frame(mac(1, 1), mac(1, 2), tags, &ip))]]);
        assert_eq!(run.report.drops, [("BadUidbIdx", 1)], "{tags:?}");
        assert_eq!(run.report.forwarded(), 0, "{tags:?}");
    }
}

#[test]
fn tags_on_a_port_without_vlans_are_counted_as_such() {
    let ip = udp("10.1.0.2", "10.2.0.2", 64, (1, 2), &payload(40));
    let config = "[[port]]\naddress = [\"10.1.0.1/24\"]\n[[port]]\naddress = [\"10.2.0.1/24\"]\n";
    let run = route(config, &[&[(0, frame(mac(1, 1), mac(1, 2), &[Tag(DOT1Q, 5)], &ip))]]);
    assert_eq!(run.report.drops, [("BadUidbIdx", 1)]);
}

/// Out of the interface that it came in through, with other tags than it came with.
#[test]
fn a_packet_may_leave_through_the_port_it_came_in_by() {
    let packet = |ttl| udp("10.1.0.2", "10.1.207.2", ttl, (1, 2), &payload(40));
    let input = frame(mac(1, 1), mac(1, 2), NONE, &packet(64));
    let wanted = frame(mac(1, 7), mac(1, 1), &[Tag(DOT1AD, 200), Tag(DOT1Q, 7)], &packet(63));
    let run = route(TAGGED, &[&[(0, input)]]);
    assert_eq!(run.frames(0), [wanted]);
    assert!(run.frames(1).is_empty());
}
