//! Rows `esp-decap` and `esp-encap`.

mod inbound;
mod outbound;

use hal::{PacketMask, VECTOR};

use super::arch::frames_mut;
use super::engine::Shared;
use super::state::SaState;
use crate::crypto::{Job, Outcome, Outcomes, SaKey};
use crate::packet::{DropReason, Vector};

pub use inbound::EspDecap;
pub use outbound::EspEncap;

/// The packets of a vector that go through the engine together.
pub(super) struct Batch {
    pub(super) jobs: Vec<Job>,
    slots: Vec<u8>,
}

impl Batch {
    pub(super) fn new() -> Self {
        Self { jobs: Vec::with_capacity(VECTOR), slots: Vec::with_capacity(VECTOR) }
    }

    fn clear(&mut self) {
        self.jobs.clear();
        self.slots.clear();
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "a slot is below 64")]
    fn push(&mut self, slot: usize, job: Job) {
        // A vector has as many slots as there is room for.
        if self.jobs.len() < VECTOR {
            self.jobs.push(job);
            self.slots.push(slot as u8);
        }
    }

    /// The packets are in the first slots now.
    #[expect(clippy::cast_possible_truncation, reason = "a slot is below 64")]
    pub(super) fn renumber(&mut self) {
        for (n, slot) in self.slots.iter_mut().enumerate() {
            *slot = n as u8;
        }
    }

    /// Number, slot and job of each packet.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, usize, &Job)> {
        let slots = self.slots.iter().map(|slot| usize::from(*slot));
        slots.zip(&self.jobs).enumerate().map(|(n, (slot, job))| (n, slot, job))
    }

    /// Number and slot of those of the packets whose numbers `select` has.
    fn slots(&self, select: PacketMask) -> impl Iterator<Item = (usize, usize)> {
        select.into_iter().filter_map(|n| Some((n, usize::from(*self.slots.get(n)?))))
    }

    fn run<const SEAL: bool>(
        &self,
        shared: &Shared,
        keys: &[SaKey],
        vector: &mut Vector,
    ) -> Outcomes {
        let mut frames: [&mut [u8]; VECTOR] = std::array::from_fn(|_| Default::default());
        let count = frames_mut(&mut vector.burst, &self.slots, &mut frames);
        let frames = frames.get_mut(..count).unwrap_or_default();
        if SEAL {
            shared.engine().seal(keys, &self.jobs, frames)
        } else {
            shared.engine().open(keys, &self.jobs, frames)
        }
    }
}

/// Why a packet that the engine did not do is dropped.
const fn refusal(outcome: Outcome) -> DropReason {
    match outcome {
        Outcome::NotAuthentic => DropReason::EspBadIcv,
        Outcome::OutOfRange | Outcome::BadLength => DropReason::EspRunt,
        Outcome::Done | Outcome::NoKey => DropReason::EspNoEngine,
    }
}

/// Drops a packet, counted for its SA too.
#[cold]
fn fail(vector: &mut Vector, slot: usize, state: &SaState, reason: DropReason) {
    state.fail(reason);
    vector.drop(slot, reason);
}
