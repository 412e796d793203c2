//! The guest Ethernet daemon: which interfaces the kernel has, which of them are ports, and what becomes
//! of them.
//!
//! A thread hears of interfaces that come, go and change, and has the configuration put in force again
//! if other ports follow from it.

mod mapping;
mod operator;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use api::Failure;
use qfp::client::config::{Config, Discover, Found};
use qfp::pal::inventory::{Interface, InterfaceWatch, interfaces_without_netlink};
use terminal::log::Kind;

use crate::journal::Journal;
use mapping::Mapping;

/// Between two looks at whether there is still somebody to tell.
const PATIENCE: Duration = Duration::from_secs(1);
/// What comes within this time after an event is one change with it.
const TOGETHER: Duration = Duration::from_millis(50);

/// Interfaces and their ports.
pub(crate) struct Gethd {
    state: Mutex<State>,
    journal: Journal,
}

struct State {
    /// In the order of ports.
    interfaces: Vec<Interface>,
    mapping: Mapping,
    /// What `[discover]` says in the configuration in force, and what was found then.
    in_force: InForce,
}

/// What `[discover]` says, if it is there, and the interfaces that are ports.
pub(crate) type InForce = Option<(Discover, Vec<Found>)>;

impl Gethd {
    /// Lists all interfaces. The watch hears of changes; without netlink there is none.
    ///
    /// # Errors
    /// The kernel's list cannot be had in either way.
    pub(crate) fn enumerate(
        dir: &Path,
        journal: &Journal,
    ) -> Result<(Self, Option<InterfaceWatch>), Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::new(api::Status::Failed, error);
        let (interfaces, watch) = match InterfaceWatch::open() {
            Ok(watch) => (watch.interfaces(), Some(watch)),
            Err(error) => {
                let line = format!("{error}: /proc/net/dev is read once, and changes are not seen");
                journal.say(Kind::Boot, &line);
                (interfaces_without_netlink().map_err(|error| failed(&error))?, None)
            }
        };
        let mapping = Mapping::load(dir).map_err(|error| failed(&error))?;
        let state = State { interfaces, mapping, in_force: None };
        Ok((Self { state: Mutex::new(state), journal: journal.clone() }, watch))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The configuration with the ports that follow from it and what there is now. Numbers of ports that
    /// are new stay theirs if it is to be `in_force`.
    pub(crate) fn complete(&self, mut config: Config, in_force: bool) -> Config {
        let Some(discover) = config.discover.clone() else {
            if in_force {
                self.lock().in_force = None;
            }
            return config;
        };
        let mut state = self.lock();
        let mut mapping = state.mapping.clone();
        let found = found(&discover, &config, &state.interfaces, &mut mapping);
        config.take_found(&found);
        if in_force {
            if mapping != state.mapping {
                if let Err(error) = mapping.save() {
                    self.journal.say(Kind::Refused, &error.to_string());
                }
                state.mapping = mapping;
            }
            state.in_force = Some((discover, found));
        }
        config
    }

    /// What `[discover]` says in the configuration in force, and what was found.
    pub(crate) fn in_force(&self) -> InForce {
        self.lock().in_force.clone()
    }

    /// The configuration in force is the one of then.
    pub(crate) fn come_back(&self, before: InForce) {
        self.lock().in_force = before;
    }

    /// Numbers, interfaces as they are now or were last, and whether they are there.
    pub(crate) fn mapping(&self) -> Vec<api::MappedInterface> {
        let state = self.lock();
        let name = |number: u32| match &state.in_force {
            Some((discover, _)) => discover.port(number),
            None => number.to_string(),
        };
        let told = |(number, place, now): (u32, &mapping::Place, Option<&Interface>)| {
            api::MappedInterface {
                port: name(number),
                kernel: place.kernel.clone(),
                pci: place.pci.clone(),
                mac: now.and_then(|one| one.mac).map(mac),
                mtu: now.map(|one| one.mtu),
                state: match now {
                    None => "absent",
                    Some(one) if one.admin_up && one.carrier => "up",
                    Some(_) => "down",
                }
                .to_owned(),
            }
        };
        state.mapping.all(&state.interfaces).map(told).collect()
    }

    /// Hears of changes on a thread, and calls `follow` when other ports follow from the configuration in
    /// force. Ends when `follow` has nobody to tell any more.
    pub(crate) fn watch(
        self: &Arc<Self>,
        mut watch: InterfaceWatch,
        follow: impl Fn() -> Option<Result<(), Failure>> + Send + 'static,
    ) -> std::io::Result<()> {
        let own = Arc::clone(self);
        let hear = move || {
            loop {
                let heard = match watch.next(PATIENCE) {
                    Ok(None) => continue,
                    Ok(Some(_)) => {
                        while matches!(watch.next(TOGETHER), Ok(Some(_))) {}
                        Ok(())
                    }
                    Err(error) => Err(error),
                };
                if let Err(error) = heard {
                    own.journal.say(Kind::Refused, &format!("interfaces: {error}"));
                    thread::sleep(PATIENCE);
                }
                if !own.hear(watch.interfaces()) {
                    continue;
                }
                match follow() {
                    None => return,
                    Some(Ok(())) => {}
                    Some(Err(failure)) => {
                        let line =
                            format!("interfaces have changed, the router has not: {failure}");
                        own.journal.say(Kind::Refused, &line);
                    }
                }
            }
        };
        thread::Builder::new().name("qfp-gethd".to_owned()).spawn(hear).map(drop)
    }

    /// Whether other ports follow from what there is now.
    fn hear(&self, now: Vec<Interface>) -> bool {
        let mut state = self.lock();
        for line in changes(&state.interfaces, &now) {
            self.journal.say(Kind::Link, &line);
        }
        state.interfaces = now;
        let Some((discover, before)) = &state.in_force else { return false };
        let config = Config { discover: Some(discover.clone()), ..Config::default() };
        found(discover, &config, &state.interfaces, &mut state.mapping.clone()) != *before
    }
}

/// The interfaces that are ports, and those that were: they keep their numbers.
fn found(
    discover: &Discover,
    config: &Config,
    interfaces: &[Interface],
    mapping: &mut Mapping,
) -> Vec<Found> {
    let devices = || config.ports.iter().filter_map(|port| port.device.as_deref());
    let is_used = |name: &str| devices().any(|device| names(device, name));
    let ways = operator::ways();
    let taken: Vec<&Interface> = interfaces
        .iter()
        .filter(|one| one.mac.is_some() && discover.takes(&one.name) && !is_used(&one.name))
        .filter(|one| discover.names(&one.name) || !ways.contains(&one.name))
        .collect();
    mapping.number(&taken);
    let there = |now: Option<&Interface>| {
        now.filter(|now| taken.iter().any(|one| one.ifindex == now.ifindex)).map(|now| now.mtu)
    };
    let all = mapping.all(interfaces);
    all.map(|(number, place, now)| Found { number, kernel: place.kernel.clone(), mtu: there(now) })
        .collect()
}

/// Whether a device is an interface of this name here, by whatever back-end.
fn names(device: &str, interface: &str) -> bool {
    let rest = device.strip_prefix("packet:").or_else(|| device.strip_prefix("tap:"));
    rest.and_then(|rest| rest.split(',').next()) == Some(interface)
}

fn mac([a, b, c, d, e, f]: [u8; 6]) -> String {
    format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
}

/// What has become of interfaces, a line each.
fn changes(before: &[Interface], now: &[Interface]) -> Vec<String> {
    let mut lines = Vec::new();
    for one in before {
        match now.iter().find(|other| other.ifindex == one.ifindex) {
            None => lines.push(format!("interface {} has gone", one.name)),
            Some(other) => {
                if other.name != one.name {
                    lines.push(format!("interface {} is called {} now", one.name, other.name));
                }
                if other.mtu != one.mtu {
                    lines.push(format!("interface {}: MTU {}", other.name, other.mtu));
                }
                if other.carrier != one.carrier || other.admin_up != one.admin_up {
                    let state = if other.admin_up && other.carrier { "up" } else { "down" };
                    lines.push(format!("interface {}: {state}", other.name));
                }
            }
        }
    }
    let is_new = |one: &&Interface| !before.iter().any(|other| other.ifindex == one.ifindex);
    lines.extend(now.iter().filter(is_new).map(|one| format!("interface {} has come", one.name)));
    lines
}

#[cfg(test)]
mod tests;
