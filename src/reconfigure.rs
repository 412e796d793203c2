//! Another configuration for a forwarder that runs: what may be another, and who follows it.

use std::collections::HashSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use client::config::{Config, Interfaces, Place, Port, RouteTable};
use client::ipsec::MarksError;
use client::rib::{RouteQuery, RouteState, RouteUpdate};
use client::{Client, CommitError};
use ipnet::IpNet;
use pal::pool::PoolUsage;
use pal::publication::Generation;
use qfp_core::counters::CounterTotals;
use qfp_core::lpts::LptsRates;
use qfp_core::ppe::MOST_PORTS;
use qfp_core::punt::Limits;
use qfp_core::uidb::{TableId, UidbIndex};
use ucode::Configured;

use crate::Running;
use crate::control::Request;
use crate::installed::Installed;
use crate::names::Names;
use crate::plane::{SocketError, Sockets};

/// Why a forwarder goes on with the configuration that it has. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum ReconfigureError {
    /// The configuration is wrong, or there is no room for it.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// It asks for what is as it was when the forwarder started.
    #[error("{place}{what} cannot change while the router runs")]
    Fixed {
        /// Where it was said.
        place: Place,
        /// What would have to change.
        what: String,
    },
    /// A port cannot be as it says.
    #[error("{place}{source}")]
    Port {
        /// Where it was said.
        place: Place,
        /// What is wrong.
        source: Box<SocketError>,
    },
    /// A port has no device.
    #[error("{0}port {1} has no device")]
    NoDevice(Place, String),
    /// There would be no port.
    #[error("no ports are configured")]
    NoPorts,
    /// There are more ports than can be.
    #[error("{0}{MOST_PORTS} ports are the most that there can be")]
    TooManyPorts(Place),
    /// It has other ports, and time is that of captures.
    #[error("ports cannot change in the time of captures")]
    Virtual,
    /// It was refused, and a port that had been changed for it is not as it was.
    #[error("{why}; and a port is not as it was: {error}")]
    NotUndone {
        /// Why it was refused.
        why: Box<Self>,
        /// Why the port does not go back.
        error: Box<SocketError>,
    },
    /// The folder of sequence numbers.
    #[error(transparent)]
    Marks(#[from] MarksError),
    /// The run is over.
    #[error("the run has ended")]
    Ended,
}

impl ReconfigureError {
    /// What `key` of a port asks for cannot be.
    pub(crate) fn port(words: &Port, key: &str, source: impl Into<SocketError>) -> Self {
        Self::Port { place: words.origin.at(key), source: Box::new(source.into()) }
    }

    /// Whether the operator has asked for what cannot be: exit status 2.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Commit(error) => error.is_usage(),
            Self::NotUndone { why, .. } => why.is_usage(),
            Self::Ended | Self::Marks(_) => false,
            _ => true,
        }
    }
}

/// An interface of a running forwarder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceState {
    /// Its name.
    pub name: String,
    /// Its number.
    pub uidb: UidbIndex,
    /// Whether the configuration has it up.
    pub is_up: bool,
    /// The VRF whose table its packets are routed in; none is the global table.
    pub vrf: Option<String>,
    /// Its own addresses, with the lengths of their networks' prefixes.
    pub addresses: Vec<IpNet>,
}

/// What does not come from a configuration: bounds and rates for the slow path.
#[derive(Clone)]
pub(crate) struct Given {
    pub(crate) limits: Limits,
    /// In place of those of the configuration.
    pub(crate) rates: Option<LptsRates>,
    /// Neighbours that there is room for.
    pub(crate) room: usize,
}

/// What a forwarder does by now.
pub(crate) struct InForce {
    config: Config,
    pub(crate) ports: Installed,
    given: Given,
    totals: Arc<CounterTotals>,
    state_dir: Option<PathBuf>,
}

impl InForce {
    pub(crate) fn new(
        config: &Config,
        ports: Installed,
        given: Given,
        totals: Arc<CounterTotals>,
    ) -> Self {
        Self { config: config.clone(), ports, given, totals, state_dir: config.state_dir() }
    }

    /// The configuration.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// What reports call what is in force.
    pub(crate) fn names(&self, client: &Client) -> Names {
        Names::new(client, &self.config, &self.ports)
    }

    /// Refuses what a commit would refuse for what is said in `config` and `routes`.
    pub(crate) fn check(
        &self,
        config: &Config,
        routes: &RouteTable,
        can_plug: bool,
    ) -> Result<(), ReconfigureError> {
        let valid = config.validate().and_then(|()| routes.validate(config));
        valid.map_err(CommitError::from)?;
        self.ports.check(config, can_plug)?;
        match config.state_dir() {
            Some(dir) if self.state_dir.as_ref() != Some(&dir) => Err(ReconfigureError::Fixed {
                place: config.ipsec.origin.place(),
                what: "the folder of sequence numbers".to_owned(),
            }),
            _ => Ok(()),
        }
    }

    /// What a slow path that starts has to know.
    pub(crate) fn configured(&self, client: &Client) -> Configured {
        self.configured_so(&self.config, client)
    }

    fn configured_so(&self, config: &Config, client: &Client) -> Configured {
        let Given { limits, rates, room } = self.given.clone();
        let mut limits = config.neighbour_limits.apply(limits, room);
        limits.record_route &= config.punt.record_route;
        Configured {
            interfaces: client.slow_path_interfaces(config, &self.ports.facts()),
            sides: client.slow_path_sides(config),
            neighbours: client.static_neighbours(config),
            removed: Vec::new(),
            limits,
            rates: rates.unwrap_or_else(|| config.lpts.rates.clone()),
            sessions: client.lpts(config),
        }
    }

    /// Has ports and tables be what `config` and `routes` say. Returns what the slow path has to know.
    pub(crate) fn commit(
        &mut self,
        config: Config,
        routes: &RouteTable,
        (client, sockets): (&mut Client, Option<&Sockets>),
    ) -> Result<(Generation, Configured), ReconfigureError> {
        self.check(&config, routes, sockets.is_some())?;
        let before = client.static_neighbours(&self.config);
        let known: HashSet<String> = names_of(&self.config).collect();
        let used = client.uidb_limit();
        let plugged = self.ports.plug(&config, sockets, &self.totals)?;
        client.number_ports(plugged.next.numbers());
        let generation = match client.commit(&config, routes, &plugged.next.facts()) {
            Ok(generation) => generation,
            Err(error) => {
                client.number_ports(self.ports.numbers());
                return Err(plugged.undo(error.into()));
            }
        };
        self.ports = plugged.keep();
        // What another interface has counted by the same number is not its.
        for name in names_of(&config).filter(|name| !known.contains(name)) {
            let uidb = client.uidb(&name).filter(|uidb| usize::from(uidb.0) < used);
            uidb.into_iter().for_each(|uidb| self.totals.begin_interface(uidb));
        }
        let configured = self.configured_so(&config, client).in_place_of(&before);
        self.config = config;
        Ok((generation, configured))
    }

    pub(crate) fn interfaces(&self, client: &Client) -> Vec<InterfaceState> {
        let interfaces = Interfaces::new(&self.config);
        let visible = interfaces.all().iter().filter(|interface| !interface.is_hidden());
        let state = visible.filter_map(|interface| {
            Some(InterfaceState {
                name: interface.name().to_owned(),
                uidb: client.uidb(interface.name())?,
                is_up: interface.is_up(),
                vrf: interface.vrf().map(str::to_owned),
                addresses: interface.addresses().to_vec(),
            })
        });
        state.collect()
    }
}

/// Names of all interfaces, those that stand for policies among them.
fn names_of(config: &Config) -> impl Iterator<Item = String> {
    let interfaces = Interfaces::new(config);
    let names: Vec<String> = interfaces.all().iter().map(|one| one.name().to_owned()).collect();
    names.into_iter()
}

/// The configuration of a running forwarder. In the time of captures a change happens between two
/// vectors.
impl Running {
    /// Makes it do what another configuration and its routes say, while packets flow: all of it or
    /// nothing. Routes, neighbours, lists, policies, SAs, and what interfaces do with packets may be
    /// others; routes of other sources and learnt neighbours stay. What [`Running::edit_list`] and
    /// [`Running::add_sa`] have changed is as `config` has it.
    ///
    /// # Errors
    /// See [`ReconfigureError`].
    pub fn commit(
        &self,
        config: Config,
        routes: RouteTable,
    ) -> Result<Generation, ReconfigureError> {
        let config = Box::new(config);
        let committed = self.inner.ask(|reply| Request::Commit { config, routes, reply });
        committed.ok_or(ReconfigureError::Ended)?
    }

    /// Whether [`Running::commit`] would take `config` and `routes`, as far as that can be told
    /// without preparing them: room is not looked at.
    ///
    /// # Errors
    /// As [`Running::commit`].
    pub fn check(&self, config: Config, routes: RouteTable) -> Result<(), ReconfigureError> {
        let config = Box::new(config);
        let checked = self.inner.ask(|reply| Request::Check { config, routes, reply });
        checked.ok_or(ReconfigureError::Ended)?
    }

    /// Changes routes of a source other than the configuration: all of `updates`, or none. See
    /// [`Client::routes`].
    ///
    /// # Errors
    /// See [`ReconfigureError`].
    pub fn routes(&self, updates: Vec<RouteUpdate>) -> Result<(), ReconfigureError> {
        let changed = self.inner.ask(|reply| Request::Routes { updates, reply });
        Ok(changed.ok_or(ReconfigureError::Ended)??)
    }

    /// Routes of all sources, `limit` at most, without the first `skip`; none when the run has ended.
    /// See [`RouteQuery`].
    #[must_use]
    pub fn show_routes(&self, query: RouteQuery, skip: usize, limit: usize) -> Vec<RouteState> {
        let shown = self.inner.ask(|reply| Request::ShowRoutes { query, skip, limit, reply });
        shown.unwrap_or_default()
    }

    /// What agents of the client take of, each with the agent that does, and how many routes the
    /// forwarding tables have; none when the run has ended.
    #[must_use]
    pub fn resources(&self) -> (Vec<(&'static str, PoolUsage)>, usize) {
        self.inner.ask(Request::Resources).unwrap_or_default()
    }

    /// Routing tables of the VRFs that interfaces are in, by name; none when the run has ended.
    #[must_use]
    pub fn vrfs(&self) -> Vec<(String, TableId)> {
        self.inner.ask(Request::Vrfs).unwrap_or_default()
    }

    /// The interfaces, in the order of the configuration; none when the run has ended.
    #[must_use]
    pub fn interfaces(&self) -> Vec<InterfaceState> {
        self.inner.ask(Request::Interfaces).unwrap_or_default()
    }

    /// Neighbours whose MAC addresses lcores see, static ones among them; none when the run has
    /// ended.
    #[must_use]
    pub fn neighbours(&self) -> Vec<(UidbIndex, IpAddr, [u8; 6])> {
        self.inner.ask(Request::Neighbours).unwrap_or_default()
    }
}
