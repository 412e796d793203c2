//! One security association.

use qfp_core::crypto::Algorithm;
use qfp_core::ipsec::{
    DontFragment, Dscp, Endpoints, InboundConfig, InboundSa, Limit, Mode, OutboundConfig,
    OutboundSa, SaError, Selector,
};
use qfp_core::uidb::{Direction, TableId, UidbIndex};

use super::key::{KeyId, Secret, SecretError};

/// When a lifetime ends: at the first of these that is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lifetime {
    /// Bytes of inner packets.
    pub bytes: Option<u64>,
    /// Packets.
    pub packets: Option<u64>,
    /// Seconds since it was installed.
    pub seconds: Option<u64>,
}

/// A security association of ESP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sa {
    /// Its name, unlike that of any other.
    pub name: String,
    /// Packets that it is for: it opens what comes in, and protects what leaves.
    pub direction: Direction,
    /// SPI, above 255; chosen by whoever opens the packets.
    pub spi: u32,
    /// What of a packet is protected.
    pub mode: Mode,
    /// Our address and the peer's.
    pub endpoints: Endpoints,
    /// What the key is for.
    pub algorithm: Algorithm,
    /// The key. No other SA has it, in either direction: a counter would count through it twice.
    pub key: Secret,
    /// UDP encapsulation (RFC 3948): local and remote port.
    pub udp: Option<(u16, u16)>,
    /// Extended sequence numbers.
    pub esn: bool,
    /// Packets that the replay window covers, 64 to 4096 by powers of two; 0 for no window.
    /// Inbound.
    pub replay_window: u32,
    /// TTL or hop limit of the outer header. Outbound, tunnel mode.
    pub ttl: u8,
    /// DSCP of the outer header, likewise.
    pub dscp: Dscp,
    /// DF of an outer IPv4 header, likewise.
    pub df: DontFragment,
    /// Whether ECN is copied to the outer header (RFC 6040), likewise.
    pub ecn: bool,
    /// The VRF that the outer packet is routed in, likewise; unset is the global table.
    pub vrf: Option<String>,
    /// When a new SA should take its place.
    pub soft: Lifetime,
    /// When it stops.
    pub hard: Lifetime,
    /// The tunnel or policy entry (`INTERFACE/ENTRY`) that it protects, or that its packets come
    /// in through.
    pub interface: Option<String>,
    /// What inner packets must be. Inbound.
    pub selector: Option<Selector>,
    /// Whether the key may be used again when this process is gone, as configured keys are: then
    /// the sequence numbers that are used with it, or accepted by its window, are noted. Keys that
    /// an exchange has made for this time only need none of this.
    pub lasting: bool,
}

/// Why there can be no such SA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SaProblem {
    /// What the data plane refuses.
    #[error(transparent)]
    Sa(#[from] SaError),
    /// The key.
    #[error(transparent)]
    Key(#[from] SecretError),
    /// What leaves is numbered, not checked.
    #[error("a replay window is for packets that come in")]
    OutboundWindow,
    /// A soft lifetime that never comes.
    #[error("the soft lifetime of {soft} {what} is above the hard one of {hard}")]
    SoftAboveHard {
        /// Which.
        what: &'static str,
        /// The soft one.
        soft: u64,
        /// The hard one.
        hard: u64,
    },
    /// A lifetime of nothing.
    #[error("a lifetime of 0 {0}")]
    NoLifetime(&'static str),
}

/// Rows of an SA, and what numbers mean in them.
#[derive(Clone, Copy, Debug, Default)]
pub struct RowNumbers {
    /// Row of the keys, and of the states.
    pub state: u32,
    /// First word of the replay window.
    pub replay: u32,
    /// Table of the outer packet.
    pub table: TableId,
    /// The interface.
    pub interface: UidbIndex,
    /// When it was installed, nanoseconds of the vectors' clock, if that is known.
    pub installed: Option<u64>,
}

impl Sa {
    /// An SA with the usual settings, and a replay window if it is inbound.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        direction: Direction,
        spi: u32,
        endpoints: Endpoints,
        (algorithm, key): (Algorithm, Secret),
    ) -> Self {
        Self {
            name: name.into(),
            direction,
            spi,
            mode: Mode::Tunnel,
            endpoints,
            algorithm,
            key,
            udp: None,
            esn: false,
            replay_window: if direction == Direction::In { 64 } else { 0 },
            ttl: 64,
            dscp: Dscp::Copy,
            df: DontFragment::Copy,
            ecn: true,
            vrf: None,
            soft: Lifetime::default(),
            hard: Lifetime::default(),
            interface: None,
            selector: None,
            lasting: false,
        }
    }

    /// Checks all of it that can be told without other SAs.
    ///
    /// # Errors
    /// See [`SaProblem`].
    pub fn check(&self) -> Result<(), SaProblem> {
        self.key.check(self.algorithm)?;
        for (what, soft, hard) in [
            ("bytes", self.soft.bytes, self.hard.bytes),
            ("packets", self.soft.packets, self.hard.packets),
            ("seconds", self.soft.seconds, self.hard.seconds),
        ] {
            if soft == Some(0) || hard == Some(0) {
                return Err(SaProblem::NoLifetime(what));
            }
            if let (Some(soft), Some(hard)) = (soft, hard)
                && soft > hard
            {
                return Err(SaProblem::SoftAboveHard { what, soft, hard });
            }
        }
        if self.direction == Direction::In {
            self.inbound(RowNumbers::default()).map(drop)?;
        } else {
            self.outbound(RowNumbers::default()).map(drop)?;
            if self.replay_window != 0 {
                return Err(SaProblem::OutboundWindow);
            }
        }
        Ok(())
    }

    /// The largest inner packet whose outer one has at most `mtu` bytes; 0 when nothing fits.
    #[must_use]
    pub fn inner_mtu(&self, mtu: u16) -> u16 {
        self.outbound(RowNumbers::default()).map_or(0, |row| row.inner_mtu(mtu))
    }

    /// What its key is told from others by.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        KeyId::of(&self.key)
    }

    /// The highest sequence number that it may send, or that may be sent to it.
    #[must_use]
    pub const fn last_number(&self) -> u64 {
        if self.esn { u64::MAX - 1 } else { u32::MAX as u64 }
    }

    /// Its row, if it is outbound.
    ///
    /// # Errors
    /// The data plane refuses it.
    pub fn outbound(&self, rows: RowNumbers) -> Result<OutboundSa, SaError> {
        OutboundSa::new(&OutboundConfig {
            spi: self.spi,
            mode: self.mode,
            endpoints: self.endpoints,
            algorithm: self.algorithm,
            key: rows.state,
            state: rows.state,
            udp: self.udp,
            esn: self.esn,
            ttl: self.ttl,
            dscp: self.dscp,
            df: self.df,
            ecn: self.ecn,
            table: rows.table,
            soft: self.soft.limit(rows.installed),
            hard: self.hard.limit(rows.installed),
        })
    }

    /// Its row, if it is inbound.
    ///
    /// # Errors
    /// The data plane refuses it.
    pub fn inbound(&self, rows: RowNumbers) -> Result<InboundSa, SaError> {
        InboundSa::new(&InboundConfig {
            spi: self.spi,
            mode: self.mode,
            endpoints: self.endpoints,
            algorithm: self.algorithm,
            key: rows.state,
            state: rows.state,
            udp: self.udp.map(|(_, remote)| remote),
            esn: self.esn,
            replay: (self.replay_window != 0).then_some((rows.replay, self.replay_window)),
            interface: rows.interface,
            selector: self.selector,
            soft: self.soft.limit(rows.installed),
            hard: self.hard.limit(rows.installed),
        })
    }
}

impl Lifetime {
    /// As the data plane has it. Seconds need the time that they count from; without it, whoever
    /// looks at the SA now and then counts them.
    fn limit(&self, installed: Option<u64>) -> Limit {
        Limit {
            bytes: self.bytes.unwrap_or(u64::MAX),
            packets: self.packets.unwrap_or(u64::MAX),
            until: installed.and_then(|since| self.end(since)).unwrap_or(u64::MAX),
        }
    }

    /// When it ends by time, if it began at `since`; nanoseconds.
    #[must_use]
    pub fn end(&self, since: u64) -> Option<u64> {
        let seconds = self.seconds?;
        Some(since.saturating_add(seconds.saturating_mul(1_000_000_000)))
    }
}
