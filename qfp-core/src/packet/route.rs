//! Through which interfaces packets come and go, and by which route.

use hal::VECTOR;

use crate::uidb::{TableId, UidbIndex};

/// Through which interfaces packets come and go, and by which route.
///
/// Arrays by slot, each a multiple of a cache line.
#[repr(C, align(64))]
pub(crate) struct Route {
    /// Input interface.
    pub(crate) input: [UidbIndex; VECTOR],
    /// Output interface.
    pub(crate) output: [UidbIndex; VECTOR],
    /// Next-hop group of the route.
    pub(crate) leaf: [u32; VECTOR],
    /// Adjacency.
    pub(crate) adjacency: [u32; VECTOR],
    /// Routing tables of packets that policy has redirected.
    pub(crate) redirect: [TableId; VECTOR],
}

impl Default for Route {
    fn default() -> Self {
        Self {
            input: [UidbIndex::NONE; VECTOR],
            output: [UidbIndex::NONE; VECTOR],
            leaf: [0; VECTOR],
            adjacency: [0; VECTOR],
            redirect: [TableId::GLOBAL; VECTOR],
        }
    }
}
