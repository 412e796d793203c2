//! A packet forwarding engine with a readable order of operations.
//!
//! Link this crate to build a forwarder of your own; `l3fwd` is one, and
//! `examples/custom_feature.rs` adds a feature to it in 40 lines.
//!
//! - [`Forwarder`]: a configuration, ports and an order of operations, ready to run
//! - [`report`]: what a run did
//! - [`explain`]: what would become of one packet
//! - [`stepped`]: a router without threads, for simulators
//! - [`client`], [`driver`]: control; [`core`], [`hal`], [`pal`]: the data plane's parts
//!
//! ```
//! use qfp::Forwarder;
//! use qfp::client::config::Config;
//!
//! let config = Config::parse(r#"
//!     [[port]]
//!     device = "synth:size=64,flows=16,count=1000"
//!     address = ["192.0.2.1/24"]
//!     [[port]]
//!     device = "sink"
//!     address = ["198.51.100.1/24"]
//!     [[route]]
//!     prefix = "198.18.0.0/15"
//!     via = "198.51.100.2"
//!     [[neighbor]]
//!     address = "198.51.100.2"
//!     mac = "02:00:00:00:00:02"
//! "#, "example.toml")?;
//! let report = Forwarder::new(config).start()?.join()?;
//! assert_eq!(report.conserved, Some(true));
//! assert_eq!(report.forwarded(), 1000);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![deny(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod apart;
mod applications;
mod control;
pub mod explain;
mod forwarder;
mod hooks;
mod installed;
mod ipsec;
mod lists;
mod names;
mod plane;
mod reconfigure;
pub mod report;
mod shared_files;
mod start;
mod statistics;
pub mod stepped;

pub use apart::{ApartError, UcodeState};
pub use applications::{ApplicationState, Punts};
pub use client;
pub use driver;
pub use forwarder::{EditError, Forwarder, RunError, Running, StartError, UpgradeError};
pub use hal;
pub use ipsec::{RekeyError, SaChangeError};
pub use pal;
pub use plane::SocketError;
pub use qfp_core as core;
pub use qfp_core::punt::InjectTo;
pub use reconfigure::{InterfaceState, ReconfigureError};
pub use ucode::{InjectError, PlugError, PuntFilter, PuntVerdict, Punted};
