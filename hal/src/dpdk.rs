//! DPDK ports: PCI devices and virtual ones, behind poll-mode drivers.
//!
//! Order of use: [`Eal::init`] once, [`MbufPool::create`], [`DpdkPort::open`] for each port,
//! [`register_lcore`] on each thread that polls. Crypto devices need the EAL alone:
//! [`DpdkCrypto::open`]. A pool and a port keep the EAL alive, so the order
//! in which they are dropped does not matter.
//!
//! Decisions:
//! - Bursts go straight through `rte_eth_fp_ops`, into the arrays of the [`crate::Burst`]. Callbacks
//!   that were registered on a queue (packet capture) are called.
//! - One segment a frame, up to the pool's frame room: no scatter on receive. A chain that a driver
//!   builds all the same is freed and counted in [`crate::RxQueue::missed`].
//! - Checksum offloads stay off. Forwarding verifies the IPv4 header while it parses, 16 headers at
//!   a time, and updates it incrementally, so the device's verdict would cost one more load a
//!   packet and save nothing; on transmit an offload would make every packet pay for writing
//!   flags and header lengths, and would switch several drivers to a slower transmit function.
//!   Frames that a device drops itself for a bad checksum show in its xstats.
//! - An mbuf's header is read on receive and written on transmit only for frames that moved or
//!   changed length; of the others only the address passes through.
#![expect(unsafe_code, reason = "the driver interface is C")]

mod crypto;
mod cryptodev;
mod device;
mod eal;
pub(crate) mod mbuf;
mod pool;
mod port;
mod queue;
mod simd;

use std::ffi::CStr;

pub use crypto::DpdkCrypto;
pub use cryptodev::{Cryptodev, Session};
pub use device::available_ports;
pub use eal::{Eal, EalError, LcoreRegistration, register_lcore};
pub use pool::{MbufCache, MbufPool, MbufPoolConfig, MbufPoolError};
pub use port::{DpdkPort, Offloads};
pub use queue::{DpdkRxQueue, DpdkTxQueue};

/// The DPDK that this process runs on, like "DPDK 22.11.11".
#[must_use]
pub fn version() -> String {
    // SAFETY: returns a C string that lives as long as the process.
    unsafe { CStr::from_ptr(dpdk_sys::rte_version()) }.to_string_lossy().into_owned()
}

/// DPDK's text for an error number, of either sign.
fn error_text(errno: i32) -> String {
    // SAFETY: the call takes any number and returns a string that stays valid in this thread until
    // the next call; it is copied here.
    unsafe { CStr::from_ptr(dpdk_sys::rte_strerror(errno.saturating_abs())) }
        .to_string_lossy()
        .into_owned()
}

/// DPDK's text for this thread's last error.
fn last_error() -> String {
    // SAFETY: reads a thread-local integer.
    error_text(unsafe { dpdk_sys::qfp_errno() })
}
