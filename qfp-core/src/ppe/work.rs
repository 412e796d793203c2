//! What an engine and the slow path hand each other.

use std::net::IpAddr;

use hal::Packet;

use crate::packet::{DropReason, PuntedPacket};
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
    /// An IP packet to be routed in a table, behind an Ethernet header without addresses.
    Route(TableId, Packet),
    /// A packet of somebody else's that goes on after the slow path had it, likewise: it meets
    /// what forwarded packets meet on their way out.
    Forward {
        /// The table to route it in.
        table: TableId,
        /// Where it goes, if it has been routed already; its destination may lead elsewhere.
        next_hop: Option<IpAddr>,
        /// The packet.
        packet: Packet,
    },
    /// A complete frame for one interface.
    Transmit(UidbIndex, Packet),
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
