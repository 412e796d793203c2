//! Frames that the kernel has left for a device to cut, and how far a queue has come with one.

use super::offload::{Offload, TAG, complete};
use super::segment::Segments;
use super::socket::Socket;
use crate::packet::{Burst, VECTOR};
use crate::pool::PoolCache;

/// Bytes in front of a frame, for a tag.
const FRONT: usize = 16;
/// Bytes of the longest frame: one IP packet, its Ethernet header and two tags.
const LONGEST: usize = 65_535 + 14 + 2 * TAG;

/// Room for one frame of any length.
pub(super) struct Large {
    room: Box<[u8]>,
    segments: Option<Segments>,
}

impl Large {
    pub(super) fn new() -> Self {
        Self { room: vec![0; FRONT + LONGEST].into_boxed_slice(), segments: None }
    }

    /// Appends segments of the frame that is here, if there is one, until the burst is full.
    /// Returns how many were lost.
    pub(super) fn cut(&mut self, burst: &mut Burst, pool: &mut PoolCache) -> u64 {
        let Some(segments) = &mut self.segments else { return 0 };
        let mut lost = 0;
        while burst.count() < VECTOR {
            let Some(frame) = segments.next(&mut self.room) else {
                self.segments = None;
                break;
            };
            lost += u64::from(!pool.append(burst, frame));
        }
        lost
    }

    /// Appends the frame that waits in `socket`. The frame before has been cut. Returns how many
    /// were lost.
    pub(super) fn receive(
        &mut self,
        socket: &Socket,
        burst: &mut Burst,
        pool: &mut PoolCache,
    ) -> u64 {
        let Some((len, offload, tag)) = socket.receive(&mut self.room[FRONT..]) else { return 1 };
        if offload.segmentation != 0 {
            return self.begin(len, offload, tag, burst, pool);
        }
        let frame = complete(&mut self.room[..FRONT + len], FRONT, offload, tag);
        u64::from(!frame.is_some_and(|frame| pool.append(burst, frame)))
    }

    /// Appends the segments of `frame`. The one before has been cut. Returns how many were lost.
    pub(super) fn copy(
        &mut self,
        frame: &[u8],
        offload: Offload,
        tag: Option<[u8; TAG]>,
        burst: &mut Burst,
        pool: &mut PoolCache,
    ) -> u64 {
        let Some(room) = self.room[FRONT..].get_mut(..frame.len()) else { return 1 };
        room.copy_from_slice(frame);
        self.begin(frame.len(), offload, tag, burst, pool)
    }

    fn begin(
        &mut self,
        len: usize,
        offload: Offload,
        tag: Option<[u8; TAG]>,
        burst: &mut Burst,
        pool: &mut PoolCache,
    ) -> u64 {
        self.segments = Segments::of(&mut self.room[..FRONT + len], FRONT, offload, tag);
        if self.segments.is_none() { 1 } else { self.cut(burst, pool) }
    }
}
