//! The one place that reads and writes fields of `struct rte_mbuf`.

use dpdk_sys as sys;

use crate::packet::{BurstParts, HEADROOM, RawBuf};

// Buffers are laid out for this headroom, and DPDK resets `data_off` to its own.
const _: () = assert!(HEADROOM == sys::QFP_PKTMBUF_HEADROOM as usize);

/// Where a frame starts, the number of users and that of segments, as one little-endian word: of a
/// frame in one segment that is nobody else's, behind the whole headroom.
const USUAL: u64 = {
    assert!(sys::QFP_MBUF_DATA_OFF.is_multiple_of(8));
    assert!(sys::QFP_MBUF_REFCNT == sys::QFP_MBUF_DATA_OFF + 2);
    assert!(sys::QFP_MBUF_NB_SEGS == sys::QFP_MBUF_DATA_OFF + 4);
    HEADROOM as u64 | 1 << 16 | 1 << 32
};
/// Bits of that word that count: behind them is the port.
const USUAL_BITS: u64 = (1 << 48) - 1;

/// Reads the field at `offset`.
///
/// # Safety
/// `buf` is a live mbuf, and `offset` is one of the `QFP_MBUF_*` offsets, of a field of type `T`.
#[inline]
unsafe fn get<T: Copy>(buf: RawBuf, offset: u32) -> T {
    // SAFETY: the field lies inside the mbuf, and is aligned as in C.
    unsafe { buf.add(offset as usize).cast::<T>().read() }
}

/// Writes the field at `offset`.
///
/// # Safety
/// As for [`get`], and nobody else uses the mbuf.
#[inline]
unsafe fn set<T: Copy>(buf: RawBuf, offset: u32, value: T) {
    // SAFETY: the field lies inside the mbuf, and is aligned as in C.
    unsafe { buf.add(offset as usize).cast::<T>().write(value) }
}

#[inline]
fn buf_addr(buf: RawBuf) -> *mut u8 {
    // SAFETY: a `RawBuf` of origin Mbuf is a live mbuf.
    unsafe { get(buf, sys::QFP_MBUF_BUF_ADDR) }
}

/// Bytes of the buffer in front of `data`.
#[inline]
pub(crate) fn headroom(buf: RawBuf, data: *mut u8) -> usize {
    data as usize - buf_addr(buf) as usize
}

/// Bytes of the buffer from `data` on that a frame may use.
#[inline]
pub(crate) fn capacity(buf: RawBuf, data: *mut u8) -> usize {
    // SAFETY: a `RawBuf` of origin Mbuf is a live mbuf.
    let room: u16 = unsafe { get(buf, sys::QFP_MBUF_BUF_LEN) };
    buf_addr(buf) as usize + usize::from(room) - data as usize
}

/// Where a frame starts in a fresh buffer.
#[inline]
pub(crate) fn frame_start(buf: RawBuf) -> *mut u8 {
    buf_addr(buf).wrapping_add(HEADROOM)
}

/// Gives one buffer back to its pool, from any thread.
///
/// # Safety
/// `buf` is a live mbuf whose only owner gives it up here.
pub(crate) unsafe fn free_one(buf: RawBuf) {
    // SAFETY: passed on from the caller.
    unsafe { free(&mut [buf]) };
}

/// Gives buffers back to their pools, chained segments with them.
///
/// # Safety
/// Each is a live mbuf whose only owner gives it up here.
#[inline]
pub(super) unsafe fn free(bufs: &mut [RawBuf]) {
    let count = u32::try_from(bufs.len()).unwrap_or(u32::MAX);
    // SAFETY: a `RawBuf` is the address of an mbuf; ownership is passed on from the caller.
    unsafe { sys::rte_pktmbuf_free_bulk(bufs.as_mut_ptr().cast(), count) };
}

/// Bytes from an mbuf to its frame, when the frame starts where our pools' buffers have it.
const USUAL_START: usize = sys::QFP_MBUF_SIZE as usize + HEADROOM;

/// What a received mbuf is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// One segment in the mbuf's own buffer.
    Own,
    /// One segment in memory of somebody else's, or in a buffer with more users: nobody promises what
    /// lies around the frame, or that it may be written.
    External,
    /// The frame goes on in another mbuf.
    Chain,
}

/// What the mbuf is like.
///
/// # Safety
/// `buf` is a live mbuf that holds a frame.
pub(super) unsafe fn received(buf: RawBuf) -> Received {
    // SAFETY: passed on from the caller.
    if unsafe { get::<u16>(buf, sys::QFP_MBUF_NB_SEGS) } != 1 {
        Received::Chain
    } else if buf_addr(buf) == buf.wrapping_add(sys::QFP_MBUF_SIZE as usize)
        // SAFETY: as above.
        && unsafe { get::<u16>(buf, sys::QFP_MBUF_REFCNT) } == 1
    {
        Received::Own
    } else {
        Received::External
    }
}

/// True when the frame does not start where our pools' buffers have it.
pub(super) fn is_shifted(buf: RawBuf, data: *mut u8) -> bool {
    data != buf.wrapping_add(USUAL_START)
}

/// Notes start and length of the frames in slots `first..first + count`, and returns true unless
/// each is one segment of its own that starts where a fresh buffer's frame does. `PREFETCH` asks for
/// their first bytes, which a device has written; what this CPU has just written itself is in its
/// cache already.
///
/// # Safety
/// Those slots of `parts.buf` hold live mbufs with a frame each.
#[inline]
pub(super) unsafe fn gather<const PREFETCH: bool>(
    parts: &mut BurstParts<'_>,
    first: usize,
    count: usize,
) -> bool {
    let slots = first..first + count;
    let bufs = &parts.buf[slots.clone()];
    let frames = parts.data[slots.clone()].iter_mut().zip(&mut parts.len[slots]);
    // What is unusual about any of them.
    let (mut odd, mut elsewhere) = (0, 0);
    for (&buf, (data, len)) in bufs.iter().zip(frames) {
        // SAFETY: passed on from the caller.
        let (rearm, data_len) = unsafe {
            (get::<u64>(buf, sys::QFP_MBUF_DATA_OFF), get::<u16>(buf, sys::QFP_MBUF_DATA_LEN))
        };
        let start = buf_addr(buf).wrapping_add((rearm & 0xffff) as usize);
        if PREFETCH {
            super::simd::prefetch(start);
        }
        *data = start;
        *len = data_len;
        odd |= rearm ^ USUAL;
        elsewhere |= (start as usize).wrapping_sub(buf as usize) ^ USUAL_START;
    }
    (odd & USUAL_BITS != 0) | (elsewhere != 0)
}

/// Makes the mbuf say what the burst says: where its frame starts, and how long it is.
///
/// # Safety
/// `buf` is a live mbuf that nobody else uses, of one segment, with `data..data + len` inside it.
#[inline]
pub(super) unsafe fn write_back(buf: RawBuf, data: *mut u8, len: u16) {
    #[expect(clippy::cast_possible_truncation, reason = "an mbuf's buffer has at most 64 KiB")]
    let data_off = headroom(buf, data) as u16;
    // SAFETY: passed on from the caller.
    unsafe {
        set(buf, sys::QFP_MBUF_DATA_OFF, data_off);
        set(buf, sys::QFP_MBUF_DATA_LEN, len);
        set(buf, sys::QFP_MBUF_PKT_LEN, u32::from(len));
    }
}
