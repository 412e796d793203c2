//! Micro interface descriptor blocks: what the data path knows of an interface (ARC-22, ARC-23).
//!
//! Ports, dot1q and QinQ sub-interfaces and the internal interfaces (rp, recycle, crypto) are rows
//! of one table. A packet carries the numbers of its input and output interface; features hang off
//! the row as bits, one a row of the order of operations.

mod direction;
mod rpf;
mod table;

pub use direction::Direction;
pub use rpf::{Rpf, RpfMode};
pub use table::{Gates, NO_PORT, TableId, Uidb, UidbIndex, UidbTable};
