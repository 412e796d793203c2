//! Quality of service: policers, marking, trust.
//!
//! - [`police`]: policers that are exact in every decision
//! - [`accounting`]: how many bytes a frame counts for
//! - [`trust`]: the internal class of service, and the fields that take it

pub mod accounting;
pub mod police;
mod stage;
mod table;
pub mod trust;

pub use stage::QosAct;
pub use table::{Action, ClassEvent, ClassRow, LEVELS, Level, Mark, QosSettings};
