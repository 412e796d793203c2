//! What users do with punted packets, and what they put in themselves.

use std::collections::HashMap;

use qfp_core::packet::{PuntCause, PuntedPacket};
use qfp_core::punt::InjectTo;

/// What becomes of a punted packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PuntVerdict {
    /// The slow path handles it as always.
    Pass,
    /// It is dealt with: counted as consumed, and gone.
    Taken,
}

/// Why a packet is not put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InjectError {
    /// The slow path has not come to those before it. Counted as `inject_refused`.
    #[error("{PLACES} packets wait already")]
    Full,
    /// The run is over.
    #[error("the run has ended")]
    Ended,
}

/// Packets that users have put in and the slow path has not come to.
pub(crate) const PLACES: usize = 4096;

/// Who looks at punted packets first, by cause.
pub type PuntHooks = HashMap<PuntCause, PuntHook>;
/// Looks at a punted packet, on the thread of the slow path.
pub type PuntHook = Box<dyn FnMut(&PuntedPacket) -> PuntVerdict + Send>;

/// A packet to put in.
pub type Injection = (InjectTo, Vec<u8>);
