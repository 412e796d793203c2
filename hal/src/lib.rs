//! Hardware: ports, queues and packets, behind its back-ends.
//!
//! | SPEC | back-end | time |
//! |---|---|---|
//! | `pcap:rx=IN[,tx=OUT][,loop]` | capture files | the capture's own timestamps |
//! | `synth:size=64,flows=4096` | generator | the machine's clock |
//! | `sink` | counts and discards | |
//! | `tap:NAME` | Linux TAP device | the machine's clock |
//! | `packet:NAME` | Linux interface, through its packet sockets | the machine's clock |
//! | `dpdk:NAME` | DPDK poll-mode driver (feature `dpdk`) | the machine's clock |
//!
//! Layers, top to bottom: back-ends (a module each) implement the traits of [`port`]; they move
//! buffers of one [`pool`] in and out of a [`Burst`]; a packet that leaves the
//! lcore travels as a [`Packet`]. Beside them stand crypto devices ([`crypto`]).

#![deny(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod crypto;
#[cfg(feature = "dpdk")]
pub mod dpdk;
pub mod handover;
mod interface;
mod lines;
pub mod mask;
pub mod packet;
pub mod packet_socket;
pub mod pcap;
pub mod pool;
pub mod port;
mod shared;
pub mod sink;
pub mod spec;
pub mod synth;
pub mod tap;

pub use mask::PacketMask;
pub use packet::{Burst, Packet, VECTOR};
pub use pool::{Pool, PoolCache};
pub use port::{
    Arrival, DeviceCounters, Link, LinkState, Port, PortConfig, PortError, PortInfo, Queues,
    RxQueue, TxQueue,
};
pub use shared::share;
pub use spec::Spec;
