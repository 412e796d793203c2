//! How many bytes a frame counts for, in policers, shapers and counters.
//!
//! Ingress counts the frame as it was received, egress as it leaves, so that tags and labels that
//! are added or taken away between the two count on one side only. Preamble and gap never count.

use hal::{PacketMask, VECTOR};

/// Length of a frame check sequence, which buffers do not hold.
const FCS: u32 = 4;
/// The smallest Ethernet frame without its check sequence.
const MIN_FRAME: u32 = 60;

/// What counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Accounting {
    /// From the destination address to the check sequence: 18 bytes around an untagged packet
    /// (POL-06, POL-07).
    #[default]
    Asr9000,
    /// Without the check sequence: 14 bytes.
    Iosxe,
    /// As [`Accounting::Iosxe`], and a number of bytes more or less.
    UserDefined(Overhead),
}

/// Bytes that a user adds to every frame: -63 to 63.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Overhead(i8);

/// An overhead that no frame has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an overhead of {0} bytes is not from -63 to 63")]
pub struct OverheadError(pub i32);

impl Overhead {
    /// Largest overhead, either way.
    pub const MAX: i32 = 63;

    /// An overhead.
    ///
    /// # Errors
    /// It is beyond 63 bytes, either way.
    pub fn new(bytes: i32) -> Result<Self, OverheadError> {
        let inside = i8::try_from(bytes).ok().filter(|_| bytes.abs() <= Self::MAX);
        inside.map(Self).ok_or(OverheadError(bytes))
    }

    /// Bytes.
    #[must_use]
    pub const fn get(self) -> i8 {
        self.0
    }
}

impl Accounting {
    /// Counted bytes of a frame of `frame` bytes from the destination address to the end of the
    /// payload, without check sequence. Shorter ones than Ethernet has count as if padded.
    #[inline]
    #[must_use]
    pub const fn counted(self, frame: u32) -> u32 {
        let frame = if frame < MIN_FRAME { MIN_FRAME } else { frame };
        frame.saturating_add_signed(self.beside_frame())
    }

    /// What counts for the frames of `select` together: the sum of [`Accounting::counted`].
    #[inline]
    #[must_use]
    pub(crate) fn counted_of(self, lens: &[u16; VECTOR], select: PacketMask) -> u64 {
        let beside = self.beside_frame();
        // No frame counts less than nothing.
        let least = MIN_FRAME.max(beside.saturating_neg().max(0).unsigned_abs());
        let frames = crate::simd::sum_at_least(lens, select, u16::try_from(least).unwrap_or(0));
        frames.saturating_add_signed(i64::from(beside) * i64::from(select.count()))
    }

    /// Bytes that count beside those in the buffer.
    const fn beside_frame(self) -> i32 {
        match self {
            Self::Asr9000 => FCS.cast_signed(),
            Self::Iosxe => 0,
            Self::UserDefined(overhead) => overhead.0 as i32,
        }
    }
}

/// In which steps a traffic manager can add what surrounds a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OverheadQuantum {
    /// Exactly.
    #[default]
    One,
    /// A multiple of four bytes, at least what it is.
    FourUp,
    /// A multiple of four bytes, at most what it is.
    FourDown,
}

impl OverheadQuantum {
    /// Counted bytes of a packet of `packet` bytes in a frame that counts for `counted`.
    #[inline]
    #[must_use]
    pub const fn counted(self, counted: u32, packet: u32) -> u32 {
        let overhead = counted.saturating_sub(packet);
        let overhead = match self {
            Self::One => overhead,
            Self::FourUp => overhead.next_multiple_of(4),
            Self::FourDown => overhead & !3,
        };
        packet.saturating_add(overhead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(packet: u32, tags: u32) -> u32 {
        14 + 4 * tags + packet
    }

    /// Packet, tags, counted bytes, packet bits and frames a second at 1 Mb/s.
    const TABLE: [(u32, u32, u32, f64, f64); 12] = [
        (46, 0, 64, 718_750.0, 1953.125),
        (46, 1, 68, 676_470.6, 1838.235),
        (46, 2, 72, 638_888.9, 1736.111),
        (100, 0, 118, 847_457.6, 1059.322),
        (100, 1, 122, 819_672.1, 1024.590),
        (100, 2, 126, 793_650.8, 992.063),
        (1000, 0, 1018, 982_318.3, 122.790),
        (1000, 1, 1022, 978_473.6, 122.309),
        (1000, 2, 1026, 974_658.9, 121.832),
        (1500, 0, 1518, 988_142.3, 82.345),
        (1500, 1, 1522, 985_545.3, 82.129),
        (1500, 2, 1526, 982_962.0, 81.913),
    ];

    proptest! {
        #[test]
        fn what_counts_for_a_vector_is_the_sum_of_what_counts_for_its_frames(
            frames in prop::array::uniform32(prop_oneof![0u16..200, any::<u16>()]),
            select: u64,
            overhead in -Overhead::MAX..=Overhead::MAX,
        ) {
            let lens: [u16; VECTOR] = std::array::from_fn(|slot| frames[slot / 2]);
            let user = Accounting::UserDefined(Overhead::new(overhead).unwrap());
            for accounting in [Accounting::Asr9000, Accounting::Iosxe, user] {
                let slots = PacketMask(select).into_iter();
                let sum: u64 =
                    slots.map(|slot| u64::from(accounting.counted(lens[slot].into()))).sum();
                prop_assert_eq!(accounting.counted_of(&lens, PacketMask(select)), sum);
            }
        }
    }

    #[test]
    fn a_frame_counts_with_its_headers_tags_and_check_sequence() {
        for (packet, tags, counted, bits, frames) in TABLE {
            let got = Accounting::Asr9000.counted(frame(packet, tags));
            assert_eq!(got, counted);
            let rate = 1e6 / 8.0 / f64::from(got);
            assert!((rate - frames).abs() < 6e-4, "{rate} frames, not {frames}");
            assert!((rate * f64::from(packet) * 8.0 - bits).abs() < 0.06);
        }
    }

    #[test]
    fn without_the_check_sequence_it_counts_four_bytes_less() {
        assert_eq!(Accounting::Iosxe.counted(frame(1000, 0)), 1014);
        assert_eq!(Accounting::Iosxe.counted(frame(40, 0)), 60);
    }

    #[test]
    fn a_short_packet_counts_as_it_is_padded_on_the_wire() {
        assert_eq!(Accounting::Asr9000.counted(frame(20, 0)), 64);
        assert_eq!(Accounting::Asr9000.counted(frame(46, 0)), 64);
        assert_eq!(Accounting::Asr9000.counted(frame(40, 1)), 64);
        assert_eq!(Accounting::Asr9000.counted(frame(47, 0)), 65);
    }

    #[test]
    fn a_user_adds_and_takes_away_bytes() {
        let counted = |bytes| {
            Overhead::new(bytes).map(|n| Accounting::UserDefined(n).counted(frame(1000, 0)))
        };
        assert_eq!(counted(24), Ok(1038));
        assert_eq!(counted(-14), Ok(1000));
        assert_eq!(counted(-63), Ok(951));
        assert_eq!(counted(64), Err(OverheadError(64)));
        assert_eq!(counted(-64), Err(OverheadError(-64)));
        assert_eq!(counted(1 << 20), Err(OverheadError(1 << 20)));
    }

    #[test]
    fn a_quantum_rounds_what_surrounds_the_packet() {
        let counted = |quantum: OverheadQuantum, packet, tags| {
            quantum.counted(Accounting::Asr9000.counted(frame(packet, tags)), packet)
        };
        use OverheadQuantum::{FourDown, FourUp, One};
        let untagged = [One, FourUp, FourDown].map(|quantum| counted(quantum, 1000, 0));
        assert_eq!(untagged, [1018, 1020, 1016]);
        assert_eq!([FourUp, FourDown].map(|quantum| counted(quantum, 46, 0)), [66, 62]);
        assert_eq!([FourUp, FourDown].map(|quantum| counted(quantum, 1000, 1)), [1024, 1020]);
        assert_eq!([FourUp, FourDown].map(|quantum| counted(quantum, 1000, 2)), [1028, 1024]);
    }
}
