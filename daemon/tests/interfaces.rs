//! Interfaces of the kernel's become ports: at the start, and while the router runs; and the start is
//! done in stages.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use api::{Call, MappedInterface, Reply};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use support::{Daemon, run};

/// A network namespace that this thread, and what it starts, is in.
struct Own(String);

impl Own {
    fn enter() -> Option<Self> {
        let name = format!("qfp-gethd-{}-{:?}", std::process::id(), std::thread::current().id());
        let name = name.replace(['(', ')'], "");
        let made = Command::new("ip").args(["netns", "add", &name]).stderr(Stdio::null()).status();
        if !made.is_ok_and(|made| made.success()) {
            eprintln!("skipped: no network namespace");
            return None;
        }
        let own = Self(name);
        let place = std::fs::File::open(format!("/run/netns/{}", own.0)).unwrap();
        move_into_link_name_space(place.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        Some(own)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        drop(Command::new("ip").args(["netns", "del", &self.0]).status());
    }
}

fn ip(line: &str) {
    let (status, _, error) = run(Command::new("ip").args(line.split_whitespace()));
    assert_eq!(status, 0, "ip {line}: {error}");
}

/// A cable from `near` to `far`, both ends up.
fn cable(near: &str, far: &str) {
    ip(&format!("link add {near} type veth peer name {far}"));
    ip(&format!("link set {near} up"));
    ip(&format!("link set {far} up"));
}

const DISCOVER: &str = "[discover]\ninterfaces = [\"wan*\"]\nname = \"Gi{}\"\n";

fn start(config: &str) -> Daemon {
    Daemon::start_with(&[], |dir| std::fs::write(dir.join("a.toml"), config).unwrap())
}

fn mapping(daemon: &Daemon) -> Vec<MappedInterface> {
    match daemon.call(Call::InterfaceMapping).unwrap() {
        Reply::InterfaceMapping(all) => all,
        other => panic!("{other:?}"),
    }
}

fn names(daemon: &Daemon) -> Vec<String> {
    match daemon.call(Call::Interfaces).unwrap() {
        Reply::Interfaces(all) => all.into_iter().map(|one| one.name).collect(),
        other => panic!("{other:?}"),
    }
}

fn statistics(daemon: &Daemon, port: &str) -> serde_json::Value {
    let (_, text, _) = daemon.ctl("--json show statistics");
    let all: serde_json::Value = serde_json::from_str(&text).unwrap();
    all["ports"][port].clone()
}

fn wait_until(daemon: &Daemon, what: &str, mut is_so: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}: {}", daemon.log());
        std::thread::sleep(Duration::from_millis(10));
    }
    start.elapsed()
}

/// Received packets, as the kernel has them.
fn received(name: &str) -> u64 {
    let all = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    let line = all.lines().find(|line| line.trim_start().starts_with(&format!("{name}:"))).unwrap();
    line.split_once(':').unwrap().1.split_whitespace().nth(1).unwrap().parse().unwrap()
}

// rows: PLT-01, PLT-02, PLT-03
#[test]
fn every_interface_becomes_the_same_port_at_every_start() {
    let Some(_own) = Own::enter() else { return };
    (0..64).for_each(|n| cable(&format!("wan{n}"), &format!("far{n}")));
    cable("wan64", "far64");
    ip("link set wan64 mtu 1400");
    let mut daemon = start(DISCOVER);
    let first = mapping(&daemon);
    assert_eq!(first.len(), 65);
    let pair = |one: &MappedInterface| (one.port.clone(), one.kernel.clone());
    for (n, one) in first.iter().enumerate() {
        assert_eq!(pair(one), (format!("Gi{}", n + 1), format!("wan{n}")), "wan10 is behind wan9");
    }
    assert_eq!((first[0].mtu, first[64].mtu), (Some(1500), Some(1400)));
    assert_eq!(names(&daemon).len(), 65);
    let (_, table, _) = daemon.ctl("show interface-mapping");
    assert!(table.contains("Gi65") && table.contains("wan64"), "{table}");
    for _ in 0..2 {
        daemon.signal(rustix::process::Signal::TERM);
        daemon.ended();
        daemon.again(None);
        assert_eq!(mapping(&daemon), first);
    }
}

// rows: PLT-03, PLT-04
#[test]
fn without_interfaces_the_start_says_so_and_with_one_it_forwards_what_the_kernel_counts() {
    let Some(_own) = Own::enter() else { return };
    cable("wan0", "far0");
    let config = format!("{DISCOVER}[[port]]\nname = \"Gi1\"\naddress = [\"192.0.2.1/24\"]\n");
    let daemon = start(&config);
    assert_eq!(names(&daemon), ["Gi1"]);
    ip("addr add 192.0.2.2/24 dev far0");
    let before = (received("wan0"), statistics(&daemon, "Gi1")["rx_packets"].as_u64().unwrap());
    let ping = run(Command::new("ping").args(["-c", "5", "-i", "0.2", "-W", "5", "192.0.2.1"]));
    assert_eq!(ping.0, 0, "{}", ping.1);
    wait_until(&daemon, "counts are equal", || {
        let now = statistics(&daemon, "Gi1")["rx_packets"].as_u64().unwrap();
        now - before.1 >= 5 && received("wan0") - before.0 == now - before.1
    });
}

// rows: PLT-04
#[test]
fn interfaces_that_come_and_go_become_ports_and_are_none_any_more() {
    let Some(_own) = Own::enter() else { return };
    cable("wan0", "far0");
    let daemon = start(&format!("{DISCOVER}[[port]]\nname = \"Gi2\"\ndevice = \"sink\"\n"));
    assert_eq!(names(&daemon), ["Gi2", "Gi1"]);
    cable("wan1", "far1");
    cable("wan2", "far2");
    // The second number has a port with a device of its own.
    let now = ["Gi1", "Gi2", "Gi3"].map(str::to_owned);
    let sorted = || {
        let mut names = names(&daemon);
        names.sort_unstable();
        names
    };
    let took = wait_until(&daemon, "new ports", || sorted() == now);
    eprintln!("a port after {took:?}");
    wait_until(&daemon, "its link", || statistics(&daemon, "Gi3")["link"] == "up");
    ip("link del wan2");
    wait_until(&daemon, "a port less", || sorted() == now[..2]);
    assert_eq!(mapping(&daemon)[2].state, "absent");
    // It has its number back.
    cable("wan2", "far2");
    wait_until(&daemon, "the port again", || sorted() == now);
    let Reply::History(history) = daemon.call(Call::History).unwrap() else { panic!("none") };
    assert_eq!(history.len(), 1, "the operator has said nothing new");
}

#[test]
fn changes_of_interfaces_are_seen_while_it_runs() {
    let Some(_own) = Own::enter() else { return };
    cable("wan0", "far0");
    let daemon = start(DISCOVER);
    assert_eq!(mapping(&daemon).len(), 1);
    ip("link set wan0 mtu 1400");
    wait_until(&daemon, "its MTU is seen", || mapping(&daemon)[0].mtu == Some(1400));
    ip("link set far0 down");
    wait_until(&daemon, "its link is seen", || mapping(&daemon)[0].state == "down");
    wait_until(&daemon, "and the port's", || statistics(&daemon, "Gi1")["link"] == "down");
    ip("link set far0 up");
    wait_until(&daemon, "it is up", || statistics(&daemon, "Gi1")["link"] == "up");
    let log = daemon.log();
    assert!(!log.contains("the router has not"), "{log}");
    assert!(log.contains("interface wan0: MTU 1400"), "{log}");
    assert!(log.contains("interface wan0: down") && log.contains("interface wan0: up"), "{log}");
}

// rows: PLT-05
#[test]
fn the_start_is_done_in_order_and_a_stage_that_fails_is_the_last() {
    let Some(_own) = Own::enter() else { return };
    cable("wan0", "far0");
    const STAGES: [&str; 13] = [
        "run-dir",
        "store",
        "gethd",
        "configuration",
        "routes",
        "inventory",
        "interfaces",
        "driver",
        "client",
        "ucode",
        "ports",
        "first-version",
        "api",
    ];
    let stages = |log: &str| -> Vec<String> {
        let done = log.lines().filter_map(|line| {
            let (stage, rest) = line.strip_prefix("qfp-client: ")?.split_once(": ")?;
            rest.starts_with("done in ").then(|| stage.to_owned())
        });
        done.collect()
    };
    let daemon = start(DISCOVER);
    // It listens before it says so.
    wait_until(&daemon, "the last stage", || stages(&daemon.log()).len() == STAGES.len());
    assert_eq!(stages(&daemon.log()), STAGES);
    let Reply::Boot(boot) = daemon.call(Call::Boot).unwrap() else { panic!("no stages") };
    assert!(boot.iter().map(|one| one.stage.as_str()).eq(STAGES));
    assert!(boot.is_sorted_by_key(|one| one.began_ms));
    assert!(boot.is_sorted_by(|one, next| one.began_ms + one.took_ms <= next.began_ms));
    drop(daemon);

    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_qfp-client"));
    command.args(["--config", "a.toml", "--run-dir", "run"]).current_dir(dir.path());
    let config = format!("{DISCOVER}[[port]]\ndevice = \"packet:none0\"\n");
    std::fs::write(dir.path().join("a.toml"), config).unwrap();
    let (status, _, error) = run(&mut command);
    assert_eq!((status, stages(&error).as_slice()), (2, &STAGES.map(str::to_owned)[..7]));
    let last: Vec<&str> = error.lines().rev().take(2).collect();
    assert!(last[1].starts_with("qfp-client: driver: failed after "), "{error}");
    assert!(last[0].contains("packet:none0: there is no such interface"), "{error}");
}
