//! Packets in, packets out: mostly captures through a router in their own time, byte for byte.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../support/capture.rs"]
mod capture;
#[path = "../support/packets.rs"]
mod packets;
#[path = "../support/router.rs"]
mod router;

mod acl;
mod conservation;
mod errors;
mod fragments;
mod live;
mod neighbours;
mod paths;
mod routing;
mod vlans;
mod vrf;
