//! Packets: the burst that a vector is made of, and the single packet that leaves an lcore.
//!
//! A packet is a pointer to its first byte and a length, both in arrays of the [`Burst`], with the
//! buffer (a DPDK mbuf or a native buffer, see [`crate::pool`]) behind it. Whatever else the buffer
//! header says is read when it is needed and written back when the packet is sent.
//!
//! Ownership: a burst owns the buffers of the slots in [`Burst::owned`], and nobody else does.
//! Sending, freeing or taking a packet clears its bit. Frames of owned slots lie inside their
//! buffer, with [`SLACK`] bytes behind the last byte any frame can have; those that are not in
//! [`Burst::shifted`] have [`HEADROOM`] bytes in front of them. No safe call breaks that: start,
//! length and buffer change together, and only after a check.
#![expect(unsafe_code, reason = "packet bytes are reached through the buffer's pointer")]

use std::mem::MaybeUninit;

use crate::mask::PacketMask;
use crate::pool::{self, Origin};

/// Packets in a full vector.
pub const VECTOR: usize = 64;

/// Bytes behind the largest frame of every buffer, so that kernels may load and store whole headers
/// without looking at the length first: what is there means nothing.
pub const SLACK: usize = 128;

/// Bytes in front of a received frame, for headers that are put on top of it.
pub const HEADROOM: usize = 128;

/// Address of a buffer's header: `struct rte_mbuf` or the native header.
pub type RawBuf = *mut u8;

/// Up to [`VECTOR`] packets, one array a field.
#[repr(C, align(64))]
pub struct Burst {
    data: [*mut u8; VECTOR],
    buf: [RawBuf; VECTOR],
    len: [u16; VECTOR],
    owned: PacketMask,
    resized: PacketMask,
    shifted: PacketMask,
    count: usize,
    origin: Origin,
}

// SAFETY: the pointers are owning (see the module's ownership rule), nothing else refers to the
// buffers of owned slots, and buffers may be freed by any thread.
unsafe impl Send for Burst {}

impl Burst {
    /// An empty burst for buffers of `origin`.
    #[must_use]
    pub fn new(origin: Origin) -> Self {
        Self {
            data: [std::ptr::null_mut(); VECTOR],
            buf: [std::ptr::null_mut(); VECTOR],
            len: [0; VECTOR],
            owned: PacketMask::EMPTY,
            resized: PacketMask::EMPTY,
            shifted: PacketMask::EMPTY,
            count: 0,
            origin,
        }
    }

    /// Slots in use, whether still owned or not.
    #[inline]
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// The slots whose buffers belong to this burst.
    #[inline]
    #[must_use]
    pub fn owned(&self) -> PacketMask {
        self.owned
    }

    /// Slots whose frame may start elsewhere than in a fresh buffer; all others have [`HEADROOM`]
    /// bytes in front of them.
    #[inline]
    #[must_use]
    pub fn shifted(&self) -> PacketMask {
        self.shifted
    }

    /// Empties the burst. Packets that it still owns are dropped; it is meant for none.
    #[inline]
    pub fn clear(&mut self) {
        if !self.owned.is_empty() {
            self.release(self.owned);
        }
        self.count = 0;
        self.resized = PacketMask::EMPTY;
        self.shifted = PacketMask::EMPTY;
    }

    /// Drops the packets of `select` that the burst owns, each to its own pool.
    #[cold]
    pub(crate) fn release(&mut self, select: PacketMask) {
        for slot in select & self.owned {
            drop(self.take(slot));
        }
    }

    /// Length of the frame in `slot`, bytes, without FCS.
    #[inline]
    #[must_use]
    pub fn len(&self, slot: usize) -> usize {
        usize::from(self.len[slot & 63])
    }

    /// True when no slot is in use.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The frame in `slot`; empty when the burst does not own it.
    #[inline]
    #[must_use]
    pub fn frame(&self, slot: usize) -> &[u8] {
        if !self.owned.contains(slot) {
            return &[];
        }
        // SAFETY: an owned slot points at `len` initialised bytes inside its buffer, and the borrow
        // of `self` keeps the buffer from being sent, freed or written.
        unsafe { std::slice::from_raw_parts(self.data[slot & 63], self.len(slot)) }
    }

    /// The frame in `slot`, writable; empty when the burst does not own it.
    #[inline]
    #[must_use]
    pub fn frame_mut(&mut self, slot: usize) -> &mut [u8] {
        if !self.owned.contains(slot) {
            return &mut [];
        }
        // SAFETY: as in `frame`, and `&mut self` makes this the only reference.
        unsafe { std::slice::from_raw_parts_mut(self.data[slot & 63], self.len(slot)) }
    }

    /// Moves the start of the frame by `delta` bytes: negative grows it into the headroom (the new
    /// bytes hold whatever was there), positive cuts bytes off its front.
    ///
    /// False, and no change, when the headroom or the frame is too short. O(1).
    #[inline]
    #[must_use]
    pub fn move_start(&mut self, slot: usize, delta: isize) -> bool {
        !self.move_starts(PacketMask::only(slot), delta).is_empty()
    }

    /// As [`move_start`](Self::move_start), for every frame of `select`; returns those that it has
    /// moved.
    #[inline]
    pub fn move_starts(&mut self, select: PacketMask, delta: isize) -> PacketMask {
        let more = delta.min(0).unsigned_abs();
        let mut moved = PacketMask::EMPTY;
        for slot in select & self.owned {
            let index = slot & 63;
            let len = usize::from(self.len[index]).checked_add_signed(delta.wrapping_neg());
            let Some(Ok(len)) = len.map(u16::try_from) else { continue };
            // What lies in front of a frame that starts elsewhere its buffer is asked.
            if (more > HEADROOM || more > 0 && self.shifted.contains(slot))
                && more > pool::headroom(self.origin, self.buf[index], self.data[index])
            {
                continue;
            }
            // SAFETY: just checked that the new start lies inside the buffer.
            self.data[index] = unsafe { self.data[index].offset(delta) };
            self.len[index] = len;
            moved.insert(slot);
        }
        self.resized |= moved;
        self.shifted |= moved;
        moved
    }

    /// Leaves `len` bytes of the frame in `slot`, from `front` on. False, and no change, when it is
    /// shorter than that.
    #[inline]
    #[must_use]
    pub fn narrow(&mut self, slot: usize, front: usize, len: usize) -> bool {
        let index = slot & 63;
        let Some(end) = front.checked_add(len) else { return false };
        let Ok(kept) = u16::try_from(len) else { return false };
        if !self.owned.contains(slot) || end > self.len(slot) {
            return false;
        }
        // SAFETY: just checked that the new start lies inside the frame.
        self.data[index] = unsafe { self.data[index].add(front) };
        self.len[index] = kept;
        self.resized.insert(slot);
        self.shifted.insert(slot);
        true
    }

    /// Cuts the frame in `slot` down to `len` bytes; a longer `len` changes nothing.
    #[inline]
    pub fn truncate(&mut self, slot: usize, len: usize) {
        if let Ok(len) = u16::try_from(len)
            && self.owned.contains(slot)
            && len < self.len[slot & 63]
        {
            self.len[slot & 63] = len;
            self.resized.insert(slot);
        }
    }

    /// Grows the frame in `slot` at its end to `len` bytes, zero filled.
    ///
    /// False, and no change, when the buffer has no room for it.
    #[must_use]
    pub fn extend(&mut self, slot: usize, len: usize) -> bool {
        let index = slot & 63;
        let old = self.len(slot);
        let Ok(new) = u16::try_from(len) else { return false };
        if !self.owned.contains(slot)
            || len < old
            || len > pool::capacity(self.origin, self.buf[index], self.data[index])
        {
            return false;
        }
        // SAFETY: capacity counts the bytes of the buffer behind `data`, and `len` is within it.
        unsafe { self.data[index].add(old).write_bytes(0, len - old) };
        self.len[index] = new;
        self.resized.insert(slot);
        true
    }

    /// Takes the packet out of `slot`; `None` when the burst does not own it.
    #[must_use]
    pub fn take(&mut self, slot: usize) -> Option<Packet> {
        if !self.owned.contains(slot) {
            return None;
        }
        self.owned.remove(slot);
        let index = slot & 63;
        Some(Packet {
            buf: self.buf[index],
            data: self.data[index],
            len: self.len[index],
            origin: self.origin,
        })
    }

    /// Appends `packet`; gives it back when the burst is full or holds another kind of buffer.
    pub fn push(&mut self, packet: Packet) -> Result<usize, Packet> {
        if self.count == VECTOR || packet.origin != self.origin {
            return Err(packet);
        }
        let slot = self.count;
        self.data[slot] = packet.data;
        self.buf[slot] = packet.buf;
        self.len[slot] = packet.len;
        if packet.data != pool::frame_start(packet.origin, packet.buf) {
            self.shifted.insert(slot);
        }
        std::mem::forget(packet);
        self.count += 1;
        self.owned.insert(slot);
        self.resized.insert(slot);
        Ok(slot)
    }

    /// First bytes of all slots, for kernels. Only owned slots may be followed.
    #[inline]
    #[must_use]
    pub fn data_ptrs(&self) -> &[*mut u8; VECTOR] {
        &self.data
    }

    /// Frame lengths of all slots, bytes. Slots at [`Burst::count`] and above are stale.
    #[inline]
    #[must_use]
    pub fn lens(&self) -> &[u16; VECTOR] {
        &self.len
    }

    /// The writable parts, for back-ends, which keep the module's ownership rule.
    #[inline]
    pub(crate) fn parts(&mut self) -> BurstParts<'_> {
        BurstParts {
            data: &mut self.data,
            buf: &mut self.buf,
            len: &mut self.len,
            resized: &mut self.resized,
            shifted: &mut self.shifted,
        }
    }

    /// Takes over `count` more packets, that a back-end has written behind [`Burst::count`].
    ///
    /// # Safety
    /// The slots `count()..count() + count` of [`Burst::parts`] hold buffers of this burst's origin
    /// that nobody else owns, with `data` and `len` inside each buffer, and those that are not
    /// `shifted` where a fresh buffer's frame starts.
    #[inline]
    pub(crate) unsafe fn assume_received(&mut self, count: usize) {
        debug_assert!(self.count + count <= VECTOR);
        let total = self.count + count;
        self.owned |= PacketMask::first(total) - PacketMask::first(self.count);
        self.count = total;
    }

    /// Shortens the burst to `count` slots; it owns none behind them.
    pub(crate) fn shorten(&mut self, count: usize) {
        let kept = PacketMask::first(count);
        debug_assert!((self.owned - kept).is_empty());
        self.count = self.count.min(count);
        self.resized &= kept;
        self.shifted &= kept;
    }

    /// Gives up ownership of `select` (the caller has sent or freed those buffers).
    ///
    /// # Safety
    /// Each buffer has another owner now, or is back in its pool.
    #[inline]
    pub(crate) unsafe fn disown(&mut self, select: PacketMask) {
        self.owned -= select;
    }

    /// The kind of buffers this burst holds.
    #[inline]
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.origin
    }
}

impl Drop for Burst {
    fn drop(&mut self) {
        self.release(self.owned);
    }
}

/// The arrays of a [`Burst`].
#[derive(Debug)]
pub(crate) struct BurstParts<'a> {
    /// First byte of each frame.
    pub(crate) data: &'a mut [*mut u8; VECTOR],
    /// Buffer of each frame.
    pub(crate) buf: &'a mut [RawBuf; VECTOR],
    /// Length of each frame, bytes without FCS.
    pub(crate) len: &'a mut [u16; VECTOR],
    /// Frames whose start or length differs from what their buffer's header says.
    pub(crate) resized: &'a mut PacketMask,
    /// Frames that start elsewhere than in a fresh buffer.
    pub(crate) shifted: &'a mut PacketMask,
}

/// One packet on its own: on the punt path, held for address resolution, or to be injected.
///
/// Owns its buffer; dropping it gives the buffer back to its pool, from any thread.
#[derive(Debug)]
pub struct Packet {
    buf: RawBuf,
    data: *mut u8,
    len: u16,
    origin: Origin,
}

// SAFETY: a packet owns its buffer alone, and pools take buffers back from any thread.
unsafe impl Send for Packet {}

impl Packet {
    /// The frame.
    #[must_use]
    pub fn frame(&self) -> &[u8] {
        // SAFETY: `data` and `len` describe initialised bytes of the owned buffer.
        unsafe { std::slice::from_raw_parts(self.data, usize::from(self.len)) }
    }

    /// The frame, writable.
    #[must_use]
    pub fn frame_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `frame`; `&mut self` is the only reference.
        unsafe { std::slice::from_raw_parts_mut(self.data, usize::from(self.len)) }
    }

    /// Kind and address of its buffer, where the frame starts and how long it is; the packet stays
    /// the owner.
    #[cfg(feature = "dpdk")]
    pub(crate) fn raw(&self) -> (Origin, RawBuf, *mut u8, u16) {
        (self.origin, self.buf, self.data, self.len)
    }

    /// Its buffer and where the frame starts in it; the caller owns the buffer now.
    #[cfg(feature = "dpdk")]
    pub(crate) fn into_raw(self) -> (RawBuf, *mut u8) {
        let parts = (self.buf, self.data);
        std::mem::forget(self);
        parts
    }

    /// Bytes that the frame may grow to, from where it starts.
    #[must_use]
    pub fn capacity(&self) -> usize {
        pool::capacity(self.origin, self.buf, self.data)
    }

    /// Replaces the frame by `bytes`, after the usual headroom.
    ///
    /// False, and no change, when the buffer is too small.
    #[must_use]
    pub fn set_frame(&mut self, bytes: &[u8]) -> bool {
        let start = pool::frame_start(self.origin, self.buf);
        let Ok(len) = u16::try_from(bytes.len()) else { return false };
        if bytes.len() > pool::capacity(self.origin, self.buf, start) {
            return false;
        }
        self.data = start;
        self.len = len;
        self.frame_mut().copy_from_slice(bytes);
        true
    }

    /// Builds a packet from its parts.
    ///
    /// # Safety
    /// `buf` is a buffer of `origin` that nobody else owns, with `data..data + len` inside it.
    #[must_use]
    pub unsafe fn from_raw(origin: Origin, buf: RawBuf, data: *mut u8, len: u16) -> Self {
        Self { buf, data, len, origin }
    }
}

impl Drop for Packet {
    fn drop(&mut self) {
        // SAFETY: this packet was the buffer's only owner.
        unsafe { pool::free_one(self.origin, self.buf) };
    }
}

/// Collects the entries of `table` that `select` names, densely, and returns how many there are.
///
/// Entries of `out` behind them are left as they were.
#[inline]
pub fn compress(
    table: &[RawBuf; VECTOR],
    select: PacketMask,
    out: &mut [MaybeUninit<RawBuf>; VECTOR],
) -> usize {
    let mut n = 0;
    for slot in select {
        out[n & 63].write(table[slot & 63]);
        n += 1;
    }
    n
}
