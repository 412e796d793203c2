//! What users do with punted packets, and what they put in themselves.

use qfp_core::packet::{PuntCause, PuntedPacket};
use qfp_core::punt::InjectTo;
use ucode::{InjectError, PuntVerdict};

use crate::{Forwarder, Running};

impl Forwarder {
    /// Has `hook` look at packets that are punted for `cause` before the slow path does, on its
    /// thread: what takes time there is time in which nobody is answered. Rows `lpts` and
    /// `punt-police` have let them pass. One hook a cause; a later one takes its place.
    #[must_use]
    pub fn on_punt(
        mut self,
        cause: PuntCause,
        hook: impl FnMut(&PuntedPacket) -> PuntVerdict + Send + 'static,
    ) -> Self {
        self.parts.hooks.insert(cause, Box::new(hook));
        self
    }
}

impl Running {
    /// Puts a packet of the router's own in, as the slow path does: an IP packet to be routed, or a
    /// frame for one interface. It copies `bytes` and does not wait. Packets go in through the first
    /// lcore, in order; one that is no IP packet, is longer than a buffer or finds none is counted
    /// as `inject_refused`, as is one for an interface that is not there.
    ///
    /// # Errors
    /// The ring is full, or the run is over.
    pub fn inject(&self, to: InjectTo, bytes: &[u8]) -> Result<(), InjectError> {
        self.inner.ucode.inject((to, bytes.to_vec()))
    }
}
