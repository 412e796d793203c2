//! Gateways with real tables, back to back, and what strangers send them.
#![expect(clippy::cast_possible_truncation, reason = "small lengths")]

mod engines;
mod failures;
mod lifetimes;
mod nesting;
mod path_mtu;
mod policies;
mod replay;
mod rig;
mod round_trip;
mod vectors;
