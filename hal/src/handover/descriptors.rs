//! Descriptors from another process, looked at before they are used.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{FileType, OFlags, PROC_SUPER_MAGIC, fcntl_getfl, fstat, fstatfs, major, minor};
use rustix::net::sockopt::{socket_domain, socket_type};
use rustix::net::{AddressFamily, SocketType};

use crate::port::PortError;

/// The character device that TAPs are made through (Documentation/admin-guide/devices.txt).
const TUN: (u32, u32) = (10, 200);

/// What a descriptor should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A TAP device that does not block.
    Tap,
    /// A socket that interfaces are asked through.
    Control,
    /// A file of `/proc` that can be read.
    Statistics,
    /// A packet socket.
    Packet,
    /// Any device that is handed over.
    Device,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Tap => "TAP device",
            Self::Control => "socket for interfaces",
            Self::Statistics => "file of /proc",
            Self::Packet => "packet socket",
            Self::Device => "device that is handed over",
        }
    }

    fn is(self, fd: &OwnedFd) -> io::Result<bool> {
        Ok(match self {
            Self::Tap => {
                let facts = fstat(fd)?;
                let number = (major(facts.st_rdev), minor(facts.st_rdev));
                let wanted = OFlags::RDWR | OFlags::NONBLOCK;
                FileType::from_raw_mode(facts.st_mode) == FileType::CharacterDevice
                    && number == TUN
                    && fcntl_getfl(fd)?.contains(wanted)
            }
            Self::Control => is_socket(fd, AddressFamily::INET, SocketType::DGRAM)?,
            Self::Statistics => {
                let is_file = FileType::from_raw_mode(fstat(fd)?.st_mode) == FileType::RegularFile;
                is_file && fstatfs(fd)?.f_type == PROC_SUPER_MAGIC
            }
            Self::Packet => {
                is_socket(fd, AddressFamily::PACKET, SocketType::RAW)?
                    && fcntl_getfl(fd)?.contains(OFlags::NONBLOCK)
            }
            Self::Device => false,
        })
    }
}

fn is_socket(fd: &OwnedFd, domain: AddressFamily, kind: SocketType) -> io::Result<bool> {
    Ok(socket_domain(fd)? == domain && socket_type(fd)? == kind)
}

/// Descriptors of one device, in the order that its port takes them.
pub struct Descriptors<'a> {
    port: &'a str,
    rest: std::vec::IntoIter<OwnedFd>,
}

impl<'a> Descriptors<'a> {
    /// Those of the device behind `port`.
    #[must_use]
    pub fn new(port: &'a str, all: Vec<OwnedFd>) -> Self {
        Self { port, rest: all.into_iter() }
    }

    /// The next one, which is what it should be.
    pub(crate) fn next(&mut self, kind: Kind) -> Result<OwnedFd, PortError> {
        // What cannot be asked is not it either.
        let next = self.rest.next().filter(|fd| kind.is(fd).unwrap_or(false));
        next.ok_or_else(|| self.refused(kind))
    }

    /// How many there still are.
    pub(crate) fn len(&self) -> usize {
        self.rest.len()
    }

    /// None is left over.
    ///
    /// # Errors
    /// One is.
    pub fn end(&self) -> Result<(), PortError> {
        if self.len() == 0 { Ok(()) } else { Err(self.refused(Kind::Device)) }
    }

    /// One is not what it should be.
    pub(crate) fn refused(&self, kind: Kind) -> PortError {
        PortError::Descriptor { port: self.port.to_owned(), wanted: kind.name() }
    }
}
