//! Interfaces where netlink is not to be had: names from `/proc/net/dev`, the rest from `/sys`.

use super::interface::{IfIndex, Interface};
use super::order::PciAddress;
use super::proc_net_dev::{NetDevReadError, net_dev_counters};
use std::path::Path;

/// All interfaces of this thread's network namespace without the loopback, in
/// [port order](Interface::port_order). What `/sys` does not say, such as of another namespace, is
/// left empty.
///
/// # Errors
/// `/proc/net/dev` cannot be read or understood.
pub fn interfaces_without_netlink() -> Result<Vec<Interface>, NetDevReadError> {
    let mut all: Vec<Interface> =
        net_dev_counters()?.into_iter().map(|counters| interface(counters.name)).collect();
    all.sort_by(Interface::port_order);
    Ok(all)
}

fn interface(name: String) -> Interface {
    const UP: u32 = libc::IFF_UP.cast_unsigned();
    let place = Path::new("/sys/class/net").join(&name);
    let read = |what: &str| {
        let text = std::fs::read_to_string(place.join(what)).unwrap_or_default();
        text.trim().to_owned()
    };
    let flags = u32::from_str_radix(read("flags").trim_start_matches("0x"), 16).unwrap_or(0);
    Interface {
        ifindex: IfIndex(read("ifindex").parse().unwrap_or_default()),
        mac: mac(&read("address")),
        permanent_mac: None,
        mtu: read("mtu").parse().unwrap_or_default(),
        admin_up: flags & UP != 0,
        carrier: read("carrier") == "1",
        pci: place.join("device").canonicalize().ok().and_then(|path| PciAddress::last_in(&path)),
        name,
    }
}

fn mac(text: &str) -> Option<[u8; 6]> {
    let bytes: Result<Vec<u8>, _> =
        text.split(':').map(|byte| u8::from_str_radix(byte, 16)).collect();
    bytes.ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::InterfaceWatch;

    // rows: PLT-01
    #[test]
    #[cfg_attr(miri, ignore = "no /proc under miri")]
    fn both_ways_find_the_same() {
        let watch = InterfaceWatch::open().unwrap();
        // An interface may come in between.
        let same = |_| {
            let names = interfaces_without_netlink().unwrap();
            let by_netlink = watch.interfaces();
            let known = |one: Interface| Interface { permanent_mac: None, ..one };
            names == by_netlink.into_iter().map(known).collect::<Vec<_>>()
        };
        assert!((0..20).any(same), "{:?}", interfaces_without_netlink());
    }

    #[test]
    fn an_address_is_six_bytes() {
        assert_eq!(mac("02:00:00:00:00:ff"), Some([2, 0, 0, 0, 0, 255]));
        for text in ["", "02:00", "02:00:00:00:00:gg", "00:00:00:00:00:00:00:00"] {
            assert_eq!(mac(text), None, "{text}");
        }
    }
}
