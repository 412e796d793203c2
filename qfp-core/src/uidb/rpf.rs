//! What unicast RPF asks of packets that come in through an interface.

/// Which route a source address must have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum RpfMode {
    /// None: sources are not looked up.
    #[default]
    Off = 0,
    /// One that leads back through the interface the packet came in through.
    Strict = 1,
    /// Any that is not Null0.
    Loose = 2,
}

/// Unicast RPF of one interface for one address family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rpf {
    /// Which route it takes.
    pub mode: RpfMode,
    /// Whether the default route is a route, too.
    pub allow_default: bool,
}

impl Rpf {
    const ALLOW_DEFAULT: u8 = 1 << 2;
    /// Where the IPv6 bits begin.
    const IPV6_SHIFT: u32 = 4;

    /// Both families as they stand in [`Uidb::urpf`](crate::uidb::Uidb): two bits mode, one bit
    /// allow-default; IPv4 in the lower half, IPv6 in the upper.
    #[must_use]
    pub const fn pack(ipv4: Self, ipv6: Self) -> u8 {
        ipv4.bits() | ipv6.bits() << Self::IPV6_SHIFT
    }

    /// IPv4 and IPv6, back from [`Rpf::pack`]; an unknown mode is off.
    #[inline]
    #[must_use]
    pub const fn unpack(byte: u8) -> (Self, Self) {
        (Self::of_bits(byte), Self::of_bits(byte >> Self::IPV6_SHIFT))
    }

    const fn bits(self) -> u8 {
        self.mode as u8 | if self.allow_default { Self::ALLOW_DEFAULT } else { 0 }
    }

    const fn of_bits(bits: u8) -> Self {
        let mode = match bits & 3 {
            1 => RpfMode::Strict,
            2 => RpfMode::Loose,
            _ => RpfMode::Off,
        };
        Self { mode, allow_default: bits & Self::ALLOW_DEFAULT != 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_survive_packing() {
        let modes = [RpfMode::Off, RpfMode::Strict, RpfMode::Loose];
        let all = || {
            modes
                .into_iter()
                .flat_map(|mode| [false, true].map(|allow_default| Rpf { mode, allow_default }))
        };
        for (ipv4, ipv6) in all().flat_map(|ipv4| all().map(move |ipv6| (ipv4, ipv6))) {
            assert_eq!(Rpf::unpack(Rpf::pack(ipv4, ipv6)), (ipv4, ipv6));
        }
        assert_eq!(Rpf::pack(Rpf::default(), Rpf::default()), 0);
        assert_eq!(Rpf::unpack(0x33).0.mode, RpfMode::Off);
    }
}
