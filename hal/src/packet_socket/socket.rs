//! Packet sockets of one interface, and the system calls on them.
//!
//! Source: packet(7), Documentation/networking/packet_mmap.rst.
#![expect(unsafe_code, reason = "sockets are set and asked through libc")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use libc::{c_int, c_uint, socklen_t};

use super::offload::{HEADER, Offload, TAG};
use super::ring::Ring;
use crate::handover::{Descriptors, Kind};
use crate::interface::{Interface, replace};
use crate::port::PortError;

/// Bytes of large frames that wait in a socket, beside the ring.
const LARGE_FRAMES: c_int = 8 << 20;

/// Bytes on their way out of a socket.
const SENDING: c_int = 4 << 20;

/// Room for the control message that goes with a large frame.
const CONTROL: usize = 64;

/// A packet socket. Its number stays when it is replaced.
pub(super) struct Socket(OwnedFd);

/// How the receive sockets of a port are set.
pub(super) struct Reception {
    /// Receive frames for other MAC addresses, too.
    pub(super) promiscuous: bool,
    /// Bytes of the longest frame that goes through the ring.
    pub(super) longest: usize,
}

impl Socket {
    /// One that sends only.
    pub(super) fn sender(interface: &Interface) -> Result<Self, PortError> {
        let socket = Self::new(interface)?;
        // Queueing is the router's own business.
        socket
            .set(libc::PACKET_QDISC_BYPASS, &1)
            .map_err(interface.failed("PACKET_QDISC_BYPASS"))?;
        socket.set_buffer([libc::SO_SNDBUFFORCE, libc::SO_SNDBUF], SENDING);
        socket.bind(interface, 0)?;
        Ok(socket)
    }

    /// One that receives into a ring. It receives all frames until it joins others.
    pub(super) fn receiver(
        interface: &Interface,
        reception: &Reception,
    ) -> Result<Self, PortError> {
        let socket = Self::new(interface)?;
        for (option, value, what) in [
            (libc::PACKET_IGNORE_OUTGOING, 1, "PACKET_IGNORE_OUTGOING"),
            (libc::PACKET_VERSION, libc::tpacket_versions::TPACKET_V2 as c_int, "PACKET_VERSION"),
            (libc::PACKET_VNET_HDR, 1, "PACKET_VNET_HDR"),
            (libc::PACKET_AUXDATA, 1, "PACKET_AUXDATA"),
        ] {
            socket.set(option, &value).map_err(interface.failed(what))?;
        }
        socket.set_buffer([libc::SO_RCVBUFFORCE, libc::SO_RCVBUF], LARGE_FRAMES);
        Ring::make(&socket, reception.longest).map_err(interface.failed("PACKET_RX_RING"))?;
        socket.bind(interface, libc::ETH_P_ALL)?;
        socket.become_member(interface, libc::PACKET_MR_ALLMULTI)?;
        if reception.promiscuous {
            socket.become_member(interface, libc::PACKET_MR_PROMISC)?;
        }
        Ok(socket)
    }

    /// As another process has made it, to send or to receive.
    pub(super) fn handed(descriptors: &mut Descriptors<'_>) -> Result<Self, PortError> {
        descriptors.next(Kind::Packet).map(Self)
    }

    fn new(interface: &Interface) -> Result<Self, PortError> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: socket takes no pointers.
        let fd = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
        if fd < 0 {
            let error = io::Error::last_os_error();
            return Err(match error.raw_os_error() {
                Some(libc::EPERM) => PortError::NotPermitted {
                    port: interface.port().to_owned(),
                    capability: "CAP_NET_RAW",
                },
                _ => interface.failed("socket")(error),
            });
        }
        // SAFETY: the descriptor was made just now and belongs to nobody else.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Spreads the flows of the interface over these sockets, which receive all of them so far.
    pub(super) fn join(interface: &Interface, sockets: &[Self]) -> Result<(), PortError> {
        let failed = interface.failed("PACKET_FANOUT");
        // The first one asks for a number that nobody has, the others come to it.
        let mut group = (libc::PACKET_FANOUT_HASH | libc::PACKET_FANOUT_FLAG_UNIQUEID) << 16;
        for socket in sockets {
            socket.set(libc::PACKET_FANOUT, &group).map_err(&failed)?;
            let number: c_uint =
                socket.get(libc::SOL_PACKET, libc::PACKET_FANOUT).map_err(&failed)?;
            group = number & 0xffff | libc::PACKET_FANOUT_HASH << 16;
        }
        Ok(())
    }

    /// Keeps what the ring has no room for, from now on.
    pub(super) fn keep_large(&self, interface: &Interface) -> Result<(), PortError> {
        self.set(libc::PACKET_COPY_THRESH, &1).map_err(interface.failed("PACKET_COPY_THRESH"))
    }

    fn bind(&self, interface: &Interface, protocol: c_int) -> Result<(), PortError> {
        // SAFETY: zero is a valid address.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET.unsigned_abs().try_into().unwrap_or_default();
        address.sll_protocol = u16::try_from(protocol).unwrap_or_default().to_be();
        address.sll_ifindex = interface.index().map_err(interface.failed("SIOCGIFINDEX"))?;
        // SAFETY: the address lives across the call and is as long as the call is told.
        match unsafe { libc::bind(self.number(), (&raw const address).cast(), len_of(&address)) } {
            0 => Ok(()),
            _ => Err(interface.failed("bind")(io::Error::last_os_error())),
        }
    }

    /// Number of the interface that it is bound to; less than 1 once that has been deleted.
    pub(super) fn bound(&self) -> io::Result<c_int> {
        // SAFETY: zero is a valid address.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        let mut len = len_of(&address);
        let to = (&raw mut address).cast();
        // SAFETY: the address lives across the call and is as long as the call is told.
        match unsafe { libc::getsockname(self.number(), to, &raw mut len) } {
            0 => Ok(address.sll_ifindex),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Takes the error that waits in it: a socket with one looks as if it could be read.
    pub(super) fn clear_error(&self) {
        let _: io::Result<c_int> = self.get(libc::SOL_SOCKET, libc::SO_ERROR);
    }

    /// Frames that the ring had no room for since the last call.
    pub(super) fn take_drops(&self) -> u64 {
        // Asking resets them.
        self.get(libc::SOL_PACKET, libc::PACKET_STATISTICS)
            .map_or(0, |[_, drops]: [c_uint; 2]| u64::from(drops))
    }

    /// Lets the number of this one lead to `fresh`: whoever uses the number goes on with that.
    pub(super) fn replace(&self, fresh: &Self) -> io::Result<()> {
        replace(self.as_fd(), fresh.as_fd())
    }

    /// The next large frame, to `room`, with its tag; its length. `None` without one, or when it
    /// is larger.
    pub(super) fn receive(&self, room: &mut [u8]) -> Option<(usize, Offload, Option<[u8; TAG]>)> {
        let mut header = [0; HEADER];
        let mut parts = [
            libc::iovec { iov_base: header.as_mut_ptr().cast(), iov_len: HEADER },
            libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() },
        ];
        // As aligned as a control message has to be.
        let mut control = [0_u64; CONTROL / 8];
        // SAFETY: a msghdr is plain integers and pointers; zero is valid.
        let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
        message.msg_iov = parts.as_mut_ptr();
        message.msg_iovlen = parts.len();
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = CONTROL;
        // SAFETY: message, parts and what they point at live across the call, and are as long as
        // the call is told.
        let len = unsafe { libc::recvmsg(self.number(), &raw mut message, libc::MSG_DONTWAIT) };
        let len = usize::try_from(len).ok()?.checked_sub(HEADER)?;
        if message.msg_flags & libc::MSG_TRUNC != 0 {
            return None;
        }
        Some((len, Offload::parse(header), tag_of(&message)))
    }

    fn number(&self) -> c_int {
        self.0.as_raw_fd()
    }

    fn become_member(&self, interface: &Interface, kind: c_int) -> Result<(), PortError> {
        let request = libc::packet_mreq {
            mr_ifindex: interface.index().map_err(interface.failed("SIOCGIFINDEX"))?,
            mr_type: u16::try_from(kind).unwrap_or_default(),
            mr_alen: 0,
            mr_address: [0; 8],
        };
        self.set(libc::PACKET_ADD_MEMBERSHIP, &request)
            .map_err(interface.failed("PACKET_ADD_MEMBERSHIP"))
    }

    /// As large as the system lets it be: with a capability, or without.
    fn set_buffer(&self, options: [c_int; 2], bytes: c_int) {
        let _ = options.iter().any(|&which| self.set_of(libc::SOL_SOCKET, which, &bytes).is_ok());
    }

    /// Sets an option of packet sockets.
    pub(super) fn set<T: Copy>(&self, option: c_int, value: &T) -> io::Result<()> {
        self.set_of(libc::SOL_PACKET, option, value)
    }

    fn set_of<T: Copy>(&self, level: c_int, option: c_int, value: &T) -> io::Result<()> {
        let from = std::ptr::from_ref(value).cast();
        // SAFETY: the value lives across the call and is as long as the call is told.
        match unsafe { libc::setsockopt(self.number(), level, option, from, len_of(value)) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    fn get<T: Copy + Default>(&self, level: c_int, option: c_int) -> io::Result<T> {
        let mut value = T::default();
        let mut len = len_of(&value);
        let to = (&raw mut value).cast();
        // SAFETY: the value lives across the call and is as long as the call is told; the options
        // asked for are integers, and so are the types they are asked for with.
        match unsafe { libc::getsockopt(self.number(), level, option, to, &raw mut len) } {
            0 => Ok(value),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[expect(clippy::cast_possible_truncation, reason = "options and addresses are short")]
fn len_of<T>(_: &T) -> socklen_t {
    size_of::<T>() as socklen_t
}

/// The tag that goes with a received message.
fn tag_of(message: &libc::msghdr) -> Option<[u8; TAG]> {
    // SAFETY: the kernel has filled in the control messages of `message`, whose room is alive.
    let control = unsafe { libc::CMSG_FIRSTHDR(message).as_ref() }?;
    if (control.cmsg_level, control.cmsg_type) != (libc::SOL_PACKET, libc::PACKET_AUXDATA) {
        return None;
    }
    // SAFETY: a control message of this type holds a tpacket_auxdata.
    let aux = unsafe { libc::CMSG_DATA(control).cast::<libc::tpacket_auxdata>().read_unaligned() };
    tag(aux.tp_status, aux.tp_vlan_tpid, aux.tp_vlan_tci)
}

/// The tag that the kernel has taken out of a frame.
pub(super) fn tag(status: u32, tpid: u16, tci: u16) -> Option<[u8; TAG]> {
    let tpid = if status & libc::TP_STATUS_VLAN_TPID_VALID == 0 { 0x8100 } else { tpid };
    let ([a, b], [c, d]) = (tpid.to_be_bytes(), tci.to_be_bytes());
    (status & libc::TP_STATUS_VLAN_VALID != 0).then_some([a, b, c, d])
}
