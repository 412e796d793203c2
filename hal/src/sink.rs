//! `sink`: a port that takes everything and gives nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use pal::clock::Nanos;

use crate::mask::PacketMask;
use crate::packet::Burst;
use crate::pool::PoolCache;
use crate::port::{Arrival, Port, PortConfig, PortError, PortInfo, Queues, RxQueue, TxQueue};

/// Counts packets and discards them; its receive queues have ended before they begin.
pub struct SinkPort {
    info: PortInfo,
    discarded: Arc<Vec<Tally>>,
}

impl SinkPort {
    /// A sink. Costs nothing until it is started.
    #[must_use]
    pub fn new() -> Self {
        let info = PortInfo {
            spec: "sink".to_owned(),
            mac: None,
            numa_node: 0,
            max_rx_queues: u16::MAX,
            max_tx_queues: u16::MAX,
            virtual_time: false,
            total_packets: None,
            filters_mac: false,
        };
        Self { info, discarded: Arc::default() }
    }
}

impl Default for SinkPort {
    fn default() -> Self {
        Self::new()
    }
}

impl Port for SinkPort {
    fn info(&self) -> &PortInfo {
        &self.info
    }

    fn start(&mut self, config: &PortConfig) -> Result<Queues, PortError> {
        let tx;
        (self.discarded, tx) = discard_queues(config.tx_queues);
        Ok(Queues { rx: silent_queues(config.rx_queues), tx })
    }

    fn xstats(&self) -> Vec<(String, u64)> {
        discard_stats(&self.discarded)
    }
}

/// What one transmit queue has discarded. Written by its lcore alone, read by anybody.
#[derive(Default)]
#[repr(align(64))]
pub(crate) struct Tally {
    packets: AtomicU64,
    bytes: AtomicU64,
}

impl Tally {
    fn add(&self, packets: u64, bytes: u64) {
        // One writer: a plain load and store is enough.
        self.packets.store(self.packets.load(Relaxed).wrapping_add(packets), Relaxed);
        self.bytes.store(self.bytes.load(Relaxed).wrapping_add(bytes), Relaxed);
    }
}

/// Transmit queues that count and discard, with their tallies.
pub(crate) fn discard_queues(count: u16) -> (Arc<Vec<Tally>>, Vec<Box<dyn TxQueue>>) {
    let tallies: Arc<Vec<Tally>> = Arc::new((0..count).map(|_| Tally::default()).collect());
    let queue = |index| Box::new(DiscardTx { tallies: tallies.clone(), index }) as Box<dyn TxQueue>;
    let queues = (0..usize::from(count)).map(queue).collect();
    (tallies, queues)
}

/// The sums of all tallies, by name.
pub(crate) fn discard_stats(tallies: &[Tally]) -> Vec<(String, u64)> {
    let sum = |field: fn(&Tally) -> &AtomicU64| {
        tallies.iter().fold(0_u64, |sum, tally| sum.wrapping_add(field(tally).load(Relaxed)))
    };
    vec![
        ("discarded_packets".to_owned(), sum(|t| &t.packets)),
        ("discarded_bytes".to_owned(), sum(|t| &t.bytes)),
    ]
}

/// Receive queues that never receive.
pub(crate) fn silent_queues(count: u16) -> Vec<Box<dyn RxQueue>> {
    (0..count).map(|_| Box::new(SilentRx) as Box<dyn RxQueue>).collect()
}

struct SilentRx;

impl RxQueue for SilentRx {
    fn rx_burst(&mut self, _burst: &mut Burst, _pool: &mut PoolCache) -> usize {
        0
    }

    fn arrival(&mut self) -> Arrival {
        Arrival::Ended
    }
}

struct DiscardTx {
    tallies: Arc<Vec<Tally>>,
    index: usize,
}

impl TxQueue for DiscardTx {
    fn tx_burst(
        &mut self,
        burst: &mut Burst,
        select: PacketMask,
        pool: &mut PoolCache,
        _now: Nanos,
    ) -> PacketMask {
        let sent = select & burst.owned();
        let bytes = match sent.dense() {
            Some(count) => burst.lens()[..count].iter().map(|&len| u64::from(len)).sum(),
            None => sent.into_iter().map(|slot| burst.len(slot) as u64).sum(),
        };
        self.tallies[self.index].add(u64::from(sent.count()), bytes);
        pool.free(burst, sent);
        sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::{NativePool, Origin, Pool};

    #[test]
    fn what_is_sent_is_counted_and_every_buffer_comes_back() {
        let pool = Pool::Native(NativePool::new(8, 256));
        let mut cache = pool.cache(0);
        let mut port = SinkPort::new();
        let config = PortConfig { tx_queues: 2, ..PortConfig::default() };
        let mut queues = port.start(&config).unwrap();
        let mut burst = Burst::new(Origin::Native);
        for len in [60, 61, 62] {
            assert!(cache.append(&mut burst, &vec![0; len]));
        }
        let select = PacketMask(0b101);
        let sent = queues.tx[1].tx_burst(&mut burst, select, &mut cache, Nanos(0));
        assert_eq!(sent, select);
        let sent = queues.tx[0].tx_burst(&mut burst, PacketMask::FULL, &mut cache, Nanos(0));
        assert_eq!(sent, PacketMask(0b010));
        assert_eq!(port.xstats()[0].1, 3);
        assert_eq!(port.xstats()[1].1, 60 + 61 + 62);
        assert_eq!(queues.rx[0].arrival(), Arrival::Ended);
        assert_eq!(queues.rx[0].rx_burst(&mut burst, &mut cache), 0);
        drop(cache);
        pool.check_complete().unwrap();
    }
}
