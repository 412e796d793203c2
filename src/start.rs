//! Start and end of a forwarder: ports, buffers, tables, lcores.

mod launch;
mod ports;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Sender, channel};
use std::time::Instant;

use client::config::{Config, Interfaces, RouteTable};
use client::ipsec::Marks;
use client::{Capacity, Client, Features, PortFacts};
use hal::spec::Spec;
use hal::{Pool, Queues};
use pal::lcore::{CpuId, CpuList, LaunchError, LcoreId, LcoreSpec, Lcores, StopFlag, allowed_cpus};
use pal::ring::{Producer, Ring};
use qfp_core::counters::{CounterLayout, CounterTotals};
use qfp_core::fia::{FiaBuilder, Kit, TracedPacket};
use qfp_core::ipsec::{EngineLanes, EngineLcore, EngineQueues, EspDecap, EspEncap, engine_lanes};
use qfp_core::isa::Isa;
use qfp_core::lpts::{LptsGroup, LptsRates};
use qfp_core::ppe::{PolledQueue, Ppe, PpeParts};
use qfp_core::punt::{Limits, SlowPath};
use qfp_core::uidb::UidbIndex;

use crate::control::{
    ClientSide, InjectError, Injection, PLACES, PuntHooks, Reply, Request, Shared, SlowSide,
    ToClient,
};
use crate::engine::VirtualLoop;
use crate::forwarder::{RunError, StartError};
use crate::ipsec::Events;
use crate::links::{LINKS, Links};
use crate::lists::Lists;
use crate::reconfigure::InForce;
use crate::report::RunReport;
use crate::statistics::Statistics;

use launch::{Live, launch_live, launch_virtual};
#[cfg(feature = "dpdk")]
use ports::mbufs;
pub(crate) use ports::{NATIVE_FRAME, OwnPorts, own_mac};
use ports::{names, native, open, port_config, specs, total};

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
}

/// A forwarder that runs, and is stopped when it is dropped.
pub(crate) struct Started {
    /// None once it has ended.
    run: Option<Run>,
    stop: StopFlag,
    links: Links,
    pool: Pool,
    statistics: Statistics,
    shared: Arc<Shared>,
    client: Sender<ToClient>,
    injections: Producer<Injection>,
    total_packets: Option<u64>,
    /// DPDK stays up until its ports and buffers are gone.
    #[cfg(feature = "dpdk")]
    _eal: Option<hal::dpdk::Eal>,
}

/// Who runs what.
enum Run {
    Live(Live),
    Virtual(Lcores<Option<VirtualLoop>>),
}

/// Opens everything and starts to forward.
pub(crate) fn start(mut parts: Parts) -> Result<Started, StartError> {
    parts.config.validate()?;
    if parts.config.ports.is_empty() {
        return Err(StartError::NoPorts);
    }
    let specs = specs(&parts.config, &parts.own_ports)?;
    let cpus = match &parts.lcores {
        Some(cpus) => cpus.clone(),
        None => first_cpu()?,
    };
    #[cfg(feature = "dpdk")]
    let eal = if specs.iter().any(|spec| matches!(spec, Some(Spec::Dpdk(_)))) {
        Some(hal::dpdk::Eal::init(&parts.eal_args)?)
    } else {
        None
    };
    let mut ports = open(&parts.config, &specs, std::mem::take(&mut parts.own_ports))?;
    let virtual_time = ports.iter().any(|port| port.info().virtual_time);
    let cpus = if virtual_time { one(&cpus) } else { cpus };
    let crypto_cpus = crypto_cpus(&parts, &cpus, virtual_time)?;
    let pool = {
        #[cfg(feature = "dpdk")]
        match &eal {
            Some(eal) => mbufs(eal, &parts, &ports)?,
            None => native(&parts)?,
        }
        #[cfg(not(feature = "dpdk"))]
        native(&parts)?
    };

    let capacity =
        parts.capacity.unwrap_or_else(|| Capacity::fitting(&parts.config, &parts.routes));
    enough_memory(&capacity)?;
    let mut client = Client::new(&capacity)?;
    client.set_lcores(cpus.cpus().len());
    for (interface, features) in &parts.features {
        client.set_features(interface, *features);
    }
    let lcore_count = u16::try_from(cpus.cpus().len()).unwrap_or(u16::MAX);
    let mut port_configs = Vec::new();
    let mut facts = Vec::new();
    for (n, port) in ports.iter().enumerate() {
        let (config, own) = port_config(&parts.config, n, port.as_ref(), lcore_count);
        let filters = matches!(specs[n], Some(Spec::Tap(_) | Spec::Packet(_)));
        let filter_mac = filters && !config.promiscuous;
        port_configs.push(config);
        facts.push(PortFacts { mac: own, filter_mac });
    }
    if let Some(folder) = parts.config.state_dir() {
        client.keep_marks(Marks::open(&folder)?);
    }
    client.commit(&parts.config, &parts.routes, &facts)?;
    // Links come up last: what they bring in from then on finds complete tables.
    let mut queues = Vec::new();
    for (port, config) in ports.iter_mut().zip(&port_configs) {
        queues.push(port.start(config)?);
    }

    let layout = CounterLayout::new(parts.fia.names().len(), ports.len(), client.uidb_limit())
        .with_rules(capacity.counters());
    let mut totals = CounterTotals::new(layout);
    let (lanes, crypto) = engine_lanes(cpus.cpus().len(), crypto_cpus.len());
    let lanes = if crypto_cpus.is_empty() { Vec::new() } else { lanes };
    let statics = client.static_neighbours(&parts.config);
    let room = capacity.neighbours(client.usage().adjacencies);
    let mut limits = parts.config.neighbour_limits.apply(parts.limits.clone(), room);
    limits.record_route &= parts.config.punt.record_route;
    if !virtual_time {
        limits.seed = RandomState::new().hash_one(limits.seed);
    }
    let seed = limits.seed;
    let mut slow = SlowPath::new(client.slow_path_interfaces(&parts.config, &facts), limits);
    for (uidb, address, mac) in statics {
        slow.add_static_neighbour(uidb, address, mac);
    }
    slow.set_sides(client.slow_path_sides(&parts.config));
    let rates = parts.punt.as_ref().unwrap_or(&parts.config.lpts.rates);
    let sessions = client.lpts(&parts.config);
    let lpts = LptsGroup::new(rates, sessions, slow.acquaintance(), client.uidb_limit());
    let lpts = lpts.seeded(seed);
    let kit = Kit { isa: Isa::detect(), lpts: Arc::new(lpts), ..Kit::default() };
    let made = (&pool, lanes, &kit);
    let engines = engines(&parts, &cpus, queues, made, &mut client, &mut totals)?;
    let crypto = crypto_engines(crypto, &mut client, &mut totals)?;
    let totals = Arc::new(totals);
    let in_force = InForce::new(&parts.config, facts);
    let lists = Lists::new(&parts.config, Arc::clone(&totals));
    let shared = Arc::new(Shared::default());
    let interfaces = interface_names(&client, &parts.config);
    let (to_client, of_client) = channel();
    let (to_slow, of_slow) = channel();
    let (injections, injected) = Ring::new(PLACES).split();
    let (lines, users) = ((of_slow, to_client.clone()), (parts.hooks, injected));
    let slow = SlowSide::new(slow, pool.cache(0), lines, users, Arc::clone(&shared));
    let lines = (of_client, to_slow);
    let mut client = ClientSide::new((client, in_force, lists), lines, Arc::clone(&shared));
    client.show();
    let control = (slow, client);
    let statistics = Statistics {
        totals,
        started: Instant::now(),
        rows: parts.fia.names(),
        ports: names(&parts.config, &ports),
        interfaces,
        lcores: (0..).zip(all_cpus(&cpus, &crypto_cpus).map(|cpu| Some(cpu.0))).collect(),
    };
    let total_packets = total(&ports, &specs);
    let lcore_specs = lcore_specs(&cpus, &crypto_cpus);
    let mut links = Links::new(ports);
    let stop;
    let run = if virtual_time {
        let lcores = launch_virtual(lcore_specs, engines, control)?;
        stop = lcores.stop_flag();
        Run::Virtual(lcores)
    } else {
        links.watch().map_err(|source| LaunchError::Spawn { name: LINKS.to_owned(), source })?;
        let live = launch_live(lcore_specs, engines, crypto, control)?;
        stop = live.stop.clone();
        Run::Live(live)
    };
    Ok(Started {
        run: Some(run),
        stop,
        links,
        pool,
        statistics,
        shared,
        client: to_client,
        injections,
        total_packets,
        #[cfg(feature = "dpdk")]
        _eal: eal,
    })
}

/// Names of interfaces by number, the internal ones among them.
fn interface_names(client: &Client, config: &Config) -> Vec<Option<Arc<str>>> {
    let mut names = vec![None; client.uidb_limit()];
    let internal =
        [(UidbIndex::RP, "rp"), (UidbIndex::RECYCLE, "recycle"), (UidbIndex::CRYPTO, "crypto")];
    let interfaces = Interfaces::new(config);
    let own =
        interfaces.all().iter().filter_map(|one| Some((client.uidb(one.name())?, one.name())));
    for (uidb, name) in own.chain(internal) {
        if let Some(place) = names.get_mut(usize::from(uidb.0)) {
            *place = Some(Arc::from(name));
        }
    }
    names
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

/// An engine for each lcore. Receive queues are spread so that each lcore gets its share.
fn engines(
    parts: &Parts,
    cpus: &CpuList,
    queues: Vec<Queues>,
    (pool, lanes, kit): (&Pool, Vec<EngineLanes>, &Kit),
    client: &mut Client,
    totals: &mut CounterTotals,
) -> Result<Vec<Ppe>, StartError> {
    let count = cpus.cpus().len();
    let mut rx: Vec<Vec<PolledQueue>> = (0..count).map(|_| Vec::new()).collect();
    let mut tx: Vec<Vec<_>> = (0..count).map(|_| Vec::new()).collect();
    for (n, queues) in queues.into_iter().enumerate() {
        let port = u16::try_from(n).unwrap_or(u16::MAX);
        for (q, queue) in queues.rx.into_iter().enumerate() {
            rx[(n + q) % count].push(PolledQueue::new(port, queue));
        }
        for (lcore, queue) in tx.iter_mut().zip(hal::share(queues.tx, count)) {
            lcore.push(queue);
        }
    }
    let mut engines = Vec::new();
    let mut lanes = lanes.into_iter();
    for (n, (rx, tx)) in rx.into_iter().zip(tx).enumerate() {
        let mut fia = parts.fia.build_with(kit);
        if let Some(EngineLanes { seal, open }) = lanes.next() {
            fia.replace("esp-encap", Box::new(EspEncap::with_engines(seal)))?;
            fia.replace("esp-decap", Box::new(EspDecap::with_engines(open)))?;
        }
        let tables = client.attach(&format!("lcore-{n}"))?;
        let numa = pal::lcore::current_numa_node(cpus.cpus()[n]).unwrap_or(0);
        let mut ppe = Ppe::new(PpeParts {
            lcore: u16::try_from(n).unwrap_or(u16::MAX),
            fia,
            rx,
            tx,
            pool: pool.cache(u32::from(numa)),
            tables,
            counters: totals.add_lcore(),
        });
        ppe.trace(parts.trace);
        engines.push(ppe);
    }
    Ok(engines)
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

/// Crypto engines behind `queues`.
fn crypto_engines(
    queues: Vec<EngineQueues>,
    client: &mut Client,
    totals: &mut CounterTotals,
) -> Result<Vec<EngineLcore>, StartError> {
    let engine = |(n, queues)| {
        let tables = client.attach(&format!("crypto-{n}"))?;
        Ok(EngineLcore::new(queues, tables, totals.add_lcore()))
    };
    queues.into_iter().enumerate().map(engine).collect()
}

/// The CPUs of all lcores: those that forward come first.
fn all_cpus<'a>(forwarding: &'a CpuList, crypto: &'a [CpuId]) -> impl Iterator<Item = &'a CpuId> {
    forwarding.cpus().iter().chain(crypto)
}

fn lcore_specs(cpus: &CpuList, crypto: &[CpuId]) -> Vec<LcoreSpec> {
    let spec = |(n, cpu): (u16, &CpuId)| LcoreSpec {
        id: LcoreId(n),
        cpu: *cpu,
        name: format!("qfp-lcore-{n}"),
    };
    (0..).zip(all_cpus(cpus, crypto)).map(spec).collect()
}

impl Started {
    pub(crate) fn report(&self) -> RunReport {
        if self.shared.stale.load(Ordering::Acquire) {
            // Without an answer the run has ended, and has shown all there is.
            self.ask(Request::Show);
        }
        self.statistics.report(&self.shared.counts(), &self.links, false)
    }

    /// Has `request` answered by the client; none when the run has ended.
    pub(crate) fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Option<T> {
        let (reply, answered) = channel();
        self.client.send(ToClient::Request(request(reply))).ok()?;
        answered.recv().ok()
    }

    pub(crate) fn inject(&self, injection: Injection) -> Result<(), InjectError> {
        if self.is_finished() {
            return Err(InjectError::Ended);
        }
        if self.injections.push(injection).is_err() {
            self.shared.inject_refused.fetch_add(1, Ordering::Relaxed);
            return Err(InjectError::Full);
        }
        if let Some(Run::Live(live)) = &self.run {
            live.bell.ring();
        }
        Ok(())
    }

    pub(crate) fn sa_events(&self) -> &Events {
        &self.shared.sa_events
    }

    pub(crate) fn total_packets(&self) -> Option<u64> {
        self.total_packets
    }

    pub(crate) fn stop_flag(&self) -> StopFlag {
        self.stop.clone()
    }

    pub(crate) fn is_finished(&self) -> bool {
        match &self.run {
            Some(Run::Live(live)) => live.lcores.is_finished(),
            Some(Run::Virtual(lcores)) => lcores.is_finished(),
            None => true,
        }
    }

    /// Waits for the end; see [`Started::close`].
    pub(crate) fn join(mut self) -> Result<(RunReport, Vec<TracedPacket>), RunError> {
        self.close()
    }

    /// Waits for the threads. Returns the engines; none if they have ended before.
    fn end(&mut self) -> Result<Vec<Ppe>, RunError> {
        match self.run.take() {
            Some(Run::Live(Live { lcores, slow, client, .. })) => {
                let engines = lcores.join();
                // The slow path sees that the lcores have stopped, whatever stopped them.
                self.stop.stop();
                let (slow, client) = (slow.join(), client.join());
                slow.map_err(|_| RunError::Control)?.settle();
                client.map_err(|_| RunError::Control)?.finish();
                Ok(engines?.into_iter().flatten().collect())
            }
            Some(Run::Virtual(lcores)) => {
                let ended = lcores.join()?.into_iter().flatten();
                Ok(ended.map(VirtualLoop::finish).collect())
            }
            None => Ok(Vec::new()),
        }
    }

    /// Waits for the end; then the queues go first, the ports after them, and the buffers last.
    fn close(&mut self) -> Result<(RunReport, Vec<TracedPacket>), RunError> {
        let engines = self.end();
        self.links.stop();
        let mut traces = Vec::new();
        let mut finished = Ok(());
        for mut ppe in engines? {
            finished = finished.and(ppe.finish());
            // Packet by packet, and those of all lcores one after the other.
            let mut walks = ppe.take_traces();
            walks.sort_by_key(|walk| walk.number);
            let first = traces.last().map_or(0, |walk: &TracedPacket| walk.number + 1);
            walks.iter_mut().for_each(|walk| walk.number += first);
            traces.append(&mut walks);
        }
        let report = self.statistics.report(&self.shared.counts(), &self.links, true);
        for mut port in self.links.ports().drain(..) {
            finished = finished.and(port.stop());
        }
        let ended = (report, traces);
        match finished.and_then(|()| self.pool.check_complete()) {
            Ok(()) => Ok(ended),
            Err(source) => Err(RunError::Port { source, ended: Box::new(ended) }),
        }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        self.stop.stop();
        if self.run.is_some() {
            // Nobody waits for what it says.
            drop(self.close());
        }
    }
}
