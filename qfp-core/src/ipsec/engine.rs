//! The engine of the process, and where IVs come from that must not be foretold.

use std::fs::File;
use std::io::Read;
use std::sync::OnceLock;

use aes::cipher::{BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Block};
use hal::VECTOR;

use crate::crypto::{CryptoEngine, Iv, StartError, Started};

/// Why there is no ESP in this process.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// No engine started.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The operating system gives no random numbers.
    #[error("no random numbers from /dev/urandom: {0}")]
    Random(#[from] std::io::Error),
}

/// What all lcores share.
pub(super) struct Shared {
    started: Started,
    ivs: Ivs,
}

impl Shared {
    pub(super) fn engine(&self) -> &CryptoEngine {
        &self.started.engine
    }

    pub(super) fn ivs(&self) -> &Ivs {
        &self.ivs
    }
}

/// IVs for CBC (RFC 3602 §3): SPI and sequence number, which do not repeat, enciphered with a key
/// that nobody knows.
pub(super) struct Ivs(Aes128);

impl Ivs {
    fn start() -> Result<Self, std::io::Error> {
        let mut key = [0; 16];
        File::open("/dev/urandom")?.read_exact(&mut key)?;
        Ok(Self(Aes128::new(&key.into())))
    }

    /// Those of `first` and the numbers behind it. All of a vector cost about as much as one.
    pub(super) fn all(&self, key_row: u32, spi: u32, first: u64) -> [Iv; VECTOR] {
        let sa = u128::from(key_row) << 96 | u128::from(spi) << 64;
        let mut number = first;
        let mut blocks = [Block::default(); VECTOR];
        for block in &mut blocks {
            *block = (sa | u128::from(number)).to_be_bytes().into();
            number = number.wrapping_add(1);
        }
        self.0.encrypt_blocks(&mut blocks);
        blocks.map(|block| Iv::block(block.into()))
    }
}

/// The engine that the rows use, with what was refused; started by the first call.
///
/// Without one the rows drop all that they should protect, so a program asks before it starts.
/// Takes milliseconds once.
///
/// # Errors
/// There is no engine or no source of random numbers; the same answer for good.
pub fn engine() -> Result<&'static Started, &'static EngineError> {
    shared().map(|shared| &shared.started)
}

pub(super) fn shared() -> Result<&'static Shared, &'static EngineError> {
    static SHARED: OnceLock<Result<Shared, EngineError>> = OnceLock::new();
    let start = || Ok(Shared { started: CryptoEngine::start()?, ivs: Ivs::start()? });
    SHARED.get_or_init(start).as_ref()
}
