use hal::{PacketMask, PoolCache, TxQueue};

use crate::counters::{LcoreCounters, LoopEvent, PortEvent};
use crate::packet::{DropReason, Vector};
use crate::simd;
use crate::tables::Tables;
use crate::uidb::{NO_PORT, UidbTable};

/// Row `tx`: sends the live packets, one burst an output interface.
#[inline]
pub(super) fn transmit(
    vector: &mut Vector,
    queues: &mut [Box<dyn TxQueue>],
    pool: &mut PoolCache,
    counters: &LcoreCounters,
    tables: Tables<'_>,
) {
    let uidbs = UidbTable::open(&tables);
    let mut rest = vector.live;
    while let Some(first) = rest.into_iter().next() {
        let uidb = vector.output[first & 63];
        let same = rest & simd::same_interface(&vector.output, uidb);
        rest -= same;
        let port = uidbs.get(uidb).port;
        let queue = if port == NO_PORT { None } else { queues.get_mut(usize::from(port)) };
        let (sent, lost) = match queue {
            Some(queue) => {
                let sent = queue.tx_burst(&mut vector.burst, same, pool, vector.now);
                let gone = sent != same && queue.is_gone();
                (sent, if gone { DropReason::PortGone } else { DropReason::TxQueueFull })
            }
            None => {
                pool.free(&mut vector.burst, same);
                (PacketMask::EMPTY, DropReason::NoAdjacency)
            }
        };
        let count = u64::from(sent.count());
        // The lengths of what was sent stand where they stood.
        let bytes = simd::sum(vector.burst.lens(), sent);
        counters.event(LoopEvent::Sent, count);
        counters.interface_out(uidb, count, bytes);
        counters.port(port, PortEvent::TxPackets, count);
        counters.port(port, PortEvent::TxBytes, bytes);
        if sent != same {
            let unsent = u64::from((same - sent).count());
            counters.drop(lost, unsent);
            counters.port(port, PortEvent::TxDropped, unsent);
        }
    }
}
