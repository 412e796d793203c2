use super::order::{PciAddress, natural};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use std::cmp::Ordering;
use std::fmt;

/// The kernel's number of an interface; never used again for another one within a namespace's
/// life, unless it wraps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IfIndex(pub u32);

impl fmt::Display for IfIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What the kernel says about one interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// The kernel's number.
    pub ifindex: IfIndex,
    /// The name; may change.
    pub name: String,
    /// The Ethernet address in use; `None` if it is not six bytes long.
    pub mac: Option<[u8; 6]>,
    /// The Ethernet address the hardware came with.
    pub permanent_mac: Option<[u8; 6]>,
    /// Largest layer-3 packet, bytes.
    pub mtu: u32,
    /// Whether it is switched on.
    pub admin_up: bool,
    /// Whether there is a link.
    pub carrier: bool,
    /// Where the device sits, if on PCI.
    pub pci: Option<PciAddress>,
}

impl Interface {
    /// The stable order of ports: by PCI address, then those without one by name.
    ///
    /// Digits at the end of a name count as a number.
    #[must_use]
    pub fn port_order(&self, other: &Self) -> Ordering {
        let key = |it: &Self| (it.pci.is_none(), it.pci);
        key(self).cmp(&key(other)).then_with(|| natural(&self.name).cmp(&natural(&other.name)))
    }

    /// Takes over what a message says. What it leaves out stays: some events are partial.
    pub(super) fn update(&mut self, message: &LinkMessage) {
        self.ifindex = IfIndex(message.header.index);
        self.admin_up = message.header.flags.contains(LinkFlags::Up);
        self.carrier = message.header.flags.contains(LinkFlags::LowerUp);
        let (mut bus, mut device) = (None, None);
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => self.name.clone_from(name),
                LinkAttribute::Address(mac) => self.mac = mac.as_slice().try_into().ok(),
                LinkAttribute::PermAddress(mac) => {
                    self.permanent_mac = mac.as_slice().try_into().ok();
                }
                LinkAttribute::Mtu(mtu) => self.mtu = *mtu,
                // Some that are down say that they have one.
                LinkAttribute::Carrier(carrier) => self.carrier = *carrier != 0 && self.admin_up,
                LinkAttribute::ParentDevBusName(name) => bus = Some(name),
                LinkAttribute::ParentDevName(name) => device = Some(name),
                _ => {}
            }
        }
        if let (Some(bus), Some(device), None) = (bus, device, self.pci) {
            self.pci = PciAddress::of_parent(bus, device);
        }
    }
}
