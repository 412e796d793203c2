//! The feature invocation array: the one place that names every feature.
//!
//! [`order`] is the order of operations as a table; [`Fia`] is that table with a step behind each
//! row, for one lcore; [`Fia::walk`] takes a vector through it.

pub mod gate;
pub mod order;
mod trace;
mod walk;

pub use gate::Gate;
pub use order::{Kit, Path, Row};
pub use trace::{Trace, TraceOutcome, TraceStep, TracedPacket};
pub use walk::{Fia, FiaBuilder, FiaError};

#[cfg(test)]
pub(crate) mod tests;
