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
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_queue::ArrayQueue;
use pal::clock::Nanos;

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
    receivers: Vec<(Socket, Ring)>,
    senders: Vec<Socket>,
}

impl Opened {
    fn open(spec: &PacketSpec, mac: [u8; 6], config: &PortConfig) -> Result<Self, PortError> {
        within(spec.netns.as_deref(), || {
            let (interface, device_mac) = find(spec)?;
            let available = interface.mtu().map_err(interface.failed("SIOCGIFMTU"))?;
            if usize::from(config.mtu) > available {
                let port = spec.to_string();
                return Err(PortError::MtuTooLarge { port, wanted: config.mtu, available });
            }
            let reception = Reception {
                promiscuous: config.promiscuous || device_mac != mac,
                longest: 14 + 2 * TAG + usize::from(config.mtu),
            };
            let mut receivers: Vec<_> = (0..config.rx_queues)
                .map(|_| Socket::receiver(&interface, &reception))
                .collect::<Result<_, _>>()?;
            if receivers.len() > 1 {
                let sockets: Vec<&Socket> = receivers.iter().map(|(socket, _)| socket).collect();
                Socket::join(&interface, &sockets)?;
                // Until all had joined, each of them has received everything.
                receivers.iter_mut().for_each(|(_, ring)| while ring.next().is_some() {});
            }
            receivers.iter().try_for_each(|(socket, _)| socket.keep_large(&interface))?;
            let senders = (0..config.tx_queues)
                .map(|_| Socket::sender(&interface))
                .collect::<Result<_, _>>()?;
            Ok(Self { interface, receivers, senders })
        })
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
    mac: [u8; 6],
    config: PortConfig,
    interface: Interface,
    receivers: Vec<Arc<Receiver>>,
    senders: Vec<Arc<Socket>>,
    gone: Arc<AtomicBool>,
    /// Frames that rings had no room for, so far.
    missed: Cell<u64>,
    /// What had been counted when it was opened.
    before: DeviceCounters,
}

impl PacketPort {
    /// Finds the interface. Starting the port needs `CAP_NET_RAW`, another namespace
    /// `CAP_SYS_ADMIN`.
    pub fn open(spec: &PacketSpec) -> Result<Self, PortError> {
        let (interface, mac) = within(spec.netns.as_deref(), || find(spec))?;
        let info = PortInfo {
            spec: spec.to_string(),
            mac: Some(mac),
            numa_node: 0,
            max_rx_queues: MOST_RX_QUEUES,
            max_tx_queues: u16::MAX,
            virtual_time: false,
            total_packets: None,
            filters_mac: false,
        };
        let before = errors(&interface);
        Ok(Self {
            info,
            spec: spec.clone(),
            mac,
            config: PortConfig::default(),
            interface,
            receivers: Vec::new(),
            senders: Vec::new(),
            gone: Arc::default(),
            missed: Cell::new(0),
            before,
        })
    }

    /// Whether the interface is there, and the one that the sockets are bound to.
    fn is_there(&self) -> bool {
        let Ok(index) = self.interface.index() else { return false };
        self.receivers.iter().all(|receiver| receiver.socket.bound().is_ok_and(|at| at == index))
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
        self.mac = config.mac.unwrap_or(self.mac);
        self.config = config.clone();
        let opened = Opened::open(&self.spec, self.mac, config)?;
        self.interface = opened.interface;
        let mut rx: Vec<Box<dyn RxQueue>> = Vec::new();
        for (socket, ring) in opened.receivers {
            let receiver = Arc::new(Receiver { socket, fresh: ArrayQueue::new(1) });
            self.receivers.push(Arc::clone(&receiver));
            rx.push(Box::new(PacketRx { receiver, ring, large: Large::new(), missed: 0 }));
        }
        let mut tx: Vec<Box<dyn TxQueue>> = Vec::new();
        for socket in opened.senders {
            let (socket, gone) = (Arc::new(socket), Arc::clone(&self.gone));
            self.senders.push(Arc::clone(&socket));
            tx.push(Box::new(PacketTx { socket, gone, batch: Batch::new() }));
        }
        Ok(Queues { rx, tx })
    }

    fn link(&self) -> Link {
        let is_there = self.is_there();
        self.gone.store(!is_there, Ordering::Relaxed);
        // When an interface goes down its sockets have an error, which would wake lcores for ever.
        self.receivers.iter().for_each(|receiver| receiver.socket.clear_error());
        let state = match is_there {
            false => LinkState::Gone,
            true if self.interface.is_running() => LinkState::Up,
            true => LinkState::Down,
        };
        let up = state == LinkState::Up;
        let bits_per_second = if up { self.interface.bits_per_second() } else { 0 };
        Link { state, bits_per_second }
    }

    fn reopen(&mut self) -> Result<(), PortError> {
        let fresh = Opened::open(&self.spec, self.mac, &self.config)?;
        self.count_missed();
        let failed = fresh.interface.failed("dup3");
        for (old, fresh) in self.senders.iter().zip(&fresh.senders) {
            old.replace(fresh).map_err(&failed)?;
        }
        for (old, (socket, ring)) in self.receivers.iter().zip(fresh.receivers) {
            old.socket.replace(&socket).map_err(&failed)?;
            // A ring that has not been taken was that of an interface which is gone again.
            old.fresh.force_push(ring);
        }
        self.interface.move_to(&fresh.interface)?;
        self.before = DeviceCounters::default();
        self.gone.store(false, Ordering::Relaxed);
        Ok(())
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
