//! What tests of interfaces need: a namespace, and the kernel's end of a cable.
#![expect(clippy::cast_possible_truncation, reason = "the numbers of these tests are small")]

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// An EtherType for experiments (IEEE 802), so that the kernel's own chatter is told apart.
pub(crate) const EXPERIMENT: [u8; 2] = [0x88, 0xb5];

/// Runs `test` in a network namespace of its own, or says why not.
pub(crate) fn in_own_namespace(test: impl FnOnce() + Send + 'static) {
    let run = move || {
        // SAFETY: unshare takes no pointers and changes only this thread.
        if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
            eprintln!("skipped: no right to make a network namespace");
            return;
        }
        test();
    };
    std::thread::spawn(run).join().unwrap();
}

/// A socket that sees all frames of the interface `name` and can send on it.
pub(crate) fn packet_socket(name: &str) -> OwnedFd {
    let protocol = (libc::ETH_P_ALL as u16).to_be();
    let name = std::ffi::CString::new(name).unwrap();
    // SAFETY: socket takes no pointers.
    let fd = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW, i32::from(protocol)) };
    assert!(fd >= 0);
    // SAFETY: made just now.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: zero is a valid address.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = protocol;
    // SAFETY: the name ends with a zero.
    address.sll_ifindex = unsafe { libc::if_nametoindex(name.as_ptr()) }.cast_signed();
    let len = size_of_val(&address) as u32;
    // SAFETY: the address lives across the call and has the length given.
    let bound = unsafe { libc::bind(fd, (&raw const address).cast(), len) };
    assert_eq!(bound, 0);
    socket
}

/// Waits until `fd` can be read, two seconds at most.
pub(crate) fn readable(fd: RawFd) -> bool {
    let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: one entry, as the count says.
    unsafe { libc::poll(&raw mut poll, 1, 2_000) == 1 }
}

pub(crate) fn frame(mark: u8, len: usize) -> Vec<u8> {
    let mut frame = vec![mark; len];
    frame[..12].copy_from_slice(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9]);
    frame[12..14].copy_from_slice(&EXPERIMENT);
    frame
}

/// Sends a frame through a socket of [`packet_socket`].
pub(crate) fn send(socket: &OwnedFd, frame: &[u8]) {
    // SAFETY: the buffer is as long as the call is told.
    let sent = unsafe { libc::write(socket.as_raw_fd(), frame.as_ptr().cast(), frame.len()) };
    assert_eq!(sent, frame.len() as isize);
}

/// The next frame of ours from a socket of [`packet_socket`], in two seconds.
pub(crate) fn receive(socket: &OwnedFd) -> Vec<u8> {
    let mut bytes = [0_u8; 2048];
    loop {
        assert!(readable(socket.as_raw_fd()));
        // SAFETY: the buffer is as long as the call is told.
        let len = unsafe { libc::read(socket.as_raw_fd(), bytes.as_mut_ptr().cast(), 2048) };
        if bytes[12..14] == EXPERIMENT {
            return bytes[..len as usize].to_vec();
        }
    }
}
