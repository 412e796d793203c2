//! A data plane in a process of its own: started, talked to, and started again when it dies.

mod child;
mod names;
mod relaunch;
mod sockets;
mod takeover;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hal::PortError;
use pal::lcore::{LaunchError, StopFlag};
use pal::process::Ended;
use qfp_core::counters::{CounterTotals, LoopEvent};
use ucode::wire::{Answer, Order};
use ucode::{EndError, InjectError, Injection, PortState, SlowCounts};

use crate::applications::Applications;
use crate::control::{ClientSide, ToClient};
pub use child::ApartError;
pub(crate) use child::{Child, Program, Recipe};
pub(crate) use names::Names;
pub(crate) use relaunch::{Launcher, Orders, Relaunch};
pub(crate) use sockets::ApartSockets;
pub(crate) use takeover::{AtWork, Door, find};

/// The thread that watches over the data plane.
const WATCH: &str = "qfp-watch";
/// How long an lcore may poll nothing: one that sleeps polls ten times a second.
const STILL: Duration = Duration::from_secs(2);
/// Between two looks at whether devices have vanished.
const DEVICES: Duration = Duration::from_secs(1);
/// Between two looks at whether the run is to be stopped.
const ROUND: Duration = Duration::from_millis(50);
/// How long the data plane may take to start, to end, and to answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// A data plane that has lived that long has not died of its start.
const LONG_LIFE: Duration = Duration::from_secs(1);
/// Deaths one after the other, each after a short life, after which it is left alone.
const DEATHS: u32 = 8;
/// The second start in a row waits that long, and each one after it twice as long.
const BACK_OFF: Duration = Duration::from_millis(50);

/// A data plane in a process of its own, as others see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UcodeState {
    /// Its process; none while there is none.
    pub pid: Option<u32>,
    /// How often it was started again.
    pub restarts: u64,
    /// How the last one that has died did so: status, and the last line it has written.
    pub last_exit: Option<String>,
    /// It has died so often that it is left alone.
    pub given_up: bool,
    /// When the one that runs was started.
    pub since: Option<Instant>,
}

/// What the thread that watches shares with the handle.
#[derive(Default)]
struct Seen {
    /// Counts of the data plane that runs.
    counts: Mutex<SlowCounts>,
    ports: Mutex<(u64, Vec<PortState>)>,
    answered: Condvar,
    /// What has become of ports that were plugged or pulled, by the number that it was asked by.
    plugged: Mutex<sockets::Answers>,
    plug_answered: Condvar,
    state: Mutex<UcodeState>,
    program: Mutex<Option<Arc<Program>>>,
    finished: AtomicBool,
    /// Who waits for another data plane in place of this one.
    upgrade: Mutex<Option<Upgrade>>,
    asked: AtomicU64,
    inject_refused: AtomicU64,
}

impl Seen {
    /// This one runs, since then.
    fn runs(&self, child: &Child, since: Instant) {
        let mut state = lock(&self.state);
        (state.pid, state.since) = (Some(child.pid()), Some(since));
        drop(state);
        *lock(&self.program) = Some(child.program());
    }
}

/// Where it is said what has become of an upgrade.
type Upgrade = Sender<Result<(), ApartError>>;

fn lock<T>(one: &Mutex<T>) -> MutexGuard<'_, T> {
    one.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A data plane that runs in a process of its own.
pub(crate) struct Apart {
    seen: Arc<Seen>,
    recipe: Arc<Recipe>,
    stop: StopFlag,
    watcher: Option<JoinHandle<Last>>,
    total_packets: Option<u64>,
}

impl Apart {
    /// Launches what `child` has opened, or has it go on by other tables.
    pub(crate) fn launch(
        (mut child, counted): (Child, SlowCounts),
        orders: Orders,
        (to_client, applications): (Sender<ToClient>, Arc<Applications>),
        pulse: Pulse,
    ) -> Result<Self, crate::StartError> {
        let (total_packets, recipe) = (child.total_packets, child.recipe());
        let seen = Arc::new(Seen::default());
        *lock(&seen.counts) = counted;
        child.launch(orders)?;
        // Whoever asks before the thread runs hears of it, too.
        seen.runs(&child, Instant::now());
        let stop = StopFlag::new();
        let (shared, flag) = (Arc::clone(&seen), stop.clone());
        let mut watch =
            Watch { seen: shared, to_client, applications, stop: flag, pulse, upgrading: None };
        let thread = std::thread::Builder::new().name(WATCH.to_owned());
        let watcher = thread.spawn(move || watch.run(child));
        let failed = |source| LaunchError::Spawn { name: WATCH.to_owned(), source };
        Ok(Self { seen, recipe, stop, watcher: Some(watcher.map_err(failed)?), total_packets })
    }

    pub(crate) fn stop_flag(&self) -> StopFlag {
        self.stop.clone()
    }

    /// Where ports are plugged in.
    pub(crate) fn sockets(&self) -> ApartSockets {
        ApartSockets::new(Arc::clone(&self.seen), Arc::clone(&self.recipe))
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.seen.finished.load(Ordering::Acquire) || self.stop.is_stopped()
    }

    pub(crate) fn total_packets(&self) -> Option<u64> {
        self.total_packets
    }

    pub(crate) fn state(&self) -> UcodeState {
        lock(&self.seen.state).clone()
    }

    /// What the ports say; what they said last while there is nobody to ask.
    pub(crate) fn ports(&self) -> Vec<PortState> {
        let number = self.seen.asked.fetch_add(1, Ordering::Relaxed) + 1;
        let program = lock(&self.seen.program).clone();
        let asked = program.is_some_and(|program| program.send(&Order::Ports(number)).is_ok());
        let ports = lock(&self.seen.ports);
        if !asked {
            return ports.1.clone();
        }
        let patience = PATIENCE.min(Duration::from_secs(1));
        let waited = self.seen.answered.wait_timeout_while(ports, patience, |(answered, _)| {
            *answered < number && !self.stop.is_stopped()
        });
        waited.unwrap_or_else(PoisonError::into_inner).0.1.clone()
    }

    pub(crate) fn slow_path(&self) -> SlowCounts {
        let mut counts = lock(&self.seen.counts).clone();
        counts.inject_refused += self.seen.inject_refused.load(Ordering::Relaxed);
        counts
    }

    pub(crate) fn inject(&self, (to, bytes): Injection) -> Result<(), InjectError> {
        if self.is_finished() {
            return Err(InjectError::Ended);
        }
        let program = lock(&self.seen.program).clone();
        let sent = program.is_some_and(|program| program.send(&Order::Inject(to, bytes)).is_ok());
        if !sent {
            self.seen.inject_refused.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Has another data plane take the place of this one, of the same program as it is now. Waits for
    /// that.
    pub(crate) fn upgrade(&self) -> Result<(), ApartError> {
        let (reply, done) = channel();
        if lock(&self.seen.upgrade).replace(reply).is_some() {
            return Err(ApartError::Refused("another upgrade is under way".to_owned()));
        }
        let done = done.recv_timeout(2 * PATIENCE);
        done.unwrap_or_else(|_| Err(ApartError::Died("nobody does it".to_owned())))
    }

    pub(crate) fn end(&mut self) -> Result<ucode::Ended<ClientSide>, EndError> {
        while !self.is_finished() {
            std::thread::sleep(ROUND);
        }
        self.stop.stop();
        let last = self.watcher.take().map(|watcher| watcher.join().unwrap_or_default());
        let (ports, error) = last.unwrap_or_default();
        let failed = |reason| {
            Err(PortError::Device { port: "qfp-ucode".to_owned(), what: "its end", reason })
        };
        let finished = error.map_or(Ok(()), failed);
        Ok(ucode::Ended { client: None, traces: Vec::new(), ports, finished })
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        self.stop.stop();
        if let Some(watcher) = self.watcher.take() {
            drop(watcher.join());
        }
    }
}

/// What tells an lcore that stands still from one that sleeps: its polls.
pub(crate) struct Pulse {
    /// Lcores that forward; crypto engines are not watched.
    pub(crate) lcores: usize,
    pub(crate) totals: Arc<CounterTotals>,
}

impl Pulse {
    fn polls(&self) -> Vec<u64> {
        let idle = self.totals.event_by_lcore(LoopEvent::IdlePolls);
        let busy = self.totals.event_by_lcore(LoopEvent::BusyPolls);
        idle.zip(busy).map(|(idle, busy)| idle.wrapping_add(busy)).take(self.lcores).collect()
    }

    /// The first lcore that has not polled since `before`.
    fn still(&self, before: &[u64]) -> Option<usize> {
        self.polls().iter().zip(before).position(|(now, before)| now == before)
    }
}

/// What ports said last, and what did not end well.
type Last = (Vec<PortState>, Option<String>);

/// Why nothing more is heard of a data plane.
enum Heard {
    /// It was told to end.
    Ended(Vec<PortState>, Option<String>),
    /// This lcore of it does not move.
    Still(usize),
    Gone,
}

/// Who watches over the data plane.
struct Watch {
    seen: Arc<Seen>,
    to_client: Sender<ToClient>,
    applications: Arc<Applications>,
    stop: StopFlag,
    pulse: Pulse,
    /// The data plane was told to end, and this one takes its place. None if its devices cannot be
    /// opened twice: then it is started when they are free.
    upgrading: Option<(Option<Child>, Upgrade)>,
}

impl Watch {
    fn run(&mut self, mut child: Child) -> Last {
        let mut deaths = 0;
        loop {
            let born = Instant::now();
            self.seen.runs(&child, born);
            let heard = self.listen(&mut child);
            *lock(&self.seen.program) = None;
            let exit = child.wait();
            lock(&self.seen.state).pid = None;
            let (opened, upgrade) = self.upgrading.take().unzip();
            let text = match heard {
                Heard::Ended(..) if upgrade.is_some() => format!("{}, upgraded", exit.text),
                Heard::Ended(ports, error) => break self.finish(ports, error),
                Heard::Still(lcore) => format!("lcore {lcore} stood still; {}", exit.text),
                Heard::Gone => exit.text,
            };
            lock(&self.seen.state).last_exit = Some(text);
            deaths = if born.elapsed() < LONG_LIFE { deaths + 1 } else { 1 };
            let next = self.start_again((&child, exit.ended), opened.flatten(), deaths);
            if let Some(upgrade) = upgrade {
                let failed =
                    || ApartError::Died("it has ended, and no other one starts".to_owned());
                drop(upgrade.send(next.as_ref().map(drop).ok_or_else(failed)));
            }
            let Some(next) = next else {
                // The rest stays up.
                while !self.stop.is_stopped() {
                    std::thread::sleep(ROUND);
                }
                let ports = lock(&self.seen.ports).1.clone();
                break self.finish(ports, None);
            };
            child = next;
        }
    }

    /// Lets all others know that there is no data plane any more.
    fn finish(&self, ports: Vec<PortState>, error: Option<String>) -> Last {
        self.seen.finished.store(true, Ordering::Release);
        self.seen.answered.notify_all();
        drop(self.to_client.send(ToClient::SlowPath(ucode::FromSlowPath::Ended)));
        (ports, error)
    }

    /// Until it has ended or died, or does not move any more.
    fn listen(&mut self, child: &mut Child) -> Heard {
        let program = child.program();
        for answer in std::mem::take(&mut child.early) {
            if let Some(heard) = self.take(answer) {
                return heard;
            }
        }
        let mut told = None;
        let (mut looked, mut polls) = (Instant::now(), self.pulse.polls());
        let mut devices = Instant::now();
        loop {
            if devices.elapsed() > DEVICES {
                if child.look_at_devices().is_err() {
                    return Heard::Gone;
                }
                devices = Instant::now();
            }
            if self.stop.is_stopped() && told.is_none() {
                told = Some(Instant::now());
                if program.send(&Order::End).is_err() {
                    return Heard::Gone;
                }
            }
            if told.is_none() && self.begin_upgrade(child) {
                told = Some(Instant::now());
            }
            if told.is_some_and(|told| told.elapsed() > PATIENCE) {
                return Heard::Gone;
            }
            if told.is_none() && looked.elapsed() > STILL {
                if let Some(lcore) = self.pulse.still(&polls) {
                    return Heard::Still(lcore);
                }
                (looked, polls) = (Instant::now(), self.pulse.polls());
            }
            if !program.wait(ROUND) {
                continue;
            }
            let Some(answer) = program.receive() else { return Heard::Gone };
            if let Some(heard) = self.take(answer) {
                return heard;
            }
        }
    }

    /// Should somebody wait for it, starts another one beside this one, which is told to end when the
    /// other one can begin.
    fn begin_upgrade(&mut self, child: &Child) -> bool {
        let Some(upgrade) = lock(&self.seen.upgrade).take() else { return false };
        let beside = child.can_share().then(|| child.again()).transpose();
        let told = beside.and_then(|beside| {
            let gone = |error: std::io::Error| ApartError::Died(error.to_string());
            child.program().send(&Order::End).map_err(gone)?;
            Ok(beside)
        });
        match told {
            Ok(beside) => {
                self.upgrading = Some((beside, upgrade));
                true
            }
            Err(error) => {
                drop(upgrade.send(Err(error)));
                false
            }
        }
    }

    /// Takes what it says; something if that is the last of it.
    fn take(&self, answer: Answer) -> Option<Heard> {
        match answer {
            Answer::SlowPath(ucode::FromSlowPath::Ended) => {}
            Answer::SlowPath(message) => {
                drop(self.to_client.send(ToClient::SlowPath(message)));
            }
            Answer::Punted(packet) => self.applications.deliver(packet),
            Answer::Counts(counts, finished) => {
                *lock(&self.seen.counts) = *counts;
                let finished = finished && self.upgrading.is_none();
                self.seen.finished.fetch_or(finished, Ordering::Release);
            }
            Answer::Ports(number, ports) => {
                *lock(&self.seen.ports) = (number, ports);
                self.seen.answered.notify_all();
            }
            Answer::Plugged(asked, plugged) => {
                let mut all = lock(&self.seen.plugged);
                // Who has not waited for it does not come any more.
                all.retain(|before, _| asked.abs_diff(*before) < 16);
                all.insert(asked, plugged);
                self.seen.plug_answered.notify_all();
            }
            Answer::Ended(ports, error) => return Some(Heard::Ended(ports, error)),
            Answer::Opened { .. } | Answer::Launched | Answer::Refused(_) => {}
            Answer::Welcome(_) | Answer::Switched => {}
        }
        None
    }

    /// Another one in place of the one that has died, of which `opened` is the first to be tried; none
    /// if there is no use in it.
    fn start_again(
        &mut self,
        (dead, ended): (&Child, Ended),
        mut opened: Option<Child>,
        mut deaths: u32,
    ) -> Option<Child> {
        let mut ended = Some(ended);
        loop {
            if deaths > DEATHS {
                lock(&self.seen.state).given_up = true;
                return None;
            }
            if deaths > 1 && opened.is_none() {
                std::thread::sleep(BACK_OFF * 2_u32.pow(deaths - 2));
            }
            if self.stop.is_stopped() {
                return None;
            }
            let opened = opened.take().map_or_else(|| dead.again(), Ok);
            let (reply, relaunched) = channel();
            let program = opened.as_ref().ok().map(Child::program);
            let counted = lock(&self.seen.counts).clone();
            let relaunch = Relaunch { ended: ended.take(), program, counted, reply };
            self.to_client.send(ToClient::Relaunch(Box::new(relaunch))).ok()?;
            let orders = relaunched.recv().ok()?;
            let launched = opened.and_then(|mut child| {
                child.launch(orders?)?;
                Ok(child)
            });
            match launched {
                Ok(child) => {
                    lock(&self.seen.state).restarts += 1;
                    drop(self.to_client.send(ToClient::Relaunched));
                    return Some(child);
                }
                Err(error) => {
                    lock(&self.seen.state).last_exit = Some(error.to_string());
                    deaths += 1;
                }
            }
        }
    }
}
