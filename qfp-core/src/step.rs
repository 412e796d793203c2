//! The step: what one row of the order of operations does to a vector.

use hal::{PacketMask, PoolCache, TxQueue};
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
    /// Its transmit queues by port number, for the row `tx`.
    pub(crate) tx: &'a mut [Box<dyn TxQueue>],
    /// Its share of the buffers.
    pub(crate) pool: &'a mut PoolCache,
}

/// One row of the order of operations, or a feature of the user's own.
///
/// A step is boxed once per lcore and called once a vector, so it may keep state of its own.
/// It never allocates, locks, logs, panics or makes a system call.
pub trait Step: Send {
    /// Works on the packets of `select`: those that are still walking, whose interface has this
    /// row switched on, and that are of the row's kind.
    fn process(&mut self, lcore: &mut Lcore<'_>, vector: &mut Vector, select: PacketMask);

    /// Puts packets that the step has taken out of their vectors ([`Vector::hold`]) and gives back
    /// now into the empty vector, and begins it ([`Vector::begin`]). Each of them is dropped,
    /// walks anew ([`Vector::recirculate`]), or is sent as it is. False when none is ready.
    ///
    /// Asked of every row in turn, at every poll while packets are held. What a packet needs when
    /// it is back is kept with it: tables may have changed meanwhile.
    fn resume(&mut self, _lcore: &mut Lcore<'_>, _vector: &mut Vector, _now: Nanos) -> bool {
        false
    }

    /// Since when rows of tables must stay that held packets name. Commits wait for it, so only a
    /// step whose packets are back in a bounded time may pin anything; a queue pins nothing.
    fn pins(&self) -> Option<Seen> {
        None
    }
}
