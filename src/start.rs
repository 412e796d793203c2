//! Start and end of a forwarder: tables that the client fills, and a data plane that reads them.

mod ports;

use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use client::config::{Config, RouteTable};
use client::ipsec::Marks;
use client::{Capacity, Client, Features};
use hal::PortInfo;
use hal::spec::Spec;
use pal::clock::TscClock;
use pal::crash;
use pal::lcore::{CpuId, CpuList, LaunchError, allowed_cpus};
use pal::rights::User;
use qfp_core::counters::{CounterLayout, CounterTotals, LcoreCounters};
use qfp_core::fia::{FiaBuilder, TracedPacket};
use qfp_core::lpts::LptsRates;
use qfp_core::ppe::MOST_PORTS;
use qfp_core::punt::Limits;
use ucode::{Hands, Launch, PortLaunch, PuntHooks, SlowCounts, ToSlowPath};

use crate::apart::{Apart, AtWork, Child, Door, Launcher, Names, Pulse, Recipe, find};
use crate::applications::Applications;
use crate::control::{CLIENT, ClientLoop, ClientSide, Reply, Request, Shared, ToClient};
use crate::forwarder::{RunError, StartError};
use crate::installed::Installed;
use crate::ipsec::Events;
use crate::lists::Lists;
use crate::plane::{OpenedPlane, Plane};
use crate::reconfigure::{Given, InForce};
use crate::report::RunReport;
use crate::statistics::Statistics;

pub(crate) use ports::{OwnPorts, own_mac};
use ports::{devices, kept, rights, specs};

/// What a forwarder is made of.
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) routes: RouteTable,
    pub(crate) fia: FiaBuilder,
    pub(crate) features: Vec<(String, Features)>,
    pub(crate) own_ports: OwnPorts,
    pub(crate) hooks: PuntHooks,
    pub(crate) lcores: Option<CpuList>,
    pub(crate) crypto_lcores: Option<CpuList>,
    pub(crate) eal_args: Vec<String>,
    pub(crate) capacity: Option<Capacity>,
    pub(crate) punt: Option<LptsRates>,
    pub(crate) limits: Limits,
    pub(crate) trace: usize,
    pub(crate) buffers: Option<usize>,
    /// What is done to the client once it has the configuration, before lcores see its tables.
    pub(crate) prepare: Option<Prepare>,
    /// The program of a data plane in a process of its own.
    pub(crate) ucode: Option<PathBuf>,
    /// Where it is found again should this process end without it, and how long it waits for that.
    pub(crate) outlives: Option<(PathBuf, Option<Duration>)>,
    /// Whom that becomes.
    pub(crate) ucode_user: Option<User>,
    /// Who hears of stages.
    pub(crate) stages: Stages,
}

/// See [`Parts::prepare`].
pub(crate) type Prepare = Box<dyn FnOnce(&mut Client, &Config) + Send>;
/// Who hears that a stage begins.
pub(crate) type Stages = Box<dyn FnMut(&'static str) + Send>;

/// A forwarder that runs, and is stopped when it is dropped.
pub(crate) struct Started {
    pub(crate) ucode: Plane,
    /// The client's thread; none in the time of captures, and once it has ended.
    client: Option<JoinHandle<ClientSide>>,
    requests: Sender<ToClient>,
    pub(crate) applications: Arc<Applications>,
    statistics: Statistics,
    shared: Arc<Shared>,
    /// It has been waited for.
    has_ended: bool,
}

/// Opens everything and starts to forward.
pub(crate) fn start(mut parts: Parts) -> Result<Started, StartError> {
    parts.config.validate()?;
    if parts.config.ports.is_empty() {
        return Err(StartError::NoPorts);
    }
    let measured = std::thread::spawn(TscClock::calibrate);
    let specs = specs(&parts.config, &parts.own_ports)?;
    let cpus = match &parts.lcores {
        Some(cpus) => cpus.clone(),
        None => first_cpu()?,
    };
    (parts.stages)("driver");
    let mut opened = open(&mut parts, &specs, cpus.cpus().len())?;
    let virtual_time = opened.virtual_time();
    let (cpus, crypto_cpus) = match opened.at_work() {
        // They go on where they are.
        Some(found) => (found.welcome.launch.lcores.clone(), found.welcome.launch.crypto.clone()),
        None => {
            let cpus = if virtual_time { one(&cpus) } else { cpus };
            let crypto_cpus = crypto_cpus(&parts, &cpus, virtual_time)?;
            (cpus.cpus().to_vec(), crypto_cpus)
        }
    };

    (parts.stages)("client");
    let names = Names::default();
    let (capacity, mut client) = match opened.at_work() {
        Some(found) => {
            let capacity = found.capacity()?;
            let mut client = found.client(&capacity)?;
            client.tell_names_to(names.teller());
            (capacity, client)
        }
        None => {
            let fitting = || Capacity::fitting(&parts.config, &parts.routes);
            let capacity = parts.capacity.unwrap_or_else(fitting);
            enough_memory(&capacity)?;
            (capacity, Client::new(&capacity)?)
        }
    };
    if let OpenedPlane::Apart(child, Some(_)) = &opened {
        names.tell_to(child.program());
    }
    client.set_lcores(cpus.len());
    for (interface, features) in &parts.features {
        client.set_features(interface, *features);
    }
    let launched = opened.at_work().map(|found| found.welcome.launch.ports.clone());
    let ports = installed(&parts.config, &specs, &opened.infos(), &launched.unwrap_or_default());
    client.number_ports(ports.numbers());
    if let Some(folder) = parts.config.state_dir() {
        let file = opened.at_work().and_then(AtWork::marks);
        client.keep_marks(
            file.map_or_else(|| Marks::open(&folder), |file| Marks::adopt(&folder, file))?,
        );
    }
    client.commit(&parts.config, &parts.routes, &ports.facts())?;
    if let Some(prepare) = parts.prepare.take() {
        prepare(&mut client, &parts.config);
    }
    if let Some(found) = opened.at_work() {
        found.learn(&mut client)?;
        crash::point("committed");
    }

    let new_layout = || {
        CounterLayout::new(parts.fia.names().len(), MOST_PORTS, client.most_uidbs())
            .with_rules(capacity.counters())
    };
    let layout = opened.at_work().map_or_else(new_layout, |found| found.welcome.layout);
    let forwarding = (0..cpus.len()).map(|n| format!("lcore-{n}"));
    let readers = forwarding.chain((0..crypto_cpus.len()).map(|n| format!("crypto-{n}")));
    let readers: Vec<String> = readers.collect();
    // The last ones are the client's.
    let (counters, blocks) = client.counters(layout.words(), readers.len() + 1)?;
    let totals = Arc::new(CounterTotals::of(layout, counters));
    let mut counters: Vec<_> =
        blocks.into_iter().map(|block| LcoreCounters::new(block, layout)).collect();
    let lost = counters.pop();
    let room = capacity.neighbours(client.usage().adjacencies);
    let mut limits = parts.limits;
    if !virtual_time {
        limits.seed = RandomState::new().hash_one(limits.seed);
    }
    let statistics = Statistics {
        totals: Arc::clone(&totals),
        started: Instant::now(),
        rows: parts.fia.names(),
        lcores: (0..)
            .zip(cpus.iter().chain(&crypto_cpus))
            .map(|(n, cpu)| (n, Some(cpu.0)))
            .collect(),
    };
    let given = Given { limits, rates: parts.punt, room };
    let in_force = InForce::new(&parts.config, ports, given, Arc::clone(&totals));
    // Should it have panicked, it will again.
    let clock = measured.join().unwrap_or_else(|_| TscClock::calibrate());
    let launch = Launch {
        ports: in_force.ports.launches(cpus.len()),
        lcores: cpus.clone(),
        crypto: crypto_cpus,
        configured: in_force.configured(&client),
        applications: Vec::new(),
        counted: SlowCounts::default(),
        interfaces: client.most_uidbs(),
        trace: parts.trace,
        buffers: parts.buffers,
        hz: clock.hz(),
    };
    let lists = Lists::new(&parts.config, Arc::clone(&totals));
    let shared = Arc::new(Shared::default());
    let (requests, asked) = channel();
    let applications = Arc::new(Applications::new(requests.clone()));
    (parts.stages)("ucode");
    let (ucode, threaded) = match opened {
        OpenedPlane::Here(opened) => {
            let (line, inbox) = ucode::line(virtual_time)?;
            let from_slow_path = requests.clone();
            let tables = readers.iter().map(|name| client.attach(name));
            let hands = Hands {
                fia: parts.fia,
                tables: tables.collect::<Result<Vec<_>, _>>()?,
                counters,
                hooks: parts.hooks,
                to_applications: {
                    let applications = Arc::clone(&applications);
                    // One that is slow has lost it by itself.
                    Arc::new(move |packet| {
                        applications.deliver(packet);
                        true
                    })
                },
                // A client that is gone misses nothing.
                lines: (
                    inbox,
                    Arc::new(move |message| drop(from_slow_path.send(ToClient::SlowPath(message)))),
                ),
            };
            let parts = (client, in_force, lists);
            let mut client = ClientSide::new(parts, (asked, line), Arc::clone(&shared));
            client.show();
            let (beside, threaded) =
                if virtual_time { (Some(client), None) } else { (None, Some(client)) };
            (Plane::Here(Box::new(opened.launch(launch, hands, beside)?)), threaded)
        }
        OpenedPlane::Apart(child, found) => {
            drop(counters);
            let (line, inbox) = ucode::line_apart();
            let pulse = Pulse { lcores: cpus.len(), totals: Arc::clone(&totals) };
            let kept = postcard::to_stdvec(&capacity).unwrap_or_default();
            let sites = Vec::new();
            let mut launcher =
                Launcher { launch, readers, sites, layout, totals, lost, names, kept, door: None };
            let is_taken_over = found.is_some();
            let (counted, orders) = match found {
                Some(mut found) => {
                    launcher.door = found.door();
                    let ports = std::mem::take(&mut launcher.launch.ports);
                    launcher.launch = Launch { ports, ..found.welcome.launch };
                    let configured = in_force.configured(&client);
                    let orders = launcher.switch(&mut client, configured, inbox)?;
                    crash::point("switching");
                    // Lcores will see all that was reported.
                    line.tell(ToSlowPath::Entered { report: found.welcome.reported });
                    (found.welcome.counts, orders)
                }
                None => {
                    if let Some((dir, alone)) = &parts.outlives {
                        launcher.door = Some(Door::new(dir, *alone)?);
                    }
                    let orders = launcher.orders(&mut client, None, inbox)?;
                    launcher.names.tell_to(child.program());
                    client.tell_names_to(launcher.names.teller());
                    (SlowCounts::default(), orders)
                }
            };
            let parts = (client, in_force, lists);
            let mut client = ClientSide::new(parts, (asked, line), Arc::clone(&shared));
            client.show();
            client.keep(launcher);
            let apart = Apart::launch(
                (child, counted),
                orders,
                (requests.clone(), Arc::clone(&applications)),
                pulse,
            )?;
            if is_taken_over {
                crash::point("switched");
                client.taken_over();
            }
            (Plane::Apart(apart), Some(client))
        }
    };
    let client = threaded.map(|mut side| {
        side.plug_into(ucode.sockets());
        let client = ClientLoop { side, clock, stop: ucode.stop_flag() };
        let thread = std::thread::Builder::new().name(CLIENT.to_owned());
        let failed = |source| LaunchError::Spawn { name: CLIENT.to_owned(), source };
        thread.spawn(|| client.run()).map_err(failed)
    });
    let client = client.transpose()?;
    Ok(Started { ucode, client, requests, applications, statistics, shared, has_ended: false })
}

/// Opens the devices, here or in a process that is started for it.
fn open(
    parts: &mut Parts,
    specs: &[Option<Spec>],
    lcores: usize,
) -> Result<OpenedPlane, StartError> {
    if let Some(program) = &parts.ucode {
        let is_plain = parts.fia.names() == FiaBuilder::router().names() && parts.hooks.is_empty();
        if !is_plain || specs.contains(&None) || parts.trace > 0 {
            return Err(StartError::NotApart);
        }
        let specs: Vec<&Spec> = specs.iter().flatten().collect();
        let named = parts.config.ports.iter().zip(&specs);
        let wanted = named.map(|(port, spec)| (port.name.as_str(), spec.to_string(), port.mtu));
        let wanted = wanted.collect();
        let recipe = |devices| Recipe {
            program: program.clone(),
            rights: rights(parts.ucode_user, &specs),
            devices: Mutex::new(devices),
            lcores: u16::try_from(lcores).unwrap_or(u16::MAX),
            eal_args: parts.eal_args.clone(),
        };
        if let Some((dir, alone)) = &parts.outlives
            && let Some(found) = find(dir, *alone)?
            && let Some(found) = found.if_it_has(&wanted)?
        {
            crash::point("found");
            let (child, found) = found.child(recipe);
            return Ok(OpenedPlane::Apart(child, Some(Box::new(found))));
        }
        let devices = (0..).zip(kept(&parts.config, &specs, lcores)?).collect();
        return Ok(OpenedPlane::Apart(Child::open(recipe(devices))?, None));
    }
    let own = std::mem::take(&mut parts.own_ports);
    let opened = ucode::open(devices(&parts.config, specs, own), &parts.eal_args);
    opened.map(OpenedPlane::Here).map_err(|error| match error {
        ucode::StartError::Device { port, source } => {
            StartError::Device { place: parts.config.ports[port].origin.at("device"), source }
        }
        error => error.into(),
    })
}

/// The ports in force, with what is said of those that are `launched`; without any, in their order.
fn installed(
    config: &Config,
    specs: &[Option<Spec>],
    infos: &[&PortInfo],
    launched: &[PortLaunch],
) -> Installed {
    let place = |name: &str| launched.iter().position(|port| port.name == name);
    let places = config.ports.iter().enumerate().map(|(n, port)| place(&port.name).unwrap_or(n));
    let infos: Vec<&PortInfo> = places.filter_map(|place| infos.get(place).copied()).collect();
    let numbers = launched.iter().map(|port| (port.name.clone(), port.number)).collect();
    Installed::new(config, specs, &infos, &numbers)
}

/// Refuses tables of VRFs that this machine cannot hold: the kernel would promise their memory, and
/// end the program when they are written.
fn enough_memory(capacity: &Capacity) -> Result<(), StartError> {
    let wanted = capacity.vrf_bytes();
    match pal::region::available_memory() {
        Some(available) if wanted > available => {
            let what = format!("{} VRFs", capacity.vrfs);
            Err(StartError::NoMemory { what, wanted, available })
        }
        _ => Ok(()),
    }
}

fn first_cpu() -> Result<CpuList, StartError> {
    Ok(one(&allowed_cpus().map_err(StartError::Cpus)?))
}

/// The list of the first CPU of `cpus`.
fn one(cpus: &CpuList) -> CpuList {
    let first = cpus.cpus().first().map_or(0, |cpu| cpu.0);
    CpuList::parse(&first.to_string()).unwrap_or_else(|_| cpus.clone())
}

/// The CPUs of crypto engines.
fn crypto_cpus(
    parts: &Parts,
    forwarding: &CpuList,
    virtual_time: bool,
) -> Result<Vec<CpuId>, StartError> {
    let Some(cpus) = parts.crypto_lcores.as_ref().filter(|_| !virtual_time) else {
        return Ok(Vec::new());
    };
    match cpus.cpus().iter().find(|cpu| forwarding.cpus().contains(cpu)) {
        Some(cpu) => Err(StartError::SharedCpu(*cpu)),
        None => Ok(cpus.cpus().to_vec()),
    }
}

impl Started {
    pub(crate) fn report(&self) -> RunReport {
        if self.shared.stale.load(Ordering::Acquire) {
            // Without an answer the run has ended, and has shown all there is.
            self.ask(Request::Show);
        }
        let counts = (self.ucode.slow_path(), self.shared.counts());
        self.statistics.report(&counts, self.ucode.ports(), false)
    }

    /// Has `request` answered by the client; none when the run has ended.
    pub(crate) fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Option<T> {
        let (reply, answered) = channel();
        self.requests.send(ToClient::Request(request(reply))).ok()?;
        answered.recv().ok()
    }

    pub(crate) fn sa_events(&self) -> &Events {
        &self.shared.sa_events
    }

    /// Waits for the end; see [`Started::close`].
    pub(crate) fn join(mut self) -> Result<(RunReport, Vec<TracedPacket>), RunError> {
        self.close()
    }

    /// Waits for the end of the data plane, and of the client after it.
    fn close(&mut self) -> Result<(RunReport, Vec<TracedPacket>), RunError> {
        self.has_ended = true;
        let mut ended = self.ucode.end();
        let beside = ended.as_mut().ok().and_then(|ended| ended.client.take());
        let threaded = self.client.take().map(JoinHandle::join).transpose();
        if let Some(client) = threaded.map_err(|_| RunError::Control)?.or(beside) {
            client.finish();
        }
        let ended = ended?;
        let counts = (self.ucode.slow_path(), self.shared.counts());
        let report = self.statistics.report(&counts, ended.ports, true);
        let outcome = (report, ended.traces);
        match ended.finished {
            Ok(()) => Ok(outcome),
            Err(source) => Err(RunError::Port { source, ended: Box::new(outcome) }),
        }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if !self.has_ended {
            self.ucode.stop_flag().stop();
            // Nobody waits for what it says.
            drop(self.close());
        }
    }
}
