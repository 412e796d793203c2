//! Ports and their links: looked at once a second, and opened anew when a device has vanished.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use hal::handover::{Descriptors, Handed};
use hal::{DeviceCounters, Link, LinkState, Port, PortConfig, PortError};
use pal::lcore::StopFlag;

/// Name of the thread that looks at links.
pub(crate) const LINKS: &str = "qfp-links";
/// Between two looks at a link.
const PERIOD: Duration = Duration::from_secs(1);

/// A port that is started.
struct Started {
    port: Box<dyn Port>,
    config: PortConfig,
    seen: Seen,
}

/// The ports of a run, by number.
#[derive(Default)]
pub(crate) struct Ports(Mutex<BTreeMap<u16, Started>>);

impl Ports {
    /// A port is whole between two calls, so those that a panic left behind may go on.
    fn all(&self) -> MutexGuard<'_, BTreeMap<u16, Started>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A port that was started so, in place of one that is returned.
    pub(crate) fn insert(
        &self,
        number: u16,
        port: Box<dyn Port>,
        config: PortConfig,
    ) -> Option<Box<dyn Port>> {
        let seen = Seen::default();
        seen.begin(port.link());
        self.all().insert(number, Started { port, config, seen }).map(|before| before.port)
    }

    /// Takes a port out, with what it was started with.
    pub(crate) fn remove(&self, number: u16) -> Option<(Box<dyn Port>, PortConfig)> {
        self.all().remove(&number).map(|removed| (removed.port, removed.config))
    }

    /// Takes all ports out.
    pub(crate) fn take(&self) -> impl Iterator<Item = Box<dyn Port>> {
        std::mem::take(&mut *self.all()).into_values().map(|removed| removed.port)
    }

    /// The SPEC of a port.
    pub(crate) fn spec(&self, number: u16) -> Option<String> {
        self.all().get(&number).map(|started| started.port.info().spec.clone())
    }

    /// Has a port go on with a device that another process has opened in place of one that is gone.
    pub(crate) fn hand(
        &self,
        number: u16,
        handed: &Handed,
        with: Vec<OwnedFd>,
    ) -> Result<(), PortError> {
        // One that has been removed meanwhile needs none.
        let mut all = self.all();
        let Some(started) = all.get_mut(&number) else { return Ok(()) };
        let mut descriptors = Descriptors::new(handed.spec(), with);
        started.port.take(&mut descriptors)?;
        descriptors.end()
    }

    /// What each port says.
    pub(crate) fn states(&self) -> Vec<PortState> {
        let state = |(number, started): (&u16, &Started)| PortState {
            number: *number,
            link: started.seen.link(),
            losses: started.seen.losses.load(Ordering::Relaxed),
            device: started.port.counters(),
            xstats: started.port.xstats(),
        };
        self.all().iter().map(state).collect()
    }

    /// Looks at the link of each port, and has a device opened anew that is gone.
    fn look(&self) {
        for Started { port, seen, .. } in self.all().values_mut() {
            let link = port.link();
            seen.note(link);
            if link.state == LinkState::Gone && port.reopen().is_ok() {
                seen.note(port.link());
            }
        }
    }
}

/// Who looks at the links of ports.
pub(crate) struct Links {
    ports: Arc<Ports>,
    watcher: Option<(StopFlag, JoinHandle<()>)>,
}

/// What a port says itself.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct PortState {
    /// Its number.
    pub number: u16,
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
    /// Nobody looks yet.
    pub(crate) fn new(ports: Arc<Ports>) -> Self {
        Self { ports, watcher: None }
    }

    /// Looks at the links from now on, on a thread: what the system does with a device may take
    /// its time, and neither an lcore nor the slow path waits for that.
    pub(crate) fn watch(&mut self) -> io::Result<()> {
        let stop = StopFlag::new();
        let (ports, flag) = (Arc::clone(&self.ports), stop.clone());
        let thread = std::thread::Builder::new().name(LINKS.to_owned());
        let watcher = thread.spawn(move || {
            while !flag.is_stopped() {
                std::thread::park_timeout(PERIOD);
                ports.look();
            }
        })?;
        self.watcher = Some((stop, watcher));
        Ok(())
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

#[cfg(test)]
mod tests {
    use hal::port::{PortInfo, Queues};

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
        let port = |state| {
            Box::new(Script { info: info.clone(), states: vec![state], reopened }) as Box<dyn Port>
        };
        let ports = Ports::default();
        ports.insert(7, port(states[0]), PortConfig::default());
        let seen_by = |ports: &Ports| {
            let states = ports.states().into_iter();
            states.map(|one| (one.link.state, one.losses)).collect::<Vec<_>>()
        };
        let mut seen = seen_by(&ports);
        for &state in &states[1..] {
            if let Some(started) = ports.all().get_mut(&7) {
                started.port = port(state);
            }
            ports.look();
            seen.extend(seen_by(&ports));
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
