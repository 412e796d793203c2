//! The program with the example's policies: captures in, captures and reports out.

use serde_json::Value;

use super::{MILLISECOND, SECOND, with_class};
use crate::capture::{self, Timed};
use crate::l3fwd;
use crate::packets::{frame, payload, tcp, udp};

/// From the customer to the core.
fn from_customer(port: u16, dscp: u8, bytes: usize) -> Vec<u8> {
    let ends = ("192.0.2.2", "203.0.113.9");
    let data = payload(bytes - 18 - 28);
    let ip = match port {
        873 => tcp(ends.0, ends.1, 64, (9, port), 16, &data[12..]),
        _ => udp(ends.0, ends.1, 64, (9, port), &data),
    };
    frame([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 9], &[], &with_class(ip, dscp << 2))
}

/// Two seconds, a frame of 1000 counted bytes of every class each millisecond, 8 Mb/s, and two of
/// the default one.
fn offered() -> Vec<Timed> {
    let classes = [(5060, 46), (443, 26), (873, 10), (80, 12), (81, 0)];
    let frames = classes.map(|(port, dscp)| from_customer(port, dscp, 1000));
    let moment = |n: u64| (0..).zip(&frames).map(move |(k, f)| (n * MILLISECOND + k, f.clone()));
    (0..2 * SECOND / MILLISECOND).flat_map(moment).collect()
}

#[test]
fn the_example_s_policies_police_and_mark_a_capture() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    capture::write(&path("in.pcap"), &offered());
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = l3fwd::command();
    command.arg("--config").arg(root.join("examples/configs/qos.toml"));
    command.args(["--port", &format!("pcap:rx={}", path("in.pcap").display())]);
    command.args(["--port", &format!("pcap:tx={}", path("out.pcap").display())]);
    command.arg("--stats-json").arg(path("stats.json"));
    let outcome = l3fwd::finish(command.spawn().unwrap());
    assert_eq!((outcome.status, outcome.stderr.as_str()), (0, ""), "{}", outcome.stdout);
    for wanted in ["customer input: FROM-CUSTOMER", "core.100 output: TO-CORE", "Policed(conform)"]
    {
        assert!(outcome.stdout.contains(wanted), "no {wanted:?} in\n{}", outcome.stdout);
    }

    let stats: Value = serde_json::from_slice(&std::fs::read(path("stats.json")).unwrap()).unwrap();
    let class = |name: &str, what: &str| {
        let class = &stats["policies"]["customer"]["in"][name];
        class[what]["packets"].as_u64().unwrap_or_else(|| panic!("{name} {what}: {stats}"))
    };
    let child = |name: &str, what: &str| class(&format!("class-default/{name}"), what);
    // A megabit a second and twenty frames at once; two percent of 100 Mb/s and sixty.
    assert!(child("VOICE", "transmitted").abs_diff(250 + 20) <= 1);
    assert!(child("BACKUP", "transmitted").abs_diff(500 + 60) <= 1);
    assert_eq!(child("BUSINESS", "conform"), 2000);
    assert_eq!(child("class-default", "matched"), 4000);
    // The parent's burst and 20 Mb/s, for as long as the capture is: 1.999 s.
    let passed = class("class-default", "transmitted");
    assert!(passed.abs_diff(250 + 2500 * 1999 / 1000) <= 1, "{passed}");

    let sent = capture::read(&path("out.pcap"));
    assert_eq!(sent.len() as u64, passed);
    let mut marks: Vec<(u8, u8)> = sent
        .iter()
        .map(|(_, frame)| (frame[14] >> 5, super::class_of(&frame[18..]) >> 2))
        .collect();
    marks.sort_unstable();
    marks.dedup();
    assert_eq!(marks, [(0, 0), (0, 8), (3, 26), (5, 46)]);
    let out =
        |name: &str| stats["policies"]["core.100"]["out"][name]["matched"]["packets"].as_u64();
    let all = ["VOICE-MARKED", "BUSINESS-MARKED", "class-default"].map(|name| out(name).unwrap());
    assert_eq!(all.iter().sum::<u64>(), passed);
    let drops = stats["drops"]["Policer"].as_u64().unwrap();
    assert_eq!(drops + passed, 10_000);
}

/// Mistakes in the policies are at their place in their own file.
#[test]
fn a_mistake_in_the_policy_file_is_one_line_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("router.toml");
    std::fs::write(&config, "[[port]]\n[qos]\nfile = \"p.txt\"\n").unwrap();
    std::fs::write(dir.path().join("p.txt"), "policy-map P\n class VIDEO\n").unwrap();
    let mut command = l3fwd::command();
    command.arg("--config").arg(&config).args(["--port", "sink"]);
    let outcome = l3fwd::finish(command.spawn().unwrap());
    assert_eq!(outcome.status, 2, "{outcome:?}");
    assert!(
        outcome
            .stderr
            .ends_with("p.txt:2:2: policy-map P, class VIDEO: there is no such class-map\n"),
        "{}",
        outcome.stderr
    );
}
