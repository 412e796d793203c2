//! Ports, opened, and the buffers that fit them.

use hal::pool::NativePool;
use hal::spec::Spec;
use hal::{Pool, Port, PortInfo};

use crate::launch::{Launch, StartError};

/// Bytes a frame may have beyond the IP packet: Ethernet, two tags, and slack for a label or two.
const LINK_BYTES: usize = 38;

/// Frames of captures and taps may be larger than any MTU here; they are received whole.
pub const NATIVE_FRAME: usize = 9728;

/// Native buffers for one lcore, unless told otherwise.
const NATIVE_BUFFERS: usize = 8192;
/// Native buffers for each lcore more: as many as its ring to the slow path may hold, so that one port's
/// flood leaves the others buffers to receive with.
const NATIVE_BUFFERS_MORE: usize = crate::threads::RING;

/// What is behind a port.
pub enum Device {
    /// A device that this crate opens.
    Named(Spec),
    /// A port of the user's own.
    Own(Box<dyn Port>),
}

/// Ports that are open and not started yet.
pub struct Opened {
    pub(crate) ports: Vec<Box<dyn Port>>,
    /// Packets that all inputs hold, when each of them is finite and known or has none.
    pub(crate) total_packets: Option<u64>,
    /// DPDK stays up until its ports and buffers are gone.
    #[cfg(feature = "dpdk")]
    pub(crate) eal: Option<hal::dpdk::Eal>,
}

/// Opens `devices`. DPDK is started with `eal_args` if one of them is a port of its.
///
/// # Errors
/// A device does not open, or DPDK does not start.
pub fn open(devices: Vec<Device>, eal_args: &[String]) -> Result<Opened, StartError> {
    #[cfg(feature = "dpdk")]
    let is_dpdk = |device: &Device| matches!(device, Device::Named(Spec::Dpdk(_)));
    #[cfg(feature = "dpdk")]
    let eal = devices.iter().any(is_dpdk).then(|| hal::dpdk::Eal::init(eal_args)).transpose()?;
    #[cfg(not(feature = "dpdk"))]
    let _ = eal_args;
    let mut ports = Vec::new();
    let mut total_packets = Some(0);
    for (n, device) in devices.into_iter().enumerate() {
        let has_input = !matches!(device, Device::Named(Spec::Sink));
        let port = match device {
            Device::Named(spec) => {
                spec.open().map_err(|source| StartError::Device { port: n, source })?
            }
            Device::Own(port) => port,
        };
        if has_input {
            let packets = port.info().total_packets;
            total_packets = total_packets.zip(packets).map(|(sum, packets)| sum + packets);
        }
        ports.push(port);
    }
    Ok(Opened {
        ports,
        total_packets,
        #[cfg(feature = "dpdk")]
        eal,
    })
}

impl Opened {
    /// What each port is.
    #[must_use]
    pub fn infos(&self) -> Vec<&PortInfo> {
        self.ports.iter().map(|port| port.info()).collect()
    }

    /// Whether time is that of captures.
    #[must_use]
    pub fn virtual_time(&self) -> bool {
        self.ports.iter().any(|port| port.info().virtual_time)
    }

    /// Buffers as `launch` wants them.
    pub(crate) fn pool(&self, launch: &Launch) -> Result<Pool, StartError> {
        #[cfg(feature = "dpdk")]
        if let Some(eal) = &self.eal {
            return self.mbufs(eal, launch);
        }
        let room = frame_room(launch).max(NATIVE_FRAME);
        let usual = NATIVE_BUFFERS + launch.lcores.len().saturating_sub(1) * NATIVE_BUFFERS_MORE;
        Ok(Pool::Native(NativePool::try_new(launch.buffers.unwrap_or(usual), room)?))
    }

    #[cfg(feature = "dpdk")]
    fn mbufs(&self, eal: &hal::dpdk::Eal, launch: &Launch) -> Result<Pool, StartError> {
        use hal::dpdk::{MbufPool, MbufPoolConfig};
        let mut config = MbufPoolConfig {
            frame_room: frame_room(launch),
            numa_nodes: self.infos().iter().map(|info| info.numa_node).collect(),
            ..MbufPoolConfig::default()
        };
        if let Some(buffers) = launch.buffers.and_then(|n| u32::try_from(n).ok()) {
            config.buffers = buffers;
        }
        Ok(Pool::Mbuf(MbufPool::create(eal, &config)?))
    }
}

/// Frame bytes that the largest MTU needs.
fn frame_room(launch: &Launch) -> usize {
    let mtu = launch.ports.iter().map(|port| usize::from(port.config.mtu)).max().unwrap_or(1500);
    (mtu + LINK_BYTES).max(2048)
}
