//! What the operator wants: ports, routes, neighbours and access lists, as one typed model.
//!
//! The model is plain data and knows nothing of TOML. A [`Config`] is read from TOML
//! ([`Config::from_toml`]) or put together in code, completed with ports from the command line
//! ([`Config::merge_ports`]), and checked as a whole ([`Config::validate`]). After that
//! [`Interfaces`] answers what names and addresses mean, and no later step needs to check again.
//! Large route lists come from a file of their own, as a [`RouteTable`].
//!
//! Access lists and route maps are models of their own ([`crate::acl`], [`crate::pbr`]), which the
//! TOML has as IOS text; SAs are those of [`crate::ipsec`].
//!
//! Every error is one line: file, line, what is wrong.

mod bindings;
mod definitions;
mod discover;
mod error;
mod interfaces;
mod ipsec;
mod lpts;
mod model;
mod neighbours;
mod place;
mod ports;
mod punt;
mod qos;
mod read;
mod recursion;
mod routes;
mod secret_file;
mod state_dir;
mod table;
mod texts;
mod validate;
mod write;

pub use crate::mac::{MacAddr, NotMac};
pub use definitions::{Definition, Definitions};
pub use discover::{Discover, Found};
pub use error::{ConfigError, Problem};
pub use interfaces::{Hop, Interface, InterfaceId, InterfaceKind, Interfaces};
pub use ipsec::Tunnel;
pub use ipsec::{
    ANY_PORT, ConfiguredSa, Ipsec, IpsecProblem, KeySource, NEIGHBOUR_DISCOVERY, OUTER_MTU,
    SpdAction, SpdEntry,
};
pub use lpts::{LptsConfig, LptsListener, LptsPeer, LptsProblem, LptsSession};
pub use model::{
    Config, Layer3, MAX_ACES, MAX_PATHS, MIN_MTU_IPV6, MTU, Neighbour, Port, Route, Target,
};
pub use model::{Tpid, Urpf, VLAN_ID, Vlan, WEIGHT};
pub use neighbours::NeighbourLimits;
pub use place::{Origin, Place};
pub use punt::Punt;
pub use qos::Qos;
pub use routes::{RouteEntry, RouteTable};
pub use texts::Named;

#[cfg(test)]
mod tests;
