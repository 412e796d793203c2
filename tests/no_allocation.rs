//! What an lcore does not do once it runs: ask for memory, or make a system call.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/capture.rs"]
mod capture;
#[expect(dead_code, reason = "only a part of it is needed here")]
#[path = "support/gateways.rs"]
mod gateways;
#[expect(dead_code, reason = "only a part of it is needed here")]
#[path = "support/l3fwd.rs"]
mod l3fwd;
#[expect(dead_code, reason = "only a part of it is needed here")]
#[path = "support/packets.rs"]
mod packets;
#[expect(dead_code, reason = "only a part of it is needed here")]
#[path = "support/router.rs"]
mod router;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gateways::{LAN, Pair, WAN, ip};
use packets::{DOT1Q, Tag, frame, mac, payload, udp};
use qfp::Forwarder;
use qfp::client::config::Config;
use qfp::core::fia::{FiaBuilder, Gate};
use qfp::core::packet::Vector;
use qfp::core::step::{Lcore, Step};
use qfp::hal::PacketMask;
use qfp::report::RunReport;

thread_local! {
    /// How often this thread has taken memory or given it back.
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, with each thread's calls counted.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count() {
    // A thread that is ending has no counter any more, and nothing to count.
    let _ = CALLS.try_with(|calls| calls.set(calls.get() + 1));
}

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as the caller has promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count();
        // SAFETY: as the caller has promised.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// What the step below has seen, for the thread of the test.
#[derive(Default)]
struct Seen {
    vectors: AtomicU64,
    calls: AtomicU64,
}

/// A user's step, which runs on the lcore once a vector, and looks at its thread's counter.
struct Watch {
    seen: Arc<Seen>,
    vectors: u64,
    calls_before: u64,
}

/// Vectors in which everything that is made once has been made.
const WARM: u64 = 200;
/// Vectors that are watched.
const WATCHED: u64 = 20_000;

impl Step for Watch {
    fn process(&mut self, _lcore: &mut Lcore<'_>, _vector: &mut Vector, _select: PacketMask) {
        let calls = CALLS.get();
        self.vectors += 1;
        if self.vectors == WARM {
            self.calls_before = calls;
        }
        if self.vectors >= WARM {
            self.seen.calls.store(calls - self.calls_before, Ordering::Relaxed);
            self.seen.vectors.store(self.vectors - WARM, Ordering::Relaxed);
        }
    }
}

const CONFIG: &str = r#"
[[port]]
name = "in"
address = ["10.1.0.1/24", "2001:db8:1::1/64"]
[[port.vlan]]
id = 7
[[port]]
name = "out"
device = "sink"
address = ["10.2.0.1/24", "2001:db8:2::1/64"]
[[neighbor]]
address = "10.2.0.2"
mac = "02:00:00:00:02:02"
[[neighbor]]
address = "10.2.0.3"
mac = "02:00:00:00:02:03"
[[neighbor]]
address = "2001:db8:2::2"
mac = "02:00:00:00:02:02"
[[route]]
prefix = "203.0.113.0/24"
via = "10.2.0.2"
[[route]]
prefix = "203.0.113.0/24"
via = "10.2.0.3"
[[route]]
prefix = "2001:db8:ff::/48"
via = "2001:db8:2::2"
"#;

/// What the configuration above has besides, with all that classifies, polices and marks.
const POLICIES: &str = r#"
[[acl]]
text = """
ip access-list extended HOSTS
 deny udp any range 30 39 any
 permit ip any any
ip access-list extended SOME
 permit udp any range 40 49 any
ipv6 access-list HOSTS6
 deny udp any range 30 39 any
 permit ipv6 any any
"""
[[route_map]]
text = """
route-map OTHER permit 10
 match ip address SOME
 set ip precedence 5
 set ip next-hop 10.2.0.3
"""
[qos]
text = """
class-map match-any SMALL
 match packet length max 100
 match access-group name SOME
policy-map BOUND
 class SMALL
  police cir 8000 bc 2000 pir 16000 be 4000
   conform-action set-qos-transmit 5
   exceed-action set-dscp-transmit af13
   violate-action drop
 class class-default
  police cir 8 gbps bc 1000000
policy-map PARENT
 class class-default
  police cir 9 gbps bc 1000000
  service-policy BOUND
policy-map MARKED
 class class-default
  set dscp af11
"""
"#;

/// Everything an lcore has to do with: both families, tags, several paths, drops, and punts whose
/// answers come back to it.
fn traffic() -> Vec<capture::Timed> {
    let (v4, v6) = (("10.1.0.2", "203.0.113.9"), ("2001:db8:1::2", "2001:db8:ff::9"));
    let packet = |(src, dst), ttl, n| udp(src, dst, ttl, (n, 2), &payload(usize::from(n)));
    let mut frames = Vec::new();
    for n in 0..100 {
        frames.push(frame(mac(1, 1), mac(1, 2), &[], &packet(v4, 64, n)));
        frames.push(frame(mac(1, 1), mac(1, 2), &[], &packet(v6, 64, n)));
        frames.push(frame(mac(1, 1), mac(1, 2), &[Tag(DOT1Q, 7)], &packet(v4, 64, n)));
    }
    frames.push(frame(mac(1, 1), mac(1, 2), &[Tag(DOT1Q, 8)], &packet(v4, 64, 1)));
    frames.push(frame(mac(1, 1), mac(1, 2), &[], &packet(("10.1.0.2", "192.0.2.1"), 64, 1)));
    frames.push(frame(mac(1, 1), mac(1, 2), &[], &packet(v4, 1, 1)));
    frames.push(frame(mac(1, 1), mac(1, 2), &[], &packet(v6, 1, 1)));
    frames.push(frame(mac(1, 1), mac(1, 2), &[], &packet(v4, 64, 2000)));
    frames.push(frame(mac(1, 1), mac(1, 2), &[], &packet(("10.1.0.2", "10.2.0.99"), 64, 1)));
    frames.into_iter().map(|frame| (0, frame)).collect()
}

/// Runs a configuration, one of whose ports receives `traffic` over and over, and counts what its
/// lcore asks the allocator for: nothing.
fn watched(config: &str, port: usize, traffic: &[capture::Timed]) -> RunReport {
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join("in.pcap");
    capture::write(&input, traffic);
    let mut config = Config::parse(config, "test.toml").unwrap();
    config.ports.iter_mut().for_each(|port| port.device = Some("sink".to_owned()));
    config.ports[port].device = Some(format!("pcap:rx={},loop", input.display()));
    let seen = Arc::new(Seen::default());
    let watch = {
        let seen = Arc::clone(&seen);
        move || Box::new(Watch { seen: seen.clone(), vectors: 0, calls_before: 0 }) as Box<dyn Step>
    };
    // Before the rows that one kernel serves together, so that it does so here as well.
    let fia =
        FiaBuilder::router().insert_after("if-classify", "watch", Gate::Always, watch).unwrap();
    let running = Forwarder::new(config).fia(fia).start().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while seen.vectors.load(Ordering::Relaxed) < WATCHED && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
    let report = running.stop().unwrap();
    assert_eq!(report.conserved, Some(true));
    let vectors = seen.vectors.load(Ordering::Relaxed);
    assert!(vectors >= WATCHED, "only {vectors} vectors in a minute");
    assert_eq!(seen.calls.load(Ordering::Relaxed), 0, "calls in {vectors} vectors");
    report
}

/// The same with [`traffic`]. It has done what it was watched at.
fn watched_at_all(config: &str) -> RunReport {
    let report = watched(config, 0, &traffic());
    for drop in ["BadUidbIdx", "Ipv4NoRoute"] {
        assert!(named(&report.drops, drop), "{:?}", report.drops);
    }
    for punt in ["IpTtlExceeded", "IpMtuExceeded", "Glean"] {
        assert!(named(&report.punts, punt), "{:?}", report.punts);
    }
    assert!(report.injected > 0 && report.forwarded() > 0);
    report
}

fn named(counts: &[(&str, u64)], name: &str) -> bool {
    counts.iter().any(|(n, count)| *n == name && *count > 0)
}

#[test]
fn an_lcore_that_runs_neither_takes_memory_nor_gives_it_back() {
    watched_at_all(CONFIG);
}

#[test]
fn lists_and_policies_take_no_memory_either() {
    let inbound = "name = \"in\"\nacl_in = [\"HOSTS\", \"HOSTS6\"]\npolicy_route = \"OTHER\"\n\
                   service_policy_in = \"PARENT\"";
    let outbound = "name = \"out\"\nacl_out = [\"HOSTS\"]\nservice_policy_out = \"MARKED\"";
    let config = CONFIG.replace("name = \"in\"", inbound).replace("name = \"out\"", outbound);
    let report = watched_at_all(&(config + POLICIES));
    for drop in ["Ipv4Acl", "Ipv6Acl", "Policer"] {
        assert!(named(&report.drops, drop), "{:?}", report.drops);
    }
}

#[test]
fn esp_takes_no_memory_either() {
    let pair = Pair { sa_in: "replay_window = 0".to_owned(), ..Pair::default() };
    let packet = |src, dst, n| udp(src, dst, 64, (7, 9), &payload(n));
    let inner: Vec<Vec<u8>> = (0..64).map(|n| packet("10.1.0.2", "10.2.0.2", 20 * n)).collect();
    let opened = ip(&pair.side(1, LAN, &inner), WAN);
    // What comes from the link between the gateways and has to go into the tunnel.
    let sealed = (0..64).map(|n| packet("192.0.2.9", "10.1.0.2", 20 * n));
    let all = opened.into_iter().chain(sealed);
    let traffic: Vec<_> = all.map(|ip| (0, frame(mac(9, 2), mac(9, 1), &[], &ip))).collect();
    let report = watched(&pair.config(2), WAN, &traffic);
    for sa in report.ipsec.unwrap().sas {
        assert!(sa.counts.packets > WATCHED, "{}: {:?}", sa.sa.name, sa.counts);
    }
}

/// System calls of a thread's start and end: memory, affinity, name, signal stack, exit.
const START_AND_END: usize = 60;

#[test]
fn an_lcore_that_runs_makes_no_system_call() {
    let dir = tempfile::tempdir().unwrap();
    let (log, stats) = (dir.path().join("strace.log"), dir.path().join("stats.json"));
    let l3fwd = l3fwd::command();
    let mut traced = std::process::Command::new("strace");
    traced.args(["-f", "-o"]).arg(&log).arg(l3fwd.get_program());
    traced
        .args(["--port", "synth", "--port", "sink", "--seconds", "1", "--stats-json"])
        .arg(&stats);
    let outcome = match traced.output() {
        Ok(outcome) => outcome,
        Err(error) => return eprintln!("skipped: strace: {error}"),
    };
    let log = std::fs::read_to_string(&log).unwrap_or_default();
    // The lcore is who gives itself the lcore's name.
    let Some(named) = log.lines().find(|line| line.contains("\"qfp-lcore-0\"")) else {
        let said = String::from_utf8_lossy(&outcome.stderr);
        assert!(said.contains("ermitted"), "{said}");
        return eprintln!("skipped: no right to trace: {said}");
    };
    let lcore = named.split_whitespace().next().unwrap();
    let calls: Vec<&str> =
        log.lines().filter(|line| line.split_whitespace().next() == Some(lcore)).collect();
    let stats: serde_json::Value = serde_json::from_slice(&std::fs::read(stats).unwrap()).unwrap();
    let packets = stats["ports"]["port0"]["rx_packets"].as_u64().unwrap();
    eprintln!("{} system calls, {packets} packets", calls.len());
    // A call a vector, or even one for every ten vectors, would be more.
    assert!(packets > 64 * 10 * START_AND_END as u64, "only {packets} packets");
    assert!(calls.len() <= START_AND_END, "{} calls:\n{}", calls.len(), calls.join("\n"));
}
