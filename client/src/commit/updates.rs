//! Changes between commits: routes of other sources, and neighbours.

use std::collections::HashMap;
use std::net::IpAddr;

use qfp_core::uidb::{TableId, UidbIndex};

use super::routes::{host, is_connected, other_family};
use super::{Client, CommitError};
use crate::config::{Place, Problem};
use crate::rib::{Action, Delta, NextHop, Path, Paths, RouteUpdate, SetId, Source};

impl Client {
    /// Makes the tables follow what has changed in the RIB since it was settled last.
    fn follow(&mut self) -> Result<(), CommitError> {
        let delta = self.rib.settle();
        let prepared = self.fib.prepare(&self.driver, &mut self.adjacencies, &self.rib, &delta);
        let result = prepared.and_then(|plan| {
            match self.fib.write(&mut self.driver, &mut self.rib, &delta) {
                Ok(()) => self.fib.apply(&self.driver, &self.adjacencies, plan, &HashMap::new()),
                Err(error) => {
                    self.fib.cancel(plan);
                    return Err(error);
                }
            }
            Ok(())
        });
        if result.is_err() {
            self.rib.undo(&delta);
            self.purge();
            return result;
        }
        let gone = self.rib.keep();
        if !gone.is_empty() {
            self.fib.remove(&gone);
            self.purge();
        }
        Ok(())
    }

    /// Changes routes of a source other than the configuration: all of `updates`, or none.
    ///
    /// Of several updates of one route the last counts, and one change is made. Each change can be
    /// seen by lcores when it is made, at the latest when this returns.
    ///
    /// # Errors
    /// A table has no room, or an update that cannot be: then nothing has changed.
    pub fn routes(
        &mut self,
        updates: impl IntoIterator<Item = RouteUpdate>,
    ) -> Result<(), CommitError> {
        let mut last: Option<(TableId, bool, Paths, SetId)> = None;
        for RouteUpdate { table, prefix, source, action } in updates {
            if !self.vrfs.contains(table) {
                self.rib.undo(&Delta::default());
                return Err(CommitError::NoTable(table.0));
            }
            let prefix = prefix.trunc();
            let Action::Replace(paths) = action else {
                self.rib.withdraw(table, prefix, source);
                continue;
            };
            let v4 = prefix.addr().is_ipv4();
            let set = match &last {
                Some(known) if (known.0, known.1) == (table, v4) && known.2 == paths => known.3,
                _ => {
                    if let Some(via) = other_family(&paths, v4) {
                        self.rib.undo(&Delta::default());
                        let problem = Problem::FamilyMismatch { prefix, via };
                        return Err(problem.at(Place::default()).into());
                    }
                    let through = |path: &Path| Path { hop: self.through(path.hop, v4), ..*path };
                    let resolved: Vec<Path> = paths.iter().map(through).collect();
                    let set = self.rib.set(table, &resolved);
                    last = Some((table, v4, paths, set));
                    set
                }
            };
            self.rib.replace(table, prefix, source, set);
        }
        let result = self.follow();
        self.fib.reclaim(&mut self.driver);
        result
    }

    fn resolved(
        &mut self,
        uidb: UidbIndex,
        address: IpAddr,
        mac: [u8; 6],
    ) -> Result<(), CommitError> {
        let (new, old) = self.adjacencies.resolve(&mut self.driver, uidb, address, mac)?;
        if let Some(old) = old {
            self.fib.repoint(&self.driver, &self.adjacencies, &HashMap::from([(old, new)]));
            self.adjacencies.leave(&mut self.driver, old);
        }
        self.fib.refresh(&self.driver, &self.adjacencies, new);
        Ok(())
    }

    /// What the slow path found out about a neighbour.
    ///
    /// # Errors
    /// A table has no room; forwarding goes on without the neighbour.
    pub fn neighbour(
        &mut self,
        uidb: UidbIndex,
        address: IpAddr,
        mac: Option<[u8; 6]>,
    ) -> Result<(), CommitError> {
        let prefix = host(address);
        match mac {
            Some(mac) => {
                // The interface may be gone by the time that its neighbour answers.
                let Some(table) = self.rib.table_of(uidb) else { return Ok(()) };
                self.resolved(uidb, address, mac)?;
                if is_connected(&self.connected, uidb, address)
                    && !self.learnt.contains_key(&(table, prefix))
                {
                    let hop = NextHop::Via { address, interface: Some(uidb) };
                    let set = self.rib.set(table, &[Path { hop, weight: 1 }]);
                    self.rib.replace(table, prefix, Source::NEIGHBOUR, set);
                    // Known before what nobody uses is removed.
                    self.learnt.insert((table, prefix), uidb);
                    let followed = self.follow();
                    if followed.is_err() {
                        self.learnt.remove(&(table, prefix));
                    }
                    return followed;
                }
            }
            None => {
                let lost = self.adjacencies.lose(&mut self.driver, uidb, address);
                if let Some(number) = lost {
                    self.fib.refresh(&self.driver, &self.adjacencies, number);
                }
                if let Some(table) = self.rib.table_of(uidb)
                    && self.learnt.get(&(table, prefix)) == Some(&uidb)
                {
                    self.rib.withdraw(table, prefix, Source::NEIGHBOUR);
                    self.follow()?;
                    self.learnt.remove(&(table, prefix));
                }
                // A next hop of routes keeps its row: whoever sends to it asks for it again.
                if let Some(number) = lost
                    && !self.fib.uses(number)
                {
                    self.adjacencies.remove(&mut self.driver, number);
                }
            }
        }
        Ok(())
    }
}
