//! Ports as the configuration says them, and the buffers that fit them.

use std::collections::HashMap;

use client::config::Config;
use hal::pool::NativePool;
use hal::spec::Spec;
use hal::{Pool, Port, PortConfig};

use super::Parts;
use crate::forwarder::StartError;

/// Bytes a frame may have beyond the IP packet: Ethernet, two tags, and slack for a label or two.
const LINK_BYTES: usize = 38;

/// Frames of captures and taps may be larger than any MTU here; they are received whole.
pub(crate) const NATIVE_FRAME: usize = 9728;

/// Native buffers for one lcore, unless told otherwise.
const NATIVE_BUFFERS: usize = 8192;
/// Native buffers for each lcore more: as many as its ring to the slow path may hold, so that one port's
/// flood leaves the others buffers to receive with.
const NATIVE_BUFFERS_MORE: usize = super::launch::RING;

/// Ports of the user's own, by name.
pub(crate) type OwnPorts = HashMap<String, Box<dyn Port>>;

/// What each port's device is; none for those that are the user's own.
pub(super) fn specs(config: &Config, own: &OwnPorts) -> Result<Vec<Option<Spec>>, StartError> {
    if let Some(name) = own.keys().find(|name| config.ports.iter().all(|port| port.name != **name))
    {
        return Err(StartError::UnknownPort(name.clone()));
    }
    let parse = |port: &client::config::Port| {
        if own.contains_key(&port.name) {
            return Ok(None);
        }
        let Some(device) = &port.device else {
            let (place, name) = (port.origin.place(), port.name.clone());
            return Err(StartError::NoDevice { place, name });
        };
        let place = port.origin.at("device");
        Spec::parse(device).map(Some).map_err(|source| StartError::Device { place, source })
    };
    let specs = config.ports.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    crate::shared_files::check(&specs).map_err(|(n, source)| {
        let place = config.ports[n].origin.at("device");
        StartError::Device { place, source }
    })?;
    Ok(specs)
}

pub(super) fn open(
    config: &Config,
    specs: &[Option<Spec>],
    mut own: OwnPorts,
) -> Result<Vec<Box<dyn Port>>, StartError> {
    let mut ports = Vec::new();
    for (spec, port) in specs.iter().zip(&config.ports) {
        let place = port.origin.at("device");
        let opened = spec.as_ref().map(Spec::open).transpose();
        let opened = opened.map_err(|source| StartError::Device { place, source })?;
        ports.extend(opened.or_else(|| own.remove(&port.name)));
    }
    Ok(ports)
}

/// Frame bytes that the largest MTU of the configuration needs.
pub(super) fn frame_room(config: &Config) -> usize {
    let mtu = config.ports.iter().map(|port| usize::from(port.mtu)).max().unwrap_or(1500);
    (mtu + LINK_BYTES).max(2048)
}

pub(super) fn native(parts: &Parts) -> Result<Pool, StartError> {
    let room = frame_room(&parts.config).max(NATIVE_FRAME);
    let lcores = parts.lcores.as_ref().map_or(1, |cpus| cpus.cpus().len());
    let usual = NATIVE_BUFFERS + lcores.saturating_sub(1) * NATIVE_BUFFERS_MORE;
    Ok(Pool::Native(NativePool::try_new(parts.buffers.unwrap_or(usual), room)?))
}

#[cfg(feature = "dpdk")]
pub(super) fn mbufs(
    eal: &hal::dpdk::Eal,
    parts: &Parts,
    ports: &[Box<dyn Port>],
) -> Result<Pool, StartError> {
    use hal::dpdk::{MbufPool, MbufPoolConfig};
    let mut config = MbufPoolConfig {
        frame_room: frame_room(&parts.config),
        numa_nodes: ports.iter().map(|port| port.info().numa_node).collect(),
        ..MbufPoolConfig::default()
    };
    if let Some(buffers) = parts.buffers.and_then(|n| u32::try_from(n).ok()) {
        config.buffers = buffers;
    }
    Ok(Pool::Mbuf(MbufPool::create(eal, &config)?))
}

/// How port number `n` is started, and the MAC address it will have.
pub(super) fn port_config(
    config: &Config,
    n: usize,
    port: &dyn Port,
    lcores: u16,
) -> (PortConfig, [u8; 6]) {
    let info = port.info();
    let configured = config.ports[n].mac.map(|mac| mac.0);
    let own = own_mac(config, n, info.mac);
    let rx_queues = lcores.clamp(1, info.max_rx_queues.max(1));
    let mac = configured.or(info.mac.is_none().then_some(own));
    let tx_queues = lcores.clamp(1, info.max_tx_queues.max(1));
    let (mtu, promiscuous) = (config.ports[n].mtu, config.ports[n].promiscuous);
    (PortConfig { mac, mtu, rx_queues, tx_queues, promiscuous }, own)
}

/// The MAC address of port number `n`, whose device has `device`.
pub(crate) fn own_mac(config: &Config, n: usize, device: Option<[u8; 6]>) -> [u8; 6] {
    let configured = config.ports[n].mac.map(|mac| mac.0);
    // Locally administered, and the same for the same port number every time.
    configured.or(device).unwrap_or([0x02, 0x71, 0x66, 0x70, 0, n.to_le_bytes()[0]])
}

pub(super) fn names(config: &Config, ports: &[Box<dyn Port>]) -> Vec<(String, String)> {
    let both = config.ports.iter().zip(ports);
    both.map(|(port, opened)| (port.name.clone(), opened.info().spec.clone())).collect()
}

/// Packets that all inputs hold, when each of them is finite and known or has none.
pub(super) fn total(ports: &[Box<dyn Port>], specs: &[Option<Spec>]) -> Option<u64> {
    let inputs = ports.iter().zip(specs).filter(|(_, spec)| !matches!(spec, Some(Spec::Sink)));
    inputs.map(|(port, _)| port.info().total_packets).sum()
}
