//! What a request does.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api::{
    Call, Failure, Process, Program, Reply, Route, RouteAction, RouteChange, RouteQuery, Status,
};
use terminal::log::Kind;

use crate::boot::Stages;
use crate::journal::Journal;
use crate::kept_routes::KeptRoutes;
use crate::port;
use crate::router::Router;
use crate::successor::Successor;
use crate::transactions::{Author, Transactions};

/// What the source of these routes is called.
const API: &str = "api";
/// Most routes in one answer: a megabyte or so.
const MOST_ROUTES: u32 = 1 << 16;

/// All that requests are answered from.
pub(crate) struct Service {
    pub(crate) router: Arc<dyn Router>,
    pub(crate) transactions: Transactions,
    pub(crate) stages: Stages,
    pub(crate) journal: Journal,
    /// Who changes routes reads them before.
    pub(crate) routes: Mutex<KeptRoutes>,
    pub(crate) successor: Successor,
}

impl Service {
    /// Answers one request.
    pub(crate) fn answer(&self, author: Author, call: Call) -> Result<Reply, Failure> {
        Ok(match call {
            Call::Check(candidate) => {
                self.transactions.check(&candidate)?;
                Reply::Fits
            }
            Call::Commit { candidate, confirmed } => {
                let confirmed = confirmed.map(|seconds| Duration::from_secs(seconds.into()));
                let done = self.transactions.commit(author, candidate, confirmed);
                Reply::InForce(self.told("commit", author, done)?)
            }
            Call::Port { name, device } => {
                let what = if device.is_some() { "port add" } else { "port del" };
                let edit = |text: &str| match &device {
                    Some(device) => port::add(text, &name, device),
                    None => port::delete(text, &name),
                };
                let done = self.transactions.edit(author, format!("{what} {name}"), edit);
                Reply::InForce(self.told(what, author, done)?)
            }
            Call::Confirm { number } => {
                let done = self.transactions.confirm(author, number);
                Reply::InForce(self.told("confirm", author, done)?)
            }
            Call::Rollback { back: 0 } => {
                return Err(Failure::new(Status::Refused, "version 0 is the running one"));
            }
            Call::Rollback { back } => {
                let done = self.transactions.rollback(author, back);
                Reply::InForce(self.told("rollback", author, done)?)
            }
            Call::Config { back } => Reply::Config(self.transactions.config(back)?),
            Call::Diff { back } => Reply::Diff(self.transactions.diff(back)?),
            Call::History => Reply::History(self.transactions.history()?),
            Call::Processes => Reply::Processes(self.processes()),
            Call::Boot => Reply::Boot(self.stages.all()),
            Call::Resources => Reply::Resources(self.router.resources()),
            Call::Agents => Reply::Agents(self.router.agents()),
            Call::ChangeRoutes(changes) => {
                // One at a time.
                let mut kept = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
                let now = self.router.change_routes(changes)?;
                self.keep(&mut kept, &now).map_err(|error| {
                    let line = format!("they are in force until qfp-client ends: {error}");
                    Failure::new(Status::Failed, line)
                })?;
                Reply::Changed
            }
            Call::Routes { query, skip, limit } => {
                Reply::Routes(self.router.routes(&query, skip, limit.min(MOST_ROUTES))?)
            }
            Call::Statistics { json } => {
                Reply::Statistics(self.router.statistics(json, self.journal.unseen())?)
            }
            Call::Upgrade(Program::Ucode) => {
                self.router.upgrade()?;
                self.journal.say(Kind::Reload, &format!("upgrade of user {}: done", author.uid));
                Reply::Changed
            }
            Call::Upgrade(Program::Client) => {
                // It would take an unconfirmed commit back.
                drop(self.transactions.hold()?);
                self.successor.call()?;
                Reply::Upgrading
            }
            Call::Interfaces => Reply::Interfaces(self.router.interfaces()),
            Call::InterfaceMapping => Reply::InterfaceMapping(self.router.mapping()),
            Call::Applications => Reply::Applications(self.router.applications()),
            Call::Neighbours => Reply::Neighbours(self.router.neighbours()),
        })
    }

    /// Keeps routes of the API for the next start.
    fn keep(&self, kept: &mut KeptRoutes, now: &[RouteChange]) -> io::Result<()> {
        kept.add(now)?;
        if kept.is_long() {
            let failed = |failure: Failure| io::Error::other(failure.line);
            kept.shorten(&self.routes_of_api().map_err(failed)?)?;
        }
        Ok(())
    }

    fn routes_of_api(&self) -> Result<Vec<RouteChange>, Failure> {
        let (mut all, mut skip) = (Vec::new(), 0);
        loop {
            let some = self.router.routes(&RouteQuery::All, skip, MOST_ROUTES)?;
            skip += some.len() as u64;
            if some.is_empty() {
                return Ok(all);
            }
            let own = some.into_iter().filter(|route| route.source == API);
            all.extend(own.map(|Route { vrf, prefix, paths, .. }| RouteChange {
                vrf,
                prefix,
                action: RouteAction::Replace(paths),
            }));
        }
    }

    /// Notes in the log what has become of the configuration.
    pub(crate) fn told(
        &self,
        what: &str,
        Author { uid, .. }: Author,
        done: Result<api::Version, Failure>,
    ) -> Result<api::Version, Failure> {
        let line = match &done {
            Ok(version) => match version.until {
                None => format!("{what} of user {uid}: version {} is in force", version.number),
                Some(until) => format!(
                    "{what} of user {uid}: version {} is in force until {until} if it is not \
                     confirmed",
                    version.number
                ),
            },
            Err(failure) => format!("{what} of user {uid}: {failure}"),
        };
        self.journal.say(Kind::Reload, &line);
        done
    }

    fn processes(&self) -> Vec<Process> {
        let own = Process {
            name: "qfp-client".to_owned(),
            domain: "control".to_owned(),
            pid: std::process::id(),
            state: "running".to_owned(),
            restarts: 0,
            uptime_s: self.stages.uptime_s(),
            last_exit: None,
        };
        [own].into_iter().chain(self.router.processes()).collect()
    }
}
