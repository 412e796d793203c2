//! The client of a router without threads: whoever has it says when its turn is, and what time. The
//! data plane beside it is a [`ucode::Stepped`].

use std::collections::HashMap;
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
use pal::publication::Generation;
use pal::seqpacket::SeqPacket;
use qfp_core::counters::{CounterLayout, CounterTotals, LcoreCounters};
use qfp_core::fia::FiaBuilder;
use qfp_core::punt::Limits;
use ucode::wire::{Order, Welcome};
use ucode::{Beside, FromSlowPath, Inbox, Launch, PortLaunch, SlowCounts, ToSlowPath};

use crate::StartError;
use crate::apart::{ApartError, AtWork, Launcher, Names, Program, Relaunch};
use crate::control::{ClientSide, Request, Shared, ToClient};
use crate::installed::Installed;
use crate::lists::Lists;
use crate::reconfigure::{Given, InForce, ReconfigureError};

/// What the client asks of a data plane first.
pub struct Orders {
    /// To launch, or to read other tables.
    pub order: Order,
    /// Descriptors of what it maps.
    pub with: Vec<OwnedFd>,
    /// What the client says to the slow path.
    pub inbox: Inbox,
    /// Where names come from that are given numbers.
    pub names: SeqPacket,
}

/// A line for names.
fn pair() -> Result<(SeqPacket, SeqPacket), ApartError> {
    SeqPacket::pair().map_err(|error| ApartError::Died(error.to_string()))
}

impl Orders {
    fn of(orders: crate::apart::Orders, names: SeqPacket) -> Self {
        let crate::apart::Orders { order, with, inbox } = orders;
        Self { order, with, inbox, names }
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
    /// of operations `fia`: for a new one, or one at work that another client has left. Returns what
    /// it asks of that.
    ///
    /// # Errors
    /// The configuration is wrong, or there is no memory, or what was left makes no sense.
    pub fn start(
        config: &Config,
        capacity: &Capacity,
        port: &PortConfig,
        (lcores, fia): (usize, &FiaBuilder),
        at_work: Option<(Box<Welcome>, [OwnedFd; 2])>,
    ) -> Result<(Self, Orders), StartError> {
        config.validate()?;
        let mut found = at_work.map(|(welcome, [state, counters])| {
            AtWork::new(client::Kept { state, counters }, welcome)
        });
        let names = Names::default();
        let (ours, theirs) = pair()?;
        names.tell_to(Arc::new(Program::new(ours)));
        let (capacity, mut client) = match &mut found {
            Some(found) => {
                let capacity = found.capacity()?;
                (capacity, found.client(&capacity)?)
            }
            None => (*capacity, Client::new(capacity)?),
        };
        client.tell_names_to(names.teller());
        client.set_lcores(lcores);
        let infos: Vec<PortInfo> = config.ports.iter().map(|port| info(&port.name)).collect();
        let specs = vec![None; infos.len()];
        let all: Vec<&PortInfo> = infos.iter().collect();
        let installed = Installed::new(config, &specs, &all, &HashMap::new());
        client.commit(config, &RouteTable::default(), &installed.facts())?;
        if let Some(found) = &found {
            found.learn(&mut client)?;
        }
        let new_layout = || {
            let rows = fia.names().len();
            CounterLayout::new(rows, infos.len(), INTERFACES).with_rules(capacity.counters())
        };
        let layout = found.as_ref().map_or_else(new_layout, |found| found.welcome.layout);
        let readers: Vec<String> = (0..lcores).map(|n| format!("lcore-{n}")).collect();
        let (counters, blocks) = client.counters(layout.words(), readers.len() + 1)?;
        let totals = Arc::new(CounterTotals::of(layout, counters));
        let lost = blocks.into_iter().next_back().map(|block| LcoreCounters::new(block, layout));
        let room = capacity.neighbours(client.usage().adjacencies);
        let given = Given { limits: Limits::default(), rates: None, room };
        let in_force = InForce::new(config, installed, given, Arc::clone(&totals));
        let launch_of = |(number, words): (u16, &client::config::Port)| PortLaunch {
            number,
            name: words.name.clone(),
            config: port.clone(),
        };
        let launch = Launch {
            ports: (0..).zip(&config.ports).map(launch_of).collect(),
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
        let kept = postcard::to_stdvec(&capacity).unwrap_or_default();
        let (sites, total) = (Vec::new(), Arc::clone(&totals));
        let mut launcher = Launcher {
            launch,
            readers,
            sites,
            layout,
            totals: total,
            lost,
            names,
            kept,
            door: None,
        };
        let is_taken_over = found.is_some();
        let orders = match found {
            Some(found) => {
                launcher.launch = found.welcome.launch;
                let configured = in_force.configured(&client);
                let orders = launcher.switch(&mut client, configured, inbox)?;
                line.tell(ToSlowPath::Entered { report: found.welcome.reported });
                orders
            }
            None => launcher.orders(&mut client, None, inbox)?,
        };
        let lists = Lists::new(config, Arc::clone(&totals));
        let (requests, asked) = channel();
        let parts = (client, in_force, lists);
        let mut side = ClientSide::new(parts, (asked, line), Arc::new(Shared::default()));
        side.keep(launcher);
        if is_taken_over {
            side.taken_over();
        }
        Ok((Self { side, requests, totals }, Orders::of(orders, theirs)))
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
    ) -> Result<Option<Orders>, ApartError> {
        let (ours, theirs) = pair()?;
        let program = Some(Arc::new(Program::new(ours)));
        let (reply, orders) = channel();
        let relaunch = Relaunch { ended: Some(ended), program, counted, reply };
        self.take(now, ToClient::Relaunch(Box::new(relaunch)));
        let orders = orders.try_recv().ok().transpose()?;
        Ok(orders.map(|orders| Orders::of(orders, theirs)))
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
