//! Forwarders come and go within one process: what they had is given back.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use qfp::client::config::Config;
use qfp::{Forwarder, Running};

/// What a process has is counted by one test at a time.
static TURN: Mutex<()> = Mutex::new(());

const CONFIG: &str = r#"
[[port]]
device = "synth:flows=16"
address = ["10.1.0.1/24"]
[[port]]
device = "sink"
address = ["10.2.0.1/24"]
[[neighbor]]
address = "10.2.0.2"
mac = "02:00:00:00:02:02"
[[route]]
prefix = "0.0.0.0/0"
via = "10.2.0.2"
"#;

/// Starts to forward and waits until packets have come through.
fn start() -> Running {
    let running = Forwarder::new(Config::parse(CONFIG, "test.toml").unwrap()).start().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while running.report().forwarded() == 0 {
        assert!(Instant::now() < deadline, "nothing is forwarded");
        std::thread::sleep(Duration::from_millis(1));
    }
    running
}

/// Threads of this process that a forwarder has started, by name.
fn threads() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|name| name.starts_with("qfp-")).collect()
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Memory of this process, bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() * 1024
}

#[test]
fn a_forwarder_that_is_dropped_ends_its_threads_and_closes_its_files() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let files = open_files();
    let running = start();
    assert!(threads().contains(&"qfp-lcore-0\n".to_owned()), "{:?}", threads());
    let dropped = Instant::now();
    drop(running);
    assert_eq!((threads(), open_files()), (Vec::new(), files));
    assert!(dropped.elapsed() < Duration::from_secs(1), "{:?}", dropped.elapsed());
}

#[test]
fn forwarders_that_end_leave_no_memory_behind() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let cycles = std::env::var("QFP_CYCLES").map_or(50, |cycles| cycles.parse().unwrap());
    // The first ones fill what the allocator and the crypto engine keep.
    for _ in 0..5 {
        start().stop().unwrap();
    }
    let before = resident();
    for cycle in 0..cycles {
        let running = start();
        if cycle % 2 == 0 {
            running.stop().unwrap();
        } else {
            drop(running);
        }
    }
    let grown = resident().saturating_sub(before);
    eprintln!("{cycles} cycles: {grown} bytes more");
    assert!(grown < 10 << 20, "{cycles} cycles left {grown} bytes behind");
}
