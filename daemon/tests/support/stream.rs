//! Numbered packets from one network namespace to another.

use std::collections::HashSet;
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_recv_buffer_size_force;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Between two packets.
const PAUSE: Duration = Duration::from_micros(500);

/// A socket of this thread's in a namespace.
fn socket(namespace: &str, address: &str) -> UdpSocket {
    let place = std::fs::File::open(format!("/run/netns/{namespace}")).unwrap();
    move_into_link_name_space(place.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
    UdpSocket::bind(address).unwrap()
}

/// A packet each half millisecond, until it is stopped.
pub(crate) struct Stream {
    stop: Arc<AtomicBool>,
    sender: JoinHandle<u64>,
    receiver: JoinHandle<(HashSet<u64>, Duration)>,
}

/// What has become of them.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) sent: u64,
    pub(crate) lost: u64,
    /// The longest time from one to the next.
    pub(crate) pause: Duration,
}

impl Stream {
    /// From `from` to port 9 of `to`: each a namespace and an address in it.
    pub(crate) fn start(from: (&str, &str), to: (&str, &str)) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (flag, namespace) = (Arc::clone(&stop), to.0.to_owned());
        let (listens, is_listening) = channel();
        let address = format!("{}:9", to.1);
        let target = address.clone();
        let receiver = std::thread::spawn(move || {
            let socket = socket(&namespace, &address);
            socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
            // This thread may have to wait for its turn.
            set_socket_recv_buffer_size_force(&socket, 64 << 20).unwrap();
            listens.send(()).unwrap();
            let (mut seen, mut pause) = (HashSet::new(), Duration::ZERO);
            let (mut last, mut number) = (None, [0; 8]);
            // What is under way when the sender stops is waited for.
            loop {
                let got = socket.recv(&mut number);
                let now = Instant::now();
                match got {
                    Ok(_) => {
                        assert!(seen.insert(u64::from_le_bytes(number)), "one came twice");
                        pause = last.map_or(pause, |last| pause.max(now - last));
                        last = Some(now);
                    }
                    Err(_) if flag.load(Ordering::Relaxed) => break (seen, pause),
                    Err(_) => {}
                }
            }
        });
        is_listening.recv().unwrap();
        let (flag, namespace) = (Arc::clone(&stop), from.0.to_owned());
        let address = format!("{}:0", from.1);
        let sender = std::thread::spawn(move || {
            let socket = socket(&namespace, &address);
            let (mut due, mut number) = (Instant::now(), 0_u64);
            while !flag.load(Ordering::Relaxed) {
                if socket.send_to(&number.to_le_bytes(), &target).is_ok() {
                    number += 1;
                }
                due = (due + PAUSE).max(Instant::now());
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            number
        });
        Self { stop, sender, receiver }
    }

    pub(crate) fn finish(self) -> Arrived {
        self.stop.store(true, Ordering::Relaxed);
        let sent = self.sender.join().unwrap();
        let (seen, pause) = self.receiver.join().unwrap();
        Arrived { sent, lost: sent - seen.len() as u64, pause }
    }
}
