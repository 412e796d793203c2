//! A router without traffic sleeps, and is awake at once.

use std::time::Duration;

use super::Bench;

/// Time that the threads of a process have had on CPUs, nanoseconds.
fn on_cpu(pid: u32) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let times = tasks.map(|task| {
        let text = std::fs::read_to_string(task.path().join("schedstat")).unwrap();
        text.split_whitespace().next().unwrap().parse::<u64>().unwrap()
    });
    times.sum()
}

#[test]
fn an_idle_router_takes_no_time_and_answers_within_a_millisecond() {
    let Some(bench) = Bench::new(1500) else { return };
    let pid = bench.router.child.as_ref().unwrap().id();
    // What the hosts have to say when a link comes up is said.
    std::thread::sleep(Duration::from_secs(3));
    let (before, seconds) = (on_cpu(pid), 10);
    std::thread::sleep(Duration::from_secs(seconds));
    let per_second = (on_cpu(pid) - before) / seconds;
    eprintln!("idle: {per_second} ns of CPU a second");
    assert!(per_second < 10_000_000, "{per_second} ns a second");

    // The host asks for the router's address first; both answers are the slow path's.
    let milliseconds = |said: String| {
        let time = said.split("time=").nth(1).and_then(|rest| rest.split(' ').next());
        time.unwrap().parse::<f64>().unwrap()
    };
    let times = [(); 8].map(|()| {
        bench.west.must("ip neigh flush dev west");
        std::thread::sleep(Duration::from_millis(700));
        milliseconds(bench.west.must("ping -c 1 -W 5 10.1.0.1"))
    });
    eprintln!("first answers: {times:?} ms");
    assert!(times.iter().any(|time| *time < 1.0), "{times:?} ms");
    bench.finish();
}
