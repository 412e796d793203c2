//! The slow path of a running forwarder, and how it is fed.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hal::PoolCache;
use pal::clock::{Clock, Nanos, TscClock};
use pal::doorbell::Doorbell;
use pal::lcore::StopFlag;
use pal::ring::{Consumer, Producer};
use qfp_core::lpts::{Lpts, LptsRates, LptsSuccession};
use qfp_core::ppe::{Injected, SlowWork};
use qfp_core::punt::{Action, SlowPath, SlowPathCounters};

use crate::applications::Applications;
use crate::hooks::{Injection, PuntHooks, PuntVerdict};
use crate::messages::{Configured, FromSlowPath, Inbox, ToClient, ToSlowPath};
use crate::{HOUSEKEEPING_NS, LAZY_NS};

/// Work taken from one lcore in one go.
const BURST: usize = 256;

/// Packets that wait until lcores see their neighbours.
const HELD_BACK: usize = 4096;

/// How long after work of an lcore's nobody has to ring for more: an lcore makes a system call fifty
/// times a second at most, however its packets leave for the slow path.
const LINGER_NS: u64 = 20 * Nanos::PER_MILLI;

/// How long it sleeps while nobody would wake it.
const NAP: Duration = Duration::from_micros(200);

/// Rounds without work, all inputs ended, after which a run is over.
const QUIET_ROUNDS: u32 = 20;

/// Counts of the slow path, as reports see them.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct SlowCounts {
    /// Its own.
    pub slow_path: SlowPathCounters,
    /// Packets in the rings to and from the lcores, and on their way to them.
    pub in_rings: u64,
    /// Packets of the slow path that no lcore had room for.
    pub inject_queue_full: u64,
    /// Packets of users that were not put in.
    pub inject_refused: u64,
    /// Neighbours that the tables had no room for.
    pub neighbours_refused: u64,
}

/// What others see of the slow path.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    counts: Mutex<SlowCounts>,
    /// Packets of users that were not put in.
    pub(crate) inject_refused: AtomicU64,
}

impl Shown {
    /// The counts as they were shown last. They are whole between two statements, so those of a
    /// thread that has panicked may be read.
    pub(crate) fn counts(&self) -> SlowCounts {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What the slow path puts in, and on which lcore.
pub(crate) type Work = Vec<(u16, Injected)>;

/// How lcores police what comes to the slow path.
pub(crate) struct Policing {
    pub(crate) groups: LptsSuccession,
    pub(crate) rates: LptsRates,
    pub(crate) sessions: Lpts,
}

impl Policing {
    /// What is as it was goes on.
    fn configure(&mut self, rates: LptsRates, sessions: Lpts) {
        if (&self.rates, &self.sessions) != (&rates, &sessions) {
            self.groups.replace(&rates, sessions.clone());
            (self.rates, self.sessions) = (rates, sessions);
        }
    }
}

/// The slow path, and its ends of the lines to and from the client.
pub(crate) struct SlowSide {
    slow: SlowPath,
    policing: Policing,
    pool: PoolCache,
    inbox: Inbox,
    client: ToClient,
    hooks: PuntHooks,
    applications: Applications,
    injections: Consumer<Injection>,
    actions: Vec<Action>,
    /// Neighbours that were reported to the client, and how many of these lcores see.
    reported: u64,
    entered: u64,
    /// Packets for neighbours that lcores do not see yet, with the reports that they wait for.
    held_back: VecDeque<(u64, u16, Injected)>,
    /// There is a configuration that the client has not heard is known here.
    follows: bool,
    /// The client waits for the rings to be cleared.
    clearing: bool,
    counts: SlowCounts,
    shared: Arc<Shown>,
    shown: Nanos,
    /// Something has happened since the counts were shown.
    stirred: bool,
}

impl SlowSide {
    pub(crate) fn new(
        (slow, policing): (SlowPath, Policing),
        pool: PoolCache,
        (inbox, client): (Inbox, ToClient),
        (hooks, applications, injections): (PuntHooks, Applications, Consumer<Injection>),
        shown: Arc<Shown>,
    ) -> Self {
        Self {
            slow,
            policing,
            pool,
            inbox,
            client,
            hooks,
            applications,
            injections,
            actions: Vec::new(),
            reported: 0,
            entered: 0,
            held_back: VecDeque::new(),
            follows: false,
            clearing: false,
            counts: SlowCounts::default(),
            shared: shown,
            shown: Nanos::ZERO,
            stirred: true,
        }
    }

    /// Counts on from what another one has counted; its [`SlowPath`] does so itself.
    pub(crate) fn count_on(&mut self, from: SlowCounts) {
        self.shared.inject_refused.store(from.inject_refused, Ordering::Relaxed);
        self.counts = SlowCounts { in_rings: 0, ..from };
    }

    /// Handles one piece of work; what comes of it is appended to `injected`.
    pub(crate) fn handle(&mut self, now: Nanos, work: SlowWork, injected: &mut Work) {
        match work {
            SlowWork::Punt(packet) => {
                match self.hooks.get_mut(&packet.cause).map(|hook| hook(&packet)) {
                    Some(PuntVerdict::Taken) => self.slow.taken(),
                    _ if self.applications.take(&packet) => self.slow.taken(),
                    _ => self.slow.punt(now, packet, &mut self.pool, &mut self.actions),
                }
            }
            SlowWork::Unreachable(packet, reason) => {
                self.slow.unreachable(now, &packet, reason, &mut self.pool, &mut self.actions);
            }
        }
        self.apply(injected);
    }

    /// Does what is due at `now`.
    pub(crate) fn poll(&mut self, now: Nanos, injected: &mut Work) {
        self.slow.poll(now, &mut self.pool, &mut self.actions);
        self.apply(injected);
    }

    pub(crate) fn next_deadline(&self) -> Option<Nanos> {
        self.slow.next_deadline()
    }

    /// Takes in what the client says, and what users put in. Returns how much that was.
    pub(crate) fn obey(&mut self, now: Nanos, injected: &mut Work) -> usize {
        let mut done = 0;
        let mut is_due = false;
        while let Ok(message) = self.inbox.messages.try_recv() {
            done += 1;
            match message {
                ToSlowPath::Configured(configured) => {
                    self.configure(*configured);
                    is_due = true;
                }
                ToSlowPath::ClearRings => self.clearing = true,
                ToSlowPath::Mtu { uidb, mtu } => self.slow.set_mtu(uidb, mtu),
                ToSlowPath::Applications(all) => self.applications.set(all),
                ToSlowPath::Entered { report } => self.entered = report,
                ToSlowPath::Refused { report, uidb, address } => {
                    self.counts.neighbours_refused += 1;
                    self.slow.neighbour_refused(now, uidb, address);
                    self.entered = report;
                }
                ToSlowPath::Known { uidb, address, mac } => {
                    let (pool, actions) = (&mut self.pool, &mut self.actions);
                    self.slow.adopt(now, (uidb, address), mac, pool, actions);
                }
                ToSlowPath::LookFor { uidb, address } => {
                    self.slow.look_for(now, uidb, address, &mut self.pool, &mut self.actions);
                }
            }
            self.apply(injected);
        }
        if is_due {
            self.poll(now, injected);
        }
        let Self { slow, pool, injections, actions, shared, .. } = self;
        done += injections.pop_burst(BURST, |(to, bytes)| {
            if !slow.originate(to, &bytes, pool, actions) {
                shared.inject_refused.fetch_add(1, Ordering::Relaxed);
            }
        });
        self.apply(injected);
        while let Some((report, lcore, item)) = self.held_back.pop_front() {
            if report > self.entered {
                self.held_back.push_front((report, lcore, item));
                break;
            }
            injected.push((lcore, item));
        }
        // Numbers of tables that are gone are used again once nothing here is in one of them.
        if self.follows && self.held_back.is_empty() {
            self.follows = false;
            (self.client)(FromSlowPath::Followed);
        }
        done
    }

    fn configure(&mut self, configured: Configured) {
        self.slow.set_interfaces(configured.interfaces, &mut self.actions);
        self.slow.set_sides(configured.sides);
        self.slow.set_limits(configured.limits);
        self.policing.configure(configured.rates, configured.sessions);
        for (uidb, address) in configured.removed {
            self.slow.remove_neighbour(uidb, address, &mut self.actions);
        }
        for (uidb, address, mac) in configured.neighbours {
            self.slow.add_static_neighbour(uidb, address, mac);
        }
        self.follows = true;
    }

    /// All that was in the rings when they were to be cleared has been taken out.
    pub(crate) fn rings_cleared(&mut self) {
        if std::mem::take(&mut self.clearing) {
            (self.client)(FromSlowPath::RingsCleared);
        }
    }

    fn apply(&mut self, injected: &mut Work) {
        self.stirred = true;
        // What follows a neighbour may be for it, and finds it in the tables.
        let mut after = 0;
        let mut actions = std::mem::take(&mut self.actions);
        for action in actions.drain(..) {
            match action {
                Action::Inject { lcore, table, origin, within, packet } => {
                    let route = Injected::Route { table, origin, within, packet };
                    self.put_in(after, (lcore, route), injected);
                }
                Action::Forward { lcore, table, next_hop, origin, packet } => {
                    let forward = Injected::Forward { table, next_hop, origin, packet };
                    self.put_in(after, (lcore, forward), injected);
                }
                Action::Transmit { lcore, uidb, packet } => {
                    injected.push((lcore, Injected::Transmit(uidb, packet)));
                }
                Action::TransmitPart { lcore, uidb, packet } => {
                    injected.push((lcore, Injected::TransmitPart(uidb, packet)));
                }
                Action::PathMtu { destination, spi, mtu, .. } => {
                    (self.client)(FromSlowPath::PathMtu { destination, spi, mtu });
                }
                Action::Neighbour { uidb, address, mac } => {
                    self.reported += 1;
                    after = self.reported;
                    (self.client)(FromSlowPath::Neighbour { report: after, uidb, address, mac });
                }
            }
        }
        self.actions = actions;
    }

    /// Puts a packet in once lcores see what was reported before it.
    fn put_in(&mut self, after: u64, item: (u16, Injected), injected: &mut Work) {
        if after <= self.entered {
            injected.push(item);
        } else if self.held_back.len() < HELD_BACK {
            self.held_back.push_back((after, item.0, item.1));
        } else {
            self.counts.inject_queue_full += 1;
        }
    }

    /// Whether something is on its way to the client and back that packets may come of.
    fn awaits(&self) -> bool {
        self.reported > self.entered || !self.held_back.is_empty()
    }

    /// How long nothing is due after `now`, nanoseconds, but for what somebody brings.
    fn rest(&self, now: Nanos) -> u64 {
        let round = self.shown.saturating_add(if self.stirred { HOUSEKEEPING_NS } else { LAZY_NS });
        let due = self.next_deadline().map_or(round, |due| due.min(round));
        due.saturating_since(now)
    }

    /// Now and then: lets reports see the counts.
    pub(crate) fn housekeeping(&mut self, now: Nanos) {
        if now.saturating_since(self.shown) >= HOUSEKEEPING_NS {
            self.shown = now;
            self.stirred = false;
            self.show();
        }
    }

    /// Lets reports see the counts.
    fn show(&mut self) {
        self.counts.slow_path = self.slow.counters().clone();
        self.counts.inject_refused = self.shared.inject_refused.load(Ordering::Relaxed);
        self.shared.counts.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&self.counts);
    }

    /// Ends it: what still waits is dropped and counted.
    pub(crate) fn finish(mut self) {
        self.counts.inject_queue_full += self.held_back.len() as u64;
        let refused = self.injections.len() as u64;
        self.shared.inject_refused.fetch_add(refused, Ordering::Relaxed);
        self.slow.drain();
        self.show();
    }
}

/// The slow path's ends of the rings to one lcore.
pub(crate) struct LcoreRings {
    pub(crate) punts: Consumer<SlowWork>,
    pub(crate) inject: Producer<Injected>,
    /// The lcore's.
    pub(crate) bell: Arc<Doorbell>,
    /// Which of them have been empty since they were to be cleared.
    pub(crate) cleared: [bool; 2],
}

/// The slow path of a forwarder in the machine's time, on its thread.
pub(crate) struct SlowLoop {
    pub(crate) side: SlowSide,
    pub(crate) lcores: Vec<LcoreRings>,
    /// What this thread sleeps on.
    pub(crate) bell: Arc<Doorbell>,
    pub(crate) clock: TscClock,
    /// Lcores whose inputs have ended.
    pub(crate) ended: Arc<AtomicUsize>,
    /// What stops the lcores.
    pub(crate) lcores_stop: StopFlag,
}

/// However the slow path ends, lcores and client do so too.
struct End(StopFlag, ToClient);

impl Drop for End {
    fn drop(&mut self) {
        self.0.stop();
        (self.1)(FromSlowPath::Ended);
    }
}

impl SlowLoop {
    /// Serves the lcores until `stop`, or until all their inputs have ended and nothing moves any
    /// more; then stops them and the client. Returns what [`settle`](Self::settle) takes.
    pub(crate) fn run(mut self, stop: &StopFlag) -> Self {
        let _end = End(self.lcores_stop.clone(), Arc::clone(&self.side.client));
        let (mut quiet, mut worked) = (0, Nanos::ZERO);
        // Its rate limits count from here, so that the quiet time before the first packet earns
        // their bursts.
        let mut injected = Vec::new();
        self.side.poll(self.clock.now(), &mut injected);
        self.put_in(&mut injected);
        while !stop.is_stopped() && !self.lcores_stop.is_stopped() {
            let now = self.clock.now();
            let (served, busy) = self.turn(now, &mut injected);
            if served {
                worked = now;
            }
            // Ended inputs, empty rings and some quiet rounds since: nothing is under way.
            let ended = self.ended.load(Ordering::Acquire) == self.lcores.len();
            let drained = self.lcores.iter().all(|rings| rings.inject.is_empty());
            let is_quiet = ended && drained && !busy && !self.side.awaits();
            quiet = if is_quiet { quiet + 1 } else { 0 };
            if quiet > QUIET_ROUNDS {
                break;
            }
            if !busy {
                let due = Duration::from_nanos(self.side.rest(now));
                if now.saturating_since(worked) < LINGER_NS {
                    self.bell.nap(due.min(NAP));
                } else {
                    let waits = ended || self.side.clearing;
                    let patience = if waits { due.min(NAP) } else { due };
                    let has_work = || {
                        let punted = self.lcores.iter().any(|rings| !rings.punts.is_empty());
                        punted || !self.side.injections.is_empty()
                    };
                    self.bell.sleep(&[], patience, has_work);
                }
            }
        }
        self
    }

    /// One round: does what the client says, what lcores have left here, and what is due. Returns
    /// whether lcores had left something, and whether there was anything at all. `injected` is empty.
    pub(crate) fn turn(&mut self, now: Nanos, injected: &mut Work) -> (bool, bool) {
        let obeyed = self.side.obey(now, injected);
        let served = self.serve(now, injected);
        if self.side.next_deadline().is_some_and(|due| due <= now) {
            self.side.poll(now, injected);
        }
        self.side.counts.in_rings = self.in_rings();
        self.side.housekeeping(now);
        let busy = served + obeyed > 0 || !injected.is_empty();
        self.put_in(injected);
        self.clear_rings();
        (served > 0, busy)
    }

    fn serve(&mut self, now: Nanos, injected: &mut Work) -> usize {
        let Self { side, lcores, .. } = self;
        let serve = |rings: &mut LcoreRings| {
            let served = rings.punts.pop_burst(BURST, |work| side.handle(now, work, injected));
            rings.cleared[0] |= side.clearing && served < BURST;
            served
        };
        lcores.iter_mut().map(serve).sum()
    }

    /// Looks which rings have been empty, if somebody waits for that. What is held back goes into
    /// them first.
    fn clear_rings(&mut self) {
        if !self.side.clearing || !self.side.held_back.is_empty() {
            return;
        }
        for rings in &mut self.lcores {
            rings.cleared[1] |= rings.inject.is_empty();
        }
        if self.lcores.iter().all(|rings| rings.cleared == [true; 2]) {
            self.lcores.iter_mut().for_each(|rings| rings.cleared = [false; 2]);
            self.side.rings_cleared();
        }
    }

    /// Packets on their way to and from the lcores.
    fn in_rings(&self) -> u64 {
        let both = |rings: &LcoreRings| rings.punts.len() + rings.inject.len();
        let in_rings = self.lcores.iter().map(both).sum::<usize>();
        (in_rings + self.side.held_back.len()) as u64
    }

    /// Gives each lcore what is its own: packets of a flow stay in order.
    fn put_in(&mut self, injected: &mut Work) {
        let count = self.lcores.len();
        for (lcore, item) in injected.drain(..) {
            let rings = self.lcores.get_mut(usize::from(lcore) % count.max(1));
            if rings.is_none_or(|rings| rings.inject.push(item).is_err()) {
                self.side.counts.inject_queue_full += 1;
            }
        }
        let filled = self.lcores.iter().filter(|rings| !rings.inject.is_empty());
        filled.for_each(|rings| rings.bell.ring());
    }

    /// After the lcores have stopped: counts what they left in their rings, and ends.
    pub(crate) fn settle(mut self, now: Nanos) {
        let mut injected = Vec::new();
        while self.serve(now, &mut injected) > 0 {}
        self.side.counts.inject_queue_full += injected.len() as u64;
        drop(injected);
        self.side.counts.in_rings = self.in_rings() - self.side.held_back.len() as u64;
        self.side.finish();
    }
}
