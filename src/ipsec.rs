//! SAs of a running forwarder: watched, changed and reported while packets flow.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use client::config::Config;
use client::ea::{IpsecError, SaStatus};
use client::ipsec::{Sa, SaEvent};
use client::{Client, CommitError};
use pal::clock::Nanos;
use qfp_core::ipsec::engine;
use qfp_core::punt::SlowPath;
use qfp_core::uidb::UidbIndex;

use crate::Running;
use crate::control::Control;
use crate::report::IpsecReport;

/// Events that wait for somebody to ask; of more the oldest are lost.
const EVENTS: usize = 4096;

/// How long the size of a path is believed: then a larger one is tried again (RFC 1191 §6.3).
const PATH_MTU_AGE: u64 = 600 * Nanos::PER_SECOND;

/// Why an SA of a running forwarder is not changed. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum SaChangeError {
    /// It cannot be so.
    #[error(transparent)]
    Refused(#[from] IpsecError),
    /// The run is over.
    #[error("the run has ended")]
    Ended,
}

/// Why SAs of a running forwarder are not those of a configuration. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum RekeyError {
    /// The configuration, or there is no room for it.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The run is over.
    #[error("the run has ended")]
    Ended,
}

/// Events until somebody asks.
#[derive(Debug, Default)]
pub(crate) struct Events(Mutex<VecDeque<SaEvent>>);

impl Events {
    fn add(&self, events: Vec<SaEvent>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend(events);
        let lost = all.len().saturating_sub(EVENTS);
        all.drain(..lost);
    }

    pub(crate) fn take(&self) -> Vec<SaEvent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect()
    }
}

/// What the control side knows of the paths of SAs: those that are smaller than their links, and
/// since when that is known.
#[derive(Debug, Default)]
pub(crate) struct Paths(BTreeMap<UidbIndex, (Nanos, u16)>);

/// Looks at all SAs, and keeps what there is to tell.
pub(crate) fn watch(now: Nanos, client: &mut Client, kept: &Events) {
    let mut events = Vec::new();
    client.watch_sas(now.0, &mut events);
    if !events.is_empty() {
        kept.add(events);
    }
}

/// Lets inbound SAs accept more numbers; with `wait` at once, at the cost of waiting for the disk.
pub(crate) fn keep_ahead(now: Nanos, wait: bool, client: &mut Client, kept: &Events) {
    let mut events = Vec::new();
    client.keep_ahead(now.0, wait, &mut events);
    if !events.is_empty() {
        kept.add(events);
    }
}

/// Notes how far SAs have come. The lcores have stopped.
pub(crate) fn close(client: &mut Client, kept: &Events) {
    let mut events = Vec::new();
    client.close_marks(&mut events);
    if !events.is_empty() {
        kept.add(events);
    }
}

impl Paths {
    /// Forgets what is known for long.
    pub(crate) fn age(&mut self, now: Nanos, client: &Client, slow: &mut SlowPath) {
        let old = |(uidb, (since, _)): (&UidbIndex, &(Nanos, u16))| {
            (now.saturating_since(*since) >= PATH_MTU_AGE).then_some(*uidb)
        };
        for uidb in self.0.iter().filter_map(old).collect::<Vec<_>>() {
            self.0.remove(&uidb);
            if let Some(mtu) = client.set_path_mtu(uidb, None) {
                slow.set_mtu(uidb, mtu);
            }
        }
    }

    /// Says again what is known, after interfaces have been configured.
    pub(crate) fn again(&self, client: &Client, slow: &mut SlowPath) {
        for (uidb, (_, inner)) in &self.0 {
            if let Some(mtu) = client.set_path_mtu(*uidb, Some(*inner)) {
                slow.set_mtu(*uidb, mtu);
            }
        }
    }

    /// Somebody says how large packets of an SA may be on their way.
    pub(crate) fn smaller(
        &mut self,
        now: Nanos,
        (spi, destination, mtu): (u32, IpAddr, u16),
        client: &Client,
        slow: &mut SlowPath,
    ) {
        for (uidb, inner) in client.inner_mtus(spi, destination, mtu) {
            let known = self.0.entry(uidb).or_insert((now, u16::MAX));
            // A message that says more than is known is an old one.
            if inner <= known.1 {
                *known = (now, inner);
                if let Some(mtu) = client.set_path_mtu(uidb, Some(inner)) {
                    slow.set_mtu(uidb, mtu);
                }
            }
        }
    }
}

/// What there is to report.
pub(crate) fn report(client: &Client) -> Option<IpsecReport> {
    let (limit, in_use) = client.sa_usage();
    if limit == 0 {
        return None;
    }
    let tier = engine().ok().map(|started| started.engine.tier().name());
    Some(IpsecReport { tier, limit, in_use, sas: client.sas(), events: Vec::new() })
}

/// The SAs of a running forwarder. In the time of captures a change happens between two vectors.
impl Running {
    fn sas_do<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Client) -> Result<T, IpsecError> + Send + 'static,
    ) -> Result<T, SaChangeError> {
        let change = move |control: &mut Control| change(control.client());
        Ok(self.inner.ask(change).ok_or(SaChangeError::Ended)??)
    }

    /// Adds an SA while packets flow. An outbound one protects its interface from then on; no packet
    /// leaves without either. See [`Client::add_sa`].
    ///
    /// # Errors
    /// See [`SaChangeError`].
    pub fn add_sa(&self, sa: Sa) -> Result<(), SaChangeError> {
        self.sas_do(|client| client.add_sa(sa))
    }

    /// Gives the SA of this name other settings. See [`Client::update_sa`].
    ///
    /// # Errors
    /// See [`SaChangeError`].
    pub fn update_sa(&self, sa: Sa) -> Result<(), SaChangeError> {
        self.sas_do(|client| client.update_sa(sa))
    }

    /// Deletes an SA. See [`Client::delete_sa`].
    ///
    /// # Errors
    /// See [`SaChangeError`].
    pub fn delete_sa(&self, name: &str) -> Result<(), SaChangeError> {
        let name = name.to_owned();
        self.sas_do(move |client| client.delete_sa(&name))
    }

    /// Deletes all SAs. Returns how many there were.
    ///
    /// # Errors
    /// The run is over.
    pub fn flush_sas(&self) -> Result<usize, SaChangeError> {
        self.sas_do(|client| Ok(client.flush_sas()))
    }

    /// An SPI that no inbound SA has, handed out once. See [`Client::allocate_spi`].
    ///
    /// # Errors
    /// See [`SaChangeError`].
    pub fn allocate_spi(&self) -> Result<u32, SaChangeError> {
        self.sas_do(Client::allocate_spi)
    }

    /// An SA with what lcores have counted; none if there is none of this name, or the run is over.
    #[must_use]
    pub fn sa(&self, name: &str) -> Option<SaStatus> {
        let name = name.to_owned();
        self.inner.ask(move |control| control.client().sa(&name)).flatten()
    }

    /// SAs with what lcores have counted, and the engine; as they were last when the run has ended.
    #[must_use]
    pub fn ipsec(&self) -> Option<IpsecReport> {
        let asked = self.inner.ask(|control| report(control.client()));
        asked.unwrap_or_else(|| self.report().ipsec)
    }

    /// What has become of SAs since this was asked last, oldest first.
    #[must_use]
    pub fn take_sa_events(&self) -> Vec<SaEvent> {
        self.inner.sa_events().take()
    }

    /// Makes the SAs those of another configuration, all or none: new keys for the tunnels and
    /// policies that there are. Nothing else of the configuration is looked at. SAs that it says
    /// nothing new about go on as they are.
    ///
    /// # Errors
    /// See [`RekeyError`].
    pub fn rekey(&self, config: Config) -> Result<(), RekeyError> {
        let rekey = move |control: &mut Control| control.client().rekey(&config);
        Ok(self.inner.ask(rekey).ok_or(RekeyError::Ended)??)
    }
}
