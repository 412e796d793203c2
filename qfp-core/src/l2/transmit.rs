//! Row `tx`: to the transmit queues (EGR-11).

use hal::PacketMask;

use crate::counters::{LcoreCounters, LoopEvent, PortEvent};
use crate::packet::{DropReason, VECTOR, Vector};
use crate::simd::{each_interface, sum};
use crate::step::{Lcore, Step};
use crate::uidb::{NO_PORT, UidbTable};

/// Sends what walks, one burst an output port, in the order of arrival.
pub struct Transmit {
    /// The vector's output ports, and which packets leave through each.
    ports: [(u16, PacketMask); VECTOR],
}

impl Transmit {
    /// A step for one lcore.
    #[must_use]
    pub fn new() -> Self {
        Self { ports: [(NO_PORT, PacketMask::EMPTY); VECTOR] }
    }

    /// Sorts `select` by output port; returns the number of ports.
    #[inline]
    fn by_port(&mut self, uidbs: UidbTable<'_>, vector: &Vector, select: PacketMask) -> usize {
        let (mut count, mut last) = (0, 0);
        each_interface(&vector.route.output, select, |uidb, packets| {
            let port = uidbs.get(uidb).port;
            // There are no more ports than packets.
            if count == 0 || self.ports[last & 63].0 != port {
                let known = self.ports.iter().take(count).position(|known| known.0 == port);
                last = known.unwrap_or(count);
                if last == count {
                    self.ports[count & 63] = (port, PacketMask::EMPTY);
                    count += 1;
                }
            }
            self.ports[last & 63].1 |= packets;
        });
        count
    }
}

impl Default for Transmit {
    fn default() -> Self {
        Self::new()
    }
}

impl Step for Transmit {
    fn process(&mut self, lcore: &mut Lcore<'_>, vector: &mut Vector, select: PacketMask) {
        let count = self.by_port(UidbTable::open(&lcore.tables), vector, select);
        for &(port, packets) in self.ports.iter().take(count) {
            let queue = lcore.tx.get_mut(usize::from(port)).filter(|_| port != NO_PORT);
            let Some(queue) = queue else {
                vector.drop_all(packets, DropReason::NoAdjacency);
                continue;
            };
            let sent = queue.tx_burst(&mut vector.burst, packets, lcore.pool, vector.walk.now);
            count_sent(lcore.counters, vector, port, sent);
            let lost = packets - sent;
            if !lost.is_empty() {
                let gone = queue.is_gone();
                let reason = if gone { DropReason::PortGone } else { DropReason::TxQueueFull };
                vector.drop_all(lost, reason);
                lcore.counters.port(port, PortEvent::TxDropped, u64::from(lost.count()));
            }
        }
        let sent = select & vector.live;
        vector.live -= sent;
        vector.ends.sent |= sent;
    }
}

/// Counts what a port has sent, for itself and for each of its interfaces.
#[inline]
fn count_sent(counters: &LcoreCounters, vector: &Vector, port: u16, sent: PacketMask) {
    let mut all = 0;
    // The lengths of what was sent stand where they stood.
    each_interface(&vector.route.output, sent, |uidb, packets| {
        let bytes = sum(vector.burst.lens(), packets);
        counters.interface_out(uidb, u64::from(packets.count()), bytes);
        all += bytes;
    });
    let count = u64::from(sent.count());
    counters.event(LoopEvent::Sent, count);
    counters.port(port, PortEvent::TxPackets, count);
    counters.port(port, PortEvent::TxBytes, all);
}
