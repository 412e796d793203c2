//! The generator's port.
#![expect(unsafe_code, reason = "frames are written into buffers that are known by address")]

use std::sync::Arc;

use ipnet::IpNet;

use super::SynthSpec;
use super::destinations::prefixes;
use super::random::{Random, Zipf};
use super::template::Templates;
use crate::lines::copy_lines;
use crate::packet::{Burst, VECTOR};
use crate::pool::PoolCache;
use crate::port::{Arrival, Port, PortConfig, PortError, PortInfo, Queues, RxQueue};
use crate::sink::{Tally, discard_queues, discard_stats};

/// Most receive queues of a generator.
const QUEUES: u32 = 64;
/// The port's own MAC address unless one is configured.
const OWN_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];
/// Packets after which a Zipf sequence repeats: 16 a flow, within these bounds.
const ZIPF_PERIOD: std::ops::RangeInclusive<u32> = 1 << 16..=1 << 22;

/// Generates traffic, counts and discards what is sent to it.
///
/// A flow belongs to one receive queue, as with RSS.
pub struct SynthPort {
    info: PortInfo,
    spec: SynthSpec,
    prefixes: Vec<IpNet>,
    discarded: Arc<Vec<Tally>>,
}

impl SynthPort {
    /// Reads the prefix file, if there is one.
    pub fn open(spec: &SynthSpec) -> Result<Self, PortError> {
        let info = PortInfo {
            spec: spec.to_string(),
            mac: Some(OWN_MAC),
            numa_node: 0,
            max_rx_queues: u16::try_from(spec.flows.min(QUEUES)).unwrap_or(1),
            max_tx_queues: u16::MAX,
            virtual_time: false,
            total_packets: spec.count,
            filters_mac: false,
        };
        let prefixes = prefixes(spec)?;
        Ok(Self { info, spec: spec.clone(), prefixes, discarded: Arc::default() })
    }

    /// The order in which queue `queue` of `queues` goes through its flows, never empty.
    fn order(&self, queue: u32, queues: u32) -> Result<Vec<u32>, PortError> {
        let flows = self.spec.flows;
        let mut order = Vec::new();
        let mut room = |places: u32| {
            let what = format!("the order of flows of {}", self.spec);
            let bytes = places as usize * size_of::<u32>();
            let reserved = order.try_reserve_exact(places as usize);
            reserved.map_err(|_| PortError::NoMemory { what, bytes })
        };
        let Some(exponent) = self.spec.zipf else {
            room((flows - queue).div_ceil(queues))?;
            order.extend((queue..flows).step_by(queues as usize));
            return Ok(order);
        };
        let (zipf, mut random) = (Zipf::new(flows, exponent), Random::new(!self.spec.seed));
        let period = flows.saturating_mul(16).clamp(*ZIPF_PERIOD.start(), *ZIPF_PERIOD.end());
        room(period)?;
        order.extend((0..period).map(|_| zipf.draw(&mut random)));
        order.retain(|flow| flow % queues == queue);
        if order.is_empty() {
            order.push(queue);
        }
        Ok(order)
    }
}

impl Port for SynthPort {
    fn info(&self) -> &PortInfo {
        &self.info
    }

    fn start(&mut self, config: &PortConfig) -> Result<Queues, PortError> {
        self.info.admits(config)?;
        let tx;
        (self.discarded, tx) = discard_queues(config.tx_queues);
        let dmac = self.spec.dmac.or(config.mac).unwrap_or(OWN_MAC);
        let templates = Arc::new(Templates::new(&self.spec, &self.prefixes, dmac)?);
        let queues = u32::from(config.rx_queues);
        let queue = |queue| {
            let share = |count: u64| {
                count / u64::from(queues) + u64::from(u64::from(queue) < count % u64::from(queues))
            };
            Ok(Box::new(SynthRx {
                templates: templates.clone(),
                order: self.order(queue, queues)?,
                at: 0,
                cycle: self.spec.size.cycle(),
                cycle_at: 0,
                left: self.spec.count.map_or(u64::MAX, share),
                missed: 0,
            }) as Box<dyn RxQueue>)
        };
        let rx: Result<_, PortError> = (0..queues).map(queue).collect();
        Ok(Queues { rx: rx?, tx })
    }

    fn xstats(&self) -> Vec<(String, u64)> {
        discard_stats(&self.discarded)
    }
}

struct SynthRx {
    templates: Arc<Templates>,
    order: Vec<u32>,
    at: usize,
    cycle: &'static [u8],
    cycle_at: usize,
    left: u64,
    missed: u64,
}

impl SynthRx {
    /// Flow and length index of the next packet.
    #[inline]
    fn next(&mut self) -> (u32, u8) {
        let next = (self.order[self.at], self.cycle[self.cycle_at]);
        self.at += 1;
        self.cycle_at += 1;
        if self.at == self.order.len() {
            self.at = 0;
            // One step aside, lest each flow keeps its lengths where the two periods agree.
            self.cycle_at += 1;
        }
        if self.cycle_at >= self.cycle.len() {
            self.cycle_at %= self.cycle.len();
        }
        next
    }
}

impl RxQueue for SynthRx {
    fn rx_burst(&mut self, burst: &mut Burst, pool: &mut PoolCache) -> usize {
        let room = pool.frame_room();
        let first = burst.count();
        let want = usize::try_from(self.left).unwrap_or(VECTOR).min(VECTOR - first);
        let reserved = pool.reserve(burst, want);
        let parts = burst.parts();
        let mut filled = 0;
        for _ in 0..reserved {
            let (flow, length) = self.next();
            let (line, len) = self.templates.frame(flow, length);
            let bytes = usize::from(len);
            if bytes > room {
                self.missed += 1;
                continue;
            }
            let slot = (first + filled) & 63;
            let head = bytes.min(64);
            // SAFETY: `data` is the start of a fresh buffer with `room >= bytes` writable bytes.
            unsafe { copy_lines(std::slice::from_ref(line), head, parts.data[slot], room) };
            if bytes > head {
                // SAFETY: as above.
                unsafe { parts.data[slot].add(head).write_bytes(0, bytes - head) };
            }
            parts.len[slot] = len;
            filled += 1;
        }
        self.left -= reserved as u64;
        // SAFETY: the first `filled` of the slots just reserved hold frames.
        unsafe { pool.commit(burst, reserved, filled) };
        filled
    }

    fn arrival(&mut self) -> Arrival {
        if self.left == 0 { Arrival::Ended } else { Arrival::Live }
    }

    fn missed(&self) -> u64 {
        self.missed
    }
}

#[cfg(test)]
mod tests;
