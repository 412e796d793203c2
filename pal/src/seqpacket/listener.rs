//! Where lines to other processes begin.

use std::ffi::c_int;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use super::SeqPacket;

/// A name in the file system that others connect to.
#[derive(Debug)]
pub struct Listener(OwnedFd);

impl From<Listener> for OwnedFd {
    fn from(listener: Listener) -> Self {
        listener.0
    }
}

impl Listener {
    /// The name `path`, which nobody has yet. Nobody can connect before [`listen`](Self::listen).
    ///
    /// # Errors
    /// It cannot be had.
    pub fn bind(path: &Path) -> io::Result<Self> {
        let fd = socket(libc::SOCK_NONBLOCK)?;
        // SAFETY: `address` is exclusively borrowed for the whole call.
        with_address(path, |address, len| unsafe { libc::bind(fd.as_raw_fd(), address, len) })?;
        Ok(Self(fd))
    }

    /// The one that is open as `fd`, which another process may have bound.
    #[must_use]
    pub const fn from_fd(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// A second handle of the same, for another process.
    ///
    /// # Errors
    /// The system has no descriptors.
    pub fn try_clone(&self) -> io::Result<OwnedFd> {
        self.0.try_clone()
    }

    /// Lets others connect.
    ///
    /// # Errors
    /// It is no such socket.
    pub fn listen(&self) -> io::Result<()> {
        // SAFETY: a system call on numbers.
        done(unsafe { libc::listen(self.0.as_raw_fd(), 4) })
    }

    /// Whether somebody connects within `patience`.
    #[must_use]
    pub fn wait(&self, patience: Duration) -> bool {
        super::is_ready(&self.0, patience)
    }

    /// Who has connected, if anybody has, with the user of its process. Does not wait.
    ///
    /// # Errors
    /// The system does not do it.
    pub fn accept(&self) -> io::Result<Option<(SeqPacket, u32)>> {
        let (no_address, no_len) = (std::ptr::null_mut(), std::ptr::null_mut());
        let flags = libc::SOCK_CLOEXEC;
        // SAFETY: nothing is written where nothing is pointed to.
        let fd = unsafe { libc::accept4(self.0.as_raw_fd(), no_address, no_len, flags) };
        if fd < 0 {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionAborted => Ok(None),
                _ => Err(error),
            };
        }
        // SAFETY: the kernel just returned this descriptor; nobody else knows it.
        let line = SeqPacket(unsafe { OwnedFd::from_raw_fd(fd) });
        let uid = peer_uid(fd)?;
        Ok(Some((line, uid)))
    }
}

impl SeqPacket {
    /// A line to who listens at `path`.
    ///
    /// # Errors
    /// Nobody does.
    pub fn connect(path: &Path) -> io::Result<Self> {
        let fd = socket(0)?;
        // SAFETY: `address` is exclusively borrowed for the whole call.
        with_address(path, |address, len| unsafe { libc::connect(fd.as_raw_fd(), address, len) })?;
        Ok(Self(fd))
    }
}

fn done(result: c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn socket(flags: c_int) -> io::Result<OwnedFd> {
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC | flags;
    // SAFETY: a system call on numbers.
    let fd = unsafe { libc::socket(libc::AF_UNIX, kind, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just returned this descriptor; nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Calls the system with an address.
fn with_address(
    path: &Path,
    call: impl FnOnce(*const libc::sockaddr, libc::socklen_t) -> c_int,
) -> io::Result<()> {
    // SAFETY: a sockaddr_un is integers only; all zeroes is a valid value.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    let family = libc::sa_family_t::try_from(libc::AF_UNIX).map_err(io::Error::other)?;
    address.sun_family = family;
    let path = path.as_os_str().as_bytes();
    // A zero stays behind it.
    if path.len() >= address.sun_path.len() || path.contains(&0) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "its path is too long for a socket",
        ));
    }
    address.sun_path.iter_mut().zip(path).for_each(|(to, from)| *to = from.cast_signed());
    let len =
        libc::socklen_t::try_from(size_of::<libc::sockaddr_un>()).map_err(io::Error::other)?;
    done(call((&raw const address).cast(), len))
}

fn peer_uid(fd: RawFd) -> io::Result<u32> {
    let mut peer = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let mut len = libc::socklen_t::try_from(size_of::<libc::ucred>()).map_err(io::Error::other)?;
    let (level, what) = (libc::SOL_SOCKET, libc::SO_PEERCRED);
    // SAFETY: `peer` has room for `len` bytes, and both are exclusively borrowed for the whole call.
    done(unsafe { libc::getsockopt(fd, level, what, (&raw mut peer).cast(), &raw mut len) })?;
    Ok(peer.uid)
}

#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;

    #[test]
    fn who_connects_is_known_by_its_user_and_nobody_connects_before_somebody_listens() {
        let path = std::env::temp_dir().join(format!("qfp-listener-{}", std::process::id()));
        let listener = Listener::bind(&path).unwrap();
        assert!(SeqPacket::connect(&path).is_err());
        listener.listen().unwrap();
        assert!(listener.accept().unwrap().is_none());
        let ours = SeqPacket::connect(&path).unwrap();
        let (theirs, uid) = listener.accept().unwrap().unwrap();
        // SAFETY: a system call on nothing.
        assert_eq!(uid, unsafe { libc::geteuid() });
        ours.send(b"hello", &[]).unwrap();
        assert_eq!(theirs.receive().unwrap().unwrap().0, b"hello");
        drop(listener);
        assert!(SeqPacket::connect(&path).is_err(), "the name alone is nobody");
        std::fs::remove_file(&path).unwrap();
        let long = std::env::temp_dir().join("x".repeat(200));
        assert!(Listener::bind(&long).is_err());
    }
}
