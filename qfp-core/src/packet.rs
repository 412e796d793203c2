//! What a packet is while it is being forwarded: the vector, its metadata, and verdicts.

mod mark;
mod meta;
mod vector;
mod verdict;

pub use hal::{Packet, PacketMask, VECTOR};
pub use meta::{Cold, L3, PuntedPacket};
pub(crate) use vector::End;
pub use vector::{Source, Vector};
pub use verdict::{DropReason, PuntCause, Verdict};
