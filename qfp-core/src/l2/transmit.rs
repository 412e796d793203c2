//! Row `tx`: to the transmit queues (EGR-11).

use hal::PacketMask;

use crate::counters::{LcoreCounters, LoopEvent, PortEvent};
use crate::packet::{DropReason, VECTOR, Vector};
use crate::simd::{same_interface, sum};
use crate::step::{Lcore, Step};
use crate::uidb::{NO_PORT, UidbIndex, UidbTable};

/// Interfaces with fewer packets in the vector are seen to packet by packet: a comparison of the
/// whole vector costs as much as so many packets.
const FEW: u32 = 6;

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
        let mut count = 0;
        each_interface(&vector.output, select, |uidb, packets| {
            let port = uidbs.get(uidb).port;
            // There are no more ports than packets.
            let at = self.ports.iter().take(count).position(|known| known.0 == port);
            match at.and_then(|at| self.ports.get_mut(at)) {
                Some((_, known)) => *known |= packets,
                None => {
                    self.ports[count & 63] = (port, packets);
                    count += 1;
                }
            }
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
            let sent = queue.tx_burst(&mut vector.burst, packets, lcore.pool, vector.now);
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
        vector.sent |= sent;
    }
}

/// Counts what a port has sent, for itself and for each of its interfaces.
#[inline]
fn count_sent(counters: &LcoreCounters, vector: &Vector, port: u16, sent: PacketMask) {
    let mut all = 0;
    // The lengths of what was sent stand where they stood.
    each_interface(&vector.output, sent, |uidb, packets| {
        let bytes = match packets.into_iter().next() {
            Some(only) if packets.count() == 1 => u64::from(vector.burst.lens()[only & 63]),
            _ => sum(vector.burst.lens(), packets),
        };
        counters.interface_out(uidb, u64::from(packets.count()), bytes);
        all += bytes;
    });
    let count = u64::from(sent.count());
    counters.event(LoopEvent::Sent, count);
    counters.port(port, PortEvent::TxPackets, count);
    counters.port(port, PortEvent::TxBytes, all);
}

/// Calls `see` with packets of one interface each, until all of `select` have been seen: at once
/// while an interface has many of them, one by one from the first that has few.
#[inline]
fn each_interface(
    output: &[UidbIndex; VECTOR],
    select: PacketMask,
    mut see: impl FnMut(UidbIndex, PacketMask),
) {
    let mut rest = select;
    while let Some(first) = rest.into_iter().next() {
        let uidb = output[first & 63];
        let same = rest & same_interface(output, uidb);
        if same.count() < FEW {
            break;
        }
        see(uidb, same);
        rest -= same;
    }
    for slot in rest {
        see(output[slot & 63], PacketMask::only(slot));
    }
}
