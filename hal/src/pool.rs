//! Packet buffers: one kind a process, native or DPDK mbufs, behind one closed enum.
//!
//! A packet received on one port leaves through another, so all ports of a process share one kind
//! of buffer: mbufs once a DPDK port is open, native buffers otherwise.
#![expect(unsafe_code, reason = "buffers are handed out by address")]

mod native;

use crate::mask::PacketMask;
use crate::packet::{Burst, Packet, RawBuf};
use crate::port::PortError;

pub use native::{NativeCache, NativePool};

/// The kind of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Memory of this process.
    Native,
    /// A DPDK mempool.
    #[cfg(feature = "dpdk")]
    Mbuf,
}

/// All packet buffers of a process.
pub enum Pool {
    /// Native buffers.
    Native(NativePool),
    /// DPDK mbufs, one mempool a NUMA node.
    #[cfg(feature = "dpdk")]
    Mbuf(crate::dpdk::MbufPool),
}

impl Pool {
    /// A handle for one thread, with a cache of its own. `numa_node` picks the nearest memory.
    #[must_use]
    pub fn cache(&self, numa_node: u32) -> PoolCache {
        let _ = numa_node;
        match self {
            Self::Native(pool) => PoolCache::Native(pool.cache()),
            #[cfg(feature = "dpdk")]
            Self::Mbuf(pool) => PoolCache::Mbuf(pool.cache(numa_node)),
        }
    }

    /// Checks that every buffer is back, after all ports have stopped and all caches are dropped.
    pub fn check_complete(&self) -> Result<(), PortError> {
        let (free, total) = match self {
            Self::Native(pool) => (pool.free_count(), pool.total()),
            #[cfg(feature = "dpdk")]
            Self::Mbuf(pool) => (pool.free_count(), pool.total()),
        };
        if free == total {
            Ok(())
        } else {
            Err(PortError::BuffersMissing { missing: total - free, total })
        }
    }
}

/// One thread's access to the [`Pool`].
pub enum PoolCache {
    /// Native buffers.
    Native(NativeCache),
    /// DPDK mbufs.
    #[cfg(feature = "dpdk")]
    Mbuf(crate::dpdk::MbufCache),
}

impl PoolCache {
    /// The kind of buffers.
    #[inline]
    #[must_use]
    pub fn origin(&self) -> Origin {
        match self {
            Self::Native(_) => Origin::Native,
            #[cfg(feature = "dpdk")]
            Self::Mbuf(_) => Origin::Mbuf,
        }
    }

    /// Writes up to `count` fresh buffers behind the burst's last slot and returns how many.
    ///
    /// Their frames start after the headroom, have length 0, and are not yet owned by the burst:
    /// the caller fills them and calls [`Burst::assume_received`].
    #[inline]
    pub(crate) fn reserve(&mut self, burst: &mut Burst, count: usize) -> usize {
        if burst.origin() != self.origin() {
            return 0;
        }
        match self {
            Self::Native(cache) => cache.reserve(burst, count),
            #[cfg(feature = "dpdk")]
            Self::Mbuf(cache) => cache.reserve(burst, count),
        }
    }

    /// Completes [`PoolCache::reserve`]: the burst owns the first `filled` of the `reserved` buffers
    /// from now on, the others go back.
    ///
    /// # Safety
    /// `reserve` has just returned `reserved`, and the first `filled` of those slots hold frames
    /// inside their buffers.
    #[inline]
    pub(crate) unsafe fn commit(&mut self, burst: &mut Burst, reserved: usize, filled: usize) {
        let first = burst.count();
        // SAFETY: the buffers come from the pool; those that were not filled have length 0.
        unsafe { burst.assume_received(reserved) };
        if filled < reserved {
            let unused = PacketMask::first(first + reserved) - PacketMask::first(first + filled);
            self.free(burst, unused);
            burst.shorten(first + filled);
        }
    }

    /// Bytes of the longest frame that each of its buffers holds.
    #[inline]
    #[must_use]
    pub fn frame_room(&self) -> usize {
        match self {
            Self::Native(cache) => cache.frame_room(),
            #[cfg(feature = "dpdk")]
            Self::Mbuf(cache) => cache.frame_room(),
        }
    }

    /// One packet that holds a copy of `frame`; `None` without a buffer or when it is too long.
    #[must_use]
    pub fn packet(&mut self, frame: &[u8]) -> Option<Packet> {
        let mut packet = match self {
            Self::Native(cache) => cache.packet(),
            #[cfg(feature = "dpdk")]
            Self::Mbuf(cache) => cache.packet(),
        }?;
        packet.set_frame(frame).then_some(packet)
    }

    /// Frees the packets of `select` that the burst owns.
    #[inline]
    pub fn free(&mut self, burst: &mut Burst, select: PacketMask) {
        let select = select & burst.owned();
        if select.is_empty() {
            return;
        }
        if burst.origin() != self.origin() {
            return burst.release(select);
        }
        match self {
            Self::Native(cache) => cache.free(burst, select),
            #[cfg(feature = "dpdk")]
            Self::Mbuf(cache) => cache.free(burst, select),
        }
    }

    /// Appends a copy of `frame` to the burst; false without a buffer, room, or when too long.
    pub fn append(&mut self, burst: &mut Burst, frame: &[u8]) -> bool {
        match self.packet(frame) {
            Some(packet) => burst.push(packet).is_ok(),
            None => false,
        }
    }
}

/// Bytes of the buffer in front of `data`.
#[inline]
pub(crate) fn headroom(origin: Origin, buf: RawBuf, data: *mut u8) -> usize {
    match origin {
        Origin::Native => native::headroom(buf, data),
        #[cfg(feature = "dpdk")]
        Origin::Mbuf => crate::dpdk::mbuf::headroom(buf, data),
    }
}

/// Bytes of the buffer from `data` on that a frame may use.
#[inline]
pub(crate) fn capacity(origin: Origin, buf: RawBuf, data: *mut u8) -> usize {
    match origin {
        Origin::Native => native::capacity(buf, data),
        #[cfg(feature = "dpdk")]
        Origin::Mbuf => crate::dpdk::mbuf::capacity(buf, data),
    }
}

/// Where a frame starts in a fresh buffer.
#[inline]
pub(crate) fn frame_start(origin: Origin, buf: RawBuf) -> *mut u8 {
    match origin {
        Origin::Native => native::frame_start(buf),
        #[cfg(feature = "dpdk")]
        Origin::Mbuf => crate::dpdk::mbuf::frame_start(buf),
    }
}

/// Gives one buffer back.
///
/// # Safety
/// `buf` is a buffer of `origin` whose only owner gives it up here.
#[inline]
pub(crate) unsafe fn free_one(origin: Origin, buf: RawBuf) {
    match origin {
        // SAFETY: passed on from the caller.
        Origin::Native => unsafe { native::free_one(buf) },
        #[cfg(feature = "dpdk")]
        // SAFETY: passed on from the caller.
        Origin::Mbuf => unsafe { crate::dpdk::mbuf::free_one(buf) },
    }
}
