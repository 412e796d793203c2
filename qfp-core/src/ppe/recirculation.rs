//! Packets between two walks: what a tunnel has put headers around, or taken them off.

use hal::{Packet, VECTOR};

use crate::counters::{LcoreCounters, LoopEvent};
use crate::packet::{DropReason, End, Source, Vector};
use crate::uidb::{TableId, UidbIndex};

/// Walks that a packet may begin anew: out of one tunnel and into another, four deep.
const WALKS: u8 = 8;

/// A packet that waits for its next walk.
struct Waiting {
    uidb: UidbIndex,
    table: TableId,
    /// How many walks it has begun anew.
    walks: u8,
    packet: Packet,
}

/// The packets that wait. All of them come from one vector, and each walk takes as many as it may
/// give back, so there are never more than a vector holds.
pub(super) struct Recirculation {
    waiting: Vec<Waiting>,
    /// Walks that the packets of the present vector have begun anew.
    walks: u8,
}

impl Recirculation {
    pub(super) fn new() -> Self {
        Self { waiting: Vec::with_capacity(VECTOR), walks: 0 }
    }

    /// Takes the packets out of the vector that shall walk again. Those that have done so too often
    /// are dropped.
    pub(super) fn collect(&mut self, vector: &mut Vector, counters: &LcoreCounters) {
        let walks = self.walks + 1;
        let before = self.waiting.len();
        for slot in vector.recirculated {
            if walks > WALKS || self.waiting.len() == VECTOR {
                vector.dropped.insert(slot);
                vector.end[slot & 63] = End::Drop(DropReason::RecirculationLimit);
                continue;
            }
            let (uidb, table) = vector.comes_in[slot & 63];
            if let Some(packet) = vector.burst.take(slot) {
                self.waiting.push(Waiting { uidb, table, walks, packet });
            }
        }
        counters.event(LoopEvent::Recirculated, (self.waiting.len() - before) as u64);
    }

    /// Fills the empty burst with packets that come in through the same interface, in the order in
    /// which they came; none when nothing waits.
    #[inline]
    pub(super) fn next_vector(&mut self, vector: &mut Vector) -> Option<Source> {
        let Some(first) = self.waiting.first() else {
            self.walks = 0;
            return None;
        };
        let (uidb, table, walks) = (first.uidb, first.table, first.walks);
        self.walks = walks;
        let same = |one: &mut Waiting| (one.uidb, one.table, one.walks) == (uidb, table, walks);
        for one in self.waiting.extract_if(.., same) {
            // There is room for all, and they came from this burst.
            drop(vector.burst.push(one.packet));
        }
        Some(Source::Internal { uidb, table })
    }
}
