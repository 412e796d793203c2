//! What becomes of security associations, and what outlives the process.
//!
//! - [`Marks`]: how far sequence numbers have come, for what a restart must not send or take again
//! - [`SaEvent`]: what becomes of SAs
//!
//! SAs are added, updated, deleted, asked for and flushed one by one; SPIs are allocated; lifetimes
//! end softly, then hard; an SA can be asked for where there is none.

mod event;
mod marks;

pub use event::SaEvent;
pub use lang::ipsec::{Direction, KeyId, Lifetime, RowNumbers, Sa, SaProblem, Secret, SecretError};
pub(crate) use marks::{Mark, MarkId, UNSYNCED};
pub use marks::{Marks, MarksError};
