//! IPsec ESP (RFC 4303): tunnels and transport, inline in the walk.
//!
//! A tunnel is an interface whose uIDB has the row `esp-encap` switched on ([`Gate::ESP_OUT`]): what
//! is routed to it is encapsulated, and the result begins a walk of its own as a packet of
//! [`UidbIndex::CRYPTO`]. What comes in for an SA is found by SPI in the row `esp-decap`; the inner
//! packet begins a walk of its own as one that came in through the tunnel. In transport mode the
//! packet stays in its walk.
//!
//! - [`sa`](OutboundSa): rows of SAs, written by the client
//! - [`SpiTable`]: from an SPI to the row of the SA
//! - [`SaState`]: what lcores write: sequence numbers, counters, events
//! - [`Window`]: anti-replay that several lcores may use at once
//! - `encap`, `decap`: one packet in place
//! - [`EspEncap`], [`EspDecap`]: the rows, which take a vector through the engine in one batch
//!
//! # What can never repeat
//! The IV of a packet is its sequence number, 64 bits wide whatever travels of it, or is made of it
//! by a block cipher where it must not be foretold. Numbers are taken from one atomic counter, and
//! only below a mark that the client has noted where a restart does not lose it
//! ([`SaState::reserve`]).
//!
//! Nor is a packet taken twice: a replay window accepts only below such a mark, and begins behind it
//! when the process starts again ([`Window::resume`]).
//!
//! [`Gate::ESP_OUT`]: crate::fia::Gate::ESP_OUT
//! [`UidbIndex::CRYPTO`]: crate::uidb::UidbIndex::CRYPTO

mod arch;
mod decap;
mod ecn;
mod encap;
mod engine;
mod header;
mod lane;
pub mod marks;
mod replay;
mod sa;
mod selector;
mod spd;
mod spi;
mod stage;
mod state;
mod table;

pub use engine::{EngineError, engine};
pub use lane::{EngineLanes, EngineLcore, EngineQueues, LaneEnds, engine_lanes};
pub use replay::{Window, WindowError, replay_words};
pub use sa::{
    DontFragment, Dscp, Endpoints, InboundConfig, InboundSa, Limit, Mode, OutboundConfig,
    OutboundSa, SaError, SaFlags,
};
pub use selector::Selector;
pub use spd::{SpdAction, SpdConfine, SpdEntry, SpdIn, SpdOut};
pub use spi::{SpiBucket, SpiError, SpiTable};
pub use stage::{EspDecap, EspEncap};
pub use state::{SaEvents, SaState};
pub use table::{EspTables, Tunnel, TunnelState};

#[cfg(test)]
mod tests;
