//! The choice of a tier, once, at start.

use std::ffi::OsString;

use super::engine::CryptoEngine;
use super::self_test::{self, Refusal};
use super::tier::Tier;

/// Names a tier to begin with: `vaes512`, `aesni` or `portable`.
pub const TIER_VARIABLE: &str = "QFP_CRYPTO_TIER";

/// An engine that passed its self-test, and what did not.
#[derive(Clone, Debug)]
pub struct Started {
    /// The engine.
    pub engine: CryptoEngine,
    /// Better tiers that were refused, and why; the operator should see this.
    pub refused: Vec<Refusal>,
}

/// Why there is no engine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// The environment names no tier.
    #[error("{TIER_VARIABLE}={}: there are vaes512, aesni and portable", .0.display())]
    UnknownTier(OsString),
    /// Every tier failed.
    #[error("no usable crypto kernel: {0}")]
    NoTier(Refusal),
}

impl CryptoEngine {
    /// Starts the best engine this processor runs, or the one `QFP_CRYPTO_TIER` names.
    ///
    /// A tier that is not available or fails its self-test is refused, and the next one is tried.
    /// Takes milliseconds.
    ///
    /// # Errors
    /// The variable names no tier, or even the portable tier fails.
    pub fn start() -> Result<Started, StartError> {
        let Some(name) = std::env::var_os(TIER_VARIABLE) else {
            return Self::start_with(Tier::Vaes512);
        };
        match name.to_str().and_then(Tier::from_name) {
            Some(tier) => Self::start_with(tier),
            None => Err(StartError::UnknownTier(name)),
        }
    }

    /// Starts `best`, or the next tier that passes its self-test.
    ///
    /// # Errors
    /// Even the portable tier fails.
    pub fn start_with(best: Tier) -> Result<Started, StartError> {
        choose(best, self_test::run)
    }
}

/// The first tier from `best` on that is there and passes `test`.
fn choose(
    best: Tier,
    test: impl Fn(&CryptoEngine) -> Result<(), Refusal>,
) -> Result<Started, StartError> {
    let mut refused = Vec::new();
    for tier in Tier::ALL.into_iter().skip_while(|&tier| tier != best) {
        let tested = CryptoEngine::untested(tier)
            .ok_or(Refusal::NotAvailable(tier))
            .and_then(|engine| test(&engine).map(|()| engine));
        match tested {
            Ok(engine) => return Ok(Started { engine, refused }),
            Err(refusal) => refused.push(refusal),
        }
    }
    let last = refused.pop().unwrap_or(Refusal::NotAvailable(Tier::Portable));
    Err(StartError::NoTier(last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Algorithm;

    #[test]
    fn a_tier_that_fails_its_test_is_refused_and_the_next_one_taken() {
        let wrong = |tier| Refusal::WrongAnswer { tier, algorithm: Algorithm::Aes128Gcm };
        let started = choose(Tier::AesNi, |engine| match engine.tier() {
            Tier::AesNi => Err(wrong(Tier::AesNi)),
            _ => Ok(()),
        })
        .unwrap();
        assert_eq!(started.engine.tier(), Tier::Portable);
        assert_eq!(started.refused.len(), 1);
        let none = choose(Tier::Vaes512, |engine| Err(wrong(engine.tier())));
        assert_eq!(none.err(), Some(StartError::NoTier(wrong(Tier::Portable))));
    }

    #[test]
    fn tiers_are_known_by_their_names_alone() {
        for tier in Tier::ALL {
            assert_eq!(Tier::from_name(tier.name()), Some(tier));
        }
        assert_eq!(Tier::from_name("fastest"), None);
    }
}
