//! The system calls that make a TAP device.
//!
//! Source: Documentation/networking/tuntap.rst.
#![expect(unsafe_code, reason = "devices are made through ioctl")]

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicBool, Ordering};

use libc::c_ulong;

use super::TapSpec;
use crate::handover::{Descriptors, Kind};
use crate::interface::{self, Interface, flags};
use crate::port::{DeviceCounters, LinkState, PortError};

const TUN: &str = "/dev/net/tun";

/// A TAP device and its kernel end, both in the device's namespace.
pub(super) struct Device {
    tun: File,
    peer: Interface,
    /// Reading or writing has said that the kernel's end has been deleted.
    gone: AtomicBool,
}

impl Device {
    pub(super) fn open(spec: &TapSpec) -> Result<Self, PortError> {
        interface::within(spec.netns.as_deref(), || Self::open_here(spec))
    }

    /// As another process has opened it.
    pub(super) fn handed(
        spec: &TapSpec,
        descriptors: &mut Descriptors<'_>,
    ) -> Result<Self, PortError> {
        let tun = descriptors.next(Kind::Tap)?.into();
        let peer = Interface::handed(&spec.to_string(), &spec.name, descriptors)?;
        let device = Self { tun, peer, gone: AtomicBool::new(false) };
        let mut request = device.peer.request();
        let kind = interface::ioctl(device.tun.as_fd(), libc::TUNGETIFF, &mut request);
        let wanted = flags(libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR);
        // SAFETY: TUNGETIFF has just filled in this member, and any bits are a valid one.
        let is_tap = || unsafe { request.ifr_ifru.ifru_flags } & wanted == wanted & !flags(libc::IFF_VNET_HDR);
        match kind {
            Ok(()) if is_tap() => Ok(device),
            // One that has vanished meanwhile.
            Err(error) if error.raw_os_error() == Some(libc::EBADFD) => Ok(device),
            _ => Err(descriptors.refused(Kind::Tap)),
        }
    }

    /// What [`Device::handed`] takes.
    pub(super) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        [self.tun.as_fd()].into_iter().chain(self.peer.descriptors()).collect()
    }

    /// Sets the MTU of the kernel's end, and brings it up. Needs `CAP_NET_ADMIN`.
    pub(super) fn configure(&self, mtu: u16) -> Result<(), PortError> {
        self.peer.set_mtu(mtu)?;
        self.peer.set_up()
    }

    fn open_here(spec: &TapSpec) -> Result<Self, PortError> {
        let tun = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(TUN)
            .map_err(|source| PortError::Io { path: TUN.to_owned(), source })?;
        let peer = Interface::open(spec.to_string(), &spec.name)?;
        let device = Self { tun, peer, gone: AtomicBool::new(false) };

        let mut request = device.peer.request();
        request.ifr_ifru.ifru_flags = flags(libc::IFF_TAP | libc::IFF_NO_PI);
        interface::ioctl(device.tun.as_fd(), libc::TUNSETIFF, &mut request)
            .map_err(device.peer.failed("TUNSETIFF"))?;
        // No checksum or segmentation offload: frames come and go as on a wire.
        device.set(libc::TUNSETOFFLOAD, 0, "TUNSETOFFLOAD")?;
        if spec.persist {
            device.set(libc::TUNSETPERSIST, 1, "TUNSETPERSIST")?;
        }
        if let Some(mac) = spec.peer {
            device.peer.set_mac(mac)?;
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
        let asked = interface::ioctl(self.tun.as_fd(), libc::TUNGETIFF, &mut self.peer.request());
        let gone = asked.is_err_and(|error| error.raw_os_error() == Some(libc::EBADFD));
        // A reader may note late what was true of the device before this one: the kernel knows.
        self.gone.store(gone, Ordering::Relaxed);
        match gone {
            true => LinkState::Gone,
            false if self.peer.is_running() => LinkState::Up,
            false => LinkState::Down,
        }
    }

    /// What the kernel has counted since it made the device: what it sends, the port receives, and
    /// the other way about. One thread at a time may ask.
    pub(super) fn counters(&self) -> DeviceCounters {
        let counts = self.peer.statistics();
        DeviceCounters {
            missed: counts.tx_dropped,
            no_buffer: 0,
            rx_errors: counts.tx_errors,
            tx_errors: counts.rx_errors,
        }
    }

    /// Lets the descriptors of this one, which is gone, lead to `fresh`: whoever polls them goes on.
    pub(super) fn replace(&self, fresh: &Self) -> Result<(), PortError> {
        self.peer.move_to(&fresh.peer)?;
        interface::replace(self.tun.as_fd(), fresh.tun.as_fd())
            .map_err(self.peer.failed("dup3"))?;
        self.gone.store(false, Ordering::Relaxed);
        Ok(())
    }

    fn set(&self, code: c_ulong, value: c_ulong, what: &'static str) -> Result<(), PortError> {
        // SAFETY: the codes set with take a number and touch no memory of ours.
        match unsafe { libc::ioctl(self.tun.as_raw_fd(), code, value) } {
            0.. => Ok(()),
            _ => Err(self.peer.failed(what)(io::Error::last_os_error())),
        }
    }
}
