//! The policers of a router: by index, for a packet or a vector of them.

use pal::clock::Nanos;

use super::arch::prefetch;
use super::colour::meter_as;
use super::row::Masks;
use super::{Colour, PolicerConfig, PolicerState, meter};

/// The index of packets that meet no policer: they keep their colour.
pub const NO_POLICER: u32 = u32::MAX;

/// Packets whose rows are asked for ahead: a vector's.
const AHEAD: usize = 64;
/// States that are always near, so that asking for them only costs: 128 KiB.
const NEAR: usize = 1 << 12;

/// All policers, by index.
///
/// Configurations are few, as many policers are alike, and come with a generation; states are one
/// a policer and stay.
#[derive(Clone, Copy, Debug, Default)]
pub struct Policers<'a> {
    /// Configurations.
    pub configs: &'a [PolicerConfig],
    /// Which configuration a policer has.
    pub config_of: &'a [u32],
    /// Tokens.
    pub states: &'a [PolicerState],
}

impl<'a> Policers<'a> {
    /// The rows of a policer; none beyond the last.
    #[inline(always)]
    fn rows(&self, policer: u32) -> Option<(&'a PolicerConfig, &'a PolicerState)> {
        let config = *self.config_of.get(policer as usize)?;
        Some((self.configs.get(config as usize)?, self.states.get(policer as usize)?))
    }

    /// Colours one packet; see [`meter`]. Without a policer it keeps its colour.
    #[inline]
    #[must_use]
    pub fn meter(&self, policer: u32, now: Nanos, length: u32, colour: Colour) -> Colour {
        match self.rows(policer) {
            Some((config, state)) => meter(config, state, now, length, colour),
            None => colour,
        }
    }

    /// Colours packets in their order: packet `i` has `lengths[i]` counted bytes, meets policer
    /// `policers[i]`, and comes and goes with `colours[i]`. The shortest slice counts.
    ///
    /// A policer may occur several times. Of many policers, the rows are asked for a vector ahead.
    /// A vector whose policers have one algorithm, and are colour-blind, costs least.
    #[inline]
    pub fn meter_batch(
        &self,
        now: Nanos,
        policers: &[u32],
        lengths: &[u32],
        colours: &mut [Colour],
    ) {
        let vectors = policers.chunks(AHEAD).zip(lengths.chunks(AHEAD));
        for ((policers, lengths), colours) in vectors.zip(colours.chunks_mut(AHEAD)) {
            self.meter_vector(now, policers, lengths, colours);
        }
    }

    /// [`Self::meter_batch`] of a vector.
    #[inline(never)]
    fn meter_vector(&self, now: Nanos, policers: &[u32], lengths: &[u32], colours: &mut [Colour]) {
        let far = self.states.len() > NEAR;
        let mut rows = [None; AHEAD];
        let [mut any, mut all] = [Masks::NONE, Masks::ALL];
        for (row, &policer) in rows.iter_mut().zip(policers) {
            *row = self.rows(policer);
            let Some((config, state)) = *row else { continue };
            any = any | config.masks();
            all = all & config.masks();
            if far {
                prefetch(config);
                prefetch(state);
            }
        }
        let packets = Packets { rows: &rows, now, lengths, colours };
        match (any == all).then_some(any) {
            Some(Masks::ONE_RATE) => packets.meter(|_| Masks::ONE_RATE),
            Some(Masks::RFC2697) => packets.meter(|_| Masks::RFC2697),
            Some(Masks::RFC2698) => packets.meter(|_| Masks::RFC2698),
            Some(Masks::RFC4115) => packets.meter(|_| Masks::RFC4115),
            _ => packets.meter(PolicerConfig::masks),
        }
    }
}

/// A vector whose rows are known.
struct Packets<'a> {
    rows: &'a [Option<(&'a PolicerConfig, &'a PolicerState)>],
    now: Nanos,
    lengths: &'a [u32],
    colours: &'a mut [Colour],
}

impl Packets<'_> {
    /// Meters all that meet a policer. Masks that do not depend on the row make it shorter.
    #[inline(always)]
    fn meter(self, masks: impl Fn(&PolicerConfig) -> Masks) {
        for ((row, &length), colour) in self.rows.iter().zip(self.lengths).zip(self.colours) {
            if let Some((config, state)) = row {
                *colour = meter_as(masks(config), config, state, self.now, length, *colour);
            }
        }
    }
}
