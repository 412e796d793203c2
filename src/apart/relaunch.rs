//! What a data plane in a process of its own is launched with, once and again.

use std::os::fd::OwnedFd;
use std::process::ExitStatus;
use std::sync::Arc;

use client::{Client, CommitError};
use pal::faults::{Plant, is_planted};
use pal::publication::ReaderSite;
use qfp_core::counters::{CounterLayout, CounterTotals, LcoreCounters};
use qfp_core::packet::DropReason;
use ucode::wire::Order;
use ucode::{Configured, Inbox, Launch, SlowCounts};

use super::ApartError;
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
    pub(crate) ended: Option<ExitStatus>,
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
        self.sites.clear();
        for reader in &self.readers {
            self.sites.push(client.site(reader)?);
        }
        let launch = Box::new(self.launch.clone());
        let order = Order::Launch { launch, sites: self.sites.clone(), layout: self.layout };
        Ok(Orders { order, with: client.descriptors()?, inbox })
    }

    /// Signs off readers of a data plane that has ended so, and counts what was inside.
    pub(crate) fn bury(&mut self, client: &mut Client, ended: ExitStatus) {
        client.evict(&self.sites, ended);
        self.sites.clear();
        if let Some(lost) = &self.lost
            && !is_planted(Plant::UncountedDeath)
        {
            lost.drop(DropReason::UcodeRestart, self.totals.unaccounted());
        }
    }
}
