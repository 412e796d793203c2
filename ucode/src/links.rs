//! Ports and their links: looked at once a second, and opened anew when a device has vanished.

use std::io;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use hal::{DeviceCounters, Link, LinkState, Port};
use pal::lcore::StopFlag;

/// Name of the thread that looks at links.
pub(crate) const LINKS: &str = "qfp-links";
/// Between two looks at a link.
const PERIOD: Duration = Duration::from_secs(1);

type Ports = Vec<Box<dyn Port>>;

/// The ports of a run, and who looks at their links.
pub(crate) struct Links {
    ports: Arc<Mutex<Ports>>,
    states: Arc<[Seen]>,
    watcher: Option<(StopFlag, JoinHandle<()>)>,
}

/// What a port says itself.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct PortState {
    /// Its link, as of the last look at it.
    pub link: Link,
    /// How often that was lost.
    pub losses: u64,
    /// The counters that all devices have.
    pub device: DeviceCounters,
    /// More of its own, by name.
    pub xstats: Vec<(String, u64)>,
}

/// A link as it was when somebody looked last.
#[derive(Debug, Default)]
struct Seen {
    state: AtomicU8,
    bits_per_second: AtomicU64,
    losses: AtomicU64,
}

impl Seen {
    fn state(&self) -> LinkState {
        let number = usize::from(self.state.load(Ordering::Relaxed));
        LinkState::ALL.get(number).copied().unwrap_or_default()
    }

    /// Notes what a link is. One thread at a time does that.
    fn note(&self, link: Link) {
        let lost = self.state() == LinkState::Up && link.state != LinkState::Up;
        self.losses.fetch_add(u64::from(lost), Ordering::Relaxed);
        self.begin(link);
    }

    /// Notes what a link is; if it is not up, nothing was lost.
    fn begin(&self, link: Link) {
        self.state.store(link.state as u8, Ordering::Relaxed);
        self.bits_per_second.store(link.bits_per_second, Ordering::Relaxed);
    }

    fn link(&self) -> Link {
        let bits_per_second = self.bits_per_second.load(Ordering::Relaxed);
        Link { state: self.state(), bits_per_second }
    }
}

impl Links {
    /// The ports, started, and their links as they are.
    pub(crate) fn new(ports: Ports) -> Self {
        let states: Arc<[Seen]> = ports.iter().map(|_| Seen::default()).collect();
        for (seen, port) in states.iter().zip(&ports) {
            seen.begin(port.link());
        }
        Self { ports: Arc::new(Mutex::new(ports)), states, watcher: None }
    }

    /// Looks at the links from now on, on a thread: what the system does with a device may take
    /// its time, and neither an lcore nor the slow path waits for that.
    pub(crate) fn watch(&mut self) -> io::Result<()> {
        let stop = StopFlag::new();
        let (ports, states, flag) =
            (Arc::clone(&self.ports), Arc::clone(&self.states), stop.clone());
        let thread = std::thread::Builder::new().name(LINKS.to_owned());
        let watcher = thread.spawn(move || {
            while !flag.is_stopped() {
                std::thread::park_timeout(PERIOD);
                look(&mut lock(&ports), &states);
            }
        })?;
        self.watcher = Some((stop, watcher));
        Ok(())
    }

    /// What each port says.
    pub(crate) fn states(&self) -> Vec<PortState> {
        let ports = self.ports();
        let both = self.states.iter().zip(&*ports);
        both.map(|(seen, port)| PortState {
            link: seen.link(),
            losses: seen.losses.load(Ordering::Relaxed),
            device: port.counters(),
            xstats: port.xstats(),
        })
        .collect()
    }

    pub(crate) fn ports(&self) -> MutexGuard<'_, Ports> {
        lock(&self.ports)
    }

    /// Nobody looks any more: the ports may be stopped.
    pub(crate) fn stop(&mut self) {
        if let Some((stop, watcher)) = self.watcher.take() {
            stop.stop();
            watcher.thread().unpark();
            // If it has panicked, the links are what they were then.
            drop(watcher.join());
        }
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A port is whole between two calls, so those that a panic left behind may go on.
fn lock(ports: &Mutex<Ports>) -> MutexGuard<'_, Ports> {
    ports.lock().unwrap_or_else(PoisonError::into_inner)
}

fn look(ports: &mut Ports, states: &[Seen]) {
    for (port, seen) in ports.iter_mut().zip(states) {
        let link = port.link();
        seen.note(link);
        if link.state == LinkState::Gone && port.reopen().is_ok() {
            seen.note(port.link());
        }
    }
}

#[cfg(test)]
mod tests {
    use hal::port::{PortConfig, PortError, PortInfo, Queues};

    use super::*;

    /// A port whose link is what the test says, in turn.
    struct Script {
        info: PortInfo,
        states: Vec<LinkState>,
        /// What it is after it has been opened anew.
        reopened: Option<LinkState>,
    }

    impl Port for Script {
        fn info(&self) -> &PortInfo {
            &self.info
        }

        fn start(&mut self, _: &PortConfig) -> Result<Queues, PortError> {
            Ok(Queues { rx: Vec::new(), tx: Vec::new() })
        }

        fn link(&self) -> Link {
            Link { state: self.states[0], bits_per_second: 0 }
        }

        fn reopen(&mut self) -> Result<(), PortError> {
            match self.reopened {
                Some(state) => self.states[0] = state,
                None => return Err(PortError::BadSpec { spec: String::new(), reason: "no" }),
            }
            Ok(())
        }
    }

    fn run(states: &[LinkState], reopened: Option<LinkState>) -> Vec<(LinkState, u64)> {
        let info = hal::sink::SinkPort::new().info().clone();
        let port = Script { info, states: vec![states[0]], reopened };
        let links = Links::new(vec![Box::new(port)]);
        let seen_by = |links: &Links| {
            let states = links.states().into_iter();
            states.map(|one| (one.link.state, one.losses)).collect::<Vec<_>>()
        };
        let mut seen = seen_by(&links);
        for &state in &states[1..] {
            let port =
                Script { info: links.ports()[0].info().clone(), states: vec![state], reopened };
            links.ports()[0] = Box::new(port);
            look(&mut links.ports(), &links.states);
            seen.extend(seen_by(&links));
        }
        seen
    }

    #[test]
    fn each_loss_of_a_link_is_counted_once() {
        use LinkState::{Down, Gone, Up};
        assert_eq!(
            run(&[Down, Down, Up, Down, Down, Up, Gone, Gone, Up], None),
            [
                (Down, 0),
                (Down, 0),
                (Up, 0),
                (Down, 1),
                (Down, 1),
                (Up, 1),
                (Gone, 2),
                (Gone, 2),
                (Up, 2)
            ]
        );
    }

    #[test]
    fn a_device_that_is_gone_is_opened_anew() {
        use LinkState::{Down, Gone, Up};
        assert_eq!(run(&[Up, Gone], Some(Up)), [(Up, 0), (Up, 1)]);
        assert_eq!(run(&[Up, Gone, Gone], Some(Down)), [(Up, 0), (Down, 1), (Down, 1)]);
    }
}
