//! Packets in, packets out: mostly captures through a router in their own time, byte for byte.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../support/back_end.rs"]
mod back_end;
#[path = "../support/capture.rs"]
mod capture;
#[path = "../support/gateways.rs"]
mod gateways;
#[path = "../support/l3fwd.rs"]
mod l3fwd;
#[path = "../support/marks.rs"]
mod marks;
#[path = "../support/packets.rs"]
mod packets;
#[path = "../support/router.rs"]
mod router;

mod acl;
mod acl_edits;
mod acl_oracle;
mod conservation;
mod crypto_engines;
mod errors;
mod floods;
mod fragments;
mod ipsec;
mod live;
mod neighbours;
mod own_feature;
mod paths;
mod pbr;
mod policy_oracle;
mod qos;
mod reconfigure;
mod reports;
mod routing;
mod sources;
mod tiny_fragments;
mod vlans;
mod vrf;
