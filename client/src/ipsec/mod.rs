//! Security associations as an operator or a key exchange says them, and what is told of them.
//!
//! - [`Sa`]: one SA, and the rows that the data plane has for it
//! - [`Secret`]: its key, which is wiped and never printed
//! - [`Marks`]: how far sequence numbers have come, for what a restart must not send or take again
//! - [`SaEvent`]: what becomes of SAs
//!
//! The shape is that of the XFRM interface of Linux, so that a daemon can mirror that: SAs are
//! added, updated, deleted, asked for and flushed one by one; SPIs are allocated; lifetimes end
//! softly, then hard; an SA can be asked for where there is none.

mod event;
mod key;
mod marks;
mod sa;

pub use event::SaEvent;
pub(crate) use key::KeyId;
pub use key::{Secret, SecretError};
pub(crate) use marks::{Mark, MarkId, UNSYNCED};
pub use marks::{Marks, MarksError, default_state_dir};
pub(crate) use sa::RowNumbers;
pub use sa::{Direction, Lifetime, Sa, SaProblem};
