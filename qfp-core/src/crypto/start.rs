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
        let mut refused = Vec::new();
        for tier in Tier::ALL.into_iter().skip_while(|&tier| tier != best) {
            let tested = Self::untested(tier)
                .ok_or(Refusal::NotAvailable(tier))
                .and_then(|engine| self_test::run(&engine).map(|()| engine));
            match tested {
                Ok(engine) => return Ok(Started { engine, refused }),
                Err(refusal) => refused.push(refusal),
            }
        }
        let last = refused.pop().unwrap_or(Refusal::NotAvailable(Tier::Portable));
        Err(StartError::NoTier(last))
    }
}
