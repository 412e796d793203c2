//! uCode: the packet walk of the forwarding engine.
//!
//! From top to bottom, each floor importing only from below:
//!
//! - [`ppe`]: the run-to-completion engine of one lcore: receive, walk, transmit
//! - [`fia`]: the order of operations, the one place that names every feature
//! - [`l2`], [`l3`], [`acl`], [`pbr`], [`qos`], [`crypto`],
//!   [`ipsec`], [`fib`], [`adjacency`], [`ifib`], [`lpts`], [`punt`]: features; what they tell each other
//!   goes through the vector
//! - [`step`]: what a feature's row is; [`counters`]
//! - [`packet`], [`uidb`]: vectors, interfaces
//! - [`tables`], [`isa`], [`wire`]: the tables of a generation, vector instructions, header formats
//!
//! Nothing here reads a clock: `now` comes with the vector.

#![deny(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod acl;
pub mod adjacency;
pub mod counters;
pub mod crypto;
pub mod fia;
pub mod fib;
pub mod ifib;
pub mod ipsec;
pub mod isa;
pub mod l2;
pub mod l3;
pub mod lpts;
mod named;
pub mod packet;
pub mod pbr;
pub mod ppe;
pub mod punt;
pub mod qos;
mod simd;
pub mod step;
pub mod tables;
pub mod uidb;
pub mod wire;
