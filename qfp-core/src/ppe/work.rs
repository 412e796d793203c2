//! What an engine and the slow path hand each other.

use std::net::IpAddr;

use hal::Packet;

use crate::packet::{DropReason, Origin, PuntedPacket};
use crate::uidb::{TableId, UidbIndex};

/// Work for the slow path.
#[derive(Debug)]
pub enum SlowWork {
    /// A punted packet.
    Punt(PuntedPacket),
    /// A dropped packet whose source may be told.
    Unreachable(PuntedPacket, DropReason),
}

/// Work from the slow path.
#[derive(Debug)]
pub enum Injected {
    /// An IP packet of the router's own to be routed, behind an Ethernet header without addresses.
    Route {
        /// The table to route it in.
        table: TableId,
        /// Where it came from, if the slow path has only put it together.
        origin: Option<Origin>,
        /// The interface whose SA must protect it, or it does not leave.
        within: Option<UidbIndex>,
        /// The packet.
        packet: Packet,
    },
    /// A packet of somebody else's that goes on after the slow path had it, likewise: it meets
    /// what forwarded packets meet on their way out.
    Forward {
        /// The table to route it in.
        table: TableId,
        /// Where it goes, if it has been routed already; its destination may lead elsewhere.
        next_hop: Option<IpAddr>,
        /// Where it came from: what is said about it must not leave in the clear if it came protected.
        origin: Origin,
        /// The packet.
        packet: Packet,
    },
    /// A complete frame of the router's own for one interface: it meets the security policy.
    Transmit(UidbIndex, Packet),
    /// A complete frame for one interface: part of a packet that has met all rows.
    TransmitPart(UidbIndex, Packet),
}

impl Injected {
    /// A packet of the router's own, to be routed in a table.
    #[must_use]
    pub const fn route(table: TableId, packet: Packet) -> Self {
        Self::Route { table, origin: None, within: None, packet }
    }
}

/// Where an engine puts work for the slow path, in bursts.
pub trait SlowPathSink: Send {
    /// Takes the work over, or gives it back when there is no room.
    fn push(&mut self, work: SlowWork) -> Result<(), SlowWork>;
}

impl SlowPathSink for Vec<SlowWork> {
    fn push(&mut self, work: SlowWork) -> Result<(), SlowWork> {
        Self::push(self, work);
        Ok(())
    }
}
