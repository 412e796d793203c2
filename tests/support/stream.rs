//! Packets at a steady rate through a router between two namespaces, and for how long none came.

use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use qfp::Running;
use qfp::report::RunReport;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::namespaces::Namespace;

/// The port that packets go to.
pub(crate) const PORT: u16 = 9;

/// Takes this thread into a namespace.
pub(crate) fn enter(namespace: &str) {
    let place = std::fs::File::open(format!("/run/netns/{namespace}")).unwrap();
    move_into_link_name_space(place.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
}

/// Counters that must never go back.
fn counted(report: &RunReport) -> Vec<u64> {
    let slow = |name| report.slow_path.iter().find(|(n, _)| *n == name).map_or(0, |(_, n)| *n);
    let mut all = vec![report.received(), report.forwarded(), report.punted(), report.dropped()];
    all.extend(["punted", "arp_replies", "neighbours_learnt"].map(slow));
    all
}

/// Kills data planes of `running`, one after the other with a pause before each, and waits until the next
/// one is there, for `patience` at most. Returns the last report; no counter has gone back.
pub(crate) fn kill_again_and_again(
    running: &Running,
    kills: u32,
    (pause, patience): (Duration, Duration),
) -> RunReport {
    let mut before = running.report();
    for kill in 0..kills {
        std::thread::sleep(pause);
        let pid = running.ucode().unwrap().pid.unwrap();
        assert!(Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
        let killed = Instant::now();
        while !running.ucode().is_some_and(|ucode| {
            ucode.restarts == u64::from(kill + 1) && ucode.pid.is_some_and(|new| new != pid)
        }) {
            assert!(killed.elapsed() < patience, "{:?}", running.ucode());
            std::thread::sleep(Duration::from_millis(1));
        }
        let now = running.report();
        for (now, before) in counted(&now).into_iter().zip(counted(&before)) {
            assert!(now >= before, "{now} < {before} after kill {kill}");
        }
        before = now;
    }
    before
}

/// A packet each half millisecond from west to a host in the east, until it is stopped.
pub(crate) struct Stream {
    stop: Arc<AtomicBool>,
    sender: JoinHandle<()>,
    receiver: JoinHandle<Vec<f64>>,
}

impl Stream {
    pub(crate) fn start(west: &Namespace, east: &Namespace, host: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let sender = send(west, host, Duration::from_micros(500), &stop);
        let (flag, east, host) = (Arc::clone(&stop), east.name.clone(), host.to_owned());
        let receiver = std::thread::spawn(move || {
            enter(&east);
            let socket = UdpSocket::bind((host.as_str(), PORT)).unwrap();
            socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
            let (mut last, mut gaps): (Option<Instant>, _) = (None, Vec::new());
            while !flag.load(Ordering::Relaxed) {
                if socket.recv(&mut [0; 64]).is_ok() {
                    let now = Instant::now();
                    gaps.extend(last.map(|last| (now - last).as_secs_f64() * 1e3));
                    last = Some(now);
                }
            }
            gaps
        });
        Self { stop, sender, receiver }
    }

    /// Says how long the longest `kills` times were in which no packet came. Returns the longest,
    /// milliseconds.
    pub(crate) fn finish(self, kills: usize) -> f64 {
        self.stop.store(true, Ordering::Relaxed);
        self.sender.join().unwrap();
        let mut gaps = self.receiver.join().unwrap();
        gaps.sort_unstable_by(f64::total_cmp);
        let outages = gaps.split_off(gaps.len() - kills);
        let quantile = |percent: usize| outages[(outages.len() - 1) * percent / 100];
        let (p50, p99, longest) = (quantile(50), quantile(99), quantile(100));
        eprintln!(
            "{kills} kills: outage p50 {p50:.1} ms, p99 {p99:.1} ms, longest {longest:.1} ms; \
             beside them {:.1} ms",
            gaps.last().unwrap(),
        );
        longest
    }
}

/// Sends a packet every so often from a namespace to a host, until it is told to stop.
pub(crate) fn send(
    from: &Namespace,
    host: &str,
    pause: Duration,
    stop: &Arc<AtomicBool>,
) -> JoinHandle<()> {
    let (stop, from, host) = (Arc::clone(stop), from.name.clone(), host.to_owned());
    std::thread::spawn(move || {
        enter(&from);
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        let mut due = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            // A device without a router takes none.
            drop(socket.send_to(b"here", (host.as_str(), PORT)));
            due += pause;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    })
}
