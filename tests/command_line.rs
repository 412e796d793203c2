//! The program `l3fwd` as other programs call it: what it refuses and how, and what it reports.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "only a part of it is needed here")]
#[path = "support/capture.rs"]
mod capture;
#[path = "support/l3fwd.rs"]
mod l3fwd;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use l3fwd::Outcome;
use serde_json::Value;

/// Status for bad arguments and configurations.
const USAGE: i32 = 2;

/// Runs `l3fwd` to its end.
fn run<'a>(args: impl IntoIterator<Item = &'a str>) -> Outcome {
    l3fwd::finish(l3fwd::command().args(args).spawn().unwrap())
}

/// Names of all files below `dir`, and their contents.
fn contents(dir: &Path) -> BTreeSet<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(dir).unwrap().map(Result::unwrap);
    entries
        .map(|entry| {
            let name = entry.file_name().to_str().unwrap().to_owned();
            (name, std::fs::read(entry.path()).unwrap())
        })
        .collect()
}

/// Runs `l3fwd` in a directory with the files `inputs`; it must refuse with status 2, say one line
/// that has every piece of `wanted`, print nothing else, and write nothing.
fn refused(inputs: &[(&str, &[u8])], args: &[&str], wanted: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in inputs {
        std::fs::write(dir.path().join(name), bytes).unwrap();
    }
    let before = contents(dir.path());
    let child = l3fwd::command().args(args).current_dir(&dir).spawn().unwrap();
    let outcome = l3fwd::finish(child);
    assert_eq!(outcome.status, USAGE, "{args:?}: {outcome:?}");
    assert_eq!(outcome.stdout, "", "{args:?}");
    let line = outcome.stderr.strip_suffix('\n').unwrap_or_else(|| panic!("{args:?}: {outcome:?}"));
    assert!(!line.contains('\n') && line.starts_with("l3fwd: "), "{args:?}: {line}");
    for piece in wanted {
        assert!(line.contains(piece), "{args:?}: no {piece:?} in {line:?}");
    }
    assert_eq!(contents(dir.path()), before, "{args:?} wrote something");
}

/// A capture of one frame, whose link type is `link`.
fn one_frame(link: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, link, 1, 0, 60, 60] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend([0; 60]);
    bytes
}

#[test]
fn a_bad_argument_is_one_line_and_status_2() {
    let sink = ["--port", "sink"];
    let with = |args: &[&'static str]| [&sink[..], args].concat();
    refused(&[], &["--frobnicate"], &["--frobnicate"]);
    refused(&[], &["leftover"], &["leftover"]);
    refused(&[], &["--port"], &["--port"]);
    refused(&[], &[], &["no port"]);
    refused(&[], &with(&["--seconds", "soon"]), &["soon"]);
    refused(&[], &with(&["--seconds", "0"]), &["--seconds"]);
    refused(&[], &with(&["--trace", "-1"]), &["-1"]);
    refused(&[], &with(&["--lcores", "1-"]), &["1-"]);
    refused(&[], &with(&["--lcores", "3-1"]), &["3-1"]);
    refused(&[], &with(&["--lcores", ""]), &["--lcores"]);
}

#[test]
fn a_cpu_that_does_not_exist_is_named() {
    refused(&[], &["--port", "sink", "--lcores", "1023"], &["cpu 1023"]);
    refused(&[], &["--port", "sink", "--lcores", "70000"], &["70000"]);
}

#[test]
fn a_bad_spec_is_repeated() {
    for spec in ["", "eth0", "sink:x", "pcap:", "pcap:rx=", "synth:size=1", "tap:", "dpdk:"] {
        refused(&[], &["--port", spec], &[spec, "--port"]);
    }
    let missing = "dst.txt: No such file";
    refused(&[], &["--port", "synth:dst=dst.txt", "--port", "sink"], &[missing]);
    refused(
        &[("dst.txt", b"nonsense")],
        &["--port", "synth:dst=dst.txt"],
        &["dst.txt", "nonsense"],
    );
}

#[test]
fn a_missing_file_is_named() {
    refused(&[], &["--config", "none.toml"], &["none.toml", "No such file"]);
    refused(&[], &["--port", "pcap:rx=none.pcap"], &["none.pcap", "No such file"]);
    refused(&[], &["--port", "sink", "--routes", "none.txt"], &["none.txt", "No such file"]);
}

#[test]
fn a_file_that_cannot_be_written_is_named() {
    let refuse = |args: &[&str], wanted| refused(&[], args, &[wanted]);
    refuse(&["--port", "sink", "--stats-json", "no/such.json"], "no/such.json");
    refuse(&["--port", "sink", "--stats-json", "."], ".: cannot be written");
    refuse(&["--port", "pcap:tx=no/such.pcap"], "no/such.pcap");
}

#[test]
fn a_file_that_is_no_sound_capture_is_one_line_and_status_2() {
    let whole = one_frame(1);
    for (bytes, wanted) in [
        (&b""[..], "empty"),
        (b"ab", "not a capture"),
        (b"this is a letter, not a capture", "not a capture"),
        (&whole[..20], "cut off"),
        (&whole[..30], "cut off"),
        (&whole[..whole.len() - 1], "cut off: the file ends inside the record behind packet 0"),
        (&one_frame(101), "only Ethernet"),
        (&one_frame(113), "only Ethernet"),
        (&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0], "gzip"),
    ] {
        refused(&[("in.pcap", bytes)], &["--port", "pcap:rx=in.pcap"], &["in.pcap", wanted]);
        let looped = ["--port", "pcap:rx=in.pcap,loop", "--port", "sink"];
        refused(&[("in.pcap", bytes)], &looped, &["in.pcap", wanted]);
    }
    let same = ["--port", "pcap:rx=in.pcap,tx=./in.pcap"];
    refused(&[("in.pcap", &whole)], &same, &["overwrite"]);
}

#[test]
fn a_file_that_one_port_writes_belongs_to_no_other() {
    let input = ("in.pcap", &one_frame(1)[..]);
    let twice = ["--port", "pcap:rx=in.pcap,tx=out.pcap", "--port", "pcap:tx=./out.pcap"];
    refused(&[input], &twice, &["pcap:tx=./out.pcap", "another port"]);
    let read = ["--port", "pcap:rx=in.pcap", "--port", "pcap:tx=in.pcap"];
    refused(&[input], &read, &["pcap:tx=in.pcap", "another port"]);
}

#[test]
fn nobody_has_to_listen_to_the_report() {
    let dir = tempfile::tempdir().unwrap();
    let stats = dir.path().join("stats.json");
    let mut command = l3fwd::command();
    command.args(["--port", "synth:count=1000", "--port", "sink", "--stats-json"]).arg(&stats);
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let outcome = l3fwd::finish(child);
    assert_eq!((outcome.status, outcome.stderr.as_str()), (0, ""));
    assert!(std::fs::read_to_string(stats).unwrap().contains("\"conserved\": true"));
}

#[test]
fn a_run_that_cannot_start_leaves_earlier_results_alone() {
    let stats = ("stats.json", &b"{}"[..]);
    let bad_port = ["--stats-json", "stats.json", "--port", "pcap:rx=none.pcap"];
    refused(&[stats], &bad_port, &["none.pcap"]);
    refused(&[], &bad_port, &["none.pcap"]);
    let bad_config = ["--stats-json", "stats.json", "--config", "none.toml"];
    refused(&[stats], &bad_config, &["none.toml"]);
    refused(&[], &bad_config, &["none.toml"]);
    let output = ("out.pcap", &b"what an earlier run wrote"[..]);
    let second = ["--port", "pcap:tx=out.pcap", "--port", "pcap:rx=none.pcap"];
    refused(&[output], &second, &["none.pcap"]);
}

/// A configuration of two ports and what `rest` adds; it is refused on `line`.
fn refused_config(rest: &str, line: usize, wanted: &str) {
    let text = format!("{TWO_SINKS}{rest}");
    let place = format!("router.toml:{line}: ");
    refused(&[("router.toml", text.as_bytes())], &["--config", "router.toml"], &[&place, wanted]);
}

const TWO_SINKS: &str = "\
[[port]]
device = \"sink\"
address = [\"192.0.2.1/24\"]
[[port]]
device = \"sink\"
address = [\"198.51.100.1/24\"]
";

#[test]
fn a_mistake_in_a_configuration_is_named_with_file_and_line() {
    refused_config("[[port", 7, "unclosed");
    refused_config("speed = 9\n", 7, "speed");
    refused_config("mtu = \"big\"\n", 7, "mtu");
    refused_config("mtu = 9001\n", 7, "9001");
    refused_config("mac = \"01:00:5e:00:00:01\"\n", 7, "01:00:5e:00:00:01");
    refused_config("[[port]]\ndevice = \"sink\"\naddress = [\"192.0.2.1/24\"]\n", 9, "192.0.2.1");
    refused_config("[[port]]\ndevice = \"sink\"\naddress = [\"192.0.2.129/25\"]\n", 9, "overlaps");
    refused_config("[[port]]\ndevice = \"sink\"\nname = \"port0\"\n", 9, "port0");
    refused_config("[[port.vlan]]\nid = 5\n[[port.vlan]]\nid = 5\n", 10, "VLAN 5");
    let twice = "[[port.vlan]]\nid = 5\ninner = 7\n[[port.vlan]]\nid = 5\ninner = 7\n";
    refused_config(twice, 11, "VLAN 5.7");
    refused_config("[[port.vlan]]\nid = 4095\n", 8, "4095");
    let elsewhere = "[[port.vlan]]\nid = 5\naddress = [\"192.0.2.65/26\"]\n";
    refused_config(elsewhere, 9, "overlaps");
    refused_config("[[port]]\ndevice = \"eth0\"\n", 8, "eth0");
    refused_config("[[port]]\nname = \"wan\"\n", 7, "wan");
}

#[test]
fn a_route_that_leads_nowhere_is_named_with_file_and_line() {
    refused_config("[[route]]\nprefix = \"10.0.0.0/8\"\ndev = \"wan\"\n", 9, "wan");
    refused_config("[[route]]\nprefix = \"10.0.0.0/8\"\nvia = \"203.0.113.1\"\n", 9, "203.0.113.1");
    refused_config("[[route]]\nprefix = \"10.0.0.1/8\"\nvia = \"192.0.2.2\"\n", 8, "10.0.0.0/8");
    refused_config("[[route]]\nprefix = \"10.0.0.0/8\"\n", 7, "10.0.0.0/8");
    refused_config(
        "[[neighbor]]\naddress = \"9.9.9.9\"\nmac = \"02:00:00:00:00:09\"\n",
        8,
        "9.9.9.9",
    );
}

#[test]
fn a_bad_line_of_a_route_file_is_named_with_its_number() {
    let config = ("router.toml", TWO_SINKS.as_bytes());
    let args = ["--config", "router.toml", "--routes", "routes.txt"];
    for (line, wanted) in [
        ("10.0.0.0/8", "found \"10.0.0.0/8\""),
        ("10.0.0.0/8 via nobody", "nobody"),
        ("10.0.0.0/40 via 192.0.2.2", "10.0.0.0/40"),
        ("10.0.0.0/8 via 192.0.2.2 dev wan", "wan"),
        ("10.0.0.0/8 via 203.0.113.1", "203.0.113.1"),
        ("2001:db8::/32 via 192.0.2.2", "family"),
    ] {
        let text = format!("# two lines before\n172.16.0.0/12 via 192.0.2.2\n{line}\n");
        refused(&[config, ("routes.txt", text.as_bytes())], &args, &["routes.txt:3: ", wanted]);
    }
    let broken = [0x28, 0xb5, 0x2f, 0xfd, 1, 2, 3];
    refused(&[config, ("routes.txt", &broken)], &args, &["routes.txt"]);
}

#[cfg(not(feature = "dpdk"))]
#[test]
fn a_port_that_this_build_does_not_have_names_the_feature() {
    refused(&[], &["--port", "dpdk:net_null0"], &["--features dpdk"]);
}

#[test]
fn an_output_that_fills_up_is_a_failure_at_run_time() {
    if !Path::new("/dev/full").exists() {
        return eprintln!("skipped: no /dev/full");
    }
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("in.pcap");
    std::fs::write(&input, one_frame(1)).unwrap();
    let port = format!("pcap:rx={},tx=/dev/full", input.display());
    let outcome = run(["--port", &port]);
    assert_eq!(outcome.status, 1, "{outcome:?}");
    assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:?}");
    assert!(outcome.stderr.contains("/dev/full"), "{outcome:?}");
}

#[test]
fn help_and_version_are_answers_and_not_errors() {
    let help = run(["--help"]);
    assert_eq!((help.status, help.stderr.as_str()), (0, ""));
    for option in
        ["--config", "--port", "--routes", "--stats-json", "--seconds", "--lcores", "--trace"]
    {
        assert!(help.stdout.contains(option), "{}", help.stdout);
    }
    let version = run(["--version"]);
    assert_eq!((version.status, version.stderr.as_str()), (0, ""));
    assert_eq!(version.stdout, format!("l3fwd {}\n", env!("CARGO_PKG_VERSION")));
}

/// Waits until the run has an lcore; false when it has none for long.
fn is_running(child: &std::process::Child) -> bool {
    // Signals are handled before the lcores start, so their thread is the sign to wait for.
    let tasks = format!("/proc/{}/task", child.id());
    let deadline = Instant::now() + Duration::from_secs(60);
    while Instant::now() < deadline {
        let tasks = std::fs::read_dir(&tasks).into_iter().flatten().flatten();
        let mut names = tasks.map(|task| std::fs::read_to_string(task.path().join("comm")));
        if names.any(|name| name.is_ok_and(|name| name.starts_with("qfp-lcore"))) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

#[test]
fn an_interrupt_ends_a_run_in_order() {
    for signal in ["INT", "TERM"] {
        let start = Instant::now();
        let endless = ["--port", "synth:flows=4", "--port", "sink", "--seconds", "300"];
        let child = l3fwd::command().args(endless).spawn().unwrap();
        let running = is_running(&child);
        let kill = format!("kill -{signal} {}", child.id());
        assert!(std::process::Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        let outcome = l3fwd::finish(child);
        assert!(running && start.elapsed() < Duration::from_secs(250));
        assert_eq!((outcome.status, outcome.stderr.as_str()), (0, ""), "{}", outcome.stdout);
        assert!(outcome.stdout.contains("conserved: yes"), "{}", outcome.stdout);
        assert!(outcome.stdout.contains("port0 (synth:size=64,flows=4,seed=1)"));
    }
}

#[test]
fn a_run_ends_after_its_seconds() {
    let start = Instant::now();
    let args = ["--port", "synth", "--port", "sink", "--seconds", "0.3"];
    let outcome = run(args);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert!(start.elapsed() < Duration::from_secs(60));
    assert!(outcome.stdout.contains("conserved: yes"), "{}", outcome.stdout);
}

/// The members of `value` must be those of `wanted`, each a number of the kind asked for.
fn assert_counts(value: &Value, wanted: &[&str]) {
    let object = value.as_object().unwrap();
    for name in wanted {
        assert!(object[*name].is_u64(), "{name} of {value}");
    }
}

#[test]
fn the_statistics_have_the_promised_members_and_types() {
    let dir = tempfile::tempdir().unwrap();
    let (path, config) = (dir.path().join("stats.json"), dir.path().join("router.toml"));
    // Nobody answers for 198.51.100.2, so there are drops, punts and packets of our own as well.
    let text = format!(
        "{TWO_SINKS}[[route]]\nprefix = \"198.18.0.0/16\"\nvia = \"192.0.2.2\"\n\
         [[route]]\nprefix = \"198.19.0.0/16\"\nvia = \"198.51.100.2\"\n\
         [[neighbor]]\naddress = \"192.0.2.2\"\nmac = \"02:00:00:00:00:02\"\n"
    );
    std::fs::write(&config, text).unwrap();
    let args = [
        "--config",
        config.to_str().unwrap(),
        "--port",
        "synth:count=1000",
        "--stats-json",
        path.to_str().unwrap(),
    ];
    let outcome = run(args);
    assert_eq!((outcome.status, outcome.stderr.as_str()), (0, ""), "{outcome:?}");
    let stats: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert!(stats["elapsed_s"].as_f64().unwrap() > 0.0);
    assert!(stats["mpps"].is_f64());
    assert_eq!(stats["ports"].as_object().unwrap().len(), 2);
    for port in ["port0", "port1"] {
        let members = ["rx_packets", "rx_bytes", "tx_packets", "tx_bytes"];
        assert_counts(&stats["ports"][port], &members);
    }
    assert_eq!(stats["ports"]["port0"]["rx_packets"], 1000);
    assert_eq!(stats["ports"]["port0"]["rx_bytes"], 60_000);
    assert!(stats["drops"].is_object());
    assert!(stats["punts"]["IncompleteAdjacency"].as_u64().unwrap() > 0);
    assert!(stats["consumed"].is_u64());
    let steps = stats["steps"].as_array().unwrap();
    assert_eq!(steps[0]["name"], "if-classify");
    for step in steps {
        assert!(step["name"].is_string() && step["packets"].is_u64(), "{step}");
        assert!(step["cycles_per_packet"].is_f64(), "{step}");
    }
    assert_eq!(stats["conserved"], true);
}

#[test]
fn the_ith_port_of_the_command_line_is_port_i() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stats.json");
    let args = ["--port", "synth:count=1", "--port", "sink", "--port", "synth:count=3"];
    let stats = ["--stats-json", path.to_str().unwrap()];
    assert_eq!(run(args.into_iter().chain(stats)).status, 0);
    let stats: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let received = ["port0", "port1", "port2"].map(|port| &stats["ports"][port]["rx_packets"]);
    assert_eq!(received, [1, 0, 3]);

    // The file names its ports in another order.
    let config = dir.path().join("router.toml");
    std::fs::write(&config, "[[port]]\nname = \"port1\"\n[[port]]\nname = \"port0\"\n").unwrap();
    let config = ["--config", config.to_str().unwrap()];
    let args = ["--port", "synth:count=1", "--port", "sink"];
    let stats = ["--stats-json", path.to_str().unwrap()];
    assert_eq!(run(config.into_iter().chain(args).chain(stats)).status, 0);
    let stats: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(["port0", "port1"].map(|p| &stats["ports"][p]["rx_packets"]), [1, 0]);
}

/// What `--trace` prints of three packets, with the times left out.
const TRACE: &str = "\
packet 0 at 1.000000000 on uidb 3, 62 bytes
  in   0200 0000 0101 0200 0000 0102 0800 4500 0024 1234 0000 4011 228d 0a01 0002 cb00 7105 \
1000 0035 0010 9d80 0001 0203 0405 0607 0000 0000 0000 0000 0000 0000
  if-classify
  l3-parse
  fib4-lookup
  next-hop
  ttl
  ifib-act
  adjacency
  l2-rewrite
  mtu
  tx
  sent on uidb 4
  out  0200 0000 0202 0200 0000 0201 0800 4500 0024 1234 0000 3f11 238d 0a01 0002 cb00 7105 \
1000 0035 0010 9d80 0001 0203 0405 0607 0000 0000 0000 0000 0000 0000
packet 1 at 2.000000000 on uidb 3, 62 bytes
  if-classify
  l3-parse
  dropped: Ipv4BadChecksum
packet 2 at 3.000000000 on uidb 3, 62 bytes
  if-classify
  l3-parse
  fib4-lookup
  next-hop
  ttl
  punted: IpTtlExceeded
";

#[test]
fn a_trace_is_the_walk_in_the_order_of_operations() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("router.toml");
    let text = "[[port]]\nmac = \"02:00:00:00:01:01\"\naddress = [\"10.1.0.1/24\"]\n\
                [[port]]\ndevice = \"sink\"\nmac = \"02:00:00:00:02:01\"\n\
                address = [\"10.2.0.1/24\"]\n[[neighbor]]\naddress = \"10.2.0.2\"\n\
                mac = \"02:00:00:00:02:02\"\n[[route]]\nprefix = \"203.0.113.0/24\"\n\
                via = \"10.2.0.2\"\n";
    std::fs::write(&config, text).unwrap();
    let mut good = vec![2, 0, 0, 0, 1, 1, 2, 0, 0, 0, 1, 2, 8, 0];
    good.extend([0x45, 0, 0, 0x24, 0x12, 0x34, 0, 0, 0x40, 0x11, 0x22, 0x8d, 10, 1, 0, 2]);
    good.extend([203, 0, 113, 5, 0x10, 0, 0, 0x35, 0, 0x10, 0x9d, 0x80, 0, 1, 2, 3, 4, 5, 6, 7]);
    good.extend([0; 12]);
    // The TTL changed alone, and with the checksum.
    let mut bad = good.clone();
    bad[22] = 1;
    let mut expired = bad.clone();
    expired[24] = 0x61;
    let input = dir.path().join("in.pcap");
    let packets = (1..).map(|n| n * 1_000_000_000).zip([good, bad, expired]);
    capture::write(&input, &packets.collect::<Vec<_>>());
    let port = format!("pcap:rx={}", input.display());
    let outcome = run(["--config", config.to_str().unwrap(), "--port", &port, "--trace", "3"]);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    let trace = outcome.stdout.lines().take_while(|line| !line.starts_with(" port"));
    let mut found = String::new();
    let mut last = "";
    for line in trace {
        if line.starts_with("packet ") {
            last = line;
        }
        // The frames of the first packet are enough.
        let frame = line.starts_with("  in ") || line.starts_with("  out ");
        if !frame || last.starts_with("packet 0") {
            let row = line.split("  ").find(|word| !word.is_empty()).unwrap();
            let row = if line.contains(" ns for ") {
                format!("  {}", row.trim())
            } else {
                line.to_owned()
            };
            found += &format!("{row}\n");
        }
    }
    assert_eq!(found, TRACE);
}
