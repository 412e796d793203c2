//! The system calls that make a TAP device and set its kernel end.
//!
//! Source: Documentation/networking/tuntap.rst and netdevice(7).
#![expect(unsafe_code, reason = "devices are configured through ioctl")]

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicBool, Ordering};

use libc::{c_int, c_short, c_ulong, ifreq};

use super::{TapSpec, statistics};
use crate::port::{DeviceCounters, LinkState, PortError};

const TUN: &str = "/dev/net/tun";

/// A TAP device and a socket to set its kernel end with, both in the device's namespace.
pub(super) struct Device {
    tun: File,
    control: OwnedFd,
    statistics: File,
    name: String,
    /// Reading or writing has said that the kernel's end has been deleted.
    gone: AtomicBool,
}

impl Device {
    pub(super) fn open(spec: &TapSpec) -> Result<Self, PortError> {
        let Some(netns) = &spec.netns else { return Self::open_here(spec) };
        // Descriptors stay in the namespace they were made in, so a thread that goes there, makes
        // them and ends leaves everybody else where they were.
        let path = format!("/run/netns/{netns}");
        let there = || {
            let failed = |source| PortError::Io { path: path.clone(), source };
            let namespace = File::open(&path).map_err(failed)?;
            // SAFETY: setns takes a descriptor, which `namespace` keeps open, and changes nothing
            // but the calling thread.
            let done = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) };
            if done != 0 {
                return Err(failed(io::Error::last_os_error()));
            }
            Self::open_here(spec)
        };
        std::thread::scope(|scope| match scope.spawn(there).join() {
            Ok(device) => device,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    }

    fn open_here(spec: &TapSpec) -> Result<Self, PortError> {
        let tun = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(TUN)
            .map_err(|source| PortError::Io { path: TUN.to_owned(), source })?;
        // SAFETY: socket takes no pointers.
        let control =
            unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
        if control < 0 {
            return Err(error(spec, "socket"));
        }
        // SAFETY: the descriptor was made just now and belongs to nobody else.
        let control = unsafe { OwnedFd::from_raw_fd(control) };
        let statistics = File::open(statistics::FILE)
            .map_err(|source| PortError::Io { path: statistics::FILE.to_owned(), source })?;
        let (name, gone) = (spec.name.clone(), AtomicBool::new(false));
        let device = Self { tun, control, statistics, name, gone };
        let fd = device.tun.as_raw_fd();

        let mut request = device.request();
        request.ifr_ifru.ifru_flags = flags(libc::IFF_TAP | libc::IFF_NO_PI);
        device.ask(fd, libc::TUNSETIFF, &mut request, "TUNSETIFF")?;
        // No checksum or segmentation offload: frames come and go as on a wire.
        device.set(fd, libc::TUNSETOFFLOAD, 0, "TUNSETOFFLOAD")?;
        if spec.persist {
            device.set(fd, libc::TUNSETPERSIST, 1, "TUNSETPERSIST")?;
        }
        if let Some(mac) = spec.peer {
            device.set_peer_mac(mac)?;
        }
        Ok(device)
    }

    /// The descriptor that frames are read from and written to, non-blocking. Its number stays.
    pub(super) fn tun(&self) -> &File {
        &self.tun
    }

    /// The next frame, into `room`; its length. None when there is none, as for a device that is
    /// gone.
    pub(super) fn read(&self, room: &mut [u8]) -> Option<usize> {
        if self.is_gone() {
            return None;
        }
        (&self.tun).read(room).map_err(|error| self.note(&error)).ok()
    }

    /// Sends a frame; whether the kernel took it.
    pub(super) fn write(&self, frame: &[u8]) -> bool {
        !self.is_gone() && (&self.tun).write(frame).map_err(|error| self.note(&error)).is_ok()
    }

    /// True while the device is known to be gone.
    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    fn note(&self, error: &io::Error) {
        if error.raw_os_error() == Some(libc::EBADFD) {
            self.gone.store(true, Ordering::Relaxed);
        }
    }

    /// Asks the kernel whether the device is there.
    pub(super) fn state(&self) -> LinkState {
        let asked = control(self.tun.as_raw_fd(), libc::TUNGETIFF, &mut self.request());
        let gone = asked.is_err_and(|error| error.raw_os_error() == Some(libc::EBADFD));
        // A reader may note late what was true of the device before this one: the kernel knows.
        self.gone.store(gone, Ordering::Relaxed);
        match gone {
            true => LinkState::Gone,
            false if self.is_running() => LinkState::Up,
            false => LinkState::Down,
        }
    }

    /// What the kernel has counted since it made the device. One thread at a time may ask.
    pub(super) fn counters(&self) -> DeviceCounters {
        statistics::read(&self.statistics, &self.name).unwrap_or_default()
    }

    /// Makes a device like the one that is gone, and lets the descriptors of that one lead to it:
    /// whoever polls them goes on.
    pub(super) fn reopen(&self, spec: &TapSpec, mtu: u16) -> Result<(), PortError> {
        let fresh = Self::open(spec)?;
        fresh.set_mtu(mtu)?;
        fresh.set_up()?;
        for (from, to) in [
            (fresh.control.as_raw_fd(), self.control.as_raw_fd()),
            (fresh.tun.as_raw_fd(), self.tun.as_raw_fd()),
            (fresh.statistics.as_raw_fd(), self.statistics.as_raw_fd()),
        ] {
            // SAFETY: takes two descriptors that stay open over the call; the file that the second
            // one led to is closed when the last call that uses it has returned.
            if unsafe { libc::dup3(from, to, libc::O_CLOEXEC) } < 0 {
                return Err(self.error("dup3"));
            }
        }
        self.gone.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Sets the MTU of the kernel's end, bytes of IP.
    pub(super) fn set_mtu(&self, mtu: u16) -> Result<(), PortError> {
        let mut request = self.request();
        request.ifr_ifru.ifru_mtu = c_int::from(mtu);
        self.ask(self.control.as_raw_fd(), libc::SIOCSIFMTU, &mut request, "SIOCSIFMTU")
    }

    /// Brings the kernel's end up.
    pub(super) fn set_up(&self) -> Result<(), PortError> {
        let fd = self.control.as_raw_fd();
        let mut request = self.request();
        self.ask(fd, libc::SIOCGIFFLAGS, &mut request, "SIOCGIFFLAGS")?;
        // SAFETY: SIOCGIFFLAGS has just filled in this member, and any bits are a valid one.
        unsafe { request.ifr_ifru.ifru_flags |= flags(libc::IFF_UP) };
        self.ask(fd, libc::SIOCSIFFLAGS, &mut request, "SIOCSIFFLAGS")
    }

    /// True while the kernel's end is up.
    fn is_running(&self) -> bool {
        let fd = self.control.as_raw_fd();
        let mut request = self.request();
        let running = flags(libc::IFF_UP | libc::IFF_RUNNING);
        self.ask(fd, libc::SIOCGIFFLAGS, &mut request, "SIOCGIFFLAGS").is_ok()
            // SAFETY: SIOCGIFFLAGS has just filled in this member, and any bits are a valid one.
            && unsafe { request.ifr_ifru.ifru_flags } & running == running
    }

    fn set_peer_mac(&self, mac: [u8; 6]) -> Result<(), PortError> {
        let mut request = self.request();
        let mut address = libc::sockaddr { sa_family: libc::ARPHRD_ETHER, sa_data: [0; 14] };
        for (to, byte) in address.sa_data.iter_mut().zip(mac) {
            *to = byte.cast_signed();
        }
        request.ifr_ifru.ifru_hwaddr = address;
        self.ask(self.control.as_raw_fd(), libc::SIOCSIFHWADDR, &mut request, "SIOCSIFHWADDR")
    }

    /// A request about this device.
    fn request(&self) -> ifreq {
        // SAFETY: an ifreq is plain integers and pointers that nobody follows; zero is valid.
        let mut request: ifreq = unsafe { std::mem::zeroed() };
        // The name is shorter than the field, so a zero stays behind it.
        for (to, byte) in request.ifr_name.iter_mut().zip(self.name.bytes().take(15)) {
            *to = byte.cast_signed();
        }
        request
    }

    fn ask(
        &self,
        fd: RawFd,
        code: c_ulong,
        request: &mut ifreq,
        what: &'static str,
    ) -> Result<(), PortError> {
        control(fd, code, request).map_err(|error| self.error_of(what, &error))
    }

    fn set(
        &self,
        fd: RawFd,
        code: c_ulong,
        value: c_ulong,
        what: &'static str,
    ) -> Result<(), PortError> {
        // SAFETY: the codes set with take a number and touch no memory of ours.
        match unsafe { libc::ioctl(fd, code, value) } {
            0.. => Ok(()),
            _ => Err(self.error(what)),
        }
    }

    fn error(&self, what: &'static str) -> PortError {
        self.error_of(what, &io::Error::last_os_error())
    }

    fn error_of(&self, what: &'static str, error: &io::Error) -> PortError {
        let reason = error.to_string();
        PortError::Device { port: format!("tap:{}", self.name), what, reason }
    }
}

/// A request about an interface.
fn control(fd: RawFd, code: c_ulong, request: &mut ifreq) -> io::Result<()> {
    // SAFETY: all codes asked with take a pointer to an ifreq, which `request` is.
    match unsafe { libc::ioctl(fd, code, std::ptr::from_mut(request)) } {
        0.. => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn error(spec: &TapSpec, what: &'static str) -> PortError {
    let reason = io::Error::last_os_error().to_string();
    PortError::Device { port: spec.to_string(), what, reason }
}

/// Interface flags as the kernel's structure holds them.
#[expect(clippy::cast_possible_truncation, reason = "the field is 16 bits wide, the flags fit")]
const fn flags(bits: c_int) -> c_short {
    bits as c_short
}
