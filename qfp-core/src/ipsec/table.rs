//! The tables of ESP in one generation.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::replay::{Window, replay_words};
use super::sa::{InboundSa, OutboundSa, SaFlags};
use super::spi::SpiTable;
use super::state::SaState;
use crate::crypto::SaKey;
use crate::tables::{Tables, table_kind};
use crate::uidb::UidbIndex;

pal::plain_struct! {
    /// The SA that protects what leaves through an interface, by uIDB number. One store changes it,
    /// so a new SA takes the place of the old one between two vectors.
    #[derive(Debug, Default)]
    pub struct Tunnel {
        /// Row of the outbound SAs plus one; 0 for none.
        outbound: AtomicU32,
        /// Largest packet that the path takes when it is in the tunnel, bytes; 0 for any.
        path_mtu: AtomicU32,
    }
}

pal::plain_struct! {
    /// What lcores write of an interface whose packets are to be protected.
    #[derive(Debug, Default)]
    pub struct TunnelState {
        /// Packets that there was no SA for.
        unprotected: AtomicU64,
    }
}

impl TunnelState {
    /// Packets that were dropped because there was no SA, since this was asked last: somebody wants
    /// one (RFC 4301 §4.4.1, "acquire").
    #[must_use]
    pub fn take_unprotected(&self) -> u64 {
        self.unprotected.swap(0, Ordering::Relaxed)
    }
}

impl Tunnel {
    /// Names the row of the SA; none stops the tunnel.
    pub fn set(&self, outbound: Option<u32>) {
        pal::faults::store();
        self.outbound.store(outbound.map_or(0, |row| row.wrapping_add(1)), Ordering::Release);
    }

    /// Says how large packets may be before they are in the tunnel, whatever its MTU; none for no
    /// limit (RFC 4301 §8.2).
    pub fn set_path_mtu(&self, mtu: Option<u16>) {
        pal::faults::store();
        self.path_mtu.store(mtu.map_or(0, u32::from), Ordering::Relaxed);
    }

    /// The size of packets that the path takes.
    #[inline]
    #[must_use]
    pub fn path_mtu(&self) -> Option<u16> {
        let mtu = self.path_mtu.load(Ordering::Relaxed);
        u16::try_from(mtu).ok().filter(|mtu| *mtu != 0)
    }

    /// The row of the SA.
    #[inline]
    #[must_use]
    pub fn outbound(&self) -> Option<u32> {
        self.outbound.load(Ordering::Acquire).checked_sub(1)
    }
}

/// All that the rows look at. Rows of SAs and keys are written while nothing names them.
#[derive(Clone, Copy, Debug)]
pub struct EspTables<'a> {
    pub(super) tunnels: &'a [Tunnel],
    pub(super) outbound: &'a [OutboundSa],
    pub(super) inbound: &'a [InboundSa],
    pub(super) spis: SpiTable<'a>,
    pub(super) keys: &'a [SaKey],
    pub(super) states: &'a [SaState],
    pub(super) replay: &'a [AtomicU64],
    tunnel_states: &'a [TunnelState],
}

impl<'a> EspTables<'a> {
    /// Opens the generation's tables.
    #[must_use]
    pub fn open(tables: &Tables<'a>) -> Self {
        Self {
            tunnels: tables.view(table_kind::ESP_TUNNELS),
            outbound: tables.view(table_kind::ESP_OUTBOUND),
            inbound: tables.view(table_kind::ESP_INBOUND),
            spis: SpiTable::new(tables.view(table_kind::ESP_SPIS)),
            keys: tables.view(table_kind::ESP_KEYS),
            states: tables.view(table_kind::ESP_STATES),
            replay: tables.view(table_kind::ESP_REPLAY),
            tunnel_states: tables.view(table_kind::ESP_TUNNEL_STATES),
        }
    }

    /// The SA that protects what leaves through an interface, and its state.
    #[inline]
    pub(super) fn protecting(&self, output: UidbIndex) -> Option<(&'a OutboundSa, &'a SaState)> {
        let row = self.tunnels.get(usize::from(output.0))?.outbound()?;
        let sa = self.outbound.get(row as usize).filter(|sa| sa.is(SaFlags::VALID))?;
        Some((sa, self.states.get(sa.state as usize)?))
    }

    /// The size of packets that the path of an interface takes.
    #[inline]
    pub(super) fn path_mtu(&self, output: UidbIndex) -> u16 {
        let tunnel = self.tunnels.get(usize::from(output.0));
        tunnel.and_then(Tunnel::path_mtu).unwrap_or(u16::MAX)
    }

    /// Counts packets that leave through an interface without an SA.
    #[cold]
    pub(super) fn wants_sa(&self, output: UidbIndex, packets: u64) {
        if let Some(state) = self.tunnel_states.get(usize::from(output.0)) {
            state.unprotected.fetch_add(packets, Ordering::Relaxed);
        }
    }

    /// The row of the SA of a packet with this SPI and destination, which is IPv6 or not.
    #[inline]
    pub(super) fn opening(&self, spi: u32, destination: &[u8], v6: bool) -> Option<u32> {
        self.spis.find(spi, |row| {
            self.inbound.get(row as usize).is_some_and(|sa| sa.is_for(spi, destination, v6))
        })
    }

    /// The SA in a row, and its state.
    #[inline]
    pub(super) fn inbound(&self, row: u32) -> Option<(&'a InboundSa, &'a SaState)> {
        let sa = self.inbound.get(row as usize)?;
        Some((sa, self.states.get(sa.state as usize)?))
    }

    /// The replay window of an SA that has one.
    #[inline]
    pub(super) fn window(&self, sa: &InboundSa, state: &'a SaState) -> Option<Window<'a>> {
        let first = sa.replay as usize;
        let count = replay_words(sa.window).ok()? as usize;
        let words = self.replay.get(first..first.checked_add(count)?)?;
        state.window(words, sa.window)
    }
}
