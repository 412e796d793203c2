//! What a router lives through, and how it ends where it cannot: nobody reads what it says, disks
//! and memory run out, ports vanish.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/l3fwd.rs"]
mod l3fwd;

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use l3fwd::Outcome;
use serde_json::Value;

/// A LAN whose packets belong into a tunnel that has no SA.
const TUNNEL_WITHOUT_SA: &str = r#"
[[port]]
device = "synth:dst=destinations,src=10.1.0.0/24"
name = "lan"
address = ["10.1.0.1/16"]
[[port]]
device = "sink"
name = "wan"
address = ["203.0.113.1/24"]
[[tunnel]]
name = "t"
address = ["10.255.0.1/30"]
[[route]]
prefix = "10.2.0.0/16"
dev = "t"
"#;

fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
}

/// Runs `l3fwd` in `dir` below a shell that has done `before` it.
fn after(before: &str, dir: &Path, args: &str) -> Outcome {
    let script = format!("{before}; exec \"$0\" {args}");
    let program = l3fwd::command().get_program().to_owned();
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).arg(program).current_dir(dir);
    let output = command.output().unwrap();
    Outcome {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn statistics(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn nobody_has_to_read_what_hangups_are_answered_with() {
    let dir = tempfile::tempdir().unwrap();
    let stats = dir.path().join("stats.json");
    let mut command = l3fwd::command();
    command.args(["--port", "synth", "--port", "sink", "--stats-json"]).arg(&stats);
    let mut child = command.spawn().unwrap();
    drop(child.stderr.take());
    assert!(l3fwd::is_running(&child));
    for _ in 0..3 {
        signal(&child, "-HUP");
        std::thread::sleep(Duration::from_millis(400));
        assert!(child.try_wait().unwrap().is_none());
    }
    signal(&child, "-TERM");
    let outcome = l3fwd::finish(child);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert!(outcome.stdout.contains("conserved: yes"), "{}", outcome.stdout);
    let lost = statistics(&stats)["log"]["lost"].as_u64().unwrap();
    assert!((1..=3).contains(&lost), "{lost}");
    let line = format!("messages: {lost} could not be written, 0 held back");
    assert!(outcome.stdout.contains(&line), "{}", outcome.stdout);
}

#[test]
fn a_packet_into_a_tunnel_without_sa_ends_no_router_whose_messages_nobody_reads() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("router.toml"), TUNNEL_WITHOUT_SA).unwrap();
    std::fs::write(dir.path().join("destinations"), "10.2.0.0/16\n").unwrap();
    let mut command = l3fwd::command();
    command.args(["--config", "router.toml", "--stats-json", "stats.json"]);
    let mut child = command.args(["--seconds", "3"]).current_dir(&dir).spawn().unwrap();
    drop(child.stderr.take());
    let outcome = l3fwd::finish(child);
    assert_eq!(outcome.status, 0, "{outcome:?}");
    let stats = statistics(&dir.path().join("stats.json"));
    assert!(stats["log"]["lost"].as_u64().unwrap() > 0, "{}", stats["log"]);
}

#[test]
fn a_mistake_has_its_status_where_it_cannot_be_told() {
    if !Path::new("/dev/full").exists() {
        return eprintln!("skipped: no /dev/full");
    }
    for (args, status) in [("--config nope.toml", 2), ("--frobnicate", 2)] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let child = l3fwd::command().args(args.split(' ')).stderr(full).spawn().unwrap();
        assert_eq!(l3fwd::finish(child).status, status, "{args}");
    }
}

#[test]
fn statistics_that_have_no_room_leave_the_earlier_ones_whole() {
    let dir = tempfile::tempdir().unwrap();
    let stats = dir.path().join("stats.json");
    std::fs::write(&stats, "{\"of\": \"yesterday\"}").unwrap();
    let mut command = l3fwd::command();
    command.args(["--port", "synth", "--port", "sink", "--stats-json", "stats.json"]);
    let child = command.current_dir(&dir).spawn().unwrap();
    assert!(l3fwd::is_running(&child));
    // A file may not grow at all; the signal that says so must not end the program either.
    let pid = child.id().to_string();
    let limit = Command::new("prlimit").args(["--fsize=0", "--pid", &pid]).status();
    let limited = limit.is_ok_and(|status| status.success());
    signal(&child, "-TERM");
    let outcome = l3fwd::finish(child);
    if !limited {
        return eprintln!("skipped: prlimit does not limit files");
    }
    assert_eq!((outcome.status, outcome.stderr.lines().count()), (1, 1), "{outcome:?}");
    assert!(outcome.stderr.starts_with("l3fwd: stats.json: cannot be written: "), "{outcome:?}");
    assert_eq!(std::fs::read_to_string(&stats).unwrap(), "{\"of\": \"yesterday\"}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_limit_of_files_is_a_message_and_not_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let outcome = after("ulimit -f 0", dir.path(), "--port synth:count=10 --port sink");
    assert_eq!((outcome.status, outcome.stderr.lines().count()), (1, 1), "{outcome:?}");
}

#[test]
fn a_start_without_memory_is_one_line_that_says_for_what() {
    let dir = tempfile::tempdir().unwrap();
    let run = "--port synth:count=10,flows=4194304 --port sink";
    let mut said = String::new();
    // From what the program itself takes to where the router starts.
    for megabytes in (30..1100).step_by(40) {
        let outcome = after(&format!("ulimit -v {}", megabytes << 10), dir.path(), run);
        if outcome.status == 0 {
            break;
        }
        assert_eq!((outcome.status, outcome.stderr.lines().count()), (1, 1), "{outcome:?}");
        said += &outcome.stderr;
    }
    for wanted in ["packet buffers", "flows of synth:", "the tables"] {
        assert!(said.contains(wanted), "no {wanted:?} in {said}");
    }
}

#[test]
fn vrfs_that_no_memory_holds_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = "[[port]]\ndevice = \"sink\"\n".to_owned();
    for id in 1..=4094 {
        config +=
            &format!("[[port.vlan]]\nid = {id}\nvrf = \"v{id}\"\naddress = [\"10.0.0.1/24\"]\n");
    }
    std::fs::write(dir.path().join("vrfs.toml"), config).unwrap();
    let outcome = after("ulimit -v 2000000", dir.path(), "--config vrfs.toml");
    assert_eq!((outcome.status, outcome.stderr.lines().count()), (1, 1), "{outcome:?}");
    assert!(outcome.stderr.contains("4094 VRFs"), "{outcome:?}");
}

#[cfg(feature = "dpdk")]
#[test]
fn a_second_process_with_the_same_file_prefix_is_told_who_has_it() {
    let prefix = format!("--file-prefix=qfp-{}", std::process::id());
    let args = ["--port", "dpdk:net_null0,size=60", "--port", "sink", "--seconds", "60", "--"];
    let eal = ["--no-huge", "--no-pci", "-m", "128", &prefix];
    let start = || l3fwd::command().args(args).args(eal).spawn().unwrap();
    let first = start();
    if !l3fwd::is_running(&first) {
        return eprintln!("skipped: DPDK does not start: {}", l3fwd::finish(first).stderr);
    }
    let second = l3fwd::finish(start());
    assert_eq!(second.status, 1, "{second:?}");
    let last = second.stderr.lines().last().unwrap();
    let wanted = format!("process {} uses the file prefix \"qfp-", first.id());
    assert!(last.starts_with("l3fwd: DPDK does not start: ") && last.contains(&wanted), "{last}");
    signal(&first, "-TERM");
    assert_eq!(l3fwd::finish(first).status, 0);
}

#[test]
fn what_was_forwarded_is_reported_though_a_port_cannot_be_completed() {
    if !Path::new("/dev/full").exists() {
        return eprintln!("skipped: no /dev/full");
    }
    let dir = tempfile::tempdir().unwrap();
    let stats = dir.path().join("stats.json");
    let mut command = l3fwd::command();
    command.args(["--port", "synth:count=100", "--port", "pcap:tx=/dev/full", "--stats-json"]);
    let outcome = l3fwd::finish(command.arg(&stats).spawn().unwrap());
    assert_eq!((outcome.status, outcome.stderr.lines().count()), (1, 1), "{outcome:?}");
    assert!(outcome.stderr.starts_with("l3fwd: /dev/full: "), "{outcome:?}");
    assert!(outcome.stdout.contains("conserved: yes"), "{}", outcome.stdout);
    assert_eq!(statistics(&stats)["ports"]["port0"]["rx_packets"], 100);
}
