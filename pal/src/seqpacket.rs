//! Messages between two processes, and descriptors with them.
//!
//! A message is whole or not there. It may be longer than what the system takes at once: pieces
//! begin with a byte that says whether more follow.
#![allow(unsafe_code, reason = "calls socketpair, sendmsg and recvmsg")]

mod listener;

pub use listener::Listener;

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// Bytes of a piece.
const PIECE: usize = 32 << 10;
/// Descriptors with one piece: the kernel takes 253.
const DESCRIPTORS: usize = 250;
/// Descriptors with one message.
const MOST_DESCRIPTORS: usize = 1 << 12;
/// Bytes of the longest message.
const LONGEST: usize = 256 << 20;
/// Room for the descriptors of a message, in words.
const CONTROL: usize = (64 + DESCRIPTORS * 4) / 8;

/// One end of a line between two processes.
#[derive(Debug)]
pub struct SeqPacket(OwnedFd);

impl From<SeqPacket> for OwnedFd {
    fn from(line: SeqPacket) -> Self {
        line.0
    }
}

impl SeqPacket {
    /// Both ends of a line, which no other program inherits.
    ///
    /// # Errors
    /// The system has no descriptors.
    pub fn pair() -> io::Result<(Self, Self)> {
        let mut ends = [0; 2];
        let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
        // SAFETY: `ends` has room for two descriptors.
        if unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel just returned these descriptors; nobody else knows them.
        Ok(unsafe { (Self(OwnedFd::from_raw_fd(ends[0])), Self(OwnedFd::from_raw_fd(ends[1]))) })
    }

    /// The end that is open as `fd`.
    #[must_use]
    pub const fn from_fd(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// A second handle of the same end: one thread sends and another receives.
    ///
    /// # Errors
    /// The system has no descriptors.
    pub fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    /// Sends a message, and descriptors with it. Waits while the other end is behind. One thread at a
    /// time.
    ///
    /// # Errors
    /// The other end is gone.
    pub fn send(&self, message: &[u8], descriptors: &[OwnedFd]) -> io::Result<()> {
        let descriptors: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
        let (mut rest, mut with) = (message, descriptors.as_slice());
        loop {
            let (piece, more) = rest.split_at(rest.len().min(PIECE - 1));
            let (own, others) = with.split_at(with.len().min(DESCRIPTORS));
            let is_last = more.is_empty() && others.is_empty();
            self.send_piece(&[u8::from(!is_last)], piece, own)?;
            if is_last {
                return Ok(());
            }
            (rest, with) = (more, others);
        }
    }

    fn send_piece(&self, first: &[u8], rest: &[u8], descriptors: &[RawFd]) -> io::Result<()> {
        let part = |bytes: &[u8]| libc::iovec {
            iov_base: bytes.as_ptr().cast_mut().cast(),
            iov_len: bytes.len(),
        };
        let mut parts = [part(first), part(rest)];
        let mut control = [0_u64; CONTROL];
        // SAFETY: a msghdr is integers and pointers; all zeroes is a valid value.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        header.msg_iov = parts.as_mut_ptr();
        header.msg_iovlen = parts.len();
        if !descriptors.is_empty() {
            let bytes = u32::try_from(size_of_val(descriptors)).unwrap_or(u32::MAX);
            if descriptors.len() > DESCRIPTORS {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            header.msg_control = control.as_mut_ptr().cast();
            // SAFETY: plain arithmetic.
            header.msg_controllen = unsafe { libc::CMSG_SPACE(bytes) } as usize;
            // SAFETY: `control` has room for DESCRIPTORS descriptors and is aligned for a header.
            unsafe {
                let first = libc::CMSG_FIRSTHDR(&raw const header);
                (*first).cmsg_level = libc::SOL_SOCKET;
                (*first).cmsg_type = libc::SCM_RIGHTS;
                (*first).cmsg_len = libc::CMSG_LEN(bytes) as usize;
                let data = libc::CMSG_DATA(first).cast::<RawFd>();
                data.copy_from_nonoverlapping(descriptors.as_ptr(), descriptors.len());
            }
        }
        loop {
            // SAFETY: everything that `header` points to outlives the call.
            let sent =
                unsafe { libc::sendmsg(self.0.as_raw_fd(), &raw const header, libc::MSG_NOSIGNAL) };
            if sent >= 0 {
                return Ok(());
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }

    /// Whether a message, or the end, comes within `patience`.
    #[must_use]
    pub fn wait(&self, patience: Duration) -> bool {
        is_ready(&self.0, patience)
    }

    /// Waits for a message; none when the other end is gone. One thread at a time.
    ///
    /// # Errors
    /// What came is too long, or is cut off.
    pub fn receive(&self) -> io::Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
        let (mut message, mut descriptors) = (Vec::new(), Vec::new());
        loop {
            let start = message.len();
            message.resize(start + PIECE, 0);
            let length = self.receive_piece(&mut message[start..], &mut descriptors)?;
            let Some(length) = length else { return Ok(None) };
            message.truncate(start + length);
            let more = message[start];
            message.remove(start);
            if message.len() > LONGEST || descriptors.len() > MOST_DESCRIPTORS {
                return Err(io::ErrorKind::InvalidData.into());
            }
            if more == 0 {
                return Ok(Some((message, descriptors)));
            }
        }
    }

    /// Bytes that came; none at the end.
    fn receive_piece(
        &self,
        buffer: &mut [u8],
        descriptors: &mut Vec<OwnedFd>,
    ) -> io::Result<Option<usize>> {
        let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        let mut control = [const { MaybeUninit::<u64>::zeroed() }; CONTROL];
        // SAFETY: a msghdr is integers and pointers; all zeroes is a valid value.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        header.msg_iov = &raw mut part;
        header.msg_iovlen = 1;
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = size_of_val(&control);
        let received = loop {
            // SAFETY: everything that `header` points to outlives the call.
            let received = unsafe {
                libc::recvmsg(self.0.as_raw_fd(), &raw mut header, libc::MSG_CMSG_CLOEXEC)
            };
            if received >= 0 {
                break usize::try_from(received).unwrap_or(0);
            }
            let error = io::Error::last_os_error();
            match error.kind() {
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::ConnectionReset => return Ok(None),
                _ => return Err(error),
            }
        };
        // SAFETY: the kernel has filled `control` with whole headers, and says how many.
        unsafe {
            let mut next = libc::CMSG_FIRSTHDR(&raw const header);
            while let Some(one) = next.as_ref() {
                if (one.cmsg_level, one.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
                    let bytes = one.cmsg_len - libc::CMSG_LEN(0) as usize;
                    let data = libc::CMSG_DATA(next).cast::<RawFd>();
                    for n in 0..bytes / size_of::<RawFd>() {
                        descriptors.push(OwnedFd::from_raw_fd(data.add(n).read_unaligned()));
                    }
                }
                next = libc::CMSG_NXTHDR(&raw const header, next);
            }
        }
        if header.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok((received > 0).then_some(received))
    }
}

/// Whether there is something to take from `fd` within `patience`.
fn is_ready(fd: &OwnedFd, patience: Duration) -> bool {
    let mut fd = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let milliseconds = libc::c_int::try_from(patience.as_millis()).unwrap_or(libc::c_int::MAX);
    // SAFETY: `fd` is exclusively borrowed for the whole call.
    unsafe { libc::poll(&raw mut fd, 1, milliseconds) > 0 }
}

#[cfg(test)]
mod tests {
    use super::SeqPacket;

    #[test]
    fn as_many_descriptors_arrive_as_were_sent() {
        let (here, there) = SeqPacket::pair().unwrap();
        let many: Vec<std::os::fd::OwnedFd> =
            (0..300).map(|_| std::fs::File::open("/dev/null").unwrap().into()).collect();
        here.send(b"many", &many).unwrap();
        let (message, descriptors) = there.receive().unwrap().unwrap();
        assert_eq!((message.as_slice(), descriptors.len()), (b"many".as_slice(), 300));
    }

    #[test]
    fn long_messages_and_descriptors_arrive_whole_and_in_order() {
        use crate::region::{HugePages, ReadOnly, Region};
        let (here, there) = SeqPacket::pair().unwrap();
        let region = Region::anonymous(4096, HugePages::Never).unwrap();
        let mut draft = region.alloc::<u32>(1).unwrap();
        draft[0] = 7;
        let block = draft.publish();
        let long: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let wanted = long.clone();
        let sender = std::thread::spawn(move || {
            here.send(&long, &[region.read_only_fd().unwrap()]).unwrap();
            here.send(b"", &[]).unwrap();
        });
        let (message, descriptors) = there.receive().unwrap().unwrap();
        assert!(message == wanted);
        let map = ReadOnly::from_fd(&descriptors[0]).unwrap();
        assert_eq!(map.view(block).unwrap(), [7]);
        assert_eq!(there.receive().unwrap().unwrap().0, b"");
        sender.join().unwrap();
        assert!(there.receive().unwrap().is_none());
    }
}
