//! What a router has accepted is not accepted again: after any end, under any name.

use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::capture;
use crate::gateways::{LAN, Pair, WAN, counts, ip, numbers};
use crate::l3fwd::{self, Outcome};
use crate::marks;
use crate::packets::{frame, mac, payload, udp};

fn packet() -> Vec<u8> {
    udp("10.1.0.2", "10.2.0.2", 64, (7, 9), &payload(40))
}

/// What the west sends of so many packets of its network.
fn sealed(pair: &Pair, count: usize) -> Vec<Vec<u8>> {
    ip(&pair.side(1, LAN, &vec![packet(); count]), WAN)
}

#[test]
fn what_was_accepted_before_a_restart_is_not_accepted_after_it() {
    let pair = Pair::default();
    let first = sealed(&pair, 20);
    assert_eq!(counts(&pair.side(2, WAN, &first), "in"), (20, vec![]));
    for _ in 0..3 {
        let again = pair.side(2, WAN, &first);
        assert_eq!(counts(&again, "in"), (0, vec![("EspReplay", 20)]));
        assert!(again.sent[LAN].is_empty());
    }
    // An end in order costs a peer nothing.
    let next = sealed(&pair, 20);
    assert_eq!(
        counts(&pair.side(2, WAN, &[first, next].concat()), "in"),
        (20, vec![("EspReplay", 20)])
    );
}

#[test]
fn extended_numbers_go_on_where_they_were() {
    let sa = "esn = true".to_owned();
    let pair = Pair { sa, ..Pair::default() };
    assert_eq!(counts(&pair.side(2, WAN, &sealed(&pair, 1)), "in"), (1, vec![]));
    for behind in [(1 << 32) - 10, (3 << 32) - 10] {
        [1, 2].iter().for_each(|side| marks::set_all(&pair.state_dir(*side), behind));
        let mut all = Vec::new();
        for _ in 0..3 {
            let sent = sealed(&pair, 8);
            assert_eq!(counts(&pair.side(2, WAN, &sent), "in"), (8, vec![]));
            all.extend(sent);
        }
        assert!(numbers(&all[0]).1 > numbers(&all[23]).1, "the low half has begun again");
        let again = pair.side(2, WAN, &all);
        assert_eq!(counts(&again, "in").0, 0);
    }
}

#[test]
fn as_many_packets_as_there_are_pass_however_fast_they_come() {
    let pair = Pair::default();
    let sent = sealed(&pair, 5000);
    assert_eq!(counts(&pair.side(2, WAN, &sent), "in"), (5000, vec![]));
}

#[test]
fn a_peer_that_skips_numbers_is_heard_again_after_one_vector() {
    let pair = Pair::default();
    let _ = sealed(&pair, 1);
    marks::set_all(&pair.state_dir(1), 1 << 24);
    let sent = sealed(&pair, 200);
    let (accepted, refused) = counts(&pair.side(2, WAN, &sent), "in");
    let [("EspBeyondMark", lost)] = refused[..] else { panic!("{refused:?}") };
    assert!(lost <= 64 && accepted == 200 - lost, "{lost} lost");
}

#[test]
fn numbers_follow_the_key_whatever_the_configuration_is_called() {
    let pair = Pair::default();
    let text = pair.config(1).replace("[ipsec]", "[ipsec] # of the machine");
    let lan = pair.dir.path().join("lan.pcap");
    let inner = frame(mac(1, 1), mac(1, 2), &[], &packet());
    capture::write(&lan, &vec![(0, inner); 10]);
    let folder = |name: &str| {
        let folder = pair.dir.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        folder
    };
    let (one, other) = (folder("one"), folder("other"));
    let (file, copy, link) = (one.join("a.toml"), other.join("a.toml"), other.join("b.toml"));
    // No place for the numbers is said: they are where the machine has them.
    let state_dir = format!("state_dir = '{}'\n", pair.state_dir(1).display());
    assert!(text.contains(&state_dir));
    for path in [&file, &copy] {
        std::fs::write(path, text.replace(&state_dir, "")).unwrap();
    }
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let renamed = other.join("c.toml");
    let other_name = text.replace("\"out\"\ndirection", "\"west\"\ndirection");
    let other_name = other_name.replace("sa_out = \"out\"", "sa_out = \"west\"");
    std::fs::write(&renamed, other_name.replace(&state_dir, "")).unwrap();
    let mut seen = Vec::new();
    for path in [&file, &copy, &link, &renamed] {
        let wan = pair.dir.path().join("wan.pcap");
        let run = Program::new(path).state_dir(&pair.state_dir(1));
        let ports = [format!("pcap:rx={}", lan.display()), format!("pcap:tx={}", wan.display())];
        assert_eq!(run.start(&ports).end().status, 0);
        seen.extend(capture::read(&wan).iter().map(|(_, frame)| numbers(&frame[14..]).1));
    }
    assert_eq!(seen, (1..=40).collect::<Vec<u32>>());
}

/// A run of `l3fwd`.
struct Program {
    config: PathBuf,
    states: PathBuf,
}

impl Program {
    fn new(config: &Path) -> Self {
        Self { config: config.to_owned(), states: config.with_extension("states") }
    }

    fn state_dir(self, states: &Path) -> Self {
        Self { states: states.to_owned(), ..self }
    }

    fn start(&self, ports: &[String]) -> Started {
        let stats = self.config.with_extension("json");
        let mut command = l3fwd::command();
        command.arg("--config").arg(&self.config).arg("--stats-json").arg(&stats);
        command.args(ports.iter().flat_map(|spec| ["--port", spec]));
        let child = command.env("QFP_STATE_DIR", &self.states).spawn().unwrap();
        Started { child, stats }
    }
}

struct Started {
    child: Child,
    stats: PathBuf,
}

impl Started {
    fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(std::process::Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    fn end(self) -> Outcome {
        let outcome = l3fwd::finish(self.child);
        assert!(outcome.status != 0 || outcome.stderr.is_empty(), "{outcome:?}");
        outcome
    }

    /// Ends it in order; what it says about an SA.
    fn stop(self, sa: &str) -> (u64, Value) {
        self.signal("INT");
        let stats = self.stats.clone();
        let outcome = l3fwd::finish(self.child);
        assert_eq!(outcome.status, 0, "{outcome:?}");
        let stats: Value = serde_json::from_slice(&std::fs::read(stats).unwrap()).unwrap();
        let sa = &stats["ipsec"]["sas"][sa];
        (sa["packets"].as_u64().unwrap(), sa["failures"].clone())
    }
}

/// The east as a program, to which the same sealed packets come again and again; the frames that it
/// sends into its network are in a file.
struct East {
    pair: Pair,
    program: Program,
    ports: [String; 2],
    lan: PathBuf,
}

impl East {
    fn new(count: usize) -> Self {
        let pair = Pair::default();
        let sealed = sealed(&pair, count);
        let east = Self::of(pair);
        east.receives(&sealed);
        east
    }

    fn of(pair: Pair) -> Self {
        let path = |name: &str| pair.dir.path().join(name);
        let (config, wan, lan) = (path("east.toml"), path("wan.pcap"), path("lan.pcap"));
        std::fs::write(&config, pair.config(2)).unwrap();
        let ports =
            [format!("pcap:tx={}", lan.display()), format!("pcap:rx={},loop", wan.display())];
        Self { program: Program::new(&config), pair, ports, lan }
    }

    fn receives(&self, sealed: &[Vec<u8>]) {
        let frames = sealed.iter().map(|outer| (0, frame(mac(9, 2), mac(9, 1), &[], outer)));
        capture::write(&self.pair.dir.path().join("wan.pcap"), &frames.collect::<Vec<_>>());
    }

    /// Has the configuration be another, and the program read it.
    fn reads(&self, running: &Started, config: &str) {
        std::fs::write(&self.program.config, config).unwrap();
        running.signal("HUP");
        // Some laps of the capture with each.
        std::thread::sleep(Duration::from_millis(400));
    }
}

#[test]
fn a_window_follows_its_key_through_other_names_and_spis_and_while_it_is_away() {
    let east = East::new(20);
    let running = east.program.start(&east.ports);
    assert!(l3fwd::is_running(&running.child));
    std::thread::sleep(Duration::from_millis(400));
    let text = east.pair.config(2);
    let renamed = text.replace("\"in\"\ndirection", "\"new\"\ndirection");
    let renamed = renamed.replace("sa_in = \"in\"", "sa_in = \"new\"");
    assert_ne!(renamed, text);
    east.reads(&running, &renamed);
    east.reads(&running, &text);
    let spi = crate::gateways::spi(1);
    east.reads(&running, &text.replace(&format!("spi = {spi}\n"), "spi = 9999\n"));
    east.reads(&running, &text);
    let inbound = east.pair.sa(2, 1);
    let without = text.replace(&inbound, "").replace("sa_in = \"in\"\n", "");
    assert!(!without.contains("\"in\""), "{without}");
    east.reads(&running, &without);
    east.reads(&running, &text);
    let (packets, failures) = running.stop("in");
    assert_eq!(packets, 0, "since it came back");
    assert!(failures["EspReplay"].as_u64().unwrap() > 20, "{failures}");
    assert_eq!(capture::read(&east.lan).len(), 20, "each was accepted once");
}

#[test]
fn what_was_accepted_before_a_router_was_killed_is_not_accepted_after_it() {
    let east = East::new(20);
    // Killed while it starts, when it has just begun to accept, and later.
    for (n, pause) in [0, 5, 20, 50, 100, 300].into_iter().enumerate() {
        let running = east.program.start(&east.ports);
        if n > 0 {
            assert!(l3fwd::is_running(&running.child));
        }
        std::thread::sleep(Duration::from_millis(pause));
        running.signal("KILL");
        assert_eq!(running.end().status, -1);
    }
    let running = east.program.start(&east.ports);
    assert!(l3fwd::is_running(&running.child));
    std::thread::sleep(Duration::from_millis(500));
    let (packets, failures) = running.stop("in");
    assert_eq!(packets, 0, "all of it was accepted before the fifth kill");
    assert!(failures["EspReplay"].as_u64().unwrap() > 20, "{failures}");
    // What was reserved is passed by a peer that goes on, however often the router was killed.
    let pair = Pair { dir: east.pair.dir, ..Pair::default() };
    let east = East::of(pair);
    let sent = sealed(&east.pair, 3000);
    assert_eq!(numbers(&sent[0]).1, 21);
    east.receives(&sent);
    let begun = Instant::now();
    let running = east.program.start(&[east.ports[0].clone(), east.ports[1].replace(",loop", "")]);
    let outcome = running.end();
    assert_eq!(outcome.status, 0, "{outcome:?}");
    assert!(begun.elapsed() < Duration::from_secs(60));
    let accepted = capture::read(&east.lan).len();
    assert!((3000 - 1024..3000).contains(&accepted), "{accepted} of 3000");
}

#[test]
fn in_the_machine_s_time_the_limit_goes_on_with_the_peer() {
    let pair = Pair::default();
    let count = 20_000;
    let each = |n: usize| udp("10.1.0.2", "10.2.0.2", 64, (7, 9), &n.to_be_bytes());
    let plain: Vec<_> = (0..count).map(each).collect();
    let sealed = ip(&pair.side(1, LAN, &plain), WAN);
    let east = East::of(pair);
    east.receives(&sealed);
    let running = east.program.start(&east.ports);
    assert!(l3fwd::is_running(&running.child));
    std::thread::sleep(Duration::from_secs(2));
    let (packets, failures) = running.stop("in");
    // What comes while marks are written is lost; how long that takes is the machine's.
    assert!(packets > 960, "{packets} of {count}, {failures}");
    let beyond = failures["EspBeyondMark"].as_u64().unwrap_or(0);
    eprintln!("{packets} of {count} at once, {beyond} beyond the mark");
    let inner = capture::read(&east.lan).into_iter().map(|(_, frame)| frame);
    let different: std::collections::BTreeSet<Vec<u8>> = inner.collect();
    assert_eq!(different.len() as u64, packets, "each was accepted once");
}
