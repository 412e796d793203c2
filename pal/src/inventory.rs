//! Interface inventory: what network interfaces there are, and what happens to them.
//!
//! [`InterfaceWatch`] is the source: it subscribes to the kernel's link events and then lists all
//! links, so nothing falls between the two, and when the kernel drops events it lists again.
//! [`net_dev_counters`] reads `/proc/net/dev`, which knows names and counters only;
//! [`interfaces_without_netlink`] lists what it has where netlink is not to be had.
//!
//! Source: seed rows PLT-01 to PLT-04.

mod interface;
mod names;
mod netlink;
mod order;
mod proc_net_dev;
mod watch;

pub use interface::{IfIndex, Interface};
pub use names::interfaces_without_netlink;
pub use order::PciAddress;
pub use proc_net_dev::{
    NetDevCounters, NetDevReadError, ProcNetDevError, net_dev_counters, parse_proc_net_dev,
};
pub use watch::{InterfaceEvent, InterfaceWatch, WatchError};
