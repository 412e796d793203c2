//! Another configuration for a forwarder that runs: what may be another, and who follows it.

use std::collections::HashSet;
use std::net::IpAddr;
use std::path::PathBuf;

use client::config::{Config, Interfaces, Place, RouteTable};
use client::rib::{RouteQuery, RouteState, RouteUpdate};
use client::{Client, CommitError, PortFacts};
use ipnet::IpNet;
use pal::pool::PoolUsage;
use pal::publication::Generation;
use qfp_core::uidb::{TableId, UidbIndex};
use ucode::Configured;

use crate::Running;
use crate::control::Request;

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
    /// The run is over.
    #[error("the run has ended")]
    Ended,
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

/// What a forwarder was started with and does by now.
pub(crate) struct InForce {
    config: Config,
    facts: Vec<PortFacts>,
    /// Interfaces that counters and reports have places for.
    names: HashSet<String>,
    state_dir: Option<PathBuf>,
}

impl InForce {
    pub(crate) fn new(config: &Config, facts: Vec<PortFacts>) -> Self {
        let interfaces = Interfaces::new(config);
        let names = interfaces.all().iter().map(|one| one.name().to_owned()).collect();
        Self { config: config.clone(), facts, names, state_dir: config.state_dir() }
    }

    /// The configuration.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Refuses what only a new start can do.
    fn allows(&self, config: &Config) -> Result<(), ReconfigureError> {
        let fixed = |place, what: String| Err(ReconfigureError::Fixed { place, what });
        if self.config.ports.len() != config.ports.len() {
            return fixed(Place::default(), "the number of ports".to_owned());
        }
        for (old, new) in self.config.ports.iter().zip(&config.ports) {
            let same = [
                ("name", old.name == new.name),
                ("device", old.device == new.device),
                ("mac", old.mac == new.mac),
                ("mtu", old.mtu == new.mtu),
                ("promiscuous", old.promiscuous == new.promiscuous),
            ];
            if let Some((key, _)) = same.iter().find(|(_, same)| !same) {
                return fixed(new.origin.at(key), format!("{key} of port {}", old.name));
            }
        }
        let interfaces = Interfaces::new(config);
        if let Some(new) = interfaces.all().iter().find(|one| !self.names.contains(one.name())) {
            let what = if new.is_hidden() { "entries of [[spd]]" } else { new.name() };
            return fixed(Place::default(), format!("the set of interfaces ({what})"));
        }
        let (was, ours) = (&self.config, config);
        let same = [
            ("[neighbors]", was.neighbour_limits == ours.neighbour_limits),
            ("[punt]", was.punt == ours.punt),
            ("[lpts]", was.lpts == ours.lpts),
        ];
        if let Some((what, _)) = same.iter().find(|(_, same)| !same) {
            return fixed(Place::default(), (*what).to_owned());
        }
        match config.state_dir() {
            Some(dir) if self.state_dir.as_ref() != Some(&dir) => {
                fixed(config.ipsec.origin.place(), "the folder of sequence numbers".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// Refuses what a commit would refuse for what is said in `config` and `routes`.
    pub(crate) fn check(
        &self,
        config: &Config,
        routes: &RouteTable,
    ) -> Result<(), ReconfigureError> {
        self.allows(config)?;
        let valid = config.validate().and_then(|()| routes.validate(config));
        Ok(valid.map_err(CommitError::from)?)
    }

    /// What a slow path that starts has to know.
    pub(crate) fn configured(&self, client: &Client) -> Configured {
        Configured {
            interfaces: client.slow_path_interfaces(&self.config, &self.facts),
            sides: client.slow_path_sides(&self.config),
            neighbours: client.static_neighbours(&self.config),
            removed: Vec::new(),
        }
    }

    /// Makes the tables say what `config` and `routes` say. Returns what the slow path has to know.
    pub(crate) fn commit(
        &mut self,
        config: Config,
        routes: &RouteTable,
        client: &mut Client,
    ) -> Result<(Generation, Configured), ReconfigureError> {
        self.allows(&config)?;
        let before = client.static_neighbours(&self.config);
        let generation = client.commit(&config, routes, &self.facts)?;
        let neighbours = client.static_neighbours(&config);
        let kept: HashSet<_> = neighbours.iter().map(|one| (one.0, one.1)).collect();
        let removed = before.into_iter().map(|(uidb, address, _)| (uidb, address));
        let configured = Configured {
            interfaces: client.slow_path_interfaces(&config, &self.facts),
            sides: client.slow_path_sides(&config),
            removed: removed.filter(|one| !kept.contains(one)).collect(),
            neighbours,
        };
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
