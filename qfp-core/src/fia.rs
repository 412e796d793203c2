//! The feature invocation array: the one place that names every feature.
//!
//! [`order`] is the order of operations as a table; [`Fia`] is that table with a step behind each
//! row, for one lcore; [`Fia::walk`] takes a vector through it.

mod array;
mod build;
pub mod gate;
mod observe;
pub mod order;
mod own;
mod trace;
mod walk;

pub use array::Fia;
pub use build::{FiaBuilder, FiaError};
pub use gate::Gate;
pub use order::{Kit, Path, Row};
pub use trace::{Trace, TraceOutcome, TraceStep, TracedPacket};

#[cfg(test)]
pub(crate) mod tests;
