//! Which kernels the engine uses.

use super::simd::{AesNi, Vaes512};

/// A set of kernels, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// VAES and VPCLMULQDQ on 512 bits, several small packets in lockstep.
    Vaes512,
    /// AES-NI and PCLMULQDQ on 128 bits.
    AesNi,
    /// The crates `aes` and `ghash`, on any processor. Expands the key for every packet.
    Portable,
}

impl Tier {
    /// All of them, best first.
    pub const ALL: [Self; 3] = [Self::Vaes512, Self::AesNi, Self::Portable];

    /// Its name, as `QFP_CRYPTO_TIER` spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vaes512 => "vaes512",
            Self::AesNi => "aesni",
            Self::Portable => "portable",
        }
    }

    /// The tier of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tier| tier.name() == name)
    }

    /// Tells whether this processor has what it takes.
    #[must_use]
    pub fn available(self) -> bool {
        Kernel::of(self).is_some()
    }
}

/// A tier whose instructions are known to be there.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kernel {
    Vaes512(Vaes512),
    AesNi(AesNi),
    Portable,
}

impl Kernel {
    pub(super) fn of(tier: Tier) -> Option<Self> {
        match tier {
            Tier::Vaes512 => Vaes512::detect().map(Self::Vaes512),
            Tier::AesNi => AesNi::detect().map(Self::AesNi),
            Tier::Portable => Some(Self::Portable),
        }
    }
}
