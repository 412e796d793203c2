//! Receive and transmit queues in memory, which note when a vector passes.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use qfp::hal::{Burst, PacketMask, PoolCache, RxQueue, TxQueue, VECTOR};
use qfp::pal::clock::{Nanos, rdtsc};

/// What a gateway's queues share with the bench.
#[derive(Default)]
pub(crate) struct Wire {
    /// When the last vector had been received, and when it was to be sent.
    pub(crate) received: AtomicU64,
    pub(crate) sent: AtomicU64,
    /// What comes in next.
    pub(crate) coming: Mutex<Vec<Vec<u8>>>,
    /// What was sent.
    pub(crate) gone: Mutex<Vec<Vec<u8>>>,
}

/// Copies frames from memory.
pub(crate) struct Feed(pub(crate) Arc<Wire>);

impl RxQueue for Feed {
    fn rx_burst(&mut self, burst: &mut Burst, pool: &mut PoolCache) -> usize {
        let coming = self.0.coming.lock().unwrap_or_else(PoisonError::into_inner);
        for frame in coming.iter().take(VECTOR) {
            if !pool.append(burst, frame) {
                break;
            }
        }
        self.0.received.store(rdtsc(), Relaxed);
        burst.count()
    }
}

/// Copies frames to memory.
pub(crate) struct Out(pub(crate) Arc<Wire>);

impl TxQueue for Out {
    fn tx_burst(
        &mut self,
        burst: &mut Burst,
        select: PacketMask,
        pool: &mut PoolCache,
        _: Nanos,
    ) -> PacketMask {
        self.0.sent.store(rdtsc(), Relaxed);
        let mut gone = self.0.gone.lock().unwrap_or_else(PoisonError::into_inner);
        gone.extend(select.into_iter().map(|slot| burst.frame(slot).to_vec()));
        pool.free(burst, select);
        select
    }
}
