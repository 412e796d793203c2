//! What the client and the slow path tell each other: plain data, so that it does not matter whether
//! they share a process.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use ipnet::IpNet;
use pal::doorbell::Doorbell;
use pal::lcore::LaunchError;
use qfp_core::lpts::{Lpts, LptsRates};
use qfp_core::punt::{Interface, Limits};
use qfp_core::uidb::UidbIndex;

use crate::applications::Application;
use crate::threads::{SLOW_PATH, doorbell};

/// What comes from the slow path to the client.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub enum FromSlowPath {
    /// What the fast path must know of a neighbour. Answered by [`ToSlowPath::Entered`] with the
    /// same number, or by [`ToSlowPath::Refused`].
    Neighbour {
        /// Number of the report.
        report: u64,
        /// The neighbour's interface.
        uidb: UidbIndex,
        /// Its address.
        address: IpAddr,
        /// None when it is gone.
        mac: Option<[u8; 6]>,
    },
    /// The path of what a tunnel sends is smaller than its own link.
    PathMtu {
        /// Where the tunnel's packets go.
        destination: IpAddr,
        /// The SPI in them.
        spi: u32,
        /// Bytes of the largest IP packet.
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
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub enum ToSlowPath {
    /// The tables are those of another configuration. Answered by [`FromSlowPath::Followed`].
    Configured(Box<Configured>),
    /// Packets of tables that are gone may be in the rings. Answered by
    /// [`FromSlowPath::RingsCleared`].
    ClearRings,
    /// Largest IP packet that an interface takes.
    Mtu {
        /// The interface.
        uidb: UidbIndex,
        /// Bytes.
        mtu: u16,
    },
    /// Programs that want punted packets: these and no others.
    Applications(Vec<Application>),
    /// Lcores see what was reported.
    Entered {
        /// Number of the report.
        report: u64,
    },
    /// The tables have no room for the neighbour that was reported.
    Refused {
        /// Number of the report.
        report: u64,
        /// The neighbour's interface.
        uidb: UidbIndex,
        /// Its address.
        address: IpAddr,
    },
    /// Lcores send to a neighbour that the slow path of an earlier data plane has found.
    Known {
        /// Its interface.
        uidb: UidbIndex,
        /// Its address.
        address: IpAddr,
        /// Where lcores send to.
        mac: [u8; 6],
    },
    /// A next hop was known once and is not now, and no packet will ask for it.
    LookFor {
        /// Its interface.
        uidb: UidbIndex,
        /// Its address.
        address: IpAddr,
    },
}

/// What the slow path knows of a configuration, and lcores of what is for it.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Configured {
    /// Interfaces by number.
    pub interfaces: Vec<Interface>,
    /// See [`SlowPath::set_sides`](qfp_core::punt::SlowPath::set_sides).
    pub sides: Vec<(UidbIndex, Vec<IpNet>)>,
    /// Static neighbours.
    pub neighbours: Vec<(UidbIndex, IpAddr, [u8; 6])>,
    /// Those that are none any more.
    pub removed: Vec<(UidbIndex, IpAddr)>,
    /// Bounds of its work.
    pub limits: Limits,
    /// Rates of what goes there, of all lcores together.
    pub rates: LptsRates,
    /// Sessions, peers and listeners.
    pub sessions: Lpts,
}

impl Configured {
    /// The same in place of a configuration with these static neighbours: those that are none any more
    /// are removed.
    #[must_use]
    pub fn in_place_of(mut self, before: &[(UidbIndex, IpAddr, [u8; 6])]) -> Self {
        let kept: HashSet<_> = self.neighbours.iter().map(|one| (one.0, one.1)).collect();
        let before = before.iter().map(|one| (one.0, one.1));
        self.removed = before.filter(|one| !kept.contains(one)).collect();
        self
    }
}

/// The line from the slow path to the client, which need not wait for anybody.
pub type ToClient = Arc<dyn Fn(FromSlowPath) + Send + Sync>;

/// The client's end of the line to the slow path.
#[derive(Debug)]
pub struct Line {
    messages: Sender<ToSlowPath>,
    /// What the slow path sleeps on, if it has a thread.
    bell: Option<Arc<Doorbell>>,
}

/// The slow path's end.
#[derive(Debug)]
pub struct Inbox {
    pub(crate) messages: Receiver<ToSlowPath>,
    pub(crate) bell: Option<Arc<Doorbell>>,
}

/// A line to a slow path, which has a thread of its own unless `virtual_time`.
///
/// # Errors
/// There is no descriptor for what such a thread sleeps on.
pub fn line(virtual_time: bool) -> Result<(Line, Inbox), LaunchError> {
    let bell = (!virtual_time).then(|| doorbell(SLOW_PATH)).transpose()?;
    let (mut line, mut inbox) = line_apart();
    (line.bell, inbox.bell) = (bell.clone(), bell);
    Ok((line, inbox))
}

/// A line to a slow path in another process: who passes its messages on waits for the next one.
#[must_use]
pub fn line_apart() -> (Line, Inbox) {
    let (sender, messages) = channel();
    (Line { messages: sender, bell: None }, Inbox { messages, bell: None })
}

impl Inbox {
    /// The next message, if there is one already.
    #[must_use]
    pub fn try_next(&self) -> Option<ToSlowPath> {
        self.messages.try_recv().ok()
    }

    /// Waits for a message; none when the line is closed.
    #[must_use]
    pub fn next(&self) -> Option<ToSlowPath> {
        self.messages.recv().ok()
    }
}

impl Line {
    /// A slow path that is gone misses nothing.
    pub fn tell(&self, message: ToSlowPath) {
        drop(self.messages.send(message));
        if let Some(bell) = &self.bell {
            bell.wake();
        }
    }
}
