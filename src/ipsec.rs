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
use qfp_core::uidb::UidbIndex;

use crate::Running;
use crate::control::{Reply, Request};
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

/// What interfaces take from now on, bytes.
type Mtus = Vec<(UidbIndex, u16)>;

impl Paths {
    /// Forgets what is known for long.
    pub(crate) fn age(&mut self, now: Nanos, client: &Client) -> Mtus {
        let is_old =
            |_: &UidbIndex, (since, _): &mut _| now.saturating_since(*since) >= PATH_MTU_AGE;
        let old = self.0.extract_if(.., is_old);
        old.filter_map(|(uidb, _)| Some((uidb, client.set_path_mtu(uidb, None)?))).collect()
    }

    /// Says again what is known, after interfaces have been configured, and forgets those that are
    /// gone.
    pub(crate) fn again(&mut self, client: &Client) -> Mtus {
        let mut mtus = Mtus::new();
        self.0.retain(|uidb, (_, inner)| {
            let mtu = client.set_path_mtu(*uidb, Some(*inner));
            mtus.extend(mtu.map(|mtu| (*uidb, mtu)));
            mtu.is_some()
        });
        mtus
    }

    /// Somebody says how large packets of an SA may be on their way.
    pub(crate) fn smaller(
        &mut self,
        now: Nanos,
        (spi, destination, mtu): (u32, IpAddr, u16),
        client: &Client,
    ) -> Mtus {
        let mut mtus = Mtus::new();
        for (uidb, inner) in client.inner_mtus(spi, destination, mtu) {
            let known = self.0.entry(uidb).or_insert((now, u16::MAX));
            // A message that says more than is known is an old one.
            if inner <= known.1 {
                *known = (now, inner);
                mtus.extend(client.set_path_mtu(uidb, Some(inner)).map(|mtu| (uidb, mtu)));
            }
        }
        mtus
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
    fn sas_do<T>(
        &self,
        request: impl FnOnce(Reply<Result<T, IpsecError>>) -> Request,
    ) -> Result<T, SaChangeError> {
        Ok(self.inner.ask(request).ok_or(SaChangeError::Ended)??)
    }

    /// Adds an SA while packets flow. An outbound one protects its interface from then on; no packet
    /// leaves without either. See [`Client::add_sa`].
    ///
    /// # Errors
    /// See [`SaChangeError`].
    pub fn add_sa(&self, sa: Sa) -> Result<(), SaChangeError> {
        let sa = Box::new(sa);
        self.sas_do(|reply| Request::AddSa { sa, reply })
    }

    /// Gives the SA of this name other settings. See [`Client::update_sa`].
    ///
    /// # Errors
    /// See [`SaChangeError`].
    pub fn update_sa(&self, sa: Sa) -> Result<(), SaChangeError> {
        let sa = Box::new(sa);
        self.sas_do(|reply| Request::UpdateSa { sa, reply })
    }

    /// Deletes an SA. See [`Client::delete_sa`].
    ///
    /// # Errors
    /// See [`SaChangeError`].
    pub fn delete_sa(&self, name: &str) -> Result<(), SaChangeError> {
        let name = name.to_owned();
        self.sas_do(|reply| Request::DeleteSa { name, reply })
    }

    /// Deletes all SAs. Returns how many there were.
    ///
    /// # Errors
    /// The run is over.
    pub fn flush_sas(&self) -> Result<usize, SaChangeError> {
        self.inner.ask(Request::FlushSas).ok_or(SaChangeError::Ended)
    }

    /// An SPI that no inbound SA has, handed out once. See [`Client::allocate_spi`].
    ///
    /// # Errors
    /// See [`SaChangeError`].
    pub fn allocate_spi(&self) -> Result<u32, SaChangeError> {
        self.sas_do(Request::AllocateSpi)
    }

    /// An SA with what lcores have counted; none if there is none of this name, or the run is over.
    #[must_use]
    pub fn sa(&self, name: &str) -> Option<SaStatus> {
        let name = name.to_owned();
        self.inner.ask(|reply| Request::Sa { name, reply }).flatten()
    }

    /// SAs with what lcores have counted, and the engine; as they were last when the run has ended.
    #[must_use]
    pub fn ipsec(&self) -> Option<IpsecReport> {
        self.inner.ask(Request::Ipsec).unwrap_or_else(|| self.report().ipsec)
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
        let config = Box::new(config);
        let rekeyed = self.inner.ask(|reply| Request::Rekey { config, reply });
        Ok(rekeyed.ok_or(RekeyError::Ended)??)
    }
}
