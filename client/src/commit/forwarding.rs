//! Routes and neighbours: the RIB, the groups and rows that its routes lead to, and the tables.

use std::net::IpAddr;

use ipnet::IpNet;
use pal::faults::{Plant, is_planted};
use qfp_core::uidb::{TableId, UidbIndex};

use super::routes::{Wanted, host, is_connected, other_family};
use super::transaction::{Agent, Prepare};
use super::{Client, CommitError, Configured};
use crate::config::{Place, Problem};
use crate::ea::{FibPlan, Macs, Rows};
use crate::rib::{Action, AdjacencyKey, Delta, NextHop, Path, Paths, RouteUpdate, SetId, Source};

/// All that decides where a packet goes.
pub(super) struct Forwarding;

/// What changes of it.
#[derive(Default)]
pub(super) struct Plan {
    rows: Rows,
    delta: Delta,
    fib: FibPlan,
    /// What a configuration says beside the routes.
    configured: Option<Wanted>,
    /// The host route of a neighbour that comes or goes.
    learnt: Option<((TableId, IpNet), Option<UidbIndex>)>,
}

impl Agent for Forwarding {
    type Plan = Plan;

    fn publish(client: &mut Client, plan: &mut Plan) {
        let Client { driver, adjacencies, fib, .. } = client;
        adjacencies.publish(driver, &plan.rows);
        fib.publish(driver, adjacencies, &plan.rows, &plan.delta, &mut plan.fib);
    }

    fn keep(client: &mut Client, plan: Plan) {
        let gone = client.rib.keep();
        client.fib.remove(&gone);
        let is_configured = plan.configured.is_some();
        if let Some(Wanted { connected, learnt, given }) = plan.configured {
            (client.connected, client.learnt, client.given) = (connected, learnt, given);
        }
        match plan.learnt {
            Some((route, Some(uidb))) => drop(client.learnt.insert(route, uidb)),
            Some((route, None)) => drop(client.learnt.remove(&route)),
            None => {}
        }
        let lost = plan.rows.lost();
        client.adjacencies.keep(plan.rows);
        // A next hop of routes keeps its row: whoever sends to it asks for it again.
        if let Some(number) = lost.filter(|number| !client.fib.uses(*number)) {
            client.adjacencies.remove(number);
        }
        if is_configured || !gone.is_empty() {
            client.purge();
        }
    }

    fn abort(client: &mut Client, plan: Plan) {
        client.fib.abort(plan.fib);
        client.rib.undo(&plan.delta);
        client.adjacencies.abort(plan.rows);
    }
}

impl Prepare<Configured<'_>> for Forwarding {
    type Error = CommitError;

    fn prepare(
        client: &mut Client,
        wanted: Configured<'_>,
        plan: &mut Plan,
    ) -> Result<(), CommitError> {
        let Configured { config, routes, interfaces, .. } = wanted;
        let links = client.links(&wanted);
        let given = client.located(config, interfaces).into_iter();
        let given = given.filter(|(uidb, ..)| links.contains_key(uidb));
        let given: Macs = given.map(|(uidb, address, mac)| ((uidb, address), mac)).collect();
        client.adjacencies.configure(&client.driver, links, given.clone(), &mut plan.rows)?;
        plan.configured = Some(client.configured_routes(config, routes, interfaces, &given));
        client.follow(plan)
    }
}

/// Changes of routes of other sources than the configuration, in their order.
impl Prepare<&[RouteUpdate]> for Forwarding {
    type Error = CommitError;

    fn prepare(
        client: &mut Client,
        updates: &[RouteUpdate],
        plan: &mut Plan,
    ) -> Result<(), CommitError> {
        let mut last: Option<(TableId, bool, &Paths, SetId)> = None;
        for RouteUpdate { table, prefix, source, action } in updates {
            if !client.vrfs.contains(*table) {
                return Err(CommitError::NoTable(table.0));
            }
            let prefix = prefix.trunc();
            let Action::Replace(paths) = action else {
                client.rib.withdraw(*table, prefix, *source);
                continue;
            };
            let v4 = prefix.addr().is_ipv4();
            let set = match &last {
                Some(known) if (known.0, known.1) == (*table, v4) && known.2 == paths => known.3,
                _ => {
                    if let Some(via) = other_family(paths, v4) {
                        let problem = Problem::FamilyMismatch { prefix, via };
                        return Err(problem.at(Place::default()).into());
                    }
                    let through = |path: &Path| Path { hop: client.through(path.hop, v4), ..*path };
                    let resolved: Vec<Path> = paths.iter().map(through).collect();
                    let set = client.rib.set(*table, &resolved);
                    last = Some((*table, v4, paths, set));
                    set
                }
            };
            client.rib.replace(*table, prefix, *source, set);
        }
        client.follow(plan)
    }
}

/// The MAC address of a neighbour.
#[derive(Clone, Copy)]
struct Found {
    table: TableId,
    uidb: UidbIndex,
    address: IpAddr,
    mac: [u8; 6],
}

impl Prepare<Found> for Forwarding {
    type Error = CommitError;

    fn prepare(client: &mut Client, found: Found, plan: &mut Plan) -> Result<(), CommitError> {
        let Found { table, uidb, address, mac } = found;
        client.adjacencies.resolve(&client.driver, uidb, address, mac, &mut plan.rows)?;
        let route = (table, host(address));
        if is_connected(&client.connected, uidb, address) && !client.learnt.contains_key(&route) {
            let hop = NextHop::Via { address, interface: Some(uidb) };
            let set = client.rib.set(table, &[Path { hop, weight: 1 }]);
            client.rib.replace(table, route.1, Source::NEIGHBOUR, set);
            plan.learnt = Some((route, Some(uidb)));
        }
        client.follow(plan)
    }
}

/// A neighbour that does not answer any more.
#[derive(Clone, Copy)]
struct Lost(UidbIndex, IpAddr);

impl Prepare<Lost> for Forwarding {
    type Error = CommitError;

    fn prepare(client: &mut Client, lost: Lost, plan: &mut Plan) -> Result<(), CommitError> {
        client.adjacencies.lose(lost.0, lost.1, &mut plan.rows);
        Ok(())
    }
}

/// The host route to a neighbour, which goes.
#[derive(Clone, Copy)]
struct Withdrawn(TableId, IpNet);

impl Prepare<Withdrawn> for Forwarding {
    type Error = CommitError;

    fn prepare(client: &mut Client, route: Withdrawn, plan: &mut Plan) -> Result<(), CommitError> {
        let Withdrawn(table, prefix) = route;
        client.rib.withdraw(table, prefix, Source::NEIGHBOUR);
        plan.learnt = Some(((table, prefix), None));
        client.follow(plan)
    }
}

impl Client {
    /// Prepares that the tables follow what has changed in the RIB.
    fn follow(&mut self, plan: &mut Plan) -> Result<(), CommitError> {
        plan.delta = self.rib.settle();
        let rows = (&mut self.adjacencies, &mut plan.rows);
        self.fib.prepare(&self.driver, rows, &self.rib, &plan.delta, &mut plan.fib)
    }

    /// Removes adjacencies that nothing uses.
    fn purge(&mut self) {
        let mut used = self.fib.used();
        let learnt = self.learnt.iter().map(|((_, prefix), uidb)| (*uidb, prefix.addr()));
        let rows = learnt.filter_map(|(uidb, address)| {
            self.adjacencies.number(AdjacencyKey::Neighbour(uidb, address))
        });
        used.extend(rows);
        self.adjacencies.purge(&used);
    }

    /// Changes routes of a source other than the configuration: all of `updates`, or none.
    ///
    /// Of several updates of one route the last counts, and one change is made. Lcores see the
    /// changes one after the other, all of them when this returns.
    ///
    /// # Errors
    /// A table has no room, or an update that cannot be: then nothing has changed, and lcores have
    /// seen nothing.
    pub fn routes(
        &mut self,
        updates: impl IntoIterator<Item = RouteUpdate>,
    ) -> Result<(), CommitError> {
        let updates: Vec<RouteUpdate> = updates.into_iter().collect();
        let result = self.transact::<Forwarding, _>(&updates[..]);
        self.fib.reclaim();
        result
    }

    /// What the slow path found out about a neighbour: its MAC address, or that it is gone. Of one
    /// that the configuration names, the configuration alone says where it is.
    ///
    /// That it is gone is never refused. If there is no room to take its host route away, it leads
    /// to nobody until the next commit.
    ///
    /// # Errors
    /// A table has no room; nothing has changed.
    pub fn neighbour(
        &mut self,
        uidb: UidbIndex,
        address: IpAddr,
        mac: Option<[u8; 6]>,
    ) -> Result<(), CommitError> {
        // What was said about it may be older than the configuration that names it now.
        if self.adjacencies.is_given(uidb, address) && !is_planted(Plant::OldReport) {
            return Ok(());
        }
        // The interface may be gone by the time that its neighbour answers.
        let table = self.rib.table_of(uidb);
        if let Some(mac) = mac {
            let Some(table) = table else { return Ok(()) };
            return self.transact::<Forwarding, _>(Found { table, uidb, address, mac });
        }
        self.transact::<Forwarding, _>(Lost(uidb, address))?;
        let prefix = host(address);
        if let Some(table) = table
            && self.learnt.get(&(table, prefix)) == Some(&uidb)
        {
            let _ = self.transact::<Forwarding, _>(Withdrawn(table, prefix));
        }
        Ok(())
    }
}
