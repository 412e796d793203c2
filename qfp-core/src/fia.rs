//! The feature invocation array: the one place that names every feature.
//!
//! [`order`] is the order of operations as a table; [`Fia`] is that table with a step behind each
//! row, for one lcore; [`Fia::walk`] takes a vector through it.

mod build;
pub mod gate;
mod observe;
pub mod order;
mod own;
mod trace;
mod walk;

pub use build::{FiaBuilder, FiaError};
pub use gate::Gate;
pub use order::{Kit, Path, Row};
pub use trace::{Trace, TraceOutcome, TraceStep, TracedPacket};
pub use walk::Fia;

#[cfg(test)]
pub(crate) mod tests;
