//! Control: how what the operator says becomes tables.
//!
//! - [`config`], [`acl`], [`mqc`], [`pbr`], [`flowspec`], [`ios`]: what the operator says, of [`lang`]
//! - [`rib`]: the routes of all sources, and which of them count
//! - [`ipsec`]: security associations, and what is told of them
//! - [`rm`]: resource managers, which own numbers and shared objects
//! - [`ea`]: execution agents, one a feature: interfaces, adjacencies, forwarding tables
//! - [`Client`]: commits a configuration through the [`driver`], and takes neighbour events

#![deny(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod commit;
pub mod ea;
pub mod ipsec;
pub mod rib;
pub mod rm;

pub use lang::{acl, config, flowspec, ios, mqc, pbr};

pub use commit::{
    Capacity, Client, CommitError, Features, Kept, ListEdit, ListError, PortFacts, SaPlace, Tell,
    Usage,
};
