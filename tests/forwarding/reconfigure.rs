//! Another configuration for a router that runs: all of it takes effect under traffic, or nothing.

use std::time::{Duration, Instant};

use qfp::client::config::{Config, RouteTable};
use qfp::{Forwarder, Running};

/// A generator and two sinks; the default route leads to the first one.
const CONFIG: &str = r#"
[[port]]
name = "in"
device = "synth:flows=16"
address = ["10.1.0.1/24"]
acl_in = "FILTER"
[[port]]
name = "left"
device = "sink"
address = ["10.2.0.1/24"]
[[port]]
name = "right"
device = "sink"
address = ["10.3.0.1/24"]
[[neighbor]]
address = "10.2.0.2"
mac = "02:00:00:00:02:02"
[[neighbor]]
address = "10.3.0.2"
mac = "02:00:00:00:03:02"
[[route]]
prefix = "0.0.0.0/0"
via = "10.2.0.2"
[[acl]]
text = """
ip access-list extended FILTER
 permit ip any any
"""
"#;

fn start() -> Running {
    Forwarder::new(Config::parse(CONFIG, "before.toml").unwrap()).start().unwrap()
}

/// The configuration with each of `changes`' first texts replaced by the second.
fn with(changes: &[(&str, &str)]) -> Config {
    let change = |text: String, (old, new): &(&str, &str)| {
        assert!(text.contains(old), "{old}");
        text.replace(old, new)
    };
    Config::parse(&changes.iter().fold(CONFIG.to_owned(), change), "after.toml").unwrap()
}

/// Packets sent to the left and to the right, and dropped by lists.
fn counts(running: &Running) -> [u64; 3] {
    let report = running.report();
    let dropped = report.drops.iter().find(|(reason, _)| *reason == "Ipv4Acl");
    [report.ports[1].tx_packets, report.ports[2].tx_packets, dropped.map_or(0, |drop| drop.1)]
}

/// More than errors about denied packets grow in 50 ms, which leave by the default route.
const TRAFFIC: u64 = 200;

/// Waits until of [`counts`] that number `grows` grows by traffic, and no other.
fn only_grows(running: &Running, grows: usize) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let before = counts(running);
        std::thread::sleep(Duration::from_millis(50));
        let after = counts(running);
        let grown = [0, 1, 2].map(|n| after[n] - before[n] > TRAFFIC);
        if grown == [0, 1, 2].map(|n| n == grows) {
            return;
        }
        assert!(Instant::now() < deadline, "{before:?} {after:?}");
    }
}

#[test]
fn routes_lists_and_addresses_change_under_traffic() {
    let running = start();
    only_grows(&running, 0);
    let routes = RouteTable::default;
    running.commit(with(&[("via = \"10.2.0.2\"", "via = \"10.3.0.2\"")]), routes()).unwrap();
    only_grows(&running, 1);
    running.commit(with(&[("permit ip any any", "deny ip any any")]), routes()).unwrap();
    only_grows(&running, 2);
    // The slow path knows the same: whose neighbours there are, and what is the router's own.
    let moved = with(&[("10.2.0.1/24", "10.4.0.1/24"), ("10.2.0.2", "10.4.0.2")]);
    running.commit(moved, routes()).unwrap();
    only_grows(&running, 0);
    let interfaces = running.interfaces();
    let left = interfaces.iter().find(|one| one.name == "left").unwrap();
    assert_eq!(left.addresses, ["10.4.0.1/24".parse().unwrap()]);
    let neighbours = running.neighbours().into_iter().filter(|one| one.0 == left.uidb);
    let address = "10.4.0.2".parse().unwrap();
    assert_eq!(neighbours.collect::<Vec<_>>(), [(left.uidb, address, [2, 0, 0, 0, 2, 2])]);
    assert_eq!(running.stop().unwrap().conserved, Some(true));
}

/// There is one number for a VRF.
#[test]
fn the_number_of_a_vrf_comes_back_under_traffic() {
    let of = |vrf: &str| {
        let right = format!("10.3.0.1/24\"]\n{vrf}");
        with(&[("10.3.0.1/24\"]\n", &right), ("03:02\"\n", "03:02\"\ndev = \"right\"\n")])
    };
    let running = Forwarder::new(of("vrf = \"red\"\n")).start().unwrap();
    only_grows(&running, 0);
    for vrf in ["blue", "green"] {
        running.commit(of(""), RouteTable::default()).unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        let next = of(&format!("vrf = \"{vrf}\"\n"));
        while let Err(error) = running.commit(next.clone(), RouteTable::default()) {
            assert!(error.to_string().contains("1 waiting for readers"), "{error}");
            assert!(Instant::now() < deadline, "{error}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    only_grows(&running, 0);
    assert_eq!(running.stop().unwrap().conserved, Some(true));
}

#[test]
fn what_cannot_be_had_is_refused_by_name_and_nothing_has_changed() {
    let running = start();
    let second = "name = \"left\"\ndevice = \"sink\"\n";
    let device = |spec: &str| with(&[(second, &format!("name = \"left\"\ndevice = \"{spec}\"\n"))]);
    let refused = [
        (device("pcap:rx=/no/such/file"), "after.toml:9: ", "/no/such/file"),
        (device("nonsense"), "after.toml:9: ", "nonsense"),
    ];
    let generation = running.report().generation;
    for (mut config, place, what) in refused {
        // What it would have changed otherwise.
        config.routes.clear();
        let error = running.commit(config, RouteTable::default()).unwrap_err().to_string();
        assert!(error.starts_with(place) && error.contains(what), "{error}");
    }
    let mut wrong = with(&[("deny", "deny"); 0]);
    wrong.routes[0].prefix = "2001:db8::/32".parse().unwrap();
    let error = running.commit(wrong, RouteTable::default()).unwrap_err().to_string();
    assert!(error.starts_with("after.toml:"), "{error}");
    only_grows(&running, 0);
    assert_eq!(running.report().generation, generation);
    assert_eq!(running.stop().unwrap().conserved, Some(true));
}
