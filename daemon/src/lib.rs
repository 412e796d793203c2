//! A router as a service: it runs until it is told to stop, is configured over a socket, and comes
//! up again with the configuration that was confirmed last.
//!
//! - `run_dir`: the directory that one daemon at a time has
//! - [`Router`]: all that is asked of the router itself
//! - [`Transactions`]: which configuration is in force, which were, and which may be again
//! - `gethd`: interfaces that become ports by themselves
//! - `host`: programs that get packets of the slow path
//! - `server`: who connects, what they may, and what they are answered
//!
//! `qfp-client --help` says how to call it; docs/daemon.md says the rest.
#![deny(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod args;
mod boot;
mod embedded;
mod gethd;
mod host;
mod journal;
mod kept_routes;
mod port;
mod replace;
mod router;
mod run_dir;
mod server;
mod service;
mod session;
mod start;
mod store;
mod successor;
mod transactions;

pub use router::{Router, Wanted};
pub use start::main;
pub use store::{Store, StoreError};
pub use transactions::{Author, Committed, Transactions};
