//! Bursts, straight through the driver's own functions.

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::sync::Arc;

use dpdk_sys as sys;
use pal::clock::Nanos;

use super::mbuf::{self, Received};
use super::simd;
use crate::mask::PacketMask;
use crate::packet::{Burst, RawBuf, VECTOR};
use crate::pool::{Origin, PoolCache};
use crate::port::{RxQueue, TxQueue};

/// Several drivers return at most this many packets a call, however many are asked for and there.
const DRIVER_BURST: usize = 32;

/// Most packets a receive call returns on small pages. The buffers of a full vector then lie on more
/// pages than the first-level TLB has entries: half a vector costs a tenth less a packet.
const SMALL_PAGES_BURST: usize = 32;

/// Held by each queue of a started port: a port is not stopped under its queues.
#[derive(Debug, Default)]
pub(super) struct InUse;

/// A queue's row in the driver table.
struct Driver {
    ops: *const sys::rte_eth_fp_ops,
    port: u16,
    queue: u16,
    _in_use: Arc<InUse>,
}

// SAFETY: the table is static, and a queue is used by the one thread that owns it.
unsafe impl Send for Driver {}

impl Driver {
    fn new(port: u16, queue: u16, in_use: &Arc<InUse>) -> Self {
        let table = (&raw const sys::rte_eth_fp_ops).cast::<sys::rte_eth_fp_ops>();
        let ops = table.wrapping_add(usize::from(port));
        Self { ops, port, queue, _in_use: Arc::clone(in_use) }
    }

    /// Receives up to `bufs.len()` packets into `bufs` and returns how many.
    #[inline]
    fn rx(&self, bufs: &mut [RawBuf]) -> usize {
        let room = u16::try_from(bufs.len()).unwrap_or(u16::MAX);
        let bufs: *mut *mut sys::rte_mbuf = bufs.as_mut_ptr().cast();
        let queue = usize::from(self.queue);
        // SAFETY: the port is started and stays so while `self` lives, so its row is filled in for
        // each configured queue; the driver writes at most `room` addresses.
        unsafe {
            let ops = &*self.ops;
            let Some(burst) = ops.rx_pkt_burst else { return 0 };
            let count = burst(*ops.rxq.data.add(queue), bufs, room);
            let callback: *mut c_void = (*ops.rxq.clbk.add(queue)).cast();
            if callback.is_null() {
                return usize::from(count.min(room));
            }
            let (port, queue) = (self.port, self.queue);
            usize::from(sys::rte_eth_call_rx_callbacks(port, queue, bufs, count, room, callback))
        }
    }

    /// Offers `bufs` to the driver and returns how many, from the first on, it took.
    #[inline]
    fn tx(&self, bufs: &mut [RawBuf]) -> usize {
        let mut count = u16::try_from(bufs.len()).unwrap_or(u16::MAX);
        let bufs: *mut *mut sys::rte_mbuf = bufs.as_mut_ptr().cast();
        let queue = usize::from(self.queue);
        // SAFETY: as in `rx`; the driver reads `count` addresses of mbufs that the caller owns.
        unsafe {
            let ops = &*self.ops;
            let Some(burst) = ops.tx_pkt_burst else { return 0 };
            let callback: *mut c_void = (*ops.txq.clbk.add(queue)).cast();
            if !callback.is_null() {
                let (port, queue) = (self.port, self.queue);
                count = sys::rte_eth_call_tx_callbacks(port, queue, bufs, count, callback);
            }
            usize::from(burst(*ops.txq.data.add(queue), bufs, count))
        }
    }
}

/// A receive queue of a [`super::DpdkPort`].
pub struct DpdkRxQueue {
    driver: Driver,
    /// Most packets a call returns.
    limit: usize,
    /// The frames were written by this CPU, not by a device.
    software: bool,
    missed: u64,
}

impl DpdkRxQueue {
    pub(super) fn new(port: u16, queue: u16, software: bool, in_use: &Arc<InUse>) -> Self {
        // SAFETY: reads a setting that was fixed when the EAL started.
        let huge_pages = unsafe { sys::rte_eal_has_hugepages() } != 0;
        let limit = if huge_pages { VECTOR } else { SMALL_PAGES_BURST };
        Self { driver: Driver::new(port, queue, in_use), limit, software, missed: 0 }
    }

    /// Looks at each of the `count` packets just received: frees chains, copies frames that lie in
    /// memory of somebody else's into buffers of ours, notes which start elsewhere than in a fresh
    /// buffer, closes the gaps, and returns how many packets are left.
    #[cold]
    fn sort_out(&mut self, burst: &mut Burst, count: usize, pool: &mut PoolCache) -> usize {
        let first = burst.count();
        let parts = burst.parts();
        let mut kept = first;
        for slot in first..first + count {
            let (mut buf, mut data, len) = (parts.buf[slot], parts.data[slot], parts.len[slot]);
            // SAFETY: the driver has just handed this mbuf over.
            let received = unsafe { mbuf::received(buf) };
            if received != Received::Own {
                // SAFETY: the frame is the mbuf's until that is freed below.
                let frame = unsafe { std::slice::from_raw_parts(data, usize::from(len)) };
                let copy = match received {
                    Received::External => pool.packet(frame),
                    _ => None,
                };
                // SAFETY: nobody else has the mbuf, which is written over or left behind the count.
                unsafe { mbuf::free_one(buf) };
                let Some(copy) = copy else {
                    self.missed += 1;
                    continue;
                };
                (buf, data) = copy.into_raw();
                // SAFETY: the copy's mbuf is nobody else's, and holds the frame.
                unsafe { mbuf::write_back(buf, data, len) };
            }
            if mbuf::is_shifted(buf, data) {
                parts.shifted.insert(kept);
            }
            (parts.buf[kept], parts.data[kept], parts.len[kept]) = (buf, data, len);
            kept += 1;
        }
        kept - first
    }
}

impl RxQueue for DpdkRxQueue {
    #[inline]
    fn rx_burst(&mut self, burst: &mut Burst, pool: &mut PoolCache) -> usize {
        if burst.origin() != Origin::Mbuf || pool.origin() != Origin::Mbuf {
            return 0;
        }
        let first = burst.count();
        let mut parts = burst.parts();
        let mut count = 0;
        let end = VECTOR.min(first + self.limit);
        while first + count < end {
            let more = self.driver.rx(&mut parts.buf[first + count..end]);
            count += more;
            if more < DRIVER_BURST {
                break;
            }
        }
        // SAFETY: the driver has written `count` mbufs, each with a frame, from `first` on.
        let unusual = unsafe {
            if self.software {
                mbuf::gather::<false>(&mut parts, first, count)
            } else {
                mbuf::gather::<true>(&mut parts, first, count)
            }
        };
        if unusual {
            count = self.sort_out(burst, count, pool);
        }
        // SAFETY: as above; the driver has given them up, and each is one segment.
        unsafe { burst.assume_received(count) };
        count
    }

    fn missed(&self) -> u64 {
        self.missed
    }
}

/// A transmit queue of a [`super::DpdkPort`].
pub struct DpdkTxQueue {
    driver: Driver,
    compress: simd::Compress,
}

impl DpdkTxQueue {
    pub(super) fn new(port: u16, queue: u16, in_use: &Arc<InUse>) -> Self {
        Self { driver: Driver::new(port, queue, in_use), compress: simd::compress() }
    }

    /// Sends `bufs`, tries once more with what the driver left, frees the rest, and returns how
    /// many were sent.
    #[inline]
    fn send(&self, bufs: &mut [RawBuf]) -> usize {
        let mut sent = self.driver.tx(bufs);
        if sent < bufs.len() {
            sent += self.driver.tx(&mut bufs[sent..]);
            // SAFETY: the driver has not taken these mbufs, and the caller gives all of them up.
            unsafe { mbuf::free(&mut bufs[sent..]) };
        }
        sent
    }
}

impl TxQueue for DpdkTxQueue {
    #[inline]
    fn tx_burst(
        &mut self,
        burst: &mut Burst,
        select: PacketMask,
        _pool: &mut PoolCache,
        _now: Nanos,
    ) -> PacketMask {
        let select = select & burst.owned();
        if select.is_empty() || burst.origin() != Origin::Mbuf {
            return PacketMask::EMPTY;
        }
        let parts = burst.parts();
        for slot in select & *parts.resized {
            let slot = slot & 63;
            // SAFETY: the burst owns the mbuf; mbufs of several segments never enter a burst.
            unsafe { mbuf::write_back(parts.buf[slot], parts.data[slot], parts.len[slot]) };
        }
        let wanted = select.count() as usize;
        let sent = if select.dense().is_some() {
            self.send(&mut parts.buf[..wanted])
        } else {
            let mut packed = [MaybeUninit::<RawBuf>::uninit(); VECTOR];
            let count = (self.compress)(parts.buf, select, &mut packed);
            // SAFETY: the first `count` entries were written.
            let packed =
                unsafe { std::slice::from_raw_parts_mut(packed.as_mut_ptr().cast(), count) };
            self.send(packed)
        };
        // SAFETY: each mbuf was sent or freed.
        unsafe { burst.disown(select) };
        if sent == wanted { select } else { lowest(select, sent) }
    }
}

/// The first `count` members of `set`.
#[cold]
fn lowest(set: PacketMask, count: usize) -> PacketMask {
    set.into_iter()
        .take(count)
        .fold(PacketMask::EMPTY, |taken, slot| taken | PacketMask::only(slot))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lowest_keeps_the_first_members() {
        assert_eq!(lowest(PacketMask(0b1101_0100), 2), PacketMask(0b0001_0100));
        assert_eq!(lowest(PacketMask::FULL, 64), PacketMask::FULL);
        assert_eq!(lowest(PacketMask::FULL, 0), PacketMask::EMPTY);
    }
}
