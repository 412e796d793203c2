//! Ports in memory: each lcore has queues of its own.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hal::{Burst, PacketMask, PoolCache, RxQueue, TxQueue};
use pal::clock::Nanos;

use crate::frames;

/// One lcore's queues of one port, as hosts see them.
#[derive(Debug, Default)]
pub(crate) struct Cable {
    /// Frames for the router.
    pub(crate) coming: VecDeque<Vec<u8>>,
    /// Probes that the lcore has taken out.
    pub(crate) taken: Vec<u64>,
    /// Frames from the router.
    pub(crate) gone: Vec<Vec<u8>>,
    /// It sends nothing now.
    pub(crate) full: bool,
}

/// A [`Cable`] with two ends.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wire(Arc<Mutex<Cable>>);

impl Wire {
    pub(crate) fn look(&self) -> MutexGuard<'_, Cable> {
        // Deaths leave it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The router's receive queue.
pub(crate) struct Coming(pub(crate) Wire);
/// The router's transmit queue.
pub(crate) struct Gone(pub(crate) Wire);

impl RxQueue for Coming {
    fn rx_burst(&mut self, burst: &mut Burst, pool: &mut PoolCache) -> usize {
        let mut cable = self.0.look();
        let mut count = 0;
        while count < hal::VECTOR
            && let Some(frame) = cable.coming.front()
            && pool.append(burst, frame)
        {
            let id = frames::id_of(frame);
            cable.taken.extend(id);
            cable.coming.pop_front();
            count += 1;
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
        let mut cable = self.0.look();
        if cable.full {
            return PacketMask::EMPTY;
        }
        cable.gone.extend(select.into_iter().map(|slot| burst.frame(slot).to_vec()));
        pool.free(burst, select);
        select
    }
}
