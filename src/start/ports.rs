//! Ports as the configuration says them.

use std::collections::HashMap;

use client::config::Config;
use hal::spec::Spec;
use hal::{Port, PortConfig, PortInfo};
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

/// How port number `n` is started, and the MAC address it will have.
pub(super) fn port_config(
    config: &Config,
    n: usize,
    info: &PortInfo,
    lcores: u16,
) -> (PortConfig, [u8; 6]) {
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
