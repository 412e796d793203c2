//! Ports in force: their numbers and settings, and how those of another configuration take their place.
//!
//! A port is known by its name, and keeps its number as long as it is there. What is added is open and
//! polled before a table names it; what is gone is pulled out once none does, and its number is free when
//! no lcore uses it any more.

use std::collections::{BTreeSet, HashMap, HashSet};

use client::PortFacts;
use client::config::{Config, Port as PortWords};
use hal::spec::Spec;
use hal::{PortConfig, PortInfo};
use qfp_core::counters::CounterTotals;
use qfp_core::ppe::MOST_PORTS;
use ucode::PortLaunch;

use crate::names::PortName;
use crate::plane::Sockets;
use crate::reconfigure::ReconfigureError;

/// A port that lcores poll.
#[derive(Clone, Debug)]
struct Port {
    number: u16,
    name: String,
    /// What it was opened with; none for one of the program's own.
    spec: Option<Spec>,
    /// What the configuration asks of it.
    wanted: PortConfig,
    info: PortInfo,
}

/// Whether frames for other stations are dropped unless the configuration says otherwise.
fn filters(spec: Option<&Spec>, wanted: &PortConfig) -> bool {
    matches!(spec, Some(Spec::Tap(_) | Spec::Packet(_))) && !wanted.promiscuous
}

/// What the configuration asks of a port.
fn wanted(port: &PortWords) -> PortConfig {
    PortConfig {
        mac: port.mac.map(|mac| mac.0),
        mtu: port.mtu,
        promiscuous: port.promiscuous,
        ..PortConfig::default()
    }
}

impl Port {
    fn facts(&self) -> PortFacts {
        let mac = self.wanted.mac.or(self.info.mac).unwrap_or_else(|| ucode::own_mac(self.number));
        PortFacts { mac, filter_mac: filters(self.spec.as_ref(), &self.wanted) }
    }
}

/// The ports in force, in the order of the configuration.
#[derive(Clone, Debug)]
pub(crate) struct Installed {
    ports: Vec<Port>,
    /// Numbers that lcores have not given back.
    lost: BTreeSet<u16>,
}

/// A port of another configuration.
enum Next<'a> {
    /// It is there as it is to be.
    Kept(Port),
    /// It is to be plugged, in place of one or not.
    New { words: &'a PortWords, spec: Spec, before: Option<Port> },
}

/// Ports of another configuration that have been plugged: those in force are there yet.
pub(crate) struct Plugged<'a> {
    sockets: Option<&'a Sockets>,
    /// The ports in force then.
    pub(crate) next: Installed,
    /// What was plugged, and what was there before.
    done: Vec<(u16, Option<Port>)>,
    gone: Vec<u16>,
}

impl Installed {
    /// The ports that a forwarder starts with, numbered in their order unless `numbers` has them.
    pub(crate) fn new(
        config: &Config,
        specs: &[Option<Spec>],
        infos: &[&PortInfo],
        numbers: &HashMap<String, u16>,
    ) -> Self {
        let ports = (0..).zip(&config.ports).zip(specs.iter().zip(infos));
        let port =
            |((number, words), (spec, info)): ((_, &PortWords), (&Option<Spec>, &&PortInfo))| {
                let (name, info) = (words.name.clone(), PortInfo::clone(info));
                let number = numbers.get(&name).copied().unwrap_or(number);
                Port { number, name, spec: spec.clone(), wanted: wanted(words), info }
            };
        Self { ports: ports.map(port).collect(), lost: BTreeSet::new() }
    }

    /// What the client must know of each.
    pub(crate) fn facts(&self) -> Vec<PortFacts> {
        self.ports.iter().map(Port::facts).collect()
    }

    /// The number of each.
    pub(crate) fn numbers(&self) -> Vec<u16> {
        self.ports.iter().map(|port| port.number).collect()
    }

    /// How each is launched on so many lcores, by number.
    pub(crate) fn launches(&self, lcores: usize) -> Vec<PortLaunch> {
        let launch = |port: &Port| PortLaunch {
            number: port.number,
            name: port.name.clone(),
            config: ucode::fitting(&port.wanted, &port.info, (port.number, lcores)),
        };
        let mut all: Vec<_> = self.ports.iter().map(launch).collect();
        all.sort_by_key(|port| port.number);
        all
    }

    /// What reports call them.
    pub(crate) fn names(&self) -> Vec<PortName> {
        let name = |port: &Port| PortName {
            number: port.number,
            name: port.name.clone(),
            spec: port.info.spec.clone(),
        };
        self.ports.iter().map(name).collect()
    }

    /// What becomes of the ports with another configuration.
    fn next<'a>(&self, config: &'a Config) -> Result<Vec<Next<'a>>, ReconfigureError> {
        if config.ports.is_empty() {
            return Err(ReconfigureError::NoPorts);
        }
        let by_name: HashMap<&str, &Port> =
            self.ports.iter().map(|port| (port.name.as_str(), port)).collect();
        let mut specs = Vec::new();
        for words in &config.ports {
            let there = by_name.get(words.name.as_str()).copied();
            let own = there.is_some_and(|port| port.spec.is_none());
            specs.push(match &words.device {
                _ if own => None,
                Some(device) => Some(
                    Spec::parse(device)
                        .map_err(|source| ReconfigureError::port(words, "device", source))?,
                ),
                None => {
                    return Err(ReconfigureError::NoDevice(
                        words.origin.place(),
                        words.name.clone(),
                    ));
                }
            });
        }
        crate::shared_files::check(&specs)
            .map_err(|(n, source)| ReconfigureError::port(&config.ports[n], "device", source))?;
        let next = |(words, spec): (&'a PortWords, Option<Spec>)| {
            let before = by_name.get(words.name.as_str()).map(|port| Port::clone(port));
            match (spec, before) {
                (spec, Some(port)) if spec == port.spec && wanted(words) == port.wanted => {
                    Ok(Next::Kept(port))
                }
                (Some(spec), before) => Ok(Next::New { words, spec, before }),
                (None, _) => Err(ReconfigureError::Fixed {
                    place: words.origin.place(),
                    what: format!("port {}, which is the program's own,", words.name),
                }),
            }
        };
        config.ports.iter().zip(specs).map(next).collect()
    }

    /// Refuses what can be told to be wrong without opening anything.
    pub(crate) fn check(&self, config: &Config, can_plug: bool) -> Result<(), ReconfigureError> {
        let next = self.next(config)?;
        let kept = next.iter().filter(|next| matches!(next, Next::Kept(_))).count();
        if !can_plug && (kept < next.len() || kept < self.ports.len()) {
            return Err(ReconfigureError::Virtual);
        }
        match config.ports.get(MOST_PORTS) {
            Some(words) => Err(ReconfigureError::TooManyPorts(words.origin.place())),
            None => Ok(()),
        }
    }

    /// Opens and starts what `config` has in addition or otherwise, and has lcores poll it.
    ///
    /// # Errors
    /// The first port that cannot be: all are as they were then.
    pub(crate) fn plug<'a>(
        &self,
        config: &Config,
        sockets: Option<&'a Sockets>,
        totals: &CounterTotals,
    ) -> Result<Plugged<'a>, ReconfigureError> {
        let mut taken: BTreeSet<u16> = self.numbers().into_iter().collect();
        taken.extend(&self.lost);
        let next = Self { ports: Vec::new(), lost: self.lost.clone() };
        let mut plugged = Plugged { sockets, next, done: Vec::new(), gone: Vec::new() };
        for next in self.next(config)? {
            let (words, spec, before) = match next {
                Next::Kept(port) => {
                    plugged.next.ports.push(port);
                    continue;
                }
                Next::New { words, spec, before } => (words, spec, before),
            };
            let free = || (0..).take(MOST_PORTS).find(|number| !taken.contains(number));
            let number = before.as_ref().map(|port| port.number).or_else(free);
            let (Some(number), Some(sockets)) = (number, sockets) else {
                return Err(plugged.undo(ReconfigureError::TooManyPorts(words.origin.place())));
            };
            taken.insert(number);
            if before.is_none() {
                totals.begin_port(number);
            }
            let wanted = wanted(words);
            match sockets.plug(number, (&words.name, &spec), &wanted) {
                Ok(info) => {
                    let (name, spec) = (words.name.clone(), Some(spec));
                    plugged.next.ports.push(Port { number, name, spec, wanted, info });
                    plugged.done.push((number, before));
                }
                Err(source) => {
                    return Err(plugged.undo(ReconfigureError::port(words, "device", source)));
                }
            }
        }
        let names: HashSet<&str> = config.ports.iter().map(|port| port.name.as_str()).collect();
        let gone = self.ports.iter().filter(|port| !names.contains(port.name.as_str()));
        plugged.gone = gone.map(|port| port.number).collect();
        Ok(plugged)
    }
}

impl Plugged<'_> {
    /// Has all ports be as they were, because of `why`.
    pub(crate) fn undo(self, mut why: ReconfigureError) -> ReconfigureError {
        for (number, before) in self.done.into_iter().rev() {
            let Some(sockets) = self.sockets else { continue };
            let undone = match before {
                Some(Port { name, spec: Some(spec), wanted, .. }) => {
                    sockets.plug(number, (&name, &spec), &wanted).map(drop)
                }
                _ => sockets.pull(number),
            };
            if let Err(error) = undone {
                why = ReconfigureError::NotUndone { why: Box::new(why), error: Box::new(error) };
            }
        }
        why
    }

    /// Pulls out what is gone: no table names it any more. A number that an lcore does not give back is
    /// not used again.
    pub(crate) fn keep(self) -> Installed {
        let Self { sockets, mut next, gone, .. } = self;
        let stuck = |number: &u16| sockets.is_some_and(|sockets| sockets.pull(*number).is_err());
        next.lost.extend(gone.into_iter().filter(stuck));
        next
    }
}
