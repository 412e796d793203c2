//! What every back-end is: a port with receive and transmit queues.

use std::os::fd::RawFd;

use pal::clock::Nanos;

use crate::handover::Descriptors;
use crate::mask::PacketMask;
use crate::packet::Burst;
use crate::pool::PoolCache;

/// When the next packet of a receive queue comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Whenever it comes: poll.
    Live,
    /// At this time of the capture: the queue runs in virtual time.
    At(Nanos),
    /// Never: the input has ended.
    Ended,
}

/// One receive queue, polled by one lcore.
pub trait RxQueue: Send {
    /// Appends packets to `burst`, as many as are there and fit, and returns how many.
    ///
    /// Buffers come from `pool` where the back-end does not bring its own. In virtual time all
    /// packets of one call have the same arrival time.
    fn rx_burst(&mut self, burst: &mut Burst, pool: &mut PoolCache) -> usize;

    /// When the next packet comes.
    fn arrival(&mut self) -> Arrival {
        Arrival::Live
    }

    /// A descriptor that becomes readable when a packet comes, for a loop that sleeps when idle.
    ///
    /// `None` when the queue can only be polled.
    fn pollable_fd(&self) -> Option<RawFd> {
        None
    }

    /// Packets that the back-end lost or refused: no buffer, too long, several segments.
    fn missed(&self) -> u64 {
        0
    }
}

/// One transmit queue, used by one lcore.
pub trait TxQueue: Send {
    /// Sends the packets of `select`, which the burst owns, and returns those that were sent.
    ///
    /// Afterwards the burst owns none of `select`: what could not be sent is freed. `now` is the
    /// time of the vector, for back-ends that write timestamps.
    fn tx_burst(
        &mut self,
        burst: &mut Burst,
        select: PacketMask,
        pool: &mut PoolCache,
        now: Nanos,
    ) -> PacketMask;

    /// True when nothing is taken because the device has vanished.
    fn is_gone(&self) -> bool {
        false
    }

    /// Completes what was sent (flushes a file, waits for a device). Called once, at the end.
    fn finish(&mut self) -> Result<(), PortError> {
        Ok(())
    }
}

/// Whether a port can send and receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u8)]
#[derive(serde::Serialize, serde::Deserialize)]
pub enum LinkState {
    /// It can.
    #[default]
    Up,
    /// Not now: no carrier, or switched off at the other end.
    Down,
    /// Its device has vanished from the system.
    Gone,
}

impl LinkState {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Up, Self::Down, Self::Gone];

    /// One word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Gone => "gone",
        }
    }
}

/// A link as it is at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Link {
    /// Whether it can be used.
    pub state: LinkState,
    /// Bits per second; 0 when unknown.
    pub bits_per_second: u64,
}

/// What a device counts itself, beside the packets that its queues hand over: since it was opened,
/// as far as it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct DeviceCounters {
    /// Frames lost because the receive queues were full.
    pub missed: u64,
    /// Frames lost because there was no buffer to receive them with.
    pub no_buffer: u64,
    /// Frames that were damaged, too long, or refused otherwise.
    pub rx_errors: u64,
    /// Frames that it took and could not send.
    pub tx_errors: u64,
}

impl DeviceCounters {
    /// What was counted after `earlier`.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self {
            missed: self.missed.saturating_sub(earlier.missed),
            no_buffer: self.no_buffer.saturating_sub(earlier.no_buffer),
            rx_errors: self.rx_errors.saturating_sub(earlier.rx_errors),
            tx_errors: self.tx_errors.saturating_sub(earlier.tx_errors),
        }
    }
}

/// What a port is, before it is started.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PortInfo {
    /// The SPEC it was opened with.
    pub spec: String,
    /// Its own MAC address, if the back-end has one.
    pub mac: Option<[u8; 6]>,
    /// NUMA node, 0 when unknown.
    pub numa_node: u32,
    /// Largest number of receive queues.
    pub max_rx_queues: u16,
    /// Largest number of transmit queues.
    pub max_tx_queues: u16,
    /// True when time comes from the input's timestamps.
    pub virtual_time: bool,
    /// Packets the input holds, when it is finite and known.
    pub total_packets: Option<u64>,
    /// True when the back-end only accepts frames for its own MAC address, groups and broadcast.
    pub filters_mac: bool,
}

impl PortInfo {
    /// Whether the port has as many queues as that.
    pub(crate) fn admits(&self, config: &PortConfig) -> Result<(), PortError> {
        for (kind, wanted, available) in [
            ("receive", config.rx_queues, self.max_rx_queues),
            ("transmit", config.tx_queues, self.max_tx_queues),
        ] {
            if wanted > available {
                let port = self.spec.clone();
                return Err(PortError::TooManyQueues { port, kind, wanted, available });
            }
        }
        Ok(())
    }
}

/// How a port is started.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PortConfig {
    /// MAC address to set; `None` keeps the back-end's own.
    pub mac: Option<[u8; 6]>,
    /// Largest IP packet, bytes (64 to 9000).
    pub mtu: u16,
    /// Receive queues, at most one an lcore.
    pub rx_queues: u16,
    /// Transmit queues, at most one an lcore; see [`share`](crate::share).
    pub tx_queues: u16,
    /// Whether to receive frames for any MAC address, where the device would not.
    pub promiscuous: bool,
}

impl Default for PortConfig {
    /// One queue each way, packets of 1500 bytes, and what the back-end has.
    fn default() -> Self {
        Self { mac: None, mtu: 1500, rx_queues: 1, tx_queues: 1, promiscuous: false }
    }
}

/// The queues of a started port.
pub struct Queues {
    /// Receive queues, as many as were asked for.
    pub rx: Vec<Box<dyn RxQueue>>,
    /// Transmit queues, as many as were asked for.
    pub tx: Vec<Box<dyn TxQueue>>,
}

/// A port of some back-end.
pub trait Port: Send {
    /// What the port is.
    fn info(&self) -> &PortInfo;

    /// Sets MAC address and MTU, starts the port and hands out its queues.
    fn start(&mut self, config: &PortConfig) -> Result<Queues, PortError>;

    /// State of the link now.
    fn link(&self) -> Link {
        Link::default()
    }

    /// Makes or opens a device anew that is [`LinkState::Gone`]; its queues go on with it. Called
    /// on any thread while lcores poll the queues.
    ///
    /// # Errors
    /// Why that cannot be done now. Another time it may.
    fn reopen(&mut self) -> Result<(), PortError> {
        Ok(())
    }

    /// Goes on with a device that another process has opened in place of one that is
    /// [`LinkState::Gone`], as [`Port::reopen`] does.
    ///
    /// # Errors
    /// The descriptors are not what the port needs.
    fn take(&mut self, _: &mut Descriptors<'_>) -> Result<(), PortError> {
        Ok(())
    }

    /// What the device counts itself. May ask the system, so not for an lcore.
    fn counters(&self) -> DeviceCounters {
        DeviceCounters::default()
    }

    /// The back-end's own counters, by name. May ask the system, so not for an lcore.
    fn xstats(&self) -> Vec<(String, u64)> {
        Vec::new()
    }

    /// Stops the port. Its queues have been dropped before.
    fn stop(&mut self) -> Result<(), PortError> {
        Ok(())
    }
}

/// Why a port cannot be opened, started or finished.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// The SPEC does not parse.
    #[error("{spec}: {reason}")]
    BadSpec {
        /// The SPEC as given.
        spec: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The back-end is not part of this build.
    #[error("{spec}: this build has no {feature} ports (build with --features {feature})")]
    NotBuilt {
        /// The SPEC as given.
        spec: String,
        /// The cargo feature that is missing.
        feature: &'static str,
    },
    /// A file or device could not be opened, read or written.
    #[error("{path}: {source}")]
    Io {
        /// File or device.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is no capture, or one that ends in the middle of a record.
    #[error("{path}: {reason}")]
    BadCapture {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A device refused a setting.
    #[error("{port}: {what} failed: {reason}")]
    Device {
        /// The port.
        port: String,
        /// The call or setting.
        what: &'static str,
        /// Text of the device or driver.
        reason: String,
    },
    /// No interface has the name.
    #[error("{port}: there is no such interface")]
    NoInterface {
        /// The port.
        port: String,
    },
    /// The interface carries no Ethernet frames: the loopback interface, a tunnel.
    #[error("{port}: this is no Ethernet interface")]
    NotEthernet {
        /// The port.
        port: String,
    },
    /// The process lacks a capability.
    #[error("{port}: not permitted, this needs {capability}")]
    NotPermitted {
        /// The port.
        port: String,
        /// Name of the capability.
        capability: &'static str,
    },
    /// The interface has a smaller MTU than its port is to have.
    #[error("{port}: mtu {wanted} is more than the interface's {available}")]
    MtuTooLarge {
        /// The port.
        port: String,
        /// Bytes of IP asked for.
        wanted: u16,
        /// Bytes of IP that the interface sends.
        available: usize,
    },
    /// Another process opens the device.
    #[error("{port}: its device is opened by another process")]
    Elsewhere {
        /// The port.
        port: String,
    },
    /// A descriptor that another process has opened is missing, or is something else.
    #[error("{port}: this is no {wanted}")]
    Descriptor {
        /// The port.
        port: String,
        /// What it should have been.
        wanted: &'static str,
    },
    /// More queues asked for than the port has.
    #[error("{port}: {wanted} {kind} queues wanted, the port has {available}")]
    TooManyQueues {
        /// The port.
        port: String,
        /// Which queues, "receive" or "transmit".
        kind: &'static str,
        /// Queues asked for.
        wanted: u16,
        /// Queues there are.
        available: u16,
    },
    /// The system has no memory for something large.
    #[error("no memory for {what}: {bytes} bytes wanted")]
    NoMemory {
        /// What it is for.
        what: String,
        /// How much.
        bytes: usize,
    },
    /// Buffers are missing from the pool after the port has stopped.
    #[error("{missing} of {total} packet buffers did not come back to their pool")]
    BuffersMissing {
        /// Buffers not in the pool.
        missing: usize,
        /// Buffers the pool was made with.
        total: usize,
    },
}
