//! Control: what the operator says, and how it becomes tables.
//!
//! - [`config`]: the configuration, one typed model with its TOML and route-file front ends
//! - [`rib`]: the routes of all sources, and which of them count
//! - [`ipsec`]: security associations, and what is told of them
//! - [`rm`]: resource managers, which own numbers and shared objects
//! - [`ea`]: execution agents, one a feature: interfaces, adjacencies, forwarding tables
//! - [`Client`]: commits a configuration through the [`driver`], and takes neighbour events

#![deny(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod acl;
mod commit;
pub mod config;
pub mod ea;
pub mod flowspec;
pub mod ios;
pub mod ipsec;
pub mod mqc;
pub mod pbr;
pub mod rib;
pub mod rm;

pub use commit::{
    Capacity, Client, CommitError, Features, ListEdit, ListError, PortFacts, SaPlace, Usage,
};
