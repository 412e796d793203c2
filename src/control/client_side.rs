//! The client of a running forwarder: what is asked of it, and what it looks after.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use client::Client;
use client::config::{Config, RouteTable};
use client::ea::TcamUsage;
use pal::clock::{Clock, Nanos, TscClock};
use pal::faults::{Plant, is_planted};
use pal::lcore::StopFlag;
use qfp_core::uidb::UidbIndex;
use ucode::{Beside, FromSlowPath, HOUSEKEEPING_NS, LAZY_NS, Line, ToSlowPath};

use super::Shared;
use super::messages::{Committed, Reply, Request, ToClient};
use crate::apart::{ApartError, Launcher, Relaunch};
use crate::ipsec::{self, Paths};
use crate::lists::{InUse, Lists};
use crate::names::Names;
use crate::plane::Sockets;
use crate::reconfigure::InForce;
use crate::report::IpsecReport;

/// The thread that serves the handle and the slow path.
pub(crate) const CLIENT: &str = "qfp-client";

/// Between two looks at how far what inbound SAs accept is ahead of their peers.
const NAP_NS: u64 = 200_000;

/// Counts of the client, as reports see them.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClientCounts {
    pub(crate) generation: u64,
    /// What is counted by number.
    pub(crate) names: Arc<Names>,
    /// Access lists and route maps, as of the last look at them.
    pub(crate) in_use: Arc<InUse>,
    pub(crate) tcam: Option<TcamUsage>,
    /// SAs, at the end.
    pub(crate) ipsec: Option<IpsecReport>,
}

/// The client with what is in force, and its ends of the lines to and from others.
pub(crate) struct ClientSide {
    client: Client,
    in_force: InForce,
    lists: Lists,
    paths: Paths,
    /// None once nobody is listened to any more; who waits for an answer hears so.
    inbox: Option<Receiver<ToClient>>,
    slow_path: Line,
    /// Where ports are plugged in, if they can be.
    sockets: Option<Sockets>,
    /// What launches another data plane, if it has a process of its own.
    launcher: Option<Launcher>,
    /// The slow path does not know yet what was committed last; what is asked meanwhile waits.
    is_ahead: bool,
    waiting: VecDeque<Request>,
    counts: ClientCounts,
    shared: Arc<Shared>,
    /// When it was called last.
    now: Nanos,
    housekept: Nanos,
    tidied: Nanos,
    /// Something has happened since the last housekeeping, or waits for the next one.
    stirred: bool,
}

impl ClientSide {
    pub(crate) fn new(
        (mut client, in_force, lists): (Client, InForce, Lists),
        (inbox, slow_path): (Receiver<ToClient>, Line),
        shared: Arc<Shared>,
    ) -> Self {
        // What is bound is to be shown the first time.
        shared.stale.store(true, Ordering::Relaxed);
        // The first classes have counted nothing yet.
        client.take_new_classes();
        Self {
            client,
            in_force,
            lists,
            paths: Paths::default(),
            inbox: Some(inbox),
            slow_path,
            sockets: None,
            launcher: None,
            is_ahead: false,
            waiting: VecDeque::new(),
            counts: ClientCounts::default(),
            shared,
            now: Nanos::ZERO,
            housekept: Nanos::ZERO,
            tidied: Nanos::ZERO,
            stirred: true,
        }
    }

    fn take(&mut self, now: Nanos, message: ToClient) {
        self.stirred = true;
        match message {
            ToClient::Request(request) if self.is_ahead => self.waiting.push_back(request),
            ToClient::Request(request) => self.answer(request),
            ToClient::SlowPath(message) => self.hear(now, message),
            ToClient::Applications(all) => {
                if let Some(launcher) = &mut self.launcher {
                    launcher.launch.applications.clone_from(&all);
                }
                self.slow_path.tell(ToSlowPath::Applications(all));
            }
            ToClient::Relaunch(relaunch) => self.relaunch(*relaunch),
            ToClient::Relaunched => self.relaunched(now),
        }
    }

    /// Ports are plugged in there.
    pub(crate) fn plug_into(&mut self, sockets: Option<Sockets>) {
        self.sockets = sockets;
    }

    /// This data plane may be launched again.
    pub(crate) fn keep(&mut self, launcher: Launcher) {
        self.launcher = Some(launcher);
    }

    /// Lcores have come from the tables of another client to those of this one.
    pub(crate) fn taken_over(&mut self) {
        // The slow path follows.
        self.is_ahead = true;
        self.client.taken_over();
        // The client before may have died before its slow path heard.
        self.tell_known();
    }

    /// Lets a slow path know which neighbours lcores send to.
    fn tell_known(&self) {
        let known = self.client.neighbours().into_iter();
        for (uidb, address, mac) in known.filter(|_| !is_planted(Plant::ForgottenNeighbours)) {
            self.slow_path.tell(ToSlowPath::Known { uidb, address, mac });
        }
    }

    /// What another data plane is launched with. What was on its way to the last one is lost.
    fn relaunch(&mut self, Relaunch { ended, program, counted, reply }: Relaunch) {
        let Some(launcher) = &mut self.launcher else { return };
        if let Some(ended) = ended {
            launcher.bury(&mut self.client, &ended);
        }
        if let Some(program) = program {
            launcher.names.tell_to(program);
        }
        let (line, inbox) = ucode::line_apart();
        self.slow_path = line;
        let configured = self.in_force.configured(&self.client);
        let orders = launcher.orders(&mut self.client, Some((configured, counted)), inbox);
        drop(reply.send(orders.map_err(ApartError::from)));
    }

    /// Another slow path knows what is configured, and no neighbour but these; no ring has a packet.
    fn relaunched(&mut self, now: Nanos) {
        self.client.rings_cleared();
        self.tell_known();
        let mtus = self.paths.again(&self.client);
        self.tell_mtus(mtus);
        self.hear(now, FromSlowPath::Followed);
    }

    fn hear(&mut self, now: Nanos, message: FromSlowPath) {
        match message {
            FromSlowPath::Neighbour { report, uidb, address, mac } => {
                if self.client.neighbour(uidb, address, mac).is_ok() {
                    return self.slow_path.tell(ToSlowPath::Entered { report });
                }
                // What is left of it makes room for others; there may be nothing.
                let _ = self.client.neighbour(uidb, address, None);
                self.slow_path.tell(ToSlowPath::Refused { report, uidb, address });
            }
            FromSlowPath::PathMtu { destination, spi, mtu } => {
                let mtus = self.paths.smaller(now, (spi, destination, mtu), &self.client);
                self.tell_mtus(mtus);
            }
            FromSlowPath::Followed => {
                self.is_ahead = false;
                while !self.is_ahead
                    && let Some(request) = self.waiting.pop_front()
                {
                    self.answer(request);
                }
            }
            FromSlowPath::RingsCleared => self.client.rings_cleared(),
            FromSlowPath::Ended => self.turn_away(),
        }
    }

    /// Should nobody wait for an answer any more, nobody misses it.
    fn answer(&mut self, request: Request) {
        fn give<T>(reply: &Reply<T>, answer: T) {
            drop(reply.send(answer));
        }
        let client = &mut self.client;
        match request {
            Request::Commit { config, routes, reply } => {
                give(&reply, self.commit(*config, &routes));
            }
            Request::Check { config, routes, reply } => {
                let can_plug = self.sockets.is_some();
                give(&reply, self.in_force.check(&config, &routes, can_plug));
            }
            Request::ShowRoutes { query, skip, limit, reply } => {
                give(&reply, client.show_routes(query, skip, limit));
            }
            Request::Resources(reply) => {
                give(&reply, (client.resources(), client.route_count()));
            }
            Request::Vrfs(reply) => {
                give(&reply, client.vrfs().map(|(name, id)| (name.to_owned(), id)).collect());
            }
            Request::Routes { updates, reply } => give(&reply, client.routes(updates)),
            Request::EditList { family, name, edits, reply } => {
                self.lists.before_change(client);
                let edited = client.edit_list(&mut self.lists.document, family, &name, &edits);
                if edited.is_ok() {
                    self.shared.stale.store(true, Ordering::Release);
                }
                give(&reply, edited);
            }
            Request::Interfaces(reply) => give(&reply, self.in_force.interfaces(client)),
            Request::Neighbours(reply) => give(&reply, client.neighbours()),
            Request::TcamUsage(reply) => give(&reply, client.tcam_usage()),
            Request::AddSa { sa, reply } => give(&reply, client.add_sa(*sa)),
            Request::UpdateSa { sa, reply } => give(&reply, client.update_sa(*sa)),
            Request::DeleteSa { name, reply } => give(&reply, client.delete_sa(&name)),
            Request::FlushSas(reply) => give(&reply, client.flush_sas()),
            Request::AllocateSpi(reply) => give(&reply, client.allocate_spi()),
            Request::Sa { name, reply } => give(&reply, client.sa(&name)),
            Request::Ipsec(reply) => give(&reply, ipsec::report(client)),
            Request::Rekey { config, reply } => give(&reply, client.rekey(&config)),
            Request::Show(reply) => {
                self.show();
                give(&reply, ());
            }
        }
    }

    /// Puts another configuration in force.
    fn commit(&mut self, config: Config, routes: &RouteTable) -> Committed {
        self.lists.before_change(&mut self.client);
        let (generation, configured) = {
            let with = (&mut self.client, self.sockets.as_ref());
            self.in_force.commit(config, routes, with)?
        };
        self.lists.follow(self.in_force.config(), &mut self.client);
        self.is_ahead = true;
        self.slow_path.tell(ToSlowPath::Configured(Box::new(configured)));
        let mtus = self.paths.again(&self.client);
        self.tell_mtus(mtus);
        self.shared.stale.store(true, Ordering::Release);
        Ok(generation)
    }

    fn tell_mtus(&self, mtus: Vec<(UidbIndex, u16)>) {
        mtus.into_iter().for_each(|(uidb, mtu)| self.slow_path.tell(ToSlowPath::Mtu { uidb, mtu }));
    }

    /// When there is nothing else to do, now and then: makes lists better that edits have made
    /// worse.
    fn tidy(&mut self, now: Nanos) {
        if now.saturating_since(self.tidied) >= HOUSEKEEPING_NS {
            self.tidied = now;
            self.client.tidy_lists();
        }
    }

    /// How long nothing is due after `now`, but for what somebody brings.
    fn rest(&self, now: Nanos) -> Duration {
        let (_, sas) = self.client.sa_usage();
        let is_due = self.stirred || sas > 0;
        let round = self.housekept.saturating_add(if is_due { HOUSEKEEPING_NS } else { LAZY_NS });
        let nap = if self.client.keeps_ahead() { NAP_NS } else { LAZY_NS };
        Duration::from_nanos(round.saturating_since(now).min(nap))
    }

    /// Lets inbound SAs accept more sequence numbers, and now and then frees what no lcore reads any
    /// more, asks for lost members of groups, looks at SAs, and lets reports see the counts. In the
    /// time of captures, where the disk takes no time, it waits for it.
    fn housekeeping(&mut self, now: Nanos, wait: bool) {
        self.now = now;
        ipsec::keep_ahead(now, wait, &mut self.client, &self.shared.sa_events);
        if now.saturating_since(self.housekept) < HOUSEKEEPING_NS {
            return;
        }
        self.housekept = now;
        self.client.housekeeping();
        if let Some(launcher) = &self.launcher {
            launcher.names.tidy(&self.client);
        }
        if self.client.wants_rings_cleared() {
            self.slow_path.tell(ToSlowPath::ClearRings);
        }
        let lost: Vec<(UidbIndex, IpAddr)> = self.client.lost_next_hops();
        self.stirred = !lost.is_empty();
        for (uidb, address) in lost {
            self.slow_path.tell(ToSlowPath::LookFor { uidb, address });
        }
        ipsec::watch(now, &mut self.client, &self.shared.sa_events);
        let mtus = self.paths.age(now, &self.client);
        self.tell_mtus(mtus);
        self.show();
    }

    /// Lets reports see the counts.
    pub(crate) fn show(&mut self) {
        self.counts.generation = self.client.generation().0;
        self.counts.tcam = Some(self.client.tcam_usage());
        let is_stale = self.shared.stale.load(Ordering::Acquire);
        if is_stale {
            self.counts.in_use = Arc::new(self.lists.in_use(&self.client, &self.counts.in_use));
            self.counts.names = Arc::new(self.in_force.names(&self.client));
        }
        self.shared.show(&self.counts);
        // Who finds it so finds what is new, too; nobody but this thread sets it.
        if is_stale {
            self.shared.stale.store(false, Ordering::Release);
        }
    }

    /// Ends it. The lcores have stopped.
    pub(crate) fn finish(mut self) {
        ipsec::watch(self.now, &mut self.client, &self.shared.sa_events);
        ipsec::close(&mut self.client, &self.shared.sa_events);
        self.counts.ipsec = ipsec::report(&self.client)
            .map(|report| IpsecReport { events: self.shared.sa_events.take(), ..report });
        self.show();
    }
}

impl Beside for ClientSide {
    fn obey(&mut self, now: Nanos) -> usize {
        let mut done = 0;
        while let Some(message) = self.inbox.as_ref().and_then(|inbox| inbox.try_recv().ok()) {
            self.take(now, message);
            done += 1;
        }
        done
    }

    fn turn(&mut self, now: Nanos) {
        self.housekeeping(now, true);
        self.tidy(now);
    }

    fn turn_away(&mut self) {
        self.inbox = None;
        self.waiting.clear();
    }
}

/// The client of a forwarder in the machine's time, on its thread.
pub(crate) struct ClientLoop {
    pub(crate) side: ClientSide,
    pub(crate) clock: TscClock,
    /// What stops the run.
    pub(crate) stop: StopFlag,
}

/// A client that panics does not leave the others behind.
struct End(StopFlag);

impl Drop for End {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop();
        }
    }
}

impl ClientLoop {
    /// Serves until the slow path has ended.
    pub(crate) fn run(self) -> ClientSide {
        let Self { mut side, clock, stop } = self;
        let _end = End(stop);
        while let Some(inbox) = &side.inbox {
            match inbox.recv_timeout(side.rest(clock.now())) {
                Ok(message) => {
                    let now = clock.now();
                    side.take(now, message);
                    side.obey(now);
                }
                Err(RecvTimeoutError::Timeout) => side.tidy(clock.now()),
                Err(RecvTimeoutError::Disconnected) => side.turn_away(),
            }
            side.housekeeping(clock.now(), false);
        }
        side
    }
}
