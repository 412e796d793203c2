//! An interface of the kernel's: found in its network namespace, asked and set through ioctl.
//!
//! Source: netdevice(7), network_namespaces(7).
#![expect(unsafe_code, reason = "interfaces are asked and set through ioctl")]

#[cfg(test)]
pub(crate) mod rig;
mod statistics;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use libc::{c_int, c_short, c_ulong, ifreq};

use crate::handover::{Descriptors, Kind};
use crate::port::PortError;
pub(crate) use statistics::Statistics;

/// Longest interface name, bytes.
const LONGEST_NAME: usize = 15;

/// Reads `NAME[@NETNS]`: names of an interface and of a network namespace.
pub(crate) fn name_and_netns(text: &str) -> Result<(String, Option<String>), &'static str> {
    let (name, netns) = text.split_once('@').map_or((text, None), |(n, s)| (n, Some(s)));
    let bad_char = |c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control();
    if name.is_empty() || name.len() > LONGEST_NAME || name.contains(bad_char) {
        return Err("needs an interface name of 1 to 15 characters, without / and :");
    }
    // The kernel takes a percent sign for a pattern, and the dots for directories.
    if name.contains('%') || name == "." || name == ".." {
        return Err("the kernel takes no such interface name");
    }
    if netns.is_some_and(|netns| netns.is_empty() || netns.contains(bad_char)) {
        return Err("needs the name of a network namespace behind @");
    }
    Ok((name.to_owned(), netns.map(str::to_owned)))
}

/// Runs `open` in the network namespace called `netns`, or in ours. What it opens stays there.
pub(crate) fn within<T: Send>(
    netns: Option<&str>,
    open: impl FnOnce() -> Result<T, PortError> + Send,
) -> Result<T, PortError> {
    let Some(netns) = netns else { return open() };
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
        open()
    };
    std::thread::scope(|scope| match scope.spawn(there).join() {
        Ok(opened) => opened,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// Lets the number of `old` lead to what `fresh` leads to: whoever uses the number goes on.
pub(crate) fn replace(old: BorrowedFd<'_>, fresh: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: takes two descriptors that stay open over the call; the file that the second one led
    // to is closed when the last call that uses it has returned.
    match unsafe { libc::dup3(fresh.as_raw_fd(), old.as_raw_fd(), libc::O_CLOEXEC) } {
        0.. => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A way to ask for, and set, the interface of some name. It need not be there.
pub(crate) struct Interface {
    control: OwnedFd,
    statistics: File,
    name: String,
    port: String,
}

impl Interface {
    /// In the network namespace of this thread. Errors are about `port`.
    pub(crate) fn open(port: String, name: &str) -> Result<Self, PortError> {
        // SAFETY: socket takes no pointers.
        let control =
            unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
        if control < 0 {
            let reason = io::Error::last_os_error().to_string();
            return Err(PortError::Device { port, what: "socket", reason });
        }
        // SAFETY: the descriptor was made just now and belongs to nobody else.
        let control = unsafe { OwnedFd::from_raw_fd(control) };
        let statistics = File::open(statistics::FILE)
            .map_err(|source| PortError::Io { path: statistics::FILE.to_owned(), source })?;
        Ok(Self { control, statistics, name: name.to_owned(), port })
    }

    /// As another process has opened it for `port`.
    pub(crate) fn handed(
        port: &str,
        name: &str,
        descriptors: &mut Descriptors<'_>,
    ) -> Result<Self, PortError> {
        let control = descriptors.next(Kind::Control)?;
        let statistics = descriptors.next(Kind::Statistics)?.into();
        Ok(Self { control, statistics, name: name.to_owned(), port: port.to_owned() })
    }

    /// What [`Interface::handed`] takes.
    pub(crate) fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [self.control.as_fd(), self.statistics.as_fd()]
    }

    /// Asks in the namespace of `fresh` from now on.
    pub(crate) fn move_to(&self, fresh: &Self) -> Result<(), PortError> {
        replace(self.control.as_fd(), fresh.control.as_fd())
            .and_then(|()| replace(self.statistics.as_fd(), fresh.statistics.as_fd()))
            .map_err(self.failed("dup3"))
    }

    /// Its number.
    pub(crate) fn index(&self) -> io::Result<c_int> {
        let request = self.get(libc::SIOCGIFINDEX)?;
        // SAFETY: SIOCGIFINDEX has just filled in this member, and any bits are a valid one.
        Ok(unsafe { request.ifr_ifru.ifru_ifindex })
    }

    /// Its MAC address; `None` when it is no Ethernet interface.
    pub(crate) fn mac(&self) -> io::Result<Option<[u8; 6]>> {
        let request = self.get(libc::SIOCGIFHWADDR)?;
        // SAFETY: SIOCGIFHWADDR has just filled in this member, and any bits are a valid one.
        let address = unsafe { request.ifr_ifru.ifru_hwaddr };
        let [a, b, c, d, e, f, ..] = address.sa_data.map(i8::cast_unsigned);
        Ok((address.sa_family == libc::ARPHRD_ETHER).then_some([a, b, c, d, e, f]))
    }

    /// Its MTU, bytes of IP.
    pub(crate) fn mtu(&self) -> io::Result<usize> {
        let request = self.get(libc::SIOCGIFMTU)?;
        // SAFETY: SIOCGIFMTU has just filled in this member, and any bits are a valid one.
        Ok(usize::try_from(unsafe { request.ifr_ifru.ifru_mtu }).unwrap_or(0))
    }

    /// True while it is up and has a carrier.
    pub(crate) fn is_running(&self) -> bool {
        let running = flags(libc::IFF_UP | libc::IFF_RUNNING);
        self.get(libc::SIOCGIFFLAGS)
            // SAFETY: SIOCGIFFLAGS has just filled in this member, and any bits are a valid one.
            .is_ok_and(|request| unsafe { request.ifr_ifru.ifru_flags } & running == running)
    }

    /// Its speed, bits per second; 0 when it does not know one.
    pub(crate) fn bits_per_second(&self) -> u64 {
        let mut settings = EthtoolSettings { command: ETHTOOL_GSET, ..EthtoolSettings::default() };
        let mut request = self.request();
        request.ifr_ifru.ifru_data = (&raw mut settings).cast();
        if self.ask(libc::SIOCETHTOOL, &mut request).is_err() {
            return 0;
        }
        match u32::from(settings.speed_high) << 16 | u32::from(settings.speed) {
            u32::MAX | 0xffff => 0,
            megabits => u64::from(megabits) * 1_000_000,
        }
    }

    /// What the kernel has counted since it made the interface; zeros while there is none. One
    /// thread at a time may ask.
    pub(crate) fn statistics(&self) -> Statistics {
        statistics::read(&self.statistics, &self.name).unwrap_or_default()
    }

    /// Sets its MTU, bytes of IP.
    pub(crate) fn set_mtu(&self, mtu: u16) -> Result<(), PortError> {
        let mut request = self.request();
        request.ifr_ifru.ifru_mtu = c_int::from(mtu);
        self.ask(libc::SIOCSIFMTU, &mut request).map_err(self.failed("SIOCSIFMTU"))
    }

    /// Sets its MAC address.
    pub(crate) fn set_mac(&self, mac: [u8; 6]) -> Result<(), PortError> {
        let mut request = self.request();
        let mut address = libc::sockaddr { sa_family: libc::ARPHRD_ETHER, sa_data: [0; 14] };
        for (to, byte) in address.sa_data.iter_mut().zip(mac) {
            *to = byte.cast_signed();
        }
        request.ifr_ifru.ifru_hwaddr = address;
        self.ask(libc::SIOCSIFHWADDR, &mut request).map_err(self.failed("SIOCSIFHWADDR"))
    }

    /// Brings it up.
    pub(crate) fn set_up(&self) -> Result<(), PortError> {
        let mut request = self.get(libc::SIOCGIFFLAGS).map_err(self.failed("SIOCGIFFLAGS"))?;
        // SAFETY: SIOCGIFFLAGS has just filled in this member, and any bits are a valid one.
        unsafe { request.ifr_ifru.ifru_flags |= flags(libc::IFF_UP) };
        self.ask(libc::SIOCSIFFLAGS, &mut request).map_err(self.failed("SIOCSIFFLAGS"))
    }

    /// A request about it.
    pub(crate) fn request(&self) -> ifreq {
        // SAFETY: an ifreq is plain integers and pointers that nobody follows; zero is valid.
        let mut request: ifreq = unsafe { std::mem::zeroed() };
        // The name is shorter than the field, so a zero stays behind it.
        for (to, byte) in request.ifr_name.iter_mut().zip(self.name.bytes().take(LONGEST_NAME)) {
            *to = byte.cast_signed();
        }
        request
    }

    /// The error of this port when `what` has failed.
    pub(crate) fn failed(&self, what: &'static str) -> impl Fn(io::Error) -> PortError {
        move |error| PortError::Device { port: self.port.clone(), what, reason: error.to_string() }
    }

    /// The port that this is about.
    pub(crate) fn port(&self) -> &str {
        &self.port
    }

    fn get(&self, code: c_ulong) -> io::Result<ifreq> {
        let mut request = self.request();
        self.ask(code, &mut request).map(|()| request)
    }

    fn ask(&self, code: c_ulong, request: &mut ifreq) -> io::Result<()> {
        ioctl(self.control.as_fd(), code, request)
    }
}

/// A request about an interface, made through `fd`.
pub(crate) fn ioctl(fd: BorrowedFd<'_>, code: c_ulong, request: &mut ifreq) -> io::Result<()> {
    // SAFETY: all codes asked with take a pointer to an ifreq, which `request` is; that of
    // SIOCETHTOOL points at the settings that its command fills in.
    match unsafe { libc::ioctl(fd.as_raw_fd(), code, std::ptr::from_mut(request)) } {
        0.. => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Interface flags as the kernel's structure holds them.
#[expect(clippy::cast_possible_truncation, reason = "the field is 16 bits wide, the flags fit")]
pub(crate) const fn flags(bits: c_int) -> c_short {
    bits as c_short
}

/// Asks for [`EthtoolSettings`] (`linux/ethtool.h`).
const ETHTOOL_GSET: u32 = 1;

/// `struct ethtool_cmd`; the speed is megabits per second in two halves.
#[repr(C)]
#[derive(Default)]
struct EthtoolSettings {
    command: u32,
    _modes: [u32; 2],
    speed: u16,
    _transceiver: [u8; 6],
    _coalescing: [u32; 2],
    speed_high: u16,
    _crossover: [u8; 2],
    _partner_and_reserve: [u32; 3],
}
