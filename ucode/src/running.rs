//! A data plane that runs.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hal::handover::Handed;
use hal::{Pool, PortError};
use pal::clock::Clock;
use pal::lcore::{LcoreError, Lcores, StopFlag};
use pal::ring::Producer;
use qfp_core::fia::TracedPacket;
use qfp_core::ppe::Ppe;
use qfp_core::tables::TableReader;

use crate::engine::{Beside, VirtualLoop};
use crate::hooks::{InjectError, Injection};
use crate::links::{Links, PortState, Ports};
use crate::mailbox::{HandOverError, Mail};
use crate::plug::Plug;
use crate::slow_side::{Shown, SlowCounts};
use crate::threads::Live;

/// A data plane that runs, and is stopped when it is dropped.
pub struct Running<C: Beside> {
    pub(crate) run: Run<C>,
    pub(crate) stop: StopFlag,
    pub(crate) links: Links,
    pub(crate) ports: Arc<Ports>,
    pub(crate) pool: Pool,
    pub(crate) shown: Arc<Shown>,
    pub(crate) injections: Producer<Injection>,
    pub(crate) total_packets: Option<u64>,
    #[cfg(feature = "dpdk")]
    pub(crate) _eal: Option<hal::dpdk::Eal>,
}

/// Who runs what.
pub(crate) enum Run<C: Beside> {
    Live(Live),
    Virtual(Lcores<Option<VirtualLoop<C>>>),
    Ended,
}

/// What a data plane leaves.
pub struct Ended<C> {
    /// The client that had its turns here.
    pub client: Option<C>,
    /// Packets that were traced: packet by packet, and those of all lcores one after the other.
    pub traces: Vec<TracedPacket>,
    /// The ports, before they were stopped.
    pub ports: Vec<PortState>,
    /// What the first port said that could not be completed, or kept buffers.
    pub finished: Result<(), PortError>,
}

/// Why a data plane ended badly.
#[derive(Debug, thiserror::Error)]
pub enum EndError {
    /// An lcore panicked.
    #[error(transparent)]
    Lcore(#[from] LcoreError),
    /// The slow path panicked.
    #[error("the slow path panicked")]
    SlowPath,
}

impl<C: Beside> Run<C> {
    /// What stops it.
    pub(crate) fn stop_flag(&self) -> StopFlag {
        match self {
            Self::Live(live) => live.stop.clone(),
            Self::Virtual(lcores) => lcores.stop_flag(),
            Self::Ended => StopFlag::new(),
        }
    }

    /// Waits for the threads. Returns the engines; none if they have ended before.
    fn join(self, stop: &StopFlag) -> Result<(Vec<Ppe>, Option<C>), EndError> {
        match self {
            Self::Live(Live { lcores, slow, .. }) => {
                let engines = lcores.join();
                // The slow path sees that the lcores have stopped, whatever stopped them.
                stop.stop();
                let slow = slow.join().map_err(|_| EndError::SlowPath)?;
                let now = slow.clock.now();
                slow.settle(now);
                Ok((engines?.into_iter().flatten().collect(), None))
            }
            Self::Virtual(lcores) => {
                let ended = lcores.join()?.into_iter().flatten();
                let (engines, mut clients): (Vec<_>, Vec<_>) =
                    ended.map(VirtualLoop::finish).unzip();
                Ok((engines, clients.pop()))
            }
            Self::Ended => Ok((Vec::new(), None)),
        }
    }
}

impl<C: Beside> Running<C> {
    /// What stops it.
    #[must_use]
    pub fn stop_flag(&self) -> StopFlag {
        self.stop.clone()
    }

    /// True when all inputs have ended, or somebody stopped it.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        match &self.run {
            Run::Live(live) => live.lcores.is_finished(),
            Run::Virtual(lcores) => lcores.is_finished(),
            Run::Ended => true,
        }
    }

    /// Has a port go on with a device that another process has opened in place of one that is gone.
    ///
    /// # Errors
    /// The descriptors are not those of its device.
    pub fn take(&self, port: u16, handed: &Handed, with: Vec<OwnedFd>) -> Result<(), PortError> {
        self.ports.hand(port, handed, with)
    }

    /// What plugs ports in and pulls them out; none in the time of captures.
    #[must_use]
    pub fn plug(&self) -> Option<Plug> {
        let Run::Live(live) = &self.run else { return None };
        let (mailboxes, ports) = (Arc::clone(&live.mailboxes), Arc::clone(&self.ports));
        Some(Plug { mailboxes, ports, lcores: live.forwarding })
    }

    /// Packets that the inputs hold in all, when they are finite and known.
    #[must_use]
    pub const fn total_packets(&self) -> Option<u64> {
        self.total_packets
    }

    /// What the ports say.
    #[must_use]
    pub fn ports(&self) -> Vec<PortState> {
        self.ports.states()
    }

    /// What the slow path has counted.
    #[must_use]
    pub fn slow_path(&self) -> SlowCounts {
        self.shown.counts()
    }

    /// Puts a packet of the router's own in. Does not wait.
    ///
    /// # Errors
    /// The ring is full, or the run is over.
    pub fn inject(&self, injection: Injection) -> Result<(), InjectError> {
        if self.is_finished() {
            return Err(InjectError::Ended);
        }
        if self.injections.push(injection).is_err() {
            self.shown.inject_refused.fetch_add(1, Ordering::Relaxed);
            return Err(InjectError::Full);
        }
        if let Run::Live(live) = &self.run {
            live.bell.ring();
        }
        Ok(())
    }

    /// Has all lcores read other tables, each from its next vector on: one reader for each that
    /// forwards, and then for each crypto engine. The readers that they had are dropped here. In the
    /// time of captures nobody takes any.
    ///
    /// Numbers of rows must mean the same in both tables until all have them: packets that wait, in
    /// rings or with crypto engines, keep what they have met.
    ///
    /// # Errors
    /// See [`HandOverError`]. An lcore that has not come to it within `patience` stays with what it
    /// has; all others have theirs.
    pub fn exchange_tables(
        &self,
        tables: Vec<TableReader>,
        patience: Duration,
    ) -> Result<(), HandOverError> {
        match &self.run {
            Run::Live(live) => {
                let (handed, lcores) = (tables.len(), live.lcores.len());
                if handed != lcores {
                    return Err(HandOverError::Count { handed, lcores });
                }
                let mail = tables.into_iter().map(Mail::Tables).collect();
                live.mailboxes.hand_over(mail, patience).map(drop)
            }
            Run::Virtual(_) => Err(HandOverError::Count { handed: tables.len(), lcores: 0 }),
            Run::Ended => Err(HandOverError::Ended),
        }
    }

    /// Waits for the end; then the queues go first, the ports after them, and the buffers last.
    /// There is nothing to wait for a second time.
    ///
    /// # Errors
    /// See [`EndError`].
    pub fn end(&mut self) -> Result<Ended<C>, EndError> {
        let joined = std::mem::replace(&mut self.run, Run::Ended).join(&self.stop);
        self.links.stop();
        let (engines, client) = joined?;
        let mut traces = Vec::new();
        let mut finished = Ok(());
        for mut ppe in engines {
            finished = finished.and(ppe.finish());
            let mut walks = ppe.take_traces();
            walks.sort_by_key(|walk| walk.number);
            let first = traces.last().map_or(0, |walk: &TracedPacket| walk.number + 1);
            walks.iter_mut().for_each(|walk| walk.number += first);
            traces.append(&mut walks);
        }
        let ports = self.ports.states();
        for mut port in self.ports.take() {
            finished = finished.and(port.stop());
        }
        let finished = finished.and_then(|()| self.pool.check_complete());
        Ok(Ended { client, traces, ports, finished })
    }
}

impl<C: Beside> Drop for Running<C> {
    fn drop(&mut self) {
        self.stop.stop();
        if !matches!(self.run, Run::Ended) {
            // Nobody waits for what it says.
            drop(self.end());
        }
    }
}
