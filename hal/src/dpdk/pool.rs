//! Packet buffers in DPDK mempools, one a NUMA node.

use std::ffi::CString;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use dpdk_sys as sys;

use super::eal::Eal;
use super::{last_error, mbuf};
use crate::mask::PacketMask;
use crate::packet::{Burst, HEADROOM, Packet, RawBuf, SLACK, VECTOR};
use crate::pool::Origin;

/// Makes the names of mempools differ within a process.
static SERIAL: AtomicU32 = AtomicU32::new(0);

/// The pool made last, from which ports take their buffers when they start.
static CURRENT: Mutex<Weak<Shared>> = Mutex::new(Weak::new());

/// Size and place of an [`MbufPool`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MbufPoolConfig {
    /// Buffers on each node. Receive and transmit rings, lcore caches and held packets live on
    /// them; a `net_pcap` port with `infinite_rx` keeps its whole capture in them.
    pub buffers: u32,
    /// Largest frame, bytes without FCS.
    pub frame_room: usize,
    /// Buffers an lcore keeps to itself, at most 512.
    pub cache: u32,
    /// NUMA nodes that have ports; empty counts as node 0.
    pub numa_nodes: Vec<u32>,
}

impl Default for MbufPoolConfig {
    fn default() -> Self {
        Self { buffers: 16_383, frame_room: 2048, cache: 256, numa_nodes: vec![0] }
    }
}

/// A mempool that cannot be made.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot make {buffers} packet buffers of {frame_room} bytes on NUMA node {numa_node}: {reason}"
)]
pub struct MbufPoolError {
    /// Buffers asked for.
    pub buffers: u32,
    /// Frame bytes a buffer.
    pub frame_room: usize,
    /// The node they were to be on.
    pub numa_node: u32,
    /// DPDK's text.
    pub reason: String,
}

/// Mbufs of this process. Clones share them.
#[derive(Clone)]
pub struct MbufPool {
    shared: Arc<Shared>,
}

struct Shared {
    nodes: Vec<(u32, Mempool)>,
    buffers: usize,
    frame_room: usize,
    eal: Eal,
}

/// Address of a mempool, which is used from any thread.
#[derive(Clone, Copy)]
struct Mempool(NonNull<sys::rte_mempool>);

// SAFETY: mempools are made for concurrent use: each lcore has its own cache, and the ring behind
// them is multi-producer and multi-consumer.
unsafe impl Send for Mempool {}
// SAFETY: as above.
unsafe impl Sync for Mempool {}

impl MbufPool {
    /// Makes the mempools, from which ports that start afterwards take their buffers.
    ///
    /// Start-up only: it maps and touches all their memory.
    pub fn create(eal: &Eal, config: &MbufPoolConfig) -> Result<Self, MbufPoolError> {
        let mut nodes = config.numa_nodes.clone();
        if nodes.is_empty() {
            nodes.push(0);
        }
        nodes.sort_unstable();
        nodes.dedup();
        let mut shared = Shared {
            nodes: Vec::new(),
            buffers: config.buffers as usize,
            frame_room: config.frame_room,
            eal: eal.clone(),
        };
        for node in nodes {
            let mempool = Mempool::create(config, node).map_err(|reason| MbufPoolError {
                buffers: config.buffers,
                frame_room: config.frame_room,
                numa_node: node,
                reason,
            })?;
            shared.nodes.push((node, mempool));
        }
        let shared = Arc::new(shared);
        *CURRENT.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&shared);
        Ok(Self { shared })
    }

    /// The pool made last, unless it is gone.
    pub(super) fn current() -> Option<Self> {
        let shared = CURRENT.lock().unwrap_or_else(PoisonError::into_inner).upgrade()?;
        Some(Self { shared })
    }

    /// Access for one thread, to the memory nearest to `numa_node`.
    #[must_use]
    pub fn cache(&self, numa_node: u32) -> MbufCache {
        MbufCache { mempool: self.shared.on(numa_node), pool: self.clone() }
    }

    /// Buffers that nobody holds, those in lcore caches included. Exact when nothing moves.
    #[must_use]
    pub fn free_count(&self) -> usize {
        self.shared.free_count()
    }

    /// Those of [`MbufPool::free_count`] that no lcore has in its cache.
    #[must_use]
    pub fn uncached_count(&self) -> usize {
        self.shared.nodes.iter().map(|(_, mempool)| mempool.uncached_count()).sum()
    }

    /// Buffers the pool was made with.
    #[must_use]
    pub fn total(&self) -> usize {
        self.shared.total()
    }

    /// Largest frame, bytes without FCS.
    #[must_use]
    pub fn frame_room(&self) -> usize {
        self.shared.frame_room
    }

    /// Number of mempools.
    pub(super) fn node_count(&self) -> usize {
        self.shared.nodes.len()
    }

    /// The mempool for a receive queue on `numa_node`.
    pub(super) fn mempool(&self, numa_node: u32) -> *mut sys::rte_mempool {
        self.shared.on(numa_node).0.as_ptr()
    }
}

impl Shared {
    fn on(&self, numa_node: u32) -> Mempool {
        let near = self.nodes.iter().find(|(node, _)| *node == numa_node);
        near.unwrap_or(&self.nodes[0]).1
    }

    fn total(&self) -> usize {
        self.nodes.len() * self.buffers
    }

    fn free_count(&self) -> usize {
        self.nodes.iter().map(|(_, mempool)| mempool.free_count()).sum()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if self.free_count() != self.total() {
            // Somebody still holds a packet: its memory must stay.
            self.eal.keep_forever();
            return;
        }
        for (_, mempool) in &self.nodes {
            // SAFETY: all its buffers are back, and ports and caches hold `self`, so none is left.
            unsafe { sys::rte_mempool_free(mempool.0.as_ptr()) };
        }
    }
}

impl Mempool {
    /// As `rte_pktmbuf_pool_create`, but with slack behind each buffer that no device is told of.
    fn create(config: &MbufPoolConfig, node: u32) -> Result<Self, String> {
        let room = u16::try_from(HEADROOM + config.frame_room)
            .map_err(|_| "frames have at most 65407 bytes".to_owned())?;
        let element = sys::QFP_MBUF_SIZE + u32::from(room) + u32::try_from(SLACK).unwrap_or(0);
        let cache = config.cache.min(sys::QFP_MEMPOOL_CACHE_MAX).min(config.buffers / 2);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let name = CString::new(format!("qfp_mbufs_{serial}_{node}")).unwrap_or_default();
        let mut private =
            sys::rte_pktmbuf_pool_private { mbuf_data_room_size: room, ..Default::default() };
        let private_size = u32::try_from(size_of_val(&private)).unwrap_or(0);
        let create = |socket| {
            // SAFETY: the name is a C string, which is copied.
            NonNull::new(unsafe {
                sys::rte_mempool_create_empty(
                    name.as_ptr(),
                    config.buffers,
                    element,
                    cache,
                    private_size,
                    socket,
                    0,
                )
            })
        };
        const ANY_NODE: i32 = -1;
        let mempool = create(i32::try_from(node).unwrap_or(ANY_NODE))
            .or_else(|| create(ANY_NODE))
            .ok_or_else(last_error)?;
        let raw = mempool.as_ptr();
        // SAFETY: `raw` was just created and nobody else knows it; its elements hold an mbuf, the
        // data room that `private` names, and the slack.
        let populated = unsafe {
            let ops = sys::rte_mempool_set_ops_byname(
                raw,
                sys::rte_mbuf_best_mempool_ops(),
                std::ptr::null_mut(),
            );
            if ops == 0 {
                sys::rte_pktmbuf_pool_init(raw, (&raw mut private).cast());
                sys::rte_mempool_populate_default(raw)
            } else {
                ops
            }
        };
        if populated < 0 {
            // SAFETY: as above, and none of its elements was handed out.
            unsafe { sys::rte_mempool_free(raw) };
            return Err(super::error_text(populated));
        }
        // SAFETY: every element of the pool is an mbuf in waiting, see above.
        unsafe {
            sys::rte_mempool_obj_iter(raw, Some(sys::rte_pktmbuf_init), std::ptr::null_mut())
        };
        Ok(Self(mempool))
    }

    fn free_count(self) -> usize {
        // SAFETY: the mempool lives as long as the `Shared` that holds it.
        unsafe { sys::rte_mempool_avail_count(self.0.as_ptr()) as usize }
    }

    fn uncached_count(self) -> usize {
        // SAFETY: as above.
        unsafe { sys::qfp_mempool_uncached_count(self.0.as_ptr()) as usize }
    }
}

/// One thread's access to the pool. The cache itself is DPDK's, and belongs to the lcore.
pub struct MbufCache {
    mempool: Mempool,
    pool: MbufPool,
}

impl MbufCache {
    #[inline]
    pub(crate) fn frame_room(&self) -> usize {
        self.pool.frame_room()
    }

    /// Fresh buffers behind the burst's last slot: all of `count` (cut to the room), or none.
    #[inline]
    pub(crate) fn reserve(&mut self, burst: &mut Burst, count: usize) -> usize {
        let first = burst.count();
        let end = VECTOR.min(first + count);
        let parts = burst.parts();
        if !self.alloc(&mut parts.buf[first..end]) {
            return 0;
        }
        for slot in first..end {
            parts.data[slot] = mbuf::frame_start(parts.buf[slot]);
            parts.len[slot] = 0;
            parts.resized.insert(slot);
            parts.shifted.remove(slot);
        }
        end - first
    }

    /// One empty packet.
    pub(crate) fn packet(&mut self) -> Option<Packet> {
        let mut buf: [RawBuf; 1] = [std::ptr::null_mut()];
        if !self.alloc(&mut buf) {
            return None;
        }
        let [buf] = buf;
        // SAFETY: the mbuf was just allocated, so nobody owns it, and an empty frame at its start
        // lies inside it.
        Some(unsafe { Packet::from_raw(Origin::Mbuf, buf, mbuf::frame_start(buf), 0) })
    }

    /// Fills `bufs` with fresh mbufs, or leaves them as they are and returns false.
    #[inline]
    fn alloc(&mut self, bufs: &mut [RawBuf]) -> bool {
        let count = u32::try_from(bufs.len()).unwrap_or(u32::MAX);
        // SAFETY: the mempool is one of mbufs, and `bufs` has room for `count` addresses.
        let result = unsafe {
            sys::qfp_mbuf_alloc_bulk(self.mempool.0.as_ptr(), bufs.as_mut_ptr().cast(), count)
        };
        result == 0
    }

    /// Frees packets that the burst owns.
    #[inline]
    pub(crate) fn free(&mut self, burst: &mut Burst, select: PacketMask) {
        let select = select & burst.owned();
        let parts = burst.parts();
        let mut packed = [std::ptr::null_mut(); VECTOR];
        let bufs = match select.dense() {
            Some(count) => &mut parts.buf[..count],
            None => {
                for (packed, slot) in packed.iter_mut().zip(select) {
                    *packed = parts.buf[slot & 63];
                }
                &mut packed[..select.count() as usize]
            }
        };
        // SAFETY: the burst owned these mbufs, and gives them up right below.
        unsafe { mbuf::free(bufs) };
        // SAFETY: they are back in their pool.
        unsafe { burst.disown(select) };
    }
}
