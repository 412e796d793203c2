//! Security associations as an operator or a key exchange says them.
//!
//! - [`Sa`]: one SA, and the rows that the data plane has for it
//! - [`Secret`]: its key, which is wiped and never printed
//!
//! The shape is that of the XFRM interface of Linux, so that a daemon can mirror that.

mod key;
mod sa;

pub use key::{KeyId, Secret, SecretError};
pub use qfp_core::uidb::Direction;
pub use sa::{Lifetime, RowNumbers, Sa, SaProblem};
