//! Packets between two walks: what a tunnel has put headers around, or taken them off.

use hal::{Packet, VECTOR};

use crate::counters::{LcoreCounters, LoopEvent};
use crate::packet::{DropReason, Source, Vector};
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
}

impl Recirculation {
    pub(super) fn new() -> Self {
        Self { waiting: Vec::with_capacity(VECTOR) }
    }

    /// Sees to the packets of the vector that shall walk again. Those that have done so too often
    /// are dropped. Where all come in through the same interface they stay in the vector, which
    /// is returned as the source of their next walk; else they are taken out of it.
    #[inline]
    pub(super) fn collect(
        &mut self,
        vector: &mut Vector,
        counters: &LcoreCounters,
    ) -> Option<Source> {
        let walks = vector.walks + 1;
        if walks > WALKS {
            vector.end_all(vector.ends.recirculated, DropReason::RecirculationLimit);
            return None;
        }
        let count = vector.ends.recirculated.count();
        counters.event(LoopEvent::Recirculated, u64::from(count));
        if !vector.ends.scattered {
            vector.walks = walks;
            let (uidb, table) = vector.ends.together;
            return Some(Source::Internal { uidb, table });
        }
        for slot in vector.ends.recirculated {
            let (uidb, table) = vector.ends.comes_in[slot & 63];
            // There is room for all (see above).
            if let Some(packet) = vector.burst.take(slot) {
                self.waiting.push(Waiting { uidb, table, walks, packet });
            }
        }
        None
    }

    /// Fills the empty burst with packets that come in through the same interface, in the order in
    /// which they came; none when nothing waits.
    #[inline]
    pub(super) fn next_vector(&mut self, vector: &mut Vector) -> Option<Source> {
        let Some(first) = self.waiting.first() else {
            vector.walks = 0;
            return None;
        };
        let (uidb, table, walks) = (first.uidb, first.table, first.walks);
        vector.walks = walks;
        let same = |one: &mut Waiting| (one.uidb, one.table, one.walks) == (uidb, table, walks);
        for one in self.waiting.extract_if(.., same) {
            // There is room for all, and they came from this burst.
            drop(vector.burst.push(one.packet));
        }
        Some(Source::Internal { uidb, table })
    }
}
