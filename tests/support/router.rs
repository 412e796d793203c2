//! A router between captures, in their time.

use qfp::Forwarder;
use qfp::client::config::Config;
use qfp::core::fia::TracedPacket;
use qfp::report::RunReport;

use super::capture::{self, Timed};

/// Two networks with a router on each of their sides that is known, and routes behind the east.
pub(crate) const TWO_NETWORKS: &str = r#"
[[port]]
name = "west"
mac = "02:00:00:00:01:01"
address = ["10.1.0.1/24", "2001:db8:1::1/64"]
[[port]]
name = "east"
mac = "02:00:00:00:02:01"
address = ["10.2.0.1/24", "2001:db8:2::1/64"]
[[neighbor]]
address = "10.1.0.2"
mac = "02:00:00:00:01:02"
[[neighbor]]
address = "2001:db8:1::2"
mac = "02:00:00:00:01:02"
[[neighbor]]
address = "10.2.0.2"
mac = "02:00:00:00:02:02"
[[neighbor]]
address = "2001:db8:2::2"
mac = "02:00:00:00:02:02"
[[route]]
prefix = "203.0.113.0/24"
via = "10.2.0.2"
[[route]]
prefix = "2001:db8:ff::/48"
via = "2001:db8:2::2"
"#;

/// What a run left behind.
#[derive(Debug)]
pub(crate) struct Run {
    /// What each port sent.
    pub(crate) sent: Vec<Vec<Timed>>,
    pub(crate) report: RunReport,
    pub(crate) traces: Vec<TracedPacket>,
}

impl Run {
    /// Frames that the port number `port` sent.
    pub(crate) fn frames(&self, port: usize) -> Vec<&[u8]> {
        self.sent[port].iter().map(|(_, frame)| frame.as_slice()).collect()
    }
}

/// Routes what the ports of `config` receive, by port number.
pub(crate) fn route(config: &str, received: &[&[Timed]]) -> Run {
    route_with(config, received, |forwarder| forwarder)
}

/// As [`route`], with something about the forwarder changed. Every run must be conserved.
pub(crate) fn route_with(
    config: &str,
    received: &[&[Timed]],
    change: impl FnOnce(Forwarder) -> Forwarder,
) -> Run {
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::parse(config, "test.toml").unwrap();
    let output = |port: usize| dir.path().join(format!("out{port}.pcap"));
    let spec = |port: usize| match received.get(port) {
        Some(packets) if !packets.is_empty() => {
            let input = dir.path().join(format!("in{port}.pcap"));
            capture::write(&input, packets);
            format!("pcap:rx={},tx={}", input.display(), output(port).display())
        }
        _ => format!("pcap:tx={}", output(port).display()),
    };
    let ports = config.ports.len();
    config.ports.iter_mut().enumerate().for_each(|(n, port)| port.device = Some(spec(n)));
    // Fewer than a router in earnest has: their memory stays until the process ends.
    let forwarder = Forwarder::new(config).buffers(1024);
    let running = change(forwarder).start().unwrap();
    let (report, traces) = running.join_traced().unwrap();
    assert_eq!(report.conserved, Some(true), "{report:?}");
    Run { sent: (0..ports).map(|port| capture::read(&output(port))).collect(), report, traces }
}
