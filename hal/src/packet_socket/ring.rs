//! The receive ring: memory that the kernel writes frames to, slot after slot.
//!
//! Version 2 of it, whose slots are handed over one by one, at once. (Version 3 hands over blocks,
//! when they are full or a millisecond old.)
//!
//! Source: Documentation/networking/packet_mmap.rst, linux/if_packet.h.
#![expect(unsafe_code, reason = "the ring is memory that is shared with the kernel")]

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use libc::{c_uint, tpacket2_hdr};

use super::offload::{HEADER, Offload, TAG};
use super::socket::{Socket, tag};

/// Bytes of a ring: 2048 frames of up to 1900 bytes, or fewer that are longer.
const BYTES: usize = 4 << 20;
/// Bytes that the kernel allocates in one piece.
const BLOCK: usize = 128 << 10;
/// Bytes in front of a frame in its slot, at most.
const FRONT: usize = 128;

/// Slots looked at in one go for the one that the kernel has filled first.
const SEARCHED: usize = 16;

/// A ring in its mapping, and the slot that is filled next.
pub(super) struct Ring {
    memory: NonNull<u8>,
    /// Bytes of a slot, a power of two.
    slot: usize,
    next: usize,
    /// `next` is known: somebody else may have read from the ring before.
    is_found: bool,
}

// SAFETY: the mapping belongs to this value alone, and to the kernel.
unsafe impl Send for Ring {}

impl Ring {
    /// Has the kernel make the ring of `socket`, for frames of up to `longest` bytes; longer ones are
    /// cut there.
    pub(super) fn make(socket: &Socket, longest: usize) -> io::Result<()> {
        let slot = slot(longest);
        let count = |bytes: usize| c_uint::try_from(bytes).unwrap_or(c_uint::MAX);
        let request = libc::tpacket_req {
            tp_block_size: count(BLOCK),
            tp_block_nr: count(BYTES / BLOCK),
            tp_frame_size: count(slot),
            tp_frame_nr: count(BYTES / slot),
        };
        socket.set(libc::PACKET_RX_RING, &request)
    }

    /// The ring of `socket`, made for frames of up to `longest` bytes. What is in it comes first.
    pub(super) fn map(socket: &Socket, longest: usize) -> io::Result<Self> {
        let (access, fd) = (libc::PROT_READ | libc::PROT_WRITE, socket.as_fd().as_raw_fd());
        // SAFETY: asks for a mapping where there is none; of a packet socket the kernel maps its
        // ring, whose size this must be, and nothing else.
        let memory =
            unsafe { libc::mmap(std::ptr::null_mut(), BYTES, access, libc::MAP_SHARED, fd, 0) };
        if memory == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let memory = NonNull::new(memory.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { memory, slot: slot(longest), next: 0, is_found: false })
    }

    /// Whether there is no frame in any slot. Looks at all of them.
    pub(super) fn is_empty(&self) -> bool {
        !(0..BYTES).step_by(self.slot).any(|at| self.is_ours(at))
    }

    /// Looks where the kernel is, a few slots further than the last time.
    #[cold]
    fn find(&mut self) -> bool {
        for _ in 0..SEARCHED {
            if self.is_ours(self.next) {
                self.next = self.oldest(self.next);
                self.is_found = true;
                return true;
            }
            self.next = (self.next + self.slot) % BYTES;
        }
        false
    }

    /// The first of the slots in a row, all filled, of which `at` is one.
    fn oldest(&self, at: usize) -> usize {
        let before = |slot: usize| (slot + BYTES - self.slot) % BYTES;
        let mut first = at;
        while self.is_ours(before(first)) {
            first = before(first);
            if first == at {
                // No slot is empty: the kernel's clock tells.
                let time = |at: &usize| (self.header(*at).tp_sec, self.header(*at).tp_nsec);
                return (0..BYTES).step_by(self.slot).min_by_key(time).unwrap_or(at);
            }
        }
        first
    }

    /// Whether the kernel has filled the slot at this offset, a multiple of a slot's size.
    #[inline]
    fn is_ours(&self, at: usize) -> bool {
        // SAFETY: the offset of a slot lies inside the mapping.
        let start = unsafe { self.memory.add(at % BYTES) };
        // SAFETY: a slot starts with its status, on a multiple of 16; both sides access it at once,
        // and as a whole.
        let status = unsafe { AtomicU32::from_ptr(start.as_ptr().cast()) };
        // Acquires what the kernel has written before.
        status.load(Ordering::Acquire) & libc::TP_STATUS_USER != 0
    }

    /// What a slot that is ours starts with.
    #[inline]
    fn header(&self, at: usize) -> tpacket2_hdr {
        // SAFETY: the offset of a slot lies inside the mapping; it starts with this header.
        unsafe { self.memory.add(at % BYTES).cast::<tpacket2_hdr>().read() }
    }

    /// The next frame, if the kernel has handed it over.
    #[inline]
    pub(super) fn next(&mut self) -> Option<Slot<'_>> {
        if !self.is_found && !self.find() || !self.is_ours(self.next) {
            return None;
        }
        // SAFETY: the offset of a slot lies inside the mapping, as `next` wraps at its end.
        let start = unsafe { self.memory.add(self.next) };
        let header = self.header(self.next);
        Some(Slot { ring: self, start, header })
    }
}

/// Bytes of a slot for frames of up to `longest` bytes, a power of two.
fn slot(longest: usize) -> usize {
    (FRONT + longest).next_power_of_two().min(BLOCK)
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: as it was mapped; slots borrow from this value, so none is left.
        unsafe { libc::munmap(self.memory.as_ptr().cast(), BYTES) };
    }
}

/// A frame in the ring, which goes back to the kernel when dropped.
pub(super) struct Slot<'a> {
    ring: &'a mut Ring,
    start: NonNull<u8>,
    header: tpacket2_hdr,
}

impl Slot<'_> {
    /// True when the slot had no room for the frame, which waits whole in the socket instead.
    pub(super) fn is_in_socket(&self) -> bool {
        self.header.tp_status & libc::TP_STATUS_COPY != 0
    }

    /// What the kernel has left to do, and the tag of the frame.
    pub(super) fn offload(&self) -> (Offload, Option<[u8; TAG]>) {
        let header = self.header;
        let tag = tag(header.tp_status, header.tp_vlan_tpid, header.tp_vlan_tci);
        let end = usize::from(header.tp_mac);
        let bytes = end.checked_sub(HEADER).and_then(|start| {
            // SAFETY: as in `room`, and nobody has a reference to it.
            let slot = unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.ring.slot) };
            slot.get(start..)?.first_chunk().copied()
        });
        (bytes.map(Offload::parse).unwrap_or_default(), tag)
    }

    /// The slot up to the frame's end, and where the frame starts in it; `None` when the frame has
    /// been cut.
    pub(super) fn room(&mut self) -> Option<(&mut [u8], usize)> {
        let (start, len) = (usize::from(self.header.tp_mac), self.header.tp_snaplen);
        if len < self.header.tp_len {
            return None;
        }
        // SAFETY: the slot is ours until it is given back, lies inside the mapping, and `&mut self`
        // makes this the only reference.
        let slot = unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.ring.slot) };
        // Bytes in front of the frame are free, but for the header with the status.
        let slot = slot.get_mut(..start.checked_add(usize::try_from(len).ok()?)?)?;
        (start >= size_of::<tpacket2_hdr>() + TAG).then_some((slot, start))
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        // SAFETY: as in `Ring::next`.
        let status = unsafe { AtomicU32::from_ptr(self.start.as_ptr().cast()) };
        // Releases what has been read and written here.
        status.store(libc::TP_STATUS_KERNEL, Ordering::Release);
        self.ring.next = (self.ring.next + self.ring.slot) % BYTES;
    }
}
