//! What the handle, the client and the slow path tell each other: plain data, so that it does not
//! matter whether they share a process.

use std::net::IpAddr;
use std::sync::mpsc::Sender;

use client::acl::Family;
use client::config::{Config, RouteTable};
use client::ea::{IpsecError, SaStatus, TcamUsage};
use client::ipsec::Sa;
use client::rib::{RouteQuery, RouteState, RouteUpdate};
use client::{CommitError, ListEdit, ListError};
use ipnet::IpNet;
use pal::pool::PoolUsage;
use pal::publication::Generation;
use qfp_core::punt::Interface;
use qfp_core::uidb::{TableId, UidbIndex};

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
    /// What the fast path must know of a neighbour; `mac` is none when it is gone. Answered by
    /// [`ToSlowPath::Entered`] with the same number, or by [`ToSlowPath::Refused`].
    Neighbour {
        report: u64,
        uidb: UidbIndex,
        address: IpAddr,
        mac: Option<[u8; 6]>,
    },
    /// The path of what a tunnel sends is smaller than its own link.
    PathMtu {
        destination: IpAddr,
        spi: u32,
        mtu: u16,
    },
    /// The slow path knows what was configured last, and nothing before it is on its way.
    Followed,
    /// What was in the rings to and from the lcores when that was asked for has been taken out.
    RingsCleared,
    /// The slow path has ended.
    Ended,
}

/// What comes to the slow path.
pub(crate) enum ToSlowPath {
    /// The tables are those of another configuration. Answered by [`ToClient::Followed`].
    Configured(Box<Configured>),
    /// Packets of tables that are gone may be in the rings. Answered by
    /// [`ToClient::RingsCleared`].
    ClearRings,
    /// Largest IP packet that an interface takes, bytes.
    Mtu { uidb: UidbIndex, mtu: u16 },
    /// Lcores see what was reported.
    Entered { report: u64 },
    /// The tables have no room for the neighbour that was reported.
    Refused { report: u64, uidb: UidbIndex, address: IpAddr },
    /// A next hop was known once and is not now, and no packet will ask for it.
    LookFor { uidb: UidbIndex, address: IpAddr },
}

/// What the slow path knows of a configuration.
pub(crate) struct Configured {
    pub(crate) interfaces: Vec<Interface>,
    /// See [`SlowPath::set_sides`](qfp_core::punt::SlowPath::set_sides).
    pub(crate) sides: Vec<(UidbIndex, Vec<IpNet>)>,
    /// Static neighbours.
    pub(crate) neighbours: Vec<(UidbIndex, IpAddr, [u8; 6])>,
    /// Those that are none any more.
    pub(crate) removed: Vec<(UidbIndex, IpAddr)>,
}
