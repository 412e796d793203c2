//! A data plane in a process of its own dies, and another one takes its place: between two network
//! namespaces, with a TAP device in each, while packets flow.
//!
//! Needs root and the usual network programs; skipped aloud without them. `QFP_KILLS` is how often it
//! is killed.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use qfp::client::config::Config;
use qfp::{Forwarder, Running, StartError};

use namespaces::{Namespace, has_programs};
use stream::{Stream, kill_again_and_again};

#[path = "support/namespaces.rs"]
mod namespaces;
#[path = "support/stream.rs"]
mod stream;

/// One after the other: descriptors are counted.
static TURN: Mutex<()> = Mutex::new(());

fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_qfp-ucode"))
}

fn config(west: &str, east: &str) -> Config {
    let text = format!(
        "[[port]]\ndevice = \"tap:west@{west}\"\naddress = [\"10.1.0.1/24\"]\n\
         [[port]]\ndevice = \"tap:east@{east}\"\naddress = [\"10.2.0.1/24\"]\n"
    );
    Config::parse(&text, "test").unwrap()
}

/// The hosts' ends of the devices, which are there once the router is.
fn host(namespace: &Namespace, device: &str, own: &str, router: &str) {
    namespace.must(&format!("ip addr add {own}/24 dev {device}"));
    namespace.must(&format!("ip link set {device} up"));
    namespace.must(&format!("ip route add default via {router}"));
}

fn wait_for(running: &Running, what: impl Fn(&Running) -> bool) {
    let start = Instant::now();
    while !what(running) {
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", running.ucode());
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

// rows: ARC-01, ARC-14, ARC-16
#[test]
fn a_data_plane_that_is_killed_is_replaced_while_packets_flow() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    if !has_programs(&["ip", "ping", "kill"]) {
        return;
    }
    let Some((west, east)) = Namespace::new("west").zip(Namespace::new("east")) else { return };
    let kills = std::env::var("QFP_KILLS").map_or(10, |kills| kills.parse::<u32>().unwrap());
    let running = Forwarder::new(config(&west.name, &east.name)).apart(program()).start().unwrap();
    host(&west, "west", "10.1.0.2", "10.1.0.1");
    host(&east, "east", "10.2.0.2", "10.2.0.1");
    west.must("ping -c 3 -i 0.2 -W 5 10.2.0.2");

    let stream = Stream::start(&west, &east, "10.2.0.2");
    // Those of the stream are among them.
    std::thread::sleep(Duration::from_millis(300));
    let open = descriptors();
    let times = (Duration::from_millis(1300), Duration::from_secs(20));
    let before = kill_again_and_again(&running, kills, times);
    let ucode = running.ucode().unwrap();
    assert!(ucode.last_exit.unwrap().contains("signal: 9"));
    assert_eq!(descriptors(), open, "descriptors were left behind");
    std::thread::sleep(Duration::from_millis(500));
    let longest = stream.finish(kills as usize);
    assert!(longest < 2_000.0, "{longest}");
    west.must("ping -c 3 -i 0.2 -W 5 10.2.0.2");

    let report = running.stop().unwrap();
    assert_eq!(report.conserved, Some(true), "{report:?}");
    assert_eq!(report.generation, before.generation, "nothing was committed again");
    eprintln!("drops: {:?}", report.drops);
}

// rows: ARC-16, ARC-24
#[test]
fn a_data_plane_that_stands_still_is_replaced_and_one_that_sleeps_is_not() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    if !has_programs(&["ip", "kill"]) {
        return;
    }
    let Some((west, east)) = Namespace::new("west").zip(Namespace::new("east")) else { return };
    let running = Forwarder::new(config(&west.name, &east.name)).apart(program()).start().unwrap();
    std::thread::sleep(Duration::from_secs(5));
    let ucode = running.ucode().unwrap();
    assert_eq!((ucode.restarts, ucode.last_exit), (0, None));
    let pid = ucode.pid.unwrap().to_string();
    assert!(Command::new("kill").args(["-STOP", &pid]).status().unwrap().success());
    wait_for(&running, |running| running.ucode().unwrap().restarts == 1);
    let exit = running.ucode().unwrap().last_exit.unwrap();
    assert!(exit.contains("lcore 0 stood still"), "{exit}");
    assert_eq!(running.stop().unwrap().conserved, Some(true));
}

/// What the kernel says of a process, by name.
fn status(pid: u32, name: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_data_plane_has_no_rights_and_nobody_without_them_reads_its_memory() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    if !has_programs(&["ip", "ping", "kill"]) {
        return;
    }
    let Some((west, east)) = Namespace::new("west").zip(Namespace::new("east")) else { return };
    // One end of a cable as a port, beside a TAP.
    east.must("ip link add inner type veth peer name east");
    east.must("ip link set inner up");
    let text = format!(
        "[[port]]\ndevice = \"tap:west@{},peer=02:00:00:00:00:77\"\naddress = [\"10.1.0.1/24\"]\n\
         [[port]]\ndevice = \"packet:inner@{}\"\naddress = [\"10.2.0.1/24\"]\n",
        west.name, east.name
    );
    let config = Config::parse(&text, "test").unwrap();
    let running = Forwarder::new(config).apart(program()).start().unwrap();
    host(&west, "west", "10.1.0.2", "10.1.0.1");
    host(&east, "east", "10.2.0.2", "10.2.0.1");
    for restarts in 0..2 {
        wait_for(&running, |running| {
            let ucode = running.ucode().unwrap();
            ucode.restarts == restarts && ucode.pid.is_some()
        });
        let pid = running.ucode().unwrap().pid.unwrap();
        // Once it forwards it has given them up for good.
        west.must("ping -c 3 -i 0.2 -W 5 10.2.0.2");
        for (name, wanted) in [
            ("Uid", "65534 65534 65534 65534"),
            ("Gid", "65534 65534 65534 65534"),
            ("Groups", ""),
            ("CapPrm", "0000000000000000"),
            ("CapEff", "0000000000000000"),
            ("CapInh", "0000000000000000"),
            ("CapAmb", "0000000000000000"),
            ("NoNewPrivs", "1"),
        ] {
            assert_eq!(status(pid, name), wanted, "{name}");
        }
        // Variables of its starter may be keys.
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
        let variables = environment.split(|byte| *byte == 0);
        assert!(variables.clone().any(|one| one.starts_with(b"PATH=")));
        assert!(!variables.into_iter().any(|one| one.starts_with(b"CARGO")));
        // Of a process that is not to be looked into, these are root's.
        let memory = std::fs::metadata(format!("/proc/{pid}/mem")).unwrap();
        assert_eq!((memory.uid(), memory.mode() & 0o077), (0, 0));
        let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert_eq!(core.split_whitespace().filter(|word| *word == "0").count(), 2, "{core}");
        assert!(Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
    }
    wait_for(&running, |running| running.ucode().unwrap().restarts == 2);
    // A device that vanishes is made again by who may do that.
    west.must("ip link del west");
    let start = Instant::now();
    while !west.run("ip -o link show west").1.contains("UP,LOWER_UP") {
        assert!(start.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(50));
    }
    host(&west, "west", "10.1.0.2", "10.1.0.1");
    west.must("ping -c 3 -i 0.2 -W 5 10.2.0.2");
    assert_eq!(running.ucode().unwrap().restarts, 2);
    assert_eq!(running.stop().unwrap().conserved, Some(true));
}

// rows: ARC-16, ARC-24
#[test]
fn one_that_dies_again_and_again_is_left_alone_and_the_rest_stays_up() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    if !has_programs(&["ip", "kill"]) {
        return;
    }
    let Some((west, east)) = Namespace::new("west").zip(Namespace::new("east")) else { return };
    let running = Forwarder::new(config(&west.name, &east.name)).apart(program()).start().unwrap();
    wait_for(&running, |running| {
        let ucode = running.ucode().unwrap();
        if let Some(pid) = ucode.pid {
            drop(Command::new("kill").args(["-9", &pid.to_string()]).status());
        }
        ucode.given_up
    });
    assert!(!running.is_finished());
    assert_eq!(running.interfaces().len(), 2, "the client answers");
    running.commit(config(&west.name, &east.name), Default::default()).unwrap();
    assert_eq!(running.stop().unwrap().conserved, Some(true));
}

#[test]
fn a_program_that_cannot_be_is_refused_and_nothing_is_left() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let config = || Config::parse("[[port]]\ndevice = \"sink\"\n", "test").unwrap();
    let start = |program: &str| Forwarder::new(config()).apart(PathBuf::from(program)).start();
    let error = start("/no/such/program").err().unwrap();
    assert!(error.to_string().contains("/no/such/program"), "{error}");
    // It ends at once.
    let error = start("/bin/true").err().unwrap();
    assert!(matches!(error, StartError::Apart(_)), "{error}");
    let error = Forwarder::new(config()).trace(1).apart(program()).start().err().unwrap();
    assert!(matches!(error, StartError::NotApart), "{error}");
}
