//! A feature of the user's own in the order of operations: its names stand in what is reported.

use qfp::Forwarder;
use qfp::client::config::Config;
use qfp::core::fia::{FiaBuilder, Gate, TraceOutcome};
use qfp::core::packet::{DropReason, FeatureCounter, PacketMask, Vector};
use qfp::core::step::{Lcore, Step};

const CONFIG: &str = r#"
[[port]]
device = "synth:size=64,flows=16,count=1000"
address = ["192.0.2.1/24"]
[[port]]
device = "sink"
address = ["198.51.100.1/24"]
[[route]]
prefix = "198.18.0.0/15"
via = "198.51.100.2"
[[neighbor]]
address = "198.51.100.2"
mac = "02:00:00:00:00:02"
"#;

/// Drops every fourth packet, counts the others.
struct EveryFourth {
    reason: DropReason,
    passed: FeatureCounter,
    seen: u64,
}

impl Step for EveryFourth {
    fn process(&mut self, lcore: &mut Lcore<'_>, vector: &mut Vector, select: PacketMask) {
        for slot in select {
            self.seen += 1;
            if self.seen.is_multiple_of(4) {
                vector.drop(slot, self.reason);
            } else {
                lcore.counters.feature(self.passed, 1);
            }
        }
    }
}

#[test]
fn a_feature_names_what_it_drops_and_counts() {
    let reason = DropReason::of_feature("EveryFourth").unwrap();
    let passed = FeatureCounter::named("not_the_fourth").unwrap();
    let make = move || Box::new(EveryFourth { reason, passed, seen: 0 }) as Box<dyn Step>;
    let fia = FiaBuilder::router().insert_after("acl-act-in", "fourth", Gate::Always, make);
    let forwarder = Forwarder::new(Config::parse(CONFIG, "own.toml").unwrap());
    let running = forwarder.fia(fia.unwrap()).trace(8).start().unwrap();
    let (report, traced) = running.join_traced().unwrap();
    assert_eq!((report.forwarded(), report.conserved), (750, Some(true)));
    assert_eq!(report.drops, [("EveryFourth", 250)]);
    assert!(report.features.contains(&("not_the_fourth", 750)), "{:?}", report.features);
    let dropped = traced.iter().filter_map(|walk| match walk.outcome {
        TraceOutcome::Dropped(reason) => Some(reason.label()),
        _ => None,
    });
    assert_eq!(dropped.collect::<Vec<_>>(), ["EveryFourth"; 2]);
}
