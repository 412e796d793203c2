//! Requests and responses.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::Candidate;
use crate::state::{
    Agent, ApplicationState, Boot, ConfigText, Interface, MappedInterface, Neighbour, Path,
    Process, Resource, Route, RouteQuery, Version,
};

/// A call, and the number that its response will have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Chosen by who asks.
    pub id: u64,
    /// What is asked.
    pub call: Call,
}

/// What has become of one request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Response {
    /// Of the request.
    pub id: u64,
    /// The answer, or why there is none.
    pub outcome: Result<Reply, Failure>,
}

/// What can be asked of a router.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Call {
    /// Whether a configuration could be committed, as far as can be told without doing it.
    Check(Candidate),
    /// Puts a configuration in force.
    Commit {
        /// The configuration.
        candidate: Candidate,
        /// The one before comes back after this many seconds, unless [`Call::Confirm`] comes first.
        confirmed: Option<u32>,
    },
    /// Puts the running configuration in force with one port more or fewer.
    Port {
        /// Its name.
        name: String,
        /// The SPEC of the device of a new one; none takes the port out.
        device: Option<String>,
    },
    /// Keeps the configuration that waits for it.
    Confirm {
        /// Its number. Only in the session that committed it may it be left out.
        number: Option<u64>,
    },
    /// Puts an earlier configuration in force again.
    Rollback {
        /// How many versions back.
        back: u32,
    },
    /// A configuration.
    Config {
        /// How many versions back; 0 is the running one.
        back: u32,
    },
    /// How the running configuration differs from an earlier one.
    Diff {
        /// How many versions back.
        back: u32,
    },
    /// All versions that there are, the running one first.
    History,
    /// Processes of the router.
    Processes,
    /// Stages of the start.
    Boot,
    /// Resource managers of the client.
    Resources,
    /// Execution agents of the client.
    Agents,
    /// Changes routes that neither the configuration nor a protocol has: all of them or none.
    ChangeRoutes(Vec<RouteChange>),
    /// Routes.
    Routes {
        /// Which.
        query: RouteQuery,
        /// How many of them are left out at the beginning.
        skip: u64,
        /// How many are wanted at most.
        limit: u32,
    },
    /// Counts, as tables or as JSON.
    Statistics {
        /// As `--stats-json` has them.
        json: bool,
    },
    /// Interfaces.
    Interfaces,
    /// Neighbours.
    Neighbours,
    /// Programs that get packets of the slow path.
    Applications,
    /// Interfaces that are ports by `[discover]`.
    InterfaceMapping,
    /// Has another process take the place of one of the router's, of its program as it is now.
    Upgrade(Program),
}

/// A process of the router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Program {
    /// Control: answered by [`Reply::Upgrading`], and then the connection ends.
    Client,
    /// The data plane: answered by [`Reply::Changed`] when the other one forwards.
    Ucode,
}

impl Call {
    /// Whether it leaves everything as it is. Who may only look may ask nothing else.
    #[must_use]
    pub fn only_looks(&self) -> bool {
        match self {
            Self::Commit { .. }
            | Self::Port { .. }
            | Self::Confirm { .. }
            | Self::Rollback { .. }
            | Self::ChangeRoutes(_)
            | Self::Upgrade(_) => false,
            Self::Check(_)
            | Self::Config { .. }
            | Self::Diff { .. }
            | Self::History
            | Self::Processes
            | Self::Boot
            | Self::Resources
            | Self::Agents
            | Self::Routes { .. }
            | Self::Statistics { .. }
            | Self::Interfaces
            | Self::Neighbours
            | Self::Applications
            | Self::InterfaceMapping => true,
        }
    }
}

/// One route that is to be another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteChange {
    /// The VRF; none is the global table.
    pub vrf: Option<String>,
    /// Destinations.
    pub prefix: IpNet,
    /// What becomes of it.
    pub action: RouteAction,
}

/// What becomes of a route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RouteAction {
    /// It has this path too.
    Add(Path),
    /// It does not have this path, or none by this hop; without paths it goes.
    Delete(Path),
    /// It has these paths and no others.
    Replace(Vec<Path>),
}

/// Answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// To [`Call::Check`]: nothing speaks against it.
    Fits,
    /// To [`Call::Commit`], [`Call::Port`], [`Call::Confirm`] and [`Call::Rollback`]: what is in force now.
    InForce(Version),
    /// To [`Call::Config`].
    Config(ConfigText),
    /// To [`Call::Diff`]: a unified diff, empty if they say the same.
    Diff(String),
    /// To [`Call::History`].
    History(Vec<Version>),
    /// To [`Call::Processes`].
    Processes(Vec<Process>),
    /// To [`Call::Boot`].
    Boot(Vec<Boot>),
    /// To [`Call::Resources`].
    Resources(Vec<Resource>),
    /// To [`Call::Agents`].
    Agents(Vec<Agent>),
    /// To [`Call::ChangeRoutes`], and to [`Call::Upgrade`] of the data plane.
    Changed,
    /// To [`Call::Routes`].
    Routes(Vec<Route>),
    /// To [`Call::Statistics`].
    Statistics(String),
    /// To [`Call::Interfaces`].
    Interfaces(Vec<Interface>),
    /// To [`Call::Neighbours`].
    Neighbours(Vec<Neighbour>),
    /// To [`Call::Applications`].
    Applications(Vec<ApplicationState>),
    /// To [`Call::InterfaceMapping`].
    InterfaceMapping(Vec<MappedInterface>),
    /// To [`Call::Upgrade`] of the client: this one ends, and the next one listens as soon as it can.
    Upgrading,
}

/// Why there is no answer. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{line}")]
pub struct Failure {
    /// What kind of failure.
    pub status: Status,
    /// One line for people.
    pub line: String,
}

impl Failure {
    /// A failure; `line` is made one line.
    pub fn new(status: Status, line: impl ToString) -> Self {
        Self { status, line: line.to_string().replace('\n', " ") }
    }
}

/// Kinds of failures: the exit status of qfpctl.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// It could not be done.
    Failed = 1,
    /// It ought not to have been asked: the configuration is wrong, or asks for too much.
    Refused = 2,
    /// There is no such thing.
    NotFound = 3,
}
