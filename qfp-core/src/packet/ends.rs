//! How packets have left their walk.

use hal::{PacketMask, VECTOR};

use crate::packet::{DropReason, FlowType, PuntCause};
use crate::uidb::{TableId, UidbIndex};

/// How the walk of a packet ended, for its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum End {
    #[default]
    Walking,
    Drop(DropReason),
    Punt(PuntCause),
    Consumed,
}

/// What has become of packets that do not walk any more.
pub(crate) struct Ends {
    /// Of each slot whose walk has ended.
    pub(crate) end: [End; VECTOR],
    /// Types of what leaves for the slow path (from `lpts` on).
    pub(crate) flow: [FlowType; VECTOR],
    pub(crate) dropped: PacketMask,
    pub(crate) punted: PacketMask,
    /// Those of the dropped whose source is to be told.
    pub(crate) reported: PacketMask,
    pub(crate) consumed: PacketMask,
    pub(crate) sent: PacketMask,
    /// Packets that begin another walk, where the last of them comes in, and whether others come in
    /// elsewhere: only then it is noted for each.
    pub(crate) recirculated: PacketMask,
    pub(crate) together: (UidbIndex, TableId),
    pub(crate) scattered: bool,
    pub(crate) comes_in: [(UidbIndex, TableId); VECTOR],
}

impl Default for Ends {
    fn default() -> Self {
        Self {
            end: [End::Walking; VECTOR],
            flow: [FlowType::Feature; VECTOR],
            dropped: PacketMask::EMPTY,
            punted: PacketMask::EMPTY,
            reported: PacketMask::EMPTY,
            consumed: PacketMask::EMPTY,
            sent: PacketMask::EMPTY,
            recirculated: PacketMask::EMPTY,
            together: (UidbIndex::NONE, TableId::GLOBAL),
            scattered: false,
            comes_in: [(UidbIndex::NONE, TableId::GLOBAL); VECTOR],
        }
    }
}

impl Ends {
    /// All packets walk.
    #[inline]
    pub(super) fn begin(&mut self) {
        self.dropped = PacketMask::EMPTY;
        self.punted = PacketMask::EMPTY;
        self.reported = PacketMask::EMPTY;
        self.consumed = PacketMask::EMPTY;
        self.sent = PacketMask::EMPTY;
        self.recirculated = PacketMask::EMPTY;
        self.scattered = false;
    }
}
