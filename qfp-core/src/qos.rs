//! Quality of service: policers and marking.
//!
//! - [`police`]: policers that are exact in every decision
//! - [`accounting`]: how many bytes a frame counts for

pub mod accounting;
pub mod police;
mod stage;
mod table;

pub use stage::QosAct;
pub use table::{Action, ClassEvent, ClassRow, LEVELS, Level, Mark, QosSettings};
