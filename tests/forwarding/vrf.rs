//! Routing tables by interface: the same addresses twice, and nothing leaks between them.

use crate::capture::Timed;
use crate::packets::{frame, mac, payload, udp};
use crate::router::route;

/// Two customers with the same networks, and a route to the same prefix.
const CUSTOMERS: &str = r#"
[[port]]
name = "red-in"
vrf = "red"
address = ["10.1.0.1/24", "2001:db8:1::1/64"]
[[port]]
name = "red-out"
vrf = "red"
mac = "02:00:00:00:02:01"
address = ["10.2.0.1/24", "2001:db8:2::1/64"]
[[port]]
name = "blue-in"
vrf = "blue"
address = ["10.1.0.1/24", "2001:db8:1::1/64"]
[[port]]
name = "blue-out"
vrf = "blue"
mac = "02:00:00:00:04:01"
address = ["10.2.0.1/24", "2001:db8:2::1/64"]
[[port]]
name = "global"
address = ["192.0.2.1/24", "2001:db8:9::1/64"]
[[neighbor]]
address = "10.2.0.2"
mac = "02:00:00:00:02:02"
dev = "red-out"
[[neighbor]]
address = "2001:db8:2::2"
mac = "02:00:00:00:02:02"
dev = "red-out"
[[neighbor]]
address = "10.2.0.2"
mac = "02:00:00:00:04:02"
dev = "blue-out"
[[neighbor]]
address = "2001:db8:2::2"
mac = "02:00:00:00:04:02"
dev = "blue-out"
[[route]]
vrf = "red"
prefix = "203.0.113.0/24"
via = "10.2.0.2"
[[route]]
vrf = "red"
prefix = "2001:db8:ff::/48"
via = "2001:db8:2::2"
[[route]]
vrf = "blue"
prefix = "203.0.113.0/24"
via = "10.2.0.2"
[[route]]
vrf = "blue"
prefix = "2001:db8:ff::/48"
via = "2001:db8:2::2"
"#;

fn to_both_families() -> Vec<Timed> {
    let v4 = udp("10.1.0.2", "203.0.113.9", 64, (1, 2), &payload(40));
    let v6 = udp("2001:db8:1::2", "2001:db8:ff::9", 64, (1, 2), &payload(40));
    [v4, v6].map(|ip| (0, frame(mac(1, 1), mac(1, 2), &[], &ip))).to_vec()
}

#[test]
fn the_same_destination_leaves_by_the_table_of_the_input_interface() {
    let packets = to_both_families();
    let run = route(CUSTOMERS, &[&packets, &[], &packets, &[], &[]]);
    for (port, station) in [(1, 2), (3, 4)] {
        let frames = run.frames(port);
        assert_eq!(frames.len(), 2, "{:?}", run.report.drops);
        for frame in frames {
            assert_eq!(frame[..12], [mac(station, 2), mac(station, 1)].concat());
        }
    }
    assert!(run.report.conserved == Some(true) && run.report.drops.is_empty());
}

#[test]
fn the_global_table_knows_nothing_of_a_vrf() {
    let packets = to_both_families();
    let run = route(CUSTOMERS, &[&[], &[], &[], &[], &packets]);
    // The packets, and the errors about them: their sources are customers, too.
    assert_eq!(run.report.drops, [("Ipv4NoRoute", 2), ("Ipv6NoRoute", 2)]);
    assert!([1, 3].iter().all(|port| run.frames(*port).is_empty()));
}
