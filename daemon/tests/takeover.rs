//! The client dies at any moment, and the data plane forwards on until the next one takes it over:
//! between two network namespaces, with a TAP device in each, while packets flow.
//!
//! Needs root and the usual network programs; skipped aloud without them. `QFP_TAKEOVERS` is how often
//! the client is killed.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a rig that cannot be built is a failed test"
)]

#[path = "../../tests/support/namespaces.rs"]
mod namespaces;
mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use api::{Call, Process, Reply};
use namespaces::{Namespace, has_programs};
use rustix::process::Signal;
use support::{Daemon, stream::Stream, ucode_program};

/// A router between two namespaces.
struct Rig {
    daemon: Daemon,
    west: Namespace,
    east: Namespace,
}

/// The configuration; `n` is in the list that is in it.
fn config(west: &str, east: &str) -> String {
    format!(
        "[[port]]\nname = \"west\"\ndevice = \"tap:west@{west}\"\naddress = [\"10.1.0.1/24\"]\n\
         acl_in = \"FILTER\"\nservice_policy_in = \"GATE\"\n\
         [[port]]\nname = \"east\"\ndevice = \"tap:east@{east}\"\naddress = [\"10.2.0.1/24\"]\n\
         [[acl]]\nfile = \"filter.txt\"\n[qos]\nfile = \"policy.txt\"\n"
    )
}

impl Rig {
    fn start() -> Option<Self> {
        if !has_programs(&["ip", "ping"]) {
            return None;
        }
        let (west, east) = Namespace::new("west").zip(Namespace::new("east"))?;
        let program = ucode_program();
        let options = [("--ucode", program.to_str().unwrap()), ("--alone", "30")];
        let text = config(&west.name, &east.name);
        let prepare = |dir: &Path| {
            std::fs::write(dir.join("a.toml"), text).unwrap();
            std::fs::write(dir.join("policy.txt"), POLICY).unwrap();
        };
        let daemon = Daemon::start_with(&options, prepare);
        for (namespace, device, own, router) in
            [(&west, "west", "10.1.0.2", "10.1.0.1"), (&east, "east", "10.2.0.2", "10.2.0.1")]
        {
            namespace.must(&format!("ip addr add {own}/24 dev {device}"));
            namespace.must(&format!("ip link set {device} up"));
            namespace.must(&format!("ip route add default via {router}"));
        }
        west.must("ping -c 3 -i 0.2 -W 5 10.2.0.2");
        Some(Self { daemon, west, east })
    }

    fn stream(&self) -> Stream {
        Stream::start((&self.west.name, "10.1.0.2"), (&self.east.name, "10.2.0.2"))
    }

    /// The data plane's process.
    fn ucode(&self) -> Process {
        let Reply::Processes(all) = self.daemon.call(Call::Processes).unwrap() else { panic!() };
        all.into_iter().find(|one| one.name == "qfp-ucode").unwrap()
    }

    /// Counts that must never go back.
    fn counts(&self) -> Vec<u64> {
        let Reply::Statistics(text) = self.daemon.call(Call::Statistics { json: true }).unwrap()
        else {
            panic!()
        };
        let all: serde_json::Value = serde_json::from_str(&text).unwrap();
        let mut counts = Vec::new();
        numbers(&all, &mut Vec::new(), &mut counts);
        counts
    }
}

/// Numbers that only grow.
fn numbers(value: &serde_json::Value, path: &mut Vec<String>, counts: &mut Vec<u64>) {
    match value {
        serde_json::Value::Object(all) => {
            for (key, value) in all {
                path.push(key.clone());
                numbers(value, path, counts);
                path.pop();
            }
        }
        serde_json::Value::Array(all) => all.iter().for_each(|one| numbers(one, path, counts)),
        serde_json::Value::Number(number) if path.iter().any(|key| key == "packets") => {
            counts.extend(number.as_u64());
        }
        _ => {}
    }
}

/// A policer that nothing exceeds.
const POLICY: &str = "policy-map GATE\n class class-default\n  police cir 100000000\n";

fn takeovers() -> u32 {
    std::env::var("QFP_TAKEOVERS").map_or(10, |count| count.parse().unwrap())
}

/// Whether a process has ended, if nobody has waited for it either.
fn has_ended(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.map_or(true, |stat| stat.rsplit(')').next().unwrap().trim().starts_with('Z'))
}

/// Descriptors and kilobytes of a process.
fn holds(pid: u32) -> (usize, u64) {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
    (open, size.trim().trim_end_matches(" kB").parse().unwrap())
}

#[test]
fn a_client_that_is_killed_loses_no_packet_and_the_next_one_goes_on() {
    let Some(mut rig) = Rig::start() else { return };
    let ucode = rig.ucode();
    let stream = rig.stream();
    let config = rig.daemon.config();
    let mut before = rig.counts();
    let mut held = None;
    for kill in 0..takeovers() {
        std::thread::sleep(Duration::from_millis(u64::from(kill) * 37 % 200));
        rig.daemon.signal(Signal::KILL);
        rig.daemon.ended();
        let start = Instant::now();
        rig.daemon.again(None);
        eprintln!("taken over in {} ms", start.elapsed().as_millis());
        assert_eq!((rig.ucode().pid, rig.ucode().restarts), (ucode.pid, 0), "{kill}");
        assert_eq!(rig.daemon.config(), config, "{kill}");
        let now = rig.counts();
        assert_eq!(now.len(), before.len());
        assert!(now.iter().zip(&before).all(|(now, before)| now >= before), "{before:?} {now:?}");
        before = now;
        let now = holds(ucode.pid);
        if kill == 1 {
            held = Some(now);
        }
        let most = held.map_or(now, |(open, size)| (open, size + 4096));
        assert!(now.0 <= most.0 && now.1 <= most.1, "{kill}: {now:?}, {held:?}");
    }
    let arrived = stream.finish();
    eprintln!("{arrived:?}");
    assert_eq!(arrived.lost, 0, "{arrived:?}");
    rig.west.must("ping -c 3 -i 0.2 -W 5 10.2.0.2");
    rig.daemon.signal(Signal::TERM);
    assert!(rig.daemon.ended().success(), "{}", rig.daemon.log());
    assert!(has_ended(ucode.pid), "it ends with its client");
}
