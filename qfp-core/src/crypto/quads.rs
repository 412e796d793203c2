//! Small packets, gathered in fours of about equal length.

use super::algorithm::KeySize;

/// Classes of length, of 64 bytes each, for both sizes of key.
const CLASSES: usize = 8;

/// Packets that wait for three others, by size of key and class of length.
#[derive(Default)]
pub(super) struct Quads {
    /// Four bytes each, the last one lowest: one word, as reading at once what was written in
    /// bytes would stall.
    waiting: [u32; 2 * CLASSES],
    counts: [u8; 2 * CLASSES],
    /// Where [`left_over`](Self::left_over) goes on.
    next: usize,
}

impl Quads {
    /// Adds packet `i` of `len` bytes, 1 to 512; returns four packets when they are complete.
    #[inline]
    pub(super) fn push(&mut self, size: KeySize, len: u32, i: usize) -> Option<[u8; 4]> {
        let class = (len.saturating_sub(1) as usize / 64).min(CLASSES - 1);
        let class = class + if size == KeySize::Aes256 { CLASSES } else { 0 };
        let (four, count) = (&mut self.waiting[class], &mut self.counts[class]);
        *four = *four << 8 | u32::from(i.to_le_bytes()[0]);
        *count = (*count + 1) % 4;
        (*count == 0).then_some(four.to_le_bytes())
    }

    /// Takes four of those that still wait, neighbours in length, or a single one if there are
    /// fewer left of its size of key.
    pub(super) fn left_over(&mut self) -> Option<(KeySize, Result<[u8; 4], u8>)> {
        while self.counts.get(self.next)? == &0 {
            self.next += 1;
        }
        let (size, end) = if self.next < CLASSES {
            (KeySize::Aes128, CLASSES)
        } else {
            (KeySize::Aes256, 2 * CLASSES)
        };
        let left: u8 = self.counts[self.next..end].iter().sum();
        if left < 4 {
            return Some((size, Err(self.take())));
        }
        Some((size, Ok([self.take(), self.take(), self.take(), self.take()])))
    }

    /// Takes one of the first class that has any; there must be one.
    fn take(&mut self) -> u8 {
        while self.counts[self.next] == 0 {
            self.next += 1;
        }
        self.counts[self.next] -= 1;
        let four = &mut self.waiting[self.next];
        let last = four.to_le_bytes()[0];
        *four >>= 8;
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_packet_comes_out_once(
            packets in prop::collection::vec((1u32..=480, any::<bool>()), 0..64)
        ) {
            let mut quads = Quads::default();
            let mut seen = vec![0; packets.len()];
            let sizes = |long| if long { KeySize::Aes256 } else { KeySize::Aes128 };
            let mut note = |size, i: u8| {
                seen[usize::from(i)] += 1;
                assert_eq!(size, sizes(packets[usize::from(i)].1));
            };
            for (i, &(len, long)) in packets.iter().enumerate() {
                if let Some(four) = quads.push(sizes(long), len, i) {
                    four.into_iter().for_each(|i| note(sizes(long), i));
                }
            }
            let mut singles = 0;
            while let Some((size, left)) = quads.left_over() {
                match left {
                    Ok(four) => four.into_iter().for_each(|i| note(size, i)),
                    Err(i) => {
                        singles += 1;
                        note(size, i);
                    }
                }
            }
            prop_assert!(seen.iter().all(|&times| times == 1));
            prop_assert!(singles <= 6);
        }
    }
}
