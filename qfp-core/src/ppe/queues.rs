//! The queues of one port on one lcore, which come and go while the lcore runs.

use hal::{Burst, PacketMask, PoolCache, RxQueue, TxQueue};
use pal::clock::Nanos;

use super::{PolledQueue, Ppe};
use crate::counters::PortEvent;

/// Ports that there can be at once: their numbers are below this.
pub const MOST_PORTS: usize = 256;

/// What an lcore has of a port: one receive queue at most, and a transmit queue.
pub struct PortQueues {
    port: u16,
    rx: Option<PolledQueue>,
    tx: Box<dyn TxQueue>,
}

impl PortQueues {
    /// Queues of port number `port`; without a transmit queue nothing is sent there.
    #[must_use]
    pub fn new(port: u16, rx: Option<Box<dyn RxQueue>>, tx: Option<Box<dyn TxQueue>>) -> Self {
        let rx = rx.map(|queue| PolledQueue::new(port, queue));
        Self { port, rx, tx: tx.unwrap_or_else(|| Box::new(NoQueue)) }
    }

    /// The transmit queue, to be completed.
    pub fn tx(&mut self) -> &mut dyn TxQueue {
        &mut *self.tx
    }
}

/// Where there is no port: what is to leave through it is dropped. Its box is no memory.
struct NoQueue;

impl TxQueue for NoQueue {
    fn tx_burst(
        &mut self,
        burst: &mut Burst,
        select: PacketMask,
        pool: &mut PoolCache,
        _: Nanos,
    ) -> PacketMask {
        pool.free(burst, select & burst.owned());
        PacketMask::EMPTY
    }

    fn is_gone(&self) -> bool {
        true
    }
}

/// Room for the transmit queues of all ports that there can be.
pub(super) fn with_room(mut tx: Vec<Box<dyn TxQueue>>) -> Vec<Box<dyn TxQueue>> {
    if tx.len() < MOST_PORTS {
        tx.resize_with(MOST_PORTS, || Box::new(NoQueue));
    }
    tx
}

impl Ppe {
    /// Has these queues in place of those of the same port, which are left there. Between two vectors.
    /// No allocation.
    pub fn exchange_queues(&mut self, queues: &mut PortQueues) {
        let port = usize::from(queues.port);
        let Some(tx) = self.tx.get_mut(port).filter(|_| port < MOST_PORTS) else { return };
        std::mem::swap(tx, &mut queues.tx);
        let found = self.rx.iter().position(|polled| polled.port == queues.port);
        let old = found.map(|at| self.rx.swap_remove(at));
        if let Some(old) = &old {
            let missed = old.queue.missed() - old.missed;
            self.counters.port(queues.port, PortEvent::RxMissed, missed);
        }
        // There is room for one of each port.
        self.rx.extend(queues.rx.take());
        queues.rx = old;
    }
}
