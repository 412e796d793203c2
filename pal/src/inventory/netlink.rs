//! A route netlink socket: subscribe, ask for all links, wait for events.
#![allow(unsafe_code, reason = "poll and one socket option have no safe wrapper")]

use super::watch::WatchError;
use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::LinkMessage;
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

/// Room for events while nobody reads: a thousand interfaces in a burst lose none.
pub(super) const RECEIVE_BUFFER: libc::c_int = 16 << 20;
/// The kernel fills at most 32 KiB per read; a single link with many virtual functions is more.
const READ_SIZE: usize = 256 << 10;
/// A list that changes while it is read is asked for again, this often.
const DUMP_ATTEMPTS: u32 = 8;

/// What one read brought.
pub(super) enum Batch {
    /// Messages, in order.
    Messages(Vec<RouteNetlinkMessage>),
    /// The kernel had to drop some.
    Lost,
    /// Nothing within the time.
    Nothing,
}

/// A socket that hears of every change of a link.
pub(super) struct LinkSocket {
    socket: Socket,
    buffer: Vec<u8>,
}

impl LinkSocket {
    pub(super) fn subscribe(receive_buffer: libc::c_int) -> Result<Self, WatchError> {
        let open = || -> io::Result<Socket> {
            let mut socket = Socket::new(NETLINK_ROUTE)?;
            size_buffer(&socket, receive_buffer)?;
            socket.bind_auto()?;
            socket.add_membership(libc::RTNLGRP_LINK)?;
            socket.set_non_blocking(true)?;
            Ok(socket)
        };
        let socket = open().map_err(WatchError::Open)?;
        Ok(Self { socket, buffer: vec![0; READ_SIZE] })
    }

    /// Waits for events, at most `timeout`.
    pub(super) fn read(&mut self, timeout: Duration) -> Result<Batch, WatchError> {
        if !wait_readable(&self.socket, timeout).map_err(WatchError::Receive)? {
            return Ok(Batch::Nothing);
        }
        match self.socket.recv(&mut &mut self.buffer[..], 0) {
            Ok(size) => {
                let (messages, _) = decode(&self.buffer[..size])?;
                Ok(Batch::Messages(messages))
            }
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => Ok(Batch::Lost),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Batch::Nothing),
            Err(error) => Err(WatchError::Receive(error)),
        }
    }
}

/// All links, as one consistent list.
///
/// Uses a socket of its own, so that events cannot mix with the answer.
pub(super) fn dump_links() -> Result<Vec<LinkMessage>, WatchError> {
    let mut socket = Socket::new(NETLINK_ROUTE).map_err(WatchError::Open)?;
    socket.bind_auto().map_err(WatchError::Open)?;
    for _ in 0..DUMP_ATTEMPTS {
        if let Some(links) = dump_once(&socket)? {
            return Ok(links);
        }
    }
    Err(WatchError::Unstable { attempts: DUMP_ATTEMPTS })
}

/// `None` if the list changed while the kernel was writing it.
fn dump_once(socket: &Socket) -> Result<Option<Vec<LinkMessage>>, WatchError> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let question = RouteNetlinkMessage::GetLink(LinkMessage::default());
    let mut request = NetlinkMessage::new(header, NetlinkPayload::from(question));
    request.finalize();
    let mut bytes = vec![0; request.buffer_len()];
    request.serialize(&mut bytes);
    socket.send_to(&bytes, &SocketAddr::new(0, 0), 0).map_err(WatchError::Send)?;

    let mut buffer = vec![0; READ_SIZE];
    let mut links = Vec::new();
    let mut consistent = true;
    loop {
        let size = socket.recv(&mut &mut buffer[..], 0).map_err(WatchError::Receive)?;
        let (messages, end) = decode(&buffer[..size])?;
        consistent &= !end.interrupted;
        links.extend(messages.into_iter().filter_map(|message| match message {
            RouteNetlinkMessage::NewLink(link) => Some(link),
            _ => None,
        }));
        if end.done {
            return Ok(consistent.then_some(links));
        }
    }
}

#[derive(Default)]
struct End {
    done: bool,
    interrupted: bool,
}

fn decode(mut bytes: &[u8]) -> Result<(Vec<RouteNetlinkMessage>, End), WatchError> {
    let mut messages = Vec::new();
    let mut end = End::default();
    while !bytes.is_empty() {
        let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(bytes)
            .map_err(|error| WatchError::Decode(Box::new(error)))?;
        end.interrupted |= message.header.flags & NLM_F_DUMP_INTR != 0;
        // Messages start at multiples of four; the last one may lack its padding.
        let length = usize::try_from(message.header.length).unwrap_or(usize::MAX).max(1);
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        match message.payload {
            NetlinkPayload::InnerMessage(message) => messages.push(message),
            NetlinkPayload::Done(_) => end.done = true,
            NetlinkPayload::Error(error) if error.code.is_some() => {
                return Err(WatchError::Refused(error.to_io()));
            }
            _ => {}
        }
    }
    Ok((messages, end))
}

/// Asks for a receive buffer of `size`: beyond the system's limit if we may, else up to it.
fn size_buffer(socket: &Socket, size: libc::c_int) -> io::Result<()> {
    const LENGTH: libc::socklen_t = 4;
    const { assert!(size_of::<libc::c_int>() == LENGTH as usize) };
    // SAFETY: `size` is an integer of the given length that outlives the call.
    let forced = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVBUFFORCE,
            (&raw const size).cast(),
            LENGTH,
        )
    };
    if forced == 0 { Ok(()) } else { socket.set_rx_buf_sz(size) }
}

fn wait_readable(socket: &Socket, timeout: Duration) -> io::Result<bool> {
    let mut poll = libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // Rounded up, so that a short wait is not a busy loop.
    let millis = timeout.as_nanos().div_ceil(1_000_000);
    let millis = libc::c_int::try_from(millis).unwrap_or(libc::c_int::MAX);
    // SAFETY: `poll` is one exclusively borrowed entry, as the count says.
    match unsafe { libc::poll(&raw mut poll, 1, millis) } {
        ready if ready > 0 => Ok(true),
        0 => Ok(false),
        _ => match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => Ok(false),
            error => Err(error),
        },
    }
}
