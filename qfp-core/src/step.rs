//! The step: what one row of the order of operations does to a vector.

use hal::PacketMask;

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
}
