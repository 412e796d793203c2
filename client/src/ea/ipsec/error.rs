use std::net::IpAddr;

use driver::DriverError;
use pal::pool::Full;
use qfp_core::crypto::StartError;
use qfp_core::ipsec::{EngineError, SpiError};

use crate::ipsec::{MarksError, SaProblem};

/// Why SAs cannot be as asked for. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum IpsecError {
    /// An SA that cannot be.
    #[error("SA {sa}: {problem}")]
    Sa {
        /// The SA.
        sa: String,
        /// Why not.
        problem: SaProblem,
    },
    /// An SA that does not exist.
    #[error("there is no SA {0:?}")]
    Unknown(String),
    /// An SA that exists already.
    #[error("there is already an SA {0:?}")]
    Exists(String),
    /// Two SAs that the same packets would be for.
    #[error("SPI {spi:#x} to {local} is already that of SA {other}")]
    DuplicateSpi {
        /// The SPI.
        spi: u32,
        /// Destination of the packets.
        local: IpAddr,
        /// Who has it.
        other: String,
    },
    /// Two SAs with one key.
    #[error("SA {sa} has the key of SA {other}: each needs one of its own, in each direction")]
    SameKey {
        /// The SA.
        sa: String,
        /// Who has it.
        other: String,
    },
    /// A window that would forget what it has seen.
    #[error("the replay window of SA {0} cannot be changed: it needs another key then")]
    WindowChange(String),
    /// An update that makes something else of an SA.
    #[error("SA {0} is for packets in the other direction")]
    DirectionChange(String),
    /// All numbers have been used, or may have been.
    #[error("SA {0} has no sequence numbers left: it needs another key")]
    UsedUp(String),
    /// A tunnel or entry that does not exist.
    #[error("SA {sa}: there is no tunnel or policy entry {interface:?}")]
    NoInterface {
        /// The SA.
        sa: String,
        /// What it is to protect.
        interface: String,
    },
    /// A VRF that no interface is in.
    #[error("SA {sa}: no interface is in VRF {vrf:?}")]
    NoVrf {
        /// The SA.
        sa: String,
        /// The VRF.
        vrf: String,
    },
    /// The tables were made for less.
    #[error(transparent)]
    Full(#[from] Full),
    /// The table of SPIs.
    #[error(transparent)]
    Spi(#[from] SpiError),
    /// Sequence numbers cannot be reserved.
    #[error(transparent)]
    Marks(#[from] MarksError),
    /// There is no crypto engine.
    #[error("no ESP: {0}")]
    Engine(&'static EngineError),
    /// The system gives no random numbers.
    #[error("no random SPI: {0}")]
    Random(std::io::Error),
    /// Memory for the tables.
    #[error(transparent)]
    Driver(#[from] DriverError),
}

impl IpsecError {
    /// Whether the operator has asked for what cannot be, rather than for more than there is room
    /// for.
    #[must_use]
    pub const fn is_usage(&self) -> bool {
        !matches!(
            self,
            Self::Full(_)
                | Self::Spi(_)
                | Self::Random(_)
                | Self::Driver(_)
                | Self::Engine(EngineError::Random(_) | EngineError::Start(StartError::NoTier(_)))
        )
    }
}
