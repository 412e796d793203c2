//! Routes as somebody asks for them.

use std::net::IpAddr;

use ipnet::IpNet;
use qfp_core::uidb::TableId;

use super::family::{Selection, net4, net6};
use super::{Path, Rib, SetId, Source};

/// Which routes are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteQuery {
    /// All of all tables: by table, IPv4 first, by prefix and preference.
    All,
    /// Those of one prefix, in every table.
    Exact(IpNet),
    /// Those of the longest prefix that has an address and leads anywhere, in every table.
    Longest(IpAddr),
}

/// One source's route to a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteState {
    /// Its table.
    pub table: TableId,
    /// Destinations.
    pub prefix: IpNet,
    /// Who says so.
    pub source: Source,
    /// Whether it is the one of its prefix that counts.
    pub selected: bool,
    /// Its paths.
    pub paths: Vec<Path>,
}

impl Rib {
    /// Routes, `limit` at most, without the first `skip`. Linear in both for all routes, in the
    /// length of an address else.
    pub(crate) fn routes(&self, query: RouteQuery, skip: usize, limit: usize) -> Vec<RouteState> {
        let mut found = Vec::new();
        let mut left = skip;
        for (&id, table) in &self.tables {
            let mut add = |prefix: IpNet, (source, set, selected): Selection| {
                if left > 0 {
                    left -= 1;
                } else if found.len() < limit {
                    found.push((id, prefix, source, set, selected));
                }
                found.len() < limit
            };
            match query {
                RouteQuery::All => {
                    table.v4.all(|key, one| add(net4(key), one));
                    table.v6.all(|key, one| add(net6(key), one));
                }
                RouteQuery::Exact(IpNet::V4(net)) => {
                    let key = (net.network().to_bits(), net.prefix_len());
                    table.v4.at(key, |one| add(net.trunc().into(), one));
                }
                RouteQuery::Exact(IpNet::V6(net)) => {
                    let key = (net.network().to_bits(), net.prefix_len());
                    table.v6.at(key, |one| add(net.trunc().into(), one));
                }
                RouteQuery::Longest(IpAddr::V4(address)) => {
                    if let Some(key) = table.v4.longest(address.to_bits()) {
                        table.v4.at(key, |one| add(net4(key), one));
                    }
                }
                RouteQuery::Longest(IpAddr::V6(address)) => {
                    if let Some(key) = table.v6.longest(address.to_bits()) {
                        table.v6.at(key, |one| add(net6(key), one));
                    }
                }
            }
        }
        let paths = |set: SetId| self.sets.paths(set).1.to_vec();
        let state = |(table, prefix, source, set, selected)| RouteState {
            table,
            prefix,
            source,
            selected,
            paths: paths(set),
        };
        found.into_iter().map(state).collect()
    }
}
