//! The control side of a running forwarder: the slow path, the client, and how they are fed.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use client::acl::Family;
use client::config::{Config, RouteTable};
use client::ea::TcamUsage;
use client::{Client, ListEdit, ListError};
use hal::PoolCache;
use pal::clock::{Clock, Nanos, TscClock};
use pal::doorbell::Doorbell;
use pal::lcore::StopFlag;
use pal::publication::Generation;
use pal::ring::{Consumer, Producer};
use qfp_core::ppe::{Injected, SlowWork};
use qfp_core::punt::{Action, SlowPath, SlowPathCounters};
use qfp_core::uidb::UidbIndex;

use crate::ipsec::{self, Events, Paths};
use crate::lists::{InUse, Lists};
use crate::reconfigure::{InForce, InterfaceState, ReconfigureError};
use crate::report::IpsecReport;

/// Work taken from one lcore in one go.
const BURST: usize = 256;

/// How long after work of an lcore's nobody has to ring for more: an lcore makes a system call fifty
/// times a second at most, however its packets leave for the slow path.
const LINGER_NS: u64 = 20 * Nanos::PER_MILLI;

/// How long the control thread sleeps while nobody would wake it: inputs have ended and what is
/// under way is waited for, or what inbound SAs accept has to stay ahead of their peers.
const NAP: Duration = Duration::from_micros(200);

/// Rounds without work, all inputs ended, after which a run is over.
const QUIET_ROUNDS: u32 = 20;

/// Between two rounds of housekeeping.
const HOUSEKEEPING_NS: u64 = 50 * Nanos::PER_MILLI;
/// Between two rounds when nothing has happened since the last one.
const LAZY_NS: u64 = Nanos::PER_SECOND;

/// Counts of the control side, as reports see them.
#[derive(Clone, Debug, Default)]
pub(crate) struct ControlCounts {
    pub(crate) slow_path: SlowPathCounters,
    /// Packets in the rings to and from the lcores.
    pub(crate) in_rings: u64,
    /// Packets of the slow path that no lcore had room for.
    pub(crate) inject_queue_full: u64,
    /// Neighbours that the tables had no room for.
    pub(crate) neighbours_refused: u64,
    pub(crate) generation: u64,
    /// Access lists and route maps, as of the last look at them.
    pub(crate) in_use: Arc<InUse>,
    pub(crate) tcam: Option<TcamUsage>,
    /// SAs, at the end.
    pub(crate) ipsec: Option<IpsecReport>,
}

/// What the slow path puts in, and on which lcore.
pub(crate) type Work = Vec<(u16, Injected)>;

/// What somebody wants done by whoever owns the control side.
pub(crate) type Command = Box<dyn FnOnce(&mut Control) + Send>;

/// What others see of the control side.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) counts: Mutex<ControlCounts>,
    /// Lists have changed since the counts were shown.
    pub(crate) stale: AtomicBool,
    pub(crate) sa_events: Events,
}

impl Shared {
    pub(crate) fn counts(&self) -> ControlCounts {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The slow path and the client, with one owner at a time.
pub(crate) struct Control {
    slow: SlowPath,
    client: Client,
    in_force: InForce,
    paths: Paths,
    lists: Lists,
    pool: PoolCache,
    commands: Option<Receiver<Command>>,
    actions: Vec<Action>,
    counts: ControlCounts,
    shared: Arc<Shared>,
    /// When it was called last.
    now: Nanos,
    housekept: Nanos,
    tidied: Nanos,
    /// Something has happened since the last housekeeping, or waits for the next one.
    stirred: bool,
}

impl Control {
    pub(crate) fn new(
        slow: SlowPath,
        (mut client, in_force, lists): (Client, InForce, Lists),
        pool: PoolCache,
        commands: Receiver<Command>,
        shared: Arc<Shared>,
    ) -> Self {
        // What is bound is to be shown the first time.
        shared.stale.store(true, Ordering::Relaxed);
        // The first classes have counted nothing yet.
        client.take_new_classes();
        Self {
            slow,
            client,
            in_force,
            paths: Paths::default(),
            lists,
            pool,
            commands: Some(commands),
            actions: Vec::new(),
            counts: ControlCounts::default(),
            shared,
            now: Nanos::ZERO,
            housekept: Nanos::ZERO,
            tidied: Nanos::ZERO,
            stirred: true,
        }
    }

    /// Does what others have asked for. Returns how much that was.
    pub(crate) fn obey(&mut self) -> usize {
        let mut done = 0;
        while let Some(command) = self.commands.as_ref().and_then(|c| c.try_recv().ok()) {
            command(self);
            self.stirred = true;
            done += 1;
        }
        done
    }

    /// From here on nobody's commands are listened to; who waits for an answer hears so.
    pub(crate) fn turn_away(&mut self) {
        self.commands = None;
    }

    /// Edits an access list.
    pub(crate) fn edit_list(
        &mut self,
        family: Family,
        name: &str,
        edits: &[ListEdit],
    ) -> Result<(), ListError> {
        self.lists.before_change(&mut self.client);
        self.client.edit_list(&mut self.lists.document, family, name, edits)?;
        self.shared.stale.store(true, Ordering::Release);
        Ok(())
    }

    /// Puts another configuration in force.
    pub(crate) fn commit(
        &mut self,
        config: Config,
        routes: &RouteTable,
    ) -> Result<Generation, ReconfigureError> {
        let Self { slow, client, in_force, lists, actions, .. } = self;
        lists.before_change(client);
        let generation = in_force.commit((config, routes), client, slow, actions)?;
        lists.follow(in_force.config(), client);
        self.paths.again(client, slow);
        self.shared.stale.store(true, Ordering::Release);
        Ok(generation)
    }

    /// The interfaces, in the order of the configuration.
    pub(crate) fn interfaces(&self) -> Vec<InterfaceState> {
        self.in_force.interfaces(&self.client)
    }

    /// Neighbours whose MAC addresses are known.
    pub(crate) fn neighbours(&self) -> Vec<(UidbIndex, IpAddr, [u8; 6])> {
        self.slow.neighbours()
    }

    /// The client, for what no more than it has to know of.
    pub(crate) fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// What of the classifier is in use.
    pub(crate) fn tcam_usage(&self) -> TcamUsage {
        self.client.tcam_usage()
    }

    /// When there is nothing else to do, now and then: makes lists better that edits have made
    /// worse.
    pub(crate) fn tidy(&mut self, now: Nanos) {
        if now.saturating_since(self.tidied) >= HOUSEKEEPING_NS {
            self.tidied = now;
            self.client.tidy_lists();
        }
    }

    /// Handles one piece of work; what comes of it is appended to `injected`.
    pub(crate) fn handle(&mut self, now: Nanos, work: SlowWork, injected: &mut Work) {
        match work {
            SlowWork::Punt(packet) => {
                self.slow.punt(now, packet, &mut self.pool, &mut self.actions);
            }
            SlowWork::Unreachable(packet, reason) => {
                self.slow.unreachable(now, &packet, reason, &mut self.pool, &mut self.actions);
            }
        }
        self.apply(now, injected);
    }

    /// Does what is due at `now`.
    pub(crate) fn poll(&mut self, now: Nanos, injected: &mut Work) {
        self.slow.poll(now, &mut self.pool, &mut self.actions);
        self.apply(now, injected);
    }

    pub(crate) fn next_deadline(&self) -> Option<Nanos> {
        self.slow.next_deadline()
    }

    /// How long nothing is due after `now`, nanoseconds, but for what somebody brings.
    fn rest(&self, now: Nanos) -> u64 {
        let (_, sas) = self.client.sa_usage();
        let is_due = self.stirred || sas > 0;
        let round = self.housekept.saturating_add(if is_due { HOUSEKEEPING_NS } else { LAZY_NS });
        let due = self.next_deadline().map_or(round, |due| due.min(round));
        due.saturating_since(now)
    }

    fn apply(&mut self, now: Nanos, injected: &mut Work) {
        self.stirred = true;
        for action in self.actions.drain(..) {
            match action {
                Action::Inject { lcore, table, origin, within, packet } => {
                    let route = Injected::Route { table, origin, within, packet };
                    injected.push((lcore, route));
                }
                Action::Forward { lcore, table, next_hop, origin, packet } => {
                    let forward = Injected::Forward { table, next_hop, origin, packet };
                    injected.push((lcore, forward));
                }
                Action::Transmit { lcore, uidb, packet } => {
                    injected.push((lcore, Injected::Transmit(uidb, packet)));
                }
                Action::TransmitPart { lcore, uidb, packet } => {
                    injected.push((lcore, Injected::TransmitPart(uidb, packet)));
                }
                Action::PathMtu { destination, spi, mtu, .. } => {
                    let said = (spi, destination, mtu);
                    self.paths.smaller(now, said, &self.client, &mut self.slow);
                }
                Action::Neighbour { uidb, address, mac } => {
                    if self.client.neighbour(uidb, address, mac).is_err() {
                        self.counts.neighbours_refused += 1;
                        self.slow.neighbour_refused(now, uidb, address);
                        // What is left of it makes room for others; there may be nothing.
                        let _ = self.client.neighbour(uidb, address, None);
                    }
                }
            }
        }
    }

    /// Now and then: frees what no lcore reads any more, asks for lost members of groups, looks at
    /// SAs, and lets reports see the counts.
    pub(crate) fn housekeeping(&mut self, now: Nanos, injected: &mut Work) {
        self.now = now;
        if now.saturating_since(self.housekept) < HOUSEKEEPING_NS {
            return;
        }
        self.housekept = now;
        self.client.housekeeping();
        let lost = self.client.lost_next_hops();
        for &(uidb, address) in &lost {
            self.slow.look_for(now, uidb, address, &mut self.pool, &mut self.actions);
        }
        self.apply(now, injected);
        self.stirred = !lost.is_empty();
        ipsec::watch(now, &mut self.client, &self.shared.sa_events);
        self.paths.age(now, &self.client, &mut self.slow);
        self.show();
    }

    /// Lets inbound SAs accept more sequence numbers. In the time of captures, where the disk takes
    /// no time, `wait` has it done between two vectors.
    pub(crate) fn keep_ahead(&mut self, now: Nanos, wait: bool) {
        ipsec::keep_ahead(now, wait, &mut self.client, &self.shared.sa_events);
    }

    /// Lets reports see the counts.
    pub(crate) fn show(&mut self) {
        self.counts.slow_path = self.slow.counters().clone();
        self.counts.generation = self.client.generation().0;
        self.counts.tcam = Some(self.client.tcam_usage());
        if self.shared.stale.swap(false, Ordering::AcqRel) {
            self.counts.in_use = Arc::new(self.lists.in_use(&self.client));
        }
        let mut shared = self.shared.counts.lock().unwrap_or_else(PoisonError::into_inner);
        shared.clone_from(&self.counts);
    }

    /// Ends it: what still waits is dropped and counted.
    pub(crate) fn finish(mut self) {
        self.slow.drain();
        ipsec::watch(self.now, &mut self.client, &self.shared.sa_events);
        ipsec::close(&mut self.client, &self.shared.sa_events);
        self.counts.ipsec = ipsec::report(&self.client)
            .map(|report| IpsecReport { events: self.shared.sa_events.take(), ..report });
        self.show();
    }
}

/// The control thread's ends of the rings to one lcore.
pub(crate) struct LcoreRings {
    pub(crate) punts: Consumer<SlowWork>,
    pub(crate) inject: Producer<Injected>,
    /// The lcore's.
    pub(crate) bell: Arc<Doorbell>,
}

/// The control thread of a forwarder in the machine's time.
pub(crate) struct ControlLoop {
    pub(crate) control: Control,
    pub(crate) lcores: Vec<LcoreRings>,
    /// What this thread sleeps on.
    pub(crate) bell: Arc<Doorbell>,
    pub(crate) clock: TscClock,
    /// Lcores whose inputs have ended.
    pub(crate) ended: Arc<AtomicUsize>,
    /// What stops the lcores.
    pub(crate) lcores_stop: StopFlag,
}

impl ControlLoop {
    /// Serves the lcores until `stop`, or until all their inputs have ended and nothing moves any
    /// more; then stops them. Returns the control side and the rings for [`settle`](Self::settle).
    pub(crate) fn run(mut self, stop: &StopFlag) -> Self {
        let (mut quiet, mut worked) = (0, Nanos::ZERO);
        // Its rate limits count from here, so that the quiet time before the first packet earns
        // their bursts.
        let mut injected = Vec::new();
        self.control.poll(self.clock.now(), &mut injected);
        self.put_in(injected);
        while !stop.is_stopped() && !self.lcores_stop.is_stopped() {
            let now = self.clock.now();
            let mut injected = Vec::new();
            let obeyed = self.control.obey();
            let served = self.serve(now, &mut injected);
            if served > 0 {
                worked = now;
            }
            let handled = served + obeyed;
            if obeyed > 0 || self.control.next_deadline().is_some_and(|due| due <= now) {
                self.control.poll(now, &mut injected);
            }
            self.control.keep_ahead(now, false);
            self.control.counts.in_rings = self.in_rings();
            self.control.housekeeping(now, &mut injected);
            let busy = handled > 0 || !injected.is_empty();
            self.put_in(injected);
            // Ended inputs, empty rings and some quiet rounds since: nothing is under way.
            let ended = self.ended.load(Ordering::Acquire) == self.lcores.len();
            let drained = self.lcores.iter().all(|rings| rings.inject.is_empty());
            quiet = if ended && drained && !busy { quiet + 1 } else { 0 };
            if quiet > QUIET_ROUNDS {
                break;
            }
            if !busy {
                self.control.tidy(now);
                let polls = ended || self.control.client.keeps_ahead();
                let due = Duration::from_nanos(self.control.rest(now));
                let patience = if polls { due.min(NAP) } else { due };
                if now.saturating_since(worked) < LINGER_NS {
                    std::thread::sleep(patience.min(NAP));
                } else {
                    let has_work = || self.lcores.iter().any(|rings| !rings.punts.is_empty());
                    self.bell.sleep(&[], patience, has_work);
                }
            }
        }
        self.lcores_stop.stop();
        self.control.turn_away();
        self
    }

    fn serve(&mut self, now: Nanos, injected: &mut Work) -> usize {
        let Self { control, lcores, .. } = self;
        let serve = |rings: &mut LcoreRings| {
            rings.punts.pop_burst(BURST, |work| control.handle(now, work, injected))
        };
        lcores.iter_mut().map(serve).sum()
    }

    /// Packets on their way to and from the lcores.
    fn in_rings(&self) -> u64 {
        let both = |rings: &LcoreRings| rings.punts.len() + rings.inject.len();
        self.lcores.iter().map(both).sum::<usize>() as u64
    }

    /// Gives each lcore what is its own: packets of a flow stay in order.
    fn put_in(&mut self, injected: Work) {
        let count = self.lcores.len();
        for (lcore, item) in injected {
            let rings = self.lcores.get_mut(usize::from(lcore) % count.max(1));
            if rings.is_none_or(|rings| rings.inject.push(item).is_err()) {
                self.control.counts.inject_queue_full += 1;
            }
        }
        let filled = self.lcores.iter().filter(|rings| !rings.inject.is_empty());
        filled.for_each(|rings| rings.bell.ring());
    }

    /// After the lcores have stopped: counts what they left in their rings, and ends.
    pub(crate) fn settle(mut self) {
        let now = self.clock.now();
        let mut injected = Vec::new();
        while self.serve(now, &mut injected) > 0 {}
        self.control.counts.inject_queue_full += injected.len() as u64;
        drop(injected);
        self.control.counts.in_rings = self.in_rings();
        self.control.finish();
    }
}
