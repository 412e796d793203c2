//! What reports call the things that lcores count by number.

use std::sync::Arc;

use client::Client;
use client::config::{Config, Interfaces};
use qfp_core::uidb::UidbIndex;

use crate::installed::Installed;

/// Names of what is in force.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// In the order of the configuration.
    pub(crate) ports: Vec<PortName>,
    /// By number, the internal ones among them.
    pub(crate) interfaces: Vec<(UidbIndex, Arc<str>)>,
}

/// Of a port: its number, its name, and its SPEC.
#[derive(Clone, Debug)]
pub(crate) struct PortName {
    pub(crate) number: u16,
    pub(crate) name: String,
    pub(crate) spec: String,
}

impl Names {
    /// Those of what was committed last.
    pub(crate) fn new(client: &Client, config: &Config, ports: &Installed) -> Self {
        let internal =
            [(UidbIndex::RP, "rp"), (UidbIndex::RECYCLE, "recycle"), (UidbIndex::CRYPTO, "crypto")];
        let interfaces = Interfaces::new(config);
        let own =
            interfaces.all().iter().filter_map(|one| Some((client.uidb(one.name())?, one.name())));
        let named = own.chain(internal).map(|(uidb, name)| (uidb, Arc::from(name)));
        let mut interfaces: Vec<_> = named.collect();
        interfaces.sort_by_key(|(uidb, _)| *uidb);
        Self { ports: ports.names(), interfaces }
    }
}
