//! The data plane of a router as it runs: its ports, its lcores, and the slow path that serves them.
//!
//! It knows neither configuration nor client. [`open`] opens devices; [`Opened::launch`] takes a
//! [`Launch`], plain data that says how they are started and what for, and [`Hands`], which reach
//! into what others have: tables, counters, and the lines to and from the client. What the two tell
//! each other from then on are [`ToSlowPath`] and [`FromSlowPath`].
//!
//! In the machine's time the slow path has a thread of its own, so that an address is answered for
//! while a configuration is committed. In the time of captures it runs between two vectors, and so
//! does the client ([`Beside`]). A simulator moves all of them by hand ([`Stepped`]).

#![deny(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod applications;
mod door;
mod engine;
pub mod hello;
mod hooks;
mod idle;
mod keeper;
mod launch;
mod links;
mod mailbox;
mod memory;
mod messages;
mod plug;
mod ports;
mod running;
mod serve;
mod slow_side;
mod stepped;
mod threads;
pub mod wire;

pub use applications::{Application, ForApplication, PuntFilter, Punted, ToApplications};
pub use door::Stay;
pub use engine::Beside;
pub use hooks::{InjectError, Injection, PuntHook, PuntHooks, PuntVerdict};
pub use keeper::{LastingSa, LastingSas};
pub use launch::{Hands, Launch, StartError};
pub use links::PortState;
pub use mailbox::HandOverError;
pub use memory::Known;
pub use messages::{Configured, FromSlowPath, Inbox, Line, ToClient, ToSlowPath, line, line_apart};
pub use plug::{Plug, PlugError, own_mac};
pub use ports::{Device, NATIVE_FRAME, Opened, open};
pub use running::{EndError, Ended, Running};
pub use serve::{Refusal, serve};
pub use slow_side::SlowCounts;
pub use stepped::{ByHand, Stepped};

use pal::clock::Nanos;

/// Between two rounds of housekeeping.
pub const HOUSEKEEPING_NS: u64 = 50 * Nanos::PER_MILLI;
/// Between two rounds when nothing has happened since the last one.
pub const LAZY_NS: u64 = Nanos::PER_SECOND;
