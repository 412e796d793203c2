//! The router in the daemon's own process.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use api::{
    Agent, ApplicationState, Failure, Hop, Interface, MappedInterface, Neighbour, Path, Process,
    Resource, Route, RouteAction, RouteChange, RouteQuery, Status, Target, Wanted as Wants,
};
use qfp::client::Client;
use qfp::client::config::{Config, Interfaces};
use qfp::client::rib::{self, NextHop, RouteUpdate, Source};
use qfp::core::packet::PuntCause;
use qfp::core::uidb::{TableId, UidbIndex};
use qfp::pal::pool::PoolUsage;
use qfp::report::RunReport;
use qfp::{
    InjectTo, PuntFilter, Punts, ReconfigureError, RunError, Running, UcodeState, UpgradeError,
};
use terminal::log::Unseen;

use crate::gethd::Gethd;
use crate::router::{Router, Wanted};

/// A router that shares the daemon's process.
pub(crate) struct Embedded {
    /// None once it has been stopped.
    running: RwLock<Option<Running>>,
    gethd: Arc<Gethd>,
}

impl Embedded {
    /// Takes over a router that runs, with ports from the kernel's interfaces.
    pub(crate) fn new(running: Running, gethd: Arc<Gethd>) -> Self {
        Self { running: RwLock::new(Some(running)), gethd }
    }

    fn running(&self) -> RwLockReadGuard<'_, Option<Running>> {
        self.running.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the router, if it runs.
    pub(crate) fn with<T>(&self, what: impl FnOnce(&Running) -> T) -> Option<T> {
        self.running().as_ref().map(what)
    }

    /// Stops it and waits for its end; none if that has been done before.
    pub(crate) fn stop(&self) -> Option<Result<RunReport, RunError>> {
        let running = self.running.write().unwrap_or_else(PoisonError::into_inner).take();
        running.map(Running::stop)
    }

    fn ask<T>(
        &self,
        what: impl FnOnce(&Running) -> Result<T, ReconfigureError>,
    ) -> Result<T, Failure> {
        let answer = self.with(what).unwrap_or(Err(ReconfigureError::Ended));
        answer.map_err(|error| failure(&error))
    }
}

fn failure(error: &ReconfigureError) -> Failure {
    let status = match error {
        ReconfigureError::Ended | ReconfigureError::Marks(_) => Status::Failed,
        _ => Status::Refused,
    };
    Failure::new(status, error)
}

/// Has a client that has committed `config` have routes of the API, a piece after the other. What
/// cannot be any more is left out, as the interface or the VRF that it needs is gone; returns how many.
pub(crate) fn restore(client: &mut Client, config: &Config, routes: Vec<RouteChange>) -> usize {
    let interfaces = Interfaces::new(config);
    let numbered = interfaces.all().iter().filter_map(|one| {
        let vrf = one.vrf().map(str::to_owned);
        Some((one.name().to_owned(), (client.uidb(one.name())?, vrf)))
    });
    let names = Names {
        interfaces: numbered.collect(),
        by_uidb: HashMap::new(),
        tables: client.vrfs().map(|(name, table)| (name.to_owned(), table)).collect(),
    };
    let count = routes.len();
    let update = |change: RouteChange| {
        let table = names.table(change.vrf.as_deref()).ok()?;
        let paths = changed(&names, &change, Vec::new).ok()?;
        let action = rib::Action::Replace(paths.into());
        Some(RouteUpdate { table, prefix: change.prefix, source: Source::API, action })
    };
    let updates: Vec<RouteUpdate> = routes.into_iter().filter_map(update).collect();
    let mut done = 0;
    for piece in updates.chunks(RESTORED) {
        if client.routes(piece.iter().cloned()).is_ok() {
            done += piece.len();
        }
    }
    count - done
}

/// Routes that are restored at a time.
const RESTORED: usize = 1 << 15;

/// Names of what the router has numbers for.
struct Names {
    interfaces: HashMap<String, (UidbIndex, Option<String>)>,
    by_uidb: HashMap<UidbIndex, String>,
    tables: Vec<(String, TableId)>,
}

impl Names {
    fn new(running: &Running) -> Self {
        let (mut interfaces, mut by_uidb) = (HashMap::new(), HashMap::new());
        for one in running.interfaces() {
            by_uidb.insert(one.uidb, one.name.clone());
            interfaces.insert(one.name, (one.uidb, one.vrf));
        }
        Self { interfaces, by_uidb, tables: running.vrfs() }
    }

    fn table(&self, vrf: Option<&str>) -> Result<TableId, Failure> {
        let Some(vrf) = vrf else { return Ok(TableId::GLOBAL) };
        let found = self.tables.iter().find(|(name, _)| name == vrf);
        found.map(|(_, table)| *table).ok_or_else(|| not_found(format!("there is no VRF {vrf}")))
    }

    fn vrf(&self, table: TableId) -> Option<String> {
        self.tables.iter().find(|(_, known)| *known == table).map(|(name, _)| name.clone())
    }

    fn interface(&self, uidb: UidbIndex) -> String {
        self.by_uidb.get(&uidb).cloned().unwrap_or_else(|| format!("uidb{}", uidb.0))
    }

    /// A path of a route in `vrf`, as the RIB knows it.
    fn path(&self, vrf: Option<&str>, path: &Path) -> Result<rib::Path, Failure> {
        let uidb = |name: &String| match self.interfaces.get(name) {
            Some((uidb, own)) if own.as_deref() == vrf => Ok(*uidb),
            Some(_) => Err(refused(format!("interface {name} is in another VRF"))),
            None => Err(not_found(format!("there is no interface {name}"))),
        };
        let hop = match &path.hop {
            Hop::Via { address, interface } => {
                let interface = interface.as_ref().map(uidb).transpose()?;
                NextHop::Via { address: *address, interface }
            }
            Hop::OnLink(name) => NextHop::OnLink(uidb(name)?),
            Hop::Drop => NextHop::Drop,
            Hop::Receive => return Err(refused("what is for the router is configured")),
        };
        Ok(rib::Path { hop, weight: path.weight.max(1) })
    }

    fn told(&self, path: &rib::Path) -> Path {
        let hop = match path.hop {
            NextHop::Via { address, interface } => {
                Hop::Via { address, interface: interface.map(|uidb| self.interface(uidb)) }
            }
            NextHop::OnLink(uidb) => Hop::OnLink(self.interface(uidb)),
            NextHop::Drop => Hop::Drop,
            NextHop::Receive | NextHop::LocalGroup => Hop::Receive,
        };
        Path { hop, weight: path.weight.max(1) }
    }
}

fn not_found(line: impl ToString) -> Failure {
    Failure::new(Status::NotFound, line)
}

fn refused(line: impl ToString) -> Failure {
    Failure::new(Status::Refused, line)
}

/// What a change makes of the paths that a route has.
fn changed(
    names: &Names,
    change: &RouteChange,
    paths: impl FnOnce() -> Vec<rib::Path>,
) -> Result<Vec<rib::Path>, Failure> {
    let vrf = change.vrf.as_deref();
    let given = |path: &Path| {
        if let Hop::Via { address, .. } = path.hop
            && address.is_ipv4() != change.prefix.addr().is_ipv4()
        {
            return Err(refused(format!("{} and {address} are of two families", change.prefix)));
        }
        names.path(vrf, path)
    };
    match &change.action {
        RouteAction::Replace(wanted) => wanted.iter().map(given).collect(),
        RouteAction::Add(path) => {
            let path = given(path)?;
            let mut paths = paths();
            paths.retain(|known| known.hop != path.hop);
            paths.push(path);
            Ok(paths)
        }
        RouteAction::Delete(path) => {
            let path = given(path)?;
            let mut paths = paths();
            let before = paths.len();
            paths.retain(|known| known.hop != path.hop);
            if paths.len() == before {
                let line = format!("there is no such route to {}", change.prefix);
                return Err(not_found(line));
            }
            Ok(paths)
        }
    }
}

impl Router for Embedded {
    fn check(&self, wanted: &Wanted) -> Result<(), Failure> {
        let routes = wanted.routes.clone();
        let config = self.gethd.complete(wanted.config.clone(), false);
        self.ask(|running| running.check(config, routes))
    }

    fn commit(&self, wanted: &Wanted) -> Result<(), Failure> {
        let routes = wanted.routes.clone();
        let before = self.gethd.in_force();
        let config = self.gethd.complete(wanted.config.clone(), true);
        let done = self.ask(|running| running.commit(config, routes)).map(drop);
        if done.is_err() {
            self.gethd.come_back(before);
        }
        done
    }

    fn change_routes(&self, changes: Vec<RouteChange>) -> Result<Vec<RouteChange>, Failure> {
        let running = self.running();
        let Some(running) = running.as_ref() else { return Err(ended()) };
        let names = Names::new(running);
        let mut updates: Vec<RouteUpdate> = Vec::with_capacity(changes.len());
        for change in &changes {
            if change.prefix != change.prefix.trunc() {
                return Err(refused(format!("{} has host bits", change.prefix)));
            }
            let table = names.table(change.vrf.as_deref())?;
            let is_it =
                |update: &&RouteUpdate| (update.table, update.prefix) == (table, change.prefix);
            let paths = changed(&names, change, || {
                match updates.iter().rev().find(is_it).map(|update| &update.action) {
                    Some(rib::Action::Replace(paths)) => paths.to_vec(),
                    Some(rib::Action::Withdraw) => Vec::new(),
                    None => own_paths(running, table, change.prefix),
                }
            })?;
            let action = match paths[..] {
                [] => rib::Action::Withdraw,
                _ => rib::Action::Replace(paths.into()),
            };
            updates.push(RouteUpdate { table, prefix: change.prefix, source: Source::API, action });
        }
        let told = |(change, update): (RouteChange, &RouteUpdate)| {
            let paths = match &update.action {
                rib::Action::Replace(paths) => paths.iter().map(|path| names.told(path)).collect(),
                rib::Action::Withdraw => Vec::new(),
            };
            RouteChange { action: RouteAction::Replace(paths), ..change }
        };
        let now = changes.into_iter().zip(&updates).map(told).collect();
        running.routes(updates).map_err(|error| failure(&error))?;
        Ok(now)
    }

    fn routes(&self, query: &RouteQuery, skip: u64, limit: u32) -> Result<Vec<Route>, Failure> {
        let query = match *query {
            RouteQuery::All => rib::RouteQuery::All,
            RouteQuery::Exact(prefix) => rib::RouteQuery::Exact(prefix.trunc()),
            RouteQuery::Longest(address) => rib::RouteQuery::Longest(address),
        };
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        let found = |running: &Running| {
            let names = Names::new(running);
            let route = |state: rib::RouteState| Route {
                vrf: names.vrf(state.table),
                prefix: state.prefix,
                source: state.source.to_string(),
                preference: state.source.0,
                selected: state.selected,
                paths: state.paths.iter().map(|path| names.told(path)).collect(),
            };
            running.show_routes(query, skip, limit as usize).into_iter().map(route).collect()
        };
        self.with(found).ok_or_else(ended)
    }

    fn statistics(&self, json: bool, unseen: Unseen) -> Result<String, Failure> {
        let report = |running: &Running| RunReport { ipsec: running.ipsec(), ..running.report() };
        let report = self.with(report).ok_or_else(ended)?;
        Ok(if json {
            format!("{:#}\n", terminal::json::statistics(&report, unseen))
        } else {
            terminal::report::render(&report, true, unseen)
        })
    }

    fn interfaces(&self) -> Vec<Interface> {
        let all = self.with(Running::interfaces).unwrap_or_default();
        let interface = |one: qfp::InterfaceState| Interface {
            name: one.name,
            uidb: one.uidb.0,
            up: one.is_up,
            vrf: one.vrf,
            addresses: one.addresses,
        };
        all.into_iter().map(interface).collect()
    }

    fn mapping(&self) -> Vec<MappedInterface> {
        self.gethd.mapping()
    }

    fn register(&self, name: &str, wanted: &Wants) -> Result<Punts, Failure> {
        let cause = wanted.cause.as_deref().map(|name| {
            let known = PuntCause::ALL.iter().find(|cause| cause.name() == name);
            known.copied().ok_or_else(|| not_found(format!("there is no punt cause {name}")))
        });
        let (protocol, port) = (wanted.protocol, wanted.port);
        let filter = PuntFilter { cause: cause.transpose()?, protocol, port };
        self.with(|running| running.register(name, filter)).ok_or_else(ended)
    }

    fn inject(&self, to: &Target, packet: &[u8]) -> Result<(), Failure> {
        let inject = |running: &Running| {
            let names = Names::new(running);
            let to = match to {
                Target::Routes(vrf) => InjectTo::Table(names.table(vrf.as_deref())?),
                Target::Interface(name) => match names.interfaces.get(name) {
                    Some((uidb, _)) => InjectTo::Interface(*uidb),
                    None => return Err(not_found(format!("there is no interface {name}"))),
                },
            };
            running.inject(to, packet).map_err(|error| Failure::new(Status::Failed, error))
        };
        self.with(inject).unwrap_or_else(|| Err(ended()))
    }

    fn applications(&self) -> Vec<ApplicationState> {
        let told = |one: qfp::ApplicationState| ApplicationState {
            name: one.name,
            wanted: Wants {
                cause: one.filter.cause.map(|cause| cause.name().to_owned()),
                protocol: one.filter.protocol,
                port: one.filter.port,
            },
            delivered: one.delivered,
            lost: one.lost,
        };
        let all = self.with(Running::applications).unwrap_or_default();
        all.into_iter().map(told).collect()
    }

    fn neighbours(&self) -> Vec<Neighbour> {
        let told = |running: &Running| {
            let names = Names::new(running);
            let mut known = running.neighbours();
            known.sort_unstable();
            let neighbour = |(uidb, address, mac): (UidbIndex, _, [u8; 6])| Neighbour {
                interface: names.interface(uidb),
                address,
                mac: qfp::client::config::MacAddr(mac).to_string(),
            };
            known.into_iter().map(neighbour).collect()
        };
        self.with(told).unwrap_or_default()
    }

    fn resources(&self) -> Vec<Resource> {
        let (pools, _) = self.with(Running::resources).unwrap_or_default();
        let resource = |(agent, pool): (&str, PoolUsage)| Resource {
            name: pool.what.to_owned(),
            users: vec![agent.to_owned()],
            in_use: pool.in_use.into(),
            limit: pool.capacity.into(),
            peak: pool.peak.into(),
        };
        pools.into_iter().map(resource).collect()
    }

    fn agents(&self) -> Vec<Agent> {
        self.with(agents).unwrap_or_default()
    }

    fn upgrade(&self) -> Result<(), Failure> {
        let upgraded = self.with(Running::upgrade_ucode).ok_or_else(ended)?;
        upgraded.map_err(|error| {
            let is_refused = matches!(error, UpgradeError::NotApart);
            Failure::new(if is_refused { Status::Refused } else { Status::Failed }, error)
        })
    }

    fn processes(&self) -> Vec<Process> {
        let ucode = self.with(Running::ucode).flatten();
        let process = |ucode: UcodeState| Process {
            name: "qfp-ucode".to_owned(),
            domain: "data".to_owned(),
            pid: ucode.pid.unwrap_or(0),
            state: match ucode.pid {
                Some(_) => "running",
                None if ucode.given_up => "given up",
                None => "starting",
            }
            .to_owned(),
            restarts: ucode.restarts,
            uptime_s: ucode.since.map_or(0, |since| since.elapsed().as_secs()),
            last_exit: ucode.last_exit,
        };
        ucode.map(process).into_iter().collect()
    }
}

/// Objects that agents keep in the tables.
fn agents(running: &Running) -> Vec<Agent> {
    let object = |agent: &str, object: String, entries: usize, bindings: usize| Agent {
        agent: agent.to_owned(),
        object,
        entries: entries as u64,
        bindings: bindings as u64,
    };
    let (interfaces, neighbours) = (running.interfaces().len(), running.neighbours().len());
    let (_, routes) = running.resources();
    let mut all = vec![
        object("interface", "interfaces".to_owned(), interfaces, interfaces),
        object("adjacency", "neighbours".to_owned(), neighbours, neighbours),
        object("fib", "routes".to_owned(), routes, running.vrfs().len() + 1),
    ];
    let lists = running.tcam_usage().map_or_else(Vec::new, |usage| usage.objects);
    let lists = lists.into_iter();
    all.extend(lists.map(|(name, rules, bindings)| {
        object("classification", name.to_string(), rules, bindings)
    }));
    let sas = running.ipsec().map_or_else(Vec::new, |report| report.sas);
    all.extend(sas.into_iter().map(|sa| object("ipsec", format!("SA {}", sa.sa.name), 1, 1)));
    all
}

fn ended() -> Failure {
    Failure::new(Status::Failed, ReconfigureError::Ended)
}

/// The paths of a route of the API, none if there is none.
fn own_paths(running: &Running, table: TableId, prefix: ipnet::IpNet) -> Vec<rib::Path> {
    let all = running.show_routes(rib::RouteQuery::Exact(prefix), 0, usize::MAX);
    let own = all.into_iter().find(|one| one.table == table && one.source == Source::API);
    own.map(|one| one.paths.to_vec()).unwrap_or_default()
}
