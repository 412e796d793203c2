/// A ratio in fixed point, applied with two 64-bit multiplications.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ratio {
    /// Never above 2^32, so a 32-bit half times `mult` fits 64 bits.
    mult: u64,
    /// Never above 32.
    shift: u32,
}

impl Ratio {
    /// `num / den`, to one part in 2^29 between 1/12 and 12; exact when it is a power of two.
    ///
    /// `den` of zero counts as one; a ratio of 2^32 and more saturates.
    pub(super) fn of(num: u64, den: u64) -> Self {
        let den = u128::from(den.max(1));
        for shift in (0..=32).rev() {
            let mult = ((u128::from(num) << shift) + den / 2) / den;
            if mult <= 1 << 32 {
                return Self { mult: u64::try_from(mult).unwrap_or(1 << 32), shift };
            }
        }
        Self { mult: 1 << 32, shift: 0 }
    }

    /// `x * num / den`, rounded down, wrapping beyond 64 bits.
    #[inline]
    pub(super) const fn apply(self, x: u64) -> u64 {
        let (high, low) = (x >> 32, x & 0xffff_ffff);
        (high.wrapping_mul(self.mult) << (32 - self.shift))
            .wrapping_add((low * self.mult) >> self.shift)
    }
}

#[cfg(test)]
mod tests {
    use super::Ratio;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_128_bit_division(
            x in 0..u64::MAX >> 4,
            num in 500_000_000_u64..6_000_000_000,
            den in 500_000_000_u64..6_000_000_000,
        ) {
            let exact = u128::from(x) * u128::from(num) / u128::from(den);
            prop_assume!(exact < u128::from(u64::MAX) / 2);
            let got = u128::from(Ratio::of(num, den).apply(x));
            // Half a unit in the last of at least 28 significant bits, plus rounding down.
            prop_assert!(got.abs_diff(exact) <= exact / (1 << 28) + 2, "{got} against {exact}");
        }
    }

    #[test]
    fn is_exact_for_the_identity() {
        let one = Ratio::of(1_000_000_000, 1_000_000_000);
        for x in [0, 1, 999_999_999, 1 << 40, u64::MAX] {
            assert_eq!(one.apply(x), x);
        }
    }
}
