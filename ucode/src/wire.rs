//! What a data plane in a process of its own and who has started it tell each other.

use std::io;
use std::os::fd::OwnedFd;

use hal::PortInfo;
use hal::handover::Handed;
use pal::publication::ReaderSite;
use pal::rights::Rights;
use pal::seqpacket::SeqPacket;
use qfp_core::counters::CounterLayout;
use qfp_core::punt::InjectTo;
use qfp_core::tables::table_kind;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::applications::ForApplication;
use crate::door::Stay;
use crate::keeper::LastingSas;
use crate::launch::{Launch, PortLaunch};
use crate::links::PortState;
use crate::memory::Known;
use crate::messages::{Configured, FromSlowPath, ToSlowPath};
use crate::slow_side::SlowCounts;

/// What goes to the data plane.
#[derive(Debug, Serialize, Deserialize)]
pub enum Order {
    /// First: the build of who asks, and the devices of the ports. With it go the descriptors of
    /// those that are open, one device after the other.
    Open {
        /// See [`build`].
        build: u64,
        /// What the process may do from then on.
        rights: Rights,
        /// Devices of the ports.
        devices: Vec<Handed>,
        /// Arguments for DPDK.
        eal_args: Vec<String>,
    },
    /// Second, with descriptors of tables, readers' slots, what lcores write, and counters; and of
    /// where another client finds it, if it is to stay.
    Launch {
        /// How, and what for.
        launch: Box<Launch>,
        /// Places of readers, lcore by lcore.
        sites: Vec<ReaderSite>,
        /// Where lcores count what.
        layout: CounterLayout,
        /// What it keeps for another client.
        legacy: Box<Legacy>,
        /// How long it goes on without this one; none is not at all.
        stay: Option<Stay>,
    },
    /// Names that have been given numbers: more, or `all` of them.
    Names {
        /// Whether those before do not count any more.
        all: bool,
        /// What a client makes of them.
        names: Vec<u8>,
    },
    /// The SAs whose numbers go on without a client are these, from now on.
    Lasting(LastingSas),
    /// Other tables are read from now on; with descriptors of tables and readers' slots, and of where
    /// it writes its last words. Answered by [`Answer::Switched`].
    Switch {
        /// Places of readers, lcore by lcore.
        sites: Vec<ReaderSite>,
        /// What the slow path knows of the configuration.
        configured: Box<Configured>,
        /// See [`Legacy::kept`].
        kept: Vec<u8>,
    },
    /// For the slow path.
    SlowPath(ToSlowPath),
    /// What the ports say. Answered by [`Answer::Ports`] with the same number.
    Ports(u64),
    /// A device in place of that of this port, which has vanished; its descriptors go with it.
    Device(u16, Handed),
    /// A port more, or another one of its number; descriptors of its device go with it. Answered by
    /// [`Answer::Plugged`].
    Plug {
        /// Told with the answer.
        asked: u64,
        /// How it is started, but for its queues.
        port: PortLaunch,
        /// Its device.
        device: Handed,
    },
    /// The port of this number goes. Answered by [`Answer::Plugged`].
    Pull {
        /// Told with the answer.
        asked: u64,
        /// The port's.
        number: u16,
    },
    /// A packet of the router's own.
    Inject(InjectTo, Vec<u8>),
    /// It is to end. Answered by [`Answer::Ended`].
    End,
}

/// What a data plane keeps for another client.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Legacy {
    /// Whatever clients need to know.
    pub kept: Vec<u8>,
    /// Names and their numbers, as they were told.
    pub names: Vec<Vec<u8>>,
    /// Neighbours that have been found out.
    pub known: Vec<Known>,
    /// SAs whose numbers go on without a client; the file of marks is the last of the descriptors.
    pub lasting: Option<LastingSas>,
}

impl Legacy {
    /// Keeps names that are told: all there are, or some more.
    pub(crate) fn keep_names(&mut self, all: bool, names: Vec<u8>) {
        if all {
            self.names.clear();
        }
        self.names.push(names);
    }
}

/// What another client is told first, with descriptors of what lcores write and count, of where the
/// next one finds it, and of devices.
#[derive(Debug, Serialize, Deserialize)]
pub struct Welcome {
    /// How it was launched.
    pub launch: Launch,
    /// Devices of the ports, as they were handed over.
    pub devices: Vec<Handed>,
    /// What each port is.
    pub infos: Vec<PortInfo>,
    /// Packets that all inputs hold, when they are finite and known.
    pub total_packets: Option<u64>,
    /// Where lcores count what.
    pub layout: CounterLayout,
    /// What clients before have left.
    pub legacy: Legacy,
    /// The last report of a neighbour among those that are known.
    pub reported: u64,
    /// What the slow path has counted.
    pub counts: SlowCounts,
}

/// What comes from the data plane.
#[derive(Debug, Serialize, Deserialize)]
pub enum Answer {
    /// Devices are open.
    Opened {
        /// What each is.
        infos: Vec<PortInfo>,
        /// Packets that all inputs hold, when they are finite and known.
        total_packets: Option<u64>,
    },
    /// It does not start, and ends.
    Refused(String),
    /// It forwards.
    Launched,
    /// It forwards, and has another client.
    Welcome(Box<Welcome>),
    /// All lcores read the other tables.
    Switched,
    /// A punted packet for a program.
    Punted(ForApplication),
    /// From the slow path.
    SlowPath(FromSlowPath),
    /// What the slow path has counted, and whether all inputs have ended.
    Counts(Box<SlowCounts>, bool),
    /// See [`Order::Ports`].
    Ports(u64, Vec<PortState>),
    /// What the port is that was plugged, nothing of one that was pulled, or why nothing has changed.
    Plugged(u64, Result<Option<Box<PortInfo>>, String>),
    /// It has ended: what the ports said last, and what did not end well.
    Ended(Vec<PortState>, Option<String>),
}

/// A number for all that two processes must agree on: rows of tables, and this build's version.
#[must_use]
pub fn build() -> u64 {
    let shapes = format!("{} {:?}", env!("CARGO_PKG_VERSION"), table_kind::SHAPES);
    // FNV-1a.
    shapes.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Sends a message, and descriptors with it.
///
/// # Errors
/// The other end is gone.
pub fn send<T: Serialize>(line: &SeqPacket, message: &T, with: &[OwnedFd]) -> io::Result<()> {
    let bytes = postcard::to_stdvec(message).map_err(io::Error::other)?;
    line.send(&bytes, with)
}

/// Waits for a message; none when the other end is gone.
///
/// # Errors
/// It is none of this build's.
pub fn receive<T: DeserializeOwned>(line: &SeqPacket) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    let Some((bytes, with)) = line.receive()? else { return Ok(None) };
    Ok(Some((postcard::from_bytes(&bytes).map_err(io::Error::other)?, with)))
}
