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
            // Lcores may have to wait for their turn.
            namespace.must(&format!("ip link set {device} txqueuelen 10000 up"));
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

/// Descriptors, threads, and mappings of memory that is shared with clients, of a process.
fn holds(pid: u32) -> [usize; 3] {
    let count = |what: &str| std::fs::read_dir(format!("/proc/{pid}/{what}")).unwrap().count();
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let shared = maps.lines().filter(|line| line.contains("/memfd:qfp-")).count();
    [count("fd"), count("task"), shared]
}

/// Waits until a process holds nothing more than it did, once threads of the last client have ended.
fn wait_until_it_holds(pid: u32, most: [usize; 3]) {
    let start = Instant::now();
    while holds(pid).iter().zip(most).any(|(now, most)| *now > most) {
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}, {most:?}", holds(pid));
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// In the middle of commits, and of takeovers; both processes in turn.
#[cfg(feature = "crash-points")]
#[test]
fn wherever_a_client_ends_lcores_have_whole_tables_and_the_next_one_what_was_confirmed() {
    const COMMITS: [(&str, bool); 6] = [
        ("saved", false),
        ("named", false),
        ("applied", false),
        ("running-written", false),
        ("running-renamed", true),
        ("confirmed", true),
    ];
    const TAKEOVERS: [&str; 5] = ["found", "named", "committed", "switching", "switched"];
    let Some(mut rig) = Rig::start() else { return };
    let (mut confirmed, mut pid) = (rig.daemon.config(), rig.ucode().pid);
    let mut stream = rig.stream();
    let (mut held, mut sent) = (None, 0);
    for (n, takeover) in (0..takeovers()).zip(TAKEOVERS.iter().cycle()) {
        rig.daemon.signal(Signal::KILL);
        rig.daemon.ended();
        rig.daemon.crash_at(takeover);
        let (commit, is_new) = COMMITS[n as usize % COMMITS.len()];
        // What it takes over has all names: this point is for a name that is new.
        let is_named = commit == "named";
        rig.daemon.again(Some(commit).filter(|_| !is_named));
        assert_eq!(rig.daemon.config(), confirmed, "{n}: {takeover}");
        assert_eq!(rig.ucode().pid, pid, "{n}: {takeover}");
        // A rule and an address more: numbers that the last client did not have.
        let filter = format!(
            "ip access-list extended FILTER\n permit udp any any eq {}\n permit ip any any\n",
            1000 + n
        );
        std::fs::write(rig.daemon.dir.path().join("filter.txt"), filter).unwrap();
        let text = config(&rig.west.name, &rig.east.name);
        let text = text.replace("\"10.2.0.1/24\"", &format!("\"10.2.0.1/24\", \"10.9.{n}.1/24\""));
        let path = rig.daemon.dir.path().join("next.toml");
        std::fs::write(&path, text).unwrap();
        let (_, new) = api::Candidate::read(&path).unwrap();
        let done = rig.daemon.commit(&path, None);
        if is_named {
            done.unwrap();
            rig.daemon.signal(Signal::KILL);
        } else {
            assert!(done.is_err(), "{n}: {commit} was not reached");
        }
        rig.daemon.ended();
        if is_new || is_named {
            confirmed = new.to_string();
        }
        rig.daemon.again(None);
        assert_eq!(rig.daemon.config(), confirmed, "{n}: {commit}");
        assert_eq!((rig.ucode().pid, rig.ucode().restarts), (pid, 0), "{n}: {commit}");
        wait_until_it_holds(pid, *held.get_or_insert_with(|| holds(pid)));
        if n % 5 == 4 {
            // The other one, too.
            let arrived = stream.finish();
            assert_eq!(arrived.lost, 0, "{n}: {arrived:?}");
            sent += arrived.sent;
            let raw = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
            rustix::process::kill_process(raw, Signal::KILL).unwrap();
            let start = Instant::now();
            while rig.ucode().restarts == 0 || rig.ucode().state != "running" {
                assert!(start.elapsed() < Duration::from_secs(60), "{:?}", rig.ucode());
                std::thread::sleep(Duration::from_millis(5));
            }
            (pid, held) = (rig.ucode().pid, None);
            rig.west.must("ping -c 1 -W 5 10.2.0.2");
            rig.daemon.signal(Signal::KILL);
            rig.daemon.ended();
            rig.daemon.again(None);
            stream = rig.stream();
        }
    }
    let arrived = stream.finish();
    assert_eq!(arrived.lost, 0, "{arrived:?}");
    eprintln!("{} packets, none lost", sent + arrived.sent);
}

#[test]
fn both_processes_are_upgraded_while_packets_flow() {
    let Some(mut rig) = Rig::start() else { return };
    let before = rig.ucode();
    let stream = rig.stream();
    for upgrade in 1..=3 {
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(rig.daemon.ctl("upgrade client"), (0, String::new(), String::new()));
        assert_eq!(rig.ucode().pid, before.pid, "{upgrade}");
    }
    let arrived = stream.finish();
    eprintln!("client: {arrived:?}");
    assert_eq!(arrived.lost, 0, "{arrived:?}");
    let stream = rig.stream();
    let mut pid = before.pid;
    for upgrade in 1..=3 {
        std::thread::sleep(Duration::from_millis(200));
        let counts = rig.counts();
        assert_eq!(rig.daemon.ctl("upgrade ucode"), (0, String::new(), String::new()));
        let now = rig.ucode();
        assert!(now.pid != pid && now.restarts == upgrade, "{now:?}");
        assert!(now.last_exit.unwrap().contains("upgraded"));
        assert!(rig.counts().iter().zip(&counts).all(|(now, before)| now >= before));
        pid = now.pid;
    }
    let arrived = stream.finish();
    eprintln!("ucode: {arrived:?}");
    assert_eq!(arrived.lost, 0, "{arrived:?}");
    let pending = rig.daemon.dir.path().join("a.toml");
    rig.daemon.commit(&pending, Some(600)).unwrap();
    let (status, _, line) = rig.daemon.ctl("upgrade client");
    assert!(status == 1 && line.contains("waits for its confirmation"), "{line}");
    rig.daemon.signal(Signal::TERM);
    assert!(rig.daemon.ended().success(), "{}", rig.daemon.log());
    assert!(has_ended(pid));
}

#[test]
fn a_client_that_is_killed_loses_no_packet_and_the_next_one_goes_on() {
    let Some(mut rig) = Rig::start() else { return };
    let ucode = rig.ucode();
    let stream = rig.stream();
    let config = rig.daemon.config();
    let done = (0, String::new(), String::new());
    assert_eq!(rig.daemon.ctl("route add 10.77.0.0/16 via 10.2.0.2"), done);
    assert_eq!(rig.daemon.ctl("route add 10.78.0.0/16 via 10.2.0.2"), done);
    assert_eq!(rig.daemon.ctl("route del 10.78.0.0/16 via 10.2.0.2"), done);
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
        let (_, routes, _) = rig.daemon.ctl("show routes");
        assert!(routes.contains("10.77.0.0/16") && !routes.contains("10.78."), "{kill}: {routes}");
        let now = rig.counts();
        assert_eq!(now.len(), before.len());
        assert!(now.iter().zip(&before).all(|(now, before)| now >= before), "{before:?} {now:?}");
        before = now;
        wait_until_it_holds(ucode.pid, *held.get_or_insert_with(|| holds(ucode.pid)));
    }
    let arrived = stream.finish();
    eprintln!("{arrived:?}");
    assert_eq!(arrived.lost, 0, "{arrived:?}");
    rig.west.must("ping -c 3 -i 0.2 -W 5 10.2.0.2");
    rig.daemon.signal(Signal::TERM);
    assert!(rig.daemon.ended().success(), "{}", rig.daemon.log());
    assert!(has_ended(ucode.pid), "it ends with its client");
}
