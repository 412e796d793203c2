//! `tap:` a Linux TAP device without DPDK, so that kernels can be attached.
//!
//! The device has two ends. The kernel's end is an interface named NAME; ours is this port, and the
//! two see each other like the ends of a cable. The kernel keeps its MAC address unless `peer=` sets
//! it; the port's own is what the configuration says, or one derived from the name.

mod device;

use std::fmt;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;

use pal::clock::Nanos;

use crate::handover::Descriptors;
use crate::interface::name_and_netns;
use crate::mask::PacketMask;
use crate::packet::{Burst, VECTOR};
use crate::pool::PoolCache;
use crate::port::{
    DeviceCounters, Link, LinkState, Port, PortConfig, PortError, PortInfo, Queues, RxQueue,
    TxQueue,
};
use crate::spec::{DisplayMac, items, once, unicast_mac};
use device::Device;

/// Longest frame that a TAP hands out, bytes.
const LONGEST_FRAME: usize = 65_535;

/// `tap:NAME[@NETNS][,persist][,peer=MAC]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TapSpec {
    /// Name of the kernel's interface.
    pub name: String,
    /// Network namespace (as `ip netns` names it) that the interface stands in; ours by default.
    pub netns: Option<String>,
    /// Leave the interface behind when the port is closed.
    pub persist: bool,
    /// MAC address of the kernel's end.
    pub peer: Option<[u8; 6]>,
}

impl TapSpec {
    /// Reads the part of the SPEC behind `tap:`.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let (device, options) = text.split_once(',').map_or((text, None), |(d, o)| (d, Some(o)));
        let (name, netns) = name_and_netns(device)?;
        let (mut persist, mut peer) = (None, None);
        // An empty option behind a comma is as unknown as any other.
        for item in
            options.into_iter().flat_map(|o| if o.is_empty() { items(",") } else { items(o) })
        {
            match item {
                ("persist", None) => once(&mut persist, true)?,
                ("peer", Some(text)) => {
                    once(&mut peer, unicast_mac(text).ok_or("peer is a unicast MAC address")?)?;
                }
                _ => return Err("unknown option (known: persist, peer=MAC)"),
            }
        }
        Ok(Self { name, netns, persist: persist.is_some(), peer })
    }

    /// A stable, locally administered MAC address for the port's own end.
    fn own_mac(&self) -> [u8; 6] {
        // FNV-1a: any spread of names over 40 bits will do, as long as it never changes.
        let hash = self.name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let [a, b, c, d, e, ..] = hash.to_be_bytes();
        [0x02, a, b, c, d, e]
    }
}

impl fmt::Display for TapSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tap:{}", self.name)?;
        if let Some(netns) = &self.netns {
            write!(f, "@{netns}")?;
        }
        if self.persist {
            f.write_str(",persist")?;
        }
        self.peer.map_or(Ok(()), |mac| write!(f, ",peer={}", DisplayMac(mac)))
    }
}

/// A device that this process opens and the port of another one forwards with.
pub(crate) struct Kept(Arc<Device>);

impl Kept {
    /// As [`TapPort::open`] and [`Port::start`] do it.
    pub(crate) fn open(spec: &TapSpec, config: &PortConfig) -> Result<(Self, PortInfo), PortError> {
        let device = Device::open(spec)?;
        device.configure(config.mtu)?;
        Ok((Self(Arc::new(device)), info(spec)))
    }

    /// As another process has kept it.
    pub(crate) fn handed(
        spec: &TapSpec,
        descriptors: &mut Descriptors<'_>,
    ) -> Result<Self, PortError> {
        Device::handed(spec, descriptors).map(|device| Self(Arc::new(device)))
    }

    /// The same device, set so.
    pub(crate) fn configured(&self, config: &PortConfig) -> Result<Self, PortError> {
        self.0.configure(config.mtu)?;
        Ok(Self(Arc::clone(&self.0)))
    }

    pub(crate) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        self.0.descriptors()
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.0.state() == LinkState::Gone
    }

    pub(crate) fn counters(&self) -> DeviceCounters {
        self.0.counters()
    }
}

fn info(spec: &TapSpec) -> PortInfo {
    PortInfo {
        spec: spec.to_string(),
        mac: Some(spec.own_mac()),
        numa_node: 0,
        max_rx_queues: 1,
        max_tx_queues: u16::MAX,
        virtual_time: false,
        total_packets: None,
        filters_mac: false,
    }
}

/// A TAP device. One receive queue, any number of transmit queues; one system call a packet.
pub struct TapPort {
    info: PortInfo,
    spec: TapSpec,
    mtu: u16,
    device: Arc<Device>,
    /// What had been counted when it was opened: a device may persist.
    before: DeviceCounters,
    /// Another process has opened it, and does so again.
    is_handed: bool,
}

impl TapPort {
    /// Makes the device, or takes over one that persists. Needs `CAP_NET_ADMIN` or its ownership.
    pub fn open(spec: &TapSpec) -> Result<Self, PortError> {
        let device = Arc::new(Device::open(spec)?);
        let before = device.counters();
        let (info, spec) = (info(spec), spec.clone());
        Ok(Self { info, spec, mtu: 1500, device, before, is_handed: false })
    }

    /// Over a device that another process has opened, and set to what the port is started with.
    pub(crate) fn handed(
        spec: &TapSpec,
        (info, before): (PortInfo, DeviceCounters),
        descriptors: &mut Descriptors<'_>,
    ) -> Result<Self, PortError> {
        let device = Arc::new(Device::handed(spec, descriptors)?);
        Ok(Self { info, spec: spec.clone(), mtu: 1500, device, before, is_handed: true })
    }
}

impl Port for TapPort {
    fn info(&self) -> &PortInfo {
        &self.info
    }

    fn start(&mut self, config: &PortConfig) -> Result<Queues, PortError> {
        self.info.admits(config)?;
        self.mtu = config.mtu;
        if !self.is_handed {
            self.device.configure(config.mtu)?;
        }
        let device = &self.device;
        let rx = |_| {
            let scratch = vec![0; LONGEST_FRAME].into_boxed_slice();
            Box::new(TapRx { device: device.clone(), scratch, missed: 0 }) as Box<dyn RxQueue>
        };
        let tx = |_| Box::new(TapTx { device: device.clone() }) as Box<dyn TxQueue>;
        Ok(Queues {
            rx: (0..config.rx_queues).map(rx).collect(),
            tx: (0..config.tx_queues).map(tx).collect(),
        })
    }

    fn link(&self) -> Link {
        Link { state: self.device.state(), bits_per_second: 0 }
    }

    fn reopen(&mut self) -> Result<(), PortError> {
        if self.is_handed {
            return Err(PortError::Elsewhere { port: self.info.spec.clone() });
        }
        let fresh = Device::open(&self.spec)?;
        fresh.configure(self.mtu)?;
        self.device.replace(&fresh)?;
        self.before = DeviceCounters::default();
        Ok(())
    }

    fn take(&mut self, descriptors: &mut Descriptors<'_>) -> Result<(), PortError> {
        self.device.replace(&Device::handed(&self.spec, descriptors)?)?;
        self.before = DeviceCounters::default();
        Ok(())
    }

    fn counters(&self) -> DeviceCounters {
        self.device.counters().since(self.before)
    }
}

struct TapRx {
    device: Arc<Device>,
    scratch: Box<[u8]>,
    missed: u64,
}

impl RxQueue for TapRx {
    fn rx_burst(&mut self, burst: &mut Burst, pool: &mut PoolCache) -> usize {
        let before = burst.count();
        for _ in before..VECTOR {
            // "Would block" means that there is no more; so does a device that is gone.
            let Some(len) = self.device.read(&mut self.scratch) else { break };
            self.missed += u64::from(!pool.append(burst, &self.scratch[..len]));
        }
        burst.count() - before
    }

    fn pollable_fd(&self) -> Option<RawFd> {
        Some(self.device.tun().as_raw_fd())
    }

    fn missed(&self) -> u64 {
        self.missed
    }
}

struct TapTx {
    device: Arc<Device>,
}

impl TxQueue for TapTx {
    fn tx_burst(
        &mut self,
        burst: &mut Burst,
        select: PacketMask,
        pool: &mut PoolCache,
        _now: Nanos,
    ) -> PacketMask {
        let select = select & burst.owned();
        let mut sent = PacketMask::EMPTY;
        for slot in select {
            if self.device.write(burst.frame(slot)) {
                sent.insert(slot);
            }
        }
        pool.free(burst, select);
        sent
    }

    fn is_gone(&self) -> bool {
        self.device.is_gone()
    }
}

#[cfg(test)]
mod tests;
