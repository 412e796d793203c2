//! What a packet is while it is being forwarded: the vector, its metadata, and verdicts.

mod flow_type;
mod mark;
mod meta;
mod own;
mod vector;
mod verdict;

pub use flow_type::FlowType;
pub use hal::{Packet, PacketMask, VECTOR};
pub use meta::{Cold, L3, Origin, PuntedPacket};
pub(crate) use own::COUNTERS;
pub use own::{FeatureCounter, NameError};
pub(crate) use vector::{End, Span};
pub use vector::{Source, Vector};
pub use verdict::{DropReason, PuntCause, Verdict};
