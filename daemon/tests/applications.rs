//! Programs beside the router get packets of its slow path, and put packets in.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use api::{Application, ApplicationState, Call, CallError, Process, Reply, Status, Target, Wanted};
use support::{Daemon, build, run, ucode_program};

/// What is generated goes to neighbours that nobody knows, and there is no way to say so.
fn start(options: &[(&str, &str)]) -> Daemon {
    Daemon::start_with(options, |dir| {
        let unknown = support::CONFIG.replace("10.3.0.1/24", "198.18.0.1/15");
        let unknown = unknown.replace("10.3.0.2", "198.18.0.2");
        let unknown = unknown.replace("0.0.0.0/0", "192.0.2.0/24");
        std::fs::write(dir.join("a.toml"), unknown).unwrap();
    })
}

fn glean() -> Wanted {
    Wanted { cause: Some("Glean".to_owned()), ..Wanted::default() }
}

fn applications(daemon: &Daemon) -> Vec<ApplicationState> {
    match daemon.call(Call::Applications).unwrap() {
        Reply::Applications(all) => all,
        other => panic!("{other:?}"),
    }
}

fn ucode(daemon: &Daemon) -> Process {
    match daemon.call(Call::Processes).unwrap() {
        Reply::Processes(all) => all.into_iter().find(|one| one.name == "qfp-ucode").unwrap(),
        other => panic!("{other:?}"),
    }
}

/// Packets that have left through a port.
fn sent(daemon: &Daemon, port: &str) -> u64 {
    let (_, text, _) = daemon.ctl("--json show statistics");
    let all: serde_json::Value = serde_json::from_str(&text).unwrap();
    all["ports"][port]["tx_packets"].as_u64().unwrap()
}

fn wait_until(daemon: &Daemon, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "{}", daemon.log());
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn gets_packets_and_puts_them_in(daemon: &Daemon) {
    let mut application = Application::register(&daemon.run_dir(), "one", glean()).unwrap();
    let punted = application.receive().unwrap().unwrap();
    assert_eq!((punted.cause.as_str(), punted.interface.as_str()), ("Glean", "in"));
    // IPv4 to one of those neighbours, as it came in.
    assert_eq!((punted.l3_offset, punted.packet()[0], punted.packet()[16]), (14, 0x45, 198));
    assert_eq!(sent(daemon, "left"), 0);
    let mut injector = application.injector().unwrap();
    let mut packet = punted.packet().to_vec();
    packet[16..20].copy_from_slice(&[10, 2, 0, 2]);
    packet[10..12].copy_from_slice(&[0, 0]);
    let words = packet[..20].chunks(2).map(|two| u32::from(two[0]) << 8 | u32::from(two[1]));
    let sum: u32 = words.sum();
    let sum = !((sum & 0xffff) + (sum >> 16));
    packet[10..12].copy_from_slice(&sum.to_be_bytes()[2..]);
    injector.inject(Target::Routes(None), packet).unwrap();
    injector.inject(Target::Interface("left".to_owned()), punted.frame.clone()).unwrap();
    // Neither of these goes anywhere, and both are outlived.
    injector.inject(Target::Interface("nowhere".to_owned()), punted.frame).unwrap();
    injector.inject(Target::Routes(None), vec![0; 3]).unwrap();
    wait_until(daemon, || sent(daemon, "left") == 2);
    let state = &applications(daemon)[0];
    assert_eq!((state.name.as_str(), &state.wanted), ("one", &glean()));
    assert!(state.delivered > 0);
    let (_, table, _) = daemon.ctl("show applications");
    assert!(table.contains("one") && table.contains("Glean"), "{table}");
    drop((application, injector));
    wait_until(daemon, || applications(daemon).is_empty());
}

fn who_is_stuck_loses_packets_and_the_next_one_gets_them(daemon: &Daemon) {
    let stuck = Application::register(&daemon.run_dir(), "stuck", glean()).unwrap();
    let mut next = Application::register(&daemon.run_dir(), "next", glean()).unwrap();
    wait_until(daemon, || applications(daemon)[0].lost > 100);
    assert_eq!(applications(daemon)[1].delivered, 0, "the first one has them");
    drop(stuck);
    for _ in 0..100 {
        assert!(next.receive().unwrap().is_some());
    }
}

// rows: ARC-04
#[test]
fn a_program_gets_packets_and_puts_packets_in() {
    let daemon = start(&[]);
    gets_packets_and_puts_them_in(&daemon);
    who_is_stuck_loses_packets_and_the_next_one_gets_them(&daemon);
}

#[test]
fn it_does_so_over_the_death_of_a_data_plane_in_a_process_of_its_own() {
    let program = ucode_program();
    let daemon = start(&[("--ucode", program.to_str().unwrap())]);
    gets_packets_and_puts_them_in(&daemon);
    who_is_stuck_loses_packets_and_the_next_one_gets_them(&daemon);
    let mut application = Application::register(&daemon.run_dir(), "lasting", glean()).unwrap();
    let before = ucode(&daemon).pid;
    application.receive().unwrap().unwrap();
    let kill = |pid: u32| {
        Command::new("kill")
            .args(["-9", &pid.to_string()])
            .status()
            .is_ok_and(|done| done.success())
    };
    assert!(kill(before));
    wait_until(&daemon, || {
        let now = ucode(&daemon);
        now.restarts == 1 && now.pid != before && now.state == "running"
    });
    let delivered = applications(&daemon)[0].delivered;
    wait_until(&daemon, || {
        application.receive().unwrap().unwrap();
        applications(&daemon)[0].delivered > delivered + 256
    });
}

#[test]
fn a_filter_looks_at_protocol_and_port_and_nonsense_is_refused() {
    let daemon = start(&[]);
    let register = |name: &str, wanted| Application::register(&daemon.run_dir(), name, wanted);
    let refused = |name: &str, wanted, status, word: &str| match register(name, wanted) {
        Err(CallError::Failure(failure)) => {
            assert!(failure.status == status && failure.line.contains(word), "{failure}");
        }
        other => panic!("{other:?}"),
    };
    let unknown = Wanted { cause: Some("Nonsense".to_owned()), ..Wanted::default() };
    refused("a", unknown, Status::NotFound, "Nonsense");
    refused("", glean(), Status::Refused, "visible characters");
    refused("two\nlines", glean(), Status::Refused, "visible characters");
    let mut all = register("all", glean()).unwrap();
    let punted = all.receive().unwrap().unwrap();
    let port = u16::from_be_bytes([punted.packet()[22], punted.packet()[23]]);
    drop(all);
    let mut tcp = register("tcp", Wanted { protocol: Some(6), ..glean() }).unwrap();
    let mut other = register("other", Wanted { port: Some(!port), ..Wanted::default() }).unwrap();
    let wanted = Wanted { protocol: Some(17), port: Some(port), ..Wanted::default() };
    let mut own = register("own", wanted).unwrap();
    for _ in 0..10 {
        let packet = own.receive().unwrap().unwrap();
        assert_eq!(packet.packet()[22..24], port.to_be_bytes());
    }
    let states = applications(&daemon);
    assert_eq!(states.iter().filter(|one| one.delivered > 0).count(), 1, "{states:?}");
    drop((daemon, own));
    // The router is gone.
    for one in [&mut tcp, &mut other] {
        assert!(!matches!(one.receive(), Ok(Some(_))));
    }
}

/// The example, running.
struct Example(Child);

impl Drop for Example {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A network namespace.
struct Netns(String);

impl Netns {
    fn ip(&self, line: &str) -> (i32, String, String) {
        run(Command::new("ip").args(["-n", &self.0]).args(line.split_whitespace()))
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        drop(Command::new("ip").args(["netns", "del", &self.0]).status());
    }
}

// rows: ARC-04
#[test]
fn the_example_joins_a_kernel_to_the_router_and_may_be_killed() {
    let netns = Netns(format!("qfp-app-{}", std::process::id()));
    let made = Command::new("ip").args(["netns", "add", &netns.0]).stderr(Stdio::null()).status();
    if !made.is_ok_and(|made| made.success()) {
        return eprintln!("skipped: no network namespace");
    }
    let program = build(&["--package", "qfp", "--example", "tap_app"], "examples/tap_app");
    let daemon = start(&[]);
    let mut command = Command::new(program);
    command.arg(daemon.run_dir()).arg(format!("app0@{}", netns.0)).arg("Glean");
    let example = Example(command.stdin(Stdio::null()).spawn().unwrap());
    wait_until(&daemon, || applications(&daemon).len() == 1);
    for line in [
        "addr add 192.0.2.1/24 dev app0",
        "neigh add 192.0.2.9 lladdr 02:00:00:00:00:09 dev app0",
        "route add 10.2.0.0/24 via 192.0.2.9",
    ] {
        let (status, _, error) = netns.ip(line);
        assert_eq!(status, 0, "{line}: {error}");
    }
    // What the router punts, the kernel receives.
    wait_until(&daemon, || {
        let counts = netns.ip("-s -j link show app0").1;
        let counts: serde_json::Value = serde_json::from_str(&counts).unwrap();
        counts[0]["stats64"]["rx"]["packets"].as_u64().unwrap() > 10
    });
    // What the kernel sends, the router routes.
    assert_eq!(sent(&daemon, "left"), 0);
    let mut ping = Command::new("ip");
    ping.args(["netns", "exec", &netns.0, "ping", "-c", "3", "-i", "0.2", "-W", "1", "10.2.0.2"]);
    drop(run(&mut ping));
    wait_until(&daemon, || sent(&daemon, "left") == 3);
    drop(example);
    wait_until(&daemon, || applications(&daemon).is_empty());
    assert!(daemon.call(Call::Boot).is_ok());
}
