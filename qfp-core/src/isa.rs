//! Which kernels this processor can run.

/// An instruction set the lookup kernels are written for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isa {
    /// Plain Rust.
    #[default]
    Portable,
    /// AVX2, BMI and POPCNT (x86-64-v3).
    Avx2,
    /// AVX-512 F, BW, DQ and VL (x86-64-v4).
    Avx512,
}

impl Isa {
    /// Returns the best set this processor has. Ask once, at start.
    #[must_use]
    pub fn detect() -> Self {
        if Self::Avx512.available() {
            Self::Avx512
        } else if Self::Avx2.available() {
            Self::Avx2
        } else {
            Self::Portable
        }
    }

    /// Tells whether this processor has the set.
    #[must_use]
    pub fn available(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => {
                is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("bmi1")
                    && is_x86_feature_detected!("bmi2")
                    && is_x86_feature_detected!("popcnt")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                Self::Avx2.available()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
            }
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }

    /// Returns `self`, or the best set below it that this processor has.
    #[must_use]
    pub fn or_lower(self) -> Self {
        match self {
            Self::Avx512 if self.available() => self,
            Self::Avx512 | Self::Avx2 if Self::Avx2.available() => Self::Avx2,
            _ => Self::Portable,
        }
    }
}
