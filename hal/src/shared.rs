//! Transmit queues of a device that has fewer of them than there are lcores.

use std::sync::{Arc, Mutex, MutexGuard, TryLockError};

use pal::clock::Nanos;

use crate::mask::PacketMask;
use crate::packet::Burst;
use crate::pool::PoolCache;
use crate::port::{PortError, TxQueue};

/// A transmit queue for each of `users` lcores, out of at least one: where there are fewer queues,
/// neighbours share one, and where there are more, the others are dropped.
///
/// A queue that is shared is locked for one burst. Who finds it locked spins, without a system
/// call, for as long as the bursts of the other lcores take: they are pinned and do not sleep. The
/// packets of a flow stay in order, as all of them are sent by one lcore.
#[must_use]
pub fn share(mut queues: Vec<Box<dyn TxQueue>>, users: usize) -> Vec<Box<dyn TxQueue>> {
    if queues.len() >= users {
        queues.truncate(users);
        return queues;
    }
    let locked = |queue| Arc::new(Mutex::new(Locked { queue, finished: false }));
    let shared: Vec<_> = queues.into_iter().map(locked).collect();
    let user = |lock: &Arc<_>| Box::new(SharedTx(Arc::clone(lock))) as Box<dyn TxQueue>;
    shared.iter().cycle().take(users).map(user).collect()
}

/// A queue under its lock.
struct Locked {
    queue: Box<dyn TxQueue>,
    finished: bool,
}

/// One lcore's way to a queue that others use, too.
struct SharedTx(Arc<Mutex<Locked>>);

impl SharedTx {
    /// The queue, once it is free.
    #[inline]
    fn lock(&self) -> MutexGuard<'_, Locked> {
        loop {
            match self.0.try_lock() {
                Ok(locked) => return locked,
                // An lcore that panics ends the run; its queue is whole enough to be closed.
                Err(TryLockError::Poisoned(panicked)) => return panicked.into_inner(),
                Err(TryLockError::WouldBlock) => std::hint::spin_loop(),
            }
        }
    }
}

impl TxQueue for SharedTx {
    #[inline]
    fn tx_burst(
        &mut self,
        burst: &mut Burst,
        select: PacketMask,
        pool: &mut PoolCache,
        now: Nanos,
    ) -> PacketMask {
        self.lock().queue.tx_burst(burst, select, pool, now)
    }

    fn is_gone(&self) -> bool {
        self.lock().queue.is_gone()
    }

    fn finish(&mut self) -> Result<(), PortError> {
        let mut locked = self.lock();
        if locked.finished {
            return Ok(());
        }
        locked.finished = true;
        locked.queue.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    use super::*;
    use crate::pool::{NativePool, Origin, Pool};

    /// What a queue has been asked, and by how many at a time.
    #[derive(Default)]
    struct Seen {
        busy: AtomicBool,
        met: AtomicBool,
        packets: AtomicU64,
        finished: AtomicU64,
    }

    struct Witness(Arc<Seen>);

    impl TxQueue for Witness {
        fn tx_burst(
            &mut self,
            burst: &mut Burst,
            select: PacketMask,
            pool: &mut PoolCache,
            _now: Nanos,
        ) -> PacketMask {
            if self.0.busy.swap(true, Ordering::Relaxed) {
                self.0.met.store(true, Ordering::Relaxed);
            }
            pool.free(burst, select);
            // One writer at a time: a lost count is two at a time.
            let packets = self.0.packets.load(Ordering::Relaxed);
            self.0.packets.store(packets + u64::from(select.count()), Ordering::Relaxed);
            self.0.busy.store(false, Ordering::Relaxed);
            select
        }

        fn finish(&mut self) -> Result<(), PortError> {
            self.0.finished.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
    }

    fn queues(count: usize) -> (Vec<Arc<Seen>>, Vec<Box<dyn TxQueue>>) {
        let seen: Vec<Arc<Seen>> = (0..count).map(|_| Arc::default()).collect();
        let queue = |seen: &Arc<Seen>| Box::new(Witness(Arc::clone(seen))) as Box<dyn TxQueue>;
        let queues = seen.iter().map(queue).collect();
        (seen, queues)
    }

    fn send(queue: &mut dyn TxQueue, cache: &mut PoolCache, packets: u32) {
        let mut burst = Burst::new(Origin::Native);
        for _ in 0..packets {
            assert!(cache.append(&mut burst, &[0; 60]));
        }
        let all = burst.owned();
        let sent = queue.tx_burst(&mut burst, all, cache, Nanos(0));
        assert_eq!(sent.count(), packets);
    }

    #[test]
    fn one_lcore_at_a_time_is_in_a_shared_queue() {
        const BURSTS: u32 = if cfg!(miri) { 20 } else { 20_000 };
        let (seen, queues) = queues(1);
        let pool = Pool::Native(NativePool::new(4096, 2048));
        std::thread::scope(|scope| {
            for mut queue in share(queues, 3) {
                let mut cache = pool.cache(0);
                scope.spawn(move || (0..BURSTS).for_each(|_| send(&mut *queue, &mut cache, 2)));
            }
        });
        assert!(!seen[0].met.load(Ordering::Relaxed));
        assert_eq!(seen[0].packets.load(Ordering::Relaxed), 3 * 2 * u64::from(BURSTS));
    }

    #[test]
    fn lcores_are_spread_over_the_queues_there_are() {
        let pool = Pool::Native(NativePool::new(64, 2048));
        let mut cache = pool.cache(0);
        for (count, users, wanted) in [(2, 5, [3, 2, 0]), (3, 3, [1, 1, 1]), (3, 2, [1, 1, 0])] {
            let (seen, queues) = queues(count);
            let mut lcores = share(queues, users);
            assert_eq!(lcores.len(), users);
            lcores.iter_mut().for_each(|queue| send(&mut **queue, &mut cache, 1));
            let packets: Vec<u64> =
                seen.iter().map(|seen| seen.packets.load(Ordering::Relaxed)).collect();
            assert_eq!(packets, wanted[..count]);
        }
    }

    #[test]
    fn a_shared_queue_is_finished_once() {
        let (seen, queues) = queues(1);
        let mut lcores = share(queues, 2);
        for queue in &mut lcores {
            queue.finish().unwrap();
        }
        assert_eq!(seen[0].finished.load(Ordering::Relaxed), 1);
    }
}
