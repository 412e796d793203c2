//! The step: what one row of the order of operations does to a vector.

use hal::PacketMask;
use pal::clock::Nanos;
use pal::publication::Seen;

use crate::counters::LcoreCounters;
use crate::packet::Vector;
use crate::tables::Tables;

/// What a step may use of its lcore, for the time of one vector.
///
/// Time is in the vector ([`Vector::now`]); nothing here reads a clock.
pub struct Lcore<'a> {
    /// The tables of the generation this vector runs with.
    pub tables: Tables<'a>,
    /// This lcore's counters.
    pub counters: &'a LcoreCounters,
}

/// One row of the order of operations, or a feature of the user's own.
///
/// A step is boxed once per lcore and called once a vector, so it may keep state of its own.
/// It never allocates, locks, logs, panics or makes a system call.
pub trait Step: Send {
    /// Works on the packets of `select`: those that are still walking, whose interface has this
    /// row switched on, and that are of the row's kind.
    fn process(&mut self, lcore: &mut Lcore<'_>, vector: &mut Vector, select: PacketMask);

    /// The packets that the step has taken out of their vectors ([`Vector::hold`]) and will give
    /// back; none for most steps.
    fn held(&self) -> Option<Held> {
        None
    }

    /// Puts held packets that are ready into the empty vector, begins it
    /// ([`Vector::begin`]), and ends each: it is dropped, or walks anew. False when none is ready.
    ///
    /// Asked at every poll while the step holds packets.
    fn resume(&mut self, _lcore: &mut Lcore<'_>, _vector: &mut Vector, _now: Nanos) -> bool {
        false
    }
}

/// What a step holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Number of packets.
    pub packets: usize,
    /// When the oldest of them met its tables: rows that it names stay until it is given back.
    pub since: Seen,
}

impl Held {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { packets: self.packets + other.packets, since: self.since.min(other.since) }
    }
}
