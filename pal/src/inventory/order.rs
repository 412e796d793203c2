use std::path::{Component, Path};

/// Where a device sits on the PCI bus; ordered as `lspci` lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PciAddress {
    /// Domain (segment).
    pub domain: u32,
    /// Bus number.
    pub bus: u8,
    /// Device number, below 32.
    pub device: u8,
    /// Function number, below 8.
    pub function: u8,
}

impl PciAddress {
    /// Reads `dddd:bb:dd.f` in hexadecimal; `None` if it is anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (domain, rest) = text.split_once(':')?;
        let (bus, rest) = rest.split_once(':')?;
        let (device, function) = rest.split_once('.')?;
        let well_formed = domain.len() >= 4 && bus.len() == 2 && device.len() == 2;
        let hex = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        if !well_formed || ![domain, bus, device, function].into_iter().all(hex) {
            return None;
        }
        let small = |digits| u8::from_str_radix(digits, 16).ok();
        Some(Self {
            domain: u32::from_str_radix(domain, 16).ok()?,
            bus: small(bus)?,
            device: small(device).filter(|&device| device < 32)?,
            function: small(function).filter(|&function| function < 8)?,
        })
    }

    /// The PCI device that carries device `name` on `bus`: itself, or the one a virtio device
    /// sits on.
    pub(super) fn of_parent(bus: &str, name: &str) -> Option<Self> {
        if bus == "pci" {
            return Self::parse(name);
        }
        let path = Path::new("/sys/bus").join(bus).join("devices").join(name);
        Self::last_in(&path.canonicalize().ok()?)
    }

    /// The address closest to the device in its path.
    pub(super) fn last_in(path: &Path) -> Option<Self> {
        path.components().rev().find_map(|component| match component {
            Component::Normal(name) => Self::parse(name.to_str()?),
            _ => None,
        })
    }
}

/// A name such that `eth2` comes before `eth10`.
pub(super) fn natural(name: &str) -> (&str, u128, &str) {
    let stem = name.trim_end_matches(|letter: char| letter.is_ascii_digit());
    // Names have 15 bytes at most, so their digits fit.
    (stem, name[stem.len()..].parse().unwrap_or(0), name)
}

#[cfg(test)]
mod tests {
    use super::{PciAddress, natural};
    use std::path::Path;

    #[test]
    fn reads_addresses_and_nothing_else() {
        let address = PciAddress { domain: 0, bus: 0x3b, device: 0x1f, function: 7 };
        assert_eq!(PciAddress::parse("0000:3b:1f.7"), Some(address));
        for text in ["", "virtio0", "0000:3b:1f", "0000:3b:20.0", "0000:3b:00.8", "+000:3b:00.0"] {
            assert_eq!(PciAddress::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_virtio_device_sits_where_its_pci_device_sits() {
        let path = Path::new("/sys/devices/pci0000:00/0000:00:02.0/0000:01:03.0/virtio1");
        assert_eq!(PciAddress::last_in(path), PciAddress::parse("0000:01:03.0"));
        assert_eq!(PciAddress::last_in(Path::new("/sys/devices/virtual/net/tap0")), None);
    }

    #[test]
    fn numbers_in_names_count_as_numbers() {
        let mut names = ["eth10", "eth2", "eth", "tap0", "eth02", "1"];
        names.sort_by_key(|name| natural(name));
        assert_eq!(names, ["1", "eth", "eth02", "eth2", "eth10", "tap0"]);
    }
}
