//! Another configuration for a forwarder that runs: what may be another, and who follows it.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::path::PathBuf;

use client::config::{Config, Interfaces, Place, RouteTable};
use client::rib::RouteUpdate;
use client::{Client, CommitError, PortFacts};
use ipnet::IpNet;
use pal::publication::Generation;
use qfp_core::punt::{Action, SlowPath};
use qfp_core::uidb::UidbIndex;

use crate::Running;
use crate::control::Control;

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

    /// Makes the tables say what `config` and `routes` say, and has the slow path know the same.
    pub(crate) fn commit(
        &mut self,
        (config, routes): (Config, &RouteTable),
        client: &mut Client,
        slow: &mut SlowPath,
        actions: &mut Vec<Action>,
    ) -> Result<Generation, ReconfigureError> {
        self.allows(&config)?;
        let neighbours = |client: &Client, config: &Config| -> HashMap<(UidbIndex, IpAddr), _> {
            let all = client.static_neighbours(config).into_iter();
            all.map(|(uidb, address, mac)| ((uidb, address), mac)).collect()
        };
        let before = neighbours(client, &self.config);
        let generation = client.commit(&config, routes, &self.facts)?;
        let after = neighbours(client, &config);
        slow.set_interfaces(client.slow_path_interfaces(&config, &self.facts), actions);
        slow.set_sides(client.slow_path_sides(&config));
        for &(uidb, address) in before.keys().filter(|one| !after.contains_key(one)) {
            slow.remove_neighbour(uidb, address, actions);
        }
        for (&(uidb, address), &mac) in &after {
            slow.add_static_neighbour(uidb, address, mac);
        }
        self.config = config;
        Ok(generation)
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
        let commit = move |control: &mut Control| control.commit(config, &routes);
        self.inner.ask(commit).ok_or(ReconfigureError::Ended)?
    }

    /// Changes routes of a source other than the configuration: all of `updates`, or none. See
    /// [`Client::routes`].
    ///
    /// # Errors
    /// See [`ReconfigureError`].
    pub fn routes(&self, updates: Vec<RouteUpdate>) -> Result<(), ReconfigureError> {
        let change = move |control: &mut Control| control.client().routes(updates);
        Ok(self.inner.ask(change).ok_or(ReconfigureError::Ended)??)
    }

    /// The interfaces, in the order of the configuration; none when the run has ended.
    #[must_use]
    pub fn interfaces(&self) -> Vec<InterfaceState> {
        self.inner.ask(|control| control.interfaces()).unwrap_or_default()
    }

    /// Neighbours whose MAC addresses are known, static ones among them; none when the run has
    /// ended.
    #[must_use]
    pub fn neighbours(&self) -> Vec<(UidbIndex, IpAddr, [u8; 6])> {
        self.inner.ask(|control| control.neighbours()).unwrap_or_default()
    }
}
