//! Frames of a burst, sent with one system call.
//!
//! Source: sendmmsg(2).
#![expect(unsafe_code, reason = "the kernel is handed pointers to frames")]

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use libc::{iovec, mmsghdr};

use super::socket::Socket;
use crate::mask::PacketMask;
use crate::packet::{Burst, VECTOR};

/// What became of a batch.
pub(super) struct Sent {
    /// Frames that the kernel took.
    pub(super) frames: PacketMask,
    /// The interface is not there any more.
    pub(super) is_gone: bool,
}

/// Room for the descriptions of a burst's frames.
pub(super) struct Batch {
    /// Each leads to the frame of the same number.
    messages: Box<[mmsghdr]>,
    frames: Box<[iovec]>,
    slots: [usize; VECTOR],
}

// SAFETY: the messages point at `frames`, which goes where they go; what those point at is used
// during a call of `send` only.
unsafe impl Send for Batch {}

impl Batch {
    pub(super) fn new() -> Self {
        let none = iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        let mut frames = vec![none; VECTOR].into_boxed_slice();
        // SAFETY: a message is plain integers and pointers; zero is valid.
        let empty: mmsghdr = unsafe { std::mem::zeroed() };
        let message = |frame: &mut iovec| {
            let mut message = empty;
            message.msg_hdr.msg_iov = std::ptr::from_mut(frame);
            message.msg_hdr.msg_iovlen = 1;
            message
        };
        let messages = frames.iter_mut().map(message).collect();
        Self { messages, frames, slots: [0; VECTOR] }
    }

    /// Sends the frames of `select`, which stay where they are.
    pub(super) fn send(&mut self, socket: &Socket, burst: &Burst, select: PacketMask) -> Sent {
        let mut count = 0;
        for (slot, (frame, number)) in
            select.into_iter().zip(self.frames.iter_mut().zip(&mut self.slots))
        {
            let bytes = burst.frame(slot);
            *frame = iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
            *number = slot;
            count += 1;
        }
        let mut sent = Sent { frames: PacketMask::EMPTY, is_gone: false };
        let mut done = 0;
        while done < count {
            let messages = &mut self.messages[done..count];
            let len = u32::try_from(messages.len()).unwrap_or_default();
            let fd = socket.as_fd().as_raw_fd();
            // SAFETY: as many messages as the call is told; each leads to an element of `frames`
            // and that to bytes which `burst` keeps alive. The kernel only reads those.
            let taken =
                unsafe { libc::sendmmsg(fd, messages.as_mut_ptr(), len, libc::MSG_DONTWAIT) };
            if let Ok(taken) = usize::try_from(taken) {
                self.slots[done..done + taken].iter().for_each(|&slot| sent.frames.insert(slot));
                done += taken;
                continue;
            }
            match io::Error::last_os_error().raw_os_error() {
                Some(libc::EINTR) => {}
                // The first of them is too long or too short; the others may do.
                Some(libc::EMSGSIZE | libc::EINVAL) => done += 1,
                Some(libc::ENXIO | libc::ENODEV) => {
                    sent.is_gone = true;
                    break;
                }
                // There is no room, or the interface is down.
                _ => break,
            }
        }
        sent
    }
}
