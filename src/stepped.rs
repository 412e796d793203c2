//! The client of a router without threads: whoever has it says when its turn is, and what time. The
//! data plane beside it is a [`ucode::Stepped`].

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use client::acl::Family;
use client::config::{Config, RouteTable};
use client::rib::RouteUpdate;
use client::{Capacity, Client, CommitError, ListEdit, ListError};
use hal::{PortConfig, PortInfo};
use pal::clock::Nanos;
use pal::lcore::CpuId;
use pal::pool::PoolUsage;
use pal::process::Ended;
use pal::publication::{Generation, ReaderSite};
use qfp_core::counters::{CounterLayout, CounterTotals, LcoreCounters};
use qfp_core::fia::FiaBuilder;
use qfp_core::punt::Limits;
use ucode::wire::Order;
use ucode::{Beside, FromSlowPath, Inbox, Launch, SlowCounts};

use crate::apart::{ApartError, Launcher, Names, Orders, Relaunch};
use crate::control::{ClientSide, Request, Shared, ToClient};
use crate::installed::Installed;
use crate::lists::Lists;
use crate::reconfigure::{Given, InForce, ReconfigureError};

/// What a data plane is launched with, and what the client says to its slow path.
pub struct Launched {
    /// How, and what for.
    pub launch: Box<Launch>,
    /// Places of readers, lcore by lcore, where they count, and descriptors of what they map.
    pub places: (Vec<ReaderSite>, CounterLayout, Vec<OwnedFd>),
    /// What the client says.
    pub inbox: Inbox,
}

impl Launched {
    fn of(Orders { order, with, inbox }: Orders) -> Option<Self> {
        let Order::Launch { launch, sites, layout, .. } = order else { return None };
        Some(Self { launch, places: (sites, layout, with), inbox })
    }
}

/// Interfaces that there can be at once.
const INTERFACES: usize = 64;

/// A port of the simulator's own.
fn info(name: &str) -> PortInfo {
    PortInfo {
        spec: name.to_owned(),
        mac: None,
        numa_node: 0,
        max_rx_queues: u16::MAX,
        max_tx_queues: u16::MAX,
        virtual_time: false,
        total_packets: None,
        filters_mac: false,
    }
}

/// What is in use: each pool with the agent that has it, and how many routes lcores have.
pub type InUse = (Vec<(&'static str, PoolUsage)>, usize);

/// A client that is moved by hand.
pub struct Control {
    side: ClientSide,
    requests: Sender<ToClient>,
    totals: Arc<CounterTotals>,
}

impl Control {
    /// A client that has committed a configuration for a data plane of `lcores` lcores with the order
    /// of operations `fia`, and what that is launched with.
    ///
    /// # Errors
    /// The configuration is wrong, or there is no memory.
    pub fn start(
        config: &Config,
        capacity: &Capacity,
        port: &PortConfig,
        (lcores, fia): (usize, &FiaBuilder),
    ) -> Result<(Self, Option<Launched>), CommitError> {
        config.validate()?;
        let mut client = Client::new(capacity)?;
        client.set_lcores(lcores);
        let infos: Vec<PortInfo> = config.ports.iter().map(|port| info(&port.name)).collect();
        let specs = vec![None; infos.len()];
        let installed = Installed::new(config, &specs, &infos.iter().collect::<Vec<_>>());
        client.commit(config, &RouteTable::default(), &installed.facts())?;
        let layout = CounterLayout::new(fia.names().len(), infos.len(), INTERFACES)
            .with_rules(capacity.counters());
        let readers: Vec<String> = (0..lcores).map(|n| format!("lcore-{n}")).collect();
        let (counters, blocks) = client.counters(layout.words(), readers.len() + 1)?;
        let totals = Arc::new(CounterTotals::of(layout, counters));
        let lost = blocks.into_iter().next_back().map(|block| LcoreCounters::new(block, layout));
        let room = capacity.neighbours(client.usage().adjacencies);
        let given = Given { limits: Limits::default(), rates: None, room };
        let in_force = InForce::new(config, installed, given, Arc::clone(&totals));
        let launch = Launch {
            ports: (0..).zip(infos).map(|(number, _)| (number, port.clone())).collect(),
            lcores: vec![CpuId(0); lcores],
            crypto: Vec::new(),
            configured: in_force.configured(&client),
            applications: Vec::new(),
            counted: SlowCounts::default(),
            interfaces: INTERFACES,
            trace: 0,
            buffers: None,
            hz: 1_000_000_000,
        };
        let (line, inbox) = ucode::line_apart();
        let mut launcher = Launcher {
            launch,
            readers,
            sites: Vec::new(),
            layout,
            totals: Arc::clone(&totals),
            lost,
            names: Names::default(),
            kept: Vec::new(),
            door: None,
        };
        let launched = Launched::of(launcher.orders(&mut client, None, inbox)?);
        let lists = Lists::new(config, Arc::clone(&totals));
        let (requests, asked) = channel();
        let parts = (client, in_force, lists);
        let mut side = ClientSide::new(parts, (asked, line), Arc::new(Shared::default()));
        side.keep(launcher);
        Ok((Self { side, requests, totals }, launched))
    }

    /// What lcores have counted.
    #[must_use]
    pub fn totals(&self) -> Arc<CounterTotals> {
        Arc::clone(&self.totals)
    }

    /// A turn for what is due by itself.
    pub fn turn(&mut self, now: Nanos) {
        self.side.turn(now);
    }

    /// Hears what the slow path says.
    pub fn hear(&mut self, now: Nanos, message: FromSlowPath) {
        self.take(now, ToClient::SlowPath(message));
    }

    fn take(&mut self, now: Nanos, message: ToClient) {
        // It has the other end.
        drop(self.requests.send(message));
        self.side.obey(now);
    }

    fn ask<T>(&mut self, now: Nanos, request: impl FnOnce(Sender<T>) -> Request) -> Receiver<T> {
        let (reply, answer) = channel();
        self.take(now, ToClient::Request(request(reply)));
        answer
    }

    /// As [`Running::commit`](crate::Running::commit). The answer may have to wait for the slow path.
    pub fn commit(
        &mut self,
        now: Nanos,
        config: Config,
    ) -> Receiver<Result<Generation, ReconfigureError>> {
        let (config, routes) = (Box::new(config), RouteTable::default());
        self.ask(now, |reply| Request::Commit { config, routes, reply })
    }

    /// As [`Running::routes`](crate::Running::routes), likewise.
    pub fn routes(
        &mut self,
        now: Nanos,
        updates: Vec<RouteUpdate>,
    ) -> Receiver<Result<(), CommitError>> {
        self.ask(now, |reply| Request::Routes { updates, reply })
    }

    /// As [`Running::edit_list`](crate::Running::edit_list), likewise.
    pub fn edit_list(
        &mut self,
        now: Nanos,
        (family, name): (Family, &str),
        edits: Vec<ListEdit>,
    ) -> Receiver<Result<(), ListError>> {
        let name = name.to_owned();
        self.ask(now, |reply| Request::EditList { family, name, edits, reply })
    }

    /// As [`Running::resources`](crate::Running::resources), likewise.
    pub fn resources(&mut self, now: Nanos) -> Receiver<InUse> {
        self.ask(now, Request::Resources)
    }

    /// Buries a data plane that has ended so, whose slow path had counted that, and returns what
    /// another one is launched with.
    ///
    /// # Errors
    /// There is no place for its readers.
    pub fn relaunch(
        &mut self,
        now: Nanos,
        ended: Ended,
        counted: SlowCounts,
    ) -> Result<Option<Launched>, ApartError> {
        let (reply, orders) = channel();
        let relaunch = Relaunch { ended: Some(ended), program: None, counted, reply };
        self.take(now, ToClient::Relaunch(Box::new(relaunch)));
        orders.try_recv().ok().transpose().map(|orders| orders.and_then(Launched::of))
    }

    /// Another data plane forwards.
    pub fn relaunched(&mut self, now: Nanos) {
        self.take(now, ToClient::Relaunched);
    }

    /// Ends it. The lcores have stopped.
    pub fn finish(self) {
        self.side.finish();
    }
}
