//! What programs ask of a running router, and what it answers.
//!
//! - [`Call`] and [`Reply`]: every operation, as plain data
//! - [`Candidate`]: a configuration with everything that it names
//! - [`Connection`]: asks, over the socket in the router's run directory
//! - [`Application`]: gets packets of the slow path, and puts packets in
//! - [`wire`]: how messages travel
//!
//! What qfpctl prints as JSON are the members of these types.
#![deny(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod application;
mod candidate;
mod connection;
mod message;
mod state;
pub mod wire;

pub use application::{
    APPLICATIONS, Application, FromApplication, Injector, MAX_PACKET, Punted, Target,
    ToApplication, Wanted,
};
pub use candidate::{Candidate, Part, RouteFile};
pub use connection::{CallError, Connection};
pub use message::{
    Call, Failure, Program, Reply, Request, Response, RouteAction, RouteChange, Status,
};
pub use state::{
    Agent, ApplicationState, Boot, ConfigText, Hop, Interface, MappedInterface, Neighbour, Path,
    Process, Resource, Route, RouteQuery, Version,
};

/// Name of the socket in a run directory, for who may change things.
pub const SOCKET: &str = "api.sock";
/// Name of the socket for who may look.
pub const SHOW_SOCKET: &str = "show.sock";
