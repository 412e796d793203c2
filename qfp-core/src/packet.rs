//! What a packet is while it is being forwarded: the vector, its metadata, and verdicts.

mod classes;
mod ends;
mod flow_type;
mod headers;
mod known;
mod mark;
mod meta;
mod own;
mod route;
mod vector;
mod verdict;
mod walk;

pub(crate) use ends::End;
pub use flow_type::FlowType;
pub use hal::{Packet, PacketMask, VECTOR};
pub use meta::{Cold, L3, Origin, PuntedPacket};
pub(crate) use own::COUNTERS;
pub use own::{FeatureCounter, NameError};
pub(crate) use vector::Span;
pub use vector::Vector;
pub use verdict::{DropReason, PuntCause, Verdict};
pub use walk::Source;
