//! `packet:` an interface of the kernel's, through its packet sockets: no DPDK, no driver.
//!
//! The port takes the interface as it is: it neither brings it up nor sets MTU or MAC address. The
//! kernel's own protocols see the same frames, so the interface should have no addresses there.
//!
//! Receive queues are rings in memory, filled by the kernel: one copy, no system call. A flow stays
//! in one of them. A burst is sent with one system call. What the kernel leaves to hardware is done
//! here, whatever the interface or the other end of a veth pair is set to: checksums are completed,
//! VLAN tags put back, large TCP and UDP frames cut into the packets that they stand for.

mod batch;
mod large;
mod offload;
mod ring;
mod segment;
mod socket;

use std::cell::Cell;
use std::fmt;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_queue::ArrayQueue;
use pal::clock::Nanos;

use crate::handover::Descriptors;
use crate::interface::{Interface, name_and_netns, within};
use crate::mask::PacketMask;
use crate::packet::{Burst, VECTOR};
use crate::pool::PoolCache;
use crate::port::{
    DeviceCounters, Link, LinkState, Port, PortConfig, PortError, PortInfo, Queues, RxQueue,
    TxQueue,
};
use batch::Batch;
use large::Large;
use offload::{TAG, complete};
use ring::Ring;
use socket::{Reception, Socket};

/// Sockets that the kernel spreads flows over, at most (`PACKET_FANOUT_MAX`).
const MOST_RX_QUEUES: u16 = 256;

/// `packet:NAME[@NETNS]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PacketSpec {
    /// Name of the interface.
    pub name: String,
    /// Network namespace (as `ip netns` names it) that it stands in; ours by default.
    pub netns: Option<String>,
}

impl PacketSpec {
    /// Reads the part of the SPEC behind `packet:`.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        if text.contains(',') {
            return Err("a packet port has no options");
        }
        let (name, netns) = name_and_netns(text)?;
        Ok(Self { name, netns })
    }
}

impl fmt::Display for PacketSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "packet:{}", self.name)?;
        self.netns.as_ref().map_or(Ok(()), |netns| write!(f, "@{netns}"))
    }
}

/// An interface, and the sockets that a port has on it.
struct Opened {
    interface: Interface,
    sockets: Sockets,
}

struct Sockets {
    receivers: Vec<Socket>,
    senders: Vec<Socket>,
}

impl Opened {
    fn open(spec: &PacketSpec, config: &PortConfig) -> Result<Self, PortError> {
        within(spec.netns.as_deref(), || {
            let (interface, device_mac) = find(spec)?;
            let available = interface.mtu().map_err(interface.failed("SIOCGIFMTU"))?;
            if usize::from(config.mtu) > available {
                let port = spec.to_string();
                return Err(PortError::MtuTooLarge { port, wanted: config.mtu, available });
            }
            let other_mac = config.mac.is_some_and(|mac| mac != device_mac);
            let reception = Reception {
                promiscuous: config.promiscuous || other_mac,
                longest: longest(config),
            };
            let receivers: Vec<_> = (0..config.rx_queues)
                .map(|_| Socket::receiver(&interface, &reception))
                .collect::<Result<_, _>>()?;
            if receivers.len() > 1 {
                Socket::join(&interface, &receivers)?;
                // Until all had joined, each of them has received everything.
                for socket in &receivers {
                    let mut ring = ring(&interface, socket, config)?;
                    while !ring.is_empty() {
                        while ring.next().is_some() {}
                    }
                }
            }
            receivers.iter().try_for_each(|socket| socket.keep_large(&interface))?;
            let senders = (0..config.tx_queues)
                .map(|_| Socket::sender(&interface))
                .collect::<Result<_, _>>()?;
            Ok(Self { interface, sockets: Sockets { receivers, senders } })
        })
    }

    /// As another process has opened it.
    fn handed(
        spec: &PacketSpec,
        config: &PortConfig,
        descriptors: &mut Descriptors<'_>,
    ) -> Result<Self, PortError> {
        let interface = Interface::handed(&spec.to_string(), &spec.name, descriptors)?;
        let mut sockets = |count: u16| -> Result<Vec<_>, PortError> {
            (0..count).map(|_| Socket::handed(descriptors)).collect()
        };
        let receivers = sockets(config.rx_queues)?;
        let sockets = Sockets { receivers, senders: sockets(config.tx_queues)? };
        Ok(Self { interface, sockets })
    }

    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let Sockets { receivers, senders } = &self.sockets;
        let sockets = receivers.iter().chain(senders).map(AsFd::as_fd);
        self.interface.descriptors().into_iter().chain(sockets).collect()
    }

    fn is_gone(&self) -> bool {
        is_gone(&self.interface, self.sockets.receivers.iter())
    }
}

/// Whether the interface has vanished that `receivers` are bound to, or another one has its name.
fn is_gone<'a>(interface: &Interface, mut receivers: impl Iterator<Item = &'a Socket>) -> bool {
    let Ok(index) = interface.index() else { return true };
    !receivers.all(|socket| socket.bound().is_ok_and(|at| at == index))
}

/// Bytes of the longest frame that goes through a ring.
fn longest(config: &PortConfig) -> usize {
    14 + 2 * TAG + usize::from(config.mtu)
}

fn ring(interface: &Interface, socket: &Socket, config: &PortConfig) -> Result<Ring, PortError> {
    Ring::map(socket, longest(config)).map_err(interface.failed("mmap"))
}

/// An interface that this process opens and the port of another one forwards with.
pub(crate) struct Kept(Opened);

impl Kept {
    /// As [`PacketPort::open`] and [`Port::start`] do it.
    pub(crate) fn open(
        spec: &PacketSpec,
        config: &PortConfig,
    ) -> Result<(Self, PortInfo), PortError> {
        let (_, mac) = within(spec.netns.as_deref(), || find(spec))?;
        let (rx_queues, max_tx_queues) = (config.rx_queues.min(MOST_RX_QUEUES), config.tx_queues);
        let info = PortInfo { max_rx_queues: rx_queues, max_tx_queues, ..info(spec, mac) };
        let opened = Opened::open(spec, &PortConfig { rx_queues, ..config.clone() })?;
        Ok((Self(opened), info))
    }

    /// As another process has kept it.
    pub(crate) fn handed(
        spec: &PacketSpec,
        config: &PortConfig,
        descriptors: &mut Descriptors<'_>,
    ) -> Result<Self, PortError> {
        Opened::handed(spec, config, descriptors).map(Self)
    }

    pub(crate) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        self.0.descriptors()
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.0.is_gone()
    }

    pub(crate) fn counters(&self) -> DeviceCounters {
        errors(&self.0.interface)
    }
}

fn info(spec: &PacketSpec, mac: [u8; 6]) -> PortInfo {
    PortInfo {
        spec: spec.to_string(),
        mac: Some(mac),
        numa_node: 0,
        max_rx_queues: MOST_RX_QUEUES,
        max_tx_queues: u16::MAX,
        virtual_time: false,
        total_packets: None,
        filters_mac: false,
    }
}

/// The interface of that name, in the namespace of this thread, and its MAC address.
fn find(spec: &PacketSpec) -> Result<(Interface, [u8; 6]), PortError> {
    let interface = Interface::open(spec.to_string(), &spec.name)?;
    let port = || spec.to_string();
    match interface.mac() {
        Ok(Some(mac)) => Ok((interface, mac)),
        Ok(None) => Err(PortError::NotEthernet { port: port() }),
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => {
            Err(PortError::NoInterface { port: port() })
        }
        Err(error) => Err(interface.failed("SIOCGIFHWADDR")(error)),
    }
}

/// What a receive queue and its port share.
struct Receiver {
    socket: Socket,
    /// The ring of the interface that has come in the place of one that was deleted.
    fresh: ArrayQueue<Ring>,
}

/// A Linux interface.
pub struct PacketPort {
    info: PortInfo,
    spec: PacketSpec,
    config: PortConfig,
    interface: Interface,
    receivers: Vec<Arc<Receiver>>,
    senders: Vec<Arc<Socket>>,
    gone: Arc<AtomicBool>,
    /// Frames that rings had no room for, so far.
    missed: Cell<u64>,
    /// What had been counted when it was opened.
    before: DeviceCounters,
    /// Another process opens the sockets, has done so, and does so again.
    is_handed: bool,
    /// Its sockets, until the port is started.
    handed: Option<Sockets>,
}

impl PacketPort {
    /// Finds the interface. Starting the port needs `CAP_NET_RAW`, another namespace
    /// `CAP_SYS_ADMIN`.
    pub fn open(spec: &PacketSpec) -> Result<Self, PortError> {
        let (interface, mac) = within(spec.netns.as_deref(), || find(spec))?;
        let facts = (info(spec, mac), errors(&interface));
        Ok(Self::new(spec, facts, PortConfig::default(), interface))
    }

    /// Over sockets that another process has opened, as `config` says.
    pub(crate) fn handed(
        spec: &PacketSpec,
        facts: (PortInfo, DeviceCounters),
        config: PortConfig,
        descriptors: &mut Descriptors<'_>,
    ) -> Result<Self, PortError> {
        let Opened { interface, sockets } = Opened::handed(spec, &config, descriptors)?;
        let port = Self::new(spec, facts, config, interface);
        Ok(Self { is_handed: true, handed: Some(sockets), ..port })
    }

    fn new(
        spec: &PacketSpec,
        (info, before): (PortInfo, DeviceCounters),
        config: PortConfig,
        interface: Interface,
    ) -> Self {
        Self {
            info,
            spec: spec.clone(),
            config,
            interface,
            receivers: Vec::new(),
            senders: Vec::new(),
            gone: Arc::default(),
            missed: Cell::new(0),
            before,
            is_handed: false,
            handed: None,
        }
    }

    /// Opens the sockets, unless that has been done.
    fn sockets(&mut self, config: &PortConfig) -> Result<Sockets, PortError> {
        if self.is_handed {
            let wanted = (config.rx_queues.into(), config.tx_queues.into());
            let handed = self.handed.take();
            let handed = handed.filter(|own| (own.receivers.len(), own.senders.len()) == wanted);
            return handed.ok_or_else(|| self.elsewhere());
        }
        let mac = config.mac.or(self.info.mac);
        self.config = PortConfig { mac, ..config.clone() };
        let opened = Opened::open(&self.spec, &self.config)?;
        self.interface = opened.interface;
        Ok(opened.sockets)
    }

    /// Goes on with `fresh` in place of an interface that has vanished.
    fn replace(&mut self, fresh: Opened) -> Result<(), PortError> {
        let Opened { interface, sockets: Sockets { receivers, senders } } = fresh;
        let ring = |socket| ring(&interface, socket, &self.config);
        let rings: Vec<Ring> = receivers.iter().map(ring).collect::<Result<_, _>>()?;
        self.count_missed();
        let failed = interface.failed("dup3");
        for (old, fresh) in self.senders.iter().zip(&senders) {
            old.replace(fresh).map_err(&failed)?;
        }
        for (old, (socket, ring)) in self.receivers.iter().zip(receivers.iter().zip(rings)) {
            old.socket.replace(socket).map_err(&failed)?;
            // A ring that has not been taken was that of an interface which is gone again.
            old.fresh.force_push(ring);
        }
        self.interface.move_to(&interface)?;
        self.before = DeviceCounters::default();
        self.gone.store(false, Ordering::Relaxed);
        Ok(())
    }

    fn elsewhere(&self) -> PortError {
        PortError::Elsewhere { port: self.info.spec.clone() }
    }

    fn count_missed(&self) -> u64 {
        let drops = self.receivers.iter().map(|receiver| receiver.socket.take_drops());
        self.missed.set(self.missed.get() + drops.sum::<u64>());
        self.missed.get()
    }
}

/// What the kernel receives and sends, so does the port.
fn errors(interface: &Interface) -> DeviceCounters {
    let counts = interface.statistics();
    let (rx_errors, tx_errors) = (counts.rx_errors, counts.tx_errors);
    DeviceCounters { rx_errors, tx_errors, ..DeviceCounters::default() }
}

impl Port for PacketPort {
    fn info(&self) -> &PortInfo {
        &self.info
    }

    fn start(&mut self, config: &PortConfig) -> Result<Queues, PortError> {
        self.info.admits(config)?;
        let Sockets { receivers, senders } = self.sockets(config)?;
        let mut rx: Vec<Box<dyn RxQueue>> = Vec::new();
        for socket in receivers {
            let ring = ring(&self.interface, &socket, &self.config)?;
            let receiver = Arc::new(Receiver { socket, fresh: ArrayQueue::new(1) });
            self.receivers.push(Arc::clone(&receiver));
            rx.push(Box::new(PacketRx { receiver, ring, large: Large::new(), missed: 0 }));
        }
        let mut tx: Vec<Box<dyn TxQueue>> = Vec::new();
        for socket in senders {
            let (socket, gone) = (Arc::new(socket), Arc::clone(&self.gone));
            self.senders.push(Arc::clone(&socket));
            tx.push(Box::new(PacketTx { socket, gone, batch: Batch::new() }));
        }
        Ok(Queues { rx, tx })
    }

    fn link(&self) -> Link {
        let is_gone = is_gone(&self.interface, self.receivers.iter().map(|one| &one.socket));
        self.gone.store(is_gone, Ordering::Relaxed);
        // When an interface goes down its sockets have an error, which would wake lcores for ever.
        self.receivers.iter().for_each(|receiver| receiver.socket.clear_error());
        let state = match is_gone {
            true => LinkState::Gone,
            false if self.interface.is_running() => LinkState::Up,
            false => LinkState::Down,
        };
        let up = state == LinkState::Up;
        let bits_per_second = if up { self.interface.bits_per_second() } else { 0 };
        Link { state, bits_per_second }
    }

    fn reopen(&mut self) -> Result<(), PortError> {
        if self.is_handed {
            return Err(self.elsewhere());
        }
        self.replace(Opened::open(&self.spec, &self.config)?)
    }

    fn take(&mut self, descriptors: &mut Descriptors<'_>) -> Result<(), PortError> {
        self.replace(Opened::handed(&self.spec, &self.config, descriptors)?)
    }

    fn counters(&self) -> DeviceCounters {
        let missed = self.count_missed();
        DeviceCounters { missed, ..errors(&self.interface).since(self.before) }
    }
}

struct PacketRx {
    receiver: Arc<Receiver>,
    ring: Ring,
    large: Large,
    missed: u64,
}

impl RxQueue for PacketRx {
    fn rx_burst(&mut self, burst: &mut Burst, pool: &mut PoolCache) -> usize {
        let before = burst.count();
        self.missed += self.large.cut(burst, pool);
        while burst.count() < VECTOR {
            let Some(mut slot) = self.ring.next() else {
                // What the old interface had received is through by now.
                if let Some(ring) = self.receiver.fresh.pop() {
                    self.ring = ring;
                }
                break;
            };
            let (offload, tag) = slot.offload();
            self.missed += if slot.is_in_socket() {
                self.large.receive(&self.receiver.socket, burst, pool)
            } else if let Some((room, start)) = slot.room() {
                if offload.segmentation == 0 {
                    let frame = complete(room, start, offload, tag);
                    u64::from(!frame.is_some_and(|frame| pool.append(burst, frame)))
                } else {
                    self.large.copy(&room[start..], offload, tag, burst, pool)
                }
            } else {
                1
            };
        }
        burst.count() - before
    }

    fn pollable_fd(&self) -> Option<RawFd> {
        Some(self.receiver.socket.as_fd().as_raw_fd())
    }

    fn missed(&self) -> u64 {
        self.missed
    }
}

struct PacketTx {
    socket: Arc<Socket>,
    gone: Arc<AtomicBool>,
    batch: Batch,
}

impl TxQueue for PacketTx {
    fn tx_burst(
        &mut self,
        burst: &mut Burst,
        select: PacketMask,
        pool: &mut PoolCache,
        _now: Nanos,
    ) -> PacketMask {
        let select = select & burst.owned();
        let mut frames = PacketMask::EMPTY;
        if !self.is_gone() {
            let sent = self.batch.send(&self.socket, burst, select);
            if sent.is_gone {
                self.gone.store(true, Ordering::Relaxed);
            }
            frames = sent.frames;
        }
        pool.free(burst, select);
        frames
    }

    fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests;
