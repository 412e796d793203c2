//! A capture held in memory and replayed for ever: the port that measurements run on.
#![expect(unsafe_code, reason = "frames are copied into buffers that are known by address")]

use crate::lines::{Line, copy_lines};
use crate::packet::{Burst, VECTOR};
use crate::pool::PoolCache;
use crate::port::{Arrival, RxQueue};

/// Frames back to back in whole cache lines, so that a copy is a run of aligned loads.
#[derive(Debug, Default)]
pub(super) struct Frames {
    lines: Vec<Line>,
    index: Vec<Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    first_line: u32,
    len: u16,
}

impl Frames {
    /// Adds a frame; false when it is longer than any buffer can be, or there are too many.
    #[must_use]
    pub(super) fn push(&mut self, frame: &[u8]) -> bool {
        let (Ok(first_line), Ok(len)) =
            (u32::try_from(self.lines.len()), u16::try_from(frame.len()))
        else {
            return false;
        };
        self.index.push(Entry { first_line, len });
        self.lines.extend(frame.chunks(64).map(Line::from_bytes));
        true
    }
}

/// The receive queue that replays [`Frames`]. A frame that no buffer holds is missed every time.
pub(super) struct MemoryRx {
    frames: Frames,
    next: usize,
    missed: u64,
}

impl MemoryRx {
    /// `missed` packets of the capture are not among `frames`.
    pub(super) fn new(frames: Frames, missed: u64) -> Self {
        Self { frames, next: 0, missed }
    }
}

impl RxQueue for MemoryRx {
    fn rx_burst(&mut self, burst: &mut Burst, pool: &mut PoolCache) -> usize {
        let room = pool.frame_room();
        let first = burst.count();
        let reserved = pool.reserve(burst, VECTOR - first);
        let parts = burst.parts();
        let mut filled = 0;
        for _ in 0..reserved {
            let Some(&entry) = self.frames.index.get(self.next) else { break };
            self.next = if self.next + 1 < self.frames.index.len() { self.next + 1 } else { 0 };
            let len = usize::from(entry.len);
            if len > room {
                self.missed += 1;
                continue;
            }
            let slot = (first + filled) & 63;
            let lines = &self.frames.lines[entry.first_line as usize..];
            // SAFETY: `data` is the start of a fresh buffer, whose `room` bytes hold the frame, and
            // the frame's lines start at `first_line`.
            unsafe { copy_lines(lines, len, parts.data[slot], room) };
            parts.len[slot] = entry.len;
            filled += 1;
        }
        // SAFETY: the first `filled` of the slots just reserved hold frames.
        unsafe { pool.commit(burst, reserved, filled) };
        filled
    }

    fn arrival(&mut self) -> Arrival {
        if self.frames.index.is_empty() { Arrival::Ended } else { Arrival::Live }
    }

    fn missed(&self) -> u64 {
        self.missed
    }
}
