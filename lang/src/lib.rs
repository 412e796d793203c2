//! What an operator says: languages, each with its model, parser, printer and checks.
//!
//! - [`config`]: the configuration, one typed model with its TOML and route-file front ends
//! - [`acl`]: access lists; [`mqc`]: classes and policies; [`pbr`]: route maps
//! - [`flowspec`]: flow specifications of BGP
//! - [`ipsec`]: security associations and their keys
//! - [`ios`]: the lines and words that IOS text is made of
//!
//! Nothing here reads or writes a table. Of the data plane this takes words alone: rates,
//! algorithms, table numbers, and the patterns that classes compile to.

#![deny(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod acl;
pub mod config;
pub mod flowspec;
pub mod ios;
pub mod ipsec;
mod mac;
pub mod mqc;
pub mod pbr;
