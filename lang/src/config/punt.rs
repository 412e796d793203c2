//! What the table `[punt]` says of packets that the fast path does not handle.

use super::table::Table;
use super::{Config, ConfigError};

/// Its keys.
pub(super) const PUNT: &[&str] = &["record_route", "rate"];

/// What holds for packets that the fast path hands to the slow path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Punt {
    /// Whether IPv4 packets in transit that ask for it get the router's address and the time.
    pub record_route: bool,
}

impl Default for Punt {
    fn default() -> Self {
        Self { record_route: true }
    }
}

impl Config {
    pub(super) fn add_punt(&mut self, mut table: Table<'_>) -> Result<(), ConfigError> {
        self.punt.record_route = table.flag("record_route")?.unwrap_or(self.punt.record_route);
        self.lpts.read_punt(table)
    }
}
