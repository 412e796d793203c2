//! Ports that come and go while others forward: nothing of the others is lost, and nothing is left behind.
//!
//! `QFP_HOTPLUGS` is the number of times; 1 000 of them are in `make nightly`.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use channel::Channel;
use packets::{frame, mac, udp};
use qfp::client::config::{Config, RouteTable};
use qfp::{Forwarder, Running};

#[path = "../examples/own_port/channel.rs"]
mod channel;
#[expect(dead_code, reason = "other tests use more of it")]
#[path = "support/packets.rs"]
mod packets;

const PATIENCE: Duration = Duration::from_secs(60);

/// Two ports of ours, and what else is said.
fn config(more: &str) -> Config {
    let text = format!(
        "[[port]]\nname = \"in\"\nmac = \"02:00:00:00:01:01\"\naddress = [\"10.1.0.1/24\"]\n\
         [[port]]\nname = \"out\"\nmac = \"02:00:00:00:02:01\"\naddress = [\"10.2.0.1/24\"]\n\
         {more}\
         [[neighbor]]\naddress = \"10.2.0.200\"\nmac = \"02:00:00:00:02:02\"\n\
         [[route]]\nprefix = \"50.0.0.0/8\"\nvia = \"10.2.0.200\"\n"
    );
    Config::parse(&text, "hotplug.toml").unwrap()
}

/// A port of that name, device, network and MTU, with a sub-interface.
fn port(name: &str, device: &str, net: u8, mtu: u16) -> String {
    format!(
        "[[port]]\nname = \"{name}\"\ndevice = \"{device}\"\naddress = [\"10.{net}.0.1/24\"]\n\
         mtu = {mtu}\n[[port.vlan]]\nid = 7\naddress = [\"10.{net}.7.1/24\"]\n"
    )
}

/// Has somebody hear of the end.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A router with the two ports.
struct Router {
    running: Running,
    input: Sender<Vec<u8>>,
    output: Receiver<Vec<u8>>,
    /// The ends that nobody uses.
    _idle: (Sender<Vec<u8>>, Receiver<Vec<u8>>),
}

impl Router {
    fn start() -> Self {
        let (port0, input, answers) = Channel::new();
        let (port1, idle, output) = Channel::new();
        let forwarder = Forwarder::new(config("")).port("in", port0).port("out", port1);
        let running = forwarder.start().unwrap();
        Self { running, input, output, _idle: (idle, answers) }
    }

    fn commit(&self, more: &str) -> Result<(), String> {
        let committed = self.running.commit(config(more), RouteTable::default());
        committed.map(drop).map_err(|error| error.to_string())
    }

    /// Sends packets through the two ports for as long as `meanwhile` takes. All of them arrive.
    fn under_traffic<R>(&self, meanwhile: impl FnOnce() -> R) -> R {
        let over = AtomicBool::new(false);
        let (input, over) = (self.input.clone(), &over);
        let send = move || {
            let ip = udp("10.1.0.2", "50.0.0.1", 64, (4000, 9), b"hotplug");
            let packet = frame(mac(1, 1), mac(1, 2), &[], &ip);
            let mut sent = 0_u64;
            while !over.load(Ordering::Relaxed) {
                for _ in 0..8 {
                    input.send(packet.clone()).unwrap();
                    sent += 1;
                }
                std::thread::sleep(Duration::from_micros(200));
            }
            sent
        };
        std::thread::scope(|scope| {
            let sender = scope.spawn(send);
            let result = {
                // Also if it fails.
                let _over = Over(over);
                meanwhile()
            };
            let sent = sender.join().unwrap();
            let mut arrived = 0;
            while arrived < sent {
                let next = self.output.recv_timeout(PATIENCE).unwrap();
                arrived += u64::from(next[12..14] == [8, 0] && next[23] == 17);
            }
            result
        })
    }

    /// Names of the ports that reports have.
    fn ports(&self) -> Vec<String> {
        self.running.report().ports.into_iter().map(|port| port.name).collect()
    }

    /// What is in use of everything that is given out, and of the process.
    fn in_use(&self) -> (Vec<(&'static str, u32)>, usize, usize) {
        let (pools, _) = self.running.resources();
        let pools = pools.into_iter().map(|(_, pool)| (pool.what, pool.in_use)).collect();
        let entries = |path| std::fs::read_dir(path).unwrap().count();
        (pools, entries("/proc/self/fd"), entries("/proc/self/task"))
    }
}

/// Memory of this process, kB.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn settle<T: PartialEq + std::fmt::Debug>(wanted: &T, mut now: impl FnMut() -> T) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = now();
        if found == *wanted {
            return;
        }
        assert!(Instant::now() < deadline, "{found:?}, not {wanted:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A device on which nothing comes, and which does not end.
fn idle() -> String {
    format!("tap:qfphi{}", std::process::id() % 100_000)
}

/// Whether this process may make devices.
fn may_make() -> bool {
    qfp::hal::spec::Spec::parse(&idle()).unwrap().open().is_ok()
}

/// A device that needs no rights, and one that the kernel makes where this process may.
fn devices() -> Vec<String> {
    let tap = format!("tap:qfphp{}", std::process::id() % 100_000);
    ["sink".to_owned()].into_iter().chain(may_make().then_some(tap)).collect()
}

/// One after the other: descriptors are counted.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn ports_come_and_go_under_traffic_and_nothing_of_the_others_is_lost() {
    let _turn = turn();
    let times = std::env::var("QFP_HOTPLUGS").map_or(20, |count| count.parse().unwrap());
    let devices = devices();
    let router = Router::start();
    let cycle = |n: usize| {
        let device = &devices[n % devices.len()];
        let (one, other) = (port("a", device, 3, 1500), port("b", "sink", 4, 9000));
        router.commit(&one).unwrap();
        router.commit(&(one + &other)).unwrap();
        assert_eq!(router.ports(), ["in", "out", "a", "b"]);
        // Another MTU; the other one has the lower number now.
        router.commit(&(port("a", device, 3, 1400) + &other)).unwrap();
        router.commit(&other).unwrap();
        assert_eq!(router.ports(), ["in", "out", "b"]);
        router.commit("").unwrap();
    };
    let baseline = router.in_use();
    router.under_traffic(|| (0..4).for_each(&cycle));
    let memory = resident();
    // What has arrived is taken now and then: it would look like a leak.
    for first in (0..times).step_by(20) {
        router.under_traffic(|| (first..times.min(first + 20)).for_each(&cycle));
    }
    // Numbers of interfaces wait until no ring has a packet of theirs.
    settle(&baseline, || router.in_use());
    // Allocators keep a little; what leaks grows with the times.
    let grown = resident().saturating_sub(memory);
    assert!(grown < 8 << 10, "{grown} kB more");
    assert_eq!(router.running.stop().unwrap().conserved, Some(true));
}

/// One port, and what else is said.
fn one_and(more: &str) -> Config {
    let device = idle();
    let text = format!(
        "[[port]]\nname = \"in\"\ndevice = \"{device}\"\naddress = [\"10.1.0.1/24\"]\n{more}"
    );
    Config::parse(&text, "one.toml").unwrap()
}

fn commit_and_see(running: &Running, more: &str, ports: &[&str]) {
    running.commit(one_and(more), RouteTable::default()).unwrap();
    settle(&Vec::from_iter(ports.iter().map(|port| (*port).to_owned())), || {
        running.report().ports.into_iter().map(|port| port.name).collect()
    });
}

#[test]
fn of_ports_that_do_not_open_all_nothing_is_left() {
    let _turn = turn();
    let (port0, _input, _output) = Channel::new();
    let running = Forwarder::new(one_and("")).port("in", port0).start().unwrap();
    let entries = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    commit_and_see(&running, &port("a", "sink", 3, 1500), &["in", "a"]);
    let before = entries();
    let wrong = [
        ("packet:no/such", "packet:no/such"),
        ("packet:nosuchif0", "no such interface"),
        ("pcap:rx=/no/such/file", "/no/such/file"),
        ("dpdk:net_null9", "dpdk"),
    ];
    for (device, part) in wrong {
        // Others that do come first, in place of those that are there and beside them.
        let more = port("a", "sink", 3, 1400) + &port("b", "sink", 4, 1500);
        let config = one_and(&(more + &port("c", device, 5, 1500)));
        let error = running.commit(config, RouteTable::default()).unwrap_err().to_string();
        let names_it = error.to_lowercase().contains(part);
        assert!(names_it && error.starts_with("one.toml:"), "{error}");
        let names = running.report().ports.into_iter().map(|port| port.name);
        assert_eq!(names.collect::<Vec<_>>(), ["in", "a"]);
        assert_eq!(entries(), before);
    }
    commit_and_see(&running, &port("b", "sink", 4, 1500), &["in", "b"]);
    running.stop().unwrap();
}

#[test]
fn a_data_plane_in_a_process_of_its_own_has_the_ports_of_the_last_commit_even_after_its_death() {
    let _turn = turn();
    if !may_make() {
        eprintln!("skipped: this process may not make TAP devices");
        return;
    }
    let program = std::path::PathBuf::from(env!("CARGO_BIN_EXE_qfp-ucode"));
    let running = Forwarder::new(one_and("")).apart(program).start().unwrap();
    for (round, device) in devices().into_iter().chain(["sink".to_owned()]).enumerate() {
        let other = port("b", "sink", 4, 1500);
        commit_and_see(&running, &(port("a", &device, 3, 1500) + &other), &["in", "a", "b"]);
        commit_and_see(&running, &(port("a", &device, 3, 1400) + &other), &["in", "a", "b"]);
        commit_and_see(&running, &(other.clone() + &port("c", "sink", 5, 9000)), &["in", "b", "c"]);
        let config = one_and(&port("d", "packet:nosuchif0", 6, 1500));
        let error = running.commit(config, RouteTable::default()).unwrap_err().to_string();
        assert!(error.contains("no such interface"), "{error}");
        // The next one has numbers in another order than that of the configuration.
        let pid = running.ucode().unwrap().pid.unwrap();
        let killed = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status();
        assert!(killed.unwrap().success());
        settle(&(round as u64 + 1, true), || {
            let state = running.ucode().unwrap();
            (state.restarts, state.pid.is_some())
        });
        commit_and_see(
            &running,
            &(other.clone() + &port("a", &device, 3, 1500)),
            &["in", "b", "a"],
        );
        commit_and_see(&running, "", &["in"]);
    }
    running.stop().unwrap();
}
