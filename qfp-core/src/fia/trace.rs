//! Packet trace: which rows a packet went through, and how its walk ended.
//!
//! Off by default, and free when off.

use pal::clock::Nanos;

use crate::packet::{DropReason, PuntCause};
use crate::uidb::UidbIndex;

/// One row of a packet's walk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceStep {
    /// The row.
    pub row: &'static str,
    /// TSC cycles the row took for the whole vector.
    pub cycles: u64,
    /// Packets of the vector that were in the row.
    pub packets: u32,
}

/// How a traced walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceOutcome {
    /// To the transmit queue.
    Sent,
    /// Dropped.
    Dropped(DropReason),
    /// To the slow path.
    Punted(PuntCause),
    /// A step took it over, or it begins another walk.
    Consumed,
}

/// A packet under trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracedPacket {
    /// When its vector was received.
    pub at: Nanos,
    /// Input interface.
    pub input: UidbIndex,
    /// Output interface, if one was found.
    pub output: UidbIndex,
    /// The frame as received.
    pub before: Vec<u8>,
    /// The frame at the end of the walk; empty when a step took it over.
    pub after: Vec<u8>,
    /// The rows it went through, in order.
    pub steps: Vec<TraceStep>,
    /// How it ended.
    pub outcome: TraceOutcome,
}

/// The packets of one vector under trace, by slot.
#[derive(Debug, Default)]
pub struct TraceEntry {
    pub(super) packets: Vec<(usize, TracedPacket)>,
}

impl TraceEntry {
    /// What was traced.
    pub fn into_packets(self) -> impl Iterator<Item = TracedPacket> {
        self.packets.into_iter().map(|(_, packet)| packet)
    }
}
