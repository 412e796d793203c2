//! Other processes, and that they have ended.
//!
//! A process that this one has not started is known by a descriptor (pidfd), which never becomes
//! that of another process, as a number may.
#![allow(unsafe_code, reason = "opens, signals and waits for processes by descriptors")]

use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};

/// That a process has ended, and how if this process may know: its parent does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended(Option<ExitStatus>);

impl From<ExitStatus> for Ended {
    fn from(status: ExitStatus) -> Self {
        Self(Some(status))
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(status) => status.fmt(f),
            None => f.write_str("has ended"),
        }
    }
}

/// A process, started by this one or not.
#[derive(Debug)]
pub enum Process {
    /// One that this process has started.
    Child(Child),
    /// One that somebody else has started.
    Other(Handle),
}

/// What a process is known by that somebody else may have started.
#[derive(Debug)]
pub struct Handle {
    fd: OwnedFd,
    pid: u32,
}

impl Handle {
    /// The process that has sent `fd` ([`own_handle`]), whose number is `pid`.
    ///
    /// # Errors
    /// `fd` is no process.
    pub fn new(fd: OwnedFd, pid: u32) -> io::Result<Self> {
        // Nothing is sent, but the descriptor is looked at.
        match signal(fd.as_raw_fd(), 0) {
            Err(error) if error.raw_os_error() != Some(libc::ESRCH) => Err(error),
            _ => Ok(Self { fd, pid }),
        }
    }
}

/// A descriptor of this process, for another one.
///
/// # Errors
/// The system has none.
pub fn own_handle() -> io::Result<OwnedFd> {
    open(std::process::id())
}

fn open(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: a system call on numbers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = RawFd::try_from(fd).map_err(io::Error::other)?;
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just returned this descriptor; nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

impl Process {
    /// Its number.
    #[must_use]
    pub fn id(&self) -> u32 {
        match self {
            Self::Child(child) => child.id(),
            Self::Other(other) => other.pid,
        }
    }

    /// Ends it at once, should it not have ended.
    pub fn kill(&mut self) {
        // One that has ended cannot be ended, and one of another user is waited for.
        match self {
            Self::Child(child) => drop(child.kill()),
            Self::Other(other) => drop(signal(other.fd.as_raw_fd(), libc::SIGKILL)),
        }
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> Ended {
        match self {
            // One that cannot be waited for has been.
            Self::Child(child) => Ended(child.wait().ok()),
            Self::Other(other) => {
                wait(other.fd.as_raw_fd());
                Ended(status(other.fd.as_raw_fd()))
            }
        }
    }
}

fn signal(fd: RawFd, signal: i32) -> io::Result<()> {
    let none = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: a system call on numbers; there is no further information.
    let done = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, signal, none, 0) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn wait(fd: RawFd) {
    let mut one = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: `one` is exclusively borrowed for the whole call.
    while unsafe { libc::poll(&raw mut one, 1, -1) } <= 0 {
        // A signal, or the system has no memory just now.
        std::thread::yield_now();
    }
}

/// How it has ended, if this process is its parent all the same: one that has become another program
/// stays the parent of what it has started.
fn status(fd: RawFd) -> Option<ExitStatus> {
    // SAFETY: a siginfo is integers and pointers; all zeroes is a valid value.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let id = libc::id_t::try_from(fd).ok()?;
    let flags = libc::WEXITED | libc::WNOHANG;
    // SAFETY: `info` is exclusively borrowed for the whole call.
    if unsafe { libc::waitid(libc::P_PIDFD, id, &raw mut info, flags) } != 0 {
        return None;
    }
    // SAFETY: the call has filled it for a child.
    let status = unsafe { info.si_status() };
    match info.si_code {
        libc::CLD_EXITED => Some(ExitStatus::from_raw((status & 0xff) << 8)),
        libc::CLD_KILLED => Some(ExitStatus::from_raw(status)),
        libc::CLD_DUMPED => Some(ExitStatus::from_raw(status | 0x80)),
        _ => None,
    }
}

#[cfg(all(test, not(miri)))]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_process_is_ended_and_waited_for_by_its_descriptor() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let pid = child.id();
        let mut process = Process::Other(Handle::new(open(pid).unwrap(), pid).unwrap());
        assert_eq!(process.id(), pid);
        process.kill();
        let ended = process.wait();
        assert_eq!(ended, ExitStatus::from_raw(9).into());
        assert!(ended.to_string().contains("signal: 9"), "{ended}");
        // It has been waited for: nobody knows how it ended any more.
        assert_eq!(process.wait().to_string(), "has ended");
        assert!(child.wait().is_err());
    }

    #[test]
    fn what_is_no_process_is_none() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(Handle::new(file.into(), 1).is_err());
        let own = Handle::new(own_handle().unwrap(), std::process::id()).unwrap();
        assert_eq!(Process::Other(own).id(), std::process::id());
    }
}
