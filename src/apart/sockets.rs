//! Ports of a data plane in a process of its own, which come and go while it runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use hal::handover::Kept;
use hal::spec::Spec;
use hal::{PortConfig, PortInfo};
use ucode::PortLaunch;
use ucode::wire::Order;

use super::{ApartError, PATIENCE, ROUND, Recipe, Seen, lock};
use crate::plane::SocketError;

/// What has become of a port: what it is now, if it is.
pub(super) type Plugged = Result<Option<Box<PortInfo>>, String>;

/// Where ports are plugged into the data plane that runs, and those after it.
pub(crate) struct ApartSockets {
    seen: Arc<Seen>,
    recipe: Arc<Recipe>,
}

impl ApartSockets {
    pub(super) fn new(seen: Arc<Seen>, recipe: Arc<Recipe>) -> Self {
        Self { seen, recipe }
    }

    /// Opens a device here, or sets the one that is there otherwise, and hands it over. One that is
    /// open is there for the next data plane, should this one be gone.
    pub(crate) fn plug(
        &self,
        number: u16,
        (name, spec): (&str, &Spec),
        config: &PortConfig,
    ) -> Result<PortInfo, SocketError> {
        let queues = self.recipe.lcores;
        let config = PortConfig { rx_queues: queues, tx_queues: queues, ..config.clone() };
        let before = lock(&self.recipe.devices).remove(&number);
        let made = match &before {
            Some(before) if before.spec() == spec => before.configured(&config),
            _ => Kept::open(spec.clone(), &config),
        };
        let handed = made.map_err(SocketError::from).and_then(|kept| {
            let handed = kept.hand().map_err(|error| ApartError::Died(error.to_string()))?;
            Ok((kept, handed))
        });
        let (kept, (device, with)) = match handed {
            Ok(made) => made,
            Err(error) => {
                self.put_back(number, before);
                return Err(error);
            }
        };
        let open = kept.info().cloned();
        lock(&self.recipe.devices).insert(number, kept);
        let asked = self.seen.asked.fetch_add(1, Ordering::Relaxed) + 1;
        let port = PortLaunch { number, name: name.to_owned(), config };
        match (self.ask(asked, &Order::Plug { asked, port, device }, with), open) {
            (Some(Ok(Some(info))), _) => Ok(*info),
            // The one that takes its place opens it.
            (None, Some(info)) => Ok(info),
            (answer, _) => {
                self.put_back(number, before);
                let why = answer.and_then(Result::err);
                Err(why.map_or_else(ApartError::nobody, ApartError::Refused).into())
            }
        }
    }

    /// Has the device of a number be the one that it was, as it was set.
    fn put_back(&self, number: u16, before: Option<Kept>) {
        let mut devices = lock(&self.recipe.devices);
        devices.remove(&number);
        if let Some(before) = before {
            // What it was set to it takes again.
            let again = before.configured(before.config());
            devices.insert(number, again.unwrap_or(before));
        }
    }

    pub(crate) fn pull(&self, number: u16) -> Result<(), SocketError> {
        let asked = self.seen.asked.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some(Err(why)) = self.ask(asked, &Order::Pull { asked, number }, Vec::new()) {
            return Err(ApartError::Refused(why).into());
        }
        lock(&self.recipe.devices).remove(&number);
        Ok(())
    }

    /// What it answers; nothing if there is none, or it ends over it.
    fn ask(&self, asked: u64, order: &Order, with: Vec<std::os::fd::OwnedFd>) -> Option<Plugged> {
        let program = lock(&self.seen.program).clone()?;
        program.send_with(order, &with).ok()?;
        drop(with);
        let deadline = Instant::now() + PATIENCE;
        let mut plugged = lock(&self.seen.plugged);
        while Instant::now() < deadline {
            if let Some(answer) = plugged.remove(&asked) {
                return Some(answer);
            }
            let same =
                lock(&self.seen.program).as_ref().is_some_and(|now| Arc::ptr_eq(now, &program));
            if !same {
                return None;
            }
            plugged = match self.seen.plug_answered.wait_timeout(plugged, ROUND) {
                Ok((plugged, _)) => plugged,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        None
    }
}

/// Answers that nobody has come for.
pub(super) type Answers = BTreeMap<u64, Plugged>;
