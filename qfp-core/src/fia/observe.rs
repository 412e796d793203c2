//! Who is told after each row.

use hal::PacketMask;
use pal::clock::rdtsc;

use crate::counters::INTERRUPTED;
use crate::fia::trace::Trace;
use crate::fia::walk::ActiveRow;
use crate::packet::{Span, Vector};
use crate::step::Lcore;

/// Who watches a walk.
pub(super) enum Observer<'a> {
    /// Nobody, mostly.
    Nobody,
    /// Samples the cycles of each row into its counters.
    Sampler { last: u64 },
    /// Records what becomes of packets under trace.
    Tracer { last: u64, trace: &'a mut Trace },
}

impl Observer<'_> {
    /// `row` has worked on the packets of `worked`.
    pub(super) fn row(
        &mut self,
        row: &ActiveRow,
        lcore: &Lcore<'_>,
        vector: &Vector,
        worked: PacketMask,
    ) {
        match self {
            Self::Nobody => {}
            Self::Sampler { last } => {
                let cycles = lap(last);
                if cycles < INTERRUPTED {
                    lcore.counters.row_sample(row.number, u64::from(worked.count()), cycles);
                }
            }
            Self::Tracer { last, trace } => {
                // The walk of a dropped packet is over, whoever is told.
                let over = match row.span {
                    Span::Leaving => vector.ends.reported,
                    _ => PacketMask::EMPTY,
                };
                trace.row(row.name, vector, worked - over, lap(last));
            }
        }
    }
}

/// TSC cycles since `last`, which becomes now.
fn lap(last: &mut u64) -> u64 {
    let now = rdtsc();
    let cycles = now.wrapping_sub(*last);
    *last = now;
    cycles
}
