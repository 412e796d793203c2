//! Devices that one process opens, and another one forwards with: the first has the rights to, the
//! second needs none.
//!
//! Who opens a device keeps it, so that it outlives who forwards: a TAP device stays, and so does
//! what waits in it and in the rings of packet sockets. What goes over is a [`Handed`] and
//! descriptors, which are looked at before anything is done with them.

mod descriptors;

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use serde::{Deserialize, Serialize};

use crate::packet_socket::{self, PacketPort};
use crate::port::{DeviceCounters, Port, PortConfig, PortError, PortInfo};
use crate::spec::Spec;
use crate::tap::{self, TapPort};
pub use descriptors::Descriptors;
pub(crate) use descriptors::Kind;

/// What is told of a device beside its descriptors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Handed {
    /// Its SPEC: the port opens it itself.
    Named(String),
    /// It is open.
    Open {
        /// What the port is.
        info: PortInfo,
        /// What the device is set to.
        config: PortConfig,
        /// What it had counted when it was opened.
        before: DeviceCounters,
        /// How many descriptors are its.
        descriptors: usize,
    },
}

impl Handed {
    /// Its SPEC.
    #[must_use]
    pub fn spec(&self) -> &str {
        match self {
            Self::Named(spec) => spec,
            Self::Open { info, .. } => &info.spec,
        }
    }

    /// How many descriptors go with it.
    #[must_use]
    pub const fn descriptors(&self) -> usize {
        match self {
            Self::Named(_) => 0,
            Self::Open { descriptors, .. } => *descriptors,
        }
    }

    /// The port over the device, with its descriptors from the front of `all`.
    ///
    /// # Errors
    /// The SPEC or a descriptor is not what it should be, or a device does not open.
    pub fn open(self, all: &mut impl Iterator<Item = OwnedFd>) -> Result<Box<dyn Port>, PortError> {
        let spec = Spec::parse(self.spec())?;
        let Self::Open { info, config, before, descriptors } = self else { return spec.open() };
        let port = info.spec.clone();
        let mut own = Descriptors::new(&port, all.take(descriptors).collect());
        let port: Box<dyn Port> = match &spec {
            Spec::Tap(spec) => Box::new(TapPort::handed(spec, (info, before), &mut own)?),
            Spec::Packet(spec) => {
                Box::new(PacketPort::handed(spec, (info, before), config, &mut own)?)
            }
            Spec::Pcap(_) | Spec::Synth(_) | Spec::Sink | Spec::Dpdk(_) => {
                return Err(own.refused(Kind::Device));
            }
        };
        own.end()?;
        Ok(port)
    }
}

enum Device {
    Tap(tap::Kept),
    Packet(packet_socket::Kept),
}

/// A device that this process keeps for a port in another one.
pub struct Kept {
    spec: Spec,
    config: PortConfig,
    before: DeviceCounters,
    opened: Option<(Device, PortInfo)>,
}

impl Kept {
    /// Opens it, and sets it to what its port is started with; devices that need no rights are left
    /// to the port. Fewer queues than `config` has are opened where the device has fewer.
    ///
    /// # Errors
    /// It does not open, or does not take the configuration.
    pub fn open(spec: Spec, config: &PortConfig) -> Result<Self, PortError> {
        let opened = open(&spec, config)?;
        let before = opened.as_ref().map(|(device, _)| device.counters()).unwrap_or_default();
        let mut config = config.clone();
        if let Some((_, info)) = &opened {
            config.rx_queues = config.rx_queues.min(info.max_rx_queues);
            config.tx_queues = config.tx_queues.min(info.max_tx_queues);
            // Also that of another interface which comes with the same name.
            config.mac = config.mac.or(info.mac);
        }
        Ok(Self { spec, config, before, opened })
    }

    /// The device that another process has kept, with its descriptors from the front of `all`.
    ///
    /// # Errors
    /// The SPEC or a descriptor is not what it should be.
    pub fn handed(
        handed: Handed,
        all: &mut impl Iterator<Item = OwnedFd>,
    ) -> Result<Self, PortError> {
        let spec = Spec::parse(handed.spec())?;
        let Handed::Open { info, config, before, descriptors } = handed else {
            let (config, before) = (PortConfig::default(), DeviceCounters::default());
            return Ok(Self { spec, config, before, opened: None });
        };
        let mut own = Descriptors::new(&info.spec, all.take(descriptors).collect());
        let device = match &spec {
            Spec::Tap(spec) => Device::Tap(tap::Kept::handed(spec, &mut own)?),
            Spec::Packet(spec) => {
                Device::Packet(packet_socket::Kept::handed(spec, &config, &mut own)?)
            }
            Spec::Pcap(_) | Spec::Synth(_) | Spec::Sink | Spec::Dpdk(_) => {
                return Err(own.refused(Kind::Device));
            }
        };
        own.end()?;
        Ok(Self { spec, config, before, opened: Some((device, info)) })
    }

    /// What goes to the other process, once and again: copies.
    ///
    /// # Errors
    /// This process has no more descriptors.
    pub fn hand(&self) -> io::Result<(Handed, Vec<OwnedFd>)> {
        let Some((device, info)) = &self.opened else {
            return Ok((Handed::Named(self.spec.to_string()), Vec::new()));
        };
        let all = device.descriptors();
        let copies = all.iter().map(|one| one.try_clone_to_owned()).collect::<io::Result<_>>()?;
        let (info, config, before) = (info.clone(), self.config.clone(), self.before);
        Ok((Handed::Open { info, config, before, descriptors: all.len() }, copies))
    }

    /// Whether its port opens it itself, and no other can meanwhile.
    #[must_use]
    pub const fn is_exclusive(&self) -> bool {
        matches!(self.spec, Spec::Dpdk(_))
    }

    /// Whether the device has vanished from the system.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.opened.as_ref().is_some_and(|(device, _)| device.is_gone())
    }

    /// Makes or opens it anew.
    ///
    /// # Errors
    /// As [`Kept::open`]. Another time it may be done.
    pub fn reopen(&mut self) -> Result<(), PortError> {
        if let (Some(opened), Some((device, _))) =
            (&mut self.opened, open(&self.spec, &self.config)?)
        {
            opened.0 = device;
            self.before = DeviceCounters::default();
        }
        Ok(())
    }
}

/// None for a device that its port opens itself.
fn open(spec: &Spec, config: &PortConfig) -> Result<Option<(Device, PortInfo)>, PortError> {
    Ok(match spec {
        Spec::Tap(spec) => {
            let (kept, info) = tap::Kept::open(spec, config)?;
            Some((Device::Tap(kept), info))
        }
        Spec::Packet(spec) => {
            let (kept, info) = packet_socket::Kept::open(spec, config)?;
            Some((Device::Packet(kept), info))
        }
        Spec::Pcap(_) | Spec::Synth(_) | Spec::Sink | Spec::Dpdk(_) => None,
    })
}

impl Device {
    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        match self {
            Self::Tap(device) => device.descriptors(),
            Self::Packet(device) => device.descriptors(),
        }
    }

    fn is_gone(&self) -> bool {
        match self {
            Self::Tap(device) => device.is_gone(),
            Self::Packet(device) => device.is_gone(),
        }
    }

    fn counters(&self) -> DeviceCounters {
        match self {
            Self::Tap(device) => device.counters(),
            Self::Packet(device) => device.counters(),
        }
    }
}
#[cfg(test)]
mod tests;
