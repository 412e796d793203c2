//! What is asked of the client.

use std::net::IpAddr;
use std::sync::mpsc::Sender;

use client::acl::Family;
use client::config::{Config, RouteTable};
use client::ea::{IpsecError, SaStatus, TcamUsage};
use client::ipsec::Sa;
use client::rib::{RouteQuery, RouteState, RouteUpdate};
use client::{CommitError, ListEdit, ListError};
use pal::pool::PoolUsage;
use pal::publication::Generation;
use qfp_core::uidb::{TableId, UidbIndex};
use ucode::{Application, FromSlowPath};

use crate::apart::Relaunch;
use crate::reconfigure::{InterfaceState, ReconfigureError};
use crate::report::IpsecReport;

/// Where the answer to one request goes.
pub(crate) type Reply<T> = Sender<T>;

/// What is asked of the client. No answer comes once the run has ended.
pub(crate) enum Request {
    Commit {
        config: Box<Config>,
        routes: RouteTable,
        reply: Reply<Committed>,
    },
    /// Whether [`Request::Commit`] would be refused for what the configuration says.
    Check {
        config: Box<Config>,
        routes: RouteTable,
        reply: Reply<Result<(), ReconfigureError>>,
    },
    Routes {
        updates: Vec<RouteUpdate>,
        reply: Reply<Result<(), CommitError>>,
    },
    EditList {
        family: Family,
        name: String,
        edits: Vec<ListEdit>,
        reply: Reply<Edited>,
    },
    ShowRoutes {
        query: RouteQuery,
        skip: usize,
        limit: usize,
        reply: Reply<Vec<RouteState>>,
    },
    Resources(Reply<(Vec<(&'static str, PoolUsage)>, usize)>),
    Vrfs(Reply<Vec<(String, TableId)>>),
    Interfaces(Reply<Vec<InterfaceState>>),
    Neighbours(Reply<Vec<(UidbIndex, IpAddr, [u8; 6])>>),
    TcamUsage(Reply<TcamUsage>),
    AddSa {
        sa: Box<Sa>,
        reply: Reply<Result<(), IpsecError>>,
    },
    UpdateSa {
        sa: Box<Sa>,
        reply: Reply<Result<(), IpsecError>>,
    },
    DeleteSa {
        name: String,
        reply: Reply<Result<(), IpsecError>>,
    },
    FlushSas(Reply<usize>),
    AllocateSpi(Reply<Result<u32, IpsecError>>),
    Sa {
        name: String,
        reply: Reply<Option<SaStatus>>,
    },
    Ipsec(Reply<Option<IpsecReport>>),
    Rekey {
        config: Box<Config>,
        reply: Reply<Result<(), CommitError>>,
    },
    /// That reports see the counts.
    Show(Reply<()>),
}

pub(crate) type Committed = Result<Generation, ReconfigureError>;
pub(crate) type Edited = Result<(), ListError>;

/// What comes to the client.
pub(crate) enum ToClient {
    Request(Request),
    SlowPath(FromSlowPath),
    /// Programs that want punted packets: these and no others.
    Applications(Vec<Application>),
    /// A data plane in a process of its own has died.
    Relaunch(Box<Relaunch>),
    /// Another one forwards.
    Relaunched,
}
