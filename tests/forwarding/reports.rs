//! What reports say of a run that is under way, and of its end.

use std::time::{Duration, Instant};

use qfp::Forwarder;
use qfp::client::config::Config;

/// A generator whose packets wait for a neighbour that does not answer.
const CONFIG: &str = r#"
[[port]]
device = "synth:flows=100"
address = ["10.1.0.1/24"]
[[port]]
device = "sink"
address = ["10.2.0.1/24"]
[[route]]
prefix = "0.0.0.0/0"
via = "10.2.0.2"
"#;

#[test]
fn packets_under_way_are_queued_and_conserved_is_known_at_the_end() {
    let config = Config::parse(CONFIG, "test.toml").unwrap();
    let running = Forwarder::new(config).buffers(4096).start().unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut queued = 0;
    while queued == 0 && Instant::now() < deadline {
        let report = running.report();
        assert_eq!(report.conserved, None);
        queued = report.queued;
    }
    assert!(queued > 0, "nothing waits for the neighbour");
    let report = running.stop().unwrap();
    assert_eq!((report.conserved, report.queued), (Some(true), 0), "{report:?}");
}
