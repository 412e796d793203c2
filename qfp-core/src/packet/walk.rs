//! What all packets of a vector have in common.

use std::net::IpAddr;

use pal::clock::Nanos;

use crate::packet::Origin;
use crate::uidb::{Gates, TableId, UidbIndex};

/// Where a vector came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A receive queue of this port: interfaces are found by VLAN tags.
    Port(u16),
    /// An internal interface: the slow path, recirculation, a crypto engine. It has no VRF of its
    /// own: `table` is where the packets are routed.
    Internal {
        /// The interface.
        uidb: UidbIndex,
        /// The routing table.
        table: TableId,
    },
}

/// What is the same for all packets of a vector.
pub(crate) struct Walk {
    pub(crate) source: Source,
    /// Rows that are on for the input interfaces.
    pub(crate) gates_in: Gates,
    /// Rows that are on for the output interfaces.
    pub(crate) gates_out: Gates,
    /// Where all packets go instead of to their destination: they have been routed once already.
    pub(crate) via: Option<IpAddr>,
    /// Where packets came from that the slow path has put together.
    pub(crate) origin: Option<Origin>,
    /// The interface whose SA must protect the packets, or they do not leave: they tell of packets
    /// that it has opened.
    pub(crate) within: Option<UidbIndex>,
    /// When the walk began.
    pub(crate) now: Nanos,
    /// Bytes of all frames as they came.
    pub(crate) bytes: u64,
}

impl Default for Walk {
    fn default() -> Self {
        Self {
            source: Source::Internal { uidb: UidbIndex::NONE, table: TableId::GLOBAL },
            gates_in: Gates::NONE,
            gates_out: Gates::NONE,
            via: None,
            origin: None,
            within: None,
            now: Nanos::ZERO,
            bytes: 0,
        }
    }
}
