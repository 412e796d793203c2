//! Native buffers: a header, headroom, the frame, and slack, at a fixed stride in one mapping.
#![expect(unsafe_code, reason = "buffers are handed out by address")]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;
use std::sync::Arc;

use crossbeam_queue::ArrayQueue;

use crate::mask::PacketMask;
use crate::packet::{Burst, HEADROOM, Packet, RawBuf, SLACK, VECTOR};
use crate::pool::Origin;
use crate::port::PortError;

/// Bytes of the header, a multiple of the cache line so that frames start on one.
const HEADER: usize = 64;

/// Buffers one thread keeps to itself before it gives half of them back.
const CACHE: usize = 512;

/// Alignment that lets the kernel back the pool with huge pages.
const HUGE_PAGE: usize = 2 << 20;

/// What stands in front of every native buffer.
#[repr(C)]
struct Header {
    home: NonNull<Home>,
    frame_room: usize,
}

/// What all caches share, and the memory of the buffers.
struct Home {
    total: usize,
    frame_room: usize,
    free: ArrayQueue<usize>,
    memory: NonNull<u8>,
    layout: Layout,
}

impl Drop for Home {
    fn drop(&mut self) {
        // SAFETY: as it was allocated; every buffer is back, and nobody takes one any more.
        unsafe { dealloc(self.memory.as_ptr(), self.layout) };
    }
}

/// A home, while somebody can take buffers from it. The last one gives the memory back, if all
/// buffers are there; packets that outlive it may be dropped anywhere, and keep it for good.
struct Open(NonNull<Home>);

// SAFETY: a home is shared by reference only, and what changes in it is a queue for many threads.
unsafe impl Send for Open {}
// SAFETY: as above.
unsafe impl Sync for Open {}

impl std::ops::Deref for Open {
    type Target = Home;

    #[inline]
    fn deref(&self) -> &Home {
        // SAFETY: it is freed by the drop of this value at the earliest.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // A buffer that can be taken out has been put in to the end, whoever did that.
        if (0..self.total).all(|_| self.free.pop().is_some()) {
            // SAFETY: it comes from a box; no handle is left, and no buffer that would name it.
            drop(unsafe { Box::from_raw(self.0.as_ptr()) });
        }
    }
}

/// A pool of native buffers; clones share it. Its memory goes with the last clone and cache, or
/// stays if packets outlive them.
#[derive(Clone)]
pub struct NativePool {
    home: Arc<Open>,
}

impl NativePool {
    /// As [`NativePool::try_new`]; the program ends where there is no memory.
    #[must_use]
    pub fn new(total: usize, frame_room: usize) -> Self {
        let wanted = || Layout::array::<u8>(total.saturating_mul(frame_room));
        Self::try_new(total, frame_room)
            .unwrap_or_else(|_| handle_alloc_error(wanted().unwrap_or(Layout::new::<Header>())))
    }

    /// `total` buffers for frames of up to `frame_room` bytes.
    ///
    /// # Errors
    /// [`PortError::NoMemory`].
    pub fn try_new(total: usize, frame_room: usize) -> Result<Self, PortError> {
        let total = total.max(1);
        let stride = (HEADER + HEADROOM + frame_room + SLACK).next_multiple_of(64);
        // An odd number of cache lines spreads the frames over all sets of a cache.
        let stride = if (stride / 64).is_multiple_of(2) { stride + 64 } else { stride };
        let bytes = stride.saturating_mul(total);
        let refused = || PortError::NoMemory { what: format!("{total} packet buffers"), bytes };
        let layout = Layout::from_size_align(bytes, HUGE_PAGE).map_err(|_| refused())?;
        // SAFETY: the layout has a non-zero size.
        let memory = NonNull::new(unsafe { alloc(layout) }).ok_or_else(refused)?;
        // SAFETY: the range was just allocated. Refusal is harmless: small pages work too.
        unsafe { libc::madvise(memory.as_ptr().cast(), layout.size(), libc::MADV_HUGEPAGE) };
        // All of it is touched here, in large pages if there are any, and not by the first packets.
        // SAFETY: the range was just allocated, and nobody else knows it.
        unsafe { memory.write_bytes(0, layout.size()) };
        let home = Home { total, frame_room, free: ArrayQueue::new(total), memory, layout };
        let home = Arc::new(Open(NonNull::from(Box::leak(Box::new(home)))));
        for index in 0..total {
            // SAFETY: `index * stride` lies inside the allocation.
            let buf = unsafe { memory.as_ptr().add(index * stride) };
            // SAFETY: as above, aligned to 64, and nobody else knows the buffer yet.
            unsafe { buf.cast::<Header>().write(Header { home: home.0, frame_room }) };
            let _ = home.free.push(buf as usize);
        }
        Ok(Self { home })
    }

    /// A handle with a cache for one thread.
    #[must_use]
    pub fn cache(&self) -> NativeCache {
        NativeCache { home: Arc::clone(&self.home), local: Vec::with_capacity(CACHE) }
    }

    /// Buffers in the shared free list; caches hold more.
    #[must_use]
    pub fn free_count(&self) -> usize {
        self.home.free.len()
    }

    /// Buffers the pool was made with.
    #[must_use]
    pub fn total(&self) -> usize {
        self.home.total
    }
}

/// One thread's stock of native buffers.
pub struct NativeCache {
    home: Arc<Open>,
    local: Vec<usize>,
}

impl NativeCache {
    #[inline]
    pub(super) fn frame_room(&self) -> usize {
        self.home.frame_room
    }

    /// Fetches buffers until half a cache of them is here, or there are no more.
    #[cold]
    fn refill(&mut self) {
        while self.local.len() < CACHE / 2 {
            let Some(buf) = self.home.free.pop() else { break };
            self.local.push(buf);
        }
    }

    /// Gives back all but half a cache of buffers.
    #[cold]
    fn spill(&mut self) {
        for address in self.local.drain(CACHE / 2..) {
            // The queue has a place for every buffer there is.
            let _ = self.home.free.push(address);
        }
    }

    #[inline]
    pub(crate) fn reserve(&mut self, burst: &mut Burst, count: usize) -> usize {
        let first = burst.count();
        let want = count.min(VECTOR - first);
        if self.local.len() < want {
            self.refill();
        }
        let count = want.min(self.local.len());
        let slots = first..first + count;
        let fresh = self.local.drain(self.local.len() - count..);
        let parts = burst.parts();
        let to = parts.buf[slots.clone()].iter_mut().zip(&mut parts.data[slots.clone()]);
        for (address, (buf, data)) in fresh.zip(to) {
            *buf = address as RawBuf;
            *data = frame_start(*buf);
        }
        parts.len[slots].fill(0);
        // Nothing differs from the header, which says nothing about start and length.
        let fresh = PacketMask::first(first + count) - PacketMask::first(first);
        *parts.resized -= fresh;
        *parts.shifted -= fresh;
        count
    }

    pub(crate) fn packet(&mut self) -> Option<Packet> {
        if self.local.is_empty() {
            self.refill();
        }
        let buf = self.local.pop()? as RawBuf;
        // SAFETY: the buffer comes from the free list, so nobody owns it; an empty frame at its
        // start lies inside it.
        Some(unsafe { Packet::from_raw(Origin::Native, buf, frame_start(buf), 0) })
    }

    #[inline]
    pub(crate) fn free(&mut self, burst: &mut Burst, select: PacketMask) {
        if self.local.len() + VECTOR > CACHE {
            self.spill();
        }
        let bufs = burst.parts().buf;
        // Those of another pool go home.
        let home = (self.home.memory.as_ptr() as usize, self.home.layout.size());
        let foreign = |buf: RawBuf| (buf as usize).wrapping_sub(home.0) >= home.1;
        let strange = match select.dense() {
            Some(count) => bufs[..count].iter().fold(false, |any, &buf| any | foreign(buf)),
            None => select.into_iter().any(|slot| foreign(bufs[slot & 63])),
        };
        if strange {
            return burst.release(select);
        }
        match select.dense() {
            Some(count) => self.local.extend(bufs[..count].iter().map(|&buf| buf as usize)),
            None => self.local.extend(select.into_iter().map(|slot| bufs[slot & 63] as usize)),
        }
        // SAFETY: the buffers are in this cache now.
        unsafe { burst.disown(select) };
    }
}

impl Drop for NativeCache {
    fn drop(&mut self) {
        for address in self.local.drain(..) {
            let _ = self.home.free.push(address);
        }
    }
}

fn header<'a>(buf: RawBuf) -> &'a Header {
    // SAFETY: `buf` is the address of a native buffer, whose header was written when the pool was
    // made, is never written again, and stays as long as the buffer is somebody's.
    unsafe { &*buf.cast::<Header>() }
}

pub(super) fn headroom(buf: RawBuf, data: *mut u8) -> usize {
    data as usize - (buf as usize + HEADER)
}

pub(super) fn capacity(buf: RawBuf, data: *mut u8) -> usize {
    frame_start(buf) as usize + header(buf).frame_room - data as usize
}

pub(super) fn frame_start(buf: RawBuf) -> *mut u8 {
    buf.wrapping_add(HEADER + HEADROOM)
}

/// Gives one buffer back to the shared list.
///
/// # Safety
/// The caller is the buffer's only owner and forgets it.
pub(super) unsafe fn free_one(buf: RawBuf) {
    // SAFETY: the home stays as long as one of its buffers is somebody's: until this push has ended.
    let home = unsafe { header(buf).home.as_ref() };
    // The queue has a place for every buffer there is.
    let _ = home.free.push(buf as usize);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_buffer_comes_back() {
        let pool = NativePool::new(100, 2048);
        let mut cache = crate::PoolCache::Native(pool.cache());
        let mut burst = Burst::new(Origin::Native);
        assert!(cache.append(&mut burst, b"one"));
        assert!(cache.append(&mut burst, b"two"));
        let packet = cache.packet(&[7; 2048]);
        assert!(cache.packet(&[7; 2049]).is_none());
        assert_eq!(burst.frame(1), b"two");
        cache.free(&mut burst, PacketMask::FULL);
        drop(packet);
        drop(cache);
        assert_eq!(pool.free_count(), 100);
    }

    #[test]
    fn packets_may_outlive_their_pool() {
        let pool = NativePool::new(8, 64);
        let mut cache = crate::PoolCache::Native(pool.cache());
        let packet = cache.packet(b"late").unwrap();
        drop((pool, cache));
        assert_eq!(packet.frame(), b"late");
    }

    #[test]
    fn an_empty_pool_yields_no_packet() {
        let pool = NativePool::new(1, 64);
        let mut cache = pool.cache();
        let first = cache.packet();
        assert!(first.is_some());
        assert!(cache.packet().is_none());
    }

    #[test]
    fn moving_the_start_respects_headroom_and_length() {
        let pool = NativePool::new(4, 2048);
        let mut cache = crate::PoolCache::Native(pool.cache());
        let mut burst = Burst::new(Origin::Native);
        assert!(cache.append(&mut burst, b"payload"));
        assert!(!burst.move_start(0, isize::MIN));
        assert!(burst.move_start(0, -128));
        assert!(!burst.move_start(0, -1));
        assert!(burst.move_start(0, 130));
        assert_eq!(burst.frame(0), b"yload");
        assert!(!burst.move_start(0, 6));
        assert!(burst.extend(0, 8));
        assert_eq!(burst.frame(0), b"yload\0\0\0");
        burst.truncate(0, 2);
        assert_eq!(burst.frame(0), b"yl");
        assert!(burst.extend(0, 6));
        assert!(!burst.narrow(0, 3, 4));
        assert!(!burst.narrow(1, 0, 0), "an empty slot");
        assert!(burst.narrow(0, 1, 3));
        assert_eq!(burst.frame(0), b"l\0\0");
    }
}
