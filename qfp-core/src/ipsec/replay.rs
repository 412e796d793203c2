//! Anti-replay (RFC 4303 §3.4.3): a ring of bitmaps that several lcores may use at once.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use hal::PacketMask;

/// Sequence numbers of one word of the ring: the low half is the bitmap, the high half says which
/// lap around the ring it belongs to.
const BITS: u64 = WORD as u64;
const WORD: usize = 32;

/// Why a window cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// It is none of the sizes there are.
    #[error("a replay window of {0} packets: there are powers of two from 64 to 4096")]
    Size(u32),
}

/// Words that a window of `size` packets takes in the table of windows.
///
/// # Errors
/// `size` is not a power of two from 64 to 4096.
pub const fn replay_words(size: u32) -> Result<u32, WindowError> {
    if !size.is_power_of_two() || size < 64 || size > 4096 {
        return Err(WindowError::Size(size));
    }
    // One word more than the window, so that a word is never reused while the window covers it.
    Ok((size / 32 + 1).next_power_of_two())
}

/// The replay window of one SA.
///
/// Each word of the ring is changed by one compare-and-swap, so a number is accepted once even if
/// two lcores meet it at the same time. How far the window has come is a hint beside it: where the
/// hint is late, older numbers are still told apart by their word.
///
/// What is accepted has a [limit](Self::up_to): a window that [begins behind](Self::resume) the
/// limit of another accepts nothing that the other has.
#[derive(Clone, Copy, Debug)]
pub struct Window<'a> {
    highest: &'a AtomicU64,
    words: &'a [AtomicU64],
    size: u64,
    limit: u64,
}

impl<'a> Window<'a> {
    /// The window of `size` numbers over `words`, as many as [`replay_words`] says, which are zero
    /// at first; `highest` is the highest number accepted. None when the words do not suffice.
    #[inline]
    #[must_use]
    pub fn new(highest: &'a AtomicU64, words: &'a [AtomicU64], size: u32) -> Option<Self> {
        let size = u64::from(size);
        let fits = words.len().is_power_of_two() && (words.len() as u64 - 1) * BITS >= size;
        fits.then_some(Self { highest, words, size, limit: u64::MAX })
    }

    /// The same, which accepts numbers up to `limit` alone.
    #[inline]
    #[must_use]
    pub const fn up_to(self, limit: u64) -> Self {
        Self { limit, ..self }
    }

    /// Whether a number is above the limit.
    #[inline]
    #[must_use]
    pub const fn is_beyond(&self, sequence: u64) -> bool {
        sequence > self.limit
    }

    /// Has everything up to `mark` count as seen. No lcore may have the window yet.
    pub fn resume(&self, mark: u64) {
        let last = mark / BITS;
        for block in (0..=last).rev().take(self.words.len()) {
            let (index, lap) = self.place(block);
            let all = u64::from(u32::MAX);
            let bits = if block == last { all >> (BITS - 1 - mark % BITS) } else { all };
            self.words[index].store(u64::from(lap) << 32 | bits, Relaxed);
        }
        self.highest.fetch_max(mark, Relaxed);
    }

    /// The whole of a number of which the low half travelled (RFC 4303 appendix A2.2); none where
    /// it would lie before the first.
    #[inline]
    #[must_use]
    pub fn extended(&self, low: u32) -> Option<u64> {
        let highest = self.highest.load(Relaxed);
        let (high, highest_low) = (highest >> 32, highest & u64::from(u32::MAX));
        let low = u64::from(low);
        // The window is 2^32 numbers wide and ends where the next half begins.
        let bottom = (highest_low + 1).wrapping_sub(self.size) & u64::from(u32::MAX);
        let high = if highest_low + 1 >= self.size {
            if low >= bottom { high } else { high + 1 }
        } else if low >= bottom {
            // The window reaches back into the half before, if there is one.
            high.checked_sub(1)?
        } else {
            high
        };
        Some(high << 32 | low)
    }

    /// Whether `sequence` may be accepted: not seen yet, and not before the window. To be asked
    /// before anything costly is done; only [`accept`](Self::accept) decides. Numbers above the
    /// limit pass: that the peer has come so far counts once it is authentic.
    #[inline]
    #[must_use]
    pub fn may_accept(&self, sequence: u64) -> bool {
        let (index, lap) = self.place(sequence / BITS);
        let word = self.words[index].load(Relaxed);
        let seen = match age(word, lap) {
            0 => word >> (sequence % BITS) & 1 != 0,
            age => age < 0,
        };
        !seen && self.covers(sequence)
    }

    /// Accepts `sequence`, once: false for one that was accepted before, or is before the window.
    ///
    /// The packet has proved authentic. The window moves on with [`advance`](Self::advance).
    #[inline]
    #[must_use]
    pub fn accept(&self, sequence: u64) -> bool {
        !self.accept_all([(0, sequence)]).is_empty()
    }

    /// As [`accept`](Self::accept), for several packets in the order they came: slots and numbers.
    /// Returns the slots of those that are accepted. Numbers next to each other cost one
    /// compare-and-swap together.
    #[inline]
    #[must_use]
    pub fn accept_all(&self, numbers: impl IntoIterator<Item = (usize, u64)>) -> PacketMask {
        let mut accepted = PacketMask::EMPTY;
        let mut run = Run { block: 0, bits: 0, slots: PacketMask::EMPTY, slot_of: [0; WORD] };
        for (slot, sequence) in numbers {
            if !self.covers(sequence) || self.is_beyond(sequence) {
                continue;
            }
            let block = sequence / BITS;
            let bit = usize::from(sequence.to_le_bytes()[0]) % WORD;
            if block != run.block {
                accepted |= run.packets(self.settle(run.block, run.bits));
                (run.block, run.bits, run.slots) = (block, 0, PacketMask::EMPTY);
            }
            if run.bits >> bit & 1 == 0 {
                run.bits |= 1 << bit;
                run.slots.insert(slot);
                run.slot_of[bit] = slot.to_le_bytes()[0];
            }
        }
        accepted | run.packets(self.settle(run.block, run.bits))
    }

    /// As [`accept_all`](Self::accept_all), for the numbers from `first` on of all the packets in
    /// `slots`, 64 at most: a few operations a word, whatever their number.
    #[inline]
    #[must_use]
    pub fn accept_row(&self, slots: Range<usize>, first: u64) -> PacketMask {
        let count = slots.len() as u64;
        if count == 0 {
            return PacketMask::EMPTY;
        }
        let in_reach = first.checked_add(count).is_some_and(|end| !self.is_beyond(end - 1));
        if !self.covers(first) || !in_reach {
            let numbers = (0..count).map(|n| first.wrapping_add(n));
            return self.accept_all(slots.zip(numbers));
        }
        let (mut accepted, mut done) = (0, 0);
        while done < count {
            let sequence = first + done;
            let bit = sequence % BITS;
            let len = (BITS - bit).min(count - done);
            let bits = (u64::MAX >> (64 - len)) << bit;
            let new = self.settle(sequence / BITS, bits);
            accepted |= new >> bit << done;
            done += len;
        }
        PacketMask(accepted << (slots.start & 63))
    }

    /// Accepts numbers of one word; returns those that are new.
    #[inline]
    fn settle(&self, block: u64, bits: u64) -> u64 {
        if bits == 0 {
            return 0;
        }
        let (index, lap) = self.place(block);
        let cell = &self.words[index];
        let mut word = cell.load(Relaxed);
        loop {
            let (next, seen) = match age(word, lap) {
                0 => (word | bits, bits & word),
                // The word still speaks of an earlier lap.
                1.. => (u64::from(lap) << 32 | bits, 0),
                _ => return 0,
            };
            if seen == bits {
                return 0;
            }
            match cell.compare_exchange_weak(word, next, Relaxed, Relaxed) {
                Ok(_) => return bits & !seen,
                Err(now) => word = now,
            }
        }
    }

    /// Moves the window on to `sequence`, if that is news. Once a run of packets is enough.
    #[inline]
    pub fn advance(&self, sequence: u64) {
        if sequence > self.highest.load(Relaxed) {
            self.highest.fetch_max(sequence, Relaxed);
        }
    }

    #[inline]
    fn covers(&self, sequence: u64) -> bool {
        // Zero is never sent (RFC 4303 §2.2).
        sequence != 0 && sequence.saturating_add(self.size) > self.highest.load(Relaxed)
    }

    /// Word and lap of a block of numbers.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "laps are compared modulo 2^32")]
    fn place(&self, block: u64) -> (usize, u32) {
        let count = self.words.len() as u64;
        ((block & (count - 1)) as usize, (block >> count.trailing_zeros()) as u32)
    }
}

/// Numbers of one word that are accepted together.
struct Run {
    block: u64,
    bits: u64,
    /// Their packets, and whose each number is.
    slots: PacketMask,
    slot_of: [u8; WORD],
}

impl Run {
    /// Those of its packets whose numbers are new.
    #[inline]
    fn packets(&self, new: u64) -> PacketMask {
        if new == self.bits { self.slots } else { self.some(new) }
    }

    #[cold]
    fn some(&self, new: u64) -> PacketMask {
        let mut slots = PacketMask::EMPTY;
        for bit in PacketMask(new & self.bits) {
            slots.insert(usize::from(self.slot_of[bit % WORD]));
        }
        slots
    }
}

/// How many laps `lap` is ahead of the word's. A word without bits is from before all laps.
///
/// Numbers that have not been accepted are at most 2^32 ahead of those that have, less than 2^26
/// laps: comparing modulo 2^32 is enough.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the two halves of the word")]
const fn age(word: u64, lap: u32) -> i32 {
    if word as u32 == 0 {
        return 1;
    }
    lap.wrapping_sub((word >> 32) as u32).cast_signed()
}
