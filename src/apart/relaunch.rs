//! What a data plane in a process of its own is launched with, once and again.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use client::{Client, CommitError};
use pal::faults::{Plant, is_planted};
use pal::process::Ended;
use pal::publication::ReaderSite;
use qfp_core::counters::{CounterLayout, CounterTotals, LcoreCounters};
use qfp_core::packet::DropReason;
use ucode::wire::{Legacy, Order};
use ucode::{Configured, Inbox, Launch, SlowCounts};

use super::names::lasting;
use super::{ApartError, Door, Names, Program};
use crate::control::Reply;

/// What a data plane is launched with: a message, descriptors, and what the client says to it.
pub(crate) struct Orders {
    pub(crate) order: Order,
    pub(crate) with: Vec<OwnedFd>,
    pub(crate) inbox: Inbox,
}

/// Asks the client to have another data plane launched.
pub(crate) struct Relaunch {
    /// How the last one has ended.
    pub(crate) ended: Option<Ended>,
    /// The line to the next one, if there is one.
    pub(crate) program: Option<Arc<Program>>,
    /// What the slow paths have counted so far.
    pub(crate) counted: SlowCounts,
    pub(crate) reply: Reply<Result<Orders, ApartError>>,
}

/// What the client keeps to launch another data plane.
pub(crate) struct Launcher {
    /// As the first one was.
    pub(crate) launch: Launch,
    /// Names of its readers, lcore by lcore.
    pub(crate) readers: Vec<String>,
    pub(crate) sites: Vec<ReaderSite>,
    pub(crate) layout: CounterLayout,
    pub(crate) totals: Arc<CounterTotals>,
    /// Counts what was inside data planes that have died.
    pub(crate) lost: Option<LcoreCounters>,
    /// Names and their numbers, where another client finds them.
    pub(crate) names: Names,
    /// What another client has to know besides.
    pub(crate) kept: Vec<u8>,
    /// Where it finds the data plane, if that outlives this client.
    pub(crate) door: Option<Door>,
}

impl Launcher {
    /// Orders for a first data plane, or for another one that does what is configured and counts on.
    pub(crate) fn orders(
        &mut self,
        client: &mut Client,
        again: Option<(Configured, SlowCounts)>,
        inbox: Inbox,
    ) -> Result<Orders, CommitError> {
        if let Some((configured, counted)) = again {
            (self.launch.configured, self.launch.counted) = (configured, counted);
        }
        let sites = self.new_sites(client)?;
        let mut with = client.descriptors()?;
        with.extend(self.door.as_ref().and_then(Door::listener));
        let keys = self.door.as_ref().map_or(Ok(None), |_| client.lasting_keys())?;
        let (file, keys) = keys.unzip();
        with.extend(file);
        let legacy = Legacy {
            kept: self.kept.clone(),
            names: self.names.all(client),
            known: client.learnt_neighbours(),
            lasting: keys.map(|keys| lasting(&keys)),
        };
        let order = Order::Launch {
            launch: Box::new(self.launch.clone()),
            sites,
            layout: self.layout,
            legacy: Box::new(legacy),
            stay: self.door.as_ref().map(Door::stay),
        };
        Ok(Orders { order, with, inbox })
    }

    /// Orders for a data plane that forwards, to do so by the tables of this client.
    pub(crate) fn switch(
        &mut self,
        client: &mut Client,
        configured: Configured,
        inbox: Inbox,
    ) -> Result<Orders, CommitError> {
        let (sites, kept) = (self.new_sites(client)?, self.kept.clone());
        let order = Order::Switch { sites, configured: Box::new(configured), kept };
        let mut with = client.descriptors()?;
        // It has what it writes and counts.
        with.truncate(2);
        Ok(Orders { order, with, inbox })
    }

    fn new_sites(&mut self, client: &mut Client) -> Result<Vec<ReaderSite>, CommitError> {
        self.sites.clear();
        for reader in &self.readers {
            self.sites.push(client.site(reader)?);
        }
        Ok(self.sites.clone())
    }

    /// Signs off readers of a data plane that has ended so, and counts what was inside.
    pub(crate) fn bury(&mut self, client: &mut Client, ended: &Ended) {
        client.evict(&self.sites, ended);
        self.sites.clear();
        if let Some(lost) = &self.lost
            && !is_planted(Plant::UncountedDeath)
        {
            lost.drop(DropReason::UcodeRestart, self.totals.unaccounted());
        }
    }
}
