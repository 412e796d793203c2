//! Ports as the configuration says them.

use std::collections::HashMap;

use client::config::Config;
use hal::handover::Kept;
use hal::spec::Spec;
use hal::{Port, PortConfig, PortInfo};
use pal::rights::{Rights, User};
use ucode::Device;

use crate::forwarder::StartError;

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

/// The devices behind the ports of `config`, in order.
pub(super) fn devices(config: &Config, specs: &[Option<Spec>], mut own: OwnPorts) -> Vec<Device> {
    let device = |(spec, port): (&Option<Spec>, &client::config::Port)| match spec {
        Some(spec) => Some(Device::Named(spec.clone())),
        None => own.remove(&port.name).map(Device::Own),
    };
    specs.iter().zip(&config.ports).filter_map(device).collect()
}

/// Devices that this process opens for a data plane in another one.
pub(super) fn kept(
    config: &Config,
    specs: &[&Spec],
    lcores: usize,
) -> Result<Vec<Kept>, StartError> {
    let queues = u16::try_from(lcores).unwrap_or(u16::MAX).max(1);
    let kept = |(spec, port): (&&Spec, &client::config::Port)| {
        let (mac, mtu, promiscuous) = (port.mac.map(|mac| mac.0), port.mtu, port.promiscuous);
        let started = PortConfig { mac, mtu, rx_queues: queues, tx_queues: queues, promiscuous };
        let place = || port.origin.at("device");
        Kept::open((*spec).clone(), &started)
            .map_err(|source| StartError::Device { place: place(), source })
    };
    specs.iter().zip(&config.ports).map(kept).collect()
}

/// What a data plane in a process of its own keeps of this one's rights: with devices of DPDK, which
/// it opens itself, what their drivers need.
pub(super) fn rights(user: Option<User>, specs: &[&Spec]) -> Rights {
    let is_root = User::own().uid == 0;
    let user = user.or(is_root.then_some(User::NOBODY));
    let drivers = || {
        specs.iter().filter_map(|spec| match spec {
            Spec::Dpdk(device) => Some(device.as_str()),
            _ => None,
        })
    };
    let is_pci =
        |device: &str| device.starts_with(|c: char| c.is_ascii_hexdigit()) && device.contains(':');
    Rights {
        user,
        net_admin: drivers()
            .any(|device| device.starts_with("net_tap") || device.starts_with("net_af_packet")),
        net_raw: drivers().any(|device| device.starts_with("net_af_packet")),
        ipc_lock: drivers().any(is_pci),
    }
}

/// How port number `n` is started.
pub(super) fn port_config(config: &Config, n: u16, info: &PortInfo, lcores: u16) -> PortConfig {
    let words = &config.ports[usize::from(n)];
    let own = || own_mac(config, n.into(), info.mac);
    let mac = words.mac.map(|mac| mac.0).or_else(|| info.mac.is_none().then(own));
    PortConfig {
        mac,
        mtu: words.mtu,
        rx_queues: lcores.clamp(1, info.max_rx_queues.max(1)),
        tx_queues: lcores.clamp(1, info.max_tx_queues.max(1)),
        promiscuous: words.promiscuous,
    }
}

/// The MAC address of port number `n`, whose device has `device`.
pub(crate) fn own_mac(config: &Config, n: usize, device: Option<[u8; 6]>) -> [u8; 6] {
    let configured = config.ports[n].mac.map(|mac| mac.0);
    let own = || ucode::own_mac(u16::try_from(n).unwrap_or(u16::MAX));
    configured.or(device).unwrap_or_else(own)
}
