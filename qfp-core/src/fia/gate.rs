//! Gates: which uIDB bit switches a row on.

use crate::fia::Path;
use crate::uidb::Uidb;

const _: () = {
    assert!(Gate::VRF.mask() == Uidb::VRF && Gate::URPF.mask() == Uidb::URPF);
    assert!(Gate::TTL.mask() == Uidb::TTL && Gate::SOURCE.mask() == Uidb::SOURCE);
    assert!(Gate::ESP_OUT.mask() == Uidb::ESP_OUT);
};

/// When a row looks at a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Gate {
    /// For every packet.
    Always,
    /// For packets whose interface (input for ingress rows, output for egress rows) has this bit
    /// of its feature word set.
    Bit(u8),
    /// For packets of the router's own that tell of packets which came out of ESP: they may leave
    /// through an SA only.
    Confined,
}

impl Gate {
    /// Frames for other stations are dropped.
    pub const MAC_FILTER: Self = Self::Bit(0);
    /// Ingress access list.
    pub const ACL_IN: Self = Self::Bit(1);
    /// Policy-based routing.
    pub const PBR_IN: Self = Self::Bit(2);
    /// Ingress service policy.
    pub const QOS_IN: Self = Self::Bit(3);
    /// Unicast reverse path forwarding.
    pub const URPF: Self = Self::Bit(4);
    /// TTL decrement: on for all but the internal interfaces.
    pub const TTL: Self = Self::Bit(5);
    /// Ingress queueing.
    pub const QUEUE_IN: Self = Self::Bit(6);
    /// Routing in another table than the global one ([`Uidb::VRF`]): no row of its own, but what
    /// the rows that look routes up ask.
    pub const VRF: Self = Self::Bit(7);
    /// ESP for this router is opened.
    pub const ESP_IN: Self = Self::Bit(8);
    /// What comes in is checked against the security policies.
    pub const SPD_IN: Self = Self::Bit(9);
    /// What claims to come from this router is dropped ([`Uidb::SOURCE`]): no row of its own, but
    /// what `l3-parse` asks.
    pub const SOURCE: Self = Self::Bit(10);
    /// Egress access list.
    pub const ACL_OUT: Self = Self::Bit(0);
    /// Egress service policy.
    pub const QOS_OUT: Self = Self::Bit(1);
    /// What leaves is protected by ESP.
    pub const ESP_OUT: Self = Self::Bit(2);
    /// What leaves is checked against the security policies.
    pub const SPD_OUT: Self = Self::Bit(3);
    /// The first bit, on either path, that is free for a user's own features.
    pub const FIRST_FREE: u8 = 32;

    /// The mask of the feature word: all ones for [`Gate::Always`], none for [`Gate::Confined`].
    #[must_use]
    pub const fn mask(self) -> u64 {
        match self {
            Self::Always => u64::MAX,
            Self::Bit(bit) => 1 << (bit & 63),
            Self::Confined => 0,
        }
    }

    /// How reports name it.
    #[must_use]
    pub fn describe(self, path: Path) -> String {
        match self {
            Self::Always => "always".to_owned(),
            Self::Bit(bit) => format!("{} bit {bit}", path.name()),
            Self::Confined => "errors about opened packets".to_owned(),
        }
    }
}
