//! What packets have matched, and the marks that this leads to.

use hal::VECTOR;

/// What packets have matched, and the marks that this leads to.
///
/// Arrays by slot, each a multiple of a cache line.
#[repr(C, align(64))]
pub(crate) struct Classes {
    /// First matches of each [`Feature`](crate::acl::Feature).
    pub(crate) found: [[u32; VECTOR]; 4],
    /// Internal classes of service.
    pub(crate) cos: [u8; VECTOR],
    /// QoS groups and discard classes.
    pub(crate) marks: [(u16, u8); VECTOR],
}

impl Default for Classes {
    fn default() -> Self {
        Self { found: [[u32::MAX; VECTOR]; 4], cos: [0; VECTOR], marks: [(0, 0); VECTOR] }
    }
}
