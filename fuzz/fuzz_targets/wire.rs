//! Ports in memory: queues of frames, which the fuzz targets fill and empty.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use hal::{Burst, PacketMask, PoolCache, RxQueue, TxQueue};
use pal::clock::Nanos;

/// Frames of a queue.
pub(crate) type Wire = Arc<Mutex<VecDeque<Vec<u8>>>>;

pub(crate) struct Coming(pub(crate) Wire);
pub(crate) struct Gone(pub(crate) Wire);

impl RxQueue for Coming {
    fn rx_burst(&mut self, burst: &mut Burst, pool: &mut PoolCache) -> usize {
        let mut frames = self.0.lock().expect("no other thread");
        let count = frames.len().min(64);
        for frame in frames.drain(..count) {
            assert!(pool.append(burst, &frame));
        }
        count
    }
}

impl TxQueue for Gone {
    fn tx_burst(
        &mut self,
        burst: &mut Burst,
        select: PacketMask,
        pool: &mut PoolCache,
        _: Nanos,
    ) -> PacketMask {
        let mut frames = self.0.lock().expect("no other thread");
        frames.extend(select.into_iter().map(|slot| burst.frame(slot).to_vec()));
        pool.free(burst, select);
        select
    }
}
