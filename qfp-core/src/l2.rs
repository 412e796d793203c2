//! Interfaces at both ends of the walk. Classification: from a port and up to two VLAN tags to a uIDB (ING-01).
//!
//! A port has one row: the interface of its untagged frames, and where its 4096 outer tags start.
//! An outer tag names an interface, or the 4096 inner tags behind it, or both: `dot1q 10` takes
//! what no `dot1q 10 second-dot1q N` takes. Two loads a tagged packet, none for a port without
//! sub-interfaces.

mod mac_filter;
mod simd;
mod stage;
mod table;
mod tags;
mod transmit;

pub use mac_filter::MacFilter;
pub use stage::IfClassify;
pub use table::{MacRow, PortClass, TagEntry, TagTables};
pub use transmit::Transmit;

#[cfg(test)]
mod tests;
